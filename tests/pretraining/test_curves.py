"""Learning curves from logs: numbers as they stand there, a point for each, and sentences for what is wrong."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from trainer.pretraining import curves

ROOT = Path(__file__).resolve().parents[2]
LINES = [
    {"step": 100, "tokens": 200_000, "loss": 8.1},
    {"step": 200, "tokens": 400_000, "loss": 7.0, "validation_copy": 1.25, "validation_lead": 6.5},
    {"step": 400, "tokens": 1_800_000, "loss": 6.0, "validation_copy": 0.5, "validation_lead": 5.251},
]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES), "utf-8")
    return path


def test_the_command_writes_a_table_and_a_picture(log, tmp_path):
    command = [sys.executable, "-m", "trainer.pretraining.curves", f"ours={log}", f"plain={log}"]
    done = subprocess.run(
        [*command, "--output_dir", str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "out" / "learning.md").read_text("utf-8")
    assert written == done.stdout
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in written.splitlines()]
    assert rows[0][:4] == ["run", "steps", "M tokens", "copy exercise"]
    assert rows[2] == ["ours", "200", "0.4", "1.25", "", "", "6.50", "", ""]
    assert rows[5] == ["plain", "400", "1.8", "0.50", "", "", "5.25", "", ""]
    assert len(rows) == 6
    picture = ElementTree.fromstring((tmp_path / "out" / "learning.svg").read_text("utf-8"))
    texts = {"".join(node.itertext()).strip() for node in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"ours", "plain", "lead sentence", "nats a piece", "million tokens"} <= texts


def test_a_run_that_goes_on_from_another_counts_on(log, tmp_path, capsys):
    further = tmp_path / "further.jsonl"
    further.write_text(json.dumps({"step": 10, "tokens": 300_000, "loss": 4, "validation_lead": 4.5}) + "\n", "utf-8")
    assert curves.main([f"ours={log}+{further}", "--output_dir", str(tmp_path / "out")]) == 0
    rows = [[cell.strip() for cell in row.split("|")][1:4] for row in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [["ours", "200", "0.4"], ["ours", "400", "1.8"], ["ours", "410", "2.1"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ('{"step": 1, "tokens": 3}\n', "holds no held-out losses yet"),
        ("[1]\n", "line 1 is no line of a pre-training log"),
        ('{"step": 1, "tokens": 3}\n{oh\n', "line 2 is no line of a pre-training log"),
        ('{"validation_lead": 2}\n', "line 1 is no line of a pre-training log"),
    ],
)
def test_wrong_logs_are_named(tmp_path, capsys, content, message):
    path = tmp_path / "bad.jsonl"
    if content is not None:
        path.write_text(content, "utf-8")
    assert curves.main([f"ours={path}", "--output_dir", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def test_a_run_without_name_and_too_many_runs_are_refused(log, tmp_path, capsys):
    assert curves.main([str(log), "--output_dir", str(tmp_path)]) == 2
    assert "write NAME=LOG.jsonl" in capsys.readouterr().err
    assert curves.main([*(f"r{k}={log}" for k in range(7)), "--output_dir", str(tmp_path / "out")]) == 2
    assert "7 runs are too many" in capsys.readouterr().err
