"""A T5 so small that a test can train, save and explain it in a second: random weights, own vocabulary, fixed seed."""

import json
from functools import cache
from pathlib import Path

import torch
from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

from trainer.models.vocabulary import train_vocabulary

SMOKE = Path(__file__).resolve().parents[1] / "trainer" / "recipes" / "smoke"


@cache
def _texts() -> tuple[str, ...]:
    rows = [json.loads(line) for line in (SMOKE / "train.jsonl").read_text("utf-8").splitlines()]
    return tuple(text for row in rows for text in ("summarize: " + row["document"], row["summary"]))


def tiny_tokenizer(vocab_size: int = 600) -> T5Tokenizer:
    """A vocabulary of about 600 pieces, 100 sentinels among them, from the texts of the smoke recipe."""
    return train_vocabulary(_texts(), vocab_size)


def tiny_config(tokenizer: T5Tokenizer, **over) -> T5Config:
    """2 + 2 layers of width 32; `over` replaces single values."""
    values = {
        "vocab_size": len(tokenizer),
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "num_heads": 4,
        "dropout_rate": 0.0,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": 1,
    }
    return T5Config(**(values | over))


def tiny_t5(seed: int = 0, **over) -> tuple[T5ForConditionalGeneration, T5Tokenizer]:
    """A model in eval mode and its tokenizer; the same `seed` gives the same weights."""
    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = T5ForConditionalGeneration(tiny_config(tokenizer, **over)).eval()
    return model, tokenizer


def save_tiny_t5(folder: Path, seed: int = 0, **over) -> Path:
    """Saves model and tokenizer the way a Hub repository holds them and returns `folder`."""
    model, tokenizer = tiny_t5(seed, **over)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
