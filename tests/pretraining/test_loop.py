"""Pre-training end to end on the smoke texts: a kill and a resume, cool-downs, and a model that others load."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from tests.pretraining.recipe import flags
from tests.tiny import SMOKE, tiny_tokenizer
from trainer import pretrain
from trainer.errors import UserError
from trainer.pretraining import loop
from trainer.pretraining.corpus import load_corpus
from trainer.pretraining.loop import TrainingState, model_to_pretrain
from trainer.pretraining.mixture import Mixture
from trainer.runtime.hardware import chosen_device, has_bf16
from trainer.settings.pretraining import parse

ROOT = Path(__file__).resolve().parents[2]


def test_a_resumed_runs_log_has_no_step_twice(tmp_path, recipe):
    assert pretrain.main(flags(recipe, tmp_path, "--max_steps", "10")) == 0
    with (tmp_path / "log.jsonl").open("a") as log:  # as a kill leaves it between two checkpoints
        log.write('{"step": 15}\n{"step": 20, "lo')
    assert pretrain.main(flags(recipe, tmp_path, "--max_steps", "20")) == 0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 15, 20] and all("loss" in line for line in lines)


def test_a_killed_run_ends_with_the_weights_of_an_unbroken_one(tmp_path, recipe):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert pretrain.main(flags(recipe, whole, "--max_steps", "24")) == 0
    command = [sys.executable, str(ROOT / "trainer" / "pretrain.py"), *flags(recipe, broken, "--max_steps", "24")]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not (broken / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert torch.load(broken / "checkpoint.pt", weights_only=True)["step"] < 24
    (broken / ".checkpoint.pt.part").write_bytes(b"half-written")
    assert pretrain.main(flags(recipe, broken, "--max_steps", "24")) == 0
    expected = torch.load(whole / "checkpoint.pt", weights_only=True)
    found = torch.load(broken / "checkpoint.pt", weights_only=True)
    assert found["step"] == expected["step"] == 24
    assert found["tokens"] == expected["tokens"]
    assert all(torch.equal(found["model"][name], tensor) for name, tensor in expected["model"].items())


def test_a_cooldown_writes_a_model_that_others_load_and_leaves_the_run_as_it_was(tmp_path, recipe, capsys):
    assert pretrain.main(flags(recipe, tmp_path, "--max_steps", "20")) == 0
    before = (tmp_path / "checkpoint.pt").read_bytes()
    assert pretrain.main(flags(recipe, tmp_path, "--cooldown_steps", "10")) == 0
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert model.dtype == torch.bfloat16 and model.config.vocab_size == len(tokenizer) == 600
    inputs = tokenizer("summarize: The lighthouse was repaired.", return_tensors="pt")
    written = model.generate(**inputs, max_new_tokens=5)
    assert written.shape[0] == 1
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 25, 30]
    assert set(lines[1]) >= {"validation_copy", "validation_span", "validation_lead"}
    assert lines[-1]["tokens"] > lines[0]["tokens"] > 0


def test_a_killed_cooldown_goes_on_to_the_weights_of_an_unbroken_one(tmp_path, recipe):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert pretrain.main(flags(recipe, whole, "--max_steps", "5")) == 0
    shutil.copytree(whole, broken)
    cooldown = flags(recipe, broken, "--cooldown_steps", "20")
    assert pretrain.main(flags(recipe, whole, "--cooldown_steps", "20")) == 0
    assert not (whole / "cooldown.pt").exists()
    first = subprocess.Popen([sys.executable, str(ROOT / "trainer" / "pretrain.py"), *cooldown], cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not (broken / "cooldown.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert 5 < torch.load(broken / "cooldown.pt", weights_only=True)["step"] < 25
    assert torch.load(broken / "checkpoint.pt", weights_only=True)["step"] == 5
    assert pretrain.main(cooldown) == 0
    assert (broken / "model/model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes()
    # Its minutes over, a cool-down leaves its checkpoint and no model that is not finished.
    for path in (broken / "model").iterdir():
        path.unlink()
    assert pretrain.main([*cooldown, "--max_minutes", "0"]) == 0
    assert not list((broken / "model").iterdir()) and (broken / "cooldown.pt").exists()
    # Another cool-down is no continuation of that one.
    assert pretrain.main(flags(recipe, broken, "--cooldown_steps", "10")) == 0
    steps = [json.loads(line)["step"] for line in (broken / "log.jsonl").read_text("utf-8").splitlines()]
    assert steps == [5, 10, 15]


def test_a_run_starts_with_a_given_models_weights_and_vocabulary(tmp_path, recipe, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    assert pretrain.main(flags(recipe, first, "--cooldown_steps", "10")) == 0
    again = flags(recipe, second, "--model", str(first / "model"))
    assert pretrain.main([*again, "--max_steps", "0"]) == 0
    given = AutoModelForSeq2SeqLM.from_pretrained(first / "model").state_dict()
    stored = torch.load(second / "checkpoint.pt", weights_only=True)
    assert all(tensor.dtype == torch.float32 for tensor in stored["model"].values())
    assert all(torch.equal(stored["model"][name], tensor.float()) for name, tensor in given.items())
    assert stored["exercise_end"] == 0  # it can copy already
    assert pretrain.main([*again, "--cooldown_steps", "10"]) == 0
    vocabulary = "model/tokenizer.json"
    assert (second / vocabulary).read_bytes() == (first / vocabulary).read_bytes()
    model = AutoModelForSeq2SeqLM.from_pretrained(second / "model")
    assert not torch.equal(model.state_dict()["shared.weight"], given["shared.weight"])
    assert model.config.dropout_rate == 0.1
    assert pretrain.main([*again, "--d_model", "16", "--output_dir", str(tmp_path / "third")]) == 2
    assert "but the settings say" in capsys.readouterr().err
    larger = ["--d_model", "48", "--num_layers", "3", "--max_steps", "1", "--output_dir", str(tmp_path / "fourth")]
    assert pretrain.main([*again, *larger]) == 0
    assert torch.load(tmp_path / "fourth" / "checkpoint.pt", weights_only=True)["shape"]["d_model"] == 48
    assert pretrain.main(flags(recipe, second, "--model", str(tmp_path / "nowhere"))) == 2
    assert "no config.json is there" in capsys.readouterr().err


def test_the_rate_rises_stays_and_falls_to_zero(recipe, tmp_path):
    settings = parse(flags(recipe, tmp_path, "--cooldown_steps", "10"))
    state = TrainingState(model_to_pretrain(settings, tiny_tokenizer()), settings)
    rates = []
    for state.step in range(40):
        if state.step == 30:
            state.cooldown_start = 30
        rates.append(state.schedule())
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert rates[29:32] == pytest.approx([1, 1, 0.9])
    assert rates[39] == pytest.approx(0.1)


def test_lines_of_the_log_come_at_logging_and_at_evaluation_steps(tmp_path, recipe):
    more = ["--max_steps", "8", "--log_steps", "3", "--eval_steps", "4"]
    assert pretrain.main(flags(recipe, tmp_path / "three", *more)) == 0
    lines = [json.loads(line) for line in (tmp_path / "three/log.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in lines] == [3, 4, 6, 8]
    assert ["validation_span" in line for line in lines] == [False, True, False, True]
    # With a line a step each says the loss of its own step: their means are the lines of every third step.
    assert pretrain.main(flags(recipe, tmp_path / "one", "--max_steps", "8", "--log_steps", "1")) == 0
    each = [json.loads(line)["loss"] for line in (tmp_path / "one/log.jsonl").read_text("utf-8").splitlines()]
    assert len(each) == 8 and len(set(each)) == 8
    for line in lines:
        assert line["loss"] == pytest.approx(np.mean(each[line["step"] - 3 : line["step"]]), abs=2e-4)
    assert len(torch.load(tmp_path / "one/checkpoint.pt", weights_only=True)["recent"]) == 8


def test_no_warm_up_and_no_exercise_are_fine(tmp_path, recipe):
    more = ["--warmup_steps", "0", "--exercise_steps", "0", "--max_steps", "2", "--log_steps", "1"]
    assert pretrain.main(flags(recipe, tmp_path, *more)) == 0
    assert len((tmp_path / "log.jsonl").read_text("utf-8").splitlines()) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nothing_is_learnt_from_a_loss_or_gradient_that_is_not_finite(tmp_path, recipe, value):
    settings = parse(flags(recipe, tmp_path))
    tokenizer = tiny_tokenizer()
    mixture = Mixture({"train.jsonl": load_corpus(SMOKE / "train.jsonl", tokenizer, tmp_path)}, settings, tokenizer)
    state = TrainingState(model_to_pretrain(settings, tokenizer), settings)
    weights = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    for parameter in state.parameters:
        parameter.grad = torch.full_like(parameter, value)
    with pytest.raises(UserError, match=r"length of the gradients is (nan|inf) at step 0.*--learning_rate"):
        state.update()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in state.model.state_dict().items())
    state.optimizer.zero_grad()
    with torch.no_grad():
        state.model.decoder.final_layer_norm.weight[0] = value
    with pytest.raises(UserError, match=r"the loss is (nan|inf) at step 0"):
        loop.pretrain(state, mixture, tmp_path)
    del weights["decoder.final_layer_norm.weight"]
    found = state.model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
    assert state.step == 0 and not (tmp_path / "checkpoint.pt").exists()


def test_the_record_says_the_device_and_the_number_format_that_computed(tmp_path, recipe, capsys):
    more = ["--precision", "bf16", "--cooldown_steps", "2"]
    assert pretrain.main(flags(recipe, tmp_path, *more)) == 0
    record = json.loads((tmp_path / "model/pretraining.json").read_text("utf-8"))
    device = chosen_device("auto")
    assert record["device"] == device.type
    assert record["precision"] == ("bf16" if has_bf16(device) else "fp32")
    assert ("set aside and fp32 is used" in capsys.readouterr().out) == (not has_bf16(device))
