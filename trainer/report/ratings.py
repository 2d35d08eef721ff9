"""People's ratings as tables, from the record that trainer/eval.py --ratings writes."""

from collections.abc import Sequence
from typing import Any

from trainer.metrics.rouge import ROUGE_TYPES
from trainer.ratings.log import QUESTIONS
from trainer.report.tables import Table, markdown_table
from trainer.runtime.figures import with_interval
from trainer.scoring.records import ROUGE_TITLES, text_table

_METRICS = {f"{kind}_fmeasure": ROUGE_TITLES[kind] for kind in ROUGE_TYPES} | {"overlap_fmeasure": "Token F1"}


def ratings_text(record: dict[str, Any], markdown: bool = False) -> str:
    """The tables with a sentence each, for the terminal or in Markdown."""
    parts = [_about(record)]
    for text, table in _tables(record):
        shown = markdown_table(table) if markdown else text_table(table.head, table.rows)
        parts += [text, shown]
    return "\n\n".join(parts)


def _about(record: dict[str, Any]) -> str:
    broken = record["broken_lines"]
    lines = f" {broken} broken line{'s were' if broken > 1 else ' was'} passed over." if broken else ""
    interval = record["interval"]
    return (
        f"{record['n']:,} comparisons of {record['articles']:,} articles by {record['raters']:,} raters.{lines} "
        f"{100 * interval['confidence']:g}% intervals by {interval['method']}, {interval['samples']:,} samples, seed "
        f"{interval['seed']}."
    )


def _tables(record: dict[str, Any]) -> list[tuple[str, Table]]:
    preferences = Table(
        ["System", "Against", "Won, % (a tie is half)", "Won", "Tie", "Lost"],
        [
            [one["system"], one["other"] or "all others", _cell(one["win_rate"], 100, 1)]
            + [f"{one[name]:,}" for name in ("wins", "ties", "losses")]
            for one in record["preferences"]
        ],
        texts=2,
    )
    grades = Table(
        ["System", *(question.capitalize() for question in QUESTIONS)],
        [[one["system"], *(_cell(one[question]) for question in QUESTIONS)] for one in record["grades"]],
    )
    agreement = Table(
        ["Rating", "Krippendorff’s alpha", "Rated by several"],
        [[one["rating"].capitalize(), _cell(one["alpha"]), f"{one['units']:,}"] for one in record["agreement"]],
    )
    found = [
        ("How often people found a system’s summary better.", preferences),
        ("Mean grades from 1 to 5.", grades),
        (
            "Agreement of the raters: 1 is full, 0 what chance gives; – where nothing was rated by several, or all "
            "ratings are equal.",
            agreement,
        ),
    ]
    if record["correlations"]:
        found.append((_correlations_about(record["correlations"]), _correlation_table(record["correlations"])))
    return found


def _correlations_about(rows: Sequence[dict[str, Any]]) -> str:
    n = rows[0]["spearman"]["n"]
    return f"Rank correlation of {n:,} summaries’ mean ratings with their scores against the reference."


def _correlation_table(rows: Sequence[dict[str, Any]]) -> Table:
    cells = [
        [one["rating"].capitalize(), _METRICS[one["metric"]], _cell(one["spearman"]), _cell(one["kendall"])]
        for one in rows
    ]
    return Table(["Rating", "Metric", "Spearman’s rho", "Kendall’s tau-b"], cells, texts=2)


def _cell(figure: dict[str, Any], scale: float = 1, digits: int = 2) -> str:
    return with_interval(figure["value"], figure["low"], figure["high"], scale, digits)
