"""Other summarisers than our T5: each family decoded rightly, adapters, ensembles, minimum Bayes risk, and their names.

The models are tiny and random; what they write is compared with transformers used directly, one article at a time.
"""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, EncoderDecoderModel, T5ForConditionalGeneration

from tests.architectures import FAMILIES, save_bart, save_bert2bert, save_pegasus, save_t5, save_t5_v1_1
from tests.hub.double import Hub
from trainer.errors import UserError
from trainer.metrics.rouge import rouge
from trainer.models.pretrained import load_pretrained, load_summarizer, positions
from trainer.summarizers.bayes_risk import MinimumBayesRisk
from trainer.summarizers.ensemble import ensemble
from trainer.summarizers.extractive import LeadN, Oracle, RandomN, TextRank
from trainer.summarizers.seq2seq import Seq2SeqSummarizer
from trainer.summarizers.systems import check_system, parse_system

ROOT = Path(__file__).resolve().parents[2]
ARTICLES = [
    "The harbour was closed on Monday. Nobody was hurt.",
    "Rain.",
    "A storm tore the roof off the fish market and two boats sank before the crews could reach them. " * 9,
    "The mayor asked the government for help, and said that the repairs would take until spring.",
]
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
BEAMS = {"num_beams": 3, "max_new_tokens": 15, "no_repeat_ngram_size": 1}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One folder a family."""
    root = tmp_path_factory.mktemp("families")
    return {family: save(root / family) for family, save in FAMILIES.items()}


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


@pytest.fixture(scope="module")
def adapter(folders, tmp_path_factory):
    """A LoRA adapter that changes what the tiny T5 writes, and its folder."""
    model = T5ForConditionalGeneration.from_pretrained(folders["t5"])
    torch.manual_seed(3)
    config = peft.LoraConfig(r=4, lora_alpha=64, target_modules=["q", "v"], init_lora_weights=False)
    adapted = peft.get_peft_model(model, config)
    folder = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(folder)
    return adapted.eval(), folder


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


class TestEnsemble:
    @pytest.fixture(scope="class")
    def members(self, folders, tmp_path_factory):
        root = tmp_path_factory.mktemp("members")
        # Different widths, and the second a head of its own.
        return [
            load_summarizer(folders["t5"]),
            load_summarizer(save_t5(root / "b", seed=5, d_model=48)),
            load_summarizer(save_t5_v1_1(root / "c", seed=6)),
        ]

    @staticmethod
    def log_mean(members, inputs, ids):
        """log of the mean next-token probability at each place of `ids`, without caches or wrappers."""
        with torch.inference_mode():
            found = [m.model(**inputs, decoder_input_ids=ids, use_cache=False).logits.double() for m in members]
        return torch.stack([logits.softmax(-1) for logits in found]).mean(0).log()

    def test_greedy_takes_the_token_of_highest_mean_probability(self, members):
        """By a loop that knows no cache and no batch."""
        system = Seq2SeqSummarizer.of(
            ensemble(members), "e", generation={"max_new_tokens": 12, "suppress_tokens": [0, 1]}, batch_size=3
        )
        tokenizer = members[0].tokenizer
        expected = []
        for article in ARTICLES:
            inputs = tokenizer("summarize: " + article, return_tensors="pt")
            ids = [0]
            while len(ids) < 13:
                logs = self.log_mean(members, inputs, torch.tensor([ids]))[0, -1]
                ids.append(2 + int(logs[2:].argmax()))
            expected.append(tokenizer.decode(ids, skip_special_tokens=True).strip())
        assert [summary.text for summary in system.summarize(ARTICLES)] == expected
        alone = [
            [
                summary.text
                for summary in Seq2SeqSummarizer.of(
                    one, "m", generation={"max_new_tokens": 12, "suppress_tokens": [0, 1]}
                ).summarize(ARTICLES)
            ]
            for one in members
        ]
        assert expected not in alone

    def test_a_beams_score_is_that_of_its_text(self, members):
        """Beams are reordered with the members' caches: the score found must be the one computed afresh."""
        generation = {"max_new_tokens": 10, "num_beams": 4, "length_penalty": 1.0}
        model, tokenizer = ensemble(members).model, members[0].tokenizer
        for article in ARTICLES:
            inputs = tokenizer("summarize: " + article, return_tensors="pt")
            found = model.generate(
                **inputs, **generation, num_return_sequences=4, return_dict_in_generate=True, output_scores=True
            )
            assert len({tuple(row) for row in found.sequences.tolist()}) == 4
            for ids, score in zip(found.sequences, found.sequences_scores, strict=True):
                kept = ids.tolist()
                kept = kept[: kept.index(1) + 1] if 1 in kept else kept
                logs = self.log_mean(members, inputs, torch.tensor([kept[:-1]]))[0]
                total = sum(float(logs[place, token]) for place, token in enumerate(kept[1:]))
                assert float(score) == pytest.approx(total / (len(kept) - 1), abs=1e-4)

    @pytest.mark.parametrize("family", ["bart", "bert2bert", "roberta2roberta", "pegasus"])
    def test_a_model_with_itself_writes_what_it_writes_alone(self, folders, family):
        alone = parse_system(str(folders[family]), generation=BEAMS)
        both = parse_system(f"ensemble:{folders[family]}+{folders[family]}", generation=BEAMS)
        assert [one.text for one in both.summarize(ARTICLES)] == [one.text for one in alone.summarize(ARTICLES)]
        assert both.max_source_length == 40

    def test_its_record(self, folders):
        spec = f"ensemble:{folders['t5']}+{folders['t5-v1.1']}"
        about = parse_system(spec, seed=3).describe()
        assert about["system"] == spec
        assert about["model"] == f"{folders['t5']}+{folders['t5-v1.1']}"
        assert (about["revision"], about["number_format"]) == (None, "fp32")
        assert about["decoding"]["max_new_tokens"] == 128

    def test_different_vocabularies_are_refused(self, folders, tmp_path):
        with pytest.raises(UserError, match=r"have different vocabularies .* can't be averaged\. mbr: chooses"):
            parse_system(f"ensemble:{folders['t5']}+{folders['bart']}")
        with pytest.raises(UserError, match="differ in decoder_start_token_id"):
            parse_system(f"ensemble:{folders['bart']}+{folders['roberta2roberta']}")
        folder = save_t5(tmp_path / "m", task_specific_params={"summarization": {"prefix": "tl;dr "}})
        with pytest.raises(UserError, match="expect different prefixes"):
            parse_system(f"ensemble:{folders['t5']}+{folder}")
        with pytest.raises(UserError, match="two models or more"):
            ensemble([load_summarizer(folders["t5"])])


class Says:
    """A system that gives the same summaries of any article."""

    def __init__(self, *texts):
        self.texts = texts

    def candidates(self, sources):
        summary = LeadN(1).summarize(["x"])[0]
        return [[summary.__class__(text, None, 1, 1) for text in self.texts] for _ in sources]


class TestMinimumBayesRisk:
    def test_by_hand(self):
        """The first two share three words of 3 and 4, so F1 = 2·3/7; nothing is shared with the third."""
        system = MinimumBayesRisk(
            [Says("storm sank boats", "storm sank boats ships", "mayor left")], utility=["rouge1"]
        )
        assert system.expected(["storm sank boats", "storm sank boats ships", "mayor left"]) == pytest.approx(
            [(6 / 7 + 0) / 2, (6 / 7 + 0) / 2, 0]
        )
        # A fourth one is nearer to the second: 2·2/(4+2) = 2/3 against 2·1/(3+2) = 2/5.
        more = MinimumBayesRisk(
            [Says("storm sank boats", "storm sank boats ships"), Says("mayor left", "storm ships")], utility=["rouge1"]
        )
        assert more.summarize(["x"])[0].text == "storm sank boats ships"

    def test_ties_go_to_the_first(self):
        assert MinimumBayesRisk([Says("one two", "two one")], utility=["rouge1"]).summarize(["x"])[0].text == "one two"
        assert MinimumBayesRisk([Says("b"), Says("a")]).summarize(["x"])[0].text == "b"
        assert MinimumBayesRisk([Says("", "")]).summarize(["x"])[0].text == ""

    def test_copies_support_each_other(self):
        assert MinimumBayesRisk([Says("rare words", "same", "same")]).summarize(["x"])[0].text == "same"

    def test_it_is_what_all_pairs_say(self):
        """Against a plain double loop, over real sentences."""
        texts = [text.rstrip(".") for text in ARTICLES[3].split(", ")] + [ARTICLES[0], ARTICLES[3], ARTICLES[0]]
        system = MinimumBayesRisk([Says(*texts)])
        for row, text in enumerate(texts):
            others = [other for place, other in enumerate(texts) if place != row]
            found = rouge([text] * len(others), others)
            mean = np.mean([found.mean("rouge1"), found.mean("rouge2"), found.mean("rougeL")])
            assert system.expected(texts)[row] == pytest.approx(mean)

    def test_across_any_systems(self, folders):
        spec = f"mbr:lead-1+random-1+{folders['bart']}"
        system = parse_system(spec, seed=4, generation={"max_new_tokens": 5})
        source = ARTICLES[0]
        assert system.summarize([source])[0].text in source  # two sentences of it agree more than noise does
        about = system.describe()
        assert (about["system"], about["seed"], about["number_format"]) == (spec, 4, "fp32")
        assert [part["system"] for part in about["decoding"]["candidates"]] == [
            "lead-1",
            "random-1",
            str(folders["bart"]),
        ]
        json.dumps(about)
        with pytest.raises(UserError, match="at least one"):
            MinimumBayesRisk([])

    def test_the_best_of_a_beam_or_samples_of_one_model(self, folders):
        beams = parse_system(f"mbr:{folders['bart']}*4", generation={"max_new_tokens": 8})
        (model,) = beams.systems
        assert (model.decoding()["num_beams"], model.decoding()["candidates"]) == (4, 4)
        found = model.candidates(ARTICLES[:2])
        assert [len(set(one.text for one in group)) for group in found] == [4, 4]
        plain = parse_system(str(folders["bart"]), generation={"max_new_tokens": 8, "num_beams": 4})
        assert [group[0].text for group in found] == [one.text for one in plain.summarize(ARTICLES[:2])]
        chosen = beams.summarize(ARTICLES[:2])
        assert all(
            one.text in [candidate.text for candidate in group] for one, group in zip(chosen, found, strict=True)
        )
        sampling = {"max_new_tokens": 8, "do_sample": True, "top_k": 0}
        samples = parse_system(f"mbr:{folders['t5']}*5", generation=sampling, seed=1)
        (model,) = samples.systems
        assert model.generation.num_beams == 1
        assert samples.summarize(ARTICLES) == samples.summarize(ARTICLES)
        assert len({one.text for one in model.candidates(ARTICLES[:1])[0]}) == 5


class TestNames:
    def test_baselines(self):
        assert isinstance(parse_system("lead-3"), LeadN) and parse_system("lead-3").n == 3
        assert isinstance(parse_system("textrank-1"), TextRank)
        random = parse_system("random-2", seed=7)
        assert isinstance(random, RandomN) and (random.n, random.seed) == (2, 7)

    def test_the_references_are_a_system_too(self):
        references = parse_system("references")
        references.show([("Rain fell.", "It rained."), ("Rain fell.", "Another."), ("Wind blew hard.", "A storm.")])
        found = references.summarize(["Wind blew hard.", "Rain fell."])
        assert [summary.text for summary in found] == ["A storm.", "It rained."] and found[0].tokens_total == 3
        assert references.describe()["system"] == "references"

    def test_the_oracle_is_shown_its_references_afterwards(self):
        oracle = parse_system("oracle")
        assert isinstance(oracle, Oracle) and oracle.most is None and parse_system("oracle-2").most == 2
        oracle.show([("Rain fell. Prices rose.", "Prices rose.")])
        assert oracle.summarize(["Rain fell. Prices rose."])[0].text == "Prices rose."
        assert [parse_system(name).describe()["system"] for name in ("oracle", "oracle-2")] == ["oracle", "oracle-2"]

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("led-3", "No system is called 'led-3': did you mean 'lead-3'\\?"),
            ("Lead-3", "did you mean 'lead-3'"),
            ("textrnk-1", "did you mean 'textrank-1'"),
            ("oracel", "did you mean 'oracle'"),
            ("ensembel:a/b+c/d", "No system is called 'ensembel:a/b\\+c/d'"),
            ("zzzzzz", "No system is called 'zzzzzz', and no folder. A model is written user/model"),
            ("", "No system is called ''"),
            ("./nothing", "No system is called './nothing'"),
            ("user//model", "No system is called"),
            ("lead-0", "'lead-0' must say how many sentences, 1 or more: lead-3"),
            ("lead", "must say how many"),
            ("random-many", "must say how many"),
            ("lora:", "No system is called 'lora:'"),
            ("ensemble:a/b", "needs at least two systems"),
            ("mbr:a/b", "needs at least two systems"),
            ("mbr:a/b+", "has an empty name"),
            ("mbr:a/b*0+c/d", "must be 1 or more"),
            ("mbr:lead-1*3+a/b", "has one summary of an article, not 3"),
            ("mbr:oracle+lead-1", "'oracle' sees the references"),
            ("mbr:references+lead-1", "'references' sees the references"),
            ("ensemble:lead-1+a/b", "gives no token probabilities"),
            ("mbr:ensemble:a/b+c/d", "is itself made of several systems"),
        ],
    )
    def test_what_is_no_name_is_refused_before_anything_is_loaded(self, spec, message):
        with pytest.raises(UserError, match=message):
            check_system(spec)
        with pytest.raises(UserError, match=message):
            parse_system(spec)

    def test_what_could_be_a_name_passes_unloaded(self):
        for spec in (
            "google-t5/t5-small",
            "user/model@main",
            "lora:a/b@v1",
            "ensemble:a/b+c/d@x",
            "mbr:a/b*8",
            "mbr:a/b+lora:c/d",
        ):
            check_system(spec)

    def test_a_folder_goes_first(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        save_bart(tmp_path / "lead-3")
        assert isinstance(parse_system("lead-3"), Seq2SeqSummarizer)
        save_bart(tmp_path / "my@model")
        assert parse_system("my@model").describe()["model"] == "my@model"
        with pytest.raises(UserError, match="a folder has no revision"):
            load_pretrained("my@model", "main")


ON_THE_HUB = """
import json, sys
from trainer.errors import UserError
from trainer.summarizers.systems import parse_system
found = {}
for spec in json.loads(sys.argv[1]):
    try:
        system = parse_system(spec, generation=json.loads(sys.argv[2]))
        about = system.describe()
        texts = [summary.text for summary in system.summarize(json.loads(sys.argv[3]))]
        found[spec] = {"texts": texts, "revision": about["revision"], "model": about["model"]}
    except UserError as error:
        found[spec] = str(error)
print("FOUND" + json.dumps(found))
"""


def test_every_kind_from_the_hub(folders, adapter, tmp_path):
    """One process with an empty cache: families, an old `.bin`, a revision, an adapter, an ensemble; no code is run."""
    with Hub() as hub:
        shas = {
            name: hub.put("model", f"ada/{name}", {file.name: file for file in folder.iterdir()})
            for name, folder in folders.items()
        }
        old = save_bart(tmp_path / "old", seed=9)
        torch.save(AutoModelForSeq2SeqLM.from_pretrained(old).state_dict(), old / "pytorch_model.bin")
        (old / "model.safetensors").unlink()
        shas["old"] = hub.put("model", "ada/old", {file.name: file for file in old.iterdir()}, revision="v1")
        hub.put("model", "ada/old", {"README.md": b"nothing on main"})
        about = json.loads((adapter[1] / "adapter_config.json").read_text()) | {"base_model_name_or_path": "ada/t5"}
        files = {"adapter_config.json": json.dumps(about).encode()}
        files |= {"adapter_model.safetensors": adapter[1] / "adapter_model.safetensors"}
        shas["lora"] = hub.put("model", "ada/lora", files)
        config = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForSeq2SeqLM": "own.Model"}}
        code = f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()"
        hub.put("model", "ada/code", {"config.json": json.dumps(config).encode(), "own.py": code.encode()})
        specs = {f"ada/{name}": str(folder) for name, folder in folders.items()}
        specs |= {"ada/old@v1": str(old), "lora:ada/lora": f"lora:{adapter[1]}"}
        specs |= {"ensemble:ada/t5+ada/t5-v1.1": f"ensemble:{folders['t5']}+{folders['t5-v1.1']}"}
        specs |= {"mbr:ada/bart+ada/pegasus": f"mbr:{folders['bart']}+{folders['pegasus']}"}
        refused = ["ada/code", "ada/nobody", "ada/lora", "ada/old"]
        arguments = [json.dumps([*specs, *refused]), json.dumps(BEAMS), json.dumps(ARTICLES)]
        env = hub.env(tmp_path / "home") | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", ON_THE_HUB, *arguments],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert not hub.unknown and not hub.crashes
    found = json.loads(done.stdout.partition("FOUND")[2])
    for spec, local in specs.items():
        assert isinstance(found[spec], dict), found[spec]
        here = parse_system(local, generation=BEAMS)
        assert found[spec]["texts"] == [summary.text for summary in here.summarize(ARTICLES)], spec
    assert found["ada/bart"]["revision"] == shas["bart"]
    assert found["ada/old@v1"]["revision"] == shas["old"]
    assert (found["lora:ada/lora"]["revision"], found["lora:ada/lora"]["model"]) == (shas["lora"], "ada/lora")
    assert found["ensemble:ada/t5+ada/t5-v1.1"]["revision"] == f"{shas['t5']}+{shas['t5-v1.1']}"
    assert "config.json of ada/code can't be used" in found["ada/code"]
    assert not (tmp_path / "ran").exists()
    assert "there is no model ada/nobody on the Hub" in found["ada/nobody"]
    assert "write lora:ada/lora" in found["ada/lora"]
    assert "ada/old holds no config.json" in found["ada/old"]
