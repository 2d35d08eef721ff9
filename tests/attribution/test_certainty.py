"""Probabilities of words against the model's own loss, on a tiny T5."""

import math

import pytest
import torch

from tests.tiny import tiny_t5
from trainer.attribution.certainty import word_probabilities
from trainer.attribution.matrix import Pair
from trainer.attribution.passes import Passes

ARTICLE = "The lantern was lifted off by a crane. Salt water had crept behind it, said Dr. Tennant."


@pytest.fixture(scope="module")
def found():
    model, tokenizer = tiny_t5(seed=5)
    read = {"prefix": "summarize: ", "max_source_length": 64}
    return lambda summary: (Pair.read(Passes(model), tokenizer, ARTICLE, summary, **read), model)


@pytest.mark.parametrize("summary", ["The lantern was lifted, said Tennant.", "  A  crane\nlifted it 🚢!", "Lantern"])
def test_words_add_up_to_the_models_own_loss(found, summary):
    pair, model = found(summary)
    certainty = word_probabilities(pair)
    source, target = torch.tensor([pair.source.ids]), torch.tensor([pair.target.ids])
    with torch.no_grad():
        output = model(input_ids=source, labels=target)
    assert certainty.log_prob == pytest.approx(-output.loss.item() * target.shape[1], abs=1e-3)
    assert certainty.log_prob == pytest.approx(pair.log_prob, abs=1e-3)
    assert sum(word.log_prob for word in certainty.words) + certainty.end.log_prob == pytest.approx(certainty.log_prob)
    assert [word.text for word in certainty.words] == summary.split()
    assert all(summary[word.start : word.end] == word.text for word in certainty.words)
    for word in certainty.words:
        assert word.log_prob == pytest.approx(sum(token.log_prob for token in word.tokens))
    own = output.logits[0].softmax(-1)
    tokens = [token for word in certainty.words for token in word.tokens] + [certainty.end]
    assert len(tokens) == len(own)
    for token, row in zip(tokens, own, strict=True):
        assert token.entropy == pytest.approx(-(row * row.log()).sum().item(), abs=1e-4)
        assert 0 < token.entropy <= math.log(len(row)) + 1e-6
        probabilities = [probability for _, probability in token.alternatives]
        assert probabilities == pytest.approx(row.topk(5).values.tolist(), abs=1e-5)
        assert math.exp(token.log_prob) <= probabilities[0] + 1e-6


def test_the_number_of_alternatives_is_asked_for(found):
    pair, _ = found("Lantern")
    assert {len(token.alternatives) for word in word_probabilities(pair, 2).words for token in word.tokens} == {2}
