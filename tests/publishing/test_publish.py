"""Publishing over the loopback Hub: rights before, one commit, what a failure leaves behind, and what nobody sees."""

import json
import shlex
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants, snapshot_download

from tests.hub.calls import Heard
from tests.hub.double import Fault, Hub
from tests.tiny import save_tiny_t5
from trainer.errors import UserError
from trainer.hub.commit import publish_files
from trainer.hub.patience import Patience, retry
from trainer.publishing.publish import check_push, default_model_id, finished_files, push_command, push_model
from trainer.settings.groups import HubSettings
from trainer.train import main as train_main

TOKEN = "hf_test_write"

QUICK = Patience(total=8.0, first_wait=0.05, longest_wait=0.2, silence=5.0)

COMMIT = r"/commit/main"


@pytest.fixture
def hub(monkeypatch):
    with Hub() as hub:
        # The double has no Xet; the client reads this setting at each upload.
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nonexistent/token")
        yield hub
        assert not hub.crashes and not hub.unknown


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.endpoint, token=TOKEN)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """What training leaves: a loadable model and its results, with the files beside it that are nobody's business."""
    from tests.publishing.test_card import write_results
    from trainer.publishing.card import write_card

    folder = save_tiny_t5(tmp_path_factory.mktemp("finished"))
    write_results(folder)
    write_card(folder)
    (folder / "training_args.bin").write_bytes(b"\x80hub_token" + TOKEN.encode())
    (folder / "optimizer.pt").write_bytes(b"state")
    (folder / "notes.txt").write_text("mine")
    return folder


def writes(hub: Hub) -> list[str]:
    """Requests that could change something."""
    reading = ("GET", "HEAD")
    return [r.path for r in hub.requests if r.method not in reading and r.path != "/api/validate-yaml"]


def test_check_push_names_the_repository_and_leaves_no_trace(hub, api):
    hub.add_user("ada", "hf_ada", orgs=("lab",))
    ada = HfApi(endpoint=hub.endpoint, token="hf_ada")
    for asked, full in (
        (None, "ada/t5-small-finetuned-xsum"),
        ("mine", "ada/mine"),
        ("lab/ours", "lab/ours"),
    ):
        hub_settings = HubSettings(push=True, hub_model_id=asked)
        assert check_push(hub_settings, "google-t5/t5-small", "EdinburghNLP/xsum", api=ada, say=Heard()) == full
    assert writes(hub) == [] and hub.repos == {}


@pytest.mark.parametrize(
    ("base", "dataset", "name"),
    [
        ("google-t5/t5-small", "EdinburghNLP/xsum", "tester/t5-small-finetuned-xsum"),
        ("/home/x/my model!!", "pairs/train.jsonl", "tester/my-model-finetuned-train"),
        ("t5--v1-..1.git", "..", "tester/t5-v1-.1-finetuned-model"),
        ("b" * 200, "xsum", "tester/" + "b" * 89),
    ],
)
def test_default_name_is_one_that_the_hub_takes(hub, api, base, dataset, name):
    assert default_model_id("tester", base, dataset) == name
    assert check_push(HubSettings(), base, dataset, api=api, say=Heard()) == name


def test_no_token_and_wrong_token(hub, monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"needs a token, and there is none.*hf auth login.*HF_TOKEN"):
        check_push(HubSettings(), "b", "d", api=HfApi(endpoint=hub.endpoint), say=Heard())
    assert hub.requests == []
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UserError, match=r"does not accept the token in HF_TOKEN \(401\)") as error:
        check_push(HubSettings(), "b", "d", api=HfApi(endpoint=hub.endpoint), say=Heard())
    assert "hf_wrong" not in str(error.value)
    # The saved login is the second place, and HF_TOKEN goes before it.
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (tmp_path / "token").write_text("hf_saved_but_wrong\n")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    assert check_push(HubSettings(), "b", "d", api=HfApi(endpoint=hub.endpoint), say=Heard())
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match=r"does not accept the token of the saved login"):
        check_push(HubSettings(), "b", "d", api=HfApi(endpoint=hub.endpoint), say=Heard())


def test_token_without_the_right(hub, api):
    hub.add_user("reader", "hf_reader", can_write=False)
    reader = HfApi(endpoint=hub.endpoint, token="hf_reader")
    with pytest.raises(UserError, match=r"may only read.*write access"):
        check_push(HubSettings(), "b", "d", api=reader, say=Heard())
    with pytest.raises(UserError, match=r"belongs to tester; it may not publish under 'google'.*tester/t5"):
        check_push(HubSettings(hub_model_id="google/t5"), "b", "d", api=api, say=Heard())
    hub.put("model", "google/bert", {"config.json": b"{}"})
    with pytest.raises(UserError, match=r"may not write to model google/bert \(403\)"):
        check_push(HubSettings(hub_model_id="google/bert"), "b", "d", api=api, say=Heard())


def test_private_is_not_promised_for_a_public_repository(hub, api):
    hub.put("model", "tester/open", {"config.json": b"{}"})
    hub.put("model", "tester/closed", {"config.json": b"{}"}, private=True)
    with pytest.raises(UserError, match=r"--private was asked for.*tester/open exists and is public"):
        check_push(HubSettings(hub_model_id="open", private=True), "b", "d", api=api, say=Heard())
    assert check_push(HubSettings(hub_model_id="closed", private=True), "b", "d", api=api, say=Heard())


@pytest.mark.parametrize("name", ["a--b", "a..b", ".a", "x.git", "a" * 97])
def test_names_that_cannot_be(hub, api, name):
    with pytest.raises(UserError, match=r"--hub_model_id .* is no name for a repository.*user/name"):
        check_push(HubSettings(hub_model_id=name), "b", "d", api=api, say=Heard())


def test_a_hub_without_the_question_is_judged_by_whoami(hub, api):
    hub.put("model", "tester/mine", {"config.json": b"{}"})
    hub.put("model", "google/bert", {"config.json": b"{}"})
    hub.fail(Fault("GET", "/auth-check/write", status=404, times=None))
    assert check_push(HubSettings(hub_model_id="mine"), "b", "d", api=api, say=Heard()) == "tester/mine"
    with pytest.raises(UserError, match=r"may not publish under 'google'"):
        check_push(HubSettings(hub_model_id="google/bert"), "b", "d", api=api, say=Heard())


def test_a_licence_that_the_hub_does_not_know(hub, api):
    hub.fail(Fault("POST", "/api/validate-yaml", status=400, times=None))
    with pytest.raises(UserError, match=r"--license is 'mine': the Hub does not take it.*told to answer 400"):
        check_push(HubSettings(license="mine"), "b", "d", api=api, say=Heard())


def test_a_hub_out_of_reach_is_told_before_training(monkeypatch):
    api = HfApi(endpoint="http://127.0.0.1:9", token=TOKEN)
    heard = Heard()
    with pytest.raises(UserError, match=r"the Hub cannot be reached"):
        check_push(HubSettings(), "b", "d", api=api, patience=Patience(total=0.3, first_wait=0.1), say=heard)
    assert "try 2 in" in heard.text


def test_push_makes_one_commit_with_the_listed_files_only(hub, api, finished, tmp_path):
    heard = Heard()
    url = push_model(finished, "tester/new", api=api, patience=QUICK, say=heard)
    assert url == f"{hub.endpoint}/tester/new"
    assert len(hub.commits("model", "tester/new")) == 2  # the Hub's own first one, and ours
    held = hub.files("model", "tester/new")
    assert set(held) == {".gitattributes", *finished_files(finished)}
    assert not {"training_args.bin", "optimizer.pt", "notes.txt"} & set(held)
    for name, path in finished_files(finished).items():
        assert name == "README.md" or held[name] == path.read_bytes()
    assert b'name = "tester/new"' in held["README.md"]
    assert hub.commits("model", "tester/new")[0].sha[:12] in heard.text and url in heard.text
    assert not hub.repo("model", "tester/new").private
    assert TOKEN not in heard.text
    pulled = snapshot_download("tester/new", endpoint=hub.endpoint, token=TOKEN, cache_dir=tmp_path)
    assert (Path(pulled) / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()


def test_private_push(hub, api, finished):
    push_model(finished, "tester/hidden", private=True, api=api, patience=QUICK, say=Heard())
    assert hub.repo("model", "tester/hidden").private


def test_pushing_again_changes_nothing_and_an_older_model_is_replaced(hub, api, finished):
    hub.put("model", "tester/m", {"pytorch_model.bin": b"old", "training_args.bin": b"t", "plot.png": b"\x89PNG"})
    heard = Heard()
    push_model(finished, "tester/m", api=api, patience=QUICK, say=heard)
    held = hub.files("model", "tester/m")
    assert "plot.png" in held and not {"pytorch_model.bin", "training_args.bin"} & set(held)
    assert "pytorch_model.bin, training_args.bin" in heard.text
    before = len(hub.commits("model", "tester/m"))
    push_model(finished, "tester/m", api=api, patience=QUICK, say=Heard())
    assert len(hub.commits("model", "tester/m")) == before == 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", COMMIT, status=503, times=2),
        Fault("POST", COMMIT, status=500),
        Fault("POST", COMMIT, status=429, headers={"Retry-After": "1"}),
        Fault("POST", COMMIT, lose="request"),
        Fault("POST", COMMIT, lose="reply"),
        Fault("POST", "/api/repos/create", status=502),
        Fault("POST", "/api/validate-yaml", status=504),
        Fault("GET", "/api/models/tester/m", status=500),
        Fault("GET", "/api/models/tester/m/revision", lose="reply"),
        Fault("POST", "/preupload/", status=503),
        Fault("PUT", "/storage/", status=500),
        Fault("PUT", "/storage/", cut_after=1000),
    ],
    ids=lambda fault: f"{fault.path_regex.strip('/')}-{fault.status or fault.lose or 'cut'}",
)
def test_push_gets_over_what_time_heals(hub, api, finished, fault):
    hub.fail(fault)
    heard = Heard()
    start = time.monotonic()
    push_model(finished, "tester/m", api=api, patience=QUICK, say=heard)
    assert fault.hits == fault.times
    assert len(hub.commits("model", "tester/m")) == 2  # no second commit, even where only the answer was lost
    assert set(finished_files(finished)) < set(hub.files("model", "tester/m"))
    if fault.status == 429:
        assert time.monotonic() - start >= 1.0 and "429" in heard.text


def test_card_validation_that_is_no_json_is_tried_again(hub, api, finished):
    # An outage's page is HTML; the client reads it as JSON before it looks at the status.
    calls = []

    def flaky():
        calls.append(1)
        if len(calls) == 1:
            json.loads("<html>")
        return "done"

    assert retry(flaky, "x", patience=QUICK, say=Heard()) == "done"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("POST", COMMIT, status=503, times=None), r"trouble of its own \(503\)"),
        (Fault("POST", COMMIT, status=403, times=None), r"may not write to model tester/m \(403\)"),
        (Fault("POST", COMMIT, status=401, times=None), r"does not accept .* \(401\)"),
        (Fault("POST", COMMIT, status=404, times=None), r"does not find it \(404\)"),
        (Fault("POST", COMMIT, status=409, times=None), r"\(409\).*Wait a minute"),
        (Fault("POST", COMMIT, status=412, times=None), r"changed by somebody else.*\(412\)"),
        (Fault("POST", COMMIT, status=413, times=None), r"this much data \(413\)"),
        (Fault("POST", COMMIT, status=429, headers={"Retry-After": "3600"}, times=None), r"again in 3600 s"),
        (Fault("POST", COMMIT, stale_parent=True), r"changed by somebody else"),
        (Fault("POST", COMMIT, lose="request", times=None), "connection broke"),
        (Fault("POST", COMMIT, delay=30, times=None), "did not answer in time"),
        (Fault("PUT", "/storage/", status=403, times=None), r"\(403\)"),
    ],
    ids=lambda value: "" if isinstance(value, str) else f"{value.status or value.lose or value.stale_parent}",
)
def test_a_failed_push_leaves_nothing_behind_and_says_what_to_do(hub, api, finished, fault, sentence, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.fail(fault)
    heard = Heard()
    patience = Patience(total=0.5, first_wait=0.1, longest_wait=0.2, silence=0.3)
    with pytest.raises(UserError, match=sentence) as error:
        push_model(finished, "tester/m", api=api, patience=patience, say=heard)
    message = str(error.value)
    assert f"The finished model is kept in {finished}" in message
    assert push_command(finished, "tester/m") in message
    assert TOKEN not in message + heard.text
    assert finished_files(finished)
    if fault.stale_parent:  # somebody else is at work there: the repository is left to them
        assert set(hub.files("model", "tester/m")) == {".gitattributes"}
    else:
        assert hub.repos == {} and "Removed the empty repository tester/m" in heard.text


def test_a_failed_push_to_a_repository_that_was_there_leaves_it_as_it_was(hub, api, finished):
    sha = hub.put("model", "tester/m", {"pytorch_model.bin": b"old"})
    hub.fail(Fault("POST", COMMIT, status=403, times=None))
    with pytest.raises(UserError):
        push_model(finished, "tester/m", api=api, patience=QUICK, say=Heard())
    assert hub.commits("model", "tester/m")[0].sha == sha
    assert hub.files("model", "tester/m") == {"pytorch_model.bin": b"old"}


def test_a_lost_answer_after_the_last_try_is_reported_as_arrived(hub, api, finished):
    hub.fail(Fault("POST", COMMIT, lose="reply"))
    heard = Heard()
    with pytest.raises(UserError, match=r"connection broke"):
        push_model(finished, "tester/m", api=api, patience=Patience(total=0.0), say=heard)
    assert "The commit reached tester/m all the same" in heard.text
    assert "model.safetensors" in hub.files("model", "tester/m")


def test_a_card_that_the_hub_refuses(hub, api, finished):
    with pytest.raises(UserError, match=r"does not accept the head of README.md.*license"):
        publish_files(
            api,
            "tester/m",
            {"README.md": b"---\nlicense: 7\n---\n"},
            message="m",
            patience=QUICK,
            say=Heard(),
        )
    assert hub.repos == {}


def test_the_hub_is_not_believed_blindly(hub, api):
    # A commit that "succeeds" without the file: something between us and the Hub dropped it.
    hub.put("model", "tester/m", {"a.txt": b"old"})

    class Forgetful(HfApi):
        def create_commit(self, repo_id, operations, **kwargs):
            return super().create_commit(repo_id, operations[:1], **kwargs)

    forgetful = Forgetful(endpoint=hub.endpoint, token=TOKEN)
    with pytest.raises(UserError, match=r"does not hold what was sent: b.txt"):
        publish_files(forgetful, "tester/m", {"a.txt": b"new", "b.txt": b"x"}, message="m", patience=QUICK, say=Heard())


@pytest.mark.parametrize("secret", [TOKEN, "hf_" + "A1b2C3d4E5" * 3 + "wxyz"])
def test_a_file_that_holds_a_token_is_not_published(hub, api, secret):
    with pytest.raises(UserError, match=r"results.json holds an access token") as error:
        publish_files(api, "tester/m", {"results.json": f'{{"t": "{secret}"}}'.encode()}, message="m", say=Heard())
    assert secret not in str(error.value) and hub.requests == []


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("model.safetensors", None, "model.safetensors is missing"),
        ("tokenizer.json", None, "tokenizer.json is missing"),
        ("results.json", None, "results.json is missing"),
        ("model.safetensors", slice(0, -10), "broken or cut short"),
        ("model.safetensors", slice(0, 5), "broken or cut short"),
    ],
)
def test_an_unfinished_folder_is_not_published(finished, tmp_path, name, change, sentence):
    for path in finished_files(finished).values():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if change is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[change])
    with pytest.raises(UserError, match=sentence):
        push_model(tmp_path, "tester/m", api=HfApi(endpoint="http://127.0.0.1:9"), say=Heard())


def test_push_command_is_one_for_the_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = push_command(tmp_path / "my run" / "model", "ada/t5", private=True)
    assert words.endswith("train.py --push_only 'my run/model' --hub_model_id ada/t5 --private")


@pytest.fixture
def typed(hub, monkeypatch):
    """trainer/train.py with the settings that its process would read from the environment."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return train_main


def test_a_failed_push_prints_the_command_that_mends_it(hub, typed, finished, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fault = hub.fail(Fault("POST", COMMIT, status=403, times=None))
    assert typed(["--push_only", str(finished), "--hub_model_id", "m"]) == 1
    printed = capsys.readouterr()
    assert "may not write to model tester/m (403)" in printed.err and "Traceback" not in printed.err
    assert TOKEN not in printed.out + printed.err and hub.repos == {}
    python, script, *words = shlex.split(printed.err.strip().splitlines()[-1])
    assert Path(python).samefile(sys.executable) and Path(script).name == "train.py"
    hub.faults.remove(fault)
    assert typed(words) == 0
    assert f"{hub.endpoint}/tester/m" in capsys.readouterr().out
    assert set(finished_files(finished)) < set(hub.files("model", "tester/m"))


@pytest.mark.parametrize(
    ("token", "sentence"), [("hf_wrong", "does not accept the token in HF_TOKEN"), ("", "needs a token")]
)
def test_push_without_the_right_stops_before_training(hub, typed, token, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", token)
    assert typed(["--recipe", "smoke", "--push", "--output_dir", str(tmp_path / "run")]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err and "hf_wrong" not in printed.out + printed.err
    assert not list(tmp_path.rglob("checkpoint*")) and not list(tmp_path.rglob("model*"))
