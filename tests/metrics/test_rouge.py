"""ROUGE: fractions computed by hand, a small implementation of our own beside it, and real texts."""

import json
import random
import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer

from trainer.data.sentences import split_sentences
from trainer.metrics.base import same_number
from trainer.metrics.rouge import PARTS, ROUGE_TYPES, rouge, rouge_metric, sentence_lines

# Two sentences each, so that ROUGE-L and ROUGE-Lsum differ.
REFERENCE = "The cat sat here. A dog ran off."

PREDICTION = "A dog ran home. The cat sat."


def scores_of(prediction, reference, **options):
    values = rouge([prediction], [reference], **options).values
    return {kind: tuple(value[0]) for kind, value in values.items()}


def prf(matches, predicted, expected):
    """Precision, recall and F1 as fractions make them."""
    precision, recall = matches / predicted, matches / expected
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


class TestRougeByHand:
    def test_two_sentences(self):
        """Eight words expected, seven predicted.

        All but "home" match (6). Bigrams: the cat, cat sat, a dog, dog ran match (4 of 6 and 7; "sat here"
        and the like do not). The longest common subsequence is "a dog ran" or "the cat sat" (3). By sentence
        it is "the cat sat" and "a dog ran" (6).
        """
        found = scores_of(PREDICTION, REFERENCE)
        assert found["rouge1"] == pytest.approx(prf(6, 7, 8))
        assert found["rouge2"] == pytest.approx(prf(4, 6, 7))
        assert found["rougeL"] == pytest.approx(prf(3, 7, 8))
        assert found["rougeLsum"] == pytest.approx(prf(6, 7, 8))

    def test_a_word_counts_as_often_as_it_stands_in_both(self):
        found = scores_of("the the the cat", "the cat the dog")
        assert found["rouge1"] == pytest.approx(prf(3, 4, 4))  # the twice, cat once
        assert found["rouge2"] == pytest.approx(prf(1, 3, 3))  # the cat

    def test_union_of_subsequences_as_in_the_paper(self):
        """The example of Lin 2004, section 3.2: the union of w1 w2 and w1 w3 w5 is w1 w2 w3 w5."""
        found = scores_of("w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", "w1 w2 w3 w4 w5")
        assert found["rougeLsum"] == pytest.approx(prf(4, 10, 5))

    def test_stems_only_of_words_over_three_letters(self):
        assert scores_of("jumping cats", "jumped cat")["rouge1"][2] == 1.0
        assert scores_of("was", "wa")["rouge1"][2] == 0.0  # stemmed, "was" would be "wa"
        assert scores_of("jumping cats", "jumped cat", stemmer=False)["rouge1"][2] == 0.0

    def test_case_and_punctuation_do_not_count(self):
        assert scores_of("THE £3.5m plan!", "the 3 5m, plan")["rouge1"] == (1.0, 1.0, 1.0)

    @pytest.mark.parametrize(
        ("prediction", "reference"),
        [
            ("", "the cat"),
            ("the cat", ""),
            ("", ""),
            ("?!… —", "the cat"),
            ("今日は雨です。", "今日は雨です。"),
            (" \n ", "x"),
        ],
    )
    def test_no_words_score_zero(self, prediction, reference):
        assert set(scores_of(prediction, reference).values()) == {(0.0, 0.0, 0.0)}

    def test_one_word_has_no_bigram(self):
        found = scores_of("cat", "cat")
        assert found["rouge1"] == (1.0, 1.0, 1.0)
        assert found["rouge2"] == (0.0, 0.0, 0.0)


# ROUGE of our own, from the paper and the published behaviour of the tool, without looking at its code paths.


@cache
def stem(word):
    return PorterStemmer().stem(word) if len(word) > 3 else word


def tokens_of(text, stemmed=True):
    words = re.findall("[a-z0-9]+", text.lower())
    return [stem(word) for word in words] if stemmed else words


def own_ngram_rouge(prediction, reference, n):
    predicted, expected = (
        Counter(zip(*(words[k:] for k in range(n)), strict=False)) for words in (prediction, reference)
    )
    return own_prf(sum((predicted & expected).values()), sum(predicted.values()), sum(expected.values()))


def own_prf(matches, predicted, expected):
    return prf(matches, predicted, expected) if matches else (0.0, 0.0, 0.0)


def common_subsequence(reference, prediction):
    """Places in `reference` of a longest common subsequence; of equal ones that which the tool takes."""
    best = np.zeros((len(reference) + 1, len(prediction) + 1), int)
    for i, word in enumerate(reference):
        for j, other in enumerate(prediction):
            best[i + 1, j + 1] = best[i, j] + 1 if word == other else max(best[i, j + 1], best[i + 1, j])
    places, i, j = [], len(reference), len(prediction)
    while i and j:
        if reference[i - 1] == prediction[j - 1]:
            i, j = i - 1, j - 1
            places.append(i)
        elif best[i, j - 1] > best[i - 1, j]:
            j -= 1
        else:
            i -= 1
    return places


def own_rouge(prediction, reference, stemmed=True):
    predicted, expected = tokens_of(prediction, stemmed), tokens_of(reference, stemmed)
    sentences = [
        [tokens_of(sentence, stemmed) for sentence in split_sentences(text)] for text in (prediction, reference)
    ]
    left = [Counter(word for sentence in side for word in sentence) for side in sentences]
    matches = 0
    for sentence in sentences[1]:
        union = sorted({place for other in sentences[0] for place in common_subsequence(sentence, other)})
        for word in (sentence[place] for place in union):
            if left[0][word] and left[1][word]:
                left[0][word] -= 1
                left[1][word] -= 1
                matches += 1
    return {
        "rouge1": own_ngram_rouge(predicted, expected, 1),
        "rouge2": own_ngram_rouge(predicted, expected, 2),
        "rougeL": own_prf(len(common_subsequence(expected, predicted)), len(predicted), len(expected)),
        "rougeLsum": own_prf(matches, len(predicted), len(expected)),
    }


def assert_same_rouge(predictions, references, stemmer=True):
    found = rouge(predictions, references, stemmer=stemmer)
    for row, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        for kind, expected in own_rouge(prediction, reference, stemmer).items():
            assert found.values[kind][row] == pytest.approx(expected, abs=1e-12), (
                kind,
                prediction,
                reference,
            )


@pytest.mark.parametrize("stemmer", [True, False])
def test_rouge_is_that_of_a_second_implementation_on_random_texts(stemmer):
    """Few words, many repetitions and line breaks: the cases in which clipping and unions matter."""
    draw = random.Random(1)
    words = ["the", "cats", "cat", "running", "runs", "a", "B", "b.", "Was.", "was", "\n", "é", "3.5", "!"]
    texts = [" ".join(draw.choices(words, k=draw.randrange(25))) for _ in range(800)]
    assert_same_rouge(texts[:400], texts[400:], stemmer)


def pairs(folder: Path):
    """(articles, summaries) of the test split in `folder`."""
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text("utf-8").splitlines()]
    return [row["document"] for row in rows], [row["summary"] for row in rows]


def lead(articles, n):
    return [" ".join(split_sentences(article)[:n]) for article in articles]


@pytest.mark.parametrize("data", ["xsum", "scitldr", "cnn_dailymail"])
def test_rouge_is_that_of_a_second_implementation_on_real_texts(shared_data, data):
    articles, references = pairs(shared_data / data)
    assert_same_rouge(lead(articles[:70], 3), references[:70])


@pytest.mark.parametrize(
    "limit", [pytest.param(70, id="210 pairs"), pytest.param(None, id="all 1867 pairs", marks=pytest.mark.slow)]
)
def test_rouge_is_googles_on_real_pairs(shared_data, limit):
    """Called as its own documentation says, but for the sentences of ROUGE-Lsum, which it wants on lines."""
    scorer = RougeScorer([*ROUGE_TYPES], use_stemmer=True)
    for data, number in (("xsum", 999), ("scitldr", 618), ("cnn_dailymail", 250)):
        articles, references = pairs(shared_data / data)
        assert len(references) == number
        predictions, references = lead(articles[:limit], 1), references[:limit]
        found = rouge(predictions, references)
        for row, texts in enumerate(zip(references, predictions, strict=True)):
            expected = scorer.score(*("\n".join(split_sentences(text)) for text in texts))
            for kind, score in expected.items():
                assert found.values[kind][row] == pytest.approx(tuple(score), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("data", ["xsum", "scitldr", "cnn_dailymail"])
def test_rouge_is_that_of_a_second_implementation_on_all_real_texts(shared_data, data):
    articles, references = pairs(shared_data / data)
    assert_same_rouge(lead(articles, 3), references)


def test_rouge_of_leading_sentences_on_xsum_is_the_known_one(shared_data):
    """The design's figures; another plain sentence split moves them by a few hundredths."""
    articles, references = pairs(shared_data / "xsum")
    for n, known in ((1, (16.12, 1.71, 11.72)), (3, (19.17, 2.66, 12.26))):
        found = rouge(lead(articles, n), references, ["rouge1", "rouge2", "rougeL"])
        assert [100 * found.mean(kind) for kind in found.values] == pytest.approx(known, abs=0.05)


def test_rouge_figures_are_named_and_signed():
    texts = [PREDICTION, ""], [REFERENCE, REFERENCE]
    found, figures = rouge(*texts), rouge_metric(*texts, ["", ""])
    assert set(figures) == {f"{kind}_{part}" for kind in ROUGE_TYPES for part in PARTS}
    assert figures["rouge1_fmeasure"].signature == "rouge1|tool:rouge_score-0.1.2|stemmer:porter|case:lower"
    assert figures["rougeLsum_recall"].signature == (
        "rougeLsum|tool:rouge_score-0.1.2|stemmer:porter|split:regex-v1|case:lower"
    )
    assert figures["rouge1_recall"].value == pytest.approx(6 / 8 / 2) == found.mean("rouge1", "recall")
    assert figures["rouge1_recall"].n == 2
    assert rouge(["x"], ["x"], stemmer=False).signatures["rouge1"].split("|")[2] == "stemmer:no"


def test_rouge_of_nothing():
    found = rouge([], [])
    assert all(values.shape == (0, 3) for values in found.values.values())


def test_lists_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="2 predictions, 1 references"):
        rouge(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="1 predictions, 2 sources"):
        same_number(predictions=["a"], sources=["a", "b"])


def test_sentences_get_a_line_each():
    assert sentence_lines("One. Two. \n Three") == "One.\nTwo.\nThree"
