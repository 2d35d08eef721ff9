"""From a word of the summary to the article: nothing gets lost between tokens, words and sentences."""

import numpy as np
import pytest

from space.engine import Engine
from tests.attribution.test_gradients import texts
from tests.attribution.test_matrix import pair_of
from trainer.attribution.folding import fold_to, run_bounds, sentence_bounds
from trainer.attribution.registry import method
from trainer.attribution.sources import sources_of, tokens_of_words
from trainer.errors import UserError


def test_words_and_sentences_add_up_to_the_tokens(tiny):
    article, summary = texts(1, words=60)[0]
    pair = pair_of(*tiny, article, summary)
    found = sources_of(pair, 2)
    start, end = run_bounds(summary)[2]
    assert (found.word, found.start, found.end) == (summary.split()[2], start, end)
    scored = list(zip(found.attribution.scores, pair.source.offsets, strict=True))
    of_article = [score for score, offset in scored if offset]
    assert "".join(span.text for span in found.spans) == article
    assert sum(span.score or 0 for span in found.spans) == pytest.approx(sum(of_article), rel=1e-6)
    assert sum(sentence.score for sentence in found.sentences) == pytest.approx(sum(of_article), rel=1e-6)
    assert len(found.sentences) > 1 and found.sentences[0].start == 0
    for sentence in found.sentences:
        inside = [
            s for s, o in zip(found.attribution.scores, pair.source.offsets, strict=True) if o and lies(o, sentence)
        ]
        assert sentence.score == pytest.approx(sum(inside), rel=1e-6, abs=1e-9)
    assert found.converged and found.completeness_error <= 0.01
    change = found.log_prob - found.baseline_log_prob
    assert sum(found.attribution.scores) == pytest.approx(change, abs=0.01 * max(abs(change), 1))


def lies(offset, sentence) -> bool:
    """Whether a piece, or the word that its white space introduces, stands in the sentence."""
    return sentence.start < offset[1] <= sentence.end


def test_the_words_of_a_summary_have_all_its_tokens_but_the_end(tiny):
    summary = "  Brank’s harbour,\nre-opened   (again)."
    pair = pair_of(*tiny, *texts(1)[0][:1], summary)
    words = tokens_of_words(pair)
    assert [token for word in words for token in word] == list(range(len(pair.target.ids) - 1))
    assert len(words) == 4 and all(words)


def test_the_whole_summary(tiny):
    article, summary = texts(1)[0]
    pair = pair_of(*tiny, article, summary)
    found = sources_of(pair)
    assert (found.word, found.attribution.target_tokens) == (summary, len(pair.target.ids))


@pytest.mark.parametrize("word", [-1, 2])
def test_a_word_that_is_not_there(tiny, word):
    with pytest.raises(UserError, match=f"word is {word}: .* from 0 to 1"):
        sources_of(pair_of(*tiny, "a b c", "b c"), word)


def test_sentence_bounds_are_the_texts_own():
    text = "  Dr. Smith paid.\n\n“Why?” he  asked. It\trained "
    assert [text[start:end] for start, end in sentence_bounds(text)] == [
        "Dr. Smith paid.",
        "“Why?” he  asked.",
        "It\trained",
    ]
    assert sentence_bounds(" \n ") == []


def test_pieces_go_whole_to_one_stretch():
    scores = np.array([[1.0, 2.0, 4.0, 8.0], [1.0, 0.0, 0.0, -1.0]])
    offsets = [(0, 1), None, (1, 3), (3, 5)]  # the third is mostly white space before the second stretch
    assert fold_to([(0, 1), (2, 5)], offsets, scores).tolist() == [[1.0, 12.0], [1.0, -1.0]]
    assert fold_to([], offsets, scores).shape == (2, 0)


def test_other_methods_give_the_same_form(tiny):
    article, summary = texts(1, words=30)[0]
    pair = pair_of(*tiny, article, summary)
    found = sources_of(pair, 1, by=method("saliency"))
    assert "".join(span.text for span in found.spans) == article and found.log_prob < 0
    assert (found.baseline_log_prob, found.completeness_error, found.converged, found.n_steps) == (None,) * 4


def test_the_engine_remembers_what_it_was_asked(tiny):
    engine = Engine(*tiny, name="tiny")
    article, summary = texts(1, words=16)[0]
    found = engine.sources(article, summary, 1)
    assert engine.sources(article, summary, 1) is found and engine.pair(article, summary).summary == summary
    by_saliency = engine.sources(article, summary, 1, method="saliency")
    assert by_saliency.spans != found.spans
    evidence = engine.evidence(article, summary, 1, method="saliency")
    assert len(evidence.necessity.words) == 5 and 0 < evidence.deletion.p <= 1
    assert evidence.deletion.log_probs[0] == pytest.approx(found.log_prob, rel=1e-4)
    assert engine.contrast(article, summary, "Other words.").common == ""
    with pytest.raises(UserError, match="no attribution method"):
        engine.sources(article, summary, 1, method="guess")
