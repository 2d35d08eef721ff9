"""How long `python app.py` takes to its first page and to its first summary, and the most memory that it has in use.

    python -m tests.bench_start [--before TREE] [--repeats 5] [--record FILE]

Starts the demo with the shipped starter, asks for the page until it comes, then at once for a summary. With `--before`
the demo of another checkout is A and that of this one B, and the two take turns. Seconds are of the clock, and
`processor` is what the server's threads took of it by then; memory is the resident memory at its highest, in MB.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.bench_decoding import command as typed
from tests.bench_serving import STARTER, commit_of, summarize
from tests.server import ROOT, processor_seconds, running_app
from trainer.runtime.environment import environment, git_commit
from trainer.runtime.files import write_json

ARTICLE = "The mill at Skerrow burnt down last night. Nobody was hurt in the fire, which began in the engine room."


def start_once(tree: Path) -> dict[str, float]:
    """Starts and stops the demo of a checkout; what it took."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        log = Path(folder) / "app.log"
        with running_app("--model", str(STARTER), log=log, app=tree / "app.py") as server:
            first_page = time.monotonic() - start
            summarize(server.url.removeprefix("http://").rstrip("/"), ARTICLE)
            first_summary = time.monotonic() - start
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            return {
                "first_page_s": first_page,
                "first_page_processor_s": server.first_page,
                "first_summary_s": first_summary,
                "first_summary_processor_s": processor_seconds(server.process.pid),
                "peak_memory_mb": int(status.partition("VmHWM:")[2].split()[0]) / 1024,
            }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout of this project, whose demo is A")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--record", type=Path)
    args = parser.parse_args()

    trees = {"A": args.before, "B": ROOT} if args.before else {"B": ROOT}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
    for _ in range(args.repeats):
        for name, tree in trees.items():
            runs[name].append(start_once(tree))
    record = {
        "command": typed("tests.bench_start"),
        "environment": environment(),
        "repeats": args.repeats,
    }
    for name, found in runs.items():
        columns = {figure: sorted(run[figure] for run in found) for figure in found[0]}
        record[name] = {"commit": git_commit(trees[name]) or commit_of(trees[name])} | {
            figure: {
                "median": round(statistics.median(values), 2),
                "least": round(values[0], 2),
                "greatest": round(values[-1], 2),
            }
            for figure, values in columns.items()
        }
        print(f"{name}: {json.dumps(record[name])}")
    if args.record:
        write_json(args.record, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
