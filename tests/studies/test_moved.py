"""How far explanations move: the alignment on texts done by hand, the comparison on scores written out."""

import json

import numpy as np
import pytest

from tests.tiny import SMOKE, save_tiny_t5
from trainer import study as command
from trainer.attribution.base import read_source
from trainer.attribution.folding import run_bounds
from trainer.attribution.matrix import AttributionMatrix
from trainer.studies.moved import aligned, moved
from trainer.studies.robustness import findings

CLEAN = "The old bridge in Harrow was closed on Monday. Engineers had found cracks in it.\nIt opens in May."


def partners(before: str, after: str) -> list[tuple[str, str]]:
    ours, theirs = before.split(), after.split()
    return [(ours[one], theirs[other]) for one, other in aligned(before, after)]


def test_misspelt_words_keep_their_partners_and_sentences_are_found_where_they_went():
    words = CLEAN.split()
    assert partners(CLEAN, CLEAN) == list(zip(words, words, strict=True))
    after = "it opens in may\nThe od brifge in Hzrrow was clsed on Monday. Engnieers had fuond cracks in it."
    where = [*range(4, 19), 0, 1, 2, 3]
    assert aligned(CLEAN, after) == list(enumerate(where))


def test_words_that_were_dropped_or_planted_have_no_partner():
    after = "Subscribe now. The old bridge was closed on Monday. Engineers had found cracks in it.\nIt opens in May."
    gone = {"in", "Harrow"}
    found = partners(CLEAN, after)
    assert found == [(word, word) for place, word in enumerate(CLEAN.split()) if place not in (3, 4)]
    assert not gone & {one for one, _ in found[:5]} and "Subscribe" not in {other for _, other in found}
    assert aligned(CLEAN, "") == []


def matrix(tokenizer, text: str, by_word: dict[str, float], log_prob: float) -> AttributionMatrix:
    source = read_source(tokenizer, text, prefix="", max_source_length=512)
    scores, bounds = np.zeros((1, len(source.ids))), run_bounds(text)
    for start, end in bounds:
        first = next(n for n, offset in enumerate(source.offsets) if offset is not None and offset[1] > start)
        scores[0, first] = by_word.get(text[start:end], 0.0)
    return AttributionMatrix(source, source, ((0,),), scores, np.array([log_prob]))


def test_scores_are_compared_word_by_word(tiny):
    _, tokenizer = tiny
    strong = {word: float(20 - place) for place, word in enumerate(dict.fromkeys(CLEAN.split()))}
    first = matrix(tokenizer, CLEAN, strong, -3.0)
    same = moved(CLEAN, CLEAN, first, first)
    assert same == {"words": 19, "spearman": pytest.approx(1.0), "overlap": 1.0, "same_sentence": True, "fall": 0.0}
    turned = matrix(tokenizer, CLEAN, {word: -score for word, score in strong.items()} | {"May.": 50.0}, -5.5)
    other = moved(CLEAN, CLEAN, first, turned)
    assert other["fall"] == pytest.approx(2.5) and not other["same_sentence"] and other["spearman"] < 0
    assert (
        moved(CLEAN, "Nothing of all that is here.", first, matrix(tokenizer, "Nothing of all that is here.", {}, 0.0))
        is None
    )


@pytest.fixture
def flags(tmp_path):
    lines = "test_samples: 200\nexplained: 3\nchanges:\n  typos: [0.3]\n  lost case: [0.0]\n"
    model = save_tiny_t5(tmp_path / "model")
    (tmp_path / "small.yaml").write_text(lines)
    systems = ["--systems", f"{model},lead-1"]
    where = ["--test_file", str(SMOKE / "test.jsonl"), "--max_samples", "4", "--output_dir", str(tmp_path / "out")]
    return ["--study", str(tmp_path / "small.yaml"), *systems, *where]


def test_a_study_explains_what_a_t5_wrote_of_changed_articles(flags, tmp_path):
    assert command.main(["robustness", *flags]) == 0
    record = json.loads((tmp_path / "out" / "study.json").read_text())
    by_model = {(one["system"] == "lead-1", one["change"]): one for one in record["comparisons"]}
    assert all(("attribution" in one) != lead for (lead, _), one in by_model.items())
    still, typos = (by_model[False, label]["attribution"] for label in ("lost case, 0", "typos, 0.3"))
    assert still["spearman"]["value"] == pytest.approx(1.0) and still["overlap"]["value"] == 1.0
    assert still["same_sentence"] == {"n": 3, "same": 3, "low": pytest.approx(0.44, abs=0.01), "high": 1.0}
    assert still["fall"]["value"] == 0.0 and typos["n"] == 3 and typos["spearman"]["value"] < 0.99
    text = (tmp_path / "out" / "study.md").read_text()
    assert "explained: rank correlation | same strongest sentence" in text and "100% [44, 100] of 3" in text
    assert "Explained again by the changed article (integrated gradients" in findings(record).text
