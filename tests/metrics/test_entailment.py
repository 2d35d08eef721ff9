"""Entailment by a classifier."""

import itertools

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from tests.architectures import SIZES, byte_pairs, word_pieces
from tests.metrics.texts import OTHERS, TEXTS
from trainer.errors import UserError
from trainer.metrics.entailment import EntailmentModel, entailment
from trainer.scoring.intervals import measured


def save_judge(folder, labels):
    """A random classifier with 48 positions whose opinions differ."""
    folder.mkdir()
    vocabulary = word_pieces(folder, 48)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        config = BertConfig(
            vocab_size=len(vocabulary),
            max_position_embeddings=48,
            initializer_range=0.4,
            id2label=dict(enumerate(labels)),
            label2id={label: number for number, label in enumerate(labels)},
            **SIZES,
        )
        BertForSequenceClassification(config).save_pretrained(folder)
    return folder


class TestEntailment:
    @pytest.fixture(scope="class")
    def judge(self, tmp_path_factory):
        folder = save_judge(tmp_path_factory.mktemp("nli") / "judge", ["CONTRADICTION", "neutral", "ENTAILMENT"])
        return folder, EntailmentModel.load(folder, batch_size=3)

    def test_it_is_the_classifiers_own_probability(self, judge):
        folder, model = judge
        tokenizer = AutoTokenizer.from_pretrained(folder)
        plain = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        figure = entailment(model)(OTHERS[:3], ["unread"] * 3, TEXTS[:3])["entailment"]
        for row in range(3):
            with torch.no_grad():
                logits = plain(
                    **tokenizer(TEXTS[row], OTHERS[row], truncation=True, max_length=48, return_tensors="pt")
                ).logits[0]
            assert figure.per_example[row] == pytest.approx(float(logits.softmax(0)[2]), abs=1e-5)
        assert len(set(figure.per_example.round(4))) == 3
        assert figure.signature.startswith("entailment|tool:trainer|nli:judge|tokens:48|premise:parts")

    def test_of_a_long_article_the_part_that_says_it_counts(self, judge):
        _, model = judge
        article = "The harbour was closed. Nobody was hurt. Rain fell. The mayor left. Prices rose. It rained."
        parts = model.parts(article, OTHERS[2])
        assert 1 < len(parts) < 7 and " ".join(parts) == article
        lengths = [len(model.tokenizer(part, OTHERS[2])["input_ids"]) for part in parts]
        assert max(lengths) <= 48
        # No sentence more would have gone into any part.
        for part, following in itertools.pairwise(parts):
            longer = f"{part} {following.partition('.')[0]}."
            assert len(model.tokenizer(longer, OTHERS[2])["input_ids"]) > 48
        figure = entailment(model)([OTHERS[2]], [""], [article])["entailment"]
        single = model.probabilities(parts, [OTHERS[2]] * len(parts))
        assert figure.value == pytest.approx(max(single), abs=1e-6) and max(single) > min(single)

    def test_edges(self, judge):
        _, model = judge
        figure = entailment(model)(["", "Rain."], ["", ""], ["Rain.", ""])["entailment"]
        assert figure.per_example[0] == 0 and 0 < figure.per_example[1] < 1
        long = ["word " * 90]
        assert 0 < entailment(model)(long, long, long)["entailment"].value < 1
        assert np.isnan(entailment(model)([], [], [])["entailment"].value)
        assert measured(entailment(model)(OTHERS, OTHERS, TEXTS), samples=20)["entailment"].n == 5

    def test_labels(self, tmp_path):
        assert EntailmentModel.load(save_judge(tmp_path / "a", ["entailment", "not_entailment"])).label == 0
        with pytest.raises(UserError, match=r"b can't judge entailment: one of its labels .* POSITIVE, NEGATIVE"):
            EntailmentModel.load(save_judge(tmp_path / "b", ["POSITIVE", "NEGATIVE"]))

    def test_a_model_without_a_trained_head_is_refused(self, folder, tmp_path):
        with pytest.raises(UserError, match=r"incomplete: .* classifier"):
            EntailmentModel.load(folder)

    def test_roberta(self, tmp_path):
        """Its table of positions has two rows more than it has positions."""
        target = tmp_path / "r"
        target.mkdir()
        vocabulary = byte_pairs(target, "RobertaTokenizer", 512)
        ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "id2label": {0: "x", 1: "entailment"}}
        config = RobertaConfig(vocab_size=len(vocabulary), max_position_embeddings=34, **ids, **SIZES)
        RobertaForSequenceClassification(config).save_pretrained(target)
        model = EntailmentModel.load(target)
        assert model.limit == 32
        assert 0 < entailment(model)(TEXTS[4:], TEXTS[4:], TEXTS[4:])["entailment"].value < 1
