"""What a launcher (torchrun, accelerate launch) tells its processes through the environment."""

import os

from trainer.errors import UserError

NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def launched() -> tuple[int, int]:
    """(rank, number of processes) as a launcher said; (0, 1) without one.

    Raises:
        UserError: only a part of what a launcher sets is there, left over from something else.
    """
    values = {name: value for name in NAMES if (value := os.environ.get(name, ""))}
    if values.get("WORLD_SIZE", "1") == "1" and values.get("LOCAL_RANK", "-1") == "-1":
        return 0, 1
    missing = [name for name in NAMES if name not in values]
    if not missing and all(values[name].isdecimal() for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE")):
        return int(values["RANK"]), int(values["WORLD_SIZE"])
    there = " and ".join(f"{name}={values[name]}" for name in ("WORLD_SIZE", "LOCAL_RANK") if name in values)
    why = f"but not {', '.join(missing)}" if missing else "and they are no whole numbers"
    raise UserError(
        f"{there} is in the environment {why}: left over from another run, it would have this one wait for processes "
        "that nobody started. For one process unset WORLD_SIZE RANK LOCAL_RANK, for several start with torchrun."
    )


def speaking_rank() -> int:
    """This process's rank among those that a launcher started; 0 where it is alone or that can't be told."""
    try:
        return launched()[0]
    except UserError:
        return 0
