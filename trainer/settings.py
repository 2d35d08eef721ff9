"""Every knob of the trainer, once: grouped dataclasses whose field names are the command line's flags.

    settings = Settings.parse(["--recipe", "report-table-1", "--num_train_epochs", "2"])
    settings.optimisation.learning_rate  # 0.0003, from trainer/recipes/report-table-1.yaml

A recipe (a name in trainer/recipes/ or a YAML file) sets defaults, flags override them, and a name that
nobody knows is refused with the nearest one. Values are checked when a group is built, so that a wrong one is
told in a second and not after an hour. This module imports neither torch nor the model code: `--help` comes at
once.
"""

# ruff: noqa: RUF009 (`setting` builds a dataclass field, as `dataclasses.field` does)

import argparse
import difflib
import importlib.util
import json
import re
import textwrap
import types
import typing
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml
from transformers.hf_argparser import HfArgumentParser

from trainer.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "trainer" / "recipes"
TRACKERS = {"none": (), "tensorboard": ("tensorboard", "tensorboardX"), "trackio": ("trackio",)}


def setting(default: Any, help: str, **kwargs: Any) -> Any:
    """A dataclass field with the metadata that HfArgumentParser hands to `add_argument`."""
    return field(default=default, metadata={"help": help, **kwargs})


class Group:
    """Checks types when built and offers the checks of values that the groups share."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for item in fields(self):
            value = getattr(self, item.name)
            setattr(self, item.name, _typed(item.name, value, hints[item.name]))
        self.check()

    def check(self) -> None:
        """Raises `UserError` for a value that has the right type and still makes no sense."""

    def _over(self, name: str, low: float) -> None:
        value = getattr(self, name)
        if value is not None and not value > low:
            raise UserError(f"--{name} is {value}: it must be over {low}.")

    def _within(self, name: str, low: float, high: float | None = None) -> None:
        value = getattr(self, name)
        if value is None or (value >= low and (high is None or value <= high)):
            return
        right = f"at least {low}" if high is None else f"between {low} and {high}"
        raise UserError(f"--{name} is {value}: it must be {right}.")

    def _not_blank(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and not value.strip():
            raise UserError(f"--{name} is empty: give a value or leave it out.")


@dataclass
class DataSettings(Group):
    """What is read: a data set of the Hub, or local files."""

    _argument_group_name = "data (a data set of the Hub, or local files)"

    dataset: str = setting(
        "EdinburghNLP/xsum",
        "Data set on the Hub. XSum: 204,045 BBC articles, one sentence each (Narayan et al. 2018).",
        metavar="USER/NAME",
    )
    dataset_revision: str | None = setting(
        None, "Branch, tag or commit of the data set; the newest where left out.", metavar="REVISION"
    )
    dataset_config: str | None = setting(
        None, "Configuration of the data set, where it has several (cnn_dailymail: 3.0.0).", metavar="NAME"
    )
    train_file: Path | None = setting(
        None, "Local training pairs, .jsonl, .csv or .parquet; used in place of --dataset.", metavar="FILE"
    )
    validation_file: Path | None = setting(
        None, "Local pairs on which the best checkpoint is chosen; needed with --train_file.", metavar="FILE"
    )
    test_file: Path | None = setting(
        None,
        "Local pairs for the final scores; without it they are taken on --validation_file.",
        metavar="FILE",
    )
    source_column: str = setting("document", "Column that holds the article.", metavar="NAME")
    target_column: str = setting("summary", "Column that holds the reference summary.", metavar="NAME")
    id_column: str = setting(
        "id", "Column that holds a name for each pair; rows are numbered where it is absent.", metavar="NAME"
    )
    prefix: str = setting(
        "summarize: ",
        "Put before each article: T5 was trained to know its task by it (Raffel et al. 2020, appendix D).",
        metavar="TEXT",
    )
    max_source_length: int = setting(
        1024,
        "Tokens read of prefix + article, </s> included; the rest is cut off (the report: 1024).",
        metavar="TOKENS",
    )
    max_target_length: int = setting(
        128, "Tokens learnt of a reference summary, </s> included (the report: 128).", metavar="TOKENS"
    )
    max_train_samples: int | None = setting(None, "Use the first N training pairs only.", metavar="N")
    max_validation_samples: int | None = setting(None, "Use the first N validation pairs only.", metavar="N")
    max_test_samples: int | None = setting(None, "Use the first N test pairs only.", metavar="N")
    extracted_share: float = setting(
        0.0,
        "For so large a share of the training articles a second summary is learnt: the article's own sentence that is "
        "nearest to the reference. A small model that takes over whole phrases writes better English.",
        metavar="SHARE",
    )
    learn_unsupported: bool = setting(
        True,
        "No: names and numbers of a training summary that its article, as far as it is read, lacks get no loss, so "
        "that the model is not taught to invent some (Goyal & Durrett 2021).",
    )
    skip_bad_rows: bool = setting(
        False, "Count and report rows that lack a text or are broken, instead of stopping at the first."
    )

    def check(self) -> None:
        for name in (
            "dataset",
            "source_column",
            "target_column",
            "id_column",
            "dataset_revision",
            "dataset_config",
        ):
            self._not_blank(name)
        for name in ("max_source_length", "max_target_length"):
            self._within(name, 2)
        self._within("extracted_share", 0, 1)
        for name in ("max_train_samples", "max_validation_samples", "max_test_samples"):
            self._within(name, 1)
        if self.source_column == self.target_column:
            raise UserError(
                f"--source_column and --target_column are both {self.source_column!r}: "
                "article and summary must be different columns."
            )
        if self.train_file and not self.validation_file:
            raise UserError(
                "--train_file is given without --validation_file: the best checkpoint is chosen on "
                "validation pairs, so give some that are not in the training file."
            )
        if self.train_file is None and (self.validation_file or self.test_file):
            given = "--validation_file" if self.validation_file else "--test_file"
            raise UserError(f"{given} is given without --train_file: give all files, or only --dataset.")
        for name in ("train_file", "validation_file", "test_file"):
            path = getattr(self, name)
            if path is not None and path.suffix.lower() not in (".jsonl", ".json", ".csv", ".parquet"):
                raise UserError(f"--{name} is {path}: it must end in .jsonl, .csv or .parquet.")

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that there are: local files need not hold test pairs."""
        untested = self.train_file is not None and self.test_file is None
        return ("train", "validation") if untested else ("train", "validation", "test")

    @property
    def name(self) -> str:
        """Short name of the data, for folders and repositories: `xsum` of `EdinburghNLP/xsum`."""
        if self.train_file is None:
            return _slug(self.dataset.rsplit("/", 1)[-1])
        stem = self.train_file.stem
        plain = stem.lower() in ("train", "training")
        return _slug(self.train_file.resolve().parent.name if plain else stem)


@dataclass
class ModelSettings(Group):
    """What is trained."""

    _argument_group_name = "model"

    model: str = setting(
        "google-t5/t5-small",
        "Checkpoint to start from: a T5-family model of the Hub, or a folder that holds one.",
        metavar="USER/NAME|FOLDER",
    )
    model_revision: str | None = setting(
        None, "Branch, tag or commit of the model; the newest where left out.", metavar="REVISION"
    )
    from_scratch: Path | None = setting(
        None,
        "T5 config.json (or its folder): start from random weights of that shape, not from --model.",
        metavar="CONFIG",
    )
    tokenizer: str | None = setting(
        None,
        "Tokenizer to use in place of the model's. With --from_scratch and none given, a vocabulary is "
        "trained on the training texts.",
        metavar="USER/NAME|FOLDER",
    )
    gradient_checkpointing: bool = setting(
        False, "Compute activations twice instead of keeping them: about a third slower, much less memory."
    )
    save_dtype: Literal["fp32", "bf16", "fp16"] = setting(
        "fp32",
        "Number format of the finished model's weights; it is scored as saved. Checkpoints are always fp32.",
    )

    def check(self) -> None:
        for name in ("model", "model_revision", "tokenizer"):
            self._not_blank(name)

    @property
    def name(self) -> str:
        """Short name of the start model: `t5-small` of `google-t5/t5-small`."""
        if self.from_scratch is not None:
            path = self.from_scratch.resolve()
            return _slug("t5-" + (path.parent.name if path.name == "config.json" else path.stem))
        return _slug(Path(self.model).resolve().name if Path(self.model).is_dir() else self.model.rsplit("/", 1)[-1])


@dataclass
class OptimisationSettings(Group):
    """How it is trained."""

    _argument_group_name = "optimisation"

    learning_rate: float = setting(
        3e-4,
        "Peak learning rate (the report: 3e-4 in table 1, 2e-5 in its text; T5's authors: 1e-3, Adafactor).",
        metavar="LR",
    )
    optimizer: Literal["adamw", "adafactor"] = setting(
        "adamw", "adamw keeps 8 bytes a weight; adafactor almost none, and is what T5 was trained with."
    )
    lr_scheduler: Literal["linear", "cosine", "inverse_sqrt", "constant"] = setting(
        "linear",
        "How the learning rate goes on after the warm-up: linear and cosine reach 0 at the last step.",
    )
    warmup_steps: float = setting(
        0.0,
        "Steps in which the learning rate climbs to its peak; below 1 it is a share of all steps.",
        metavar="STEPS|SHARE",
    )
    num_train_epochs: float = setting(1.0, "Passes over the training pairs (the report: 1 or 5).", metavar="EPOCHS")
    max_steps: int | None = setting(None, "Stop after this many optimizer steps, whatever the epochs.", metavar="STEPS")
    train_batch_size: int = setting(16, "Pairs in a batch of one process (the report: 8 or 16).", metavar="PAIRS")
    gradient_accumulation_steps: int = setting(
        1,
        "Batches summed before a step; with N a step sees N x --train_batch_size x processes pairs.",
        metavar="BATCHES",
    )
    max_grad_norm: float = setting(
        1.0, "Gradients longer than this are scaled down to it; 0 turns it off.", metavar="NORM"
    )
    weight_decay: float = setting(0.0, "Decoupled weight decay (Loshchilov & Hutter 2019).", metavar="RATE")
    label_smoothing: float = setting(
        0.0,
        "Share of the target probability spread over the vocabulary (0.1 in Vaswani et al. 2017).",
        metavar="SHARE",
    )
    precision: Literal["fp32", "bf16"] = setting(
        "fp32",
        "bf16 mixes in bfloat16 where GPU or processor has it, else fp32 with a note. T5 overflows in fp16.",
    )
    seed: int = setting(42, "Seed of weights, dropout, order of the pairs and bootstrap.", metavar="N")
    group_by_length: bool = setting(False, "Batch articles of like length together: less padding, quicker steps.")
    early_stopping_patience: int | None = setting(
        None,
        "Stop when this many evaluations in a row bring no better score; never where left out.",
        metavar="EVALUATIONS",
    )

    def check(self) -> None:
        for name in ("learning_rate", "num_train_epochs"):
            self._over(name, 0)
        for name in (
            "max_steps",
            "train_batch_size",
            "gradient_accumulation_steps",
            "early_stopping_patience",
        ):
            self._within(name, 1)
        for name in ("warmup_steps", "max_grad_norm", "weight_decay"):
            self._within(name, 0)
        if self.warmup_steps >= 1 and self.warmup_steps != int(self.warmup_steps):
            raise UserError(f"--warmup_steps is {self.warmup_steps}: a whole number of steps, or a share below 1.")
        if self.learning_rate > 1:
            raise UserError(
                f"--learning_rate is {self.learning_rate}: over 1 nothing is learnt; usual is 1e-5 to 1e-3."
            )
        self._within("label_smoothing", 0, 0.9)
        self._within("seed", 0, 2**32 - 1)


@dataclass
class GenerationSettings(Group):
    """How summaries are decoded, in validation, in the final scores and in the saved model alike."""

    _argument_group_name = "generation (saved with the model)"

    max_new_tokens: int = setting(
        128,
        "Longest summary. (transformers stops at 20 unless told, which cuts most XSum summaries.)",
        metavar="TOKENS",
    )
    min_new_tokens: int = setting(0, "Shortest summary.", metavar="TOKENS")
    num_beams: int = setting(1, "Beams kept in beam search; 1 is greedy.", metavar="N")
    length_penalty: float = setting(
        1.0,
        "Beams only: scores are divided by length to this power; over 1 favours long ones.",
        metavar="POWER",
    )
    no_repeat_ngram_size: int = setting(0, "No run of N tokens occurs twice in a summary; 0 turns it off.", metavar="N")
    early_stopping: bool = setting(False, "Beams only: stop as soon as there are as many finished candidates as beams.")
    candidates: int = setting(
        1,
        "Beams only: of so many summaries keep the one whose names, dates and numbers the article supports best. "
        "`generate` alone gives the first.",
        metavar="N",
    )

    def check(self) -> None:
        self._within("max_new_tokens", 1)
        self._within("min_new_tokens", 0, self.max_new_tokens)
        self._within("num_beams", 1)
        self._within("no_repeat_ngram_size", 0)
        self._within("candidates", 1)
        if self.candidates > self.num_beams:
            raise UserError(
                f"--candidates is {self.candidates}: beam search gives as many summaries as it has beams, and "
                f"--num_beams is {self.num_beams}. Take at least as many beams."
            )


RougeName = Literal["rouge1", "rouge2", "rougeL", "rougeLsum"]


@dataclass
class EvaluationSettings(Group):
    """When and how it is scored."""

    _argument_group_name = "evaluation"

    eval_every: str = setting(
        "epoch", "Score the validation pairs after each epoch, or after each N steps.", metavar="epoch|STEPS"
    )
    eval_batch_size: int = setting(16, "Articles summarised at a time.", metavar="ARTICLES")
    max_eval_samples: int | None = setting(None, "Score only the first N validation pairs while training.", metavar="N")
    metric_for_best_model: RougeName = setting(
        "rouge1", "F1 on the validation pairs by which the best checkpoint is kept and training stops early."
    )
    bootstrap_samples: int = setting(
        1000, "Resamples behind each 95%% interval (Efron & Tibshirani 1993).", metavar="N"
    )
    baselines: bool = setting(True, "Score Lead-1, Lead-3, Random-1, Random-3 and the start model beside the result.")

    def check(self) -> None:
        if self.eval_every != "epoch" and not (self.eval_every.isdigit() and int(self.eval_every) >= 1):
            raise UserError(f"--eval_every is {self.eval_every!r}: it must be 'epoch' or a number of steps, 1 or more.")
        self._within("eval_batch_size", 1)
        self._within("max_eval_samples", 1)
        self._within("bootstrap_samples", 100, 100_000)

    @property
    def eval_steps(self) -> int | None:
        """Steps between evaluations; None for each epoch."""
        return None if self.eval_every == "epoch" else int(self.eval_every)


@dataclass
class HubSettings(Group):
    """Where the finished model is published."""

    _argument_group_name = "publishing"

    push: bool = setting(
        False,
        "Publish model, results and card in one commit when done; the token's right to is checked first.",
    )
    hub_model_id: str | None = setting(
        None,
        "Repository to publish to; left out: <who the token says>/<base>-finetuned-<dataset>.",
        metavar="USER/NAME",
    )
    private: bool = setting(False, "Make the repository private when it is created.")
    push_only: Path | None = setting(
        None,
        "Publish this finished model folder and train nothing (after a push that failed).",
        metavar="FOLDER",
    )
    license: str = setting("apache-2.0", "Licence named on the card.", metavar="NAME")
    card_notes: Path | None = setting(
        None,
        "YAML file of what the card says beside figures: provenance (list of name, licence, size, use), notes, usage.",
        metavar="FILE",
    )

    def check(self) -> None:
        self._not_blank("license")
        if self.card_notes is not None:
            read_card_notes(self.card_notes)
        if self.hub_model_id is not None and not re.fullmatch(r"([\w.-]+/)?[\w.-]+", self.hub_model_id):
            raise UserError(
                f"--hub_model_id is {self.hub_model_id!r}: it must be user/name, of letters, digits, '-', '_' and '.'."
            )


@dataclass
class RunSettings(Group):
    """Where the run is kept and who is told of it."""

    _argument_group_name = "run"

    recipe: str | None = setting(
        None, "Named settings (listed below) or a YAML file of them; flags override.", metavar="NAME|FILE"
    )
    output_dir: Path | None = setting(
        None,
        "Folder of the run; left out: runs/<base>-finetuned-<dataset> in the checkout.",
        metavar="FOLDER",
    )
    from_start: bool = setting(
        False, "Begin anew where --output_dir already holds a run; that one is renamed, never deleted."
    )
    save_every: int = setting(500, "Steps between checkpoints; each evaluation also leaves one.", metavar="STEPS")
    save_total_limit: int = setting(2, "Newest checkpoints kept, the best one besides.", metavar="N")
    logging_steps: int = setting(10, "Steps between lines in metrics.jsonl.", metavar="STEPS")
    report_to: Literal["none", "tensorboard", "trackio"] = setting(
        "none", "Also send metrics to a tracker; its package must be installed."
    )

    def check(self) -> None:
        for name in ("save_every", "save_total_limit", "logging_steps"):
            self._within(name, 1)
        packages = TRACKERS[self.report_to]
        if packages and not any(importlib.util.find_spec(package) for package in packages):
            raise UserError(
                f"--report_to is {self.report_to}, and the package {packages[0]} is not installed: "
                f"`pip install {packages[0]}`, or leave the flag out (metrics.jsonl is written in any case)."
            )


GROUPS = (
    DataSettings,
    ModelSettings,
    OptimisationSettings,
    GenerationSettings,
    EvaluationSettings,
    HubSettings,
    RunSettings,
)

# A run may go on with other values of these: they don't touch the weights that come out.
HARMLESS = {
    *(item.name for item in fields(HubSettings)),
    "recipe",
    "output_dir",
    "from_start",
    "save_every",
    "save_total_limit",
    "logging_steps",
    "report_to",
    "test_file",
    "max_test_samples",
    "bootstrap_samples",
    "baselines",
    "save_dtype",
}

# A flag that names another start sets aside what a recipe says of its own.
SET_ASIDE = {
    "dataset": {"train_file", "validation_file", "test_file"},
    "train_file": {"dataset", "dataset_revision", "dataset_config", "validation_file", "test_file"},
    "model": {"from_scratch"},
    "from_scratch": {"model", "model_revision"},
}


@dataclass
class Settings:
    """All settings of a run; `parse` builds them from a command line."""

    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    optimisation: OptimisationSettings = field(default_factory=OptimisationSettings)
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    hub: HubSettings = field(default_factory=HubSettings)
    run: RunSettings = field(default_factory=RunSettings)

    @classmethod
    def parse(cls, argv: Sequence[str]) -> "Settings":
        """The settings that a command line asks for: the groups' defaults, then the recipe's, then the flags.

        Prints the page and exits for `--help`.

        Raises:
            UserError: an unknown name, a value that can't be read or makes no sense, no such recipe.
        """
        parser = training_parser()
        typed = parser.explicit(argv)
        for one, other in (("dataset", "train_file"), ("model", "from_scratch")):
            if one in typed and other in typed:
                raise UserError(f"--{one} and --{other} name two things to start from: give one of them.")
        recipe = _recipe_flags(typed["recipe"], parser) if "recipe" in typed else {}
        for name in SET_ASIDE.keys() & typed.keys():
            recipe = {key: flag for key, flag in recipe.items() if key not in SET_ASIDE[name]}
        return cls(*parser.parse_args_into_dataclasses([*recipe.values(), *argv], look_for_args_file=False))

    @classmethod
    def from_dict(cls, values: dict[str, dict[str, Any]]) -> "Settings":
        """The inverse of `to_dict`; raises `UserError` for a group or name that is not known."""
        groups = {item.name: item.default_factory for item in fields(cls)}
        for name, group in values.items():
            _known(name, groups, "group of settings")
            known = [item.name for item in fields(groups[name])]
            for key in group:
                _known(key, known, f"setting of {name}")
        return cls(**{name: groups[name](**group) for name, group in values.items()})

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Group → name → value, in plain JSON types."""
        return {
            group: {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
            for group, values in asdict(self).items()
        }

    def public(self) -> dict[str, dict[str, Any]]:
        """`to_dict` for a published file: of paths on this machine only what is inside the checkout, or the name."""
        values = self.to_dict()
        for group in fields(self):
            for key, value in vars(getattr(self, group.name)).items():
                if value is not None and (isinstance(value, Path) or key in ("model", "tokenizer", "recipe")):
                    values[group.name][key] = public_name(value)
        return values

    @property
    def name(self) -> str:
        """`<base>-finetuned-<dataset>`, the name of the run's folder and of its repository."""
        return f"{self.model.name}-finetuned-{self.data.name}"

    @property
    def output_dir(self) -> Path:
        """The folder of the run, absolute."""
        return (self.run.output_dir or ROOT / "runs" / self.name).resolve()

    @property
    def recipe(self) -> str | None:
        return self.run.recipe

    @property
    def report_to(self) -> str:
        return self.run.report_to

    def page(self) -> str:
        """The settings as printed at the start of a run, one group a paragraph."""
        lines = []
        for group, values in self.to_dict().items():
            lines.append(group)
            lines += [
                f"  {key:<28}{json.dumps(value, ensure_ascii=False)}"
                for key, value in values.items()
                if value is not None
            ]
        return "\n".join(lines)


def differences(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> list[str]:
    """What would make a resumed run another run: lines of `--name: old -> new`, harmless ones left out."""
    lines = []
    for group, values in new.items():
        for name, value in values.items():
            before = old.get(group, {}).get(name)
            if name not in HARMLESS and before != value:
                lines.append(f"--{name}: {json.dumps(before)} -> {json.dumps(value)}")
    return lines


def read_card_notes(path: Path) -> dict[str, Any]:
    """What a card says beside its figures: `provenance`, `notes` and `usage`, each where it is there.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise UserError(f"--card_notes is {path}: there is no such file.")
    try:
        notes = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"--card_notes is {path}, which is not YAML: {error}") from error
    if not isinstance(notes, dict) or not set(notes) <= {"provenance", "notes", "usage"}:
        raise UserError(f"--card_notes is {path}: it may hold provenance, notes and usage, and nothing else.")
    for source in notes.get("provenance", []):
        if not isinstance(source, dict) or set(source) != {"name", "licence", "size", "use"}:
            raise UserError(f"--card_notes is {path}: a source of provenance has name, licence, size and use: {source}")
    return notes


def public_name(name_or_path: str | Path) -> str:
    """A path without what it tells of this machine: relative to the checkout, or its last part; a Hub name as it is."""
    path = Path(name_or_path)
    if not isinstance(name_or_path, Path) and not path.exists():
        return name_or_path
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def recipe_file(name: str) -> Path:
    """The YAML file of a recipe given by name or as a path.

    Raises:
        UserError: there is none; names the nearest and lists all.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise UserError(f"--recipe is {name}: there is no such file.")
        return path
    path = RECIPES / f"{name}.yaml"
    names = sorted(file.stem for file in RECIPES.glob("*.yaml"))
    _known(name, names, "recipe")
    return path


def recipes() -> dict[str, str]:
    """Name → first line of the head comment, for each recipe that ships."""
    found = {}
    for path in sorted(RECIPES.glob("*.yaml")):
        first = path.read_text("utf-8").splitlines()[:1]
        found[path.stem] = first[0].lstrip("# ") if first else ""
    return found


class SettingsParser(HfArgumentParser):
    """HfArgumentParser that raises `UserError`, knows the nearest name, and whose help reads like a page.

    Groups follow the dataclasses' `_argument_group_name`; defaults are shown where there is one.
    """

    def __init__(self, groups: Sequence[type], **kwargs: Any):
        super().__init__(groups, formatter_class=PageFormatter, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> typing.NoReturn:
        raise UserError(message[0].upper() + message[1:].rstrip(".") + ".")

    def parse_known_args(self, args=None, namespace=None):
        found, rest = super().parse_known_args(args, namespace)
        for word in rest:
            if word.startswith("--"):
                _known(word.split("=", 1)[0], self._option_string_actions, "flag")
            raise UserError(f"{word!r} belongs to no flag: values follow a flag, as in --learning_rate 3e-4.")
        return found, rest

    def explicit(self, argv: Sequence[str]) -> dict[str, Any]:
        """Only what `argv` itself says, defaults left out."""
        bare = type(self)(self.dataclass_types)
        for action in bare._actions:
            action.default = argparse.SUPPRESS
        return vars(bare.parse_args(argv))


class PageFormatter(argparse.RawDescriptionHelpFormatter):
    """One flag a paragraph: its name with the unit, then what it does, its source and its default."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=30, width=100)

    def add_argument(self, action: argparse.Action) -> None:
        if not isinstance(action, argparse._StoreFalseAction):  # shown with its positive twin
            super().add_argument(action)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._HelpAction):
            return "-h, --help"
        flag = action.option_strings[0]
        if action.nargs == "?":
            return f"--[no_]{flag[2:]}" if action.default is True else flag
        return f"{flag} {self._format_args(action, action.dest.upper())}"

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        if action.default is None or action.default is False or action.default == argparse.SUPPRESS:
            return text
        if isinstance(action.default, str):
            return f"{text} [{action.default!r}]".replace("%%", "%").replace("%", "%%")
        value = "yes" if action.default is True else f"{action.default:g}"
        return f"{text} [{value}]"


def training_parser() -> SettingsParser:
    """The parser of trainer/train.py."""
    width = max((len(name) for name in recipes()), default=0)
    listed = "\n".join(
        textwrap.fill(line, 100, initial_indent=f"  {name:<{width}}  ", subsequent_indent=" " * (width + 4))
        for name, line in recipes().items()
    )
    epilog = f"""recipes (trainer/recipes/NAME.yaml; the head of each says where its values come from)
{listed}

examples
  a model in under a minute, with no network:
    python trainer/train.py --recipe smoke
  the report's setting, published under your name when done:
    hf auth login && python trainer/train.py --recipe report-section-2 --push
  your own texts, columns named as you have them:
    python trainer/train.py --train_file pairs.csv --validation_file held_out.csv \\
        --source_column text --target_column headline --num_train_epochs 3
  two processes, same result as one with twice the batch:
    torchrun --nproc_per_node=2 trainer/train.py --recipe smoke
  goes on where it was killed: the same command again. Publish what is finished:
    python trainer/train.py --push_only runs/t5-small-finetuned-xsum/model
"""
    return SettingsParser(
        GROUPS,
        prog="train.py",
        usage="python trainer/train.py [--recipe NAME] [--flag value ...]",
        description=(
            "Fine-tunes a T5 to summarise, keeps the checkpoint with the best validation ROUGE, scores\n"
            "it on the test split beside simple baselines, writes model, results and card to\n"
            "<output_dir>/model, and publishes them if asked. Killed at any moment, the same command goes\n"
            "on from its last checkpoint.\n"
            "Defaults stand in [brackets]. --flag-name and --flag_name are the same."
        ),
        epilog=epilog,
    )


def _recipe_flags(name: str, parser: SettingsParser) -> dict[str, str]:
    """A recipe as name → the flag it stands for; paths in it are relative to its file."""
    path = recipe_file(name)
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"The recipe {path} is not readable YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"The recipe {path} must be lines of `name: value`.")
    hints = {key: hint for group in GROUPS for key, hint in typing.get_type_hints(group).items()}
    known = {item.name for group in GROUPS for item in fields(group)} - {"recipe", "from_start", "push_only"}
    flags = {}
    for key, value in values.items():
        _known(str(key), known, f"setting (in the recipe {path})")
        if value is None or isinstance(value, (dict, list)):
            raise UserError(f"The recipe {path} gives {key} no single value: write `{key}: value` or leave it out.")
        if Path in typing.get_args(hints[key]) or str(value).startswith(("./", "../")):
            value = (path.resolve().parent / str(value)).resolve()
        flags[key] = f"--{key}={value}"
    try:
        parser.explicit(list(flags.values()))
    except UserError as error:
        raise UserError(f"The recipe {path}: {error}") from error
    return flags


def _known(name: str, names: typing.Iterable[str], kind: str) -> None:
    """Raises `UserError` with the nearest name where `name` is none of `names`."""
    names = sorted(names)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}." if len(names) < 12 else "see --help."
    raise UserError(f"There is no {kind} {name}: {hint}")


def _slug(text: str) -> str:
    """`text` in the letters that a repository's name may have."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "local"


def _typed(name: str, value: Any, hint: Any) -> Any:
    """`value` as `hint` wants it; only str → Path and int → float are converted."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and types.NoneType in options:
        return None
    for option in options:
        if typing.get_origin(option) is Literal:
            if value in typing.get_args(option):
                return value
            right = " or ".join(typing.get_args(option))
            raise UserError(f"--{name} is {value!r}: it must be {right}.")
        if option is Path and isinstance(value, (str, Path)):
            return Path(value)
        if option is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            if value != value or value in (float("inf"), float("-inf")):
                raise UserError(f"--{name} is {value}: it must be a finite number.")
            return float(value)
        if isinstance(option, type) and isinstance(value, option) and (option is bool or not isinstance(value, bool)):
            return value
    kinds = " or ".join(getattr(option, "__name__", str(option)) for option in options if option is not types.NoneType)
    raise UserError(f"--{name} is {value!r}: it must be of type {kinds}.")
