"""Learning curves of pre-training, from the logs that trainer/pretrain.py writes: a table and a picture.

    python -m trainer.pretraining.curves base=runs/base/log.jsonl plain=runs/plain/log.jsonl --output_dir curves

writes curves/learning.md, held-out losses of every run by the tokens it had seen, and curves/learning.svg. Where a run
started with the finished model of another (`--model`), give both logs, `NAME=FIRST.jsonl+SECOND.jsonl`: it counts on.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure as Drawing

from trainer.errors import UserError
from trainer.report.plots import SERIES, WIDTH, picture, standalone

# Objective → what people read, in the order of the columns: from pure copying to what the model is for.
OBJECTIVES = {
    "copy": "copy exercise",
    "gap_in_place": "gap sentence left standing",
    "gap": "gap sentence",
    "lead": "lead sentence",
    "title": "title",
    "summary": "human summary",
}
Log = Sequence[Mapping[str, Any]]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=LOG[+LOG]", help="A run and its log, or logs.")
    parser.add_argument("--output_dir", type=Path, required=True, metavar="FOLDER", help="For learning.md and .svg.")
    given = parser.parse_args(argv)
    try:
        runs = dict(_named(run) for run in given.runs)
        given.output_dir.mkdir(parents=True, exist_ok=True)
        (given.output_dir / "learning.md").write_text(table(runs), "utf-8")
        (given.output_dir / "learning.svg").write_text(drawing(runs), "utf-8")
    except (UserError, OSError) as error:
        print(f"curves: {error}", file=sys.stderr)
        return 2
    print(table(runs), end="")
    return 0


def _named(run: str) -> tuple[str, Log]:
    name, given, paths = run.partition("=")
    if not (name and given and paths):
        raise UserError(f"{run!r} is no run: write NAME=LOG.jsonl.")
    return name, read_logs([Path(path) for path in paths.split("+")])


def read_logs(paths: Sequence[Path]) -> Log:
    """The lines of the logs that hold held-out losses, in order; steps and tokens count on from log to log.

    Raises:
        UserError: there is no such file, a line is broken, or there was no evaluation yet.
    """
    evaluations: list[Mapping[str, Any]] = []
    before = {"step": 0, "tokens": 0}
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path} does not exist: give the log.jsonl of a pre-training run.")
        end = before
        for number, text in enumerate(path.read_text("utf-8").splitlines(), start=1):
            try:
                line = json.loads(text)
                end = {name: count + line[name] for name, count in before.items()}
                if any(name.startswith("validation_") for name in line):
                    evaluations.append(line | end)
            except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
                raise UserError(f"{path}, line {number} is no line of a pre-training log ({error}).") from error
        before = end
    if not evaluations:
        raise UserError(f"{'+'.join(map(str, paths))} holds no held-out losses yet: they come every --eval_steps.")
    return evaluations


def table(runs: Mapping[str, Log]) -> str:
    """Markdown: a row for each evaluation of each run; losses in nats a piece, on held-out documents."""
    head = ["run", "steps", "M tokens", *OBJECTIVES.values()]
    rows = [" | ".join(head), " | ".join(["---", *["---:"] * (len(head) - 1)])]
    for name, log in runs.items():
        for line in log:
            losses = [line.get(f"validation_{objective}") for objective in OBJECTIVES]
            cells = ["" if loss is None else f"{loss:.2f}" for loss in losses]
            rows.append(" | ".join([name, f"{line['step']:,}", f"{line['tokens'] / 1e6:.1f}", *cells]))
    return "".join(f"| {row} |\n" for row in rows)


def drawing(runs: Mapping[str, Log]) -> str:
    """SVG: a panel for each objective, a line for each run, over the tokens seen.

    Raises:
        UserError: there are more runs than colours.
    """
    if len(runs) > len(SERIES):
        raise UserError(f"{len(runs)} runs are too many for one picture: give {len(SERIES)} at most.")

    def draw() -> Drawing:
        figure = Drawing(figsize=(WIDTH, 5.0))
        panels = figure.subplots(2, 3, sharex=True).ravel()
        figure.subplots_adjust(wspace=0.22, hspace=0.32)
        for panel, (objective, title) in zip(panels, OBJECTIVES.items(), strict=True):
            for color, (name, log) in zip(SERIES, runs.items(), strict=False):
                points = [(line["tokens"] / 1e6, line.get(f"validation_{objective}")) for line in log]
                points = [point for point in points if point[1] is not None]
                panel.plot(*zip(*points, strict=True), "o-", color=color, markersize=3.5, linewidth=1.6, label=name)
            panel.set_title(title)
            panel.grid(axis="y")
            panel.set_xlim(left=0)
        for panel in panels[3:]:
            panel.set_xlabel("million tokens")
        for panel in panels[::3]:
            panel.set_ylabel("nats a piece")
        panels[0].legend()
        return figure

    return standalone(picture("learning", draw))


if __name__ == "__main__":
    sys.exit(main())
