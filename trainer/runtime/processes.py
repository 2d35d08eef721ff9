"""The processes of one run: one as a rule, several under torchrun."""

import builtins
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from accelerate import PartialState
from transformers.utils.logging import disable_progress_bar

ONE_THREAD_BELOW = 2_000_000  # weights


@dataclass(frozen=True)
class Processes:
    """This process among all of a run: the first one (rank 0) speaks and writes."""

    rank: int
    n: int

    @classmethod
    def join(cls) -> "Processes":
        """Meets the other processes that torchrun started."""
        disable_progress_bar()  # transformers' own, one for every file it reads or writes
        # The first process may fetch a data set while the others wait.
        state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(hours=12))
        return cls(state.process_index, state.num_processes)

    @staticmethod
    def share_cores(weights: int) -> None:
        """Shares the processor's cores among the processes of this machine, for a model of so many weights.

        A very small model gets one thread: more gain nothing, and on a busy machine, where they wait for each other,
        they were seen to take 40 times as long. OMP_NUM_THREADS is obeyed.
        """
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        chosen = os.environ.get("OMP_NUM_THREADS")
        # torchrun sets it to 1 where nobody has chosen, which on most machines leaves cores idle.
        if chosen is not None and not (here > 1 and chosen == "1"):
            return
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(1 if weights < ONE_THREAD_BELOW else max(cores // here, 1))

    @property
    def first(self) -> bool:
        return self.rank == 0

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process goes through the block before the others: what it makes there they will find."""
        if self.n == 1:  # also when the others of this run have ended
            yield
            return
        with PartialState().main_process_first():
            yield

    def wait(self) -> None:
        """Until all processes are here."""
        if self.n > 1:
            PartialState().wait_for_everyone()

    def say(self, text: object = "") -> None:
        """Prints in the first process only."""
        if self.first:
            builtins.print(text, flush=True)

    def part(self) -> bool:
        """Ends what the processes did together; true in the one that goes on."""
        PartialState().destroy_process_group()
        return self.first
