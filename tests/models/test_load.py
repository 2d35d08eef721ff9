"""Loading and building: what a model must be before it is trained, and what it says when it is not."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BartConfig, T5Config

from tests.tiny import save_tiny_t5, tiny_t5, tiny_tokenizer
from trainer.errors import UserError
from trainer.models.load import count_weights, load_model
from trainer.models.start import build_model, read_config, start_model
from trainer.settings.base import ROOT
from trainer.settings.training import Settings

SMOKE = ROOT / "trainer" / "recipes" / "smoke"


@pytest.fixture
def folder(tmp_path) -> Path:
    return save_tiny_t5(tmp_path / "tiny")


def test_a_folder_gives_back_what_was_saved(folder):
    model, tokenizer, commit = load_model(folder)
    original, _ = tiny_t5()
    assert commit is None and not model.training
    for name, tensor in original.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert model.shared.weight.data_ptr() == model.encoder.embed_tokens.weight.data_ptr()
    assert model.shared.weight.data_ptr() == model.decoder.embed_tokens.weight.data_ptr()
    assert tokenizer("A lantern.").input_ids == tiny_tokenizer()("A lantern.").input_ids
    assert count_weights(model) == sum(tensor.numel() for tensor in set(original.parameters()))


def test_weights_of_fewer_bits_are_widened(folder):
    model, tokenizer, _ = load_model(folder)
    model.to(torch.bfloat16).save_pretrained(folder / "bf16")
    tokenizer.save_pretrained(folder / "bf16")
    again, _, _ = load_model(folder / "bf16")
    assert again.dtype == torch.float32
    rounded = tiny_t5()[0].shared.weight.to(torch.bfloat16).float()
    assert torch.equal(again.shared.weight, rounded)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_pickled_tensors_are_read_and_pickled_code_is_not_run(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    torch.save(tiny_t5()[0].state_dict(), folder / "pytorch_model.bin")
    model, _, _ = load_model(folder)
    assert torch.equal(model.shared.weight, tiny_t5()[0].shared.weight)

    mark = tmp_path / "mark"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (mark,))

    torch.save({"shared.weight": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="broken or unsafe"):
        load_model(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match="broken or unsafe"):
        load_model(folder)
    assert not mark.exists()


def test_code_in_a_folder_is_not_run(folder, tmp_path):
    mark = tmp_path / "mark"
    (folder / "evil.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForSeq2SeqLM": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    load_model(folder)  # a T5 needs no code of its own
    config["model_type"] = "my-t5"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError):
        load_model(folder)
    assert not mark.exists()


def test_what_is_missing_or_broken_is_named(folder, tmp_path):
    def broken(change, said):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        change(copy)
        with pytest.raises(UserError) as error:
            load_model(copy)
        assert said in str(error.value)

    def cut(copy):
        data = (copy / "model.safetensors").read_bytes()
        (copy / "model.safetensors").write_bytes(data[: len(data) // 2])

    def drop_decoder(copy):
        tensors = {k: v for k, v in load_file(copy / "model.safetensors").items() if not k.startswith("decoder")}
        save_file(tensors, copy / "model.safetensors", {"format": "pt"})

    def other_shape(copy):
        config = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps(config | {"d_ff": 96}))

    def no_tokenizer(copy):
        for file in copy.glob("tokenizer*"):
            file.unlink()

    def small_embedding(copy):
        model, _, _ = load_model(copy)
        model.resize_token_embeddings(500)
        model.save_pretrained(copy)

    def bart(copy):
        BartConfig(d_model=8).save_pretrained(copy)

    broken(cut, "broken or unsafe")
    broken(lambda copy: (copy / "model.safetensors").write_bytes(b""), "broken or unsafe")
    broken(lambda copy: (copy / "model.safetensors").unlink(), "holds no weights")
    broken(drop_decoder, "incomplete")
    broken(other_shape, "broken or unsafe and were not loaded: its config.json describes other sizes than they have")
    broken(lambda copy: (copy / "config.json").unlink(), "holds no config.json")
    broken(lambda copy: (copy / "config.json").write_text("{"), "config.json")
    broken(bart, "is a 'bart' model. This trainer is for the T5 family")
    broken(no_tokenizer, "holds no tokenizer (tokenizer.json or spiece.model): save it there. (trainer/train.py takes")
    broken(lambda copy: (copy / "tokenizer.json").write_text("{}"), "tokenizer")
    broken(small_embedding, "don't belong together")


def test_names_that_nothing_can_have(folder):
    with pytest.raises(UserError, match="no folder here"):
        load_model("./no-such-folder")
    with pytest.raises(UserError, match="no folder here"):
        load_model("a/b/c")
    with pytest.raises(UserError, match="a folder has no revision"):
        load_model(folder, "main")


def test_random_weights_are_those_of_the_seed():
    tokenizer = tiny_tokenizer()
    before = torch.random.get_rng_state()
    one, two, other = (build_model(SMOKE / "config.json", tokenizer, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.shared.weight, two.shared.weight)
    assert not torch.equal(one.shared.weight, other.shared.weight)
    assert one.config.vocab_size == len(tokenizer) == one.shared.weight.shape[0]
    assert one.generation_config.decoder_start_token_id == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no T5 config can be read there"),
        ("{", "not JSON"),
        ("[1]", "only a T5 can be built"),
        ('{"model_type": "bart"}', "describes 'bart'"),
        ('{"d_modle": 8}', "no 'd_modle'; did you mean d_model?"),
    ],
)
def test_configs_that_describe_no_t5(tmp_path, text, said):
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError) as error:
        read_config(path)
    assert said in str(error.value)


def test_a_config_that_cannot_be_built():
    with pytest.raises(UserError, match="No T5 can be built"):
        build_model(T5Config(num_heads=-1), tiny_tokenizer())


def test_the_vocabulary_of_a_run_is_trained_once(tmp_path):
    settings = Settings.parse(["--recipe", "smoke"])
    texts = [json.loads(line)["document"] for line in (SMOKE / "train.jsonl").read_text("utf-8").splitlines()]
    model, tokenizer, _ = start_model(settings, tmp_path / "vocabulary", texts)
    assert len(tokenizer) == 600 and model.config.vocab_size == len(tokenizer)
    ids = tokenizer("The lantern was lit.").input_ids
    assert tokenizer.unk_token_id not in ids and ids[-1] == tokenizer.eos_token_id
    again, same, _ = start_model(settings, tmp_path / "vocabulary", ["something else"])
    assert same.get_vocab() == tokenizer.get_vocab()
    assert torch.equal(again.shared.weight, model.shared.weight)
    # Trained anew, as after a kill, it is the same one.
    anew, other, _ = start_model(settings, tmp_path / "other", texts)
    assert other("The lantern was lit. " + texts[0]).input_ids == same("The lantern was lit. " + texts[0]).input_ids
    assert torch.equal(anew.shared.weight, model.shared.weight)
