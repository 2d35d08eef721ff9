"""The settings of a training, one dataclass a concern; the names of the fields are the flags.

Values are checked when a group is built, so that a wrong one is told in a second and not after an hour.
"""

# ruff: noqa: RUF009 (`setting` builds a dataclass field, as `dataclasses.field` does)

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from trainer.errors import UserError
from trainer.runtime.files import table_kind
from trainer.settings.base import Group, setting, slug

TRACKERS = {"none": (), "tensorboard": ("tensorboard", "tensorboardX"), "trackio": ("trackio",)}


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
    ranked_sentences: int = setting(
        0,
        "Over 1: not the references are learnt but which sentence of the article is nearest to its reference, among N "
        "of them. A model too small to write sentences of its own then chooses good ones (--choose_from sentences).",
        metavar="N",
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
        self._within("ranked_sentences", 0)
        if self.ranked_sentences == 1:
            raise UserError(
                "--ranked_sentences is 1: it must be 2 or more, to choose among, or 0, to learn the references."
            )
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
            if path is not None and table_kind(path) is None:
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
            return slug(self.dataset.rsplit("/", 1)[-1])
        stem = self.train_file.stem
        plain = stem.lower() in ("train", "training")
        return slug(self.train_file.resolve().parent.name if plain else stem)


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
            return slug("t5-" + (path.parent.name if path.name == "config.json" else path.stem))
        return slug(Path(self.model).resolve().name if Path(self.model).is_dir() else self.model.rsplit("/", 1)[-1])


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
        "Beams only: of so many summaries keep the best by trainer/summarizers/support.py: joined from the fewest "
        "places, nothing in it that the article lacks. `generate` alone gives the first.",
        metavar="N",
    )
    choose_from: Literal["beams", "sentences"] = setting(
        "beams",
        "Whose summaries are chosen from: those that the search finds, or the article's own sentences, which the model "
        "ranks (T5 only). `generate` alone knows the first.",
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
    license: str | None = setting(
        None, "Licence named on the card; left out: apache-2.0, or what a finished model's card names.", metavar="NAME"
    )
    language: str | None = setting(
        None,
        "Language on the card, such as en, checked against the training texts; left out: what they are found to be; "
        "none: nothing.",
        metavar="CODE",
    )
    card_notes: Path | None = setting(
        None,
        "YAML file of what the card says beside figures: provenance (list of name, licence, size, use), notes, usage.",
        metavar="FILE",
    )

    def check(self) -> None:
        for name in ("license", "language"):
            self._not_blank(name)
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


DEFAULT_LICENSE = "apache-2.0"


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
