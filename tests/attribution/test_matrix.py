"""The matrix of integrated gradients: Captum's own numbers, rows that add up, words and sentences that add up."""

import numpy as np
import pytest
import torch
from captum.attr import LayerIntegratedGradients

from tests.attribution.test_gradients import PREFIX, texts
from tests.tiny import tiny_t5
from trainer.attribution.gradients import frozen_copy, integrated_gradients, target_log_probs
from trainer.attribution.matrix import IntegratedGradients, Pair
from trainer.attribution.passes import Passes
from trainer.attribution.quadrature import rule, until_complete
from trainer.errors import UserError

GATED = {"feed_forward_proj": "gated-gelu"}


def pair_of(model, tokenizer, article, summary, memory=1 << 30, **over) -> Pair:
    passes = Passes(model, memory=memory)
    return Pair.read(passes, tokenizer, article, summary, **({"prefix": PREFIX, "max_source_length": 1024} | over))


def captums_row(model, pair: Pair, token: int, n_steps: int, method: str) -> np.ndarray:
    """One summary token by Captum's LayerIntegratedGradients on transformers' own forward pass."""
    ids = torch.tensor([pair.source.ids])
    labels = torch.tensor([pair.target.ids])

    def forward(ids, mask, labels):
        return target_log_probs(copy, ids, mask, labels)[:, token]

    copy = frozen_copy(model)
    found = LayerIntegratedGradients(forward, copy.encoder.embed_tokens).attribute(
        ids,
        baselines=torch.zeros_like(ids),
        additional_forward_args=(torch.ones_like(ids), labels),
        n_steps=n_steps,
        method=method,
        internal_batch_size=8,
    )
    return found.detach().sum(-1)[0].numpy()


@pytest.mark.parametrize("kind", ["relu", "gated"])
@pytest.mark.parametrize("method", ["gausslegendre", "riemann_middle"])
def test_rows_are_captums(kind, method):
    model, tokenizer = tiny_t5(**(GATED if kind == "gated" else {}))
    pair = pair_of(model, tokenizer, *texts(1, words=25)[0])
    matrix = IntegratedGradients(n_steps=10, method=method).attribute(pair)
    assert matrix.scores.shape == (len(pair.target.ids), len(pair.source.ids))
    largest = np.abs(matrix.scores).max()
    for token in (0, 1, 7, len(pair.target.ids) - 1):
        expected = captums_row(model, pair, token, 10, method)
        assert np.abs(matrix.scores[token] - expected).max() <= 1e-4 * largest


def test_memory_changes_no_score(tiny):
    article, summary = texts(1, words=20)[0]
    rows = [[token] for token in range(6)]
    usual = IntegratedGradients(n_steps=3).attribute(pair_of(*tiny, article, summary), rows)
    tight = IntegratedGradients(n_steps=3).attribute(pair_of(*tiny, article, summary, memory=1), rows)
    assert np.abs(usual.scores - tight.scores).max() <= 1e-5 * np.abs(usual.scores).max()


def test_rows_of_several_tokens_are_sums(tiny):
    pair = pair_of(*tiny, *texts(1, words=20)[0])
    method = IntegratedGradients(n_steps=5)
    tokens = method.attribute(pair)
    groups = method.attribute(pair, [*pair.whole, [2, 3], [4]])
    for row, expected in enumerate((tokens.scores.sum(0), tokens.scores[2:4].sum(0), tokens.scores[4])):
        assert np.abs(groups.scores[row] - expected).max() <= 1e-5 * np.abs(expected).max()
    assert groups.log_probs[0] == pytest.approx(tokens.log_probs.sum(), rel=1e-5)
    assert groups.baseline_log_probs[1] == pytest.approx(tokens.baseline_log_probs[2:4].sum(), rel=1e-5)


def test_steps_are_raised_until_the_scores_add_up(tiny):
    pair = pair_of(*tiny, *texts(1, words=20)[0])
    heard = []
    matrix = IntegratedGradients().attribute(pair, progress=lambda *points: heard.append(points))
    assert matrix.converged.all()
    change = matrix.log_probs - matrix.baseline_log_probs
    assert (np.abs(matrix.scores.sum(1) - change) <= 0.01 * np.maximum(np.abs(change), 1)).all()
    assert set(matrix.n_steps % 2) == {1} and matrix.n_steps.min() >= 7
    assert heard[0] == (1, 7) and heard[6] == (7, 7) and heard[-1] == (matrix.n_steps.max(),) * 2
    fine = IntegratedGradients(n_steps=200, method="riemann_middle").attribute(pair, pair.whole)
    found = IntegratedGradients().attribute(pair, pair.whole)
    assert np.abs(found.scores - fine.scores).sum() <= 0.05 * np.abs(fine.scores).sum()


def test_what_does_not_add_up_is_said_not_to_have_converged(tiny):
    pair = pair_of(*tiny, *texts(1, words=20)[0])
    matrix = IntegratedGradients(baseline="zero", max_steps=7).attribute(pair, pair.whole)
    assert matrix.n_steps.tolist() == [7]
    assert matrix.completeness_errors[0] > 0.01 and not matrix.converged.any()


@pytest.mark.parametrize("name", ["gausslegendre", "riemann_middle"])
def test_rules_integrate(name):
    points, weights = rule(name, 49)
    assert (np.diff(points) > 0).all() and points[0] >= 0 and points[-1] <= 1
    assert weights.sum() == pytest.approx(1)
    assert (weights * np.exp(points)).sum() == pytest.approx(np.e - 1, rel=1e-4)


def test_points_are_added_where_they_are_needed():
    """Three functions on [0, 1] of which the truth is known: a line, a step in the middle, a step near the end."""

    def functions(point: float) -> tuple[np.ndarray, np.ndarray]:
        steps = np.array([1 / (1 + np.exp(-60 * (point - place))) for place in (0.5, 0.9)])
        return np.array([2 * point, *5 * steps]), np.array([2.0, *300 * steps * (1 - steps)])

    asked = []

    def at(point: float, going: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append((point, going.tolist()))
        values, slopes = functions(point)
        return values[going], np.stack([slopes[going] * part for part in (0.25, 0.75)], 1)

    found = until_complete(at, 3)
    change = functions(1.0)[0] - functions(0.0)[0]
    assert (np.abs(found.scores.sum(1) - change) <= 0.01 * change).all()
    assert np.allclose(found.scores[:, 1], 3 * found.scores[:, 0])
    assert (found.start.tolist(), found.end.tolist()) == (functions(0.0)[0].tolist(), functions(1.0)[0].tolist())
    assert found.steps[0] == 7 and (found.steps[1:] > 7).all() and len(asked) == found.steps.max() < 40
    later = [point for point, going in asked[7:] if 0 not in going]
    assert len(later) == len(asked) - 7 and np.mean([point > 0.3 for point in later]) > 0.9
    assert until_complete(at, 3, most=9).steps.tolist() == [7, 9, 9]


@pytest.mark.parametrize(
    "over, rows, part",
    [
        ({"baseline": "mask"}, None, "baseline is 'mask'"),
        ({"method": "simpson", "n_steps": 4}, None, "method is 'simpson'"),
        ({"n_steps": 0}, None, "n_steps is 0"),
        ({}, [[900]], r"A row is \[900\]"),
        ({}, [[]], r"A row is \[\]"),
        ({}, [], "rows is empty"),
    ],
)
def test_bad_input_ends_in_a_sentence(tiny, over, rows, part):
    pair = pair_of(*tiny, "a b c", "b")
    with pytest.raises(UserError, match=part):
        IntegratedGradients(**over).attribute(pair, rows)


def test_broken_weights_are_named():
    model, tokenizer = tiny_t5()
    model.lm_head.weight.data[5] = float("nan")
    with pytest.raises(UserError, match="weights may be damaged"):
        IntegratedGradients().attribute(pair_of(model, tokenizer, "a b", "b"))


def test_the_whole_summary_is_captums(tiny):
    """One row for all tokens, by the rule that the page's steps are midpoints of."""
    model, tokenizer = tiny
    article, summary = texts(1, words=25)[0]
    pair = pair_of(model, tokenizer, article, summary)
    expected = integrated_gradients(
        model, tokenizer, article, summary, prefix=PREFIX, max_source_length=1024, n_steps=12
    )
    found = IntegratedGradients(n_steps=12, method="riemann_middle").attribute(pair, pair.whole).attribution(0)
    largest = max(map(abs, expected.scores))
    assert np.abs(np.subtract(found.scores, expected.scores)).max() <= 1e-4 * largest
    assert found.target_log_prob == pytest.approx(expected.target_log_prob, rel=1e-5)
    assert found.baseline_log_prob == pytest.approx(expected.baseline_log_prob, rel=1e-5)
    assert (found.pieces, found.offsets, found.n_steps) == (expected.pieces, expected.offsets, 12)
    assert found.completeness_gap == pytest.approx(expected.completeness_gap, abs=1e-4)
