"""Which files of a repository a model is loaded from."""

import json

import pytest

from trainer.errors import UserError
from trainer.hub.model_files import missing_shards, needed_files

NAME = "tester/t5-news"
SMALL = {"config.json", "tokenizer.json"}
OTHERS = {"README.md", "tf_model.h5", "optimizer.pt", "onnx/model.onnx", "model.fp16.safetensors", "old/config.json"}
SHARDS = {"model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}


def test_files_needed():
    assert needed_files(NAME, SMALL | OTHERS | {"model.safetensors", "pytorch_model.bin"}) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert set(needed_files(NAME, SMALL | OTHERS | SHARDS)) == SMALL | SHARDS
    assert "pytorch_model.bin" in needed_files(NAME, SMALL | OTHERS | {"pytorch_model.bin"})
    with pytest.raises(UserError, match="no weights"):
        needed_files(NAME, SMALL | OTHERS)
    with pytest.raises(UserError, match=r"config\.json"):
        needed_files(NAME, {"model.safetensors"})


def test_an_adapter_has_no_config_and_small_weights():
    adapter = {"adapter_config.json", "adapter_model.safetensors"}
    assert set(needed_files(NAME, adapter | {"README.md", "adapter_model.bin"})) == adapter
    both = adapter | SMALL | {"model.safetensors"}
    assert set(needed_files(NAME, both)) == both


def test_a_tokenizer_alone():
    assert needed_files(NAME, {"tokenizer.json", "model.safetensors"}, weights=False) == ["tokenizer.json"]


def test_shards_that_are_missing(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    one, two = (f"model-0000{n}-of-00002.safetensors" for n in (1, 2))
    index.write_text(json.dumps({"weight_map": {"a": one, "b": two, "c": one}}))
    (tmp_path / one).touch()
    assert missing_shards(tmp_path, [index.name, one]) == [two]
    (tmp_path / two).touch()
    assert missing_shards(tmp_path, [index.name, one]) == []
    for text in ("{", "[]", '{"weight_map": 3}'):
        index.write_text(text)
        with pytest.raises(ValueError, match="not an index of weights"):
            missing_shards(tmp_path, [index.name])
