"""Short trainings of a small model on the smoke pairs."""

from dataclasses import replace
from pathlib import Path

import torch

from tests.tiny import tiny_t5
from trainer.data.load import load_split
from trainer.settings.training import Settings
from trainer.training.checkpoints import TrainingRun
from trainer.training.fit import build_trainer

QUICK = ["--recipe", "smoke", "--max_source_length", "40", "--max_target_length", "24", "--max_new_tokens", "6"]


def settings_for(folder: Path, *flags: str) -> Settings:
    """Short sequences and the smoke recipe's texts; `--model` is only a name here, models are passed in."""
    return Settings.parse([*QUICK, "--output_dir", str(folder), *flags])


def trainer_for(folder: Path, *flags: str, seed: int = 0, n: int | None = None, **over):
    settings = settings_for(folder, *flags)
    train, validation = (load_split(settings.data, name) for name in ("train", "validation"))
    model, tokenizer = tiny_t5(seed, **over)
    if n:
        train = replace(train, examples=train.examples[:n])
    return build_trainer(settings, TrainingRun.open(settings), model, tokenizer, train, validation)


def weights_of(trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}


def assert_close(one: dict, two: dict, tolerance: float) -> None:
    for name in one:
        assert torch.allclose(one[name], two[name], rtol=0, atol=tolerance), (
            name,
            float((one[name] - two[name]).abs().max()),
        )
