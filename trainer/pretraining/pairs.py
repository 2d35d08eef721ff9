"""Makes the starter's training and validation pairs from samples of news with one-sentence summaries.

    python -m trainer.pretraining.pairs --text_dir FOLDER --output_dir runs/pairs

XSum's articles come without their first sentence, which is the summary; an article that somebody pastes comes with it,
and there it is mostly the best summary by far. So both kinds are learnt: XSum as it is, and whole articles, their lead
put back. A lead that hardly shares a word with its headline says something else first, and its article is left out.
`trainer/recipes/pairs/starter.yaml` names the files, how many pairs are taken of each, and how many are held out.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from trainer.data.sentences import split_sentences
from trainer.errors import UserError
from trainer.metrics.rouge import RougeTokenizer
from trainer.metrics.words import FUNCTION_WORDS
from trainer.pretraining.corpus import text_rows
from trainer.summarizers.extracts import extracts, is_whole

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "pairs" / "starter.yaml"
LEAST_SENTENCES = 3  # an article with fewer leaves nothing to choose
HEADLINE_SHARE = 0.3  # of the headline's content words that a lead must share
FURNITURE = "Share this with"  # what precedes the text on some copies of a web page


@dataclass(frozen=True)
class TextFile:
    """One file of the recipe.

    Attributes:
        kind: "document", as it is; "lead", the summary put back in front of the document, whose summary is then its
            first sentence; "headline", whose reference is headline and summary together.
        most: pairs taken for training, drawn by the seed.
        held_out_every: every so many-th row is never learnt from; 0: none is held out.
        validation: so many of the held-out rows, the first ones, are for validation.
    """

    name: str
    kind: str
    most: int
    held_out_every: int = 0
    validation: int = 0


def read_recipe(path: Path) -> list[TextFile]:
    """The files of a recipe, in its order."""
    return [TextFile(name, **values) for name, values in yaml.safe_load(path.read_text("utf-8")).items()]


def pairs_of(file: TextFile, text_dir: Path, seed: int) -> tuple[list[dict], list[dict]]:
    """(training pairs, validation pairs) of a file: `id`, `document` and `summary`.

    Raises:
        UserError: the file is missing or broken.
    """
    path = text_dir / file.name
    if not path.is_file():
        raise UserError(f"text file {path} does not exist")
    rows = list(enumerate(text_rows(path)))
    held_out = [row for row in rows if file.held_out_every and row[0] % file.held_out_every == 0]
    learnt = [row for row in rows if not (file.held_out_every and row[0] % file.held_out_every == 0)]
    order = np.random.default_rng(seed).permutation(len(learnt))
    return (
        list(_usable(file, (learnt[place] for place in order), file.most)),
        list(_usable(file, held_out, file.validation)),
    )


def _usable(file: TextFile, rows: Any, most: int) -> Iterator[dict]:
    taken = 0
    for number, row in rows:
        if taken == most:
            return
        pair = pair_of(row, file.kind)
        if pair is not None:
            taken += 1
            yield {"id": f"{file.name}:{number}", **pair}


def pair_of(row: dict, kind: str) -> dict[str, str] | None:
    """`document` and `summary` of a row, or None where nothing is to be learnt from it."""
    document, summary, title = (str(row.get(name) or "").strip() for name in ("document", "summary", "title"))
    if FURNITURE in document[:500] or len(extracts(document)) < LEAST_SENTENCES:
        return None
    if kind == "document":
        return {"document": document, "summary": summary}
    if kind == "headline":
        return {"document": document, "summary": f"{title}. {summary}"}
    lead = (split_sentences(summary) or [""])[0]
    headline = _content(title)
    if not is_whole(lead) or (headline and len(headline & _content(lead)) < HEADLINE_SHARE * len(headline)):
        return None
    return {"document": f"{summary}\n{document}", "summary": lead}


def _content(text: str) -> set[str]:
    return {word for word in RougeTokenizer().tokenize(text) if word not in FUNCTION_WORDS}


def main(argv: list[str] | None = None) -> int:
    """Returns 0, or 2 for something wrong in what was given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text_dir", type=Path, required=True, help="Folder that holds the files of the recipe.")
    parser.add_argument("--output_dir", type=Path, required=True, help="Gets train.jsonl and validation.jsonl.")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="YAML; default trainer/recipes/pairs/starter.yaml.")
    parser.add_argument("--seed", type=int, default=0, help="Of the draw and the order.")
    given = parser.parse_args(argv)
    try:
        found = [pairs_of(file, given.text_dir, given.seed) for file in read_recipe(given.recipe)]
    except UserError as error:
        print(f"pairs: {error}", file=sys.stderr)
        return 2
    given.output_dir.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(given.seed)
    for part, name in enumerate(("train", "validation")):
        pairs = [pair for of_file in found for pair in of_file[part]]
        pairs = [pairs[place] for place in draw.permutation(len(pairs))]
        lines = "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs)
        (given.output_dir / f"{name}.jsonl").write_text(lines, "utf-8")
        print(f"{given.output_dir / name}.jsonl: {len(pairs):,} pairs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
