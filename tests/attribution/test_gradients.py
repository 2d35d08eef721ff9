"""Integrated gradients: right against the mathematics, and without a trace on the model."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from tests.tiny import SMOKE, tiny_t5
from trainer.attribution.base import read_source, shares
from trainer.attribution.gradients import frozen_copy, integrated_gradients, target_log_probs
from trainer.errors import UserError

PREFIX = "summarize: "


def texts(n: int, words: int = 40) -> list[tuple[str, str]]:
    """(article cut to so many words, summary) of the first `n` smoke pairs."""
    rows = [json.loads(line) for line in (SMOKE / "train.jsonl").read_text("utf-8").splitlines()[:n]]
    return [(" ".join(row["document"].split()[:words]), row["summary"]) for row in rows]


def explain(model, tokenizer, article, summary, **over):
    return integrated_gradients(
        model, tokenizer, article, summary, **({"prefix": PREFIX, "max_source_length": 1024} | over)
    )


def inputs_of(tokenizer, article, summary) -> tuple[Tensor, Tensor]:
    source = read_source(tokenizer, article, prefix=PREFIX, max_source_length=1024)
    return torch.tensor([source.ids]), torch.tensor([tokenizer(summary).input_ids])


def plain_integral(model, input_ids: Tensor, labels: Tensor, baseline: Tensor, n_steps: int) -> Tensor:
    """Integrated gradients by a loop over midpoints and the model's own loss: one score a source token."""
    source = model.encoder.embed_tokens(input_ids).detach()
    total = torch.zeros_like(source)
    for step in range(n_steps):
        point = (baseline + (step + 0.5) / n_steps * (source - baseline)).requires_grad_()
        log_prob = -model(inputs_embeds=point, labels=labels).loss * labels.numel()
        total += torch.autograd.grad(log_prob, point)[0] / n_steps
    return ((source - baseline) * total).sum(-1)[0]


# --- the mathematics ---------------------------------------------------------------------------------------


def test_scores_are_those_of_a_plain_loop(tiny):
    model, tokenizer = tiny
    article, summary = texts(1)[0]
    input_ids, labels = inputs_of(tokenizer, article, summary)
    pad = model.encoder.embed_tokens.weight[model.config.pad_token_id].detach()
    expected = plain_integral(model, input_ids, labels, pad, n_steps=16)
    result = explain(model, tokenizer, article, summary, n_steps=16)
    assert len(result.scores) == input_ids.shape[1]
    torch.testing.assert_close(torch.tensor(result.scores), expected, atol=1e-5, rtol=1e-4)


class OneDirection(nn.Module):
    """A reader of which the truth is known: its log probability depends on the source only through a sum.

    With F = g(Σ_i w·e_i), the gradient at every point of the path is g'·w, so that piece i scores
    w·(e_i − e_pad) / Σ_j w·(e_j − e_pad) of F(x) − F(baseline), whatever g is.
    """

    def __init__(self, vocabulary: int, width: int = 8):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.encoder = nn.Module()
        self.encoder.embed_tokens = nn.Embedding(vocabulary, width)
        self.encoder.embed_tokens.weight.data = torch.randn(vocabulary, width, generator=generator)
        self.direction = nn.Parameter(torch.randn(width, generator=generator))
        self.words = nn.Parameter(torch.randn(vocabulary, generator=generator))
        self.config = SimpleNamespace(pad_token_id=0)
        self.device = torch.device("cpu")

    def prepare_decoder_input_ids_from_labels(self, labels):
        return labels

    def forward(self, input_ids, attention_mask, decoder_input_ids, use_cache):
        read = torch.tanh((self.encoder.embed_tokens(input_ids) @ self.direction).sum(-1) / 50)
        logits = read[:, None, None] * self.words
        return SimpleNamespace(logits=logits.expand(-1, decoder_input_ids.shape[1], -1))


def test_scores_are_exact_where_the_truth_is_known(tiny):
    tokenizer = tiny[1]
    article, summary = texts(1)[0]
    model = OneDirection(len(tokenizer))
    result = explain(model, tokenizer, article, summary, n_steps=64)
    input_ids, _ = inputs_of(tokenizer, article, summary)
    embeddings = model.encoder.embed_tokens.weight.detach()
    along = (embeddings[input_ids[0]] - embeddings[0]) @ model.direction.detach()
    change = result.target_log_prob - result.baseline_log_prob
    assert abs(change) > 1
    torch.testing.assert_close(
        torch.tensor(result.scores), along / along.sum() * change, atol=1e-3 * abs(change), rtol=1e-3
    )


def test_scores_add_up_to_the_change_of_log_probability(tiny):
    """Over four articles, at most 5% of the change is missing at 32 steps and 1.5% at 128."""
    model, tokenizer = tiny
    for n_steps, most in ((32, 0.05), (128, 0.015)):
        gaps, changes = 0.0, 0.0
        for article, summary in texts(4, words=20):
            result = explain(model, tokenizer, article, summary, n_steps=n_steps)
            change = result.target_log_prob - result.baseline_log_prob
            assert sum(result.scores) - change == pytest.approx(result.completeness_gap, abs=1e-6)
            assert abs(result.completeness_gap / change) == pytest.approx(result.completeness_error, rel=1e-6)
            gaps += abs(result.completeness_gap)
            changes += abs(change)
        assert gaps / changes < most, n_steps


def test_the_zero_vector_is_no_baseline_for_t5(tiny):
    """Why the baseline is <pad>: over five articles, a path from 0 misses half the change, from <pad> 10%."""
    model, tokenizer = tiny
    gaps, changes = {"pad": 0.0, "zero": 0.0}, {"pad": 0.0, "zero": 0.0}
    for article, summary in texts(5, words=20):
        input_ids, labels = inputs_of(tokenizer, article, summary)
        source = model.encoder.embed_tokens(input_ids).detach()
        pad = model.encoder.embed_tokens.weight[model.config.pad_token_id].detach().expand_as(source)
        for name, baseline in (("pad", pad), ("zero", torch.zeros_like(source))):
            with torch.no_grad():
                change = (
                    model(inputs_embeds=baseline, labels=labels).loss - model(inputs_embeds=source, labels=labels).loss
                ).item() * labels.numel()
            scores = plain_integral(model, input_ids, labels, baseline, n_steps=32)
            gaps[name] += abs(scores.sum().item() - change)
            changes[name] += abs(change)
    assert gaps["pad"] < 0.1 * changes["pad"]
    assert gaps["zero"] > 0.5 * changes["zero"]


def test_log_probabilities_are_the_models_own_loss(tiny):
    model, tokenizer = tiny
    article, summary = texts(1)[0]
    input_ids, labels = inputs_of(tokenizer, article, summary)
    result = explain(model, tokenizer, article, summary, n_steps=2)
    with torch.no_grad():
        target = -model(input_ids=input_ids, labels=labels).loss.item() * labels.numel()
        pads = torch.full_like(input_ids, model.config.pad_token_id)
        baseline = -model(input_ids=pads, labels=labels).loss.item() * labels.numel()
    assert result.target_tokens == labels.numel()
    assert result.target_log_prob == pytest.approx(target, rel=1e-5)
    assert result.baseline_log_prob == pytest.approx(baseline, rel=1e-5)


def test_signs_agree_with_taking_pieces_out(tiny):
    """Of the ten strongest pieces of each article at least 80% change the summary as their sign says."""
    model, tokenizer = tiny
    agree = 0
    for article, summary in texts(4):
        input_ids, labels = inputs_of(tokenizer, article, summary)
        without = input_ids.repeat(input_ids.shape[1], 1).fill_diagonal_(model.config.pad_token_id)
        result = explain(model, tokenizer, article, summary)
        with torch.no_grad():
            left = target_log_probs(model, without, torch.ones_like(without), labels.expand(len(without), -1)).sum(-1)
        scores = torch.tensor(result.scores)
        strongest = scores.abs().topk(10).indices
        agree += (scores.sign() == (result.target_log_prob - left).sign())[strongest].sum().item()
    assert agree >= 32


@pytest.mark.parametrize("internal_batch_size", [1, 5, 32, 100])
def test_the_internal_batch_changes_no_score(tiny, internal_batch_size):
    model, tokenizer = tiny
    article, summary = texts(1)[0]
    usual = explain(model, tokenizer, article, summary)
    other = explain(model, tokenizer, article, summary, internal_batch_size=internal_batch_size)
    torch.testing.assert_close(torch.tensor(other.scores), torch.tensor(usual.scores), atol=1e-5, rtol=1e-4)


def test_shares_are_of_absolute_scores(tiny):
    source = read_source(tiny[1], "a", prefix=PREFIX, max_source_length=1024)
    assert source.offsets[-1] is None and source.pieces[-1] == "</s>"
    prefix, article = source.prefix_pieces, len(source.ids) - source.prefix_pieces - 1
    scores = [-1.0] * prefix + [2.0] * article + [0.5]
    total = prefix + 2 * article + 0.5
    assert shares(source, scores) == pytest.approx((prefix / total, 0.5 / total))
    assert shares(source, [0.0] * len(scores)) == (0.0, 0.0)

    result = explain(*tiny, "a", "b", n_steps=4)
    assert (result.prefix_share, result.eos_share) == pytest.approx(shares(source, result.scores))
    assert result.prefix_share > 0 and result.eos_share > 0


# --- what is read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [8, 30, 1024])
def test_what_is_read_is_what_a_summary_is_made_of(tiny, limit):
    tokenizer = tiny[1]
    article, summary = texts(1)[0]
    whole = tokenizer(PREFIX + article).input_ids
    expected = tokenizer(PREFIX + article, truncation=True, max_length=limit).input_ids
    result = explain(*tiny, article, summary, n_steps=2, max_source_length=limit)
    assert list(result.pieces) == tokenizer.convert_ids_to_tokens(expected)
    assert (result.tokens_read, result.tokens_total) == (len(expected), len(whole))
    assert len(result.scores) == len(result.offsets) == len(result.pieces) == result.tokens_read
    assert result.offsets[-1] is None
    read = [offset for offset in result.offsets if offset is not None]
    assert read[0][0] == 0
    assert (read[-1][1] == len(article)) == (limit == 1024)


def test_offsets_count_from_the_article(tiny):
    article, summary = "  The harbour\n\nof Brank.", "b"
    with_prefix = explain(*tiny, article, summary, n_steps=2)
    without = explain(*tiny, article, summary, n_steps=2, prefix="")
    assert [o for o in with_prefix.offsets if o is not None] == list(without.offsets[:-1])
    assert without.prefix_share == 0.0
    text = "".join(article[start:end] for start, end in without.offsets[:-1])
    assert text.replace(" ", "") == "TheharbourofBrank."


def test_special_tokens_spelled_out_are_the_articles(tiny):
    article = "a </s> b <pad> c"
    result = explain(*tiny, article, "d", n_steps=4)
    assert result.pieces.count("</s>") == 1 and "<pad>" not in result.pieces
    offsets = [offset for offset in result.offsets if offset is not None]
    read = {place for start, end in offsets for place in range(start, end)}
    assert read >= {place for place, character in enumerate(article) if character != " "}


def test_one_piece(tiny):
    result = explain(*tiny, "a", "a", n_steps=128)
    assert result.completeness_error < 0.05
    assert any(offset == (0, 1) for offset in result.offsets)


def test_the_result_is_plain_json(tiny):
    result = explain(*tiny, "a b", "b", n_steps=2)
    assert json.loads(json.dumps(asdict(result)))["pieces"] == list(result.pieces)


@pytest.mark.parametrize(
    "over, part",
    [
        ({"article": ""}, "article is empty"),
        ({"article": " \n\t\u00a0"}, "article is empty"),
        ({"summary": ""}, "summary is empty"),
        ({"summary": " \n "}, "summary is empty"),
        ({"summary": "b " * 600}, "at most 512"),
        ({"summary": "b b b b", "max_target_length": 4}, "at most 4"),
        ({"max_source_length": 3}, "max_source_length is 3"),
        ({"n_steps": 1}, "n_steps is 1"),
        ({"internal_batch_size": 0}, "internal_batch_size is 0"),
    ],
)
def test_bad_input_ends_in_a_sentence(tiny, over, part):
    with pytest.raises(UserError, match=part):
        explain(*tiny, **({"article": "a b c", "summary": "b"} | over))


def test_a_tokenizer_without_offsets_is_refused(tiny):
    with pytest.raises(UserError, match="needs a fast"):
        explain(tiny[0], SimpleNamespace(is_fast=False), "a", "b")


def test_broken_weights_are_named():
    model, tokenizer = tiny_t5()
    model.lm_head.weight.data[5] = float("nan")
    with pytest.raises(UserError, match="weights may be damaged"):
        explain(model, tokenizer, "a b", "b", n_steps=2)


# --- the model afterwards ----------------------------------------------------------------------------------


def test_the_model_is_left_as_it_was():
    model, tokenizer = tiny_t5(dropout_rate=0.5)
    model.train()
    model.decoder.eval()
    model.encoder.block[0].requires_grad_(False)
    before = {name: (p.requires_grad, p.detach().clone()) for name, p in model.named_parameters()}
    modes = [module.training for module in model.modules()]
    article, summary = texts(1)[0]

    first = explain(model, tokenizer, article, summary, n_steps=4)
    assert first == explain(model.eval(), tokenizer, article, summary, n_steps=4)  # no dropout in either

    model.train()
    model.decoder.eval()
    explain(model, tokenizer, article, summary, n_steps=4)
    assert [module.training for module in model.modules()] == modes
    for name, parameter in model.named_parameters():
        assert parameter.grad is None
        assert parameter.requires_grad == before[name][0]
        assert torch.equal(parameter, before[name][1])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_the_private_copy_shares_the_weights():
    """No second model in memory; frozen, or the attention's bias forbids the fused kernel."""
    model, _ = tiny_t5()
    copied = frozen_copy(model)
    theirs, ours = (dict(m.named_parameters(remove_duplicate=False)) for m in (model, copied))
    assert theirs.keys() == ours.keys()
    for name, parameter in ours.items():
        assert parameter.data_ptr() == theirs[name].data_ptr() and not parameter.requires_grad
    assert not {id(module) for module in model.modules()} & {id(module) for module in copied.modules()}


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients_get_the_same(tiny, context):
    article, summary = texts(1)[0]
    usual = explain(*tiny, article, summary, n_steps=4)
    with context():
        assert explain(*tiny, article, summary, n_steps=4) == usual


def test_a_model_made_under_inference_mode():
    with torch.inference_mode():
        model, tokenizer = tiny_t5()
    article, summary = texts(1)[0]
    result = explain(model, tokenizer, article, summary, n_steps=4)
    assert result == explain(*tiny_t5(), article, summary, n_steps=4)


def test_bfloat16_weights_are_explained_in_float32():
    model, tokenizer = tiny_t5()
    model.bfloat16()
    article, summary = texts(1)[0]
    stored = explain(model, tokenizer, article, summary, n_steps=8)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert stored == explain(model.float(), tokenizer, article, summary, n_steps=8)


def test_other_threads_may_use_the_model_meanwhile(tiny):
    model, tokenizer = tiny
    pairs = texts(3)
    alone = [explain(model, tokenizer, *pair, n_steps=16) for pair in pairs]
    ids = tokenizer(PREFIX + pairs[0][0], return_tensors="pt").input_ids

    def logits(_):
        with torch.no_grad():
            return model(input_ids=ids, decoder_input_ids=ids[:, :5]).logits

    expected = logits(0)
    with ThreadPoolExecutor(4) as pool:
        explained = [pool.submit(explain, model, tokenizer, *pair, n_steps=16) for pair in pairs]
        answers = list(pool.map(logits, range(60)))
        together = [future.result() for future in explained]
    assert all(torch.allclose(answer, expected, atol=1e-5) for answer in answers)
    for one, other in zip(alone, together, strict=True):
        assert other.scores == pytest.approx(one.scores, abs=1e-5)


# --- progress ----------------------------------------------------------------------------------------------


def test_progress_counts_steps_and_may_end_the_work(tiny):
    heard = []
    explain(*tiny, "a b", "b", n_steps=10, internal_batch_size=4, progress=lambda *steps: heard.append(steps))
    assert heard == [(4, 10), (8, 10), (10, 10)]

    def stop(done, of):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        explain(*tiny, "a b", "b", progress=stop)
