"""Whose turn it is with a model: short jobs before long ones, and short ones that wait together share a turn.

A few threads compute, as many as there are processors, because torch keeps threads of its own for each thread that
computes with it. Who asks waits in a thread of their own; that may be dozens.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from typing import Any

# Summaries that are computed together at the most: on two cores more are no faster.
TOGETHER = 8
# Seconds between two looks at the own place in the line.
LOOKING = 0.5

Waiting = Callable[[int], None]


@dataclass(eq=False)
class _Job:
    """A value that waits for `compute`; jobs of equal `kind` can be computed together, those of kind None can't."""

    compute: Callable[[Sequence[Any]], Sequence[Any]]
    item: Any = None
    kind: Hashable = None
    future: Future = field(default_factory=Future)


class Turns:
    """Lets threads take turns with one model.

    Args:
        most: short jobs of the same kind that share a turn at the most.
        workers: turns at the same time; only one of them is a long job's.
    """

    def __init__(self, most: int, workers: int = 1):
        self.most = most
        self._lock = threading.Lock()
        self._short: deque[_Job] = deque()
        self._long: deque[_Job] = deque()
        self._running: list[list[_Job]] = []
        self._long_thread: int | None = None  # where the one long job is computed
        self._workers = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="model")

    @property
    def crowded(self) -> bool:
        """Whether jobs wait or there is more than one turn at this moment."""
        with self._lock:
            return len(self._running) > 1 or bool(self._short or self._long)

    def short(
        self,
        item: Any,
        compute: Callable[[Sequence[Any]], Sequence[Any]],
        kind: Hashable = None,
        waiting: Waiting | None = None,
    ) -> Any:
        """What `compute([item, …])` gives for this item, alone or together with others of the same kind.

        `waiting` is called with the number of jobs that are before this one, time and again until it is this one's turn
        or it is computed; what it raises takes this one out of the line. Where `compute` raises for several, each is
        computed alone.
        """
        return self._wait(_Job(compute, item, kind), self._short, waiting)

    def long(self, compute: Callable[[], Any], waiting: Waiting | None = None) -> Any:
        """What `compute()` gives, when no short job waits and it is this one's turn; it should call `short_first`.

        What a long job asks for itself is a part of it, and is computed at once.
        """
        if self._long_thread == threading.get_ident():
            return compute()
        return self._wait(_Job(lambda _: [compute()]), self._long, waiting)

    def short_first(self) -> None:
        """To be called by a long job between its steps: computes the short ones that came meanwhile."""
        while jobs := self._take_short():
            self._run(jobs)

    def _wait(self, job: _Job, line: deque[_Job], waiting: Waiting | None) -> Any:
        with self._lock:
            line.append(job)
        self._workers.submit(self._turn)
        if waiting is None:
            return job.future.result()
        try:
            while True:
                try:
                    return job.future.result(timeout=LOOKING)
                except NotYet:
                    if job.future.done():  # what was computed raised this itself
                        raise
                    waiting(self._before(job))
        except BaseException:
            job.future.cancel()
            raise

    def _before(self, job: _Job) -> int:
        """How many jobs are before this one; 0 once it is being computed."""
        with self._lock:
            running = [one for jobs in self._running for one in jobs]
            if job in running:
                return 0
            line = [one for one in (*running, *self._short, *self._long) if not one.future.cancelled()]
        return line.index(job) if job in line else 0

    def _turn(self) -> None:
        """One turn of a worker. Each job brings one, so those of jobs that shared one find nothing to do."""
        if jobs := self._take_short():
            self._run(jobs)
        elif jobs := self._take_long():
            self._run(jobs)
            self._long_thread = None
            self._workers.submit(self._turn)  # for a long job whose own turn came meanwhile

    def _take_short(self) -> list[_Job]:
        """The short jobs of the next turn, out of the line; cancelled ones are dropped."""
        with self._lock:
            jobs: list[_Job] = []
            while self._short and not jobs:
                first = self._short.popleft()
                alike = [job for job in self._short if first.kind is not None and job.kind == first.kind]
                for job in alike[: self.most - 1]:
                    self._short.remove(job)
                jobs = _started((first, *alike[: self.most - 1]))
            if jobs:
                self._running.append(jobs)
            return jobs

    def _take_long(self) -> list[_Job]:
        with self._lock:
            jobs: list[_Job] = []
            while self._long and not jobs and self._long_thread is None:
                jobs = _started((self._long.popleft(),))
            if jobs:
                self._long_thread = threading.get_ident()
                self._running.append(jobs)
            return jobs

    def _run(self, jobs: list[_Job]) -> None:
        try:
            self._compute(jobs)
        finally:
            with self._lock:
                self._running.remove(jobs)

    def _compute(self, jobs: list[_Job]) -> None:
        try:
            for job, result in zip(jobs, jobs[0].compute([job.item for job in jobs]), strict=True):
                job.future.set_result(result)
        except BaseException as error:
            if len(jobs) > 1:  # one may have spoilt it for all, or there was not memory enough
                for job in jobs:
                    self._compute([job])
            else:
                jobs[0].future.set_exception(error)


def _started(jobs: Iterable[_Job]) -> list[_Job]:
    return [job for job in jobs if job.future.set_running_or_notify_cancel()]
