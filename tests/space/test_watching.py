"""How far a computation is, told to who waits for it."""

import threading
import time

import pytest

from space.turns import Turns
from space.watching import watched


def test_who_waits_is_told_their_place_and_leaves_the_line_when_they_go():
    turns, free, begun = Turns(most=1), threading.Event(), threading.Event()

    def first(_):
        begun.set()
        free.wait(30)
        return ["first"]

    def ask(progress, waiting):
        return turns.short(2, lambda items: items, waiting=waiting)

    threading.Thread(target=lambda: turns.short(1, first), daemon=True).start()
    begun.wait(30)
    leaves, stays = watched("Reading", ask), watched("Reading", ask)
    assert next(leaves) == "Waiting: 1 request is before yours"
    assert next(stays) == "Waiting: 2 requests are before yours"
    leaves.close()
    assert next(stays) == "Waiting: 1 request is before yours"
    free.set()
    with pytest.raises(StopIteration) as end:
        next(stays)
    assert end.value.value == 2


def test_steps_are_told_and_an_error_arrives():
    def ask(progress, waiting):
        progress(3, 8)
        time.sleep(0.6)
        progress(4, None)
        time.sleep(0.6)
        raise TimeoutError("too slow")

    steps = watched("Counting", ask)
    assert [next(steps), next(steps)] == ["Counting: step 3 of 8", "Counting: step 4"]
    with pytest.raises(TimeoutError, match="too slow"):
        next(steps)
