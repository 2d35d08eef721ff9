"""One trial: a real training by the code of trainer/train.py, scored on pairs that it did not learn, as a record."""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import optuna
from transformers import TrainerCallback

from trainer.data.load import load_split
from trainer.data.splits import Split
from trainer.models.start import start_model
from trainer.runtime.environment import git_commit
from trainer.runtime.lock import FolderLock
from trainer.scoring.records import Evaluation, Results
from trainer.settings.training import Settings
from trainer.training.checkpoints import TrainingRun
from trainer.training.finish import finish, score
from trainer.training.fit import fit
from trainer.training.stops import explained

# The examples' own scores that a record keeps, so that trials can be compared pair by pair.
SCORES = ("rouge1_fmeasure", "rouge2_fmeasure", "rougeL_fmeasure")
DIGITS = 5


class Pruning(TrainerCallback):
    """Tells Optuna the validation ROUGE after each evaluation, and ends the training where Optuna says so."""

    def __init__(self, trial: optuna.Trial, metric: str):
        self.trial, self.metric = trial, metric

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        self.trial.report(metrics[f"eval_{self.metric}"], state.global_step)
        if self.trial.should_prune() and state.global_step < state.max_steps:
            raise optuna.TrialPruned


def splits_of(settings: Settings, held_out: str) -> dict[str, Split]:
    """The training and validation pairs, and the test pairs where `held_out` is "test" and there are any."""
    names = [name for name in settings.data.splits if name != "test" or held_out == "test"]
    return {name: load_split(settings.data, name) for name in names}


def run_trial(
    settings: Settings,
    splits: Mapping[str, Split],
    watchers: Sequence[TrainerCallback] = (),
    keep: bool = False,
    elsewhere: Mapping[str, Split] | None = None,
) -> dict[str, Any]:
    """Trains, scores and returns the record; a trial that was killed goes on from its last checkpoint.

    What training prints goes to log.txt in the run's folder, which is deleted at the end unless `keep`.

    Returns:
        JSON values: `training` (what training did), `figures` (name → value and interval), `scores` (name of a ROUGE
        F1 → its value for each held-out pair), `data` (of these pairs), `seconds` of all, `commit`, `model`; and
        `elsewhere` (name → `figures`, `scores` and `data` on other splits, where any were given).

    Raises:
        UserError: the training can't be done, or came to no end.
        optuna.TrialPruned: a watcher ended it.
    """
    began = time.monotonic()
    with FolderLock() as lock:
        run = TrainingRun.open(settings, say=lambda _: None)
        lock.take(run.folder)
        with (run.folder / "log.txt").open("a", encoding="utf-8") as log, redirect_stdout(log), explained(settings):
            run.check_data({name: splits[name].fingerprint for name in ("train", "validation")})
            if not run.finished:
                texts = [text for pair in splits["train"].examples for text in (pair.source, pair.target)]
                model, tokenizer, revision = start_model(settings, run.vocabulary, texts)
                if run.trained is None:
                    fit(settings, run, model, tokenizer, splits["train"], splits["validation"], watchers)
                finish(settings, run, splits, revision)
            record = record_of(run)
            if elsewhere:
                record["elsewhere"] = {}
                for name, split in elsewhere.items():
                    (evaluation, *_), _ = score(settings, run, run.model, split)
                    record["elsewhere"][name] = scored(evaluation, run)
        if not keep:
            shutil.rmtree(run.folder)
    return record | {"seconds": round(time.monotonic() - began, 1)}


def record_of(run: TrainingRun) -> dict[str, Any]:
    """What is kept of a finished run."""
    results = Results.load(run.model / "results.json")
    evaluation = results.evaluations[0]
    return scored(evaluation, run) | {
        "training": {name: value for name, value in results.training.items() if name not in ("splits", "language")},
        "model": evaluation.model,
        "commit": git_commit(),
        "environment": results.environment,
    }


def scored(evaluation: Evaluation, run: TrainingRun) -> dict[str, Any]:
    """Figures of the trained model on the pairs that it was scored on last, and those pairs' own scores."""
    lines = [json.loads(line) for line in (run.folder / "predictions.jsonl").read_text("utf-8").splitlines()]
    rows = [line for line in lines if line["system"] == evaluation.system]
    return {
        "figures": {
            name: [figure.value, figure.low, figure.high, figure.signature]
            for name, figure in evaluation.metrics.items()
            if name in (*SCORES, "summary_words", "unfinished_share")
        },
        "scores": {name: [round(row["scores"][name], DIGITS) for row in rows] for name in SCORES},
        "data": evaluation.data,
    }


def folder_of(output_dir: Path, name: str) -> Path:
    """Where the trial of this name trains."""
    plain = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
    return output_dir / "trials" / plain
