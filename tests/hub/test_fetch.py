"""Fetching a model: from a Hub on loopback over real HTTP, with the client as it is."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import HfApi
from safetensors.torch import load_file

from tests.hub.double import Fault, Hub
from tests.tiny import save_tiny_t5, tiny_t5
from trainer.errors import UserError
from trainer.hub.explain import HubError
from trainer.hub.fetch import byte_counter, fetch_model, verify
from trainer.hub.patience import Patience, retry
from trainer.settings.base import ROOT

NAME = "tester/t5-news"
# Nothing is tried again, so that a test sees the first failure as the last.
ONCE = Patience(total=0)
NOWHERE = HfApi(endpoint="http://127.0.0.1:1", token=False)


@pytest.fixture
def hub():
    with Hub() as hub:
        yield hub
        assert not hub.crashes, hub.crashes
        assert not hub.unknown


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A model of one file."""
    return save_tiny_t5(tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="module")
def sharded(tmp_path_factory) -> Path:
    """The same model in several shards."""
    folder = tmp_path_factory.mktemp("sharded")
    model, tokenizer = tiny_t5()
    model.save_pretrained(folder, max_shard_size="80KB")
    tokenizer.save_pretrained(folder)
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2
    return folder


@pytest.fixture
def fetch(hub, tmp_path):
    """Fetches from the loopback Hub into a cache of the test's own; what is said is in `fetch.said`."""

    def call(name: str = NAME, revision: str | None = None, **options) -> tuple[Path, str | None]:
        call.said.clear()
        options = {"api": HfApi(endpoint=hub.endpoint, token=False), "patience": ONCE} | options
        return fetch_model(name, revision, cache_dir=tmp_path / "cache", say=call.said.append, **options)

    call.said = []
    return call


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_model_arrives_whole_and_is_told_of(hub, fetch, saved):
    files = {path.name: path for path in saved.iterdir()}
    sha = hub.put("model", NAME, files | {"tf_model.h5": b"weights of another framework"})
    told = []
    folder, commit = fetch(progress=lambda done, total: told.append((done, total)))
    assert commit == sha == folder.name
    assert names(folder) == set(files)
    for name, path in files.items():
        assert (folder / name).read_bytes() == path.read_bytes()
    total = sum(path.stat().st_size for path in files.values())
    assert (told[0], told[-1]) == ((0, total), (total, total))
    assert fetch.said == []

    fetch(progress=lambda done, total: told.append((done, total)))
    assert told[-2:] == [(0, 0), (0, 0)], "nothing of it is fetched again"
    fetch()
    assert fetch.said == []


def test_the_size_is_said_where_nobody_draws(hub, fetch, saved):
    hub.put("model", NAME, saved)
    fetch()
    assert len(fetch.said) == 1
    assert fetch.said[0].startswith(f"Fetching {NAME}: ")
    assert fetch.said[0].endswith("kB ...")


def test_a_tokenizer_alone_is_no_model_without_a_network(hub, fetch, saved):
    hub.put("model", NAME, saved)
    folder, _ = fetch(weights=False)
    assert "tokenizer.json" in names(folder)
    assert "model.safetensors" not in names(folder)
    fetch(weights=False, api=NOWHERE)
    with pytest.raises(HubError, match="cannot be reached"):
        fetch(api=NOWHERE)


def test_a_sharded_copy_is_whole_with_every_shard(hub, fetch, sharded):
    sha = hub.put("model", NAME, sharded)
    folder, _ = fetch()
    assert names(folder) == names(sharded)
    assert fetch(api=NOWHERE) == (folder, sha)
    assert "going on with the copy in the cache" in fetch.said[-1]
    assert "cannot be reached" in fetch.said[-1]
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    shard.resolve().unlink()
    shard.unlink()
    with pytest.raises(HubError, match="cannot be reached"):
        fetch(api=NOWHERE)
    assert fetch() == (folder, sha), "only the lost shard is fetched"
    assert fetch(api=NOWHERE) == (folder, sha)


def test_an_index_that_names_what_the_hub_lacks(hub, fetch, sharded):
    lost, *_ = sorted(path.name for path in sharded.glob("model-*.safetensors"))
    hub.put("model", NAME, {path.name: path for path in sharded.iterdir() if path.name != lost})
    with pytest.raises(UserError, match=rf"incomplete on the Hub: its index names {lost}"):
        fetch()


def test_other_bytes_than_the_hubs_are_found_and_fetched_anew(hub, fetch, saved):
    hub.put("model", NAME, saved)
    folder, _ = fetch()
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1  # of the right size, as a broken disk or proxy leaves them
    weights.resolve().write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors arrived damaged"):
        fetch()
    assert not weights.is_symlink()
    folder, _ = fetch()
    assert (folder / "model.safetensors").read_bytes() == (saved / "model.safetensors").read_bytes()


def test_a_file_that_is_not_the_hubs_is_found_and_deleted(tmp_path):
    blob, link = tmp_path / "blob", tmp_path / "model.safetensors"
    blob.write_bytes(b"not what was sent")
    link.symlink_to(blob)
    with pytest.raises(UserError, match=r"model\.safetensors arrived damaged"):
        verify(tmp_path, {"model.safetensors": "0" * 64})
    assert not blob.exists()
    assert not link.is_symlink()


def test_a_disk_too_small_is_told_before_the_download(hub, fetch, saved, monkeypatch):
    hub.put("model", NAME, saved)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_500))
    with pytest.raises(UserError) as error:
        fetch()
    said = str(error.value)
    assert "has 1.5 kB free, which is " in said
    assert "HF_HOME" in said
    assert not any("resolve" in request.path for request in hub.requests)
    monkeypatch.undo()
    fetch()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    fetch()  # what is here needs no room


def test_an_outage_is_waited_out(hub, fetch, saved):
    sha = hub.put("model", NAME, saved)
    hub.fail(Fault("GET", r"/api/models/", status=503, times=2))
    assert fetch(patience=Patience(total=30, first_wait=0.1))[1] == sha
    assert [line.partition(";")[0] for line in fetch.said[:2]] == [f"The Hub: 503 while fetching {NAME}"] * 2


def test_a_no_of_the_hub_is_not_hidden_by_an_older_copy(hub, fetch, saved):
    hub.put("model", NAME, saved)
    fetch()
    hub.fail(Fault("GET", r"/api/models/", status=404, headers={"X-Error-Code": "RepoNotFound"}))
    with pytest.raises(UserError, match=f"there is no model {NAME}"):
        fetch()


def test_what_an_error_explains_decides_whether_time_may_heal_it(hub, fetch, saved):
    """The demo tries a whole attempt again: it sees the client's error through our sentence."""
    sha = hub.put("model", NAME, saved)
    hub.fail(Fault("GET", r"/api/models/", status=503, times=2))
    quick = Patience(total=30, first_wait=0.1)
    assert retry(fetch, "trying", patience=quick, say=lambda _: None)[1] == sha
    with pytest.raises(UserError, match="no model tester/none"):
        retry(lambda: fetch("tester/none"), "trying", patience=quick, say=pytest.fail)


def test_progress_counts_bytes_once():
    told = []
    bar = byte_counter(told.append)
    received, written, files = bar(total=0, unit="B"), bar(total=0, unit="B"), bar(total=3)
    for step in (10, 20):
        received.update(step)
        written.update(step)
        files.update()
    assert told == [10, 30]


# --- As training loads them: one process that knows this Hub only ------------------------------------------------

FROM_THE_HUB = """
import sys
from pathlib import Path
import torch
from trainer.errors import UserError
from trainer.hub.fetch import fetch_model
from trainer.models.load import load_model

def says(words, *args):
    try:
        load_model(*args)
    except UserError as error:
        assert words in str(error), error
        print("said:", error)
    else:
        raise AssertionError(args)

first, pickled = sys.argv[1:]
model, tokenizer, commit = load_model("tester/both")
snapshot, again = fetch_model("tester/both")
files = sorted(path.name for path in snapshot.iterdir())
assert commit == again == snapshot.name and "pytorch_model.bin" not in files, files
assert model.name_or_path == "tester/both" and str(snapshot) not in model.config.to_json_string()

old, _, commit = load_model("tester/pickled", first)
assert commit == first
new, _, commit = load_model("tester/pickled")
assert commit == pickled and not torch.equal(old.shared.weight, new.shared.weight)

says("tester/none", "tester/none")
says("revision asked for", "tester/both", "no-such-branch")
says("holds no", "tester/empty")

print("ready", flush=True)
input()  # and now the Hub is gone; the cache holds what was fetched
assert load_model("tester/both")[2] == again
"""


def test_models_of_a_hub(tmp_path):
    one, two = save_tiny_t5(tmp_path / "one", seed=0), save_tiny_t5(tmp_path / "two", seed=1)
    for folder in (one, two):
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    with Hub() as hub:
        hub.put("model", "tester/both", {path.name: path for path in one.iterdir()})
        pickled = [{p.name: p for p in folder.iterdir() if p.suffix != ".safetensors"} for folder in (one, two)]
        first = hub.put("model", "tester/pickled", pickled[0])
        second = hub.put("model", "tester/pickled", pickled[1])
        hub.put("model", "tester/empty", {"README.md": b"nothing"})
        env = hub.env(tmp_path / "home")
        env.pop("DISABLE_SAFETENSORS_CONVERSION", None)  # it is our way of loading that asks for no conversion
        command = [sys.executable, "-c", FROM_THE_HUB, first, second]
        process = subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdin=-1, stdout=-1, stderr=-1)
        said = "".join(iter(process.stdout.readline, "ready\n"))
        asked = " ".join(request.path for request in hub.requests)
        assert not any(word in asked for word in ("discussions", "refs%2Fpr", "convert")), asked
        assert not hub.unknown
    rest, errors = process.communicate("\n", timeout=120)
    assert process.returncode == 0, said + errors[-3000:]
    assert "going on with the copy in the cache" in rest
