"""The double of the Hub, seen through the real clients: in this process by explicit endpoint, and once in a
subprocess that knows nothing but its environment."""

import io
import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2
import pyarrow
import pyarrow.parquet
import pytest
import torch
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    close_session,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from safetensors.torch import load_file

from tests.hub.double import Blob, Fault, Hub
from tests.tiny import save_tiny_t5

BEARER = {"Authorization": "Bearer hf_test_write"}
WEIGHTS = random.Random(0).randbytes(300_000)
CARD = b"---\nlicense: apache-2.0\npipeline_tag: summarization\n---\n# A model\n"


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    close_session()  # the client reads the proxies when it makes its session
    with Hub() as hub:
        yield hub
        assert hub.crashes == []


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.endpoint, token="hf_test_write")


def add(path: str, content: bytes) -> CommitOperationAdd:
    """An addition as a stream of bytes: the one form that the client doesn't give to Xet where that is
    installed. (In subprocesses `hub.env` switches Xet off.)"""
    return CommitOperationAdd(path, io.BytesIO(content))


def status_of(call, *args, **kwargs) -> int:
    with pytest.raises(HfHubHTTPError) as caught:
        call(*args, **kwargs)
    return caught.value.response.status_code


def statuses(hub: Hub, method: str, part: str) -> list[int]:
    return [request.status for request in hub.requests if request.method == method and part in request.path]


# ------------------------------------------------------------------------------------------ files and commits


def test_what_is_uploaded_in_one_commit_comes_back_into_an_empty_cache(hub, api, tmp_path):
    files = {
        "README.md": CARD,
        "model.safetensors": WEIGHTS,
        "config.json": b'{"model_type": "t5"}\n',
        "folder/notes äö.txt": "Grüße\n".encode(),
        "empty.txt": b"",
        "picture": b"\x89PNG\0\0",
    }
    assert api.create_repo("tester/m", private=True).repo_id == "tester/m"
    assert status_of(api.create_repo, "tester/m") == 409
    assert api.create_repo("m", exist_ok=True).repo_id == "tester/m"
    first = hub.commits("model", "tester/m")[0]
    done = api.create_commit(
        "tester/m",
        [add(path, data) for path, data in files.items()],
        commit_message="All at once",
        commit_description="Really",
        parent_commit=first.sha,
    )
    commits = hub.commits("model", "tester/m")
    assert [commit.sha for commit in commits] == [done.oid, first.sha]
    assert (commits[0].message, commits[0].description, commits[0].author) == (
        "All at once",
        "Really",
        "tester",
    )
    assert hub.files("model", "tester/m") == files | {".gitattributes": first.files[".gitattributes"].data}

    folder = Path(
        snapshot_download("tester/m", endpoint=hub.endpoint, token="hf_test_write", cache_dir=tmp_path, tqdm_class=None)
    )
    assert folder.name == done.oid
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == (
        hub.files("model", "tester/m")
    )

    siblings = {s.rfilename: s for s in api.model_info("tester/m", files_metadata=True).siblings}
    assert {path for path, sibling in siblings.items() if sibling.lfs} == {"model.safetensors", "picture"}
    assert siblings["model.safetensors"].lfs.size == siblings["model.safetensors"].size == len(WEIGHTS)
    assert {r.auth for r in hub.requests if r.path.startswith("/storage/")} == {None}, "tokens stay with the Hub"

    # The same again is no commit, and an LFS object that is there is not sent a second time.
    again = api.create_commit("tester/m", [add("model.safetensors", WEIGHTS)], commit_message="Same")
    assert again.oid == done.oid
    copy = [
        add("copy.safetensors", WEIGHTS),
        CommitOperationDelete("folder/"),
        CommitOperationDelete("picture"),
    ]
    api.create_commit("tester/m", copy, commit_message="Copy and delete")
    assert statuses(hub, "PUT", "/storage/") == [200, 200]
    left = files.keys() - {"folder/notes äö.txt", "picture"} | {"copy.safetensors", ".gitattributes"}
    assert hub.files("model", "tester/m").keys() == left
    assert not hub.unknown


def test_git_names_of_blobs():
    assert Blob(b"hello").oid == "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"  # printf hello | git hash-object --stdin
    pointer = Blob(b"hello", lfs=True).pointer.decode()
    assert pointer == (
        "version https://git-lfs.github.com/spec/v1\n"
        "oid sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\nsize 5\n"
    )


def test_revisions(hub, api, tmp_path):
    old = hub.put("model", "tester/m", {"a.txt": b"old", "b.txt": b"b"})
    new = hub.put("model", "tester/m", {"a.txt": b"new"}, message="Second")
    api.create_branch("tester/m", branch="kept", revision=old)
    assert status_of(api.create_branch, "tester/m", branch="kept") == 409

    def read(revision: str | None) -> bytes:
        return Path(api.hf_hub_download("tester/m", "a.txt", revision=revision, cache_dir=tmp_path)).read_bytes()

    assert [read(revision) for revision in (None, "main", new)] == [b"new"] * 3
    assert [read(revision) for revision in (old, old[:8], "kept", "refs/heads/kept")] == [b"old"] * 4
    assert hub.files("model", "tester/m") == {"a.txt": b"new", "b.txt": b"b"}
    assert api.model_info("tester/m", revision=old).sha == old
    assert [c.title for c in api.list_repo_commits("tester/m")] == ["Second", "Upload files"]
    with pytest.raises(RevisionNotFoundError):
        read("no-such-branch")
    with pytest.raises(EntryNotFoundError) as caught:
        api.hf_hub_download("tester/m", "absent", cache_dir=tmp_path)
    assert caught.value.response.headers["X-Repo-Commit"] == new
    with pytest.raises(RevisionNotFoundError):
        api.create_commit("tester/m", [add("x", b"x")], commit_message="x", revision="no-such-branch")


def test_listing_in_pages(hub, api):
    files = {f"data/{n:02}.txt": b"%d" % n for n in range(7)} | {"README.md": b"# x"}
    hub.put("dataset", "tester/d", files)
    hub.put("dataset", "tester/d", {"default/train/0000.parquet": b"p"}, revision="refs/convert/parquet")
    hub.page_size = 3

    def listed(**kwargs) -> list[str]:
        return [entry.path for entry in api.list_repo_tree("tester/d", repo_type="dataset", **kwargs)]

    assert listed(recursive=True) == ["README.md", "data", *sorted(files.keys() - {"README.md"})]
    assert len(statuses(hub, "GET", "/tree/")) == 3
    assert listed() == ["README.md", "data"]
    assert listed(path_in_repo="data", expand=True) == sorted(files.keys() - {"README.md"})
    assert listed(revision="refs/convert/parquet", path_in_repo="default/train") == ["default/train/0000.parquet"]
    with pytest.raises(EntryNotFoundError):
        listed(path_in_repo="absent")
    found = api.get_paths_info("tester/d", ["data", "README.md", "absent"], repo_type="dataset")
    assert [entry.path for entry in found] == ["data", "README.md"]
    refs = api.list_repo_refs("tester/d", repo_type="dataset")
    assert [ref.ref for ref in refs.branches + refs.converts] == ["refs/heads/main", "refs/convert/parquet"]
    assert api.dataset_info("tester/d", expand=["sha"]).sha == hub.commits("dataset", "tester/d")[0].sha


# ----------------------------------------------------------------------------------------------------- rights


def test_tokens_and_rights(hub, tmp_path):
    hub.add_user("tester", "hf_test_read", can_write=False)
    hub.add_user("tester", "hf_test_scoped", scopes=["tester/allowed"])
    hub.add_user("member", "hf_member", orgs={"lab": "write", "club": "read"})
    hub.add_user("stranger", "hf_stranger")
    for repo_id, private in (("tester/open", False), ("tester/hidden", True), ("lab/hidden", True)):
        hub.put("model", repo_id, {"a.txt": b"a"}, private=private)
    apis = {t: HfApi(endpoint=hub.endpoint, token=t) for t in [*hub.users, "hf_wrong"]}
    apis["none"] = HfApi(endpoint=hub.endpoint, token=False)

    def outcomes(act, *args, **kwargs) -> dict[str, int]:
        """Token → status of what it does with the first of `args`."""
        results = {}
        for token, api in apis.items():
            try:
                act(api, *args, **kwargs)
                results[token] = 200
            except HfHubHTTPError as error:
                results[token] = error.response.status_code
        return results

    def expect(refused: dict[str, int]) -> dict[str, int]:
        return {token: refused.get(token, refused.get("else", 200)) for token in apis}

    def fetch(api, repo_id):
        api.get_hf_file_metadata(url=hf_hub_url(repo_id, "a.txt", endpoint=hub.endpoint))

    def push(api, repo_id):
        api.create_commit(repo_id, [add("x.txt", str(api.token).encode())], commit_message="x")

    def may_push(api, repo_id):
        api.auth_check(repo_id, write=True)

    assert outcomes(fetch, "tester/open") == expect({"hf_wrong": 401})
    strangers = {"hf_wrong": 401, "none": 401}
    hidden = strangers | {"hf_stranger": 404, "hf_member": 404}
    assert outcomes(fetch, "tester/hidden") == expect(hidden)
    assert outcomes(HfApi.model_info, "tester/hidden") == expect(hidden)
    with pytest.raises(RepositoryNotFoundError):
        apis["none"].model_info("tester/hidden")
    with pytest.raises(RepositoryNotFoundError):
        apis["hf_stranger"].hf_hub_download("tester/hidden", "a.txt", cache_dir=tmp_path)
    with pytest.raises(RepositoryNotFoundError):
        apis["none"].model_info("tester/absent")

    writers = expect(strangers | {"else": 403, "hf_test_write": 200})
    assert outcomes(push, "tester/open") == outcomes(may_push, "tester/open") == writers
    assert outcomes(push, "lab/hidden") == expect(strangers | {"else": 404, "hf_member": 200})
    made = outcomes(HfApi.create_repo, "tester/allowed", exist_ok=False)
    assert made == expect(strangers | {"else": 403, "hf_test_write": 200, "hf_test_scoped": 409})
    assert outcomes(HfApi.create_repo, "club/m") == expect(strangers | {"else": 403})
    assert outcomes(push, "tester/allowed") == expect(
        strangers | {"else": 403, "hf_test_write": 200, "hf_test_scoped": 200}
    )

    who = {token: api.whoami() for token, api in apis.items() if token in hub.users}
    roles = {token: answer["auth"]["accessToken"]["role"] for token, answer in who.items()}
    assert (roles["hf_test_write"], roles["hf_test_read"]) == ("write", "read")
    assert who["hf_test_scoped"]["auth"]["accessToken"]["fineGrained"]["scoped"][0]["entity"] == {
        "type": "model",
        "name": "tester/allowed",
    }
    assert {org["name"]: org["roleInOrg"] for org in who["hf_member"]["orgs"]} == {
        "lab": "write",
        "club": "read",
    }
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        apis["hf_wrong"].whoami()

    apis["hf_test_write"].update_repo_settings("tester/open", private=True)
    assert status_of(apis["hf_stranger"].model_info, "tester/open") == 404
    apis["hf_test_write"].delete_repo("tester/open")
    assert status_of(apis["hf_test_write"].model_info, "tester/open") == 404


# --------------------------------------------------------------------------------------------- all or nothing


def test_a_stale_parent_is_refused(hub, api):
    old = hub.put("model", "tester/m", {"a.txt": b"1"})
    new = hub.put("model", "tester/m", {"a.txt": b"2"})

    def push(parent: str) -> str:
        operations = [add("a.txt", b"mine"), add("model.safetensors", WEIGHTS)]
        return api.create_commit("tester/m", operations, commit_message="x", parent_commit=parent).oid

    assert status_of(push, old) == 412
    fault = hub.fail(Fault("POST", "/commit/", stale_parent=True))
    assert status_of(push, new) == 412
    assert fault.hits == 1
    assert hub.files("model", "tester/m") == {"a.txt": b"2"}
    assert [c.author for c in hub.commits("model", "tester/m")] == ["somebody-else", "tester", "tester"]
    assert push(hub.commits("model", "tester/m")[0].sha[:7]) == hub.commits("model", "tester/m")[0].sha


GOOD = {"key": "file", "value": {"path": "good.txt", "content": "Z29vZA==", "encoding": "base64"}}
BAD_LINES = {
    "an LFS file never uploaded": {
        "key": "lfsFile",
        "value": {"path": "m.bin", "algo": "sha256", "oid": "0" * 64, "size": 3},
    },
    "no base64": {"key": "file", "value": {"path": "b", "content": "?", "encoding": "base64"}},
    "a path out of the repository": {"key": "file", "value": {"path": "../b", "content": "b"}},
    "a file below a file": {"key": "file", "value": {"path": "good.txt/b", "content": "b"}},
    "a bad card": {"key": "file", "value": {"path": "README.md", "content": "---\n[\n---\n"}},
    "an absent file deleted": {"key": "deletedFile", "value": {"path": "absent"}},
    "an absent folder deleted": {"key": "deletedFolder", "value": {"path": "absent/"}},
    "an unknown key": {"key": "symlink", "value": {"path": "b"}},
    "no value": {"key": "file"},
}


def test_a_commit_with_one_bad_line_changes_nothing(hub, api):
    hub.put("model", "tester/m", {"a.txt": b"1"})
    before = hub.commits("model", "tester/m")

    def send(*lines: dict) -> int:
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        url = f"{hub.endpoint}/api/models/tester/m/commit/main"
        return httpx2.post(url, content=body, headers=BEARER, trust_env=False).status_code

    header = {"key": "header", "value": {"summary": "x", "description": ""}}
    refused = {name: send(header, GOOD, line) for name, line in BAD_LINES.items()}
    deleted = {"an absent file deleted": 404, "an absent folder deleted": 404}
    assert refused == dict.fromkeys(BAD_LINES, 400) | deleted
    assert send(GOOD) == 400, "no header"
    assert hub.commits("model", "tester/m") == before
    assert send(header, GOOD) == 200
    assert hub.files("model", "tester/m") == {"a.txt": b"1", "good.txt": b"good"}


def test_of_many_commits_on_one_parent_one_wins(hub, api):
    parent = hub.put("model", "tester/m", {"a.txt": b"0"})

    def push(n: int) -> int:
        try:
            api.create_commit("tester/m", [add("a.txt", b"%d" % n)], commit_message="x", parent_commit=parent)
        except HfHubHTTPError as error:
            return error.response.status_code
        return 200

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(push, range(1, 17))) == [200] + [412] * 15
    assert len(hub.commits("model", "tester/m")) == 2


def test_cards_are_validated(hub, api):
    api.create_repo("tester/s", repo_type="space", space_sdk="gradio")
    index = [{"name": "m", "results": [{"task": {"type": "summarization"}, "metrics": [{"type": "rouge"}]}]}]
    for kind, head, wrong in (
        ("model", {"model-index": index}, "model-index"),
        ("model", {"datasets": [{"name": "xsum"}]}, "datasets"),
        ("space", {"sdk": "gradiooo"}, "sdk"),
        ("space", {"sdk": "gradio", "colorFrom": "mauve"}, "colorFrom"),
        ("space", {"sdk": "gradio", "short_description": "x" * 61}, "short_description"),
    ):
        with pytest.raises(ValueError, match=wrong):
            api._validate_yaml(f"---\n{json.dumps(head)}\n---\n", repo_type=kind)
    with pytest.warns(UserWarning, match="empty or missing yaml"):
        api._validate_yaml("# no head", repo_type="model")
    operations = [add("README.md", b"---\nsdk: gradio\ncolorTo: mauve\n---\n")]
    with pytest.raises(ValueError, match="colorTo"):
        api.create_commit("tester/s", operations, commit_message="x", repo_type="space")


# ----------------------------------------------------------------------------------------------------- faults


def test_a_cut_download_goes_on_where_it_broke(hub, api, tmp_path):
    large = random.Random(1).randbytes(12 << 20)
    hub.put("model", "tester/m", {"model.safetensors": large, "small.bin": WEIGHTS})
    hub.fail(Fault("GET", r"model\.safetensors", cut_after=11 << 20))
    short = hub.fail(Fault("GET", r"small\.bin", cut_after=len(WEIGHTS)))
    path = api.hf_hub_download("tester/m", "model.safetensors", cache_dir=tmp_path)
    assert Path(path).read_bytes() == large
    ranges = [r.headers.get("range") for r in hub.requests if r.method == "GET"]
    assert ranges == [None, f"bytes={10 << 20}-"]
    api.hf_hub_download("tester/m", "small.bin", cache_dir=tmp_path)
    assert short.hits == 0, "a fault that could not act is not used up"


def test_range_requests(hub):
    hub.put("model", "tester/m", {"a.txt": b"0123456789", "a.bin": b"0123456789"})

    def part(path: str, value: str) -> tuple[int, bytes]:
        url = f"{hub.endpoint}/tester/m/resolve/main/{path}"
        reply = httpx2.get(url, headers={"Range": value}, follow_redirects=True, trust_env=False)
        return reply.status_code, reply.content

    for path in ("a.txt", "a.bin"):
        assert part(path, "bytes=2-4") == (206, b"234")
        assert part(path, "bytes=7-") == (206, b"789")
        assert part(path, "bytes=7-99") == (206, b"789")
        assert part(path, "bytes=-3") == (206, b"789")
        assert part(path, "bytes=10-")[0] == 416


def test_errors_that_were_ordered(hub, api):
    hub.put("model", "tester/m", {"a.txt": b"a"})
    hub.fail(Fault("GET", "whoami", status=429, headers={"Retry-After": "7"}))
    with pytest.raises(HfHubHTTPError, match="rate limit") as caught:
        api.whoami()
    assert caught.value.response.headers["Retry-After"] == "7"
    hub.fail(Fault("GET", "whoami", status=500))  # the fault before it is used up and not in its way
    assert status_of(api.whoami) == 500
    assert api.whoami()["name"] == "tester"
    # The client's own patience: listing is tried again.
    hub.fail(Fault("GET", "/tree/main", status=500))
    assert [entry.path for entry in api.list_repo_tree("tester/m")] == ["a.txt"]
    assert statuses(hub, "GET", "/tree/main") == [500, 200]
    fault = hub.fail(Fault("*", ".", status=503, times=None))
    assert [status_of(api.model_info, "tester/m") for _ in range(3)] == [503] * 3
    assert fault.hits == 3
    hub.faults.clear()
    api.model_info("tester/m")


def test_broken_and_slow_connections(hub, api, tmp_path):
    hub.put("model", "tester/m", {"a.txt": b"a" * 40_000})

    def push(text: bytes) -> None:
        api.create_commit("tester/m", [add("a.txt", text)], commit_message="x")

    hub.fail(Fault("POST", "/commit/", lose="request"))
    with pytest.raises(httpx2.RemoteProtocolError):
        push(b"lost on the way")
    assert len(hub.commits("model", "tester/m")) == 1
    hub.fail(Fault("POST", "/commit/", lose="reply"))
    with pytest.raises(httpx2.RemoteProtocolError):
        push(b"done, but nobody says so")
    assert hub.files("model", "tester/m") == {"a.txt": b"done, but nobody says so"}
    cut = hub.fail(Fault("PUT", "/storage/", cut_after=100_000))
    api.create_commit("tester/m", [add("model.safetensors", WEIGHTS)], commit_message="x")
    assert cut.hits == 1
    assert hub.files("model", "tester/m")["model.safetensors"] == WEIGHTS

    hub.fail(Fault("GET", "whoami", delay=0.3))
    start = time.monotonic()
    api.whoami()
    assert time.monotonic() - start >= 0.3
    hub.fail(Fault("GET", "model.safetensors", rate=1_000_000))
    start = time.monotonic()
    api.hf_hub_download("tester/m", "model.safetensors", cache_dir=tmp_path)
    assert time.monotonic() - start >= 0.25, "300 kB at 1 MB/s"


def test_one_fault_meets_one_of_many_requests(hub, api):
    fault = hub.fail(Fault("GET", "whoami", status=500))

    def ask(_: int) -> None:
        with suppress(HfHubHTTPError):
            api.whoami()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(16)))
    assert sorted(statuses(hub, "GET", "whoami")) == [200] * 15 + [500]
    assert fault.hits == 1
    assert not hub.spend(fault), "nor can a thread have it that saw it before it was used up"


def test_what_the_double_lacks_is_told(hub, api):
    assert status_of(api.get_user_overview, "tester") == 404
    assert [(r.method, r.path.split("?")[0]) for r in hub.unknown] == [("GET", "/api/users/tester/overview")]


def test_after_its_end_nothing_answers():
    with Hub() as hub, httpx2.Client(trust_env=False) as session:
        url = f"{hub.endpoint}/api/whoami-v2"
        assert session.get(url).status_code == 401
        hub.__exit__()
        with pytest.raises(httpx2.TransportError):  # on the connection that was kept open
            session.get(url)
        with pytest.raises(httpx2.ConnectError):
            session.get(url)


# ----------------------------------------------------------------------------------------------------- Spaces


def test_spaces(hub, api):
    url = api.create_repo(
        "tester/s",
        repo_type="space",
        space_sdk="gradio",
        space_variables=[{"key": "MODEL_ID", "value": "tester/m"}],
        space_secrets=[{"key": "HF_TOKEN", "value": "hf_secret"}],
    )
    assert url.repo_id == "tester/s" and url.repo_type == "space"
    assert hub.variables("tester/s") == {"MODEL_ID": "tester/m"}
    assert hub.secrets("tester/s") == {"HF_TOKEN": "hf_secret"}
    assert api.get_space_runtime("tester/s").stage == "NO_APP_FILE"
    card = b"---\nsdk: gradio\napp_file: app.py\nmodels:\n- tester/m\n---\n"
    operations = [add("app.py", b"print('hello')\n"), add("README.md", card)]
    api.create_commit("tester/s", operations, commit_message="Deploy", repo_type="space")
    assert api.get_space_runtime("tester/s").stage == "RUNNING"
    assert api.restart_space("tester/s").hardware == "cpu-basic"
    assert hub.repo("space", "tester/s").restarts == 1
    info = api.space_info("tester/s")
    assert (info.sdk, info.models) == ("gradio", ["tester/m"])

    assert api.add_space_variable("tester/s", "OTHER", "1")["OTHER"].value == "1"
    assert api.delete_space_variable("tester/s", "OTHER").keys() == {"MODEL_ID"}
    api.add_space_secret("tester/s", "MORE", "x")
    assert api.get_space_secrets("tester/s").keys() == {"HF_TOKEN", "MORE"}
    told = httpx2.get(f"{hub.endpoint}/api/spaces/tester/s/secrets", headers=BEARER, trust_env=False)
    assert told.status_code == 200 and "hf_secret" not in told.text
    hub.add_user("stranger", "hf_stranger")
    assert status_of(HfApi(endpoint=hub.endpoint, token="hf_stranger").get_space_variables, "tester/s") == 403
    assert not hub.unknown


# ----------------------------------------------------------------------------------- the clients on their own


CLIENTS = r"""
import json, sys
from pathlib import Path
from datasets import load_dataset
from huggingface_hub import CommitOperationAdd, HfApi
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

work, pinned = Path(sys.argv[1]), sys.argv[2]
said = {}

def rows(splits):
    return {name: list(split["document"]) for name, split in splits.items()}

said["main"] = rows(load_dataset("EdinburghNLP/xsum"))
try:
    load_dataset("tester/scripted")
except RuntimeError as error:
    said["script"] = str(error)
said["convert"] = rows(load_dataset("tester/scripted", revision="refs/convert/parquet"))
said["streamed"] = [row["id"] for row in load_dataset("EdinburghNLP/xsum", split="test", streaming=True)]
said["private"] = list(load_dataset("tester/private", split="train")["id"])

def total(model):
    return sum(float(tensor.double().abs().sum()) for tensor in model.state_dict().values())

def pulled(name, **more):
    tokenizer = AutoTokenizer.from_pretrained(name, **more)
    return total(AutoModelForSeq2SeqLM.from_pretrained(name, **more)), tokenizer("Hello there.")["input_ids"]

said["model"] = pulled("google-t5/t5-small")
said["pinned"] = pulled("google-t5/t5-small", revision=pinned)
said["bin"] = pulled("tester/old")

model = AutoModelForSeq2SeqLM.from_pretrained("google-t5/t5-small")
model.save_pretrained(work / "mine")
AutoTokenizer.from_pretrained("google-t5/t5-small").save_pretrained(work / "mine")
api = HfApi()
api.create_repo("tester/mine", private=True)
files = sorted(path for path in (work / "mine").iterdir())
api.create_commit("tester/mine", [CommitOperationAdd(f.name, f) for f in files], commit_message="Push")
said["again"] = pulled("tester/mine", cache_dir=work / "empty")
print(json.dumps(said))
"""


def parquet(split: str) -> bytes:
    columns = {name: [f"{split} {name} {n}" for n in range(3)] for name in ("document", "summary", "id")}
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def test_the_clients_in_a_process_of_their_own(hub, tmp_path):
    """What the projects' command lines do: load data stored both ways, load models, push, and pull again."""
    splits = ("train", "validation", "test")
    on_main = {f"data/{split}-00000-of-00001.parquet": parquet(split) for split in splits}
    hub.put("dataset", "EdinburghNLP/xsum", on_main | {"README.md": b"---\nlicense: unknown\n---\n"})
    hub.put("dataset", "tester/scripted", {"README.md": b"# Old\n", "scripted.py": b"raise SystemExit\n"})
    converted = {f"default/{split}/0000.parquet": parquet(split) for split in splits}
    hub.put("dataset", "tester/scripted", converted, revision="refs/convert/parquet")
    hub.put("dataset", "tester/private", {"train.jsonl": b'{"id": "p1"}\n'}, private=True)
    first = save_tiny_t5(tmp_path / "first", seed=0)
    pinned = hub.put("model", "google-t5/t5-small", first)
    hub.put("model", "google-t5/t5-small", save_tiny_t5(tmp_path / "second", seed=1))
    weights = load_file(first / "model.safetensors")
    (first / "model.safetensors").rename(tmp_path / "set-aside")
    torch.save(weights, first / "pytorch_model.bin")
    hub.put("model", "tester/old", first)

    command = [sys.executable, "-c", CLIENTS, str(tmp_path), pinned]
    env = hub.env(tmp_path / "home") | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])

    documents = {split: [f"{split} document {n}" for n in range(3)] for split in splits}
    assert said["main"] == said["convert"] == documents
    assert "scripts are no longer supported, but found scripted.py" in said["script"]
    assert said["streamed"] == ["test id 0", "test id 1", "test id 2"]
    assert said["private"] == ["p1"]
    assert said["pinned"] == said["bin"] != said["model"]
    assert said["again"] == said["model"]
    pushed = hub.files("model", "tester/mine")
    assert all(pushed[path.name] == path.read_bytes() for path in (tmp_path / "mine").iterdir())
    assert len(hub.commits("model", "tester/mine")) == 2, "the first one and ours"
    assert hub.unknown == []


def test_the_environment_of_a_subprocess(hub, tmp_path, monkeypatch):
    for name in ("HTTPS_PROXY", "http_proxy", "HF_HUB_OFFLINE", "HF_TOKEN_PATH", "TRANSFORMERS_CACHE"):
        monkeypatch.setenv(name, "something")
    env = hub.env(tmp_path, token=None)
    kept = ("PATH", "HF_ENDPOINT", "HF_HOME", "HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY")
    assert env.keys() >= {*kept, "DISABLE_SAFETENSORS_CONVERSION"}
    assert "something" not in env.values() and "HF_TOKEN" not in env
    assert hub.env(tmp_path, token="hf_x")["HF_TOKEN"] == "hf_x"
