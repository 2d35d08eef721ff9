"""The card of a finished model, from its results.json; as a command it draws the card again, with notes of people.

    python -m trainer.publishing.card runs/my-run/model --card_notes notes.yaml

The figures stay as they were measured: they come from the folder's results.json, which the notes are added to. Notes
that were there before are replaced by those that the file holds. What the file may hold:

    provenance:            # what the model was made from, as a table
      - {name: …, licence: …, size: …, use: …}
    notes: |               # Markdown
    usage: …               # a sentence behind the licence
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from trainer.errors import UserError
from trainer.hub.patience import Say, aloud
from trainer.metrics.rouge import PARTS
from trainer.runtime.durations import spoken
from trainer.runtime.figures import figure_and_interval
from trainer.runtime.files import write_atomically
from trainer.scoring.records import ROUGE_TITLES, Evaluation, FigureRecord, Results, cell, data_name, results_table
from trainer.settings.groups import DEFAULT_LICENSE, HubSettings, read_card_notes

# Figures about the summaries that the card shows where they were measured: title, factor, digits.
TRAITS = {
    "summary_words": ("words of a summary", 1, 1),
    "reference_words": ("words of a reference", 1, 1),
    "source_words": ("words of an article", 1, 1),
    "compression": ("words of the article per word of the summary", 1, 1),
    "coverage": ("words taken from the article, %", 100, 1),
    "density": ("length of the copied passages (density)", 1, 2),
    "novel_1grams": ("words that the article lacks, %", 100, 1),
    "novel_2grams": ("word pairs that the article lacks, %", 100, 1),
}

# Settings that say how it was trained; the others are decoding, or say where things were kept.
TRAINING_SETTINGS = ("optimisation", "data")


def write_card(folder: Path, repo_id: str | None = None) -> Path:
    """Writes README.md of a finished model from `<folder>/results.json` alone, and returns its path.

    The example in the card loads `repo_id`; without one it loads "." and is to be run in the folder. Besides the
    records, the card states of `training`:

    - `system`: what the records call this model; `parameters`;
    - `base_model`, `base_revision`: both None for random weights, the second None for a folder;
    - `splits`: name, dataset, revision, n, fingerprint and skipped of each split that was learnt or chosen from;
    - `steps`, `epochs`, `seconds`, `processes`, `precision`, `best_step`, `best_metric`, `best_value`;
    - and where they are there, `language` (of the training texts, ISO 639), `provenance` (objects with name, licence,
      size, use), `notes` (Markdown) and `usage` (a sentence behind the licence).

    Raises:
        UserError: results.json is missing, malformed, or lacks a figure that the card states.
    """
    path = folder / "README.md"
    write_atomically(path, render_card(folder, repo_id))
    return path


def render_card(folder: Path, repo_id: str | None = None) -> str:
    """The text of the card, see `write_card`."""
    source = folder / "results.json"
    results = Results.load(source)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters |= {"code": _code, "cell": _cell, "shown": _shown, "literal": _literal}
    try:
        facts = card_facts(results, repo_id)
        text = environment.get_template("card.md.jinja").render(facts)
    except (jinja2.UndefinedError, KeyError, TypeError) as error:
        raise UserError(f"{source} lacks what the card states: {error}.") from error
    # Through the client's own card, so that what is written is what the Hub reads.
    return str(ModelCard(re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"))


def card_facts(results: Results, repo_id: str | None = None) -> dict[str, Any]:
    """Everything that the template prints, by the names it uses.

    Raises:
        KeyError: a record or a setting that the card states is missing.
        UserError: no record is of this model.
    """
    training, settings = results.training, results.settings
    own = [record for record in results.evaluations if record.system == training["system"]]
    if not own:
        raise UserError(f"results.json has no record of the system {training['system']!r}, which is the model itself.")
    last = own[-1]
    decoding = dict(last.decoding)
    prefix, max_source_length = decoding.pop("prefix"), decoding.pop("max_source_length")
    decoding.pop("batch_size", None)  # how fast, not what
    candidates = decoding.pop("candidates", 1)  # not transformers' own: `generate` does not choose
    choose_from = decoding.pop("choose_from", "beams")
    for name in ("chosen_by", "sentence_split"):
        decoding.pop(name, None)
    splits = training["splits"]
    return {
        "front_matter": _front_matter(results, own, repo_id).to_yaml(),
        "name": repo_id.split("/")[-1] if repo_id else training["system"],
        "model_id": repo_id or ".",
        "parameters": training["parameters"],
        "base_model": training["base_model"],
        "base_revision": training["base_revision"],
        "datasets": [_code(split["dataset"]) for split in splits if split["name"] == "train"],
        "prefix": prefix,
        "max_source_length": max_source_length,
        # What matters most stands first.
        "decoding": {name: decoding.pop(name) for name in ("max_new_tokens", "num_beams") if name in decoding}
        | decoding,
        "candidates": candidates,
        "choose_from": choose_from,
        "number_format": last.number_format,
        "groups": [{"table": results_table(records, markdown=True)} for records in _by_data(results.evaluations)],
        "own_rouge": [
            {"data": data_name(record), "title": title}
            | {part: cell(record.metrics[f"{kind}_{part}"]) for part in PARTS}
            for record in own
            for kind, title in ROUGE_TITLES.items()
        ],
        "own_traits": [
            {"data": data_name(record), "title": title}
            | dict(zip(("value", "interval"), _parts(metric, scale, digits), strict=True))
            for record in own
            for name, (title, scale, digits) in TRAITS.items()
            if (metric := record.metrics.get(name))
        ],
        "splits": splits,
        "provenance": training.get("provenance"),
        "training_sentences": _training_sentences(results),
        "settings": {
            name: value
            for group in TRAINING_SETTINGS
            for name, value in settings[group].items()
            # What was read is in the table of the splits, as it was and not as it was asked for.
            if value is not None and not name.endswith("_file") and not name.startswith("dataset")
        },
        "packages": results.environment["packages"],
        "python": results.environment["python"],
        "commit": last.commit,
        "cut_share": _percent(last.metrics.get("source_cut_share")),
        "unfinished_share": _percent(last.metrics.get("unfinished_share")),
        "comparisons": _comparisons(results.evaluations, own),
        "notes": training.get("notes"),
        "license": _license(results),
        "language": training.get("language"),
        "usage": training.get("usage"),
    }


def _front_matter(results: Results, own: Sequence[Evaluation], repo_id: str | None) -> ModelCardData:
    """What the Hub reads of a card. ROUGE is × 100, F1, as on most cards of summarisers."""
    training = results.training
    on_hub = [split["dataset"] for split in training["splits"] if split["revision"]]
    return ModelCardData(
        language=training.get("language"),
        license=_license(results),
        library_name="transformers",
        pipeline_tag="summarization",
        # Only what the Hub knows: a folder's name would be a dead link there.
        base_model=training["base_model"] if training["base_revision"] else None,
        datasets=list(dict.fromkeys(on_hub)) or None,
        metrics=["rouge"],
        tags=["summarization", "t5"],
        model_name=repo_id.split("/")[-1] if repo_id else training["system"],
        eval_results=[
            EvalResult(
                task_type="summarization",
                task_name="Summarization",
                dataset_type=record.data["dataset"],
                dataset_name=record.data["dataset"].rsplit("/", 1)[-1],
                dataset_config=record.data["config"],
                dataset_split=record.data["split"],
                dataset_revision=record.data["revision"],
                metric_type="rouge",
                metric_name=kind,
                metric_value=round(100 * record.metrics[f"{kind}_fmeasure"].value, 2),
            )
            for record in own
            for kind in ROUGE_TITLES
        ],
    )


def _training_sentences(results: Results) -> list[str]:
    training, machine = results.training, results.environment
    where = machine["gpu"] or f"{machine['cores']} cores of {machine['cpu']}"
    steps, epochs, processes = training["steps"], training["epochs"], training["processes"]
    sentences = [
        f"{steps:,} optimizer steps ({epochs:.3g} epoch{'s' * (epochs != 1)}) in {training['precision']} on {where}"
        + (f", {processes} processes" if processes > 1 else "")
        + f": {spoken(training['seconds'], exactly=True)}."
    ]
    if recipe := results.settings["run"]["recipe"]:
        sentences.append(f"The settings began from the recipe {_code(recipe)}.")
    if training["best_step"] is not None:
        sentences.append(
            f"Kept is the checkpoint of step {training['best_step']:,}, the best by {training['best_metric']} F1 on "
            f"the validation split ({100 * training['best_value']:.2f})."
        )
    return sentences


def _comparisons(evaluations: Sequence[Evaluation], own: Sequence[Evaluation]) -> list[str]:
    """Where a system beside the model is at least as good: said among the limits, not only shown in a table."""
    sentences = []
    for record in own:
        value = record.metrics["rouge1_fmeasure"].value
        others = [
            other
            for other in evaluations
            if other.data == record.data
            and other.system != record.system
            and other.metrics["rouge1_fmeasure"].value >= value
        ]
        if others:
            names = ", ".join(f"{o.system} ({100 * o.metrics['rouge1_fmeasure'].value:.2f})" for o in others)
            sentences.append(
                f"On {data_name(record)}, its ROUGE-1 F1 of {100 * value:.2f} is not above that of {names}."
            )
    return sentences


def _by_data(evaluations: Sequence[Evaluation]) -> list[list[Evaluation]]:
    groups: dict[str, list[Evaluation]] = {}
    for record in evaluations:
        groups.setdefault(json.dumps(record.data, sort_keys=True), []).append(record)
    return list(groups.values())


def _parts(metric: FigureRecord, scale: float, digits: int) -> tuple[str, str]:
    return figure_and_interval(metric.value, metric.low, metric.high, scale, digits)


def _percent(metric: FigureRecord | None) -> str | None:
    return None if metric is None or metric.value is None else f"{100 * metric.value:.1f}"


def _code(text: Any) -> str:
    return "`" + _cell(text).replace("`", "'") + "`"


def _cell(text: Any) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def main(argv: list[str] | None = None) -> int:
    """Returns 0, or 2 where the folder or the notes are not what they should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of a finished model, with its results.json")
    parser.add_argument("--card_notes", type=Path, metavar="FILE", help="YAML file with provenance, notes and usage")
    parser.add_argument("--license", help="licence named on the card, in place of the one that training was given")
    parser.add_argument("--language", metavar="CODE", help="language of the texts, for results that do not say it yet")
    options = parser.parse_args(argv)
    try:
        redraw(options.folder, options.card_notes, options.license, options.language)
    except UserError as error:
        print(f"card.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def redraw(
    folder: Path,
    card_notes: Path | None = None,
    license: str | None = None,
    language: str | None = None,
    repo_id: str | None = None,
) -> Path:
    """Adds what is given to `<folder>/results.json`, writes `<folder>/README.md` from it and returns its path.

    Raises:
        UserError: the folder has no results.json, the notes are malformed, or `language` is not what was found.
    """
    results = Results.load(folder / "results.json")
    if card_notes is not None:
        results.training.update(read_card_notes(card_notes))
    if license is not None:
        results.settings["hub"]["license"] = license
    if language is not None:
        results.training["language"] = _checked_language(results, language)
    results.save(folder / "results.json")
    return write_card(folder, repo_id)


def update_card(folder: Path, hub: HubSettings, say: Say = aloud) -> None:
    """Puts the licence, the notes and the language that are asked for into the card of a finished model.

    What is not asked for stays as it is, and so does a card that says it all already. Every change is told.

    Raises:
        UserError: as `redraw`, or somebody has edited the card, so that it can't be drawn anew.
    """
    before = Results.load(folder / "results.json")
    changes = []
    if hub.license not in (None, _license(before)):
        changes.append(f"--license: {_license(before)} -> {hub.license}")
    if hub.language is not None:
        language = _checked_language(before, hub.language)
        if language != before.training.get("language"):
            changes.append(f"--language: {before.training.get('language')} -> {language}")
    if hub.card_notes is not None:
        notes = read_card_notes(hub.card_notes)
        if notes != {name: before.training.get(name) for name in notes}:
            changes.append(f"--card_notes: {', '.join(notes)} of {hub.card_notes}")
    if not changes:
        return
    file = folder / "README.md"
    card = file.read_text("utf-8") if file.is_file() else ""
    if not is_as_drawn(folder, card):
        raise UserError(
            f"{file} is not as it was drawn (edited, or of an earlier version), and drawing it anew for "
            f"{'; '.join(changes)} would lose that. Write it there by hand and leave the flag out, or delete the file."
        )
    redraw(folder, hub.card_notes, hub.license, hub.language, _repo_id_of(card))
    for change in changes:
        say(f"The card of {folder} was drawn anew with {change}.")


def is_as_drawn(folder: Path, card: str) -> bool:
    """Whether `card` is what `<folder>/results.json` gives, or nothing at all, so that nobody's words are in it."""
    return not card.strip() or card == render_card(folder, _repo_id_of(card))


def _repo_id_of(card: str) -> str | None:
    """The repository that the example in a card loads."""
    loaded = re.search(r'^name = "(.*)"$', card, re.MULTILINE)
    return None if loaded is None or loaded[1] == "." else loaded[1]


def _license(results: Results) -> str:
    return results.settings["hub"]["license"] or DEFAULT_LICENSE


def _checked_language(results: Results, language: str) -> str | None:
    """`language` where training found the texts to be in it, or where it did not look; None for "none"."""
    found = results.training.get("language")
    if language == "none":
        return None
    if "language" in results.training and language != found:
        raise UserError(
            f"--language is {language!r}, but the training texts were found to be in "
            f"{found or 'several languages, or none was to be named'}: leave it out, or give 'none' to claim nothing."
        )
    return language


if __name__ == "__main__":
    sys.exit(main())
