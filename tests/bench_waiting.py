"""How long a summary takes while the demo explains another one to somebody else, and without that.

    python -m tests.bench_waiting --articles FILE.jsonl [--summaries 20] [--rounds 3] [--record FILE]

Starts the demo as people do. One program asks `/summarize` for one article after the other: A alone, B while another
program asks `/attribute` without a pause, 128 points of the path each time, many times as long as a summary. A
and B take turns, with other articles each time, because a server remembers its last answers. Lines of FILE hold
`document`. Seconds are of the clock: for an idle machine.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

from tests.bench_decoding import command as typed
from tests.bench_serving import STARTER, ask, summarize
from tests.server import running_app
from trainer.runtime.environment import environment, git_commit
from trainer.runtime.files import write_json

STEPS = 128


class Explaining(threading.Thread):
    """Asks for explanations, one after the other, until `ended` is set.

    Attributes:
        seconds: that each took, those that were over before the end.
    """

    def __init__(self, host: str, article: str):
        super().__init__()
        self.seconds: list[float] = []
        self.ended = threading.Event()
        self._host, self._article = host, article

    def run(self) -> None:
        words = self._article.split()
        while not self.ended.is_set():
            start = time.monotonic()
            # Another text each time, or the answer would be remembered.
            ask(self._host, "attribute", article=self._article, summary=" ".join(words[:8]), n_steps=STEPS)
            self.seconds.append(time.monotonic() - start)
            words = words[1:]


def waits(host: str, articles: list[str]) -> list[float]:
    """Seconds that each summary took."""
    found = []
    for article in articles:
        start = time.monotonic()
        summarize(host, article)
        found.append(time.monotonic() - start)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path, required=True)
    parser.add_argument("--summaries", type=int, default=20, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", type=Path)
    args = parser.parse_args()

    explained, *rest = (json.loads(line)["document"] for line in args.articles.read_text("utf-8").splitlines())
    articles = iter(rest)
    found: dict[str, list[float]] = {"A": [], "B": []}
    explanations: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_app("--model", str(STARTER), log=Path(folder) / "app.log") as server,
    ):
        host = server.url.removeprefix("http://").rstrip("/")
        summarize(host, "The mill burnt down last night. Nobody was hurt in the fire.")
        time.sleep(5)  # until the page's example is explained
        for _ in range(args.rounds):
            found["A"] += waits(host, list(islice(articles, args.summaries)))
            explaining = Explaining(host, explained)
            explaining.start()
            time.sleep(1)  # until that one is at work
            found["B"] += waits(host, list(islice(articles, args.summaries)))
            explaining.ended.set()
            explaining.join()
            explanations += explaining.seconds
    record = {
        "command": typed("tests.bench_waiting"),
        "environment": environment(),
        "commit": git_commit(),
        "steps_of_an_explanation": STEPS,
        "explanation_s": round(statistics.median(explanations), 2),
    }
    for name, seconds in found.items():
        seconds.sort()
        p95 = seconds[int(0.95 * len(seconds))]
        record[name] = {
            "summaries": len(seconds),
            "p50_s": round(statistics.median(seconds), 2),
            "p95_s": round(p95, 2),
            "longest_s": round(seconds[-1], 2),
        }
    print(json.dumps({key: value for key, value in record.items() if key != "environment"}, indent=1))
    if args.record:
        write_json(args.record, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
