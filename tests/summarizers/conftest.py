"""Fixtures that several tests of summarisers share."""

import peft
import pytest
import torch
from transformers import T5ForConditionalGeneration

from tests.architectures import FAMILIES


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One folder a family."""
    root = tmp_path_factory.mktemp("families")
    return {family: save(root / family) for family, save in FAMILIES.items()}


@pytest.fixture(scope="module")
def adapter(folders, tmp_path_factory):
    """A LoRA adapter that changes what the tiny T5 writes, and its folder."""
    model = T5ForConditionalGeneration.from_pretrained(folders["t5"])
    torch.manual_seed(3)
    config = peft.LoraConfig(r=4, lora_alpha=64, target_modules=["q", "v"], init_lora_weights=False)
    adapted = peft.get_peft_model(model, config)
    folder = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(folder)
    return adapted.eval(), folder
