"""A small encoder with random weights."""

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    RobertaConfig,
    RobertaModel,
)

from tests.architectures import SIZES, byte_pairs, word_pieces


def save_encoder(folder, family="bert"):
    """A random encoder with 64 positions."""
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(2)
        if family == "bert":
            vocabulary = word_pieces(folder, 512)
            config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, initializer_range=0.3, **SIZES)
            AutoModel.from_config(config).save_pretrained(folder)
        else:
            vocabulary = byte_pairs(folder, "RobertaTokenizer", 512)
            ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
            config = RobertaConfig(vocab_size=len(vocabulary), max_position_embeddings=66, **ids, **SIZES)
            RobertaModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_encoder(tmp_path_factory.mktemp("encoder") / "tiny-bert")
