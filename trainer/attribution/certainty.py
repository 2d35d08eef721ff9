"""How sure a model was of each word of a summary: its probability, the entropy there, and what else might have stood.

Everything is of the model's own distributions over its vocabulary, the summary given word by word ("teacher forcing"),
so any text may be asked about. A probability says how well a word fits what the model learnt, not whether it is true.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from trainer.attribution.folding import run_bounds
from trainer.attribution.matrix import Pair
from trainer.attribution.sources import tokens_of_words

ALTERNATIVES = 5


@dataclass(frozen=True)
class TokenProbability:
    """One token of a summary, given the article and the tokens before it.

    Attributes:
        text: the vocabulary's piece as text; "" for the end mark.
        log_prob: log p, nats.
        entropy: of the whole distribution there, −Σ p log p over the vocabulary; nats.
        alternatives: the most probable tokens there, this one perhaps among them, as (text, probability).
    """

    text: str
    log_prob: float
    entropy: float
    alternatives: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class WordProbability:
    """One word of a summary: a run of characters without white space.

    Attributes:
        text, start, end: the word, and where it stands in the summary's characters.
        log_prob: Σ log p of its tokens; nats.
        entropy: the mean of its tokens' entropies; nats.
        tokens: those that it is made of.
    """

    text: str
    start: int
    end: int
    log_prob: float
    entropy: float
    tokens: tuple[TokenProbability, ...]


@dataclass(frozen=True)
class Certainty:
    """A summary's words, the end mark behind them, and `log_prob`, Σ log p of all: the sum of both; nats."""

    words: tuple[WordProbability, ...]
    end: TokenProbability
    log_prob: float


@torch.inference_mode()
def word_probabilities(pair: Pair, alternatives: int = ALTERNATIVES) -> Certainty:
    """The probability of each word of `pair.summary`, from one pass of the model.

    A token of white space alone counts for the word behind it, as `trainer.attribution.folding.fold_to` has it.
    """
    model = pair.passes.model
    source, target = (torch.tensor([ids], device=model.device) for ids in (pair.source.ids, pair.target.ids))
    before = model.prepare_decoder_input_ids_from_labels(target)
    log_probs = model(input_ids=source, decoder_input_ids=before).logits[0].float().log_softmax(-1)
    chosen = log_probs.gather(-1, target[0, :, None])[:, 0].tolist()
    entropies = torch.special.entr(log_probs.exp()).sum(-1).tolist()
    best = log_probs.topk(min(alternatives, log_probs.shape[-1]), dim=-1)
    text = pair.tokenizer.convert_ids_to_tokens
    tokens = [
        TokenProbability(
            text=_spelled(piece),
            log_prob=chosen[place],
            entropy=entropies[place],
            alternatives=tuple(zip(map(_spelled, text(ids)), values.exp().tolist(), strict=True)),
        )
        for place, (piece, ids, values) in enumerate(
            zip(pair.target.pieces, best.indices.tolist(), best.values, strict=True)
        )
    ]
    words = []
    for (start, end), places in zip(run_bounds(pair.summary), tokens_of_words(pair), strict=True):
        own = tuple(tokens[place] for place in places)
        log_prob, entropy = sum(token.log_prob for token in own), _mean([token.entropy for token in own])
        words.append(WordProbability(pair.summary[start:end], start, end, log_prob, entropy, own))
    return Certainty(tuple(words), tokens[-1], sum(chosen))


def _spelled(piece: str) -> str:
    """A SentencePiece piece as people read it: "▁" is the blank before a word; the end mark is nothing."""
    return "" if piece == "</s>" else piece.replace("▁", " ")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
