"""Which model answers, and why: against a Hub on loopback, with the real client and real (tiny, random) models."""

import re
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from space.answering import examples
from space.engine import Engine
from space.serving import SILENCE, STARTER, STARTER_NAME, Serving, Status
from tests.hub.double import Fault, Hub
from tests.tiny import save_tiny_t5
from trainer.errors import UserError
from trainer.hub.patience import Patience

NAME = "tester/t5-news"
ARTICLE = "Engineers will lift the lantern off Skerrow Point by crane barge in April, if the sea allows."
# Nothing is tried again, so that a test sees the first failure as the last.
ONCE = Patience(total=0, silence=SILENCE - 1)


@pytest.fixture(scope="module")
def starter(tmp_path_factory) -> Path:
    return save_tiny_t5(tmp_path_factory.mktemp("starter"), seed=1)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory) -> Path:
    return save_tiny_t5(tmp_path_factory.mktemp("wanted"), seed=2)


@pytest.fixture
def hub():
    with Hub() as hub:
        yield hub
        assert not hub.crashes, hub.crashes


@pytest.fixture
def serve(starter, hub, tmp_path):
    """Makes a Serving that asks the loopback Hub and has an empty cache."""

    def make(name: str = NAME, revision: str | None = None, **options) -> Serving:
        options = {
            "endpoint": hub.endpoint,
            "token": False,
            "cache_dir": tmp_path / "cache",
            "patience": ONCE,
        } | options
        return Serving(name, revision, starter=starter, **options)

    return make


def settled(serving: Serving, within: float = 90):
    """The status once nothing more is under way."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if serving.status().settled:
            return serving.status()
        time.sleep(0.02)
    pytest.fail(f"still {serving.status()}")


def test_the_hubs_model_takes_over_and_requests_in_flight_keep_theirs(serve, hub, tmp_path):
    # Big enough that the client, which counts in steps of 10 MiB, reports something between nothing and all.
    folder = save_tiny_t5(tmp_path / "big", seed=3, vocab_size=200_000)
    (folder / "tf_model.h5").write_bytes(b"weights of another framework, which nobody asked for")
    sha = hub.put("model", NAME, folder)
    hub.fail(Fault("GET", r"model\.safetensors", rate=8_000_000))
    prepared = []
    serving = serve(prepare=lambda engine: prepared.append(engine.name))
    seen = []
    watch = threading.Thread(target=lambda: _watch(serving, seen), daemon=True)
    watch.start()
    before = serving.start().engine()
    assert (before.name, before.revision) == (STARTER_NAME, None)
    change_over = threading.Event()
    started = threading.Event()

    def hold(done: int, total: int) -> None:
        started.set()
        assert change_over.wait(90)

    explained = []

    def explain(engine: Engine) -> None:
        explained.append(engine.explain(ARTICLE, "Lantern.", 4, progress=hold))

    request = threading.Thread(target=explain, args=(before,), daemon=True)
    request.start()
    assert started.wait(60)

    status = settled(serving)
    watch.join(10)
    assert (status.phase, status.answering, status.revision) == ("answering", NAME, sha)
    assert status.reason is None
    assert {"downloading", "loading"} <= {one.phase for one in seen}
    assert all(one.answering in (None, STARTER_NAME) for one in seen)
    weights = (folder / "model.safetensors").stat().st_size
    assert any(0 < one.done < one.total for one in seen if one.phase == "downloading")
    assert status.done == status.total > weights
    assert not any("tf_model" in request.path for request in hub.requests if "resolve" in request.path)

    after = serving.engine()
    assert (after.name, after.revision) == (NAME, sha)
    change_over.set()
    request.join(60)
    own = explained[0].attribution.target_log_prob
    other = after.explain(ARTICLE, "Lantern.", 4).attribution.target_log_prob
    assert own == before.explain(ARTICLE, "Lantern.", 8).attribution.target_log_prob != other
    assert before.summarize(ARTICLE, {}).text == before.summarize(ARTICLE, {}).text
    end = time.monotonic() + 30
    while prepared != [STARTER_NAME, NAME] and time.monotonic() < end:
        time.sleep(0.02)
    assert prepared == [STARTER_NAME, NAME]


def _watch(serving: Serving, seen: list) -> None:
    while not serving.status().settled:
        seen.append(serving.status())
        time.sleep(0.01)


def test_a_revision_can_be_chosen_and_the_copy_in_the_cache_serves_without_a_network(serve, hub, wanted, tmp_path):
    sha = hub.put("model", NAME, wanted, revision="v1")
    hub.put("model", NAME, {"config.json": b"{}"})  # main is something else
    status = settled(serve(revision="v1").start())
    assert (status.phase, status.answering, status.revision) == ("answering", NAME, sha)

    offline = serve(revision="v1", endpoint="http://127.0.0.1:1").start()
    status = settled(offline)
    assert (status.phase, status.answering, status.revision) == ("answering", NAME, sha)
    assert "cannot be reached" in status.reason
    assert "copy in the cache" in status.reason
    assert offline.engine().name == NAME


def _private(hub, wanted):
    hub.put("model", NAME, wanted, private=True)


def _damaged(hub, wanted):
    hub.put("model", NAME, wanted)
    hub.put("model", NAME, {"model.safetensors": (wanted / "model.safetensors").read_bytes()[:-1000]})


def _not_a_number(hub, wanted):
    weights = load_file(wanted / "model.safetensors")
    weights["shared.weight"] = torch.full_like(weights["shared.weight"], torch.nan)
    file = wanted.parent / "nan.safetensors"
    save_file(weights, file, metadata={"format": "pt"})
    hub.put("model", NAME, wanted)
    hub.put("model", NAME, {"model.safetensors": file})


def _incomplete(hub, wanted):
    weights = load_file(wanted / "model.safetensors")
    del weights["decoder.block.0.layer.0.SelfAttention.q.weight"]
    file = wanted.parent / "incomplete.safetensors"
    save_file(weights, file, metadata={"format": "pt"})
    hub.put("model", NAME, wanted)
    hub.put("model", NAME, {"model.safetensors": file})


def _no_weights(hub, wanted):
    hub.put("model", NAME, {"config.json": wanted / "config.json"})


def _cut(hub, wanted):
    hub.put("model", NAME, wanted)
    hub.fail(Fault("GET", r"model\.safetensors", cut_after=1000, times=None))


def _out_of_order(hub, wanted):
    hub.put("model", NAME, wanted)
    hub.fail(Fault("GET", r"/api/models/", status=503, times=None))


@pytest.mark.parametrize(
    ("prepare", "options", "says"),
    [
        (_private, {"token": "hf_nobody_knows_this"}, "(401)"),
        (_private, {}, "is private"),
        (lambda hub, wanted: None, {}, f"there is no model {NAME} on the Hub"),
        (lambda hub, wanted: hub.put("model", NAME, wanted), {"revision": "v9"}, "not in the revision"),
        (_cut, {}, "connection broke"),
        (_damaged, {}, f"weights of {NAME} are broken"),
        (_incomplete, {}, "incomplete"),
        (_not_a_number, {}, "no finite numbers"),
        (_no_weights, {}, "no weights to load"),
        (_out_of_order, {}, "503"),
        (lambda hub, wanted: None, {"endpoint": "http://127.0.0.1:1"}, "cannot be reached"),
    ],
    ids=["401", "private", "404", "revision", "cut", "damaged", "incomplete", "nan", "no-weights", "503", "no-network"],
)
def test_what_cannot_be_had_is_explained_and_the_starter_goes_on(serve, hub, wanted, prepare, options, says):
    prepare(hub, wanted)
    serving = serve(**options).start()
    status = settled(serving)
    assert status.phase == "failed"
    assert says in status.reason
    assert NAME in status.reason
    assert "hf_nobody" not in status.reason
    assert "snapshots" not in status.reason  # people know the model by its name, not by a path in a cache
    answer = serving.engine().summarize(ARTICLE, {"max_new_tokens": 8})
    assert serving.engine().name == STARTER_NAME == serving.status().answering
    assert answer.tokens_read == answer.tokens_total > 10


def test_a_hub_that_keeps_silent_is_said_to_within_five_seconds(serve, hub, wanted):
    hub.put("model", NAME, wanted)
    hub.fail(Fault("GET", r"/api/models/", delay=30, times=None))
    serving = serve()
    start = time.monotonic()
    serving.start()
    while serving.status().reason is None and time.monotonic() - start < 20:
        time.sleep(0.02)
    assert time.monotonic() - start < SILENCE + 0.5
    assert "did not answer in time" in serving.status().reason or "not answered" in serving.status().reason


def test_what_time_heals_is_tried_again(serve, hub, wanted):
    hub.put("model", NAME, wanted)
    hub.fail(Fault("GET", r"/api/models/", status=503, times=2))
    serving = serve(patience=Patience(total=60, first_wait=0.3, longest_wait=0.3, silence=4)).start()
    reasons, end = set(), time.monotonic() + 90
    while serving.status().phase != "answering" and time.monotonic() < end:
        reasons.add(serving.status().reason)
        time.sleep(0.01)
    assert serving.engine().name == NAME
    assert any(reason and "503" in reason for reason in reasons)
    assert serving.status().reason is None


def test_a_folder_answers_without_any_hub(serve, hub, wanted):
    serving = serve(str(wanted)).start()
    assert settled(serving).answering == str(wanted)
    assert hub.requests == []


def test_without_starter_and_wanted_model_a_request_gets_both_reasons(serve, starter, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    serving = Serving(NAME, starter=empty, endpoint="http://127.0.0.1:1", cache_dir=tmp_path / "c", patience=ONCE)
    serving.start()
    with pytest.raises(UserError, match=r"starter does not load: .*config\.json.* cannot be reached"):
        serving.engine()


def test_a_fetch_that_fails_before_the_starter_has_loaded_is_not_the_end():
    """The page looks again soon, or it would say "loading" for long after the starter began to answer."""
    assert not Status("user/name", phase="failed", reason="No network.").settled
    assert Status("user/name", phase="failed", reason="No network.", answering="starter").settled
    assert Status("user/name", phase="answering", answering="user/name").settled


def test_the_starter_that_ships_reads_english_and_is_small():
    engine = Engine.load(STARTER, name=STARTER_NAME)
    article = examples()[0]["article"]
    answer = engine.summarize(article, {})
    assert answer.finished
    assert answer.unknown < 0.02 * answer.tokens_read == 0.02 * answer.tokens_total
    written = re.findall(r"[a-z]+", answer.text.lower())
    assert len(written) > 5
    assert len(set(written) & set(re.findall(r"[a-z]+", article.lower()))) > 0.4 * len(set(written))
    assert sum(file.stat().st_size for file in STARTER.iterdir()) < 13e6
    assert "library_name: transformers" in (STARTER / "README.md").read_text("utf-8")
