"""The file of answers: several writers, kills, broken lines, and another copy of it."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace

import pytest

from tests.ratings.answers import rating
from trainer.errors import UserError
from trainer.ratings.log import RatingLog, read_ratings


def test_an_answer_is_on_the_disk_when_it_was_added(tmp_path):
    log = RatingLog(tmp_path / "a.ratings.jsonl")
    one, other = rating(), rating(article="2", better=None)
    assert log.add(one) and log.add(other)
    assert log.path.read_bytes() == one.line + other.line
    assert read_ratings(log.path) == ([one, other], 0)
    assert RatingLog(log.path).rated("ada") == {one.pair, other.pair}


def test_a_pair_is_rated_once_by_each_rater_whatever_the_order(tmp_path):
    log, elsewhere = (RatingLog(tmp_path / "a.ratings.jsonl") for _ in range(2))
    one = rating()
    assert log.add(one)
    again = replace(rating(), first=one.second, second=one.first)
    assert not elsewhere.add(again)  # another server, which was started before
    assert elsewhere.add(replace(again, rater="bo"))
    assert len(read_ratings(log.path)[0]) == 2


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_torn_last_line_is_counted_and_what_comes_behind_it_is_kept(tmp_path, cut):
    path = tmp_path / "a.ratings.jsonl"
    one, torn, other = rating(), rating(article="2"), rating(article="3")
    path.write_bytes(one.line + torn.line[:cut])
    kept = [one, torn] if cut == -1 else [one]  # only the end of the line is missing
    assert read_ratings(path) == (kept, 2 - len(kept))
    log = RatingLog(path)
    assert log.add(other)
    assert log.ratings == [*kept, other] and log.broken == 2 - len(kept)
    assert read_ratings(path) == ([*kept, other], 2 - len(kept))
    assert path.read_bytes().startswith(one.line + torn.line[:cut])  # nothing was taken away


def test_lines_that_are_no_ratings_are_counted(tmp_path):
    path = tmp_path / "a.ratings.jsonl"
    good = rating().line
    bad = [
        b"{}",
        b"7",
        good.replace(b'"faithfulness": 4', b'"faithfulness": 6'),
        good.replace(b'"first"', b'"third"', 1),
    ]
    path.write_bytes(good + b"\n".join(bad) + b"\n\n")
    assert read_ratings(path)[1] == 4 == RatingLog(path).broken
    path.write_text("{}\n")
    with pytest.raises(UserError, match="none of its 1 lines is a rating"):
        read_ratings(path)


def _rate(path, rater, number):
    log = RatingLog(path)
    for article in range(number):
        log.add(replace(rating(rater, str(article)), key=f"{rater}{article}"))


def test_several_servers_at_once_and_one_of_them_killed(tmp_path):
    path = tmp_path / "a.ratings.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_rate, args=(path, name, 60)) for name in ("ada", "bo", "cy")]
    killed = context.Process(target=_rate, args=(path, "dee", 100_000))
    for one in (killed, *writers):
        one.start()
    for one in writers:
        one.join()
    while not path.exists() or b"dee" not in path.read_bytes():
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    before = path.read_bytes()
    found, broken = read_ratings(path)
    assert broken <= 1
    for name in ("ada", "bo", "cy"):
        assert [one.article for one in found if one.rater == name] == [str(number) for number in range(60)]
    assert RatingLog(path).add(rating("eve"))
    assert path.read_bytes().startswith(before)


def test_merging_brings_what_is_missing_once(tmp_path):
    here, there = RatingLog(tmp_path / "here.jsonl"), RatingLog(tmp_path / "there.jsonl")
    shared, only_there = rating(), rating(article="2")
    assert here.add(shared) and there.add(shared) and there.add(only_there)
    lines = [*there.path.read_bytes().splitlines(), b'{"torn']
    assert here.merge(lines) == 1 and here.merge(lines) == 0
    assert here.ratings == [shared, only_there] and here.rated("ada") == {shared.pair, only_there.pair}
