"""Every knob of trainer/study.py, once: field names are the flags.

A study of trainings takes all settings of a training beside its own: what its file or its flags say of them is the base
that trials change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from trainer.errors import UserError
from trainer.settings.base import ROOT
from trainer.settings.evaluation import SPLITS, EvalDataSettings
from trainer.settings.groups import (
    DataSettings,
    EvaluationSettings,
    GenerationSettings,
    ModelSettings,
    OptimisationSettings,
)
from trainer.settings.machine import File, Group, SettingsParser, Text, group, listed, setting
from trainer.settings.robust import RobustSettings, parse_noises
from trainer.settings.training import Settings, changed, training_parser

STUDIES = ROOT / "trainer" / "recipes" / "studies"
TRAINING = (
    DataSettings,
    ModelSettings,
    OptimisationSettings,
    RobustSettings,
    GenerationSettings,
    EvaluationSettings,
)
BASE = "base"  # what the unchanged settings are called among the changes of an ablation


@group
class TrialSettings(Group):
    """Where the trials are kept, and how often each is done."""

    recipe: str | None = setting(None, metavar="NAME|FILE", place=True)
    """Recipe of trainer/train.py that the base starts from; other lines and flags go over it."""
    output_dir: File | None = setting(None, metavar="FOLDER", recipe=False)
    """Folder for records, table, plot and findings; left out: runs/studies/<study>."""
    storage: Text | None = setting(None, metavar="URL", recipe=False)
    """Database that all workers share, as SQLAlchemy writes it (postgresql://…); left out: SQLite in --output_dir."""
    seeds: list[int] = setting(lambda: [1, 2, 3])
    """Each setting is trained once with each seed."""
    stale_minutes: float = setting(10.0, gt=0, recipe=False)
    """A trial whose worker, on another machine, has not been heard of for so long is begun anew."""
    retry_failed: bool = setting(False, recipe=False)
    """Do trials again that ended with an error."""
    report_only: bool = setting(False, recipe=False)
    """Do no trial: write the files from those that are done, while workers go on or when they were stopped."""
    keep_models: bool = setting(False, recipe=False)
    """Keep the model of every trial; else its folder is deleted once its record is written."""

    def check(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"--seeds is {self.seeds}: give at least one, each once.")


@group
class AblationSettings(TrialSettings):
    """What is changed, one thing at a time (the list `changes` stands in the study's file)."""

    study: str = setting("ablation", metavar="NAME|FILE", place=True, recipe=False)
    """Name in trainer/recipes/studies or a YAML file."""
    changes: dict[str, dict[str, Any]] = setting(dict)
    """Name of a change → settings of a training with their other values (study's file only)."""
    test_noise: Text | None = setting(None, metavar="KIND:STRENGTH,…")
    """Score every model also on test articles with this noise, once a kind (trainer/data/noise.py)."""

    def check(self) -> None:
        super().check()
        parse_noises(self.test_noise or "", "--test_noise")
        if not self.changes:
            raise UserError("changes is empty: the study's file must name at least one.")
        if BASE in self.changes:
            raise UserError(f"changes holds {BASE!r}: that is what the unchanged settings are called.")


@group
class SweepSettings(TrialSettings):
    """What is tried together (the list `space` stands in the study's file)."""

    study: str = setting("sweep", metavar="NAME|FILE", place=True, recipe=False)
    """Name in trainer/recipes/studies or a YAML file."""
    space: dict[str, Any] = setting(dict)
    """Name of a setting → list of values, or its range as {low: …, high: …, log: true} (study's file only)."""
    sampler: Literal["grid", "random", "tpe"] = "grid"
    """grid tries every combination of the lists; random draws; tpe draws near what was good (Bergstra et al. 2011)."""
    trials: int = setting(20, ge=1)
    """Combinations that random and tpe try."""
    pruner: Literal["none", "median", "halving"] = "none"
    """Ends a trial early whose validation ROUGE is below the median of the others at the same step, or not among the
    best third of its rung (Li et al. 2020)."""

    def check(self) -> None:
        super().check()
        if not self.space:
            raise UserError("space is empty: the study's file must name at least one setting to try.")
        for name, values in self.space.items():
            if isinstance(values, list):
                right = bool(values) and len({str(value) for value in values}) == len(values)
            else:
                right = isinstance(values, dict) and {"low", "high"} <= values.keys() <= {"low", "high", "log"}
                if right and self.sampler == "grid":
                    raise UserError(f"space.{name} is a range, and a grid needs a list: list values, or --sampler tpe.")
            if not right:
                raise UserError(
                    f"space.{name} is {values!r}: it must be a list of different values or "
                    "{low: …, high: …, log: true|false}."
                )


@group
class TransferSettings(TrialSettings):
    """On what is trained and tested."""

    study: str = setting("transfer", metavar="NAME|FILE", place=True, recipe=False)
    """Name in trainer/recipes/studies or a YAML file."""
    sets: str = setting("", metavar="FOLDER,FOLDER,…", place=True, recipe=False)
    """Folders with test pairs (test.jsonl, .csv or .parquet); those that hold train and validation pairs beside them
    are trained on too. A set is called by its folder's name."""

    def check(self) -> None:
        super().check()
        if len(self.folders) < 2:
            raise UserError(
                f"--sets is {self.sets}: name at least two folders of different names, with commas between."
            )
        for name, folder in self.folders.items():
            if "test" not in files_of(folder):
                raise UserError(
                    f"--sets names {folder}, and there is no test.jsonl, test.csv or test.parquet ({name})."
                )
        if not self.trained:
            raise UserError("--sets: none of the folders holds train and validation pairs beside its test pairs.")

    @property
    def folders(self) -> dict[str, Path]:
        """Name of each set → its folder."""
        return {Path(folder).resolve().name: Path(folder).resolve() for folder in listed(self.sets)}

    @property
    def trained(self) -> list[str]:
        """The sets that can be trained on."""
        return [name for name, folder in self.folders.items() if len(files_of(folder)) == len(SPLITS)]


def files_of(folder: Path) -> dict[str, Path]:
    """Split → file of pairs in a folder, of the splits that are there."""
    named = {split: [folder / f"{split}{kind}" for kind in (".jsonl", ".csv", ".parquet")] for split in SPLITS}
    there = {split: [file for file in files if file.is_file()] for split, files in named.items()}
    return {split: files[0] for split, files in there.items() if files}


class _Study:
    """What studies of every kind are called, and where they lie; `own` are the settings that every kind has."""

    own: Any

    @property
    def name(self) -> str:
        return Path(self.own.study).stem

    @property
    def output_dir(self) -> Path:
        return (self.own.output_dir or ROOT / "runs" / "studies" / self.name).resolve()


@dataclass(frozen=True)
class TrainingStudy(_Study):
    """A study of trainings: its own settings, and those of the base that its trials change.

    Attributes:
        own: what the study does.
        values: name → value, what file and flags say of the base's training.
        folder: of the study's file, which paths in `changes` and `space` are relative to.
    """

    own: AblationSettings | SweepSettings | TransferSettings
    values: Mapping[str, Any]
    folder: Path

    @property
    def storage(self) -> str:
        return self.own.storage or f"sqlite:///{self.output_dir / 'study.db'}"

    def settings(self, change: Mapping[str, Any], seed: int, output_dir: Path) -> Settings:
        """The settings of a trial.

        Args:
            change: name → value as in YAML, over the base's.

        Raises:
            UserError: a name or a value is wrong.
        """
        parser = training_parser()
        over = parser.read(dict(change), self.folder, f"study {self.own.study}")
        recipe = {"recipe": self.own.recipe} if self.own.recipe else {}
        fixed = {"baselines": False} | changed(dict(self.values), over) | {"seed": seed, "output_dir": output_dir}
        return Settings.of(recipe | fixed, parser)


def parse_training_study(argv: Sequence[str], kind: type[TrialSettings]) -> TrainingStudy:
    """The study that a command line asks for.

    Raises:
        UserError: an unknown name, a value that can't be read or makes no sense, no such file.
    """
    parser = study_parser(kind)
    typed = parser.typed(argv)
    name = typed.get("study", parser.items["study"].default)
    values = changed(parser.recipe(typed), typed)
    own_names = {item.name for item in fields(kind)}
    own = kind(**{key: value for key, value in values.items() if key in own_names})
    folder = Path(name).expanduser().resolve().parent if Path(name).suffix in (".yaml", ".yml") else STUDIES
    study = TrainingStudy(own, {key: value for key, value in values.items() if key not in own_names}, folder)
    study.settings({}, own.seeds[0], study.output_dir)  # a wrong value of the base is told now
    return study


def study_parser(kind: type[Group]) -> SettingsParser:
    """The parser of one of the studies of trainings."""
    verb = {AblationSettings: "ablate", SweepSettings: "sweep", TransferSettings: "transfer"}[kind]
    about = {
        "ablate": "Trains a base and the same with one thing changed, several seeds each, and says which differences\n"
        "chance could not make.",
        "sweep": "Trains with many combinations of settings and says which was best on the validation pairs, and by\n"
        "how much. It never looks at test pairs.",
        "transfer": "Trains on each of several data sets and tests on all of them: the matrix, and what it costs to\n"
        "come from elsewhere.",
    }[verb]
    return SettingsParser(
        [kind, *TRAINING],
        STUDIES,
        named_by="study",
        prog=f"study.py {verb}",
        usage=f"python trainer/study.py {verb} [--study NAME|FILE] [--flag value ...]",
        description=(
            f"{about}\nKilled at any moment, the same command goes on; started several times at once, on one machine\n"
            "or (with --storage) on several, the workers share the trials. Flags of a training go over the base's.\n"
            "Defaults stand in [brackets]."
        ),
    )


@group
class RobustnessSettings(Group):
    """Who summarises, and how the articles are changed (the list `changes` stands in the study's file)."""

    study: str = setting("robustness", metavar="NAME|FILE", place=True, recipe=False)
    """Name in trainer/recipes/studies or a YAML file."""
    systems: str = setting("space/starter", metavar="A,B,…", place=True)
    """What summarises, separated by commas, as trainer/eval.py names it."""
    output_dir: File | None = setting(None, metavar="FOLDER", recipe=False)
    """Folder for records, table, plot and findings; left out: runs/studies/<study>."""
    changes: dict[str, list[float]] = setting(dict)
    """Name of a change → strengths (study's file only); left out: all changes at their own strengths."""
    seed: int = setting(42, ge=0, le=2**32 - 1)
    """Seed of what is changed where, of random systems and of resampling."""
    batch_size: int = setting(8, metavar="ARTICLES", ge=1)
    """Articles that a model decodes together."""
    test_samples: int = setting(10_000, ge=100, le=1_000_000)
    """Resamples and exchanges behind each interval and p-value."""
    explained: int = setting(0, metavar="ARTICLES", ge=0)
    """Articles (the first ones) whose summary is explained before and after each change; only of a T5; 0: none."""

    @property
    def system_list(self) -> list[str]:
        return listed(self.systems)

    def check(self) -> None:
        if not self.system_list:
            raise UserError("--systems is empty: name at least one, as in --systems space/starter.")


@dataclass(frozen=True)
class RobustnessStudy(_Study):
    """A study of changed articles: its own settings and the data."""

    own: RobustnessSettings
    data: EvalDataSettings


def parse_robustness(argv: Sequence[str]) -> RobustnessStudy:
    """The study that a command line asks for.

    Raises:
        UserError: an unknown name, a value that can't be read or makes no sense, no such file.
    """
    parser = SettingsParser(
        [RobustnessSettings, EvalDataSettings],
        STUDIES,
        named_by="study",
        prog="study.py robustness",
        usage="python trainer/study.py robustness --test_file FILE [--study NAME|FILE] [--flag value ...]",
        description=(
            "Has systems summarise articles as they are and changed in many ways (noise and bias), and says how much\n"
            "ROUGE each change costs, and how often what was planted reaches the summary. Killed at any moment, the\n"
            "same command goes on. Defaults stand in [brackets]."
        ),
    )
    return RobustnessStudy(*parser.parse(argv))


@group
class ExplanationSettings(Group):
    """Whose summaries are explained, and where what was measured is kept."""

    model: str = setting("space/starter", metavar="MODEL", place=True)
    """A T5 whose own summaries are explained: user/model, user/model@revision or a folder."""
    max_source_length: int | None = setting(None, metavar="TOKENS", ge=16)
    """Tokens of an article that are read, prefix and end mark included; left out: as many as the model reads."""
    seed: int = setting(0, ge=0, le=2**32 - 1)
    """Seed of random orders, and of methods that draw."""
    output_dir: File | None = setting(None, metavar="FOLDER", recipe=False)
    """Folder for measurements, record, table, plot and findings; left out: runs/studies/<study>."""
    report_only: bool = setting(False, recipe=False)
    """Measure nothing: write the files from the articles that are done."""


@group
class FaithfulnessSettings(ExplanationSettings):
    """Which methods are measured, and how often the model is asked again (dictionaries: in the study's file only)."""

    study: str = setting("faithfulness", metavar="NAME|FILE", place=True, recipe=False)
    """Name in trainer/recipes/studies or a YAML file."""
    methods: dict[str, dict[str, Any]] = setting(dict)
    """Method of trainer/attribution/registry.py → its settings (study's file only); left out: every method."""
    first_articles: dict[str, int] = setting(dict)
    """Method → how many articles it is measured on, the first ones (study's file only); left out: on all."""
    orders: int = setting(5, metavar="ORDERS", ge=1)
    """Random orders of the words beside each method's own."""
    ablations: int = setting(32, metavar="CHOICES", ge=4)
    """Random halves of the sentences whose log-probability the scores must predict."""
    sanity_articles: int = setting(20, metavar="ARTICLES", ge=0)
    """Articles on which every method is run with shuffled weights too, the first ones."""
    affordable_seconds: float = setting(3.0, metavar="SECONDS", gt=0)
    """A method is affordable that takes at most this of the processor for an article, in the median."""


@group
class AttentionSettings(ExplanationSettings):
    """What attention and gradients are measured on."""

    study: str = setting("attention", metavar="NAME|FILE", place=True, recipe=False)
    """Name in trainer/recipes/studies or a YAML file."""
    least_articles: int = setting(10, metavar="ARTICLES", ge=1)
    """A word is listed that stands in at least so many articles."""


@dataclass(frozen=True)
class ExplanationStudy(_Study):
    """A study of explanations: its own settings and the data."""

    own: FaithfulnessSettings | AttentionSettings
    data: EvalDataSettings


def parse_explanation_study(argv: Sequence[str], kind: type[ExplanationSettings]) -> ExplanationStudy:
    """The study that a command line asks for.

    Raises:
        UserError: an unknown name, a value that can't be read or makes no sense, no such file.
    """
    verb, about = {
        FaithfulnessSettings: (
            "faithfulness",
            "Explains a model's own summaries by every attribution method and asks the model again without the words\n"
            "and sentences that each calls important: which method says what the model does, and at what cost.",
        ),
        AttentionSettings: (
            "attention",
            "Says where a model looks while it writes: attention weights and integrated gradients by position in the\n"
            "article, first sentence, names, numbers and function words.",
        ),
    }[kind]
    parser = SettingsParser(
        [kind, EvalDataSettings],
        STUDIES,
        named_by="study",
        prog=f"study.py {verb}",
        usage=f"python trainer/study.py {verb} --test_file FILE [--study NAME|FILE] [--flag value ...]",
        description=(
            f"{about}\nKilled at any moment, the same command goes on with the next article.\n"
            "Defaults stand in [brackets]."
        ),
    )
    return ExplanationStudy(*parser.parse(argv))
