"""What is learnt on one data set and used on another: trained on each, tested on all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data.load import load_split
from trainer.report.tables import Table
from trainer.runtime.figures import ABSENT, with_interval
from trainer.scoring.significance import holm
from trainer.settings.groups import DataSettings
from trainer.settings.studies import TrainingStudy, files_of
from trainer.studies.ablation import ALPHA, SMALL
from trainer.studies.drawings import matrix_drawing
from trainer.studies.intervals import paired_difference
from trainer.studies.store import Slot
from trainer.studies.trainings import Findings, do_trial, open_study, settings_of, trial_records, write_study
from trainer.studies.trial import splits_of

FIGURE = "rouge1_fmeasure"


def transfer(study: TrainingStudy, say: Callable[[str], None] = print) -> Findings:
    """The whole study; killed anywhere, the same call goes on."""
    own = study.own
    files = {name: files_of(folder) for name, folder in own.folders.items()}
    slots = [
        Slot(f"trained on {name}, seed {seed}", {"trained_on": name, "seed": seed})
        for seed in own.seeds
        for name in own.trained
    ]
    changes = {name: files_flags(files[name]) for name in own.trained}
    settings = {
        slot.name: settings_of(study, changes[slot.values["trained_on"]], slot.values["seed"], slot.name)
        for slot in slots
    }
    data = settings[slots[0].name].data
    tests = {name: load_test(data, found["test"]) for name, found in files.items()}
    learnt = {
        name: splits_of(settings_of(study, changes[name], own.seeds[0], "data"), "validation") for name in own.trained
    }
    identity = {
        "kind": "transfer",
        "tests": {name: split.fingerprint for name, split in tests.items()},
        "learnt": {name: [split.fingerprint for split in splits.values()] for name, splits in learnt.items()},
    }
    store, _ = open_study(
        study, "test", slots, list(settings.values()), identity, say, base_change=changes[own.trained[0]]
    )

    def do(trial: Any) -> float:
        name = trial.user_attrs["values"]["trained_on"]
        others = {other: split for other, split in tests.items() if other != name}
        return do_trial(study, trial, learnt[name] | {"test": tests[name]}, changes[name], say=say, elsewhere=others)

    if not own.report_only:
        store.work(do)
    trials = trial_records(store.trials())
    values = {
        "base": settings[slots[0].name].public(),
        "sets": list(tests),
        "cells": cells_of(trials, list(tests)),
        "trials": trials,
    }
    found = findings(values)
    picture = matrix_drawing(values["cells"], own.trained, list(tests), "ROUGE-1 F1 × 100") if values["cells"] else None
    write_study(study.output_dir, study.name, "transfer", values, found, picture)
    return found


def files_flags(files: Mapping[str, Path]) -> dict[str, str]:
    """The files of a set as settings of a training."""
    return {f"{split}_file": str(file) for split, file in files.items()}


def load_test(data: DataSettings, file: Path) -> Any:
    """The test pairs of a set, as many as `max_test_samples` says."""
    return load_split(replace(data, test_file=file), "test")


def cells_of(trials: Sequence[Mapping[str, Any]], sets: Sequence[str]) -> list[dict[str, Any]]:
    """A record for each set that was trained on and each that was tested on.

    `value`, `low`, `high` are ROUGE-1 F1 with the interval over seeds and pairs; `from_own` is the paired difference
    from the model that was trained on the tested set itself, its p corrected by Holm's method for all cells.
    """
    scores: dict[tuple[str, str], dict[int, np.ndarray]] = {}
    for trial in trials:
        if trial["state"] == "done":
            there = {trial["trained_on"]: trial, **trial["elsewhere"]}
            for tested, record in there.items():
                by_seed = scores.setdefault((trial["trained_on"], tested), {})
                by_seed[trial["seed"]] = np.array(record["scores"][FIGURE])
    cells = []
    for (trained, tested), by_seed in scores.items():
        found = paired_difference(np.array(list(by_seed.values())))
        cell = {"trained_on": trained, "tested_on": tested, "seeds": sorted(by_seed)}
        cell |= {"value": found.value, "low": found.low, "high": found.high}
        own = scores.get((tested, tested), {})
        shared = sorted(by_seed.keys() & own.keys())
        if trained != tested and shared:
            gap = paired_difference(np.array([by_seed[seed] - own[seed] for seed in shared]))
            cell["from_own"] = {"value": gap.value, "low": gap.low, "high": gap.high, "p": gap.p}
        cells.append(cell)
    tested_gaps = [cell["from_own"] for cell in cells if "from_own" in cell]
    for gap, p in zip(tested_gaps, holm([gap["p"] for gap in tested_gaps]), strict=True):
        gap["p_holm"] = p
    return sorted(cells, key=lambda cell: (sets.index(cell["trained_on"]), sets.index(cell["tested_on"])))


def findings(values: Mapping[str, Any]) -> Findings:
    """The matrix and the paragraph; values as in study.json."""
    cells = {(cell["trained_on"], cell["tested_on"]): cell for cell in values["cells"]}
    trained = list(dict.fromkeys(name for name, _ in cells))
    rows = []
    for name in trained:
        found = [cells.get((name, tested)) for tested in values["sets"]]
        rows.append([name, *(with_interval(c["value"], c["low"], c["high"]) if c else ABSENT for c in found)])
    table = Table(["trained on", *(f"tested on {name}" for name in values["sets"])], rows)
    notes = (
        "ROUGE-1 F1 × 100 on the test pairs of each set. 95% intervals hold another draw of seeds and of pairs "
        "(two-way random effects). Summaries of the sets differ in length and kind, so columns can't be compared."
    )
    return Findings(table, _text(values["cells"]), notes)


def _text(cells: Sequence[Mapping[str, Any]]) -> str:
    gaps = [cell for cell in cells if "from_own" in cell]
    if not gaps:
        return "Too few trials are done to say anything."
    sentences = []
    for cell in gaps:
        gap = cell["from_own"]
        shown = with_interval(gap["value"], gap["low"], gap["high"], 100, 2, "+")
        small = ", small" if abs(gap["value"]) < SMALL else ""
        verdict = f"shown{small}" if gap["p_holm"] < ALPHA else "not shown to differ"
        sentences.append(f"trained on {cell['trained_on']} and tested on {cell['tested_on']} {shown} ({verdict})")
    seeds = len(gaps[0]["seeds"])
    return (
        f"Against the model that was trained on the tested set itself, ROUGE-1 is: {'; '.join(sentences)}. Differences "
        f"are called shown where p < {ALPHA} after Holm's correction for {len(gaps)}; {seeds} seeds each."
    )
