"""How fast decoding is, from the record: `python -m trainer.report.benchmarks trainer/records/bench/decoding.json`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from trainer.report.tables import Table, markdown_table
from trainer.runtime.figures import ABSENT


def decoding_table(record: dict[str, Any]) -> Table:
    """Models and kinds of decoding × engines: the median seconds, and how many times as fast as the first engine.

    Args:
        record: what `python -m tests.bench_decoding --record` writes.
    """
    runs = record["runs"]
    engines = list(dict.fromkeys(name for run in runs for name in run["engines"]))
    rows = []
    for run in runs:
        cells = []
        for name in engines:
            found = run["engines"].get(name)
            cells.append(f"{found['seconds']:.2f} s ({found['times_transformers']:.1f}×)" if found else ABSENT)
        rows.append([f"{run['model']}, {run['case']}", *cells])
    return Table(["Seconds", *engines], rows)


def quality_sentence(record: dict[str, Any]) -> str:
    """What int8 changes in the summaries of real articles."""
    found = record["quality"]
    fp32, int8 = (
        "/".join(f"{found['rouge_f1'][name][kind]:.2f}" for kind in ("rouge1", "rouge2", "rougeL"))
        for name in ("fp32", "int8")
    )
    return (
        f"In int8 {found['unchanged']} of {found['n']} summaries that the starter writes of XSum test articles are "
        f"word for word those of fp32; their ROUGE-1/2/L is {int8} and {fp32}."
    )


def main(argv: list[str] | None = None) -> int:
    """Prints the table in Markdown and the sentence below it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path, help="JSON that tests/bench_decoding.py wrote")
    record = json.loads(parser.parse_args(argv).record.read_text("utf-8"))
    print(markdown_table(decoding_table(record)))
    print(quality_sentence(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
