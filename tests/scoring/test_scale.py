"""Memory of an evaluation over 100,000 made-up rows, and of one over 2,000: the same but for the columns of numbers."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainer.runtime.environment import environment
from trainer.settings.base import ROOT

RECORD = ROOT / "trainer" / "records" / "evaluation_scale.json"
ROWS = (2_000, 100_000)
# Numbers for each example: figures with their columns and resampled rows, places of lines, features of slices.
ALLOWED_BYTES_A_ROW = 2_000


def made_up(path: Path, rows: int) -> int:
    """Articles of about 60 words from a small vocabulary; returns the size of the file."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnoprstuvw", k=draw.randint(3, 9))) for _ in range(3000)]
    with path.open("w", encoding="utf-8") as file:
        for row in range(rows):
            sentences = [" ".join(draw.choices(words, k=12)).capitalize() + "." for _ in range(5)]
            summary = " ".join([*sentences[draw.randrange(5)].split()[:8], *draw.choices(words, k=4)]) + "."
            pair = {"id": str(row), "document": " ".join(sentences), "summary": summary}
            file.write(json.dumps(pair) + "\n")
    return path.stat().st_size


def measure(folder: Path, rows: int) -> dict:
    data = folder / f"{rows}.jsonl"
    size = made_up(data, rows)
    out = folder / f"out-{rows}"
    command = [sys.executable, ROOT / "trainer" / "eval.py", "--systems", "lead-3", "--test_file", data]
    command += ["--metrics", "rouge,lengths,errors", "--bootstrap_samples", "200", "--output_dir", out]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=-1, text=True)
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, printed
    assert sum(1 for _ in (out / "predictions.jsonl").open("rb")) == rows
    return {
        "rows": rows,
        "megabytes_of_data": round(size / 1e6, 1),
        "megabytes_of_predictions": round((out / "predictions.jsonl").stat().st_size / 1e6, 1),
        "peak_rss_megabytes": round(usage.ru_maxrss * 1024 / 1e6, 1),
        "seconds": round(time.monotonic() - began, 1),
    }


@pytest.mark.slow
def test_memory_is_flat_in_the_number_of_examples(tmp_path):
    small, large = (measure(tmp_path, rows) for rows in ROWS)
    grown = 1e6 * (large["peak_rss_megabytes"] - small["peak_rss_megabytes"])
    a_row = grown / (large["rows"] - small["rows"])
    record = {
        "what": "lead-3 over made-up rows, metrics rouge, lengths and errors, all slices; peak memory of the process",
        "runs": [small, large],
        "bytes_of_memory_a_row": round(a_row),
        "environment": environment(),
    }
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    assert a_row < ALLOWED_BYTES_A_ROW


def test_the_committed_record_is_of_these_sizes_and_within_the_bound():
    record = json.loads(RECORD.read_text("utf-8"))
    assert [one["rows"] for one in record["runs"]] == list(ROWS)
    assert record["bytes_of_memory_a_row"] < ALLOWED_BYTES_A_ROW
