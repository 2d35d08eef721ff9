"""What each part is good for: a base, and the same with one thing changed, several seeds each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from trainer.data.load import load_split
from trainer.data.splits import Split
from trainer.report.tables import Table
from trainer.runtime.figures import ABSENT, with_interval
from trainer.scoring.significance import holm
from trainer.settings.groups import DataSettings
from trainer.settings.robust import parse_noises
from trainer.settings.studies import BASE, TrainingStudy
from trainer.settings.training import Settings
from trainer.studies.drawings import differences_drawing
from trainer.studies.intervals import Difference, paired_difference
from trainer.studies.robustness import change_all, label_of
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
NOISE_SEED = 42  # of the noise in test articles: the same for every trial
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
    learnt = {
        change: load_split(example.data, "train")
        for change, example in zip(changes, examples, strict=False)
        if learns_other_pairs(example.data, examples[0].data)
    }
    noisy = noisy_tests(study.own.test_noise or "", examples[0])
    parts = {"learnt": learnt, "noisy": noisy}
    identity = {name: {key: one.fingerprint for key, one in part.items()} for name, part in parts.items() if part}
    store, splits = open_study(study, "test", slots, examples, {"kind": "ablation", **identity}, say)

    def do(trial: Any) -> float:
        values = trial.user_attrs["values"]
        pairs = splits | {"train": learnt.get(values["change"], splits["train"])}
        return do_trial(study, trial, pairs, values["settings"], say=say, elsewhere=noisy)

    if not study.own.report_only:
        store.work(do)
    trials = trial_records(store.trials())
    compared = comparisons(trials)
    values = {"base": examples[0].public(), "planned": len(slots), "comparisons": compared, "trials": trials}
    found = findings(values)
    figures = figures_of(trials)
    shown = ("rouge1_fmeasure", *noisy) if noisy else ("rouge1_fmeasure", "validation_loss")
    drawing = differences_drawing(compared, figures, [name for name in shown if name in figures])
    write_study(study.output_dir, study.name, "ablation", values, found, drawing)
    return found


def learns_other_pairs(data: DataSettings, base: DataSettings) -> bool:
    """Whether a change reads other training pairs than the base."""
    return (data.mixed, data.max_train_samples) != (base.mixed, base.max_train_samples)


def noisy_tests(noise: str, base: Settings) -> dict[str, Split]:
    """Name of each noise → the held-out pairs with it in their articles."""
    noises = parse_noises(noise, "--test_noise")
    if not noises:
        return {}
    held_out = load_split(base.data, base.data.splits[-1])
    return {
        label_of(kind, strength): replace(
            held_out,
            examples=[
                replace(pair, source=changed.text)
                for pair, changed in zip(
                    held_out.examples, change_all(held_out.examples, kind, strength, NOISE_SEED), strict=True
                )
            ],
        )
        for kind, strength in noises
    }


def figures_of(trials: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, float, int]]:
    """`FIGURES`, and the ROUGE-1 with each noise that the trials were tested with."""
    noises = dict.fromkeys(label for trial in trials for label in trial.get("elsewhere", {}))
    return FIGURES | {label: (f"ROUGE-1 ({label})", 100, 2) for label in noises}


def comparisons(trials: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each change against the base of the same seeds: paired differences of ROUGE F1 and of the validation loss.

    p-values are corrected by Holm's method for the number of changes, each figure by itself.
    """
    done: dict[str, dict[int, Mapping[str, Any]]] = {}
    for trial in trials:
        if trial["state"] == "done":
            done.setdefault(trial["change"], {})[trial["seed"]] = trial
    base = done.get(BASE, {})
    figures = figures_of(trials)
    found = []
    for change, by_seed in done.items():
        seeds = sorted(by_seed.keys() & base.keys())
        if change == BASE or not seeds:
            continue
        one = {"change": change, "settings": by_seed[seeds[0]]["settings"], "seeds": seeds}
        for figure in figures:
            table = np.array([_values(by_seed[seed], figure) - _values(base[seed], figure) for seed in seeds])
            one[figure] = _record(paired_difference(table)) if table.size > 1 else None
        found.append(one)
    for figure in figures:
        tested = [one[figure] for one in found if one[figure]]
        for record, p in zip(tested, holm([record["p"] for record in tested]), strict=True):
            record["p_holm"] = p
    return found


def _values(trial: Mapping[str, Any], figure: str) -> np.ndarray:
    """The figure of each held-out pair, or the one number that there is of the loss at the chosen checkpoint."""
    if figure in trial["scores"]:
        return np.array(trial["scores"][figure])
    if figure in trial.get("elsewhere", {}):
        return np.array(trial["elsewhere"][figure]["scores"]["rouge1_fmeasure"])
    training = trial["training"]
    return np.array([one["loss"] for one in training["evaluations"] if one["step"] == training["best_step"]][:1])


def _record(found: Difference) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "p": found.p}


def findings(values: Mapping[str, Any]) -> Findings:
    """The table of differences and the paragraph; values as in study.json."""
    compared, figures = values["comparisons"], figures_of(values["trials"])
    bases = [trial for trial in values["trials"] if trial["state"] == "done" and trial["change"] == BASE]
    rows = [
        [
            BASE,
            str(len(bases)),
            *(_mean(bases, name, figures) for name in figures),
        ]
    ]
    for one in compared:
        rows.append([one["change"], str(len(one["seeds"])), *(_cell(one[name], figures[name]) for name in figures)])
    for trial in values["trials"]:
        if trial["state"] == "failed":
            rows.append([f"{trial['name']}: failed", *[ABSENT] * (len(figures) + 1)])
    table = Table(["Change", "Seeds", *(f"Δ {title}" for title, _, _ in figures.values())], rows)
    notes = (
        "The first row is the base itself, the others are differences from it: ROUGE F1 × 100 on the held-out pairs, "
        "and the validation loss in nats a token (lower is better). 95% intervals hold both another draw of seeds and "
        "of pairs (two-way random effects); those of the loss hold seeds alone."
    )
    notes += _sizes(values["trials"])
    done = sum(trial["state"] == "done" for trial in values["trials"])
    unfinished = f"{done} of {values['planned']} trials are done. " if done < values["planned"] else ""
    return Findings(table, unfinished + _text(compared, bases, figures), notes)


def _sizes(trials: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on the changes whose models have more or fewer weights than the base's."""
    sizes = {one["change"]: one["training"]["parameters"] for one in trials if one["state"] == "done"}
    other = {change: size for change, size in sizes.items() if size != sizes.get(BASE)}
    if BASE not in sizes or not other:
        return ""
    listed = "; ".join(f"{change} {size / 1e6:.2f}" for change, size in other.items())
    return f" Millions of weights, where they are not those of the base ({sizes[BASE] / 1e6:.2f}): {listed}."


def _mean(trials: Sequence[Mapping[str, Any]], name: str, figures: Mapping[str, tuple[str, float, int]]) -> str:
    _, factor, digits = figures[name]
    if not trials:
        return ABSENT
    return f"{factor * np.mean([_values(trial, name).mean() for trial in trials]):.{digits}f}"


def _cell(record: Mapping[str, Any] | None, figure: tuple[str, float, int]) -> str:
    _, factor, digits = figure
    if record is None:
        return ABSENT
    return with_interval(record["value"], record["low"], record["high"], factor, digits, "+")


def _text(
    compared: Sequence[Mapping[str, Any]],
    bases: Sequence[Mapping[str, Any]],
    figures: Mapping[str, tuple[str, float, int]],
) -> str:
    if not bases or not compared:
        return "Too few trials are done to say anything."
    data, training = bases[0]["data"], bases[0]["training"]
    n_seeds, most = len(bases), max(len(one["seeds"]) for one in compared)
    sentences = [
        f"The base, {training['parameters'] / 1e6:.1f} million weights after {training['steps']} steps of "
        f"{training['pairs_per_step']} pairs, has ROUGE-1 {_mean(bases, 'rouge1_fmeasure', figures)} on {data['n']} "
        f"held-out pairs of {data['dataset']} (mean of {n_seeds} seed{'s' if n_seeds > 1 else ''})."
    ]
    noises = [name for name in figures if name not in FIGURES]
    if noises:
        listed = ", ".join(f"{_mean(bases, name, figures)} with {name}" for name in noises)
        sentences.append(f"On the same pairs with noise in their articles it has {listed}.")
    for name in ("rouge1_fmeasure", *noises, "validation_loss"):
        sentences.append(_sentence(compared, name, figures[name]))
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


def _sentence(compared: Sequence[Mapping[str, Any]], name: str, figure: tuple[str, float, int]) -> str:
    """Which changes move a figure beyond chance, and how large a difference would have gone unseen."""
    title, factor, digits = figure
    tested = [one for one in compared if one[name]]
    if not tested:
        return f"One seed says nothing of the {title}."
    seen = [one for one in tested if one[name]["p_holm"] < ALPHA]
    seen.sort(key=lambda one: -abs(one[name]["value"]))
    parts = [
        f"{one['change']} ({_cell(one[name], figure)}"
        + (", small" if name != "validation_loss" and abs(one[name]["value"]) < SMALL else "")
        + ")"
        for one in seen
    ]
    rest = [one[name] for one in tested if one not in seen]
    text = f"Of {len(tested)} changes, "
    text += (
        f"{len(seen)} move{'s' if len(seen) == 1 else ''} {title} beyond chance (p < {ALPHA} after Holm's correction)"
    )
    text += f": {'; '.join(parts)}." if parts else "."
    if rest:
        half = factor * float(np.median([(record["high"] - record["low"]) / 2 for record in rest]))
        text += f" For the other {len(rest)} nothing is shown: differences below about {half:.{digits}f} go unseen."
    return text
