"""Texts packed into one decoder pass are as probable as each is alone."""

import pytest
import torch

from tests.tiny import tiny_t5
from trainer.models import likelihood, packed_scoring
from trainer.models.likelihood import PackedTargets, log_probs_of, packed_log_probs

TEXTS = [[5, 9, 11, 1], [7, 1], [5, 9, 12, 30, 31, 8, 1], [40, 41, 1]]


def alone(model, source, text):
    """Σ log p by the model's own loss, a mean a token."""
    with torch.no_grad():
        return -model(input_ids=source, labels=torch.tensor([text])).loss.item() * len(text)


@pytest.mark.parametrize("tokens", [512, 7, 1])
@pytest.mark.parametrize("own", [True, False], ids=["end to end", "padded"])
@pytest.mark.parametrize("shape", [{}, {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}])
def test_packed_is_as_alone(monkeypatch, tokens, own, shape):
    monkeypatch.setattr(likelihood, "TOKENS_A_ROW", tokens)
    monkeypatch.setattr(likelihood, "TOKENS_A_PASS", 2 * tokens)
    monkeypatch.setattr(packed_scoring, "TOKENS_A_PASS", tokens)
    monkeypatch.setattr(packed_scoring, "ROWS_AT_THE_HEAD", tokens)
    if not own:
        monkeypatch.setattr(packed_scoring, "supports", lambda model: False)
    model, _ = tiny_t5(seed=4, **shape)
    source = torch.randint(2, 500, (1, 23), generator=torch.Generator().manual_seed(0))
    expected = [alone(model, source, text) for text in TEXTS]
    assert log_probs_of(model, source.tolist(), [TEXTS])[0] == pytest.approx(expected, abs=1e-4)


def test_a_batch_of_articles_with_unequal_numbers_of_texts():
    model, _ = tiny_t5(seed=4)
    source = torch.randint(2, 500, (2, 23), generator=torch.Generator().manual_seed(0))
    packed = PackedTargets.of([TEXTS, TEXTS[:1]], start_token_id=0)
    with torch.no_grad():
        logits = model(
            input_ids=source,
            decoder_input_ids=packed.decoder_input_ids,
            decoder_attention_mask=packed.mask(torch.float32),
        ).logits
    sums, lengths = packed_log_probs(logits, packed.targets, packed.segments)
    assert lengths.tolist() == [[4, 2, 7, 3], [4, 0, 0, 0]]
    assert sums[0].tolist() == pytest.approx([alone(model, source[:1], text) for text in TEXTS], abs=1e-4)
    assert sums[1, 0].item() == pytest.approx(alone(model, source[1:], TEXTS[0]), abs=1e-4)


def test_no_token_sees_another_text():
    mask = PackedTargets.of([[[3, 1], [4, 1]]], 0).mask(torch.float32)[0, 0]
    assert (mask == 0).int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]


@pytest.mark.parametrize("own", [True, False], ids=["end to end", "padded"])
def test_an_article_is_scored_alike_whoever_else_is_in_the_batch(monkeypatch, own):
    if not own:
        monkeypatch.setattr(packed_scoring, "supports", lambda model: False)
    model, _ = tiny_t5(seed=4)
    draw = torch.Generator().manual_seed(1)
    sources = [torch.randint(2, 500, (length,), generator=draw).tolist() for length in (23, 5, 90, 41)]
    texts = [TEXTS, TEXTS[:1], [TEXTS[2], TEXTS[0], TEXTS[2]], TEXTS[::-1]]
    together = log_probs_of(model, sources, texts)
    for source, own, values in zip(sources, texts, together, strict=True):
        assert values == pytest.approx([alone(model, torch.tensor([source]), text) for text in own], abs=1e-4)
        assert values == pytest.approx(log_probs_of(model, [source], [own])[0], abs=1e-5)
    assert together[2][0] == together[2][2]  # the same ids, not nearly the same value
