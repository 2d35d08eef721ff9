"""The whole path, as a stranger walks it, in processes of its own over the loopback Hub:
train with all defaults and push, pull into an empty cache, summarise, deploy, and ask the Space that was deployed."""

import io
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gradio_client import Client
from huggingface_hub import ModelCard
from safetensors.numpy import load_file

from tests.hub.double import Hub
from tests.tiny import SMOKE, save_tiny_t5

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "hf_test_write"
MODEL = "tester/t5-small-finetuned-xsum"
SPACE = "tester/demo"
ARTICLE = json.loads((SMOKE / "test.jsonl").read_text("utf-8").splitlines()[0])["document"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the project, so that its default folder for runs is not this one's."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("app.py", "requirements.txt", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("trainer", "space"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "starter"))
    save_tiny_t5(folder / "space" / "starter", seed=1)  # as good as the shipped one here, and loaded sooner
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Holds a tiny T5 under the name of the default model, and pairs as the Hub has XSum: a script on main, which
    nobody runs any more, and its Parquet under refs/convert/parquet."""
    with Hub() as hub:
        hub.put("model", "google-t5/t5-small", save_tiny_t5(tmp_path_factory.mktemp("t5-small"), seed=3))
        hub.put(
            "dataset",
            "EdinburghNLP/xsum",
            {"xsum.py": b"raise SystemExit('never run')", "README.md": b"# XSum"},
        )
        tables = {f"default/{split}/0000.parquet": parquet(split) for split in ("train", "validation", "test")}
        hub.put("dataset", "EdinburghNLP/xsum", tables, revision="refs/convert/parquet")
        yield hub
        assert not hub.crashes


def parquet(split: str) -> bytes:
    rows = [json.loads(line) for line in (SMOKE / f"{split}.jsonl").read_text("utf-8").splitlines()]
    names = ("document", "summary", "id")
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: [row[name] for row in rows] for name in names}), buffer)
    return buffer.getvalue()


def environment(hub: Hub, home: Path, token: str | None = TOKEN) -> dict[str, str]:
    return hub.env(home, token=token) | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def run(words: list[str], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def trained(hub, checkout, tmp_path_factory):
    """`python trainer/train.py --push`, all defaults, from another folder."""
    home = tmp_path_factory.mktemp("home")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = run([str(checkout / "trainer" / "train.py"), "--push"], elsewhere, environment(hub, home))
    return done, home


def test_train_and_push(hub, checkout, trained):
    done, home = trained
    finished = checkout / "runs" / "t5-small-finetuned-xsum" / "model"
    held = hub.files("model", MODEL)
    assert len(hub.commits("model", MODEL)) == 2  # the Hub's own first one, and ours
    needed = {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert {*needed, "results.json", "README.md"} <= set(held)
    assert "training_args.bin" not in held
    for name, content in held.items():
        assert name in (".gitattributes", "README.md") or (finished / name).read_bytes() == content
    start = load_file(next(home.rglob("model.safetensors")))
    final = load_file(finished / "model.safetensors")
    assert any((start[name] != final[name]).any() for name in final)  # it has learnt something
    assert f"{hub.endpoint}/{MODEL}" in done.stdout
    asked = [request.path for request in hub.requests]
    assert asked[0] == "/api/whoami-v2"  # the right to the name before the data and the training


def test_the_reports_table_3_is_one_command(hub, checkout, trained, tmp_path):
    """Its four rows, from the Hub's model and data, with short texts so that it is quick."""
    words = [
        str(checkout / "trainer" / "train.py"),
        "--recipe",
        "report-table-3",
        "--output_dir",
        str(tmp_path / "run"),
    ]
    words += ["--max_source_length", "48", "--max_new_tokens", "6", "--max_eval_samples", "1"]
    done = run([*words, "--bootstrap_samples", "100"], tmp_path, environment(hub, trained[1]))
    results = json.loads((tmp_path / "run" / "model" / "results.json").read_text())
    rows = {record["system"]: record["metrics"]["rouge1_fmeasure"] for record in results["evaluations"]}
    for row in ("lead-3", "random-3", "t5-small (start)", "t5-small-finetuned-xsum"):
        assert rows[row]["low"] <= rows[row]["value"] <= rows[row]["high"] and row in done.stdout
    assert results["settings"]["optimisation"]["learning_rate"] == 2e-5
    assert {record["data"]["dataset"] for record in results["evaluations"]} == {"EdinburghNLP/xsum"}


def test_results_and_card(hub):
    results = json.loads(hub.files("model", MODEL)["results.json"])
    systems = [record["system"] for record in results["evaluations"]]
    assert systems[0] == "t5-small-finetuned-xsum" and {"lead-1", "lead-3", "random-1", "random-3"} < set(systems)
    dataset = hub.commits("dataset", "EdinburghNLP/xsum", "refs/convert/parquet")[0].sha
    assert results["evaluations"][0]["data"]["revision"] == dataset
    assert results["settings"]["generation"]["max_new_tokens"] == 128
    card = ModelCard(hub.files("model", MODEL)["README.md"].decode())
    assert card.data.base_model == "google-t5/t5-small" and card.data.datasets == ["EdinburghNLP/xsum"]
    assert card.data.pipeline_tag == "summarization" and len(card.data.eval_results) == 4


def test_the_token_is_nowhere(hub, checkout, trained):
    done, home = trained
    assert TOKEN not in done.stdout + done.stderr
    for folder in (checkout / "runs", home):
        for path in folder.rglob("*"):
            assert path.is_symlink() or not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    assert all(TOKEN.encode() not in content for content in hub.files("model", MODEL).values())


def test_pull_into_an_empty_cache_and_summarise(hub, checkout, tmp_path):
    """The example of the published card, as it stands, on the published model; then its tensors."""
    (code,) = re.findall(r"```python\n(.*?)```", hub.files("model", MODEL)["README.md"].decode(), re.DOTALL)
    assert f'name = "{MODEL}"' in code
    code += """
import sys
import torch
from safetensors.torch import load_file
saved, state = load_file(sys.argv[1]), model.state_dict()
assert saved and all(torch.equal(state[name], tensor) for name, tensor in saved.items())
assert model.generation_config.max_new_tokens == 128
print("EQUAL", len(saved))
"""
    finished = checkout / "runs" / "t5-small-finetuned-xsum" / "model"
    env = environment(hub, tmp_path / "home", token=None)
    done = run(["-c", code, str(finished / "model.safetensors")], tmp_path, env)
    assert "EQUAL" in done.stdout


def test_deploy_and_ask_the_space(hub, checkout, trained, tmp_path):
    home = tmp_path / "home"
    words = ["-m", "space.deploy", "--space_id", "demo", "--model_id", MODEL]
    done = run(words, checkout, environment(hub, home))
    assert f"{hub.endpoint}/spaces/{SPACE}" in done.stdout and TOKEN not in done.stdout + done.stderr
    assert len(hub.commits("space", SPACE)) == 2 and hub.variables(SPACE) == {"MODEL_ID": MODEL}
    folder = tmp_path / "space"
    for name, content in hub.files("space", SPACE).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    # As on the Hub: its files, its variable, and no token.
    env = environment(hub, tmp_path / "cache", token=None) | hub.variables(SPACE)
    with started(folder, env) as address:
        client = Client(address, verbose=False)
        answer = client.predict(ARTICLE, api_name="/summarize")
        deadline = time.monotonic() + 60
        while answer["model"] != MODEL and time.monotonic() < deadline:  # until then the starter answers
            time.sleep(0.5)
            answer = client.predict(ARTICLE, api_name="/summarize")
        assert answer["model"] == MODEL and answer["revision"] == hub.commits("model", MODEL)[0].sha
        assert answer["tokens_read"] > 50 and answer["decoding"]["max_new_tokens"] == 128
    assert not hub.unknown or all("additional_chat_templates" in request.path for request in hub.unknown)


@contextmanager
def started(folder: Path, env: dict[str, str]):
    """The address of the page that `python app.py` serves in `folder`; ended afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder.parent / "app.log"
    with log.open("w") as output:
        env = env | {"GRADIO_SERVER_PORT": str(port)}
        app = subprocess.Popen([sys.executable, "app.py"], cwd=folder, env=env, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while app.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        assert app.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        app.terminate()
        app.wait(20)
