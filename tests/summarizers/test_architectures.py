"""Encoder–decoders of several families, adapters and shared halves, read as they were trained to read."""

import json
import os
import pickle
import shlex
import subprocess
import sys
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, EncoderDecoderModel, T5ForConditionalGeneration

from tests.architectures import FAMILIES, save_bart, save_bert2bert, save_pegasus
from tests.summarizers.texts import ARTICLES, BEAMS
from trainer.errors import UserError
from trainer.models.load import load_model
from trainer.models.pretrained import load_summarizer, positions
from trainer.settings.base import ROOT
from trainer.summarizers.systems import parse_system
from trainer.train import main as train_main

PREFIX = {"t5": "summarize: ", "t5-v1.1": "summarize: "}

# What each family's summaries begin with, end with and are padded with, as its papers have it.
SPECIAL = {
    "t5": ("<pad>", "</s>", "<pad>"),
    "t5-v1.1": ("<pad>", "</s>", "<pad>"),
    "bart": ("</s>", "</s>", "<pad>"),
    "pegasus": ("<pad>", "</s>", "<pad>"),
    "bert2bert": ("[CLS]", "[SEP]", "[PAD]"),
    "roberta2roberta": ("<s>", "</s>", "<pad>"),
}


def directly(folder, family, article, length, **generation):
    """One article through transformers, with every special token given by hand."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    start, end, padding = (tokenizer.convert_tokens_to_ids(piece) for piece in SPECIAL[family])
    inputs = tokenizer(PREFIX.get(family, "") + article, truncation=True, max_length=length, return_tensors="pt")
    with torch.inference_mode():
        (ids,) = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            decoder_start_token_id=start,
            eos_token_id=end,
            pad_token_id=padding,
            **generation,
        )
    return tokenizer.decode(ids[1:], skip_special_tokens=True).strip()


@pytest.mark.parametrize("family", FAMILIES)
class TestFamilies:
    def test_summaries_are_those_of_transformers_used_directly(self, folders, family):
        system = parse_system(str(folders[family]), generation=BEAMS, batch_size=3)
        found = system.summarize(ARTICLES)
        length = 1024 if family.startswith("t5") else 40
        expected = [directly(folders[family], family, article, length, **BEAMS) for article in ARTICLES]
        assert [summary.text for summary in found] == expected
        assert len(set(expected)) > 1  # else it would prove nothing
        assert not any(piece in text for text in expected for piece in SPECIAL[family])

    def test_what_starts_ends_and_pads_a_summary(self, folders, family):
        system = parse_system(str(folders[family]))
        decoding = system.generation
        ids = (decoding.decoder_start_token_id, decoding.eos_token_id, decoding.pad_token_id)
        assert tuple(system.tokenizer.convert_ids_to_tokens(ids)) == SPECIAL[family]
        assert system.decoding()["prefix"] == PREFIX.get(family, "")

    def test_never_more_tokens_than_positions(self, folders, family):
        """An end that is forbidden makes it write to the limit, where one token more would have no position."""
        system = parse_system(str(folders[family]), generation={"max_new_tokens": 60, "min_new_tokens": 60})
        limit = None if family.startswith("t5") else 40
        assert positions(system.model) == (limit, limit)
        (summary,) = system.summarize(ARTICLES[2:3])
        assert summary.tokens_written == (limit or 60)
        assert system.decoding()["max_new_tokens"] == (limit or 60)
        total = len(system.tokenizer(PREFIX.get(family, "") + ARTICLES[2])["input_ids"])
        assert (summary.tokens_read, summary.tokens_total) == (limit or total, total)

    def test_its_weights_are_all_there_and_tied_as_they_were(self, folders, family):
        model = load_summarizer(folders[family]).model
        embeddings, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        if family.endswith(("2bert", "2roberta")):
            embeddings = model.decoder.get_input_embeddings().weight
        assert torch.equal(head, embeddings) == (family != "t5-v1.1")
        loaded = model.state_dict()
        assert all(
            torch.equal(weight, loaded[name])
            for name, weight in load_file(folders[family] / "model.safetensors").items()
        )


def test_a_position_more_would_have_been_too_many(folders):
    """That the limits above are the right ones, not merely safe ones."""
    for family in ("bart", "bert2bert", "roberta2roberta"):
        model = load_summarizer(folders[family]).model
        ids = torch.full((1, 40), 9)
        model(input_ids=ids, decoder_input_ids=ids)
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=ids, decoder_input_ids=torch.full((1, 41), 9))
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, 41), 9), decoder_input_ids=ids)


def test_the_config_has_the_last_word_on_the_prefix(tmp_path):
    folder = save_bart(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    for known, prefix in (
        ({"prefix": " "}, " "),
        ({"task_specific_params": {"summarization": {"prefix": "x "}}}, "x "),
    ):
        (folder / "config.json").write_text(json.dumps(config | known))
        assert parse_system(str(folder)).decoding()["prefix"] == prefix


def test_a_line_end_of_pegasus_is_none_in_the_text(tmp_path):
    folder = save_pegasus(tmp_path / "m")
    words = AutoTokenizer.from_pretrained(folder)
    line, two, end = (words.convert_tokens_to_ids(piece) for piece in ("<n>", "▁two", "</s>"))
    assert len({line, two, words.unk_token_id}) == 3
    others = [one for one in range(len(words)) if one not in (line, two, end)]
    generation = {"max_new_tokens": 6, "min_new_tokens": 5, "suppress_tokens": others, "no_repeat_ngram_size": 2}
    assert "<n>" in directly(folder, "pegasus", "Rain.", 40, **generation)
    (summary,) = parse_system(str(folder), generation=generation).summarize(["Rain."])
    assert set(summary.text.split()) == {"two"}


class TestSharedHalves:
    """`tie_encoder_decoder`: the file holds what both halves share once."""

    @pytest.mark.parametrize("kept", ["encoder", "decoder"])
    def test_the_other_half_is_filled_from_it(self, tmp_path, kept):
        folder = save_bert2bert(tmp_path / "m")
        model = EncoderDecoderModel.from_pretrained(folder)
        mine, base = dict(model.encoder.named_parameters()), model.decoder.bert
        for name, weight in base.named_parameters():
            if name in mine:
                weight.data.copy_(mine[name].data)
        inputs = {"input_ids": torch.tensor([[2, 9, 30, 3]]), "decoder_input_ids": torch.tensor([[2, 11, 12]])}
        model.tie_weights()
        expected = model.eval()(**inputs).logits
        dropped = "decoder.bert." if kept == "encoder" else "encoder."
        shared = [name for name in mine if name in dict(base.named_parameters())]
        assert any("attention" in name for name in shared)
        state = dict(model.state_dict())
        for name in shared:
            del state[dropped + name]
        # The decoder's own embeddings stay in the file by another name: they are its head.
        assert "decoder.cls.predictions.decoder.weight" in state
        if kept == "encoder":
            del state["decoder.cls.predictions.decoder.weight"]
        (folder / "model.safetensors").unlink()
        torch.save(state, folder / "pytorch_model.bin")
        with pytest.raises(UserError, match="incomplete"):
            load_summarizer(folder)
        config = json.loads((folder / "config.json").read_text()) | {"tie_encoder_decoder": True}
        (folder / "config.json").write_text(json.dumps(config))
        loaded = load_summarizer(folder).model
        embeddings = loaded.encoder.get_input_embeddings().weight
        assert embeddings is loaded.decoder.get_input_embeddings().weight
        assert embeddings is loaded.decoder.get_output_embeddings().weight
        layers = loaded.encoder.encoder.layer[1], loaded.decoder.bert.encoder.layer[1]
        assert layers[0].attention.self.query.weight is layers[1].attention.self.query.weight
        assert layers[1].crossattention.self.query.weight is not layers[1].attention.self.query.weight
        assert torch.allclose(loaded(**inputs).logits, expected, atol=1e-5)


class TestRefusals:
    def test_no_tensor_may_be_missing(self, tmp_path):
        folder = save_bart(tmp_path / "m")
        state = AutoModelForSeq2SeqLM.from_pretrained(folder).state_dict()
        del state["model.decoder.layers.1.fc1.weight"]
        (folder / "model.safetensors").unlink()
        torch.save(state, folder / "pytorch_model.bin")
        with pytest.raises(
            UserError, match=r"incomplete: 1 tensors are missing, model\.decoder\.layers\.1\.fc1\.weight"
        ):
            load_summarizer(folder)

    def test_sines_of_pegasus_may(self, tmp_path):
        folder = save_pegasus(tmp_path / "m")
        whole = AutoModelForSeq2SeqLM.from_pretrained(folder)
        state = {name: value for name, value in whole.state_dict().items() if "embed_positions" not in name}
        assert len(state) < len(whole.state_dict())
        (folder / "model.safetensors").unlink()
        torch.save(state, folder / "pytorch_model.bin")
        loaded = load_summarizer(folder).model.state_dict()
        for name, weight in whole.state_dict().items():
            assert torch.allclose(loaded[name], weight), name

    def test_a_pickle_that_runs_code_is_not_loaded(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "ran",))

        folder = save_bart(tmp_path / "m")
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Evil()}))
        with pytest.raises(UserError, match="broken or unsafe"):
            load_summarizer(folder)
        assert not (tmp_path / "ran").exists()

    def test_a_model_without_a_decoder(self, tmp_path, folders):
        load_summarizer(folders["bert2bert"]).model.encoder.save_pretrained(tmp_path / "m")
        with pytest.raises(UserError, match="is a 'bert' model, and that is none that Seq2SeqLM can be made of"):
            load_summarizer(tmp_path / "m")

    def test_a_tokenizer_of_another_model(self, tmp_path, folders):
        folder = save_bart(tmp_path / "m")
        for file in folder.iterdir():
            if file.name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
                file.unlink()
        with pytest.raises(UserError, match="holds no tokenizer"):
            load_summarizer(folder)
        AutoTokenizer.from_pretrained(folders["t5"]).save_pretrained(folder)
        with pytest.raises(UserError, match=r"has .* pieces, but its model only 500"):
            load_summarizer(folder)


class TestAdapters:
    def test_it_writes_what_the_unmerged_model_writes(self, folders, adapter):
        model, folder = adapter
        found = parse_system(f"lora:{folder}", generation=BEAMS).summarize(ARTICLES)
        tokenizer = AutoTokenizer.from_pretrained(folders["t5"])
        expected = []
        for article in ARTICLES:
            ids = model.generate(**tokenizer("summarize: " + article, return_tensors="pt"), **BEAMS)
            expected.append(tokenizer.decode(ids[0], skip_special_tokens=True).strip())
        assert [summary.text for summary in found] == expected
        plain = parse_system(str(folders["t5"]), generation=BEAMS).summarize(ARTICLES)
        assert [summary.text for summary in plain] != expected

    def test_a_base_with_a_head_of_its_own_keeps_it(self, folders, tmp_path):
        model = T5ForConditionalGeneration.from_pretrained(folders["t5-v1.1"])
        config = peft.LoraConfig(r=2, target_modules=["q"], init_lora_weights=False)
        peft.get_peft_model(model, config).save_pretrained(tmp_path)
        merged = parse_system(f"lora:{tmp_path}").model
        saved = load_file(folders["t5-v1.1"] / "model.safetensors")
        assert torch.equal(merged.lm_head.weight, saved["lm_head.weight"])
        assert not torch.equal(merged.lm_head.weight, merged.shared.weight)

    def test_its_record_names_the_adapter(self, adapter):
        about = parse_system(f"lora:{adapter[1]}").describe()
        assert (about["system"], about["model"]) == (f"lora:{adapter[1]}", str(adapter[1]))

    def test_sentences(self, tmp_path, folders, adapter):
        with pytest.raises(UserError, match=f"is an adapter, not a model: write lora:{adapter[1]}"):
            parse_system(str(adapter[1]))
        with pytest.raises(UserError, match=r"holds no adapter_config\.json that names its base model"):
            parse_system(f"lora:{folders['t5']}")
        about = json.loads((adapter[1] / "adapter_config.json").read_text())
        (tmp_path / "adapter_config.json").write_text(json.dumps(about | {"peft_type": "IA3"}))
        with pytest.raises(UserError, match=r"is a 'IA3' adapter .*: only LORA"):
            parse_system(f"lora:{tmp_path}")
        (tmp_path / "adapter_config.json").write_text(json.dumps(about | {"target_modules": ["nowhere"]}))
        with pytest.raises(UserError, match="does not fit its base model"):
            parse_system(f"lora:{tmp_path}")
        (tmp_path / "adapter_config.json").write_text(json.dumps(about | {"base_model_name_or_path": "./gone"}))
        with pytest.raises(UserError, match=r"\./gone is no folder"):
            parse_system(f"lora:{tmp_path}")

    def test_training_from_one_says_how_to_merge_it_and_that_works(self, adapter, tmp_path, capsys):
        argv = ["--recipe", "smoke", "--output_dir", str(tmp_path / "run"), "--model"]
        assert train_main([*argv, str(adapter[1])]) == 2
        said = capsys.readouterr().err
        assert f"{adapter[1]} is an adapter" in said
        python, *words = shlex.split(said.strip().splitlines()[-1])
        assert python == "python"
        subprocess.run([sys.executable, *words], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
        merged = parse_system(str(tmp_path / f"{adapter[1].name}-merged"), generation=BEAMS).summarize(ARTICLES)
        own = parse_system(f"lora:{adapter[1]}", generation=BEAMS).summarize(ARTICLES)
        assert [summary.text for summary in merged] == [summary.text for summary in own]
        load_model(tmp_path / f"{adapter[1].name}-merged")  # as --model does

    def test_an_adapter_that_lacks_some_of_its_weights_is_refused(self, adapter, tmp_path):
        (tmp_path / "adapter_config.json").write_bytes((adapter[1] / "adapter_config.json").read_bytes())
        weights = load_file(adapter[1] / "adapter_model.safetensors")
        lost = next(name for name in weights if "lora_B" in name)
        save_file(
            {name: weight for name, weight in weights.items() if name != lost}, tmp_path / "adapter_model.safetensors"
        )
        with pytest.raises(UserError, match=r"incomplete: 1 tensors are missing, .*lora_B"):
            parse_system(f"lora:{tmp_path}")

    def test_without_peft_it_says_what_to_install(self, adapter, monkeypatch):
        monkeypatch.setitem(sys.modules, "peft", None)  # as the interpreter keeps what it could not find
        with pytest.raises(UserError, match=r"needs peft \(`pip install peft`\)"):
            parse_system(f"lora:{adapter[1]}")
