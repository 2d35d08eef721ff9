"""Parts of a T5 taken out or frozen: what is left computes what it should, is saved and loaded, and learns the rest."""

import pytest
import torch

from tests.tiny import tiny_t5
from tests.training.runs import settings_for
from trainer.data.load import load_split
from trainer.errors import UserError
from trainer.models.load import load_model
from trainer.models.parts import keep_layers, shape_parts
from trainer.models.start import start_model
from trainer.settings.groups import ModelSettings
from trainer.training.checkpoints import TrainingRun
from trainer.training.fit import fit

SOURCE, TARGET = torch.arange(5, 30)[None], torch.arange(105, 115)[None]


def logits(model, source=SOURCE):
    with torch.no_grad():
        return model(input_ids=source, labels=TARGET).logits


def shaped(**chosen):
    model, tokenizer = tiny_t5(seed=3, num_layers=3, num_decoder_layers=3)
    shape_parts(model, ModelSettings(**chosen))
    return model, tokenizer


def test_layers_that_are_left_are_the_first_and_the_last():
    model, _ = shaped(encoder_layers=1, decoder_layers=2)
    removed, _ = tiny_t5(seed=3, num_layers=3, num_decoder_layers=3)
    removed.encoder.block = removed.encoder.block[:1]
    removed.decoder.block = torch.nn.ModuleList([removed.decoder.block[0], removed.decoder.block[2]])
    with torch.no_grad():
        expected = removed(input_ids=SOURCE, labels=TARGET, use_cache=False).logits
    assert torch.allclose(logits(model), expected, atol=1e-6)
    assert model.generate(SOURCE, max_new_tokens=4).shape[1] > 1


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_no_layers_are_added(side):
    with pytest.raises(UserError, match=rf"--{side}_layers is 4: the {side} has 3 layers"):
        keep_layers(shaped()[0], side, 4)


def test_without_cross_attention_the_article_is_not_seen():
    model, _ = shaped(cross_attention_off="1,2,3")
    other = torch.arange(40, 65)[None]
    assert torch.equal(logits(model), logits(model, other))
    one_left, _ = shaped(cross_attention_off="1,3")
    assert not torch.equal(logits(one_left), logits(one_left, other))
    with pytest.raises(UserError, match="--cross_attention_off is 4: the decoder has 3 layers"):
        shaped(cross_attention_off="4")


def test_without_position_bias_the_encoder_does_not_know_the_order():
    turned = SOURCE.flip(1)
    for chosen, same in (({"position_bias": False}, True), ({}, False)):
        encoder = shaped(**chosen)[0].encoder
        with torch.no_grad():
            found = encoder(SOURCE).last_hidden_state
            other = encoder(turned).last_hidden_state.flip(1)
        assert torch.allclose(found, other, atol=1e-5) is same


@pytest.mark.parametrize(
    ("flags", "held"),
    [
        (["--freeze", "encoder"], lambda name: name.startswith("encoder.")),
        (["--freeze", "decoder,embeddings"], lambda name: name.startswith(("decoder.", "shared"))),
        (["--no_position_bias"], lambda name: "relative_attention_bias" in name),
        (["--cross_attention_off", "2"], lambda name: name == "decoder.block.1.layer.1.EncDecAttention.o.weight"),
    ],
)
def test_what_is_held_does_not_learn_and_all_the_rest_does(tmp_path, flags, held):
    model, _ = tiny_t5(seed=3)
    shape_parts(model, settings_for(tmp_path, *flags).model)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    model(input_ids=SOURCE, labels=TARGET).loss.backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    for name, weight in model.named_parameters():
        # Behind an output that is held at zero nothing else of that cross-attention learns: no gradient comes through.
        if "--cross_attention_off" in flags and "decoder.block.1.layer.1." in name and not held(name):
            continue
        assert torch.equal(weight, before[name]) is bool(held(name)), name


def test_what_was_taken_out_is_out_of_the_finished_model_too(tmp_path):
    settings = settings_for(tmp_path, "--max_steps", "1", "--max_eval_samples", "1", "--cross_attention_off", "1")
    run = TrainingRun.open(settings)
    splits = {name: load_split(settings.data, name) for name in ("train", "validation")}
    texts = [pair.source for pair in splits["train"].examples]
    model, tokenizer, _ = start_model(settings, run.vocabulary, texts)
    fit(settings, run, model, tokenizer, splits["train"], splits["validation"])
    saved, _, _ = load_model(run.intact_checkpoint(1))
    assert not saved.decoder.block[0].layer[1].EncDecAttention.o.weight.any()
    assert saved.decoder.block[1].layer[1].EncDecAttention.o.weight.any()


def test_random_weights_can_start_copy_ready(tmp_path):
    texts = [pair.source for pair in load_split(settings_for(tmp_path).data, "train").examples]
    plain, ready = (
        start_model(settings_for(tmp_path, *flags), tmp_path / "vocabulary", texts)[0]
        for flags in ([], ["--copy_ready"])
    )
    cross = ready.decoder.block[0].layer[1].EncDecAttention
    assert torch.equal(cross.o.weight, cross.v.weight.T)
    assert torch.equal(plain.shared.weight, ready.shared.weight) and not torch.equal(
        plain.decoder.block[0].layer[1].EncDecAttention.o.weight, cross.o.weight
    )


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"copy_ready": True}, "--copy_ready is given without --from_scratch"),
        ({"freeze": "encoder, decodr"}, "There is no part of a T5 .* decodr: did you mean decoder"),
        ({"freeze": "encoder,decoder,embeddings"}, "that leaves nothing to train"),
        ({"cross_attention_off": "0"}, "numbers of layers, 1 or more"),
        ({"encoder_layers": 0}, "--encoder_layers is 0: it must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(chosen, sentence):
    with pytest.raises(UserError, match=sentence):
        ModelSettings(**chosen)
