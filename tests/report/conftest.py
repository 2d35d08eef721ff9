"""A report that was written once for several tests."""

from pathlib import Path

import pytest

from trainer.eval import main
from trainer.scoring.records import Results
from trainer.settings.base import ROOT

SMOKE = ROOT / "trainer" / "recipes" / "smoke"


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """A finished evaluation of three baselines on 28 made-up articles that count as XSum's, so that rows are cited."""
    folder = tmp_path_factory.mktemp("report") / "out"
    argv = ["--systems", "lead-1,lead-3,random,oracle", "--test_file", str(SMOKE / "train.jsonl"), "--cited", "xsum"]
    argv += ["--output_dir", str(folder), "--bootstrap_samples", "100", "--test_samples", "200", "--examples", "3"]
    assert main(argv) == 0
    return folder


@pytest.fixture(scope="module")
def results(out) -> Results:
    return Results.load(out / "results.json")
