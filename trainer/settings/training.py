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
import typing
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from trainer.errors import UserError
from trainer.settings.base import ROOT, check_known, public_name
from trainer.settings.groups import (
    GROUPS,
    DataSettings,
    EvaluationSettings,
    GenerationSettings,
    HubSettings,
    ModelSettings,
    OptimisationSettings,
    RunSettings,
)
from trainer.settings.parser import SettingsParser

RECIPES = ROOT / "trainer" / "recipes"

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
            check_known(name, groups, "group of settings")
            known = [item.name for item in fields(groups[name])]
            for key in group:
                check_known(key, known, f"setting of {name}")
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
    check_known(name, names, "recipe")
    return path


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
        check_known(str(key), known, f"setting (in the recipe {path})")
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
