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
    runs = [run for run in record["runs"] if "engines" in run]
    engines = list(dict.fromkeys(name for run in runs for name in run["engines"]))
    rows = []
    for run in runs:
        cells = []
        for name in engines:
            found = run["engines"].get(name)
            cells.append(f"{found['seconds']:.2f} s ({found['times_transformers']:.1f}×)" if found else ABSENT)
        rows.append([f"{run['model']}, {run['case']}", *cells])
    return Table(["Seconds", *engines], rows)


def first_token_sentence(record: dict[str, Any]) -> str:
    """How long a reader of a stream waits for its first token, beside the encoder's time."""
    parts = [
        f"{run['first_token']:.2f} s with {run['model']} ({run['times_the_encoder']:.2f} × the encoder's time)"
        for run in record["runs"]
        if "first_token" in run
    ]
    return f"The first streamed token comes after {' and '.join(parts)}." if parts else ""


def quality_sentence(record: dict[str, Any]) -> str:
    """What each int8 changes in the summaries of real articles."""
    found = record["quality"]
    scores = {
        name: "/".join(f"{values[kind]:.2f}" for kind in ("rouge1", "rouge2", "rougeL"))
        for name, values in found["rouge_f1"].items()
    }
    parts = [f"{same} of {found['n']} with {name} ({scores[name]})" for name, same in found["unchanged"].items()]
    return (
        f"Of the summaries that the starter writes of XSum test articles, word for word those of fp32 (ROUGE-1/2/L "
        f"{scores['fp32']}) are {' and '.join(parts)}."
    )


def main(argv: list[str] | None = None) -> int:
    """Prints the table in Markdown and the sentences below it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path, help="JSON that tests/bench_decoding.py wrote")
    record = json.loads(parser.parse_args(argv).record.read_text("utf-8"))
    print(markdown_table(decoding_table(record)))
    print(first_token_sentence(record))
    print(quality_sentence(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
