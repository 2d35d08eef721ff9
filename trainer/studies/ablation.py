"""What each part is good for: a base, and the same with one thing changed, several seeds each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trainer.report.tables import Table
from trainer.runtime.figures import ABSENT, with_interval
from trainer.scoring.significance import holm
from trainer.settings.studies import BASE, TrainingStudy
from trainer.studies.drawings import differences_drawing
from trainer.studies.intervals import Difference, paired_difference
from trainer.studies.store import Slot
from trainer.studies.trainings import (
    Findings,
    do_trial,
    open_study,
    settings_of,
    trial_records,
    write_study,
)

# Figures that are compared: title, factor for people, digits.
FIGURES = {
    "rouge1_fmeasure": ("ROUGE-1", 100, 2),
    "rouge2_fmeasure": ("ROUGE-2", 100, 2),
    "rougeL_fmeasure": ("ROUGE-L", 100, 2),
    "validation_loss": ("validation loss", 1, 3),
}
ALPHA = 0.05
SMALL = 0.01  # a difference of ROUGE F1 below one point is called small


def ablate(study: TrainingStudy, say: Callable[[str], None] = print) -> Findings:
    """The whole study; killed anywhere, the same call goes on."""
    changes = {BASE: {}, **study.own.changes}
    slots = [
        Slot(f"{change}, seed {seed}", {"change": change, "seed": seed, "settings": settings})
        for seed in study.own.seeds
        for change, settings in changes.items()
    ]
    examples = [settings_of(study, slot.values["settings"], slot.values["seed"], slot.name) for slot in slots]
    store, splits = open_study(study, "test", slots, examples, {"kind": "ablation"}, say)
    if not study.own.report_only:
        store.work(lambda trial: do_trial(study, trial, splits, trial.user_attrs["values"]["settings"], say=say))
    trials = trial_records(store.trials())
    compared = comparisons(trials)
    values = {"base": examples[0].public(), "planned": len(slots), "comparisons": compared, "trials": trials}
    found = findings(values)
    write_study(study.output_dir, study.name, "ablation", values, found, differences_drawing(compared, FIGURES))
    return found


def comparisons(trials: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each change against the base of the same seeds: paired differences of ROUGE F1 and of the validation loss.

    p-values are corrected by Holm's method for the number of changes, each figure by itself.
    """
    done: dict[str, dict[int, Mapping[str, Any]]] = {}
    for trial in trials:
        if trial["state"] == "done":
            done.setdefault(trial["change"], {})[trial["seed"]] = trial
    base = done.get(BASE, {})
    found = []
    for change, by_seed in done.items():
        seeds = sorted(by_seed.keys() & base.keys())
        if change == BASE or not seeds:
            continue
        one = {"change": change, "settings": by_seed[seeds[0]]["settings"], "seeds": seeds}
        for figure in FIGURES:
            table = np.array([_values(by_seed[seed], figure) - _values(base[seed], figure) for seed in seeds])
            one[figure] = _record(paired_difference(table)) if table.size > 1 else None
        found.append(one)
    for figure in FIGURES:
        tested = [one[figure] for one in found if one[figure]]
        for record, p in zip(tested, holm([record["p"] for record in tested]), strict=True):
            record["p_holm"] = p
    return found


def _values(trial: Mapping[str, Any], figure: str) -> np.ndarray:
    """The figure of each held-out pair, or the one number that there is of the loss at the chosen checkpoint."""
    if figure != "validation_loss":
        return np.array(trial["scores"][figure])
    training = trial["training"]
    return np.array([one["loss"] for one in training["evaluations"] if one["step"] == training["best_step"]][:1])


def _record(found: Difference) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "p": found.p}


def findings(values: Mapping[str, Any]) -> Findings:
    """The table of differences and the paragraph; values as in study.json."""
    compared = values["comparisons"]
    bases = [trial for trial in values["trials"] if trial["state"] == "done" and trial["change"] == BASE]
    rows = [
        [
            BASE,
            str(len(bases)),
            *(_mean(bases, figure) for figure in FIGURES),
        ]
    ]
    for one in compared:
        rows.append([one["change"], str(len(one["seeds"])), *(_cell(one[name], name) for name in FIGURES)])
    for trial in values["trials"]:
        if trial["state"] == "failed":
            rows.append([f"{trial['name']}: failed", *[ABSENT] * (len(FIGURES) + 1)])
    table = Table(["Change", "Seeds", *(f"Δ {title}" for title, _, _ in FIGURES.values())], rows)
    notes = (
        "The first row is the base itself, the others are differences from it: ROUGE F1 × 100 on the held-out pairs, "
        "and the validation loss in nats a token (lower is better). 95% intervals hold both another draw of seeds and "
        "of pairs (two-way random effects); those of the loss hold seeds alone."
    )
    done = sum(trial["state"] == "done" for trial in values["trials"])
    unfinished = f"{done} of {values['planned']} trials are done. " if done < values["planned"] else ""
    return Findings(table, unfinished + _text(compared, bases), notes)


def _mean(trials: Sequence[Mapping[str, Any]], figure: str) -> str:
    _, factor, digits = FIGURES[figure]
    if not trials:
        return ABSENT
    return f"{factor * np.mean([_values(trial, figure).mean() for trial in trials]):.{digits}f}"


def _cell(record: Mapping[str, Any] | None, figure: str) -> str:
    _, factor, digits = FIGURES[figure]
    if record is None:
        return ABSENT
    return with_interval(record["value"], record["low"], record["high"], factor, digits, "+")


def _text(compared: Sequence[Mapping[str, Any]], bases: Sequence[Mapping[str, Any]]) -> str:
    if not bases or not compared:
        return "Too few trials are done to say anything."
    data, training = bases[0]["data"], bases[0]["training"]
    n_seeds, most = len(bases), max(len(one["seeds"]) for one in compared)
    sentences = [
        f"The base, {training['parameters'] / 1e6:.1f} million weights after {training['steps']} steps of "
        f"{training['pairs_per_step']} pairs, has ROUGE-1 {_mean(bases, 'rouge1_fmeasure')} on {data['n']} held-out "
        f"pairs of {data['dataset']} (mean of {n_seeds} seed{'s' if n_seeds > 1 else ''})."
    ]
    for figure in ("rouge1_fmeasure", "validation_loss"):
        sentences.append(_sentence(compared, figure))
    single = sum(len(one["seeds"]) == 1 for one in compared)
    if single:
        sentences.append(
            f"{single} of the {len(compared)} comparisons have one seed: their intervals are about other pairs alone, "
            "and what another seed would change is not known."
        )
    sentences.append(
        "This is one small model and little data: a part that shows no effect here may have one in a larger model, "
        f"and {most} seed{'s' if most > 1 else ''} and {data['n']} pairs see no small effects."
    )
    return " ".join(sentences)


def _sentence(compared: Sequence[Mapping[str, Any]], figure: str) -> str:
    """Which changes move a figure beyond chance, and how large a difference would have gone unseen."""
    title, factor, digits = FIGURES[figure]
    tested = [one for one in compared if one[figure]]
    if not tested:
        return f"One seed says nothing of the {title}."
    seen = [one for one in tested if one[figure]["p_holm"] < ALPHA]
    seen.sort(key=lambda one: -abs(one[figure]["value"]))
    parts = [
        f"{one['change']} ({_cell(one[figure], figure)}"
        + (", small" if figure != "validation_loss" and abs(one[figure]["value"]) < SMALL else "")
        + ")"
        for one in seen
    ]
    rest = [one[figure] for one in tested if one not in seen]
    text = f"Of {len(tested)} changes, "
    text += (
        f"{len(seen)} move{'s' if len(seen) == 1 else ''} {title} beyond chance (p < {ALPHA} after Holm's correction)"
    )
    text += f": {'; '.join(parts)}." if parts else "."
    if rest:
        half = factor * float(np.median([(record["high"] - record["low"]) / 2 for record in rest]))
        text += f" For the other {len(rest)} nothing is shown: differences below about {half:.{digits}f} go unseen."
    return text
