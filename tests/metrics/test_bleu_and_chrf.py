"""BLEU and chrF: by hand, and against sacrebleu's public ways in."""

import json
import random
import subprocess
import sys
from math import exp

import numpy as np
import pytest
import sacrebleu

from trainer.metrics.bleu import bleu
from trainer.metrics.chrf import chrf
from trainer.metrics.overlap import overlap
from trainer.scoring.intervals import measured

PREDICTIONS = ["The cat sat on the mat.", "A dog ran.", "", "Prices rose by 3.5%, he said.", "今日は雨です。"]

REFERENCES = ["The cat sat on a mat.", "Two dogs ran off.", "Nobody knew.", "Prices rose by 3.5%.", "今日は雪です。"]


def value(metric, predictions=PREDICTIONS, references=REFERENCES):
    (figure,) = metric(predictions, references, references).values()
    return figure


def test_bleu_by_hand():
    """Seven tokens against seven: 6 of 7, 4 of 6, 2 of 5 and 1 of 4 n-grams match; no penalty for length."""
    figure = value(bleu, ["The cat sat on the mat."], ["The cat sat on a mat."])
    assert figure.value == pytest.approx((6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25)
    short = value(bleu, ["The cat sat on"], ["The cat sat on a mat."])
    assert short.value == pytest.approx(exp(1 - 7 / 4))


def test_chrf_by_hand():
    """ "ab" against "abc": of 1-grams 2/2 and 2/3 match, of 2-grams 1/1 and 1/2; longer ones only the reference has."""
    precision, recall = 1.0, (2 / 3 + 1 / 2) / 2
    expected = 5 * precision * recall / (4 * precision + recall)
    assert value(chrf, ["ab"], ["abc"]).value == pytest.approx(expected)


@pytest.mark.parametrize(("ours", "theirs"), [(bleu, sacrebleu.corpus_bleu), (chrf, sacrebleu.corpus_chrf)])
def test_corpus_values_are_those_of_sacrebleus_functions(ours, theirs):
    assert value(ours).value == pytest.approx(theirs(PREDICTIONS, [REFERENCES]).score / 100, abs=1e-12)


def test_examples_own_values_are_those_of_single_sentences():
    for ours, theirs in ((bleu, sacrebleu.sentence_bleu), (chrf, sacrebleu.sentence_chrf)):
        expected = [
            theirs(*pair).score / 100 for pair in zip(PREDICTIONS, [[text] for text in REFERENCES], strict=True)
        ]
        assert value(ours).per_example == pytest.approx(expected, abs=1e-12)
        assert value(ours).per_example[2] == 0.0


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_real_summaries_score_what_the_command_line_says(shared_data, tmp_path, metric):
    rows = [json.loads(line) for line in (shared_data / "xsum" / "test.jsonl").read_text("utf-8").splitlines()]
    references = [" ".join(row["summary"].split()) for row in rows]
    predictions = [" ".join(row["document"].split()[:20]) for row in rows]
    (tmp_path / "p").write_text("\n".join(predictions) + "\n", "utf-8")
    (tmp_path / "r").write_text("\n".join(references) + "\n", "utf-8")
    command = [sys.executable, "-m", "sacrebleu", tmp_path / "r", "-i", tmp_path / "p", "-m", metric, "-w", "10"]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    figure = value({"bleu": bleu, "chrf": chrf}[metric], predictions, references)
    assert 100 * figure.value == pytest.approx(said["score"], abs=1e-9)
    assert figure.signature == f"{metric}|{said['signature']}"


@pytest.mark.parametrize(("ours", "theirs"), [(bleu, sacrebleu.corpus_bleu), (chrf, sacrebleu.corpus_chrf)])
def test_intervals_resample_the_corpus_score(ours, theirs):
    """Each resample is scored as a corpus of its own: sacrebleu itself, given the drawn texts, has the same spread."""
    draw = random.Random(1)
    words = ["the", "cat", "dog", "sat", "ran", "on", "a", "mat", "and", "then", "it", "rained"]
    references = [" ".join(draw.choices(words, k=12)) for _ in range(30)]
    predictions = [" ".join(word for word in text.split() if draw.random() < 0.8) for text in references]
    metric = measured(ours(predictions, references, references), samples=500, seed=3)[ours.name]
    scores = []
    for _ in range(250):
        drawn = draw.choices(range(30), k=30)
        scores.append(theirs([predictions[i] for i in drawn], [[references[i] for i in drawn]]).score / 100)
    low, high = np.percentile(scores, [2.5, 97.5])
    assert (metric.low, metric.high) == pytest.approx((low, high), abs=0.25 * (high - low))
    assert metric.low < metric.value < metric.high


@pytest.mark.parametrize("metric", [bleu, chrf, overlap])
def test_lists_of_unequal_length_are_refused(metric):
    with pytest.raises(ValueError, match="2 predictions, 1 references"):
        metric(["a", "b"], ["a"], ["a"])
