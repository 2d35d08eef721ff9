"""The ranking loss by hand, and a tiny model that learns to prefer the right sentence."""

import math

import pytest
import torch
from transformers import ByT5Tokenizer

from tests.tiny import tiny_t5
from trainer.data.sampling import EvenSampler
from trainer.data.splits import Example
from trainer.data.tokens import SummarizationDataset
from trainer.models.likelihood import log_probs_of
from trainer.training.ranking import SCALE, TEMPERATURE, RankedExtracts, collate_ranked, ranking_loss

ARTICLE = "A dog ran over the old bridge. Two boats sank in the harbour today. Rain fell on the whole island at night."
PAIRS = [
    Example("1", ARTICLE, "Two boats sank today in the harbour."),
    Example("2", ARTICLE, "Rain fell at night on the island."),
    Example("3", "Too short.", "Short."),
]


def ranked(number: int = 3, seed: int = 0, length: int = 128, bytewise: bool = False):
    model, tokenizer = tiny_t5(seed=1)
    tokenizer = ByT5Tokenizer() if bytewise else tokenizer
    tokens = SummarizationDataset(
        PAIRS, tokenizer, prefix="summarize: ", max_source_length=length, max_target_length=40
    )
    return model, tokenizer, RankedExtracts(PAIRS, tokens, tokenizer, number, seed)


def text(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=True)


def test_items_hold_the_nearest_sentence_first():
    _, tokenizer, data = ranked()
    assert [text(tokenizer, data[row]["texts"][0])[:8] for row in (0, 1)] == ["Two boat", "Rain fel"]
    # "Two boats sank in the harbour today" and the reference share 7 of 7 words and, of 6 pairs each, 4.
    assert data[0]["gains"][0] == pytest.approx(1 + 4 / 6)
    assert max(data[0]["gains"]) == data[0]["gains"][0] and len(data[0]["texts"]) == 3
    assert data[0] == data[0] and data[2]["texts"] == data[EvenSampler.BLANK]["texts"] == []
    _, _, fewer = ranked(number=2)
    assert len(fewer[0]["texts"]) == 2
    drawn = {str(ranked(number=2, seed=seed)[2][0]["texts"][1]) for seed in range(12)}
    assert len(drawn) == 2  # either of the others


def test_only_sentences_that_are_read_are_ranked():
    _, tokenizer, data = ranked(length=45)
    assert len(data[0]["input_ids"]) == 45
    assert "Rain" not in " ".join(text(tokenizer, ids) for ids in data[0]["texts"])


@pytest.mark.parametrize("bytewise", [False, True])
def test_the_prefix_is_no_part_of_what_is_read(bytewise):
    """The cut falls one token before the last sentence's end: with the prefix's length added it would look whole."""
    _, _, whole = ranked(length=500, bytewise=bytewise)
    assert len(whole[0]["texts"]) == 3
    _, tokenizer, cut = ranked(length=len(whole[0]["input_ids"]) - 1, bytewise=bytewise)
    texts = [text(tokenizer, ids) for ids in cut[0]["texts"]]
    assert len(texts) == 2 and not any("Rain" in sentence for sentence in texts)


def test_the_loss_by_hand():
    """Two texts, of 1 and 2 tokens, over a vocabulary of 2 with known log-probabilities."""
    p = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]])
    targets, segments = torch.tensor([[0, 0, 1]]), torch.tensor([[0, 1, 1]])
    gains, labels = torch.tensor([[0.3, 0.1]]), torch.tensor([[0]])
    means = [math.log(0.5), (math.log(0.9) + math.log(0.8)) / 2]
    wanted = [1 / (1 + math.exp(-0.2 / TEMPERATURE))]
    wanted.append(1 - wanted[0])
    total = math.log(sum(math.exp(SCALE * mean) for mean in means))
    expected = -sum(q * (SCALE * mean - total) for q, mean in zip(wanted, means, strict=True)) - means[0]
    loss = ranking_loss(p.log()[None], targets, segments, gains, labels)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert ranking_loss(p.log()[None], targets, segments, gains, labels, 4).item() == pytest.approx(expected / 4)


def test_articles_split_over_batches_give_the_same_gradient():
    """Of one optimizer step, whatever the batches; an article without sentences counts in neither."""
    model, tokenizer, data = ranked()
    items = [data[0], data[2], data[1]]

    def gradient(groups):
        model.zero_grad()
        for group in groups:
            batch = collate_ranked(group, 0, tokenizer.pad_token_id)
            rest = {name: batch.pop(name) for name in ("targets", "segments", "gains", "labels")}
            ranking_loss(model(**batch).logits, **rest, num_items_in_batch=2).backward()
        return torch.cat([weight.grad.flatten() for weight in model.parameters()])

    together, apart = gradient([items]), gradient([items[:1], items[1:2], items[2:]])
    assert torch.allclose(together, apart, atol=1e-5) and together.abs().max() > 0.01


def test_a_tiny_model_learns_to_choose():
    model, tokenizer, data = ranked()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    batch = collate_ranked([data[0], data[0]], 0, tokenizer.pad_token_id)
    rest = {name: batch.pop(name) for name in ("targets", "segments", "gains", "labels")}
    for _ in range(30):
        optimizer.zero_grad()
        ranking_loss(model(**batch).logits, **rest).backward()
        optimizer.step()
    texts = data[0]["texts"]
    (sums,) = log_probs_of(model.eval(), [data[0]["input_ids"]], [texts])
    means = [total / len(ids) for total, ids in zip(sums, texts, strict=True)]
    assert means.index(max(means)) == 0
