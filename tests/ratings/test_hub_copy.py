"""The copy on the Hub, against a Hub on loopback: nothing is lost, whoever else writes there."""

import pytest
from huggingface_hub import HfApi, close_session

from tests.hub.double import Fault, Hub
from tests.ratings.answers import rating
from trainer.errors import UserError
from trainer.ratings.hub_copy import HubCopy
from trainer.ratings.log import RatingLog, read_ratings


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    close_session()  # the client reads the proxies when it makes its session
    with Hub() as hub:
        yield hub
    close_session()


def copy(hub: Hub, path, said=None, **options) -> HubCopy:
    api = HfApi(endpoint=hub.endpoint, token="hf_test_write")
    return HubCopy(RatingLog(path), "ratings", api, say=(said if said is not None else []).append, **options)


def test_batches_and_a_new_server_on_an_empty_disk(hub, tmp_path):
    path = tmp_path / "a" / "x.ratings.jsonl"
    path.parent.mkdir()
    one, other, third = rating(), rating(article="2"), rating("bo")
    with copy(hub, path) as kept:
        assert hub.repo("dataset", "tester/ratings").private
        kept.log.add(one)
        kept.bring()
        assert hub.files("dataset", "tester/ratings")[path.name] == one.line
        commits = len(hub.commits("dataset", "tester/ratings"))
        kept.bring()  # nothing new: no commit
        assert len(hub.commits("dataset", "tester/ratings")) == commits
        kept.log.add(other)
    assert hub.files("dataset", "tester/ratings")[path.name] == one.line + other.line  # sent at the end

    anew = tmp_path / "b" / path.name
    anew.parent.mkdir()
    with copy(hub, anew) as kept:
        assert kept.log.rated("ada") == {one.pair, other.pair}
        kept.log.add(third)
    assert hub.files("dataset", "tester/ratings")[path.name] == one.line + other.line + third.line
    assert hub.unknown == []


def test_what_others_commit_meanwhile_is_kept(hub, tmp_path):
    paths = [tmp_path / name / "x.ratings.jsonl" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
    with copy(hub, paths[0]) as first, copy(hub, paths[1]) as second:
        one, other = rating("ada"), rating("bo")
        first.log.add(one)
        second.log.add(other)
        first.bring()
        fault = hub.fail(Fault("POST", "/commit/", stale_parent=True))
        second.bring()
        assert fault.hits == 1 and {x.key for x in second.log.ratings} == {one.key, other.key}
    there = hub.files("dataset", "tester/ratings")["x.ratings.jsonl"]
    assert set(there.splitlines(True)) == {one.line, other.line}
    assert {x.key for path in paths for x in read_ratings(path)[0]} == {one.key, other.key}


def test_a_batch_that_fails_is_told_and_the_next_one_brings_all(hub, tmp_path):
    said: list[str] = []
    path = tmp_path / "x.ratings.jsonl"
    with copy(hub, path, said) as kept:
        kept.log.add(rating())
        hub.fail(Fault("POST", "/commit/", status=403))
        kept._try()
        assert "They are safe in" in said[0] and "tester/ratings" in said[0]
    assert hub.files("dataset", "tester/ratings")[path.name] == path.read_bytes()


def test_who_may_not_write_is_told_at_the_start(hub, tmp_path):
    with (
        pytest.raises(UserError, match="--rate_dataset"),
        HubCopy(RatingLog(tmp_path / "x.jsonl"), "else/x", HfApi(endpoint=hub.endpoint, token="hf_test_write")),
    ):
        pass
