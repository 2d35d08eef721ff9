"""Every knob of a training, once: the groups of trainer/settings/groups.py, whose field names are the flags.

    settings = Settings.parse(["--recipe", "report-table-1", "--num_train_epochs", "2"])
    settings.optimisation.learning_rate  # 0.0003, from trainer/recipes/report-table-1.yaml

A recipe (a name in trainer/recipes/ or a YAML file) sets defaults, flags override them, and a name that
nobody knows is refused with the nearest one. Values are checked when a group is built, so that a wrong one is
told in a second and not after an hour. This module imports neither torch nor the model code: `--help` comes at
once.
"""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from trainer.errors import UserError
from trainer.runtime.files import same_content
from trainer.settings.base import ROOT
from trainer.settings.groups import (
    DataSettings,
    EvaluationSettings,
    GenerationSettings,
    HubSettings,
    ModelSettings,
    OptimisationSettings,
    RunSettings,
)
from trainer.settings.machine import CommandSettings, SettingsParser
from trainer.settings.robust import RobustSettings

RECIPES = ROOT / "trainer" / "recipes"

# A flag that names another start sets aside what a recipe says of its own.
SET_ASIDE = {
    "dataset": {"train_file", "validation_file", "test_file"},
    "train_file": {"dataset", "dataset_revision", "dataset_config", "validation_file", "test_file"},
    "model": {"from_scratch"},
    "from_scratch": {"model", "model_revision"},
}


@dataclass
class Settings(CommandSettings):
    """All settings of a run; `parse` builds them from a command line."""

    data: DataSettings
    model: ModelSettings
    optimisation: OptimisationSettings
    robust: RobustSettings
    generation: GenerationSettings
    evaluation: EvaluationSettings
    hub: HubSettings
    run: RunSettings

    def __post_init__(self) -> None:
        """Raises `UserError` for values of two groups that make no sense together."""
        asked = {name: getattr(self.robust, name) is not None for name in ("noise", "adversarial", "r_drop")}
        if self.data.ranked_sentences and any(asked.values()):
            name = next(name for name in asked if asked[name])
            raise UserError(
                f"--{name} is given with --ranked_sentences {self.data.ranked_sentences}: it is for learning the "
                "references. Add --ranked_sentences 0."
            )
        if self.data.mixed and self.optimisation.group_by_length:
            raise UserError(
                "--group_by_length is given with --other_train_files: batches are either of like length or drawn from "
                "several sets. Add --group_by_length no."
            )

    @classmethod
    def parse(cls, argv: Sequence[str]) -> "Settings":
        """The settings that a command line asks for: the groups' defaults, then the recipe's, then the flags.

        Prints the page and exits for `--help`.

        Raises:
            UserError: an unknown name, a value that can't be read or makes no sense, no such recipe.
        """
        parser = training_parser()
        return cls.of(parser.typed(argv), parser)

    @classmethod
    def of(cls, typed: dict[str, Any], parser: SettingsParser | None = None) -> "Settings":
        """The same from flags that have been read: name → value, `recipe` among them where there is one.

        Raises:
            UserError: as `parse`.
        """
        parser = parser or training_parser()
        for one, other in (("dataset", "train_file"), ("model", "from_scratch")):
            if one in typed and other in typed:
                raise UserError(f"--{one} and --{other} name two things to start from: give one of them.")
        return cls(*parser.build(changed(parser.recipe(typed), typed)))

    @property
    def name(self) -> str:
        """`<base>-finetuned-<dataset>`, the name of the run's folder and of its repository."""
        return f"{self.model.name}-finetuned-{self.data.name}"

    @property
    def output_dir(self) -> Path:
        """The folder of the run, absolute."""
        return (self.run.output_dir or ROOT / "runs" / self.name).resolve()

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


def changed(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`values` with those of `over` in their place; another start in `over` sets aside what `values` say of theirs."""
    aside = {key for name in SET_ASIDE.keys() & over.keys() for key in SET_ASIDE[name]}
    return {key: value for key, value in values.items() if key not in aside} | over


# A run may go on with other values of these: they don't touch the weights that come out.
HARMLESS = {
    item.name
    for cls in Settings.groups()
    for item in fields(cls)
    if cls is HubSettings or item.metadata.get("harmless")
}

# Group → name → default, None where a function makes it.
USUAL = {
    group.name: {item.name: None if item.default is MISSING else item.default for item in fields(group.type)}
    for group in fields(Settings)
}

_DEFAULTS = {item.name: item.default for cls in Settings.groups() for item in fields(cls)}

# Of these the texts count, not the path (TrainingRun.check_data).
DATA_FILES = ("train_file", "validation_file", "other_train_files")


def differences(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> list[str]:
    """What would make a resumed run another run: lines of `--name: old -> new`, harmless ones left out.

    Two files of pairs are no difference here: whether they hold the same texts is seen when they are read. Two paths of
    one file or folder, or of one and its copy, are none either. A setting that the version which began the run did not
    have yet was as its default is.
    """
    lines = []
    for group, values in new.items():
        for name, value in values.items():
            before = old.get(group, {}).get(name, _DEFAULTS[name])
            elsewhere = name in DATA_FILES and None not in (before, value)
            if name not in HARMLESS and before != value and not elsewhere and not same_content(before, value):
                lines.append(f"--{name}: {json.dumps(before)} -> {json.dumps(value)}")
    return lines


def recipes() -> dict[str, str]:
    """Name → first line of the head comment, for each recipe that ships."""
    found = {}
    for path in sorted(RECIPES.glob("*.yaml")):
        first = path.read_text("utf-8").splitlines()[:1]
        found[path.stem] = first[0].lstrip("# ") if first else ""
    return found


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
        Settings.groups(),
        RECIPES,
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
