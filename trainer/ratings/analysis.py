"""What people's ratings show: who wins how often, grades, agreement, and whether ROUGE and token F1 see the same."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from trainer.metrics.base import Figure, mean_of
from trainer.metrics.overlap import SIGNATURE as OVERLAP
from trainer.metrics.overlap import token_overlap
from trainer.metrics.rouge import ROUGE_TYPES, rouge
from trainer.ratings.agreement import alpha, coincidences
from trainer.ratings.correlation import correlations
from trainer.ratings.log import GRADES, QUESTIONS, Rating, Side, read_ratings
from trainer.runtime.environment import environment, git_commit
from trainer.runtime.files import sha256_of
from trainer.scoring.intervals import measured
from trainer.scoring.records import FigureRecord
from trainer.settings.base import public_name

CONFIDENCE = 0.95
# What a side of a comparison gets.
POINTS = {"first": (1.0, 0.0), "second": (0.0, 1.0), "tie": (0.5, 0.5)}


def ratings_record(path: Path, samples: int, seed: int) -> dict[str, Any]:
    """All figures of a file of ratings, as JSON values.

    Intervals are of the bootstrap over articles: the raters are these, and other articles might have been drawn.

    Raises:
        UserError: the file can't be read, or holds no rating.
    """
    ratings, broken = read_ratings(path)
    return {
        "ratings": public_name(path),
        "sha256": sha256_of(path),
        "n": len(ratings),
        "raters": len({one.rater for one in ratings}),
        "articles": len({one.article for one in ratings}),
        "broken_lines": broken,
        "interval": {
            "method": "bootstrap percentile over articles",
            "samples": samples,
            "seed": seed,
            "confidence": CONFIDENCE,
        },
        "commit": git_commit(),
        "environment": environment(),
        "preferences": _preferences(ratings, samples, seed),
        "grades": _grades(ratings, samples, seed),
        "agreement": _agreement(ratings, samples, seed),
        "correlations": _correlations(ratings, samples, seed),
    }


def sides(rating: Rating) -> Iterable[tuple[Side, Side, float]]:
    """Each of the two summaries, the other one, and its points: 1 for the better one, ½ each for a tie."""
    one, other = POINTS[rating.preference]
    return (rating.first, rating.second, one), (rating.second, rating.first, other)


def _preferences(ratings: Sequence[Rating], samples: int, seed: int) -> list[dict[str, Any]]:
    """Of each two systems how often the first wins, and of each system against all others ("other" is None)."""
    points: dict[tuple[str, str | None], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for rating in ratings:
        for side, other, own in sides(rating):
            for against in (None, other.system):
                points[side.system, against][rating.article].append(own)
    systems = sorted({system for system, _ in points})
    found = []
    for system, other in [*((system, None) for system in systems), *permutations(systems, 2)]:
        if (system, other) not in points:
            continue
        of_article = points[system, other]
        every = [own for one in of_article.values() for own in one]
        counts = {name: every.count(own) for name, own in (("wins", 1.0), ("ties", 0.5), ("losses", 0.0))}
        figure = _mean(of_article, "win_rate|tie:half")
        record = _measured({"win_rate": figure}, samples, seed)["win_rate"]
        found.append({"system": system, "other": other, **counts, "win_rate": asdict(record)})
    return found


def _grades(ratings: Sequence[Rating], samples: int, seed: int) -> list[dict[str, Any]]:
    """Of each system the mean grade for each question."""
    grades: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for rating in ratings:
        for side, _, _ in sides(rating):
            for question in QUESTIONS:
                grades[side.system][question][rating.article].append(getattr(side, question))
    found = []
    for system, of_question in sorted(grades.items()):
        figures = {question: _mean(of_question[question], f"{question}|grade:1-5") for question in QUESTIONS}
        records = _measured(figures, samples, seed)
        found.append({"system": system, **{question: asdict(record) for question, record in records.items()}})
    return found


def _agreement(ratings: Sequence[Rating], samples: int, seed: int) -> list[dict[str, Any]]:
    """Krippendorff's alpha of the preference and of each question; what is rated is a summary in a comparison."""
    systems = {name: place for place, name in enumerate(sorted({s.system for r in ratings for s, _, _ in sides(r)}))}
    units: dict[str, dict[str, dict[Any, list[int]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for rating in ratings:
        better = {"first": rating.first.system, "second": rating.second.system}.get(rating.preference)
        value = len(systems) if better is None else systems[better]
        units["preference"][rating.article][rating.pair].append(value)
        for side, _, _ in sides(rating):
            for question in QUESTIONS:
                grade = getattr(side, question) - GRADES[0]
                units[question][rating.article][rating.pair, side.system].append(grade)
    found = []
    for name in ("preference", *QUESTIONS):
        ordinal = name in QUESTIONS
        values = len(GRADES) if ordinal else len(systems) + 1
        rows = np.array([coincidences(list(one.values()), values).ravel() for one in units[name].values()])
        combine = alpha(values, ordinal)
        scale = "ordinal" if ordinal else "nominal"
        several = [len(unit) for one in units[name].values() for unit in one.values() if len(unit) > 1]
        # An article that nobody else rated defines nothing.
        per_example = np.where(rows.sum(axis=1) > 0, 0.0, np.nan)
        figure = Figure(rows, combine, f"krippendorff_alpha|difference:{scale}", per_example)
        record = _measured({name: figure}, samples, seed)[name]
        found.append({"rating": name, "units": len(several), "judgements": sum(several), "alpha": asdict(record)})
    return found


def _correlations(ratings: Sequence[Rating], samples: int, seed: int) -> list[dict[str, Any]]:
    """Of the means of a summary's ratings with its scores against the reference; references themselves are left out."""
    given: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    references: dict[tuple[str, str, str], str] = {}
    for rating in ratings:
        for side, _, own in sides(rating):
            if rating.reference and side.summary != rating.reference:
                summary = (rating.article, side.system, side.summary)
                references[summary] = rating.reference
                given[summary]["preference"].append(own)
                for question in QUESTIONS:
                    given[summary][question].append(getattr(side, question))
    if not given:
        return []
    texts = [text for *_, text in given]
    scores = rouge(texts, list(references.values()))
    columns = {f"{kind}_fmeasure": (scores.values[kind][:, 2], scores.signatures[kind]) for kind in ROUGE_TYPES} | {
        "overlap_fmeasure": (
            np.array([token_overlap(t, r)[2] for t, r in zip(texts, references.values(), strict=True)]),
            OVERLAP,
        )
    }
    _, articles = np.unique([article for article, *_ in given], return_inverse=True)
    found = []
    for name in ("preference", *QUESTIONS):
        people = np.array([np.mean(one[name]) for one in given.values()])
        for metric, (values, signature) in columns.items():
            records = correlations(people, values, articles, samples, seed, CONFIDENCE)
            row = {"rating": name, "metric": metric, "metric_signature": signature}
            found.append(row | {kind: asdict(record) for kind, record in records.items()})
    return found


def _mean(of_article: dict[str, list[float]], signature: str) -> Figure:
    """The mean of all ratings, in which an article with more of them counts more."""
    rows = np.array([[sum(values), len(values)] for values in of_article.values()])
    return Figure(rows, mean_of([0.0], "").combine, signature, rows[:, 0] / rows[:, 1])


def _measured(figures: dict[str, Figure], samples: int, seed: int) -> dict[str, FigureRecord]:
    return measured(figures, samples, seed, CONFIDENCE)
