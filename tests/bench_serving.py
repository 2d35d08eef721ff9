"""Summaries a second that `python app.py` answers to many clients at once, and how long each of them waits.

    python -m tests.bench_serving --articles FILE.jsonl [--clients 20] [--seconds 40] [--rounds 2] [--before TREE]
        [--only B] [--record FILE]

Starts the demo again and again, A and B by turns, `--rounds` times each: A one summary at a time (`--batch 1`, or with
`--before` the demo of another checkout as it is there), B as people start it. Each answers the same articles in the
same order to `--clients` programs that ask `/summarize` over HTTP, each anew as soon as it has its answer. Lines of
FILE hold `document`; there should be more of them than are answered, because a server remembers its last answers.

Then B answers the first `ALONE` articles of its round once more, each alone: the summaries must be those that it gave
among others, or it says so and fails. Those that A gave must be the same too, except with `--before`: another checkout
may choose otherwise, so there they are counted. Memory is the resident memory of the server, in MB.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

from space.engine import REMEMBERED
from tests.bench_decoding import command as typed
from tests.server import ROOT, processor_seconds, running_app
from trainer.runtime.environment import environment, git_commit
from trainer.runtime.files import write_json

STARTER = ROOT / "space" / "starter"
ALONE = 16  # articles that are asked for once more


class Load:
    """Clients that ask for summaries until the time is over.

    Attributes:
        summaries: what was answered to each article, by its number.
        waits: seconds that each answer took.
        errors: what came instead of an answer.
        memory: the server's resident memory in MB, once a second.
        processor: how many processors the server and other programs kept busy; the others disturb.
    """

    def __init__(self, url: str, pid: int, articles: list[str]):
        self.host = url.removeprefix("http://").rstrip("/")
        self.pid = pid
        self.articles = articles
        self.summaries: dict[int, str] = {}
        self.waits: list[float] = []
        self.errors: list[str] = []
        self.memory: list[float] = []
        self.processor: dict[str, float] = {}
        self._next = count()
        self._lock = threading.Lock()

    def run(self, clients: int, seconds: float) -> float:
        """Returns the seconds until the last client had its answer."""
        start, processor = time.monotonic(), self._processor()
        threads = [threading.Thread(target=self._ask, args=(start + seconds,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.memory.append(resident_mb(self.pid))
            time.sleep(1)
        took = time.monotonic() - start
        all_in_all, server, client = (now - then for now, then in zip(self._processor(), processor, strict=True))
        self.processor = {"server": server / took, "others": max(all_in_all - server - client, 0) / took}
        return took

    def _processor(self) -> tuple[float, float, float]:
        """Seconds of the processors taken so far by everything, by the server, and by this process."""
        user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
        return (user + nice + system) / os.sysconf("SC_CLK_TCK"), processor_seconds(self.pid), time.process_time()

    def _ask(self, end: float) -> None:
        while time.monotonic() < end:
            number = next(self._next) % len(self.articles)
            begun = time.monotonic()
            try:
                summary = summarize(self.host, self.articles[number])
            except (OSError, ValueError, http.client.HTTPException) as error:
                with self._lock:
                    self.errors.append(str(error)[:200])
                time.sleep(0.2)
                continue
            with self._lock:
                self.waits.append(time.monotonic() - begun)
                self.summaries[number] = summary


def summarize(host: str, article: str) -> str:
    """Asks `/summarize`; raises ValueError where an error comes back."""
    return ask(host, "summarize", article=article)["summary"]


def ask(host: str, endpoint: str, **body: Any) -> dict[str, Any]:
    """What an endpoint of the demo answers; raises ValueError where an error comes back."""
    connection = http.client.HTTPConnection(host, timeout=300)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/gradio_api/call/v2/{endpoint}", json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.read().decode()
        if response.status != 200:
            raise ValueError(f"HTTP {response.status}: {answer}")
        connection.request("GET", f"/gradio_api/call/{endpoint}/{json.loads(answer)['event_id']}")
        events = connection.getresponse().read().decode()
    finally:
        connection.close()
    _, complete, data = events.rpartition("event: complete\ndata: ")
    if not complete:
        raise ValueError(events.strip().replace("\n", " "))
    return json.loads(data.strip())[0]


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def measure(
    tree: Path, arguments: list[str], articles: list[str], clients: int, seconds: float, alone: int
) -> tuple[dict, dict, list[int]]:
    """What one server did under the load, its summaries, and which of the first `alone` differ when asked for alone."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_app("--model", str(STARTER), *arguments, log=Path(folder) / "app.log", app=tree / "app.py") as server,
    ):
        warm = Load(server.url, server.process.pid, ["The mill burnt down last night. Nobody was hurt in the fire."])
        summarize(warm.host, warm.articles[0])
        time.sleep(5)  # until the page's example is explained
        load = Load(server.url, server.process.pid, articles)
        took = load.run(clients, seconds)
        # The later answers have pushed these out of what the server remembers, or they are not asked for.
        forgotten = max(len(load.summaries) - REMEMBERED - clients, 0)
        again = sorted(load.summaries)[: min(alone, forgotten)]
        different = [number for number in again if summarize(load.host, articles[number]) != load.summaries[number]]
        if "Traceback" in server.text():
            load.errors.append("a traceback in the server's log")
    waits = sorted(load.waits)
    found = {
        "seconds": round(took, 1),
        "summaries": len(waits),
        "summaries_a_second": round(len(waits) / took, 2),
        "errors": len(load.errors),
        "first_errors": load.errors[:3],
        "p50_s": round(statistics.median(waits), 2) if waits else None,
        "p95_s": round(waits[int(0.95 * len(waits))], 2) if waits else None,
        "longest_s": round(waits[-1], 2) if waits else None,
        "processor_s_a_summary": round(took * load.processor["server"] / max(len(waits), 1), 4),
        "processors_busy": {name: round(busy, 2) for name, busy in load.processor.items()},
        "memory_mb": {
            "start": round(load.memory[0]),
            "middle": round(load.memory[len(load.memory) // 2]),
            "end": round(load.memory[-1]),
            "peak": round(max(load.memory)),
        },
        "asked_again_alone": len(again),
        "different_alone": len(different),
    }
    return found, load.summaries, different


def commit_of(tree: Path) -> str:
    return subprocess.run(["git", "-C", str(tree), "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=40, help="of each round")
    parser.add_argument("--rounds", type=int, default=2, help="of each of the two")
    parser.add_argument("--before", type=Path, help="another checkout of this project, whose demo is A")
    parser.add_argument("--only", choices=["A", "B"], help="one of the two; nothing is compared")
    parser.add_argument("--record", type=Path)
    args = parser.parse_args()

    articles = [json.loads(line)["document"] for line in args.articles.read_text("utf-8").splitlines()]
    systems = {"A": (args.before or ROOT, [] if args.before else ["--batch", "1"]), "B": (ROOT, [])}
    systems = {name: one for name, one in systems.items() if args.only in (None, name)}
    rounds: dict[str, list[dict]] = {name: [] for name in systems}
    summaries: dict[str, dict[int, str]] = {name: {} for name in systems}
    wrong = False
    for _ in range(args.rounds):
        for name, (tree, arguments) in systems.items():
            alone = ALONE if name == "B" else 0
            found, given, different = measure(tree, arguments, articles, args.clients, args.seconds, alone)
            rounds[name].append(found)
            summaries[name] |= given
            wrong |= bool(different or found["errors"])
            print(f"{name}: {json.dumps(found)}", flush=True)
    record = {
        "command": typed("tests.bench_serving"),
        "articles": len(articles),
        "words_an_article": round(statistics.mean(len(article.split()) for article in articles)),
        "clients": args.clients,
        "environment": environment(),
    }
    for name, (tree, arguments) in systems.items():
        command = " ".join(["python", "app.py", "--model", "space/starter", *arguments])
        record[name] = {"command": command, "commit": git_commit(tree) or commit_of(tree), "rounds": rounds[name]}
    if args.only is None:
        both = summaries["A"].keys() & summaries["B"].keys()
        different = [number for number in sorted(both) if summaries["A"][number] != summaries["B"][number]]
        record |= {f"times_as_many{part}": ratios for part, ratios in _ratios(rounds).items()}
        record["compared"], record["different"] = len(both), len(different)
        wrong |= bool(different and not args.before)
        print(f"{record['times_as_many']} times as many; of {len(both)} summaries {len(different)} differ: {different}")
    if args.record:
        write_json(args.record, record)
    return 1 if wrong else 0


def _ratios(rounds: dict[str, list[dict]]) -> dict[str, float]:
    """How many times as many B answered: by the clock, and with the same seconds of a processor."""
    clock = [
        sum(one["summaries"] for one in rounds[name]) / sum(one["seconds"] for one in rounds[name]) for name in "AB"
    ]
    processor = [statistics.median(one["processor_s_a_summary"] for one in rounds[name]) for name in "AB"]
    return {"": round(clock[1] / clock[0], 2), "_by_processor_seconds": round(processor[0] / processor[1], 2)}


if __name__ == "__main__":
    sys.exit(main())
