"""Models that share a vocabulary, their probabilities averaged."""

import pytest
import torch

from tests.architectures import save_t5, save_t5_v1_1
from tests.summarizers.texts import ARTICLES, BEAMS
from trainer.errors import UserError
from trainer.models.pretrained import load_summarizer
from trainer.summarizers.ensemble import ensemble
from trainer.summarizers.seq2seq import Seq2SeqSummarizer
from trainer.summarizers.systems import parse_system


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
