"""The forecast for hired GPUs: its arithmetic, where its figures come from, and lines that can be typed."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.tiny import tiny_t5
from trainer.report.cost import SMALL, XSUM, Speed, costs, main, step_flops
from trainer.settings.training import Settings

TABLE_3 = ["--recipe", "report-table-3"]


def test_operations_are_those_that_torch_counts():
    model, _ = tiny_t5()
    model.set_attn_implementation("eager")  # torch does not count the other's products on a processor
    ids, labels = torch.ones(1, 50, dtype=torch.long), torch.ones(1, 20, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=ids, labels=labels, use_cache=False)
    assert step_flops(model.config, 50, 20) / 3 == pytest.approx(counter.get_total_flops(), rel=0.001)


def test_costs_by_hand():
    settings = Settings.parse([*TABLE_3, "--max_eval_samples", "640", "--eval_every", "6000"])
    one, eight = costs(settings, Speed(0.01, 0.002, ""), [1, 8], dollars=2.0, shared=0.5)
    steps = -(-XSUM["train"] // 16)
    evaluations = -(-steps // 6000)
    assert one.training == pytest.approx(steps * 16 * 0.01) and one.validation == pytest.approx(evaluations * 1.28)
    assert one.test == eight.test == pytest.approx(2 * 11_334 * 0.002)
    assert eight.training == pytest.approx(one.training / 4)
    assert eight.dollars == pytest.approx(8 * 2 * eight.seconds / 3600)
    few = Settings.parse([*TABLE_3, "--max_train_samples", "160", "--max_test_samples", "10", "--no_baselines"])
    (short,) = costs(few, Speed(0.01, 0.002, ""), [1], 2.0, 0.5)
    assert short.training == pytest.approx(1.6) and short.test == pytest.approx(0.02)


def test_the_answer_states_what_it_rests_on_and_the_lines_can_be_typed(capsys):
    assert main(TABLE_3) == 0
    said = capsys.readouterr().out
    assert "Assumed, not measured" in said and "19.5 TFLOP/s" in said
    lines = re.findall(r"^hf jobs run .*$", said, re.MULTILINE)
    assert len(lines) == 2 and "--nproc_per_node=8" in lines[1] and "--train_batch_size 2" in lines[1]
    for line in lines:
        command = shlex.split(line)[-1].split(" && ")[-1]
        flags = shlex.split(command[command.index("trainer/train.py") :])[1:]
        assert Settings.parse(flags).model.model == SMALL and Settings.parse(flags).hub.push
    hf = Path(sys.executable).with_name("hf")
    words = [str(hf), *shlex.split(lines[1])[1:3], "--dry-run", *shlex.split(lines[1])[3:]]
    words = [word for word in words if word not in ("--volume", ".:/checkout")]  # which asks the Hub who is asking
    planned = subprocess.run(words, capture_output=True, text=True, timeout=60, env={"HF_HUB_OFFLINE": "1"})
    assert planned.returncode == 0 and "a100x8" in planned.stdout + planned.stderr, planned.stderr


def test_what_was_measured_goes_before_what_is_assumed(tmp_path, capsys):
    training = {
        "splits": [{"n": 400}, {"n": 50}],
        "evaluations": [{"seconds": 5.0}, {"seconds": 15.0}],
        "steps": 100,
        "pairs_per_step": 4,
        "processes": 1,
        "seconds": 60.0,
        "device": "A GPU",
    }
    record = {"training": training, "settings": {"evaluation": {"max_eval_samples": 20}}}
    file = tmp_path / "results.json"
    file.write_text(json.dumps(record))
    assert main([*TABLE_3, "--measured", str(file), "--gpus", "1"]) == 0
    said = capsys.readouterr().out
    assert "Measured: 400 pairs trained on and 20 articles summarised on A GPU" in said
    assert f"| 1 | {XSUM['train'] * 0.1 / 3600:.1f} hours |" in said  # (60 - 20) s / 400 pairs
    file.write_text(json.dumps({**record, "training": training | {"processes": 8}}))
    assert main([*TABLE_3, "--measured", str(file)]) == 2
    assert "8 processes trained there; one is needed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--model", "google-t5/t5-base"], f"The assumptions are for {SMALL}"),
        (["--gpus", "0"], "--gpus is [0]: it must be over 0"),
        (["--measured", "absent.json"], "that is no results.json of a training"),
        (["--lerning_rate", "1"], "did you mean --learning_rate"),
    ],
)
def test_mistakes_are_told(flags, sentence, capsys):
    assert main([*TABLE_3, *flags]) == 2
    assert sentence in capsys.readouterr().err
