"""Every method of the registry: Captum's numbers where it has them, and hand-made truths where it has none."""

import numpy as np
import pytest
import torch
from captum.attr import LayerGradientXActivation

from tests.attribution.test_gradients import texts
from tests.attribution.test_matrix import GATED, pair_of
from tests.tiny import tiny_t5
from trainer.attribution.ablation import Ablations, ContextCite, KernelShap, Lime, Occlusion, logits
from trainer.attribution.attention import AttentionRollout, CrossAttention, ValueWeightedAttention
from trainer.attribution.contrast import contrast
from trainer.attribution.folding import fold_to
from trainer.attribution.gradient_methods import GradientShap, InputXGradient, Saliency
from trainer.attribution.gradients import frozen_copy, target_log_probs
from trainer.attribution.matrix import IntegratedGradients
from trainer.attribution.registry import METHODS, method
from trainer.errors import UserError


@pytest.fixture(scope="module")
def pair(tiny):
    return pair_of(*tiny, *texts(1, words=45)[0])


@pytest.mark.parametrize("name", METHODS)
def test_each_gives_a_matrix(pair, name):
    heard = []
    rows = [[0], [3, 4]]
    matrix = method(name).attribute(pair, rows, progress=lambda *of: heard.append(of))
    assert matrix.scores.shape == (2, len(pair.source.ids)) and np.isfinite(matrix.scores).all()
    assert np.abs(matrix.scores).max() > 0 and matrix.rows == ((0,), (3, 4))
    assert heard and all(done <= of for done, of in heard)
    log_probs = pair.passes.log_probs(pair.passes.embeddings(pair.source.ids), pair.target.ids)
    assert matrix.log_probs == pytest.approx([log_probs[0].item(), log_probs[3:5].sum().item()], rel=1e-4)
    again = method(name).attribute(pair, rows)
    assert np.array_equal(again.scores, matrix.scores)


def test_names_and_settings_are_checked():
    with pytest.raises(UserError, match=r"'saliancy'\. Did you mean saliency\?"):
        method("saliancy")
    with pytest.raises(UserError, match="does not take these settings"):
        method("saliency", baseline="pad")
    assert method("integrated_gradients", n_steps=3) == IntegratedGradients(n_steps=3)


@pytest.mark.parametrize("kind", [{}, GATED], ids=["relu", "gated"])
def test_gradients_are_captums(kind):
    model, tokenizer = tiny_t5(**kind)
    pair = pair_of(model, tokenizer, *texts(1, words=25)[0])
    copy = frozen_copy(model)
    ids, labels = torch.tensor([pair.source.ids]), torch.tensor([pair.target.ids])

    def forward(ids):
        return target_log_probs(copy, ids, torch.ones_like(ids), labels)[:, 4]

    expected = LayerGradientXActivation(forward, copy.encoder.embed_tokens).attribute(ids).detach()[0]
    ours = InputXGradient().attribute(pair, [[4]]).scores[0]
    assert np.abs(ours - expected.sum(-1).numpy()).max() <= 1e-4 * np.abs(ours).max()
    lengths = (expected / copy.encoder.embed_tokens(ids)[0].detach()).norm(dim=-1).numpy()
    assert Saliency().attribute(pair, [[4]]).scores[0] == pytest.approx(lengths, rel=1e-3)


def test_gradient_shap_tends_to_integrated_gradients(pair):
    exact = IntegratedGradients(n_steps=12).attribute(pair, pair.whole).scores[0]
    few, many = (GradientShap(n_samples=n, noise=0.0).attribute(pair, pair.whole).scores[0] for n in (2, 60))
    distances = [np.abs(found - exact).sum() / np.abs(exact).sum() for found in (few, many)]
    assert distances[1] < 0.3 and distances[1] < distances[0]


# --- leaving parts out ---


def test_what_is_left_out_is_not_read(tiny, pair):
    ablations = Ablations(pair, "sentences")
    assert len(ablations) >= 2
    start, end = ablations.bounds[1]
    kept = [number != 1 for number in range(len(ablations))]
    without = pair_of(*tiny, pair.article[:start] + pair.article[end:].lstrip(), pair.summary)
    expected = without.passes.log_probs(without.passes.embeddings(without.source.ids), without.target.ids)
    assert ablations.log_probs(kept) == pytest.approx(expected.numpy(), abs=1e-4)
    assert ablations.log_probs(kept) is ablations.log_probs(kept) and ablations.passes_made == 1


@pytest.mark.parametrize("parts", ["words", "sentences"])
def test_occlusion_is_the_fall_without_a_part(pair, parts):
    matrix = Occlusion(parts).attribute(pair, pair.whole)
    ablations = Ablations(pair, parts)
    scores = fold_to(ablations.bounds, pair.source.offsets, matrix.scores)[0]
    for part in (0, len(ablations) - 1):
        kept = [number != part for number in range(len(ablations))]
        assert scores[part] == pytest.approx(matrix.log_probs[0] - ablations.log_probs(kept).sum(), abs=1e-6)


class Additive(Ablations):
    """A model of which the truth is known: each sentence adds its own number of nats to each token."""

    effects = (3.0, -1.0, 0.0, 0.5)

    def __post_init__(self):
        self.bounds = [(number, number + 1) for number in range(4)]
        self.tokens = [[1], [2, 3], [4], [5]]
        self._known = {}

    def log_probs(self, kept):
        kept = np.asarray(kept, dtype=bool)
        self._known[kept.tobytes()] = np.full(len(self.pair.target.ids), -9.0 + (kept * self.effects).sum())
        return self._known[kept.tobytes()]


@pytest.mark.parametrize("surrogate, most", [(KernelShap(40), 1e-3), (Lime(40), 0.15), (ContextCite(40), 0.05)])
def test_surrogates_find_what_sentences_add(pair, monkeypatch, surrogate, most):
    monkeypatch.setattr("trainer.attribution.ablation.Ablations", Additive)
    scores = surrogate.attribute(pair, [[0], [0, 1]]).scores
    assert scores[0, [1, 4, 5]] == pytest.approx([3.0, 0.0, 0.5], abs=most)
    assert scores[0, [2, 3]] == pytest.approx([-0.5, -0.5], abs=most)  # one sentence of two tokens
    assert scores[1] == pytest.approx(2 * scores[0], abs=2 * most)


def test_logits():
    assert logits(np.log([0.5, 0.9])) == pytest.approx([0.0, np.log(9)])
    assert logits(np.array([-50.0]))[0] == pytest.approx(-50.0) and np.isfinite(logits(np.array([0.0])))[0]


def test_parts_have_names(pair):
    with pytest.raises(UserError, match="parts is 'letters'"):
        Occlusion("letters").attribute(pair)


# --- attention ---


def test_attention_adds_up_to_one(pair):
    heads = [CrossAttention(layer, head).attribute(pair).scores for layer in range(2) for head in range(4)]
    for scores in (*heads, AttentionRollout().attribute(pair).scores):
        assert scores.sum(1) == pytest.approx(np.ones(len(scores)), abs=1e-5)
    assert CrossAttention().attribute(pair).scores == pytest.approx(np.mean(heads, axis=0), abs=1e-6)


def test_attention_is_that_of_the_step_that_writes_the_token(tiny, pair):
    model, _ = tiny
    ids, labels = torch.tensor([pair.source.ids]), torch.tensor([pair.target.ids])
    eager = frozen_copy(model)
    eager.set_attn_implementation("eager")
    expected = eager(input_ids=ids, labels=labels, output_attentions=True).cross_attentions[1][0, 2, 5]
    assert CrossAttention(1, 2).attribute(pair, [[5]]).scores[0] == pytest.approx(expected.detach().numpy(), abs=1e-5)


def test_values_weigh_attention(tiny, pair):
    """The vectors whose lengths are taken add up to what the attention block gives out."""
    scores = ValueWeightedAttention().attribute(pair).scores
    attentions = pair.passes.attentions(pair.source.ids, pair.target.ids)
    token, place, lengths = 3, 7, []
    for layer, block in enumerate(pair.passes.model.decoder.block):
        attention = block.layer[1].EncDecAttention
        value = attention.v(attentions.read[0, place]).view(4, -1) * attentions.cross[layer, :, token, place, None]
        lengths.append(attention.o(value.flatten()).norm().item())
    assert scores[token, place] == pytest.approx(np.mean(lengths), rel=1e-4)


@pytest.mark.parametrize("over, part", [({"layer": 2}, "layer is 2"), ({"head": -1}, "head is -1")])
def test_layers_and_heads_are_checked(pair, over, part):
    with pytest.raises(UserError, match=part):
        CrossAttention(**over).attribute(pair)


# --- contrast ---


def test_contrast_at_the_first_place_where_texts_part(tiny):
    article = texts(1, words=30)[0][0]
    one, two = (pair_of(*tiny, article, f"The harbour {end}") for end in ("was old", "re-opened"))
    found = contrast(one, two)
    parting = next(n for n, (a, b) in enumerate(zip(one.target.ids, two.target.ids, strict=False)) if a != b)
    assert found.matrix.rows == ((parting,),) and found.common.rstrip() in "The harbour was"
    assert (found.token, found.other) == (one.target.pieces[parting], two.target.pieces[parting])
    gap = found.matrix.scores[0].sum() - (found.matrix.log_probs - found.matrix.baseline_log_probs)[0]
    assert abs(gap) <= 0.05
    turned = contrast(two, one)
    assert turned.matrix.scores == pytest.approx(-found.matrix.scores, abs=1e-6)


def test_contrast_needs_two_texts_of_one_article(tiny):
    one = pair_of(*tiny, "a b c", "b c")
    with pytest.raises(UserError, match="are the same"):
        contrast(one, pair_of(*tiny, "a b c", "b c"))
    with pytest.raises(UserError, match="different articles"):
        contrast(one, pair_of(*tiny, "a b", "b d"))
