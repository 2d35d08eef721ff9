"""Which attribution method says what the model does, and at what cost: measured on a model's own summaries.

The measures of one article are those of `trainer.attribution.faithfulness`. A method is compared with the page's
default on the articles that both have, and the methods are ranked by the mean of their ranks over five measures: what
deleting the strongest words first takes away, what putting them first into an empty article brings, the falls without
the five strongest words and without the strongest sentence, and the LDS.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, median
from typing import Any

import numpy as np
from scipy.stats import binomtest, rankdata

from trainer.attribution.faithfulness import faithfulness_of
from trainer.attribution.registry import DEFAULT_METHOD, METHODS, method
from trainer.data.load import load_split
from trainer.data.splits import Split
from trainer.errors import UserError
from trainer.report.tables import Table
from trainer.runtime.durations import spoken
from trainer.runtime.lock import FolderLock
from trainer.scoring.significance import holm
from trainer.settings.base import check_known
from trainer.settings.studies import ExplanationStudy, FaithfulnessSettings
from trainer.studies.drawings import faithfulness_drawing
from trainer.studies.explanations import ALPHA, Explained, Journal, described, each, mean_record, told
from trainer.studies.trainings import Findings, write_study

WORDS, SENTENCES = "5", "1"  # how many of the strongest are left out for the measures of falls
MEASURES: dict[str, tuple[str, Callable[[Mapping[str, Any]], float | None]]] = {
    "deletion": (
        "deletion, nats below random",
        lambda line: line["random_deletion_area"] - line["deletion_area"],
    ),
    "insertion": (
        "insertion, nats above random",
        lambda line: line["insertion_area"] - line["random_insertion_area"],
    ),
    "words": ("fall without 5 words, nats", lambda line: line["fall_without_words"].get(WORDS)),
    "sentence": ("fall without a sentence, nats", lambda line: line["fall_without_sentences"].get(SENTENCES)),
    "lds": ("LDS", lambda line: line["lds"]),
}
TITLES = {name: title for name, (title, _) in MEASURES.items()}
DIGITS = {"lds": 2}
STRICT = 0.001  # the p below which a method is said to beat random deletion


def faithfulness(study: ExplanationStudy, say: Callable[[str], None] = print) -> Findings:
    """The whole study; killed anywhere, the same call goes on with what is not measured yet."""
    own = study.own
    methods = methods_of(own)
    with FolderLock() as lock:
        study.output_dir.mkdir(parents=True, exist_ok=True)
        lock.take(study.output_dir)
        split = load_split(study.data.to_read(), study.data.split, say)
        explained = Explained.load(own.model, own.max_source_length)
        fixed = {"model": explained.record(), "seed": own.seed, "orders": own.orders, "ablations": own.ablations}
        journal = Journal(study.output_dir / "measured.jsonl", fixed)
        if not own.report_only:
            _measure(own, methods, explained, split, journal, say)
        lines = _lines(methods, split, journal)
        values = {
            **described(own, explained, split, max(map(len, lines.values()))),
            "orders": own.orders,
            "ablations": own.ablations,
            "affordable_seconds": own.affordable_seconds,
            **compared(lines, methods, own.affordable_seconds),
        }
        found = findings(values)
        write_study(
            study.output_dir, study.name, "faithfulness", values, found, faithfulness_drawing(values["methods"], TITLES)
        )
    return found


def methods_of(own: FaithfulnessSettings) -> dict[str, dict[str, Any]]:
    """Name → settings of the methods that are measured.

    Raises:
        UserError: no such method, or a setting that it does not have.
    """
    methods = own.methods or {name: {} for name in METHODS}
    for name, settings in methods.items():
        method(name, **settings)
    for name in own.first_articles:
        check_known(name, methods, "method (in first_articles)")
    return methods


def _what(name: str, settings: Mapping[str, Any]) -> str:
    return f"{name} {json.dumps(settings, sort_keys=True)}" if settings else name


def _waiting(
    own: FaithfulnessSettings, methods: Mapping[str, Mapping[str, Any]], journal: Journal, article: str, place: int
) -> dict[str, Mapping[str, Any]]:
    """The methods that are still to be measured on an article."""
    sanity = place < own.sanity_articles
    waiting = {}
    for name, settings in methods.items():
        line = journal.find(article, _what(name, settings))
        wanted = place < own.first_articles.get(name, place + 1)
        if wanted and (line is None or (sanity and line["sanity"] is None)):
            waiting[name] = settings
    return waiting


def _measure(
    own: FaithfulnessSettings,
    methods: Mapping[str, Mapping[str, Any]],
    explained: Explained,
    split: Split,
    journal: Journal,
    say: Callable[[str], None],
) -> None:
    measured = 0
    for place, example in each(split, say):
        waiting = _waiting(own, methods, journal, example.source, place)
        if not waiting:
            continue
        found = faithfulness_of(
            explained.pair(example.source),
            waiting,
            sanity=place < own.sanity_articles,
            orders=own.orders,
            ablations=own.ablations,
            seed=own.seed,
        )
        start = time.perf_counter()
        for one in found:
            taken = {"line_seconds": time.perf_counter() - start}
            journal.add(example.source, example.id, _what(one.method, waiting[one.method]), one.record() | taken)
            start = time.perf_counter()
        measured += 1
        if measured == 1:
            seconds = forecast(own, methods, split, journal)
            say(f"By the first article, what is left should take {spoken(seconds)}.")


def forecast(
    own: FaithfulnessSettings, methods: Mapping[str, Mapping[str, Any]], split: Split, journal: Journal
) -> float:
    """Seconds that what is left should take, by what each method has taken so far."""
    taken: dict[str, list[tuple[float, float]]] = {}
    for name, lines in _lines(methods, split, journal).items():
        checks = [(line["line_seconds"], line["sanity_seconds"] or 0.0) for line in lines.values()]
        taken[name] = [(seconds - check, check) for seconds, check in checks]
    seconds = 0.0
    for place, example in enumerate(split.examples):
        for name in _waiting(own, methods, journal, example.source, place):
            plain = [one for one, _ in taken[name]] or [0.0]
            checks = [check for _, check in taken[name] if check] or [0.0]
            seconds += mean(plain) + (mean(checks) if place < own.sanity_articles else 0.0)
    return seconds


def _lines(
    methods: Mapping[str, Mapping[str, Any]], split: Split, journal: Journal
) -> dict[str, dict[int, dict[str, Any]]]:
    """Method → place of the article → what was measured."""
    return {
        name: {
            place: line
            for place, example in enumerate(split.examples)
            if (line := journal.find(example.source, _what(name, settings))) is not None
        }
        for name, settings in methods.items()
    }


def compared(
    lines: Mapping[str, Mapping[int, Mapping[str, Any]]],
    methods: Mapping[str, Mapping[str, Any]],
    affordable_seconds: float,
) -> dict[str, Any]:
    """The record of each method, and which is the most faithful affordable one.

    Args:
        lines: method → place of the article → what was measured.
        methods: method → its settings.

    Raises:
        UserError: fewer than two articles are measured.
    """
    lines = {name: own for name, own in lines.items() if len(own) > 1}
    if not lines:
        raise UserError("Fewer than two articles are measured: there is nothing to report yet.")
    records = [{"method": name, "settings": methods[name], **_record(own)} for name, own in lines.items()]
    beats = holm([one["deletion"]["p"] for one in records])
    for one, p in zip(records, beats, strict=True):
        one["beats_random_p_holm"] = p if one["deletion"]["value"] > 0 else 1.0
        one["affordable"] = one["seconds"]["median"] <= affordable_seconds
    reference = DEFAULT_METHOD if DEFAULT_METHOD in lines else next(iter(lines))
    for one in records:
        one["against_default"] = {
            name: mean_record(_differences(lines[one["method"]], lines[reference], name)) for name in MEASURES
        }
    ranks = np.zeros(len(records))
    for name in MEASURES:
        values = [(one["against_default"][name] or {"value": -np.inf})["value"] for one in records]
        ranks += rankdata([-value for value in values]) / len(MEASURES)
    for one, rank in zip(records, ranks, strict=True):
        one["mean_rank"] = float(rank)
    records.sort(key=lambda one: one["mean_rank"])
    able = [one for one in records if one["affordable"] and one["beats_random_p_holm"] < STRICT]
    best = able[0]["method"] if able else None
    return {"default": reference, "best_affordable": best, "methods": records}


def _record(lines: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    every = list(lines.values())
    checked = [line["sanity"] for line in every if line["sanity"]]
    complete = [line["converged"] for line in every if line["converged"] is not None]
    record: dict[str, Any] = {name: mean_record([read(line) for line in every]) for name, (_, read) in MEASURES.items()}
    record["random_words"] = mean_record([line["random_fall_without_words"].get(WORDS) for line in every])
    record["completeness"] = None
    if complete:
        interval = binomtest(sum(complete), len(complete)).proportion_ci(method="wilson")
        errors = [line["completeness_error"] for line in every]
        record["completeness"] = {
            "n": len(complete),
            "converged": sum(complete),
            "low": interval.low,
            "high": interval.high,
            "median_error": median(errors),
            "mean_steps": mean(line["n_steps"] for line in every),
        }
    stages = checked[0] if checked else ()
    record["sanity"] = {stage: mean_record([one[stage] for one in checked]) for stage in stages}
    seconds = [line["seconds"] for line in every]
    record["seconds"] = {"median": median(seconds), "mean": mean(seconds), "most": max(seconds)}
    record["forward_passes"] = mean(line["forward_passes"] for line in every)
    record["backward_passes"] = mean(line["backward_passes"] for line in every)
    record["n"] = len(every)
    return record


def _differences(
    own: Mapping[int, Mapping[str, Any]], other: Mapping[int, Mapping[str, Any]], measure: str
) -> list[float | None]:
    read = MEASURES[measure][1]
    pairs = [(read(own[place]), read(other[place])) for place in own if place in other]
    return [None if a is None or b is None else a - b for a, b in pairs]


def findings(values: Mapping[str, Any]) -> Findings:
    """The table of methods and the paragraph; values as in study.json."""
    rows = []
    for one in values["methods"]:
        measures = [told(one[name], digits=DIGITS.get(name, 1)) for name in MEASURES]
        last = one["sanity"].get("embeddings")
        rows.append(
            [
                _name(one["method"]) + ("" if one["affordable"] else " (slow)"),
                str(one["n"]),
                *measures,
                told(last, digits=2),
                f"{one['mean_rank']:.1f}",
                f"{one['seconds']['median']:.2f}",
                f"{one['forward_passes']:.0f} + {one['backward_passes']:.0f}",
            ]
        )
    head = ["Method", "n", *TITLES.values(), "shuffled weights", "mean rank", "seconds", "passes"]
    notes = (
        "Means over articles with 95% intervals (another draw of articles), best mean rank first. Deletion and "
        f"insertion are areas between a method's curve and the mean of {values['orders']} random orders of the words. "
        f"LDS: rank correlation of predicted and actual log-odds when {values['ablations']} random halves of the "
        "sentences are read (Cohen-Wang et al. 2024). Shuffled weights: rank correlation of |scores| with those "
        "of the same model, all weights shuffled (Adebayo et al. 2018); near 0 is right. Seconds of the processor: "
        "median of the method alone, one article. Passes: forward and backward ones. Ranks compare the methods on the "
        "same articles."
    )
    return Findings(Table(head, rows), _text(values), notes)


def _text(values: Mapping[str, Any]) -> str:
    records = {one["method"]: one for one in values["methods"]}
    data, default = values["data"], records[values["default"]]
    limit = values["model"]["decoding"]["max_source_length"]
    beating = [one for one in records.values() if one["beats_random_p_holm"] < STRICT]
    sentences = [
        f"{len(records)} methods explain the summaries that {values['model']['system']} writes of {data['n']} articles "
        f"of {data['dataset']} ({limit} tokens read at most).",
        f"Deleting words in the order of the scores takes more than deleting them at random (p < {STRICT} after Holm's "
        f"correction) with {len(beating)} of them"
        + _listed("; not with", [one["method"] for one in records.values() if one not in beating])
        + ".",
    ]
    best = records.get(values["best_affordable"])
    if best:
        sentences.append(
            f"The most faithful of those that take at most {spoken(values['affordable_seconds'])} an article is "
            f"{_name(best['method'])}: mean rank {best['mean_rank']:.1f} over five measures, LDS "
            f"{told(best['lds'], digits=2)}, and without its 5 strongest words the log-probability of the summary "
            f"falls by {told(best['words'])} nats, without 5 random ones by {told(best['random_words'])}."
        )
    if best and best is not default:
        sentences.append(_against(best, default))
    complete = default["completeness"]
    if complete:
        sentences.append(
            f"The scores of {_name(default['method'])} add up to within 1% for {complete['converged']} of "
            f"{complete['n']} summaries ({100 * complete['low']:.0f} to {100 * complete['high']:.0f}%), with "
            f"{complete['mean_steps']:.0f} steps in the mean."
        )
    checked = [one for one in records.values() if one["sanity"].get("embeddings")]
    if checked:
        most = max(checked, key=lambda one: one["sanity"]["embeddings"]["value"])
        sentences.append(
            f"With all weights shuffled (on {most['sanity']['embeddings']['n']} articles) the scores of "
            f"{_name(most['method'])} still correlate with the trained model's by "
            f"{told(most['sanity']['embeddings'], digits=2)}, more than any other method's"
            + (f"; those of {_name(best['method'])} by {told(best['sanity']['embeddings'], digits=2)}" if best else "")
            + "."
        )
    return " ".join(sentences)


def _against(best: Mapping[str, Any], default: Mapping[str, Any]) -> str:
    records = {name: one for name, one in best["against_default"].items() if one}
    adjusted = holm([one["p"] for one in records.values()])
    shown = [
        f"{TITLES[name]} {told(one, digits=DIGITS.get(name, 1), sign=True)}"
        for (name, one), p in zip(records.items(), adjusted, strict=True)
        if p < ALPHA
    ]
    rest = len(records) - len(shown)
    return (
        f"Beside the page's default, {_name(default['method'])} (mean rank {default['mean_rank']:.1f}), it differs in "
        + (f"{'; '.join(shown)}" if shown else "nothing that is shown")
        + (f"; for the other {rest} measures nothing is shown." if shown and rest else ".")
    )


def _listed(before: str, names: Sequence[str]) -> str:
    return f"{before} {', '.join(map(_name, names))}" if names else ""


def _name(method_name: str) -> str:
    return method_name.replace("_", " ")
