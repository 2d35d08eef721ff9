"""Training pairs of both kinds of article, and what is held out of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from trainer.pretraining.pairs import RECIPE, TextFile, main, pair_of, pairs_of

ROOT = Path(__file__).resolve().parents[2]
REST = "The crew is safe and well. Nobody was hurt that night. The harbour is open again today."
ROW = {"document": REST, "summary": "Two boats sank off Dover. More may.", "title": "Two boats sink"}


def test_the_kinds_of_pair():
    assert pair_of(ROW, "document") == {"document": REST, "summary": ROW["summary"]}
    assert pair_of(ROW, "headline")["summary"] == "Two boats sink. Two boats sank off Dover. More may."
    lead = pair_of(ROW, "lead")
    assert lead == {"document": f"{ROW['summary']}\n{REST}", "summary": "Two boats sank off Dover."}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"document": "The crew is safe and well."}, "document"),  # nothing to choose from
        ({"document": "Share this with Email Facebook " + REST}, "document"),
        ({"title": "Mayor resigns over railway budget"}, "lead"),  # the lead speaks of something else
        ({"summary": "Two boats sank off Dover"}, "lead"),  # no whole sentence
        ({"summary": ""}, "lead"),
    ],
)
def test_what_is_left_out(change, kind):
    assert pair_of(ROW | change, kind) is None


def rows(folder: Path, n: int) -> None:
    lines = (
        json.dumps(ROW | {"id": str(number), "document": f"{REST} It was {number} metres."}) for number in range(n)
    )
    (folder / "news.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def numbers(pairs: list[dict]) -> list[int]:
    return [int(pair["id"].rpartition(":")[2]) for pair in pairs]


def test_held_out_rows_are_never_learnt_from(tmp_path):
    rows(tmp_path, 30)
    file = TextFile("news.jsonl", "lead", most=100, held_out_every=5, validation=2)
    train, validation = pairs_of(file, tmp_path, seed=0)
    assert numbers(validation) == [0, 5] and sorted(numbers(train)) == [n for n in range(30) if n % 5]
    fewer, _ = pairs_of(TextFile("news.jsonl", "lead", most=7), tmp_path, seed=0)
    other, _ = pairs_of(TextFile("news.jsonl", "lead", most=7), tmp_path, seed=1)
    assert len(fewer) == len(other) == 7 and numbers(fewer) != numbers(other)


def test_the_command_writes_both_files(tmp_path):
    rows(tmp_path, 12)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("news.jsonl: {kind: lead, most: 6, held_out_every: 4, validation: 2}\n", "utf-8")
    flags = ["--text_dir", tmp_path, "--output_dir", tmp_path / "out", "--recipe", recipe]
    command = [sys.executable, "-m", "trainer.pretraining.pairs", *map(str, flags)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "train.jsonl: 6 pairs" in run.stdout and "validation.jsonl: 2 pairs" in run.stdout
    written = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text("utf-8").splitlines()]
    assert len(written) == 6 and set(written[0]) == {"id", "document", "summary"}


def test_a_missing_file_is_named(tmp_path, capsys):
    assert main(["--text_dir", str(tmp_path), "--output_dir", str(tmp_path / "out")]) == 2
    assert "xsum/train.jsonl does not exist" in capsys.readouterr().err


def test_the_recipe_holds_out_what_pre_training_holds_out():
    trunk = yaml.safe_load((RECIPE.parents[1] / "pretrain" / "trunk.yaml").read_text("utf-8"))["texts"]
    for name, values in yaml.safe_load(RECIPE.read_text("utf-8")).items():
        if name in trunk and "held_out_every" in values:
            assert trunk[name].get("held_out_every", 200) == values["held_out_every"], name
