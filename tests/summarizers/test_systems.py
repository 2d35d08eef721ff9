"""The names of summarisers, and every kind of them from a Hub on loopback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from tests.architectures import save_bart
from tests.hub.double import Hub
from tests.summarizers.texts import ARTICLES, BEAMS
from trainer.errors import UserError
from trainer.models.pretrained import load_pretrained
from trainer.summarizers.extractive import LeadN, Oracle, RandomN, TextRank
from trainer.summarizers.seq2seq import Seq2SeqSummarizer
from trainer.summarizers.systems import check_system, parse_system

ROOT = Path(__file__).resolve().parents[2]


class TestNames:
    def test_baselines(self):
        assert isinstance(parse_system("lead-3"), LeadN) and parse_system("lead-3").n == 3
        assert isinstance(parse_system("textrank-1"), TextRank)
        random = parse_system("random-2", seed=7)
        assert isinstance(random, RandomN) and (random.n, random.seed) == (2, 7)

    def test_the_references_are_a_system_too(self):
        references = parse_system("references")
        found = references.summarize(
            ["Wind blew hard.", "Rain fell.", "Rain fell."], ["A storm.", "It rained.", "Another."]
        )
        assert [summary.text for summary in found] == ["A storm.", "It rained.", "Another."]
        assert found[0].tokens_total == 3
        assert references.describe()["system"] == "references"

    def test_the_oracle_is_shown_its_references(self):
        oracle = parse_system("oracle")
        assert isinstance(oracle, Oracle) and oracle.most is None and parse_system("oracle-2").most == 2
        assert oracle.summarize(["Rain fell. Prices rose."], ["Prices rose."])[0].text == "Prices rose."
        assert [parse_system(name).describe()["system"] for name in ("oracle", "oracle-2")] == ["oracle", "oracle-2"]

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("led-3", "No system is called 'led-3': did you mean 'lead-3'\\?"),
            ("Lead-3", "did you mean 'lead-3'"),
            ("textrnk-1", "did you mean 'textrank-1'"),
            ("oracel", "did you mean 'oracle'"),
            ("ensembel:a/b+c/d", "No system is called 'ensembel:a/b\\+c/d'"),
            ("zzzzzz", "No system is called 'zzzzzz', and no folder. A model is written user/model"),
            ("", "No system is called ''"),
            ("./nothing", "No system is called './nothing'"),
            ("user//model", "No system is called"),
            ("lead-0", "'lead-0' must say how many sentences, 1 or more: lead-3"),
            ("lead", "must say how many"),
            ("random-many", "must say how many"),
            ("lora:", "No system is called 'lora:'"),
            ("ensemble:a/b", "needs at least two systems"),
            ("mbr:a/b", "needs at least two systems"),
            ("mbr:a/b+", "has an empty name"),
            ("mbr:a/b*0+c/d", "must be 1 or more"),
            ("mbr:lead-1*3+a/b", "has one summary of an article, not 3"),
            ("mbr:oracle+lead-1", "'oracle' sees the references"),
            ("mbr:references+lead-1", "'references' sees the references"),
            ("ensemble:lead-1+a/b", "gives no token probabilities"),
            ("mbr:ensemble:a/b+c/d", "is itself made of several systems"),
        ],
    )
    def test_what_is_no_name_is_refused_before_anything_is_loaded(self, spec, message):
        with pytest.raises(UserError, match=message):
            check_system(spec)
        with pytest.raises(UserError, match=message):
            parse_system(spec)

    def test_what_could_be_a_name_passes_unloaded(self):
        for spec in (
            "google-t5/t5-small",
            "user/model@main",
            "lora:a/b@v1",
            "ensemble:a/b+c/d@x",
            "mbr:a/b*8",
            "mbr:a/b+lora:c/d",
        ):
            check_system(spec)

    def test_a_folder_goes_first(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        save_bart(tmp_path / "lead-3")
        assert isinstance(parse_system("lead-3"), Seq2SeqSummarizer)
        save_bart(tmp_path / "my@model")
        assert parse_system("my@model").describe()["model"] == "my@model"
        with pytest.raises(UserError, match="a folder has no revision"):
            load_pretrained("my@model", "main")


ON_THE_HUB = """
import json, sys
from trainer.errors import UserError
from trainer.summarizers.systems import parse_system
found = {}
for spec in json.loads(sys.argv[1]):
    try:
        system = parse_system(spec, generation=json.loads(sys.argv[2]))
        about = system.describe()
        texts = [summary.text for summary in system.summarize(json.loads(sys.argv[3]))]
        found[spec] = {"texts": texts, "revision": about["revision"], "model": about["model"]}
    except UserError as error:
        found[spec] = str(error)
print("FOUND" + json.dumps(found))
"""


def test_every_kind_from_the_hub(folders, adapter, tmp_path):
    """One process with an empty cache: families, an old `.bin`, a revision, an adapter, an ensemble; no code is run."""
    with Hub() as hub:
        shas = {
            name: hub.put("model", f"ada/{name}", {file.name: file for file in folder.iterdir()})
            for name, folder in folders.items()
        }
        old = save_bart(tmp_path / "old", seed=9)
        torch.save(AutoModelForSeq2SeqLM.from_pretrained(old).state_dict(), old / "pytorch_model.bin")
        (old / "model.safetensors").unlink()
        shas["old"] = hub.put("model", "ada/old", {file.name: file for file in old.iterdir()}, revision="v1")
        hub.put("model", "ada/old", {"README.md": b"nothing on main"})
        about = json.loads((adapter[1] / "adapter_config.json").read_text()) | {"base_model_name_or_path": "ada/t5"}
        files = {"adapter_config.json": json.dumps(about).encode()}
        files |= {"adapter_model.safetensors": adapter[1] / "adapter_model.safetensors"}
        shas["lora"] = hub.put("model", "ada/lora", files)
        config = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForSeq2SeqLM": "own.Model"}}
        code = f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()"
        hub.put("model", "ada/code", {"config.json": json.dumps(config).encode(), "own.py": code.encode()})
        specs = {f"ada/{name}": str(folder) for name, folder in folders.items()}
        specs |= {"ada/old@v1": str(old), "lora:ada/lora": f"lora:{adapter[1]}"}
        specs |= {"ensemble:ada/t5+ada/t5-v1.1": f"ensemble:{folders['t5']}+{folders['t5-v1.1']}"}
        specs |= {"mbr:ada/bart+ada/pegasus": f"mbr:{folders['bart']}+{folders['pegasus']}"}
        refused = ["ada/code", "ada/nobody", "ada/lora", "ada/old"]
        arguments = [json.dumps([*specs, *refused]), json.dumps(BEAMS), json.dumps(ARTICLES)]
        env = hub.env(tmp_path / "home") | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", ON_THE_HUB, *arguments],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert not hub.unknown and not hub.crashes
    found = json.loads(done.stdout.partition("FOUND")[2])
    for spec, local in specs.items():
        assert isinstance(found[spec], dict), found[spec]
        here = parse_system(local, generation=BEAMS)
        assert found[spec]["texts"] == [summary.text for summary in here.summarize(ARTICLES)], spec
    assert found["ada/bart"]["revision"] == shas["bart"]
    assert found["ada/old@v1"]["revision"] == shas["old"]
    assert (found["lora:ada/lora"]["revision"], found["lora:ada/lora"]["model"]) == (shas["lora"], "ada/lora")
    assert found["ensemble:ada/t5+ada/t5-v1.1"]["revision"] == f"{shas['t5']}+{shas['t5-v1.1']}"
    assert "config.json of ada/code can't be used" in found["ada/code"]
    assert not (tmp_path / "ran").exists()
    assert "there is no model ada/nobody on the Hub" in found["ada/nobody"]
    assert "write lora:ada/lora" in found["ada/lora"]
    assert "ada/old holds no config.json" in found["ada/old"]
