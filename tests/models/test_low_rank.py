"""LoRA: nothing changes at the start, only the factors learn, and what is saved is a whole model."""

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny import tiny_t5
from tests.training.runs import settings_for
from trainer.data.load import load_split
from trainer.errors import UserError
from trainer.models.load import load_model
from trainer.models.low_rank import add_low_rank
from trainer.models.start import start_model
from trainer.settings.groups import ModelSettings
from trainer.training.checkpoints import TrainingRun, checkpoints
from trainer.training.finish import save_finished
from trainer.training.fit import build_trainer

SOURCE, TARGET = torch.arange(5, 30)[None], torch.arange(105, 115)[None]


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=SOURCE, labels=TARGET).logits


def test_the_change_is_the_product_of_two_factors_and_zero_at_first():
    model, _ = tiny_t5()
    before = logits(model)
    plain = model.encoder.block[0].layer[0].SelfAttention.q.weight.detach().clone()
    add_low_rank(model, 2, seed=1)
    assert torch.equal(logits(model), before)
    layer = model.encoder.block[0].layer[0].SelfAttention.q
    change = layer.parametrizations.weight[0]
    assert change.down.shape == (2, 32) and change.up.shape == (32, 2)
    with torch.no_grad():
        change.up.normal_()
    assert torch.allclose(layer.weight, plain + change.up @ change.down)
    assert not torch.allclose(logits(model), before)
    again, _ = tiny_t5()
    add_low_rank(again, 2, seed=1)
    assert torch.equal(again.encoder.block[0].layer[0].SelfAttention.q.parametrizations.weight[0].down, change.down)


def test_only_the_factors_of_queries_and_values_learn():
    model, _ = tiny_t5()
    add_low_rank(model, 2, seed=1)
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    # 2 layers of the encoder with one attention, 2 of the decoder with two; q and v; two factors
    assert len(learning) == (2 + 4) * 2 * 2
    assert all(name.endswith((".down", ".up")) and (".q." in name or ".v." in name) for name in learning)


def trained(folder, *flags):
    """A run of four steps from the smoke recipe's random weights, and the trainer that did it."""
    settings = settings_for(folder, "--max_steps", "4", "--max_eval_samples", "1", "--lora_rank", "3", *flags)
    splits = [load_split(settings.data, name) for name in ("train", "validation")]
    run = TrainingRun.open(settings)
    texts = [pair.source for pair in splits[0].examples]
    model, tokenizer, _ = start_model(settings, run.vocabulary, texts)
    return settings, build_trainer(settings, run, model, tokenizer, *splits)


def test_a_checkpoint_is_a_whole_model_and_a_run_goes_on_from_it_to_the_same_weights(tmp_path, capsys):
    flags = ("--learning_rate", "0.1", "--save_every", "2", "--eval_every", "2")
    settings, trainer = trained(tmp_path / "a", *flags)
    assert "of the model's" in capsys.readouterr().out
    start = {name: weight.detach().clone() for name, weight in trainer.model.state_dict().items()}
    trainer.train()
    second, last = checkpoints(tmp_path / "a")
    found = load_model(last)[0]
    assert not any("parametrizations" in name for name in found.state_dict())
    assert torch.allclose(logits(found), logits(trainer.model), atol=1e-6)
    changed = {name for name, weight in found.state_dict().items() if not torch.equal(weight, start[name])}
    assert changed and all(name.endswith((".q.weight", ".v.weight")) for name in changed)
    ranks = {int(torch.linalg.matrix_rank(found.state_dict()[name] - start[name], rtol=1e-4)) for name in changed}
    assert ranks == {3}
    save_finished(settings, last, tmp_path / "model")
    assert not any("parametrizations" in name for name in load_file(tmp_path / "model" / "model.safetensors"))
    assert torch.equal(logits(load_model(tmp_path / "model")[0]), logits(found))

    (tmp_path / "b").mkdir()
    for name in ("settings.json", "vocabulary", second.name):
        (tmp_path / "a" / name).rename(tmp_path / "b" / name)
    _, again = trained(tmp_path / "b", *flags)
    again.train(resume_from_checkpoint=str(tmp_path / "b" / second.name))
    for name, weight in trainer.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name


def test_mistakes_are_told():
    with pytest.raises(UserError, match="--lora_rank is 32: the weights that it changes have rank 32"):
        add_low_rank(tiny_t5()[0], 32, seed=1)
    with pytest.raises(UserError, match="no layers q and v"):
        add_low_rank(torch.nn.Linear(2, 2), 1, seed=1)
    with pytest.raises(UserError, match="--freeze is given with --lora_rank"):
        ModelSettings(freeze="encoder", lora_rank=4)
    with pytest.raises(UserError, match="--lora_rank is 0: it must be at least 1"):
        ModelSettings(lora_rank=0)
