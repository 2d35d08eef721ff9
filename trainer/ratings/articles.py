"""Articles with the summaries of two or more systems, for people to compare."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from trainer.data.rows import Bad, read_rows
from trainer.errors import UserError
from trainer.scoring.pairs import read_pairs
from trainer.settings.evaluation import EvalDataSettings

_DATA = {item.name for item in fields(EvalDataSettings)}
FORM = '{"id": "1", "article": "…", "summaries": {"one system": "…", "another": "…"}}'


@dataclass(frozen=True)
class RatedArticle:
    """An article and its summaries, by the names of the systems; the reference where there is one."""

    id: str
    article: str
    summaries: Mapping[str, str]
    reference: str | None = None


def read_articles(path: Path) -> list[RatedArticle]:
    """The articles of a JSON Lines file, or of a folder that trainer/eval.py wrote, that have two summaries or more.

    A line of the file has the form of `FORM`, and may have a `reference`. In a folder the summaries are those of
    predictions.jsonl, and the articles are read again from the data that the evaluation was made on.

    Raises:
        UserError: the file or folder can't be read, a line of it is not right (it is named), the data have changed
            since the evaluation, or no article has two summaries.
    """
    articles = _of_evaluation(path) if path.is_dir() else _of_file(path)
    several = [one for one in articles if len(one.summaries) > 1]
    if not several:
        raise UserError(f"{path} has no article with the summaries of two systems: there is nothing to compare.")
    return several


def _of_file(path: Path) -> list[RatedArticle]:
    if path.suffix != ".jsonl" or not path.is_file():
        raise UserError(f"{path} is neither a .jsonl file nor a folder that trainer/eval.py wrote.")
    articles: dict[str, RatedArticle] = {}
    rows, _ = read_rows(path, choose=list)
    for number, row in rows:
        wrong = str(row) if isinstance(row, Bad) else _wrong(row)
        if not wrong and str(row["id"]) in articles:
            wrong = f"its id {row['id']!r} stands in an earlier line"
        if wrong:
            raise UserError(f"{path}, line {number}: {wrong}. A line has this form: {FORM}")
        article = RatedArticle(str(row["id"]), row["article"], row["summaries"], row.get("reference"))
        articles[article.id] = article
    return list(articles.values())


def _wrong(row: Mapping[str, Any]) -> str | None:
    """What keeps a line from being an article with summaries; None where nothing does."""
    if not isinstance(row.get("id"), (str, int)) or isinstance(row.get("id"), bool):
        return f"id is {row.get('id')!r}: it must be a text or a whole number"
    if not isinstance(row.get("article"), str) or not row["article"].strip():
        return f"article is {row.get('article')!r:.80}: it must be a text that is not empty"
    summaries = row.get("summaries")
    if not isinstance(summaries, Mapping) or not all(isinstance(text, str) for text in summaries.values()):
        return f"summaries is {summaries!r:.80}: it must be an object of texts, by the names of their systems"
    if not isinstance(row.get("reference"), (str, type(None))):
        return f"reference is {row['reference']!r:.80}: it must be a text"
    return None


def _of_evaluation(folder: Path) -> list[RatedArticle]:
    try:
        identity = json.loads((folder / "run.json").read_text("utf-8"))["identity"]
        lines = (folder / "predictions.jsonl").read_text("utf-8").splitlines()
        predictions = [json.loads(line) for line in lines]
        summaries: dict[int, dict[str, str]] = {}
        for one in predictions:
            summaries.setdefault(one["row"], {})[one["system"]] = one["prediction"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder} holds no finished evaluation: run.json and predictions.jsonl can't be read ({error})."
        ) from None
    data = EvalDataSettings(**{name: identity[name] for name in _DATA & identity.keys()})
    with tempfile.TemporaryDirectory() as spool:
        split = read_pairs(data, None, Path(spool) / "pairs.jsonl", say=lambda text: None)
        if split.fingerprint != identity["fingerprint"]:
            raise UserError(f"The texts of {split.dataset} are not those that the evaluation in {folder} was made on.")
        examples = {row: split.examples[row] for row in sorted(summaries)}
    unique = len({one.id for one in examples.values()}) == len(examples)
    return [
        RatedArticle(one.id if unique else str(row), one.source, summaries[row], one.target)
        for row, one in examples.items()
    ]
