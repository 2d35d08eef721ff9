"""What every study of trainings does: forecast, trials shared among workers, and the files that are drawn from them."""

import io
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from trainer.data.splits import Split
from trainer.errors import UserError
from trainer.models.start import start_model
from trainer.report.tables import Table, markdown_table
from trainer.runtime.durations import spoken
from trainer.runtime.files import write_atomically, write_json
from trainer.settings.studies import TrainingStudy
from trainer.settings.training import DATA_FILES, HARMLESS, USUAL, Settings
from trainer.studies.store import Slot, Store
from trainer.studies.trial import folder_of, run_trial, splits_of
from trainer.training.checkpoints import TrainingRun
from trainer.training.fit import build_trainer
from trainer.training.forecast import measure
from trainer.training.plan import Plan

SCHEMA = 1
STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def settings_of(study: TrainingStudy, change: Mapping[str, Any], seed: int, name: str) -> Settings:
    """The settings of the trial of this name."""
    return study.settings(change, seed, folder_of(study.output_dir, name))


def open_study(
    study: TrainingStudy,
    held_out: str,
    slots: Sequence[Slot],
    examples: Sequence[Settings],
    identity: Mapping[str, Any],
    say: Callable[[str], None] = print,
    base_change: Mapping[str, Any] | None = None,
    **optuna_parts: Any,
) -> tuple[Store, dict[str, Split]]:
    """The study's store with its trials entered, and the pairs; says beforehand what the trials will cost.

    Args:
        held_out: on what finished models are scored: "test" (validation where there is no test split) or "validation".
        examples: settings of trials, for the forecast.
        identity: what all trials share beside the base's settings and data.
        base_change: what the base needs beside the study's settings, so that it can be trained.
        optuna_parts: `sampler` and `pruner`.
    """
    base = settings_of(study, base_change or {}, study.own.seeds[0], f"forecast-{os.getpid()}")
    splits = splits_of(base, held_out)
    study.output_dir.mkdir(parents=True, exist_ok=True)
    store = Store(study.storage, study.name, study.output_dir, 60 * study.own.stale_minutes, **optuna_parts)
    shared = {group: _shared(values) for group, values in base.public().items() if group not in ("hub", "run")}
    data = {name: split.fingerprint for name, split in splits.items()}
    usual = {"base": {group: _shared(values) for group, values in USUAL.items()}}
    store.plan(slots, {"base": shared, "data": data, **identity}, study.own.retry_failed, usual)
    waiting = len(store.waiting())
    done = [trial.user_attrs["record"]["seconds"] for trial in store.trials() if "record" in trial.user_attrs]
    say(f"{len(slots)} trials, {len(done)} of them done, {waiting} to be begun.")
    if study.own.report_only or not waiting:
        return store, splits
    if done:
        each = float(np.mean(done))
        say(f"A trial has taken {spoken(each)} so far: {spoken(waiting * each)} are left for one worker.")
    else:
        total = forecast_seconds(base, splits, examples)
        say(f"Measured on the base, all that should take {spoken(total)} for one worker, less with several.")
    return store, splits


def _shared(values: Mapping[str, Any]) -> dict[str, Any]:
    """What two workers must agree on; where their files lie is their own, what is in them is not."""
    own = (*DATA_FILES, "seed")
    return {name: value for name, value in values.items() if name not in HARMLESS and name not in own}


def forecast_seconds(base: Settings, splits: Mapping[str, Split], trials: Sequence[Settings]) -> float:
    """Seconds that the trials should take, from a few real steps and one real batch of summaries of the base.

    A change of the model or of lengths is taken to cost what the base costs.
    """
    folder = base.output_dir
    shutil.rmtree(folder, ignore_errors=True)
    run = TrainingRun.open(base)
    try:
        texts = [text for pair in splits["train"].examples for text in (pair.source, pair.target)]
        model, tokenizer, _ = start_model(base, run.vocabulary, texts)
        with redirect_stdout(io.StringIO()):  # its notes stand in each trial's log
            trainer = build_trainer(base, run, model, tokenizer, splits["train"], splits["validation"])
        found = measure(trainer)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    per_pair = found.step_seconds / Plan.of(base, len(splits["train"])).batch_size
    held_out = len(splits.get("test", splits["validation"]))
    seconds = 0.0
    for settings in trials:
        plan = Plan.of(settings, len(splits["train"]))
        articles = plan.evaluations * len(trainer.validation) + held_out
        seconds += plan.steps * plan.batch_size * per_pair + articles * found.article_seconds
    return seconds


def do_trial(
    study: TrainingStudy,
    trial: optuna.Trial,
    splits: Mapping[str, Split],
    change: Mapping[str, Any],
    watchers: Sequence[Any] = (),
    say: Callable[[str], None] = print,
    elsewhere: Mapping[str, Split] | None = None,
) -> float:
    """Trains the trial's settings, writes its record into the store and returns its best validation ROUGE."""
    name, seed = trial.user_attrs["slot"], trial.user_attrs["values"]["seed"]
    settings = settings_of(study, change, seed, name)
    say(f"{name} …")
    try:
        record = run_trial(settings, splits, watchers, study.own.keep_models, elsewhere)
    except optuna.TrialPruned:
        shutil.rmtree(settings.output_dir, ignore_errors=True)
        say(f"{name}: ended early, it was behind the others.")
        raise
    except UserError as error:
        say(f"{name} failed: {error}")
        raise
    trial.set_user_attr("record", record)
    figures = " ".join(
        f"{100 * record['figures'][f'{kind}_fmeasure'][0]:.2f}" for kind in ("rouge1", "rouge2", "rougeL")
    )
    say(f"{name}: ROUGE-1/2/L {figures} on {record['data']['n']} held-out pairs, {spoken(record['seconds'])}")
    return record["training"]["best_value"]


def trial_records(trials: Sequence[FrozenTrial]) -> list[dict[str, Any]]:
    """The trials for study.json."""
    return [
        {
            "name": trial.user_attrs["slot"],
            "state": STATES[trial.state],
            **trial.user_attrs["values"],
            **({"params": trial.params} if trial.params else {}),
            **{name: trial.user_attrs[name] for name in ("error", "same_as") if name in trial.user_attrs},
            **trial.user_attrs.get("record", {}),
        }
        for trial in trials
    ]


def write_study(
    folder: Path, name: str, kind: str, values: Mapping[str, Any], parts: "Findings", svg: str | None
) -> None:
    """Writes study.json, study.svg (where there is something to draw) and study.md.

    Args:
        values: what stands in study.json beside schema, kind and findings.
    """
    write_json(
        folder / "study.json",
        {"schema": SCHEMA, "kind": kind, "study": name, **values, "findings": parts.text},
    )
    if svg is not None:
        write_atomically(folder / "study.svg", svg)
    write_atomically(folder / "study.md", parts.markdown(name, kind, svg is not None))


class Findings:
    """The table of a study and what can be said of it.

    Args:
        text: sentences drawn from the records.
        notes: how the figures were made.
    """

    def __init__(self, table: Table, text: str, notes: str):
        self.table, self.text, self.notes = table, text, notes

    def markdown(self, name: str, kind: str, drawn: bool = True) -> str:
        """The page; `drawn` where study.svg lies beside it."""
        parts = [f"# {kind.capitalize()}: {name}", self.text, markdown_table(self.table), self.notes]
        return "\n\n".join(parts + [f"![{kind}](study.svg)"] * drawn) + "\n"
