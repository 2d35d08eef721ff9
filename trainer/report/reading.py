"""The table of a blind reading: `python -m trainer.report.reading trainer/records/reading.json`.

Readers who did not know which system wrote what judged each summary on four yes-or-no questions. Shares come with
Wilson's 95% interval (Wilson 1927).
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

from scipy.stats import binomtest

QUESTIONS = ("whole", "about", "true", "main")
HEADS = ("whole sentence", "about the subject", "true by the article", "main point")


def reading_tables(judgements: list[dict]) -> str:
    """One Markdown table for each kind of article.

    Args:
        judgements: each with `kind`, `system` and 0 or 1 for `whole`, `about`, `true` and `main`.
    """
    kinds: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for judged in judgements:
        kinds[judged["kind"]][judged["system"]].append(judged)
    tables = []
    for kind, systems in kinds.items():
        n = len(next(iter(systems.values())))
        rows = [f"| {n} articles {kind} | " + " | ".join(HEADS) + " |", "| --- |" + " ---: |" * len(HEADS)]
        for system, of_system in systems.items():
            cells = (share([judged[question] for judged in of_system]) for question in QUESTIONS)
            rows.append(f"| {system} | " + " | ".join(cells) + " |")
        tables.append("\n".join(rows))
    return "\n\n".join(tables)


def share(answers: list[int]) -> str:
    """The share of 1 in per cent, with its interval.

    >>> share([1, 1, 1, 0])
    '75% [30, 95]'
    """
    found = binomtest(sum(answers), len(answers)).proportion_ci(method="wilson")
    return f"{100 * sum(answers) / len(answers):.0f}% [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def main(argv: list[str] | None = None) -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path, help="JSON with a list `judgements`.")
    record = json.loads(parser.parse_args(argv).record.read_text("utf-8"))
    print(reading_tables(record["judgements"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
