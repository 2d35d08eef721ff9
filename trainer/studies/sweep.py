"""Which combination of settings is best on the validation pairs, and whether the others are really worse."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from trainer.errors import UserError
from trainer.report.tables import Table
from trainer.runtime.figures import ABSENT, with_interval
from trainer.scoring.significance import holm
from trainer.settings.studies import TrainingStudy
from trainer.settings.training import training_parser
from trainer.studies.ablation import ALPHA, SMALL
from trainer.studies.drawings import sweep_drawing
from trainer.studies.intervals import paired_difference
from trainer.studies.store import Slot, Store
from trainer.studies.trainings import Findings, do_trial, open_study, settings_of, trial_records, write_study
from trainer.studies.trial import Pruning

FIGURE = "rouge1_fmeasure"
FEWEST = 4  # trials, for importance


def sweep(study: TrainingStudy, say: Callable[[str], None] = print) -> Findings:
    """The whole study; killed anywhere, the same call goes on."""
    own = study.own
    space = read_space(study)
    slots = slots_of(study, space)
    drawn = drawn_points(space, len(slots)) if own.sampler == "tpe" else []
    settings = [
        settings_of(study, slot.params or drawn[place % len(drawn)], slot.values["seed"], slot.name)
        for place, slot in enumerate(slots)
    ]
    # Startup by chance, then near what was good; drawn differently by each worker, or they would all draw the same.
    sampler = optuna.samplers.TPESampler(n_startup_trials=max(3, own.trials // 3)) if own.sampler == "tpe" else None
    identity = {"kind": "sweep", "space": own.space, "sampler": own.sampler, "pruner": own.pruner}
    store, splits = open_study(
        study, "validation", slots, settings, identity, say, sampler=sampler, pruner=pruner_of(own.pruner)
    )
    metric = settings[0].evaluation.metric_for_best_model

    def do(trial: optuna.Trial) -> float:
        chosen = {name: _suggest(trial, name, values) for name, values in space.items()}
        if own.sampler == "tpe" and (twin := store.twin(trial)) is not None:
            trial.set_user_attr("same_as", twin.user_attrs["slot"])
            if twin.state == TrialState.PRUNED:
                raise optuna.TrialPruned
            return twin.value
        watchers = [] if own.pruner == "none" else [Pruning(trial, metric)]
        return do_trial(study, trial, splits, chosen, watchers, say)

    if not own.report_only:
        store.work(do)
    trials = trial_records(store.trials())
    values = {
        "base": study.settings({}, own.seeds[0], study.output_dir).public(),
        "space": own.space,
        "sampler": own.sampler,
        "pruner": own.pruner,
        "points": points_of(trials),
        "importance": importance_of(store),
        "trials": trials,
    }
    found = findings(values)
    picture = (
        sweep_drawing(values["points"], space, values["importance"], "validation ROUGE-1") if values["points"] else None
    )
    write_study(study.output_dir, study.name, "sweep", values, found, picture)
    return found


def read_space(study: TrainingStudy) -> dict[str, Any]:
    """The study's space with its values as the flags of these names read them (YAML takes 3e-4 for a string)."""
    parser = training_parser()

    def read(name: str, value: Any) -> Any:
        return parser.read({name: value}, study.folder, f"study {study.own.study}")[name]

    space: dict[str, Any] = {}
    for name, values in study.own.space.items():
        if isinstance(values, list):
            space[name] = [read(name, value) for value in values]
            continue
        low, high = read(name, values["low"]), read(name, values["high"])
        if isinstance(low, str) or not low < high or (values.get("log") and low <= 0):
            raise UserError(f"space.{name} is {values!r}: low must be a number below high, and over 0 with log: true.")
        space[name] = {"low": low, "high": high, "log": bool(values.get("log"))}
    return space


def slots_of(study: TrainingStudy, space: Mapping[str, Any]) -> list[Slot]:
    """The trials: every combination (grid), so many drawn ones (random), or so many that are left to TPE."""
    own = study.own
    if own.sampler == "tpe":
        return [Slot(f"trial {number}", {"seed": own.seeds[0]}) for number in range(1, own.trials + 1)]
    if own.sampler == "grid":
        points = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
    else:
        points = drawn_points(space, own.trials)
    return [
        Slot(
            ", ".join(f"{name}={_short(value)}" for name, value in point.items()) + f", seed {seed}",
            {"seed": seed},
            point,
        )
        for seed in own.seeds
        for point in points
    ]


def drawn_points(space: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
    """Points drawn by chance, all different; the first n are the same whatever `number` is."""
    draw = np.random.default_rng(0)
    points: list[dict[str, Any]] = []
    for _ in range(100 * number):
        point = {name: _drawn(draw, values) for name, values in space.items()}
        if point not in points:
            points.append(point)
        if len(points) == number:
            break
    return points


def _drawn(draw: np.random.Generator, values: Any) -> Any:
    if isinstance(values, list):
        return values[int(draw.integers(len(values)))]
    low, high = values["low"], values["high"]
    if isinstance(low, int):
        return int(draw.integers(low, high + 1))
    if values["log"]:
        return float(np.exp(draw.uniform(math.log(low), math.log(high))))
    return float(draw.uniform(low, high))


def _suggest(trial: optuna.Trial, name: str, values: Any) -> Any:
    if isinstance(values, list):
        return trial.suggest_categorical(name, values)
    suggest = trial.suggest_int if isinstance(values["low"], int) else trial.suggest_float
    return suggest(name, values["low"], values["high"], log=values["log"])


def pruner_of(name: str) -> optuna.pruners.BasePruner | None:
    """Optuna's pruner of this name; None for none."""
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=3)
    return optuna.pruners.SuccessiveHalvingPruner(reduction_factor=3) if name == "halving" else None


def points_of(trials: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each combination that was trained to its end, the best first: mean ROUGE-1 × 100 and its distance from the best.

    The distance is paired by seeds and validation pairs, and taken only over seeds that both have.
    """
    by_point: dict[str, dict[str, Any]] = {}
    for trial in trials:
        if trial["state"] == "done" and "scores" in trial:
            one = by_point.setdefault(str(trial["params"]), {"params": trial["params"], "scores": {}})
            one["scores"][trial["seed"]] = np.array(trial["scores"][FIGURE])
    points = list(by_point.values())
    for one in points:
        one["value"] = 100 * float(np.mean([scores.mean() for scores in one["scores"].values()]))
        one["seeds"] = sorted(one["scores"])
    points.sort(key=lambda one: -one["value"])
    tested = []
    for one in points[1:]:
        seeds = [seed for seed in one["seeds"] if seed in points[0]["scores"]]
        table = np.array([one["scores"][seed] - points[0]["scores"][seed] for seed in seeds])
        if table.size > 1:
            found = paired_difference(table)
            one["from_best"] = {"value": found.value, "low": found.low, "high": found.high, "p": found.p}
            tested.append(one["from_best"])
    for record, p in zip(tested, holm([record["p"] for record in tested]), strict=True):
        record["p_holm"] = p
    return [{name: value for name, value in one.items() if name != "scores"} for one in points]


def importance_of(store: Store) -> dict[str, float]:
    """How much of the variance of the validation ROUGE each setting explains, by fANOVA (Hutter et al. 2014).

    Empty with few trials, or where all came out the same.
    """
    done = store.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < FEWEST or len({trial.value for trial in done}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    try:
        return {
            name: float(share)
            for name, share in optuna.importance.get_param_importances(store.study, evaluator=evaluator).items()
        }
    except (ValueError, RuntimeError):  # a setting that had one value only
        return {}


def findings(values: Mapping[str, Any]) -> Findings:
    """The table of combinations and the paragraph; values as in study.json."""
    points, trials = values["points"], values["trials"]
    names = list(values["space"])
    rows = []
    for one in points:
        gap = one.get("from_best")
        cell = with_interval(gap["value"], gap["low"], gap["high"], 100, 2, "+") if gap else ABSENT
        rows.append(
            [*(_short(one["params"][name]) for name in names), str(len(one["seeds"])), f"{one['value']:.2f}", cell]
        )
    table = Table([*names, "Seeds", "ROUGE-1", "from the best"], rows, texts=0)
    notes = (
        "ROUGE-1 F1 × 100 on the validation pairs, of the checkpoint that they chose, so the best row flatters itself. "
        "95% intervals of the distance from it hold another draw of pairs, and of seeds where there are several."
    )
    return Findings(table, _text(points, trials, values), notes)


def _text(points: Sequence[Mapping[str, Any]], trials: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> str:
    if not points:
        return "No trial is done, so nothing can be said."
    best = points[0]
    number = {state: sum(trial["state"] == state for trial in trials) for state in ("done", "pruned", "failed")}
    counted = ", ".join(f"{n} {state}" for state, n in number.items() if n)
    chosen = ", ".join(f"{name} {_short(value)}" for name, value in best["params"].items())
    text = (
        f"{len(trials)} trials ({counted}). Best on the validation pairs: {chosen}, with ROUGE-1 {best['value']:.2f}."
    )
    tested = [one for one in points[1:] if one.get("from_best")]
    if tested:
        worse = [one for one in tested if one["from_best"]["p_holm"] < ALPHA]
        near = [one for one in tested if one not in worse]
        text += (
            f" Of the other {len(tested)} combinations {len(worse)} are worse beyond chance (p < {ALPHA} after Holm's "
            f"correction), and {len(near)} can't be told from it"
        )
        small = sum(abs(one["from_best"]["value"]) < SMALL for one in near)
        text += f", {small} of them within one point of ROUGE-1." if near else "."
    if values["importance"]:
        shares = ", ".join(f"{name} {100 * share:.0f}%" for name, share in values["importance"].items())
        text += f" Of the variance among trials fANOVA gives {shares}."
    seeds = {seed for one in points for seed in one["seeds"]}
    if len(seeds) == 1:
        text += " With one seed a combination, what another seed would change is not known."
    return text


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
