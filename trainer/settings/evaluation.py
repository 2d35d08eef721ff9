"""Every knob of trainer/eval.py, once, in the manner of `trainer.settings.training`: field names are the flags.

This module imports neither torch nor a metric: `--help` comes at once.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from trainer.errors import UserError
from trainer.runtime.files import table_kind
from trainer.settings.base import check_known
from trainer.settings.groups import DataSettings
from trainer.settings.machine import (
    REQUIRED,
    CommandSettings,
    File,
    Group,
    SettingsParser,
    Text,
    group,
    listed,
    setting,
)

SPLITS = ("train", "validation", "test")
# What XSum's official test split holds: the size that estimates of time are for.
XSUM_TEST = 11_334
DEFAULT_METRICS = "rouge,bleu,chrf,overlap,lengths,abstraction,repetition,facts,errors,aboutness"
SLICES = ("length", "position", "topic", "numbers", "names")


@dataclass(frozen=True)
class Alias:
    """A short name for a data set of the Hub, with the columns that it has."""

    dataset: str
    source_column: str
    target_column: str
    id_column: str = "id"
    config: str | None = None


ALIASES = {
    "xsum": Alias("EdinburghNLP/xsum", "document", "summary"),
    "cnn_dailymail": Alias("abisee/cnn_dailymail", "article", "highlights", config="3.0.0"),
    "scitldr": Alias("allenai/scitldr", "source", "target", "paper_id", config="Abstract"),
}


@group
class EvaluatedData(DataSettings):
    """What `trainer.data.load.load_split` reads for an evaluation: one split, no training pairs needed."""

    also_read: tuple = ()  # columns that are read beside id, source and target

    def check(self) -> None:
        """Everything has been checked by `EvalDataSettings`."""


@group
class EvalDataSettings(Group):
    """What the systems summarise."""

    dataset: Text | None = setting(None, metavar="USER/NAME:SPLIT")
    """Data set on the Hub with its split, or an alias: xsum, cnn_dailymail, scitldr. Left out, the split is test."""
    dataset_revision: Text | None = setting(None, metavar="REVISION")
    """Branch, tag or commit of the data set; the newest where left out."""
    dataset_config: Text | None = None
    """Configuration of the data set, where it has several. An alias knows its own."""
    test_file: File | None = None
    """Local pairs, .jsonl, .csv or .parquet, in place of --dataset."""
    source_column: Text | None = None
    """Column that holds the article: document, or the alias's own. A list of sentences is joined."""
    target_column: Text | None = None
    """Column that holds the reference: summary, or the alias's own. Of a list of references the first counts."""
    id_column: Text | None = None
    """Column that holds a name for each pair; rows are numbered where it is absent."""
    max_samples: int | None = setting(None, ge=1)
    """Evaluate on the first N usable pairs only."""
    skip_bad_rows: bool = False
    """Count and report rows that lack a text or are broken, instead of stopping at the first."""

    def check(self) -> None:
        if (self.dataset is None) == (self.test_file is None):
            raise UserError("Say what to evaluate on: --dataset xsum:test (a data set of the Hub) or --test_file FILE.")
        if self.test_file and table_kind(self.test_file) is None:
            raise UserError(f"--test_file is {self.test_file}: it must end in .jsonl, .csv or .parquet.")
        check_known(self.split, SPLITS, "split (of --dataset)")
        if self.dataset and "/" not in self.dataset:
            check_known(self._name, ALIASES, "alias (and names on the Hub look like USER/NAME)")

    @property
    def _name(self) -> str:
        return (self.dataset or "").partition(":")[0]

    @property
    def split(self) -> str:
        return ((self.dataset or "").partition(":")[2] or "test") if self.dataset else "test"

    def to_read(self, also_read: tuple[str, ...] = ()) -> EvaluatedData:
        """The same as `load_split` takes it, aliases put in."""
        alias = ALIASES.get(self._name)
        plain = alias or Alias(self._name or DataSettings.dataset, "document", "summary")
        return EvaluatedData(
            dataset=plain.dataset,
            dataset_revision=self.dataset_revision,
            dataset_config=self.dataset_config or plain.config,
            test_file=self.test_file,
            source_column=self.source_column or plain.source_column,
            target_column=self.target_column or plain.target_column,
            id_column=self.id_column or plain.id_column,
            skip_bad_rows=self.skip_bad_rows,
            **{f"max_{self.split}_samples": self.max_samples},
            also_read=also_read,
        )


@group
class DecodingSettings(Group):
    """How every model decodes; what is left out is as its own generation config has it."""

    max_new_tokens: int | None = setting(None, metavar="TOKENS", ge=1)
    """Longest summary; 128 where the model says nothing (transformers would stop at 20)."""
    min_new_tokens: int | None = setting(None, metavar="TOKENS", ge=0)
    """Shortest summary."""
    num_beams: int | None = setting(None, ge=1)
    """Beams kept in beam search; 1 is greedy."""
    length_penalty: float | None = setting(None, metavar="POWER")
    """Beams only: scores are divided by length to this power; over 1 favours long ones."""
    no_repeat_ngram_size: int | None = setting(None, ge=0)
    """No run of N tokens occurs twice in a summary."""
    early_stopping: bool | None = None
    """Beams only: stop at as many finished candidates as beams."""
    candidates: int | None = setting(None, ge=1)
    """Beams only: of so many summaries keep the one that the article supports best."""
    do_sample: bool | None = None
    """Draw each token, from a generator that --seed starts."""
    temperature: float | None = setting(None, metavar="T", gt=0)
    """Sampling only: below 1 likely tokens grow likelier."""
    top_p: float | None = setting(None, metavar="SHARE", ge=0, le=1)
    """Sampling only: from the likeliest tokens of together this probability."""
    top_k: int | None = setting(None, ge=0)
    """Sampling only: from the N likeliest tokens; 0 for all."""
    number_format: Literal["fp32", "bf16", "int8", "ctranslate2-int8", "ctranslate2-fp32"] | None = None
    """T5 on the processor only: what it computes in, fp32 if left out. int8 is quicker, bf16 too where the processor
    has instructions for it; both may write other summaries. ctranslate2-int8 is quicker for models smaller than
    t5-small, and needs `pip install ctranslate2==4.8.5`."""

    def given(self) -> dict[str, Any]:
        """Only what was asked for, as transformers calls it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@group
class EvalSystemSettings(Group):
    """Who summarises, and how the summaries are scored."""

    systems: str = setting("", metavar="A,B,…", place=True)
    """What summarises, separated by commas; the forms are listed below."""
    metrics: str = setting(DEFAULT_METRICS, metavar="A,B,…")
    """How summaries are scored; the names are listed below."""
    encoder: str | None = setting(None, metavar="MODEL[@REVISION]", place=True)
    """Encoder of embedding, bertscore and wmd; left out, a package's or the starter's (the signature says which)."""
    nli: str | None = setting(None, metavar="MODEL[@REVISION]", place=True)
    """Classifier that judges entailment."""
    audit: str | None = setting(None, metavar="SYSTEM", place=True)
    """Decode this model at 20, 64, 128 new tokens, each greedy, sampled and by beam 4 with three length penalties."""
    audit_samples: int = setting(200, ge=1)
    """The audit's pairs: the first N."""
    seed: int = setting(42, ge=0, le=2**32 - 1)
    """Seed of random sentences, sampling, resampling, topics and drawn examples."""
    batch_size: int = setting(8, metavar="ARTICLES", ge=1)
    """Articles that a model decodes together, sorted by length."""
    block_size: int = setting(64, metavar="ARTICLES", ge=1)
    """Articles between two writes to the disk; batches are sorted by length within a block."""

    def check(self) -> None:
        if not self.system_list and not self.audit:
            raise UserError("--systems is empty: name at least one, as in --systems lead-3,space/starter.")
        twice = [name for name in self.system_list if self.system_list.count(name) > 1]
        if twice:
            raise UserError(f"--systems names {twice[0]} twice.")

    @property
    def system_list(self) -> list[str]:
        return listed(self.systems)

    @property
    def metric_list(self) -> list[str]:
        return listed(self.metrics)


@group
class ReportSettings(Group):
    """What is made of the scores. These may change when the same command is given again."""

    output_dir: File = setting(REQUIRED, metavar="FOLDER")
    """Folder for results, predictions and report."""
    from_start: bool = False
    """Begin anew where --output_dir already holds a run; that one is renamed."""
    bootstrap_samples: int = setting(1000, ge=100, le=100_000)
    """Resamples behind each 95% interval."""
    test_samples: int = setting(10_000, ge=100, le=1_000_000)
    """Resamples and exchanges behind each p-value."""
    compare_to: str = setting("best", metavar="SYSTEM")
    """Whom all others are tested against: the one of best ROUGE-1, a system, or all (each pair)."""
    compare_by: str = setting("rouge1_fmeasure,rouge2_fmeasure,rougeL_fmeasure", metavar="A,B,…")
    """Figures that are tested."""
    slices: str = setting(",".join(SLICES), metavar="A,B,…|none")
    """Kinds of article whose scores are set apart; none for no slices."""
    slice_by: str = "rouge1_fmeasure"
    """Figure that the slices show."""
    topics: int = setting(6, ge=2, le=50)
    """Clusters that topics are made of."""
    topic_column: Text | None = None
    """Column that states the topic, in place of clusters."""
    cited: str = setting("auto", metavar="DATA")
    """Whose published figures stand beside the table: xsum, cnn_dailymail, scitldr, none, or by the data's name."""
    examples: int = setting(10, ge=0, le=1000)
    """Best, worst and drawn examples of each system on the page of examples."""

    def check(self) -> None:
        for name in self.slice_list:
            check_known(name, SLICES, "slice (of --slices)")
        check_known(self.cited, (*ALIASES, "auto", "none"), "data set with cited figures (of --cited)")

    def fitted(self, figures: Sequence[str]) -> "ReportSettings":
        """The same for metrics that give these `figures`: a flag left out takes one of them."""
        usual = [name for name in listed(ReportSettings.compare_by) if name in figures] or figures[:1]
        compare_by = ",".join(usual) if self.compare_by == ReportSettings.compare_by else self.compare_by
        absent = self.slice_by == ReportSettings.slice_by and self.slice_by not in figures
        return replace(self, compare_by=compare_by, slice_by=figures[0] if absent and figures else self.slice_by)

    @property
    def slice_list(self) -> list[str]:
        return [] if self.slices.strip() == "none" else listed(self.slices)

    @property
    def compare_list(self) -> list[str]:
        return listed(self.compare_by)


@dataclass
class EvalSettings(CommandSettings):
    """All settings of an evaluation; `parse` builds them from a command line."""

    system: EvalSystemSettings
    data: EvalDataSettings
    decoding: DecodingSettings
    report: ReportSettings

    @classmethod
    def parse(cls, argv: Sequence[str]) -> "EvalSettings":
        """Prints the page and exits for `--help`.

        Raises:
            UserError: an unknown flag, a value that can't be read or makes no sense.
        """
        return cls(*eval_parser().parse(argv))

    @property
    def output_dir(self) -> Path:
        return self.report.output_dir.resolve()

    def identity(self) -> dict[str, Any]:
        """What decides predictions and scores: a run goes on only with the same. (More systems may be added.)"""
        data = {name: value for name, value in asdict(self.data).items() if value not in (None, False)}
        if self.data.test_file:
            data["test_file"] = str(self.data.test_file.resolve())
        return {
            "metrics": sorted(self.system.metric_list),
            **{name: value for name in ("encoder", "nli") if (value := getattr(self.system, name))},
            "seed": self.system.seed,
            "batch_size": self.system.batch_size,
            "block_size": self.system.block_size,
            **self.decoding.given(),
            **data,
        }


def eval_parser() -> SettingsParser:
    """The parser of trainer/eval.py."""
    epilog = """systems
  lead-3, lead-1         the first sentences of the article
  random-1, random-3     sentences drawn by --seed (random alone is random-1)
  textrank-1             the most central sentences (textrank alone is textrank-1)
  oracle                 the sentences nearest to the reference: a bound, never compared with
  references             the references themselves, for scale: how abstract, how long, how well supported they are
  space/starter          a model in a folder; user/model and user/model@revision: one on the Hub
  lora:adapter@revision  a LoRA adapter on its base model
  ensemble:a+b           token probabilities of models of one vocabulary, averaged
  mbr:a+b, mbr:a*8       of all summaries the one most like the others

metrics
  rouge                  ROUGE-1/2/L/Lsum, precision, recall, F1 (Google's rouge_score, Porter stemmer)
  bleu, chrf             of the corpus, as sacrebleu counts them
  overlap                F1 of shared words (SQuAD's; the report's "human evaluation with the F1 score")
  lengths                words of summary, reference and article; compression; share of empty summaries
  abstraction            coverage, density (Newsroom), novel 1- to 4-grams (XSum)
  repetition             share of trigrams that occurred before
  facts                  numbers, dates and names that the article lacks
  errors                 shares of summaries that miss the point, invent, repeat, or outgrow the article
  copied                 from how many places of the article a summary was put together
  aboutness              share of summaries whose nearest of 100 articles, by TF-IDF, is their own
  embedding, bertscore   likeness by --encoder, of whole texts and of their pieces
  wmd                    Word Mover's Distance, by --encoder's word vectors
  entailment             probability that the article entails the summary, by --nli

what is written to --output_dir
  results.json           every figure with interval, n, signature, and all that it depends on
  predictions.jsonl      one line a system and example: system, id, prediction, reference, scores
  report.md, report.html tables and plots; examples.html: best, worst and drawn examples, by class of error
  timings.jsonl, run.json, and work/ while it runs

edge cases, by definition
  an empty prediction scores 0 on ROUGE, BLEU, chrF and overlap, is counted in empty_share, and is left
  out of means that it has no value for (compression, coverage, novel n-grams: their n says so);
  one longer than its article is scored like any other and counted in overlong_share;
  a model that can't be had costs its own row, with the reason; the exit code is 1 only if all fail;
  of several references the first counts; a corpus score's interval resamples the examples' counts.

examples
  baselines and a model on the official test split:
    python trainer/eval.py --systems lead-3,random-1,oracle,user/model --dataset xsum:test --output_dir out
  your own pairs, with beam search, and everything tested against lead-3:
    python trainer/eval.py --systems lead-3,space/starter --test_file pairs.csv --source_column text \\
        --target_column headline --num_beams 4 --compare_to lead-3 --output_dir out
  why published numbers differ: one model at 20/64/128 new tokens, greedy, beams, sampled:
    python trainer/eval.py --audit space/starter --dataset xsum:test --output_dir audit
  two processes, same records as one:
    torchrun --nproc_per_node=2 trainer/eval.py --systems space/starter --dataset xsum --output_dir out
  goes on where it was killed, or with systems added: the same command again.
  what people said of summaries (python app.py --rate FILE asks them):
    python trainer/eval.py --ratings FILE.ratings.jsonl --output_dir ratings
"""
    return SettingsParser(
        EvalSettings.groups(),
        prog="eval.py",
        usage="python trainer/eval.py --systems A,B --dataset NAME:SPLIT --output_dir FOLDER [--flag value ...]",
        description=(
            "Scores any summarisers on any data. Predictions are written to the disk as they are made; killed\n"
            "at any moment, the same command goes on. Every figure comes with a 95% interval, systems are\n"
            "compared by paired bootstrap and approximate randomisation with Holm's correction, and scores are\n"
            "set apart by kind of article. Defaults stand in [brackets]. --flag-name and --flag_name are the same."
        ),
        epilog=epilog,
    )
