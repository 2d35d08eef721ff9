"""What stops a training is told in a sentence and leaves the run whole."""

import math
from pathlib import Path

import pytest
import torch

from tests.tiny import tiny_t5
from tests.training.runs import settings_for, trainer_for
from trainer.data.load import load_split
from trainer.errors import Stopped
from trainer.training.checkpoints import TrainingRun, is_whole
from trainer.training.fit import fit
from trainer.training.stops import explained


def test_a_loss_that_is_no_number_stops_before_the_weights(tmp_path):
    trainer = trainer_for(tmp_path, "--max_steps", "6", "--eval_every", "2")
    loss, calls = trainer.compute_loss_func, []

    def poisoned(outputs, labels, num_items_in_batch=None):
        calls.append(1)
        return loss(outputs, labels, num_items_in_batch) * (math.nan if len(calls) == 4 else 1)

    trainer.compute_loss_func = poisoned
    with pytest.raises(Stopped) as error:
        trainer.train()
    said = str(error.value)
    assert "no longer a number at step 4" in said and "checkpoint-2 is whole" in said
    assert "--learning_rate 0.001 " in said or "--learning_rate 0.001," in said
    assert all(tensor.isfinite().all() for tensor in trainer.model.state_dict().values())
    assert len(calls) == 4 and trainer.state.global_step == 3


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch):
    settings = settings_for(tmp_path, "--max_steps", "4", "--eval_every", "1", "--save_total_limit", "1")
    train, validation = (load_split(settings.data, name) for name in ("train", "validation"))
    run = TrainingRun.open(settings)
    write = torch.save

    def full(value, path, *args, **kwargs):
        # What Linux answers to the first write that finds no room, on the second checkpoint's optimizer.
        if "checkpoint-2" in str(path):
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device", str(path))
        return write(value, path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full)
    full_disk = pytest.raises(Stopped, match=r"disk .* is full. checkpoint-1 is whole. Free some space")
    with full_disk, explained(settings):
        fit(settings, run, *tiny_t5(), train, validation)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-1"]
    assert is_whole(tmp_path / "checkpoint-1")
    monkeypatch.undo()
    fit(settings, run, *tiny_t5(), train, validation)
    assert run.trained["steps"] == 4


def test_out_of_memory_in_all_its_words(tmp_path):
    settings = settings_for(tmp_path, "--optimizer", "adafactor", "--gradient_checkpointing", "--train_batch_size", "1")
    for error in (
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:116] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
    ):
        said = r"Out of memory. There is no checkpoint yet. What needs less"
        with pytest.raises(Stopped, match=said) as found, explained(settings):
            raise error
        # Only what is not done already.
        assert "--eval_batch_size 4" in str(found.value) and "--max_source_length 20" in str(found.value)
        assert not any(word in str(found.value) for word in ("train_batch", "--optimizer", "--gradient_checkpointing"))
    with pytest.raises(ZeroDivisionError), explained(settings):
        raise ZeroDivisionError  # a fault of ours is not made to look like one of the machine's
