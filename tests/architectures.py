"""Tiny models of the families that summarise on the Hub: random weights, vocabularies of the smoke texts, fixed seed.

Each is saved as a repository of that family holds it, with its own kind of vocabulary files.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    PegasusConfig,
    PegasusForConditionalGeneration,
    PegasusTokenizer,
    PreTrainedModel,
    RobertaConfig,
    T5ForConditionalGeneration,
)

from tests.tiny import _texts, tiny_config, tiny_tokenizer

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
# Half of the pieces come up in a random model's summary only if its weights are not nearly zero.
SPREAD = 0.3


def _seeded(build: Callable[[], PreTrainedModel], seed: int) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().eval()


def byte_pairs(folder: Path, family: str, length: int) -> dict[str, int]:
    """BART's and RoBERTa's kind: `vocab.json` and `merges.txt`."""
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(_texts(), vocab_size=500, special_tokens=special, show_progress=False)
    tokenizer.save_model(str(folder))
    about = {"tokenizer_class": family, "model_max_length": length}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return tokenizer.get_vocab()


def word_pieces(folder: Path, length: int) -> dict[str, int]:
    """BERT's kind: `vocab.txt`."""
    tokenizer = BertWordPieceTokenizer()
    tokenizer.train_from_iterator(_texts(), vocab_size=500, show_progress=False)
    tokenizer.save_model(str(folder))
    about = {"tokenizer_class": "BertTokenizer", "model_max_length": length}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return tokenizer.get_vocab()


def save_t5(folder: Path, seed: int = 0, **over) -> Path:
    """The first T5, or with `over` its relatives: v1.1 and flan have a gated layer and a head of their own."""
    tokenizer = tiny_tokenizer()
    model = _seeded(lambda: T5ForConditionalGeneration(tiny_config(tokenizer, **over)), seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_t5_v1_1(folder: Path, seed: int = 0) -> Path:
    """With the config as the published ones have it: transformers' own would say that the head is tied."""
    save_t5(folder, seed, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    model = T5ForConditionalGeneration.from_pretrained(folder)
    head = torch.randn(model.lm_head.weight.shape, generator=torch.Generator().manual_seed(seed)) * SPREAD
    model.lm_head.weight = torch.nn.Parameter(head)
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["scale_decoder_outputs"]
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    return folder


def save_bart(folder: Path, seed: int = 0, positions: int = 40) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = byte_pairs(folder, "BartTokenizer", 1024)
    config = BartConfig(
        vocab_size=len(vocabulary),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=positions,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_bos_token_id=0,
        forced_eos_token_id=2,
        init_std=SPREAD,
    )
    _seeded(lambda: BartForConditionalGeneration(config), seed).save_pretrained(folder)
    return folder


def save_pegasus(folder: Path, seed: int = 0, positions: int = 40) -> Path:
    pieces = [(piece, score) for piece, score in tiny_tokenizer()._vocab_scores if not piece.startswith("<")]
    vocab = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<mask_1>", 0.0),
        ("<mask_2>", 0.0),
        ("<unk>", 0.0),
        ("<n>", -3.0),
        *pieces,
    ]
    tokenizer = PegasusTokenizer(vocab=vocab, offset=0, model_max_length=positions)
    config = PegasusConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=positions,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        forced_eos_token_id=1,
        init_std=SPREAD,
    )
    _seeded(lambda: PegasusForConditionalGeneration(config), seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_bert2bert(folder: Path, seed: int = 0, positions: int = 40) -> Path:
    """As people saved them: the special tokens are nowhere in the config."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = word_pieces(folder, 512)
    half = {"vocab_size": len(vocabulary), "max_position_embeddings": positions, "initializer_range": SPREAD, **SIZES}
    config = EncoderDecoderConfig.from_encoder_decoder_configs(BertConfig(**half), BertConfig(**half))
    _seeded(lambda: EncoderDecoderModel(config), seed).save_pretrained(folder)
    return folder


def save_roberta2roberta(folder: Path, seed: int = 0, positions: int = 40) -> Path:
    """`positions` are those it has for tokens: its table has two rows more."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = byte_pairs(folder, "RobertaTokenizer", 512)
    half = {"vocab_size": len(vocabulary), "max_position_embeddings": positions + 2, "initializer_range": SPREAD}
    half |= {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, **SIZES}
    config = EncoderDecoderConfig.from_encoder_decoder_configs(RobertaConfig(**half), RobertaConfig(**half))
    _seeded(lambda: EncoderDecoderModel(config), seed).save_pretrained(folder)
    return folder


FAMILIES: dict[str, Callable[..., Path]] = {
    "t5": save_t5,
    "t5-v1.1": save_t5_v1_1,
    "bart": save_bart,
    "pegasus": save_pegasus,
    "bert2bert": save_bert2bert,
    "roberta2roberta": save_roberta2roberta,
}
