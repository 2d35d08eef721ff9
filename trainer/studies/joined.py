"""How often the warning of a joined summary is right, against a reading of summaries.

`python -m trainer.studies.joined --record trainer/records/joined.json --data_file xsum/validation.jsonl`

The record holds the reading: `judged`, for each summary the row of its article and a label. "joined" says that words of
two or more statements of the article were put together to one that it does not make, "faithful" that the summary
states what the article states, "faulty" that it is wrong in another way (words left out, repeated or broken off). The
warning is that a summary has two places of the article or more (`trainer.metrics.copied`).
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from trainer.metrics.copied import SIGNATURE, CopiedFrom
from trainer.report.reading import share
from trainer.runtime.environment import environment
from trainer.runtime.files import write_json

WARNED_FROM = 2  # places, as in space/verdict.py


def measure(judged: list[dict[str, Any]], articles: list[str]) -> dict[str, Any]:
    """Precision and recall of the warning, and how many summaries of each label were warned of.

    Args:
        judged: each with `row`, `summary` and `label`; gets `places`.
        articles: by row.
    """
    for one in judged:
        one["places"] = len(CopiedFrom(articles[one["row"]]).passages(one["summary"]))
    warned = [one for one in judged if one["places"] >= WARNED_FROM]
    joined = [one for one in judged if one["label"] == "joined"]
    figures = {
        "precision": _figure([one["label"] == "joined" for one in warned]),
        "recall": _figure([one["places"] >= WARNED_FROM for one in joined]),
    }
    labels, warnings = (Counter(one["label"] for one in found) for found in (judged, warned))
    return {"figures": figures, "labels": dict(labels), "warned": dict(warnings)}


def _figure(answers: list[bool]) -> dict[str, Any]:
    return {"value": sum(answers) / len(answers), "n": len(answers), "text": share(answers)}


def main(argv: list[str] | None = None) -> int:
    """Measures by the reading in the record, and writes it again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, required=True, help="read for `judged`, and written.")
    parser.add_argument("--data_file", type=Path, required=True, help="the articles, JSON Lines.")
    asked = parser.parse_args(argv)
    record = json.loads(asked.record.read_text("utf-8"))
    articles = [json.loads(line)["document"] for line in asked.data_file.read_text("utf-8").splitlines()]
    found = {"detector": SIGNATURE, "environment": environment(), **measure(record["judged"], articles)}
    write_json(asked.record, {**record, **found, "judged": record["judged"]})
    print("\n".join(f"{name}: {figure['text']}, n = {figure['n']}" for name, figure in found["figures"].items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
