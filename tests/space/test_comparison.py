"""The summary beside others, and what it shares with its reference."""

import pytest

from space.comparison import overlap, reference_of, rows, score
from space.views.compare import comparison
from tests.space.pages import _Page
from trainer.errors import UserError

ARTICLE = "Two boats sank at night. The mayor of Orsa said the boats were old. Nobody was hurt when the boats sank."


def test_rows_are_measured_alike():
    found = rows(ARTICLE, ("tiny", "Two boats sank in 2019.", 0.5), "Two boats sank.")
    assert [row.name for row in found] == ["tiny", "First sentence", "TextRank’s sentence", "Reference"]
    ours, lead, textrank, reference = found
    assert lead.text == "Two boats sank at night." and textrank.text in ARTICLE
    assert ours.seconds == 0.5 and lead.seconds >= 0 and reference.seconds is None
    assert ours.unsupported == ("2019",) and lead.unsupported == ()
    assert ours.novel == 2 / 5 and lead.novel == 0  # in, 2019
    assert reference.rouge == dict.fromkeys(("rouge1", "rouge2", "rougeL", "rougeLsum"), 1.0)
    assert ours.rouge["rouge1"] == pytest.approx(2 * 3 / (5 + 3))
    assert all(row.rouge is None for row in rows(ARTICLE, ("tiny", "Boats.", 0.1), None))


def test_the_longest_common_subsequence_is_marked_in_both():
    found = overlap("Boats sank: the mayor Boats", "The boat sank, said the mayor")
    summary, reference = "Boats sank: the mayor Boats", "The boat sank, said the mayor"
    assert [(summary[s:e], lcs) for s, e, lcs in found.in_summary] == [
        ("Boats", True), ("sank", True), ("the", True), ("mayor", True), ("Boats", False),
    ]  # fmt: skip
    assert [(reference[s:e], lcs) for s, e, lcs in found.in_reference] == [
        ("The", False), ("boat", True), ("sank", True), ("the", True), ("mayor", True),
    ]  # fmt: skip
    assert found.scores["rougeL"]["precision"] == 4 / 5 and found.scores["rougeL"]["recall"] == 4 / 6
    assert 0 < found.bleu < 1 and 0 < found.chrf < 1


def test_the_table_shows_what_was_measured_and_no_markup_of_a_visitor():
    summary, reference = "Two <b>boats</b> sank in 2019.", "Two boats sank."
    found = rows(ARTICLE, ("ada/<i>t5</i>", summary, 0.5), reference)
    page = _Page(comparison(found, overlap(summary, reference), summary, reference))
    for part in (summary, "ada/<i>t5</i>", "ROUGE-Lsum", "Precision", "BLEU", "0.5 s", "not whether they are true"):
        assert part in page.text
    assert not {"i", "script"} & {tag for tag, attributes in page.tags if not attributes}
    assert page.text.count("100.0") >= 3
    assert "Give a reference" in _Page(comparison(rows(ARTICLE, ("t", "A.", 0.1), None), None, "A.", None)).text


def test_references_that_rouge_cannot_count():
    with pytest.raises(UserError, match="letters a–z"):
        score("A lantern.", "工程师们将吊走灯笼。")
    with pytest.raises(UserError, match="reference has 20,001 characters"):
        score("A lantern.", "x" * 20_001)
    assert score("A lantern.", "a lantern")["rouge2"]["fmeasure"] == 1.0
    assert reference_of("  ") is reference_of(None) is None
