"""A command's settings declared in a few lines, with its flags, recipes, help and sentences."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from trainer.errors import UserError
from trainer.settings.machine import REQUIRED, CommandSettings, File, Group, SettingsParser, group, setting


@group
class Swept(Group):
    """What is tried."""

    folder: File = setting(REQUIRED, metavar="FOLDER")
    """Where it is written."""
    runs: int = setting(8, ge=1, le=100)
    """Trainings, 50% of them with a small rate."""
    rate: float | None = setting(None, gt=0, lt=1)
    """Rate."""
    order: Literal["grid", "random"] = "random"
    """Order."""
    models: str = setting("lead-3", place=True)
    """Models."""
    shares: list[float] = setting(lambda: [0.5, 1.0], min_length=2, max_length=2)
    """From, to."""
    weights: dict[str, float] = setting(dict)
    """Weights (recipe only)."""
    keep: bool = setting(True, section="what is kept")
    """Keep."""
    again: bool | None = None
    """Again."""
    recipe: str | None = setting(None, recipe=False)
    """Recipe."""


@pytest.fixture
def parser(tmp_path) -> SettingsParser:
    return SettingsParser([Swept], tmp_path, prog="sweep.py")


def test_flags_become_values_of_their_types(parser, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    argv = ["--folder", "out", "--rate=1e-3", "--shares", "0", "1", "--models", "~/a,user/b", "--no-keep"]
    assert parser.parse([*argv, "--again", "yes"]) == [
        Swept(Path("out"), rate=0.001, shares=[0.0, 1.0], models="/home/ada/a,user/b", keep=False, again=True)
    ]
    assert parser.parse(["--folder=~/out"])[0].folder == Path("/home/ada/out")
    assert parser.parse(["--folder=x", "--keep", "no"]) == parser.parse(["--folder=x", "--no_keep"])
    assert parser.typed(["--runs", "8"]) == {"runs": 8}


def test_a_recipe_goes_under_the_flags(parser, tmp_path):
    text = "folder: here\nruns: 3\nrate: 1e-3\nshares: [0, 1]\nweights: {a: 1}\nkeep: false\n"
    (tmp_path / "wide.yaml").write_text(text, "utf-8")
    (swept,) = parser.parse(["--recipe", "wide", "--runs", "8"])
    assert swept == Swept(
        tmp_path / "here", runs=8, rate=0.001, shares=[0.0, 1.0], weights={"a": 1.0}, keep=False, recipe="wide"
    )


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "--folder is missing: Where it is written."),
        (["--runs", "0"], "--runs is 0: it must be between 1 and 100."),
        (["--rate", "2"], "--rate is 2.0: it must be over 0 and below 1."),
        (["--rate", "inf"], "--rate is inf: it must be a finite number."),
        (["--rate", "fast"], "--rate: invalid float value: 'fast'."),
        (["--order", "gird"], "--order: invalid choice: 'gird' (choose from 'grid', 'random')."),
        (["--shares", "1"], "--shares: expected 2 arguments."),
        (["--keep", "perhaps"], "--keep: Truthy value expected, yes or no, and not 'perhaps'."),
        (["--again"], "--again: expected one argument."),
        (["--weights", "1"], "There is no flag --weights: see --help."),
        (["--run", "1"], "There is no flag --run: did you mean --runs?"),
        (["1"], "'1' belongs to no flag: values follow a flag, as in --learning_rate 3e-4."),
        (["--recipe", "wide"], "There is no recipe wide: known: narrow."),
    ],
)
def test_what_is_wrong_is_one_sentence(parser, tmp_path, argv, sentence):
    (tmp_path / "narrow.yaml").write_text("runs: 1\n", "utf-8")
    with pytest.raises(UserError) as error:
        parser.parse([*(["--folder", "out"] if argv else []), *argv])
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"runs": True}, "--runs is True: it must be of type int."),
        ({"folder": 3}, "--folder is 3: it must be of type Path."),
        ({"order": "sorted"}, "--order is 'sorted': it must be grid or random."),
        ({"shares": [1.0]}, "--shares is [1.0]: it must have 2 values."),
        ({"weights": {"a": "much"}}, "weights.a is 'much': it must be a valid number."),
        ({"rnus": 1}, "There is no setting of Swept rnus: did you mean runs?"),
    ],
)
def test_groups_built_in_code_are_checked_alike(values, sentence):
    with pytest.raises(UserError) as error:
        Swept(**{"folder": "out", **values})
    assert str(error.value) == sentence


def test_help_says_what_stands_under_each_field(parser):
    page = parser.format_help()
    for line in (
        "What is tried:",
        "what is kept:",
        "--folder FOLDER Where it is written.",
        "--runs N Trainings, 50% of them with a small rate. [8]",
        "--order {grid,random} Order. ['random']",
        "--shares SHARES SHARES From, to. [0.5 1]",
        "--[no_]keep Keep. [yes]",
        "--again yes|no Again.",
    ):
        assert line in " ".join(page.split())
    assert "weights" not in page


def test_published_settings_tell_nothing_of_this_machine(tmp_path):
    @dataclass
    class Sweep(CommandSettings):
        swept: Swept

    (tmp_path / "mine").mkdir()
    sweep = Sweep(Swept(tmp_path / "out", models=f"{tmp_path / 'mine'},user/b"))
    assert Sweep.groups() == [Swept]
    assert sweep.to_dict()["swept"]["folder"] == str(tmp_path / "out")
    assert sweep.public()["swept"] == sweep.to_dict()["swept"] | {"folder": "out", "models": "mine,user/b"}
