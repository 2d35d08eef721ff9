"""The pre-training questions: each is what its paper says, and none gives its answer away."""

import numpy as np
import pytest
from rouge_score import rouge_scorer

from trainer.pretraining.corpus import Document
from trainer.pretraining.objectives import (
    continuation,
    copy_exercise,
    gap_scores,
    gap_sentences,
    lead_sentence,
    restore,
    span_corruption,
)

FIRST = 999  # <extra_id_0> in a vocabulary of 1,000


def ids(*values: int) -> np.ndarray:
    return np.asarray(values, np.uint16)


def random_sentences(rng: np.random.Generator, count: int, pieces: int = 30) -> list[np.ndarray]:
    return [rng.integers(3, 3 + pieces, size=rng.integers(4, 12)).astype(np.uint16) for _ in range(count)]


def test_corruption_can_be_inverted():
    rng = np.random.default_rng(0)
    for length in [2, 3, 7, 40, 255, 600]:
        for density in [0.05, 0.15, 0.5]:
            text = rng.integers(3, 800, size=length).astype(np.uint16)
            pair = span_corruption(text, rng, FIRST, density)
            assert restore(pair, FIRST).tolist() == text.tolist()


def test_corruption_has_t5s_form():
    text = np.arange(3, 203).astype(np.uint16)
    pair = span_corruption(text, np.random.default_rng(1), FIRST, density=0.15, mean_length=3.0)
    sentinels = [piece for piece in pair.source.tolist() if piece > 900]
    assert sentinels == list(range(FIRST, FIRST - 10, -1))  # 30 of 200 pieces in spans of 3: ten, counting down
    assert [piece for piece in pair.target.tolist() if piece > 900] == [*sentinels, FIRST - 10]  # and one to close
    assert pair.target[0] == FIRST and pair.source[0] == 3
    assert sum(piece <= 900 for piece in pair.target.tolist()) == 30
    assert not set(pair.source[pair.source <= 900]) & set(pair.target[pair.target <= 900])


def test_corruption_of_one_piece_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        span_corruption(ids(5), np.random.default_rng(0), FIRST)


def test_gap_sentence_is_the_one_with_the_highest_rouge_to_the_rest():
    scorer = rouge_scorer.RougeScorer(["rouge1"])
    rng = np.random.default_rng(2)
    for _ in range(40):
        sentences = random_sentences(rng, 6)
        words = [" ".join(f"w{piece}" for piece in sentence) for sentence in sentences]
        expected = [
            scorer.score(" ".join(words[:k] + words[k + 1 :]), words[k])["rouge1"].fmeasure for k in range(len(words))
        ]
        assert gap_scores(sentences) == pytest.approx(expected, abs=1e-12)
        pair = gap_sentences(sentences, FIRST, in_place=False)
        best = next(k for k, sentence in enumerate(sentences) if sentence.tolist() == pair.target.tolist())
        assert expected[best] == pytest.approx(max(expected), abs=1e-12)  # of two equal ones, either
        rest = [*sentences[:best], ids(FIRST), *sentences[best + 1 :]]
        assert pair.source.tolist() == np.concatenate(rest).tolist()


def test_gap_sentences_left_in_place_can_be_copied():
    sentences = random_sentences(np.random.default_rng(3), 5)
    pair = gap_sentences(sentences, FIRST, in_place=True)
    assert pair.source.tolist() == np.concatenate(sentences).tolist()
    assert any(pair.target.tolist() == sentence.tolist() for sentence in sentences)


def test_several_gaps_keep_the_texts_order_and_fit():
    sentences = random_sentences(np.random.default_rng(4), 8)
    pair = gap_sentences(sentences, FIRST, in_place=False, n_gaps=3, max_target=24)
    gone = [piece for piece in pair.source.tolist() if piece > 900]
    assert gone == [FIRST - k for k in range(len(gone))] and len(gone) >= 2
    assert len(pair.target) <= 24
    kept = [sentence.tolist() for sentence in sentences]
    positions = [k for k, sentence in enumerate(kept) if not _contains(pair.source.tolist(), sentence)]
    assert pair.target.tolist() == [piece for k in positions for piece in kept[k]]


def test_a_lead_sentence_never_stays_in_its_source():
    lead = np.arange(3, 15).astype(np.uint16)
    others = [np.arange(20 + 10 * k, 26 + 10 * k).astype(np.uint16) for k in range(4)]
    pair = lead_sentence(Document([lead, others[0], others[1], lead, others[2], others[3]], None, None))
    assert pair.target.tolist() == lead.tolist()
    assert pair.source.tolist() == np.concatenate(others).tolist()


@pytest.mark.parametrize(("lead_length", "following"), [(5, 4), (70, 4), (12, 2)])
def test_no_lead_sentence_where_it_is_none(lead_length, following):
    sentences = [np.arange(3, 3 + lead_length).astype(np.uint16), *[ids(7, 8, 9 + k) for k in range(following)]]
    assert lead_sentence(Document(sentences, None, None)) is None


def test_continuation_is_the_text_cut_in_two():
    text = np.arange(3, 203).astype(np.uint16)
    pair = continuation(text, max_target=96)
    assert np.concatenate([pair.source, pair.target]).tolist() == text.tolist()
    assert len(pair.target) == 96
    assert len(continuation(text[:20], max_target=96).target) == 10


def test_copy_exercise_asks_for_what_stands_between_the_sentinels():
    rng = np.random.default_rng(5)
    for _ in range(50):
        pair = copy_exercise(int(rng.integers(40, 200)), rng, FIRST, lowest_piece=3)
        source = pair.source.tolist()
        start, end = source.index(FIRST), source.index(FIRST - 1)
        assert source[start + 1 : end] == pair.target.tolist()
        assert min(source) >= 3 and 5 <= len(pair.target) < 25
        assert sum(piece > FIRST - 100 for piece in source) == 2


def _contains(source: list[int], part: list[int]) -> bool:
    return any(source[k : k + len(part)] == part for k in range(len(source)))
