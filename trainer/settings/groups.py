"""The settings of a training, one dataclass a concern; the names of the fields are the flags.

Values are checked when a group is built, so that a wrong one is told in a second and not after an hour.
"""

import importlib.util
import re
from pathlib import Path
from typing import Any, Literal

import yaml

from trainer.errors import UserError
from trainer.runtime.files import table_kind
from trainer.settings.base import check_known, slug
from trainer.settings.machine import File, Group, Text, expanded, group, listed, setting

PARTS = ("encoder", "decoder", "embeddings")  # of a T5, that can be kept from learning

TRACKERS = {"none": (), "tensorboard": ("tensorboard", "tensorboardX"), "trackio": ("trackio",)}


@group
class DataSettings(Group):
    """What is read: a data set of the Hub, or local files."""

    dataset: Text = setting("EdinburghNLP/xsum", metavar="USER/NAME")
    """Data set on the Hub. XSum: 204,045 BBC articles, one sentence each (Narayan et al. 2018)."""
    dataset_revision: Text | None = setting(None, metavar="REVISION")
    """Branch, tag or commit of the data set; the newest where left out."""
    dataset_config: Text | None = None
    """Configuration of the data set, where it has several (cnn_dailymail: 3.0.0)."""
    train_file: File | None = None
    """Local training pairs, .jsonl, .csv or .parquet; used in place of --dataset."""
    validation_file: File | None = None
    """Local pairs on which the best checkpoint is chosen; needed with --train_file."""
    test_file: File | None = setting(None, harmless=True)
    """Local pairs for the final scores; without it they are taken on --validation_file."""
    other_train_files: Text | None = setting(None, metavar="FILE,FILE,…", place=True)
    """Further training pairs for other tasks or of other kinds, learnt beside the first ones."""
    other_prefixes: list[str] | None = setting(None, metavar="TEXT")
    """What is put before the articles of --other_train_files, a text each; --prefix where left out."""
    sampling_temperature: float | None = setting(None, metavar="T", ge=0)
    """How often each set is drawn: in proportion to its size to the power 1/T (Raffel et al. 2020, section 3.5.2). 1,
    and left out: each pair once an epoch; the higher, the more alike; 0: the other sets are left out."""
    source_column: Text = "document"
    """Column that holds the article."""
    target_column: Text = "summary"
    """Column that holds the reference summary."""
    id_column: Text = "id"
    """Column that holds a name for each pair; rows are numbered where it is absent."""
    prefix: str = setting("summarize: ", metavar="TEXT")
    """Put before each article: T5 was trained to know its task by it (Raffel et al. 2020, appendix D)."""
    max_source_length: int = setting(1024, metavar="TOKENS", ge=2)
    """Tokens read of prefix + article, </s> included; the rest is cut off (the report: 1024)."""
    max_target_length: int = setting(128, metavar="TOKENS", ge=2)
    """Tokens learnt of a reference summary, </s> included (the report: 128)."""
    max_train_samples: int | None = setting(None, ge=1)
    """Use the first N training pairs only."""
    max_validation_samples: int | None = setting(None, ge=1)
    """Use the first N validation pairs only."""
    max_test_samples: int | None = setting(None, ge=1, harmless=True)
    """Use the first N test pairs only."""
    ranked_sentences: int = setting(0, ge=0)
    """Over 1: not the references are learnt but which sentence of the article is nearest to its reference, among N of
    them. A model too small to write sentences of its own then chooses good ones (--choose_from sentences)."""
    learn_unsupported: bool = True
    """No: names and numbers of a training summary that its article, as far as it is read, lacks get no loss, so
    that the model is not taught to invent some (Goyal & Durrett 2021)."""
    skip_bad_rows: bool = False
    """Count and report rows that lack a text or are broken, instead of stopping at the first."""

    def check(self) -> None:
        if self.ranked_sentences == 1:
            raise UserError(
                "--ranked_sentences is 1: it must be 2 or more, to choose among, or 0, to learn the references."
            )
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
        self._check_others()

    def _check_others(self) -> None:
        others = [expanded(part) for part in listed(self.other_train_files or "")]
        for path in others:
            if table_kind(path) is None:
                raise UserError(f"--other_train_files names {path}: it must end in .jsonl, .csv or .parquet.")
        if not others and self.sampling_temperature:
            raise UserError(
                "--sampling_temperature is given without --other_train_files: there is one set to draw from."
            )
        if self.other_prefixes is not None and len(self.other_prefixes) != len(others):
            raise UserError(
                f"--other_prefixes has {len(self.other_prefixes)} texts, and --other_train_files {len(others)} files: "
                "give one a file."
            )
        if self.mixed and self.ranked_sentences:
            raise UserError("--ranked_sentences learns from one set of pairs: leave --other_train_files out.")

    @property
    def mixed(self) -> list[tuple[Path, str]]:
        """(file, prefix) of the other sets that are learnt."""
        files = (
            [] if self.sampling_temperature == 0 else [expanded(part) for part in listed(self.other_train_files or "")]
        )
        return list(zip(files, self.other_prefixes or [self.prefix] * len(files), strict=True))

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


@group
class ModelSettings(Group):
    """What is trained."""

    model: Text = setting("google-t5/t5-small", metavar="USER/NAME|FOLDER", place=True)
    """Checkpoint to start from: a model of the Hub that summarises (T5, BART, two BERTs …), or a folder of one."""
    model_revision: Text | None = setting(None, metavar="REVISION")
    """Branch, tag or commit of the model; the newest where left out."""
    from_scratch: File | None = setting(None, metavar="CONFIG")
    """config.json (or its folder) of a T5, or of two models of BERT's kind as encoder and decoder: start from random
    weights of that shape, not from --model."""
    tokenizer: Text | None = setting(None, metavar="USER/NAME|FOLDER", place=True)
    """Tokenizer to use in place of the model's. With --from_scratch and none given, a vocabulary is trained on the
    training texts."""
    copy_ready: bool = False
    """With --from_scratch: tie some of the random weights, so that the model can nearly copy from the first step."""
    encoder_layers: int | None = setting(None, metavar="N", ge=1)
    """Use N of the encoder's layers, evenly spaced, first and last among them (Shleifer & Rush 2020); the others add
    zero, and stay so."""
    decoder_layers: int | None = setting(None, metavar="N", ge=1)
    """The same for the decoder's layers."""
    cross_attention_off: Text | None = setting(None, metavar="N,N,…")
    """Layers of the decoder, counted from 1, that do not look at the article: what their cross-attention adds is zero
    and stays so."""
    position_bias: bool = True
    """No: attention is not told how far apart two tokens are (T5's relative position bias is zero and stays so)."""
    freeze: Text | None = setting(None, metavar="PARTS")
    """Parts that are not trained, with commas between them: encoder, decoder, embeddings."""
    lora_rank: int | None = setting(None, metavar="RANK", ge=1)
    """Train only a change of this rank to the queries and values of each attention (LoRA, Hu et al. 2022; 8 is usual),
    with a learning rate some times as high. It is merged into what is saved, which loads as any other model."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: about a third slower, much less memory."""
    save_dtype: Literal["fp32", "bf16", "fp16"] = setting("fp32", harmless=True)
    """Number format of the finished model's weights; it is scored as saved. Checkpoints are always fp32."""

    def check(self) -> None:
        if self.copy_ready and self.from_scratch is None:
            raise UserError(
                "--copy_ready is given without --from_scratch: only random weights can be tied to each other."
            )
        if self.freeze is not None and self.lora_rank is not None:
            raise UserError("--freeze is given with --lora_rank, which freezes all but what it adds: leave one out.")
        if self.freeze is not None:
            parts = listed(self.freeze)
            for part in parts:
                check_known(part, PARTS, "part of a T5 (--freeze)")
            if set(parts) == set(PARTS):
                raise UserError(f"--freeze is {self.freeze}: that leaves nothing to train.")
        for layer in listed(self.cross_attention_off or ""):
            if not layer.isdecimal() or int(layer) < 1:
                raise UserError(f"--cross_attention_off is {self.cross_attention_off}: numbers of layers, 1 or more.")

    @property
    def name(self) -> str:
        """Short name of the start model: `t5-small` of `google-t5/t5-small`."""
        if self.from_scratch is not None:
            path = self.from_scratch.resolve()
            name = path.parent.name if path.name == "config.json" else path.stem
            return slug(name if name.startswith(("t5", "bert", "roberta")) else f"t5-{name}")
        return slug(Path(self.model).resolve().name if Path(self.model).is_dir() else self.model.rsplit("/", 1)[-1])


@group
class OptimisationSettings(Group):
    """How it is trained."""

    learning_rate: float = setting(3e-4, metavar="LR", gt=0)
    """Peak learning rate (the report: 3e-4 in table 1, 2e-5 in its text; T5's authors: 1e-3, Adafactor)."""
    optimizer: Literal["adamw", "adafactor"] = "adamw"
    """adamw keeps 8 bytes a weight; adafactor almost none, and is what T5 was trained with."""
    lr_scheduler: Literal["linear", "cosine", "inverse_sqrt", "constant"] = "linear"
    """How the learning rate goes on after the warm-up: linear and cosine reach 0 at the last step."""
    warmup_steps: float = setting(0.0, metavar="STEPS|SHARE", ge=0)
    """Steps in which the learning rate climbs to its peak; below 1 it is a share of all steps."""
    num_train_epochs: float = setting(1.0, metavar="EPOCHS", gt=0)
    """Passes over the training pairs (the report: 1 or 5)."""
    max_steps: int | None = setting(None, metavar="STEPS", ge=1)
    """Stop after this many optimizer steps, whatever the epochs."""
    train_batch_size: int = setting(16, metavar="PAIRS", ge=1)
    """Pairs in a batch of one process (the report: 8 or 16)."""
    gradient_accumulation_steps: int = setting(1, metavar="BATCHES", ge=1)
    """Batches summed before a step; with N a step sees N x --train_batch_size x processes pairs."""
    max_grad_norm: float = setting(1.0, metavar="NORM", ge=0)
    """Gradients longer than this are scaled down to it; 0 turns it off."""
    weight_decay: float = setting(0.0, metavar="RATE", ge=0)
    """Decoupled weight decay (Loshchilov & Hutter 2019)."""
    label_smoothing: float = setting(0.0, metavar="SHARE", ge=0, le=0.9)
    """Share of the target probability spread over the vocabulary (0.1 in Vaswani et al. 2017)."""
    dropout: float | None = setting(None, metavar="SHARE", ge=0, le=0.9)
    """Share of what a layer gives that is set to zero in training; the model's own where left out."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """bf16 mixes in bfloat16 where GPU or processor has it, else fp32 with a note. T5 overflows in fp16. auto: the one
    that trains quicker here, timed before the first step and kept for the run."""
    seed: int = setting(42, ge=0, le=2**32 - 1)
    """Seed of weights, dropout, order of the pairs and bootstrap."""
    group_by_length: bool = False
    """Batch articles of like length together: less padding, quicker steps."""
    early_stopping_patience: int | None = setting(None, metavar="EVALUATIONS", ge=1)
    """Stop when this many evaluations in a row bring no better score; never where left out."""

    def check(self) -> None:
        if self.warmup_steps >= 1 and self.warmup_steps != int(self.warmup_steps):
            raise UserError(f"--warmup_steps is {self.warmup_steps}: a whole number of steps, or a share below 1.")
        if self.learning_rate > 1:
            raise UserError(
                f"--learning_rate is {self.learning_rate}: over 1 nothing is learnt; usual is 1e-5 to 1e-3."
            )


@group
class GenerationSettings(Group):
    """How summaries are decoded, in validation, in the final scores and in the saved model alike."""

    max_new_tokens: int = setting(128, metavar="TOKENS", ge=1)
    """Longest summary. (transformers stops at 20 unless told, which cuts most XSum summaries.)"""
    min_new_tokens: int = setting(0, metavar="TOKENS")
    """Shortest summary."""
    num_beams: int = setting(1, ge=1)
    """Beams kept in beam search; 1 is greedy."""
    length_penalty: float = setting(1.0, metavar="POWER")
    """Beams only: scores are divided by length to this power; over 1 favours long ones."""
    no_repeat_ngram_size: int = setting(0, ge=0)
    """No run of N tokens occurs twice in a summary; 0 turns it off."""
    early_stopping: bool = False
    """Beams only: stop as soon as there are as many finished candidates as beams."""
    candidates: int = setting(1, ge=1)
    """Beams only: of so many summaries keep the best by trainer/summarizers/choice.py: joined from the fewest places,
    nothing in it that the article lacks. `generate` alone gives the first."""
    choose_from: Literal["beams", "sentences"] = "beams"
    """Whose summaries are chosen from: those that the search finds, or the article's own sentences, which the model
    ranks (T5 only). `generate` alone knows the first."""

    def check(self) -> None:
        if not 0 <= self.min_new_tokens <= self.max_new_tokens:
            raise UserError(
                f"--min_new_tokens is {self.min_new_tokens}: it must be between 0 and {self.max_new_tokens}."
            )
        if self.candidates > self.num_beams:
            raise UserError(
                f"--candidates is {self.candidates}: beam search gives as many summaries as it has beams, and "
                f"--num_beams is {self.num_beams}. Take at least as many beams."
            )


RougeName = Literal["rouge1", "rouge2", "rougeL", "rougeLsum"]


@group
class EvaluationSettings(Group):
    """When and how it is scored."""

    eval_every: str = setting("epoch", metavar="epoch|STEPS")
    """Score the validation pairs after each epoch, or after each N steps."""
    eval_batch_size: int = setting(16, metavar="ARTICLES", ge=1)
    """Articles summarised at a time."""
    max_eval_samples: int | None = setting(None, ge=1)
    """Score only the first N validation pairs while training."""
    metric_for_best_model: RougeName = "rouge1"
    """F1 on the validation pairs by which the best checkpoint is kept and training stops early."""
    bootstrap_samples: int = setting(1000, ge=100, le=100_000, harmless=True)
    """Resamples behind each 95% interval (Efron & Tibshirani 1993)."""
    baselines: bool = setting(True, harmless=True)
    """Score Lead-1, Lead-3, Random-1, Random-3 and the start model beside the result."""

    def check(self) -> None:
        if self.eval_every != "epoch" and not (self.eval_every.isdigit() and int(self.eval_every) >= 1):
            raise UserError(f"--eval_every is {self.eval_every!r}: it must be 'epoch' or a number of steps, 1 or more.")

    @property
    def eval_steps(self) -> int | None:
        """Steps between evaluations; None for each epoch."""
        return None if self.eval_every == "epoch" else int(self.eval_every)


@group
class HubSettings(Group):
    """Where the finished model is published."""

    push: bool = False
    """Publish model, results and card in one commit when done; the token's right to is checked first."""
    hub_model_id: str | None = setting(None, metavar="USER/NAME")
    """Repository to publish to; left out: <who the token says>/<base>-finetuned-<dataset>."""
    private: bool = False
    """Make the repository private when it is created."""
    push_only: File | None = setting(None, metavar="FOLDER", recipe=False)
    """Publish this finished model folder and train nothing (after a push that failed)."""
    license: Text | None = None
    """Licence named on the card; left out: apache-2.0, or what a finished model's card names."""
    language: Text | None = setting(None, metavar="CODE")
    """Language on the card, such as en, checked against the training texts; left out: what they are found to be;
    none: nothing."""
    card_notes: File | None = None
    """YAML file of what the card says beside figures: provenance (list of name, licence, size, use), notes, usage."""

    def notes(self) -> list[str]:
        """What is asked for in vain, as sentences."""
        unused = [f"--{name}" for name in ("hub_model_id", "private") if getattr(self, name)]
        if not unused or self.push or self.push_only:
            return []
        them = "is" if len(unused) == 1 else "are"
        return [f"{' and '.join(unused)} {them} given without --push: nothing is published."]

    def check(self) -> None:
        if self.card_notes is not None:
            read_card_notes(self.card_notes)
        if self.hub_model_id is not None and not re.fullmatch(r"([\w.-]+/)?[\w.-]+", self.hub_model_id):
            raise UserError(
                f"--hub_model_id is {self.hub_model_id!r}: it must be user/name, of letters, digits, '-', '_' and '.'."
            )


@group
class RunSettings(Group):
    """Where the run is kept and who is told of it."""

    recipe: str | None = setting(None, metavar="NAME|FILE", place=True, recipe=False, harmless=True)
    """Named settings (listed below) or a YAML file of them; flags override."""
    output_dir: File | None = setting(None, metavar="FOLDER", harmless=True)
    """Folder of the run; left out: runs/<base>-finetuned-<dataset> in the checkout."""
    from_start: bool = setting(False, recipe=False, harmless=True)
    """Begin anew where --output_dir already holds a run; that one is renamed, never deleted."""
    save_every: int = setting(500, metavar="STEPS", ge=1, harmless=True)
    """Steps between checkpoints; each evaluation also leaves one."""
    save_total_limit: int = setting(2, ge=1, harmless=True)
    """Newest checkpoints kept, the best one besides."""
    logging_steps: int = setting(10, metavar="STEPS", ge=1, harmless=True)
    """Steps between lines in metrics.jsonl."""
    report_to: Literal["none", "tensorboard", "trackio"] = setting("none", harmless=True)
    """Also send metrics to a tracker; its package must be installed."""

    def check(self) -> None:
        packages = TRACKERS[self.report_to]
        if packages and not any(importlib.util.find_spec(package) for package in packages):
            raise UserError(
                f"--report_to is {self.report_to}, and the package {packages[0]} is not installed: "
                f"`pip install {packages[0]}`, or leave the flag out (metrics.jsonl is written in any case)."
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
