"""Steps that make a training robust, against gradients and values written out by hand."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.tiny import SMOKE
from tests.training.runs import assert_close, settings_for, trainer_for
from trainer.errors import UserError
from trainer.training.robust import disagreement, fgm, freelb

# L(m) = ½ w Σ (x + m)² of two articles of two numbers a token, the second with a token of padding.
X = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[0.6, 0.8], [0.0, 0.0]]])
MASK = torch.tensor([[1, 1], [1, 0]])


def bowl():
    """(weight, loss at what is added to x, what the loss was asked for)."""
    weight = torch.tensor(1.0, requires_grad=True)
    asked = []

    def loss_at(moved):
        asked.append(moved.detach().clone())
        return 0.5 * weight * (((X + moved) * MASK[..., None]) ** 2).sum()

    return weight, loss_at, asked


def test_fgm_moves_each_article_by_epsilon_along_its_own_gradient():
    """The gradient by an embedding is w(x + m): from m = 0 it points along x, whose lengths are 5 and 1."""
    weight, loss_at, asked = bowl()
    total = fgm(loss_at, torch.Tensor.backward, MASK, width=2, epsilon=0.5)
    assert torch.allclose(asked[1], 0.5 * X / torch.tensor([5.0, 1.0])[:, None, None])
    plain, moved = 0.5 * (25 + 1), 0.5 * (5.5**2 + 1.5**2)
    assert float(total) == pytest.approx(plain + moved)
    assert float(weight.grad) == pytest.approx(plain + moved)  # d/dw of ½ w r² is ½ r²


def test_an_article_without_a_gradient_is_not_moved():
    def loss_at(moved):
        return (moved[0] ** 2).sum() + weight

    weight = torch.tensor(1.0, requires_grad=True)
    assert float(fgm(loss_at, torch.Tensor.backward, MASK, width=2, epsilon=0.5)) == 2.0
    assert float(weight.grad) == 2.0


@pytest.mark.parametrize(("step_size", "length"), [(0.2, None), (1.9, 1.0)])
def test_freelb_climbs_from_a_random_start_and_stays_within_epsilon(step_size, length):
    weight, loss_at, asked = bowl()
    torch.manual_seed(5)
    mean = freelb(loss_at, torch.Tensor.backward, MASK, width=2, epsilon=1.0, step_size=step_size, steps=2)
    first, second = asked
    assert (first[0].abs() <= 1 / math.sqrt(4)).all() and (first[1, 0].abs() <= 1 / math.sqrt(2)).all()
    assert first[0].abs().max() > 0 and not first[1, 1].any()  # padding stays where it is
    inside = MASK[..., None]
    ascent = first + step_size * torch.stack([row / row.norm() for row in (X + first) * inside])
    expected = torch.stack([row / max(1.0, float(row.norm())) for row in ascent])
    assert torch.allclose(second, expected, atol=1e-6)
    if length:
        assert second.flatten(1).norm(dim=1) == pytest.approx([length, length])
    by_hand = sum(0.5 * float((((X + moved) * inside) ** 2).sum()) for moved in asked) / 2
    assert float(mean) == pytest.approx(by_hand) and float(weight.grad) == pytest.approx(by_hand)


def test_disagreement_by_hand():
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    one, other = (torch.log(torch.stack([torch.stack([row, torch.tensor([0.3, 0.7])])])) for row in (p, q))
    other[0, 1] = torch.tensor([5.0, -5.0])  # at a place that is not learnt
    labels = torch.tensor([[1, -100]])
    there = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    back = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert float(disagreement(one, other, labels)) == pytest.approx((there + back) / 2)
    assert float(disagreement(one, other, labels, 4)) == pytest.approx((there + back) / 8)
    assert float(disagreement(one, one, labels)) == 0


WHOLE = ("--max_source_length", "800", "--max_target_length", "90")  # so that articles and summaries differ in length


def gradients(trainer):
    return {name: weight.grad.clone() for name, weight in trainer.model.named_parameters()}


def batch_of(trainer, rows):
    return trainer.data_collator([trainer.train_dataset[row] for row in rows])


def test_a_step_of_fgm_on_a_t5_is_what_autograd_says(tmp_path):
    """Written out with the model's own loss, which is a mean over the batch's tokens; articles of different lengths."""
    trainer = trainer_for(tmp_path, *WHOLE, "--adversarial", "fgm", "--adversarial_epsilon", "2")
    model, batch = trainer.model, batch_of(trainer, [0, 1, 5])
    assert not batch["attention_mask"].all()
    found = trainer.training_step(model, {**batch})
    grads = gradients(trainer)
    model.zero_grad()
    embedded = model.encoder.embed_tokens(batch["input_ids"])
    rest = {name: value for name, value in batch.items() if name != "input_ids"}
    loss = model(inputs_embeds=embedded, **rest).loss
    (slope,) = torch.autograd.grad(loss, embedded, retain_graph=True)
    assert not slope[batch["attention_mask"] == 0].any()
    moved = torch.stack([2 * row / row.norm() for row in slope])
    both = loss + model(inputs_embeds=model.encoder.embed_tokens(batch["input_ids"]) + moved, **rest).loss
    both.backward()
    assert float(found) == pytest.approx(both.item(), rel=1e-5)
    assert float(found) > 2 * loss.item()  # it is made worse on purpose
    assert_close(grads, gradients(trainer), 1e-5)


def test_r_drop_on_a_t5_is_two_readings_and_their_distance(tmp_path):
    trainer = trainer_for(tmp_path, *WHOLE, "--r_drop", "0.7", "--dropout", "0.2")
    model, batch = trainer.model, batch_of(trainer, [0, 1, 5])
    torch.manual_seed(3)
    found = trainer.training_step(model, {**batch})
    grads = gradients(trainer)
    model.zero_grad()
    torch.manual_seed(3)
    labels = batch["labels"].flatten()
    p, q = (model(**batch).logits.flatten(0, 1)[labels != -100].log_softmax(-1) for _ in range(2))
    labels = labels[labels != -100]
    distance = ((p.exp() * (p - q)).sum(-1) + (q.exp() * (q - p)).sum(-1)).mean() / 2
    by_hand = cross_entropy(p, labels) + cross_entropy(q, labels) + 0.7 * distance
    by_hand.backward()
    assert distance.item() > 1e-4 and float(found) == pytest.approx(by_hand.item(), rel=1e-5)
    assert_close(grads, gradients(trainer), 1e-5)


def test_all_readings_of_a_step_have_the_same_dropout(tmp_path):
    """Hardly moved, three steps of freelb are three times the same; fgm's second reading is its first."""
    flags = ["--dropout", "0.3", "--adversarial_epsilon", "1e-9", "--adversarial_step_size", "1e-9"]
    losses = {}
    for name, more in {"one": ["--adversarial_steps", "1"], "three": [], "fgm": ["--adversarial", "fgm"]}.items():
        trainer = trainer_for(tmp_path / name, "--adversarial", "freelb", *flags, *more)
        batch = batch_of(trainer, [0, 1])
        torch.manual_seed(4)
        losses[name] = float(trainer.training_step(trainer.model, {**batch}))
        following = float(trainer.training_step(trainer.model, {**batch}))
        assert following != pytest.approx(losses[name], rel=1e-3)  # another step, other dropout
    assert losses["three"] == pytest.approx(losses["one"], rel=1e-5)


@pytest.mark.parametrize("kind", ["fgm", "freelb", "r_drop"])
def test_how_a_step_is_cut_into_batches_changes_nothing(tmp_path, kind):
    """freelb's start and R-Drop's dropout are drawn a batch at a time: made small, what is left is how they sum up."""
    flags = {
        "fgm": ["--adversarial", "fgm", "--adversarial_epsilon", "1"],
        "freelb": ["--adversarial", "freelb", "--adversarial_epsilon", "1e-9", "--adversarial_step_size", "1e-9"],
        "r_drop": ["--r_drop", "1", "--dropout", "1e-9"],
    }[kind]
    trainer = trainer_for(tmp_path, *flags)
    tokens = int(batch_of(trainer, range(8))["labels"].ne(-100).sum())
    whole = float(trainer.training_step(trainer.model, batch_of(trainer, range(8)), tokens))
    grads = gradients(trainer)
    trainer.model.zero_grad()
    parts = [trainer.training_step(trainer.model, batch_of(trainer, rows), tokens) for rows in ([0, 1, 2], range(3, 8))]
    assert float(sum(parts)) == pytest.approx(whole, rel=1e-5)
    assert_close(grads, gradients(trainer), 1e-5)


def test_noisy_copies_are_what_a_training_reads_and_change_with_the_epoch(tmp_path):
    trainer = trainer_for(tmp_path / "noisy", "--noise", "typos:0.3", "--noise_share", "1")
    clean = trainer_for(tmp_path / "clean").train_dataset
    noisy = trainer.train_dataset
    assert all(noisy[row]["input_ids"] != clean[row]["input_ids"] for row in range(len(clean)))
    assert all(noisy[row]["labels"] == clean[row]["labels"] for row in range(len(clean)))
    before = noisy[0]
    trainer.state.epoch = 1.0
    trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
    assert noisy[0] != before and noisy.tokens.epoch == trainer.sampler.epoch == 1


def test_several_sets_are_learnt_with_a_prefix_each(tmp_path):
    other = ["--other_train_files", str(SMOKE / "validation.jsonl"), "--other_prefixes", "tldr: "]
    trainer = trainer_for(tmp_path, *other, "--sampling_temperature", "2")
    assert trainer.sampler.sizes == [28, len(trainer.validation)]
    words = [trainer.processing_class.decode(trainer.train_dataset[row]["input_ids"]) for row in (0, 27, 28)]
    assert [text.split(":")[0] for text in words] == ["summarize", "summarize", "tldr"]
    with pytest.raises(UserError, match="Add --group_by_length no"):
        settings_for(tmp_path, *other, "--group_by_length")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--noise", "typo:0.1"], "--noise: there is no kind of noise 'typo': did you mean typos?"),
        (["--noise", "typos"], "--noise is typos: typos must be KIND:STRENGTH, as in typos:0.1."),
        (["--noise", "typos:2"], "the strength of typos is a share over 0 and at most 1, and not 2."),
        (["--noise", "web_furniture:0.5"], "the strength of web furniture is a whole number from 1 to 100"),
        (["--noise", "typos:0.1,typos:0.2"], "it names typos twice"),
        (["--adversarial", "fgm", "--r_drop", "1"], "give one of them"),
        (["--adversarial", "freelb", "--adversarial_step_size", "99"], "leads out of what is allowed"),
        (["--adversarial", "pgd"], "--adversarial"),
        (["--r_drop", "0"], "--r_drop is 0.0: it must be over 0."),
        (["--ranked_sentences", "4", "--r_drop", "1"], "--r_drop is given with --ranked_sentences 4"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_loaded(tmp_path, flags, sentence):
    with pytest.raises(UserError) as told:
        settings_for(tmp_path, *flags)
    assert sentence in str(told.value)


def test_r_drop_without_dropout_is_told(tmp_path):
    with pytest.raises(UserError, match="there is none: add --dropout"):
        trainer_for(tmp_path, "--r_drop", "1")
