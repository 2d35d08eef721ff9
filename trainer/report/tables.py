"""The tables of a report, and how their figures are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainer.runtime.figures import ABSENT
from trainer.scoring.records import ROUGE_TITLES, Evaluation, FigureRecord, Results, cell, data_name

# Figures that the headline table has, and those that have tables of their own.
F1 = {f"{kind}_fmeasure": title for kind, title in ROUGE_TITLES.items()}


@dataclass(frozen=True)
class Table:
    """A table; all columns but the first `texts` and the last `after` are numbers: `value` or `value [low, high]`."""

    head: list[str]
    rows: list[list[str]]
    texts: int = 1
    after: int = 0

    def is_number(self, column: int) -> bool:
        return self.texts <= column < len(self.head) - self.after


def title(results: Results) -> str:
    one = any_evaluation(results)
    return f"Evaluation on {data_name(one)}" if one else "Evaluation"


def score_table(results: Results) -> Table:
    """Systems × ROUGE F1 × 100 with intervals, and words; bounds last, in italics of Markdown."""
    bounds = results.analysis.get("bounds", [])
    ordered = sorted(results.evaluations, key=lambda one: one.system in bounds)
    rows = []
    for one in ordered:
        name = f"{one.system} (bound)" if one.system in bounds else one.system
        cells = [cell(one.metrics.get(figure)) for figure in F1]
        rows.append([name, *cells, cell(one.metrics.get("summary_words"), 1, 1)])
    return Table(["System", *F1.values(), "Words"], rows)


def cited_table(results: Results) -> Table | None:
    """Published figures; None where there are none for the data."""
    rows = [
        [
            row["system"],
            *(f"{row[kind]:.2f}" for kind in ("rouge1", "rouge2", "rougeL")),
            row["split"],
            row["source"],
            row["tool"],
        ]
        for row in results.analysis.get("cited", [])
    ]
    return (
        Table(["Cited system", "ROUGE-1", "ROUGE-2", "ROUGE-L", "Split", "Source", "Tool"], rows, after=3)
        if rows
        else None
    )


def rate(number: float | None) -> str:
    """Articles a second: `1,810`, `2.82`."""
    return ABSENT if number is None else f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def audit_model(records: Sequence[dict[str, Any]]) -> str:
    return records[0]["system"].rpartition(" [")[0]


def any_evaluation(results: Results) -> Evaluation | None:
    if results.evaluations:
        return results.evaluations[0]
    audit = results.analysis.get("audit")
    if not audit:
        return None
    metrics = {name: FigureRecord(**metric) for name, metric in audit[0]["metrics"].items()}
    return Evaluation(**(audit[0] | {"metrics": metrics}))


def markdown_table(table: Table) -> str:
    rule = ["---:" if table.is_number(column) else "---" for column in range(len(table.head))]
    rows = [[text.replace("|", "\\|") for text in row] for row in [table.head, *table.rows]]
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]])
