"""Short jobs that wait together share a turn and go before long ones; nobody's job spoils another's."""

import threading
import time

import pytest

from space.turns import Turns


class Line:
    """Turns behind a job that runs until `let_go`; what each later turn was given is noted."""

    def __init__(self, most: int):
        self.turns = Turns(most)
        self.batches: list[list[int]] = []
        self._let_go = threading.Event()
        self._threads = []
        self.results: dict = {}
        running = threading.Event()

        def first() -> None:
            running.set()
            assert self._let_go.wait(60)

        self.ask("first", lambda: self.turns.long(first))
        assert running.wait(60)

    def ask(self, name, job) -> None:
        def run() -> None:
            try:
                self.results[name] = job()
            except Exception as error:
                self.results[name] = error

        waiting = self._waiting()
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()
        end = time.monotonic() + 60
        while len(self._threads) > 1 and self._waiting() == waiting and time.monotonic() < end:
            time.sleep(0.001)

    def _waiting(self) -> int:
        return len(self.turns._short) + len(self.turns._long)

    def squares(self, numbers: list[int]) -> list[int]:
        self.batches.append(list(numbers))
        if 0 in numbers:
            raise ValueError("nothing")
        return [number**2 for number in numbers]

    def let_go(self) -> None:
        self._let_go.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


def test_those_that_wait_share_turns_and_each_gets_its_own():
    line = Line(most=3)
    for number in (1, 2, 3, 4):
        line.ask(number, lambda number=number: line.turns.short(number, line.squares, "squares"))
    line.ask(5, lambda: line.turns.short(5, line.squares, "other squares"))
    line.ask(6, lambda: line.turns.short(6, line.squares))
    line.ask(7, lambda: line.turns.short(7, line.squares))
    line.let_go()
    assert line.batches == [[1, 2, 3], [4], [5], [6], [7]]
    assert {number: line.results[number] for number in range(1, 8)} == {n: n * n for n in range(1, 8)}


def test_short_jobs_go_first_also_between_the_steps_of_a_long_one():
    line = Line(most=3)
    done = []

    def long() -> str:
        done.append("step")
        line.ask("late", lambda: line.turns.short(9, line.squares))
        line.turns.short_first()
        done.append(line.batches[-1])
        return "explained"

    line.ask("long", lambda: line.turns.long(long))
    line.ask("early", lambda: line.turns.short(8, line.squares))
    line.let_go()
    assert line.batches == [[8], [9]]
    assert done == ["step", [9]]
    assert (line.results["long"], line.results["late"]) == ("explained", 81)


def test_one_that_fails_spoils_no_other():
    line = Line(most=8)
    for number in (1, 0, 2):
        line.ask(number, lambda number=number: line.turns.short(number, line.squares, "squares"))
    line.let_go()
    assert (line.results[1], line.results[2]) == (1, 4)
    assert str(line.results[0]) == "nothing"


def test_who_waits_is_told_how_many_are_before_and_may_leave():
    line = Line(most=1)
    seen = []

    def told(before: int) -> None:
        seen.append(before)

    def leave(before: int) -> None:
        raise InterruptedError

    line.ask("short", lambda: line.turns.short(2, line.squares))
    line.ask("leaves", lambda: line.turns.short(3, line.squares, waiting=leave))
    line.ask("told", lambda: line.turns.short(4, line.squares, waiting=told))
    line.ask("long", lambda: line.turns.long(lambda: "explained", waiting=told))
    end = time.monotonic() + 60
    while not {2, 3} <= set(seen) and time.monotonic() < end:
        time.sleep(0.01)
    line.let_go()
    assert {2, 3} <= set(seen)  # once "leaves" has gone: behind the running job and one short one, or two
    assert isinstance(line.results["leaves"], InterruptedError)
    assert line.batches == [[2], [4]]
    assert (line.results["told"], line.results["long"]) == (16, "explained")


def test_an_error_of_the_job_itself_is_not_taken_for_waiting():
    def late() -> None:
        raise TimeoutError("the Hub is slow")

    with pytest.raises(TimeoutError, match="slow"):
        Turns(1).long(late, waiting=lambda _: None)


def test_several_turns_at_a_time_but_one_long_job():
    turns, order = Turns(1, workers=3), []
    meet = threading.Barrier(3)

    def long(name: str) -> None:
        order.append(f"{name} begins")
        if name == "first":
            meet.wait(60)
        order.append(f"{name} ends")

    def short(items: list[str]) -> list[str]:
        meet.wait(60)  # passed only by two short jobs and a long one beside each other
        return items

    jobs = [lambda name=name: turns.long(lambda: long(name)) for name in ("first", "second", "third")]
    jobs += [lambda name=name: turns.short(name, short) for name in "ab"]
    threads = [threading.Thread(target=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
        time.sleep(0.02)  # "first" is the first in the line
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert sorted(order) == sorted(
        f"{name} {what}" for name in ("first", "second", "third") for what in ("begins", "ends")
    )
    assert [line.split()[0] for line in order[::2]] == [line.split()[0] for line in order[1::2]]
    assert not turns.crowded


def test_what_a_long_job_asks_for_itself_is_a_part_of_it():
    turns = Turns(1)
    assert turns.long(lambda: 1 + turns.long(lambda: 2)) == 3
