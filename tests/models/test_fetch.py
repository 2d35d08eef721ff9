"""Models of a Hub on loopback."""

import subprocess
import sys

import torch
from safetensors.torch import load_file

from tests.hub.double import Hub
from tests.tiny import save_tiny_t5
from trainer.settings.base import ROOT

FROM_THE_HUB = """
import sys
from pathlib import Path
import torch
from trainer.errors import UserError
from trainer.models.fetch import fetch
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
snapshot, again = fetch("tester/both")
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
