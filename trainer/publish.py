"""Publishing a finished model: the right to its name, the card, and one commit.

    repo_id = check_push(settings.hub, "google-t5/t5-small", "EdinburghNLP/xsum")  # before the hours of training
    write_card(folder, repo_id)                                                    # README.md from results.json
    url = push_model(folder, repo_id)

The folder is what training leaves in `<output_dir>/model`. A push that fails leaves it as it is, and the error names
the command that pushes it again without training.
"""

import json
import re
import shlex
import struct
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from huggingface_hub import EvalResult, HfApi, ModelCard, ModelCardData, get_session
from huggingface_hub.errors import BadRequestError
from huggingface_hub.utils import hf_raise_for_status

from trainer.errors import Stopped, UserError
from trainer.hub import Patience, Say, aloud, check_right, explain, full_name, publish_files, retry, sign_in
from trainer.metrics.rouge import PARTS
from trainer.results import ROUGE_TITLES, Evaluation, Metric, Results, results_table, write_atomically

if TYPE_CHECKING:
    from trainer.settings import HubSettings

TRAIN = Path(__file__).resolve().with_name("train.py")

# What is published, and nothing else of the folder: training_args.bin can hold a token, and optimizer states are of
# no use to anybody else.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
)
NEEDED = ("config.json", "generation_config.json", "tokenizer_config.json", "results.json", "README.md")
PUBLISHED = (*NEEDED, *WEIGHTS, *TOKENIZER)
# What an earlier model may have left in the repository that a loader would read, or that never belonged there.
OBSOLETE = (
    *WEIGHTS,
    *TOKENIZER,
    "pytorch_model*.bin",
    "pytorch_model.bin.index.json",
    "tf_model*.h5",
    "flax_model*.msgpack",
    "rust_model.ot",
    "training_args.bin",
)


def default_model_id(token_name: str, base: str, dataset: str) -> str:
    """`<who the token says>/<base>-finetuned-<dataset>`, of the last parts of names and paths, in the Hub's letters."""
    name = f"{_plain(base)}-finetuned-{_plain(dataset)}"
    return f"{token_name}/{_plain(name[: 96 - len(token_name) - 1])}"


def _plain(name: str) -> str:
    last = re.split(r"[/\\]", name.strip().rstrip("/\\"))[-1]
    last = re.sub(r"\.(jsonl?|csv|parquet|git)$", "", last)
    return re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._]+", "-", last)).strip("-.") or "model"


def check_push(
    hub: "HubSettings",
    base_model: str,
    dataset: str,
    *,
    api: HfApi | None = None,
    patience: Patience | None = None,
    say: Say = aloud,
) -> str:
    """The full name that the model will be published under, once it is sure that the token may.

    Leaves no trace on the Hub (see `trainer.hub.check_right` for what cannot be known beforehand).

    Raises:
        UserError: no token, a wrong one, one without the right to the name, a name that cannot be one, a repository
            that is public where `hub.private` asks otherwise, or a Hub out of reach.
    """
    api = api or HfApi()
    patience = patience or Patience(total=60.0)
    who = sign_in(api, "publishing (--push)", patience=patience, say=say)
    name = hub.hub_model_id or default_model_id(who["name"], base_model, dataset)
    repo_id = full_name(name, who, "--hub_model_id")
    exists = check_right(api, who, repo_id, "--hub_model_id", private=hub.private, patience=patience, say=say)
    _check_license(api, hub.license, patience, say)
    state = "there is one already, which gets a new commit" if exists else "will be made"
    say(f"To be published as {repo_id} by {who['name']} ({state}).")
    return repo_id


def _check_license(api: HfApi, license: str, patience: Patience, say: Say) -> None:
    """Asks the Hub, which refuses a card with a licence that it does not know, before there is a model to lose."""
    card = ModelCard(f"---\n{ModelCardData(license=license).to_yaml()}\n---\n")

    def ask() -> None:
        # As `ModelCard.validate` does, which asks at no other endpoint than the environment's.
        body = {"repoType": "model", "content": str(card)}
        hf_raise_for_status(get_session().post(f"{api.endpoint}/api/validate-yaml", json=body))

    doing = "asking the Hub about the licence"
    try:
        retry(ask, doing, patience=patience, say=say)
    except BadRequestError as error:
        raise UserError(f"--license is {license!r}: the Hub does not take it ({error.server_message}).") from error
    except Exception as error:
        raise explain(error, "", doing) from error


def push_model(
    folder: Path,
    repo_id: str,
    private: bool = False,
    *,
    api: HfApi | None = None,
    patience: Patience | None = None,
    say: Say = aloud,
) -> str:
    """Publishes the finished model of `folder` in one commit and returns its address.

    Raises:
        UserError: the folder holds no whole model.
        Stopped: it could not be published; says how to do so without training.
    """
    files: dict[str, Path | bytes] = dict(finished_files(folder))
    card = files["README.md"].read_text("utf-8")
    if card != (fitting := _card_for(folder, card, repo_id)):
        files["README.md"] = fitting.encode("utf-8")
    try:
        published = publish_files(
            api or HfApi(),
            repo_id,
            files,
            message=f"Publish {repo_id.split('/')[-1]}",
            private=private,
            obsolete=lambda path: any(fnmatch(path, pattern) for pattern in OBSOLETE),
            patience=patience,
            say=say,
        )
    except UserError as error:
        raise Stopped(
            f"{error}\nThe finished model is kept in {folder}. To publish it without training again:\n"
            f"  {push_command(folder, repo_id, private)}"
        ) from error
    say(f"Published {published.url} (commit {published.commit[:12]}).")
    return published.url


def push_command(folder: Path, repo_id: str, private: bool = False) -> str:
    """The command line that publishes a finished folder, to be typed where this process runs."""
    words = [sys.executable, _short(TRAIN), "--push_only", _short(folder), "--hub_model_id", repo_id]
    return shlex.join(words + ["--private"] * private)


def _short(path: Path) -> str:
    path, here = path.resolve(), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def finished_files(folder: Path) -> dict[str, Path]:
    """Name → path of the files of `folder` that are published.

    Raises:
        UserError: one that is needed is missing, or the weights are cut short.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: it should be the folder of a finished model.")
    files = {
        path.name: path
        for path in sorted(folder.iterdir())
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in PUBLISHED)
    }
    missing = [name for name in NEEDED if name not in files]
    if not {"tokenizer.json", "spiece.model"} & files.keys():
        missing.append("tokenizer.json")
    weights = {name for name in files if name.endswith(".safetensors")}
    index = files.get("model.safetensors.index.json")
    if index:
        try:
            missing += sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()) - weights)
        except (ValueError, KeyError, AttributeError) as error:
            raise UserError(f"{index} is not an index of weights. Save the model again.") from error
    elif "model.safetensors" not in weights:
        missing.append("model.safetensors")
    if missing:
        raise UserError(f"{folder} is not a finished model: {', '.join(missing)} is missing. Nothing was published.")
    for name in weights:
        if not _is_whole(files[name]):
            raise UserError(f"{files[name]} is broken or cut short. Nothing was published; save the model again.")
    return files


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says: 8 bytes, the header, the tensors."""
    with path.open("rb") as file:
        try:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                return False
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (struct.error, ValueError, KeyError, TypeError, AttributeError):
            return False
    return path.stat().st_size == 8 + length + max(ends, default=0)


# --- The card ------------------------------------------------------------------------------------------------

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
    - and where they are there, `provenance` (objects with name, licence, size, use), `notes` (Markdown) and
      `usage` (a sentence behind the licence).

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


def _card_for(folder: Path, card: str, repo_id: str) -> str:
    """`card` with `repo_id` in its example; a card that somebody has edited stays as it is."""
    loaded = re.search(r'^name = "(.*)"$', card, re.MULTILINE)
    known = None if loaded is None or loaded[1] == "." else loaded[1]
    return render_card(folder, repo_id) if card == render_card(folder, known) else card


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
    decoding.pop("chosen_by", None)
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
        "decoding": {name: decoding.pop(name) for name in ("max_new_tokens", "num_beams")} | decoding,
        "candidates": candidates,
        "number_format": last.number_format,
        "groups": [{"table": results_table(records, markdown=True)} for records in _by_data(results.evaluations)],
        "own_rouge": [
            {"data": _data_name(record), "title": title}
            | {part: _figure(record.metrics[f"{kind}_{part}"], 100, 2) for part in PARTS}
            for record in own
            for kind, title in ROUGE_TITLES.items()
        ],
        "own_traits": [
            {"data": _data_name(record), "title": title}
            | dict(zip(("value", "interval"), _figure_parts(record.metrics[name], scale, digits), strict=True))
            for record in own
            for name, (title, scale, digits) in TRAITS.items()
            if name in record.metrics
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
        "license": settings["hub"]["license"],
        "usage": training.get("usage"),
    }


def _front_matter(results: Results, own: Sequence[Evaluation], repo_id: str | None) -> ModelCardData:
    """What the Hub reads of a card. ROUGE is × 100, F1, as on most cards of summarisers."""
    training = results.training
    on_hub = [split["dataset"] for split in training["splits"] if split["revision"]]
    return ModelCardData(
        language="en",
        license=results.settings["hub"]["license"],
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
        + f": {_duration(training['seconds'])}."
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
                f"On {_data_name(record)} its ROUGE-1 F1 of {100 * value:.2f} is not above that of {names}."
            )
    return sentences


def _by_data(evaluations: Sequence[Evaluation]) -> list[list[Evaluation]]:
    groups: dict[str, list[Evaluation]] = {}
    for record in evaluations:
        groups.setdefault(json.dumps(record.data, sort_keys=True), []).append(record)
    return list(groups.values())


def _data_name(record: Evaluation) -> str:
    return f"{record.data['dataset']} {record.data['split']}"


def _figure(metric: Metric, scale: float, digits: int) -> str:
    value, interval = _figure_parts(metric, scale, digits)
    return f"{value} {interval}".rstrip()


def _figure_parts(metric: Metric, scale: float, digits: int) -> tuple[str, str]:
    if metric.value is None:
        return "–", ""
    value, low, high = (f"{scale * number:.{digits}f}" for number in (metric.value, metric.low, metric.high))
    return value, f"[{low}, {high}]"


def _duration(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def _percent(metric: Metric | None) -> str | None:
    return None if metric is None or metric.value is None else f"{100 * metric.value:.1f}"


def _code(text: Any) -> str:
    return "`" + _cell(text).replace("`", "'") + "`"


def _cell(text: Any) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
