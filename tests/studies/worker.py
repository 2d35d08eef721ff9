"""A worker of a real store that does cheap trials: `python -m tests.studies.worker FOLDER NUMBER [SLOW]`.

Each trial appends a line to done.txt when it begins and when it ends; the one called SLOW takes for ever.
"""

import os
import sys
import time
from pathlib import Path

from trainer.studies.store import Slot, Store


def main(folder: Path, number: int, slow: str = "", stale_seconds: float = 600.0) -> None:
    store = Store(f"sqlite:///{folder / 'study.db'}", "cheap", folder, stale_seconds)
    store.plan([Slot(f"trial {n}", {"seed": n}) for n in range(number)], {"of": "a test"})

    def note(text: str) -> None:
        with (folder / "done.txt").open("a") as file:
            file.write(f"{text} {os.getpid()}\n")

    def do(trial) -> float:
        name = trial.user_attrs["slot"]
        note(f"begun {name}")
        time.sleep(600 if name == slow else 0.05)
        note(f"ended {name}")
        return float(trial.user_attrs["values"]["seed"])

    store.work(do)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:4], *map(float, sys.argv[4:5]))
