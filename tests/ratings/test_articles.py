"""Articles for raters: from a file of lines, and from what trainer/eval.py wrote."""

import json

import pytest

from trainer.errors import UserError
from trainer.eval import main as evaluate
from trainer.ratings.articles import RatedArticle, read_articles

LINE = {"id": 7, "article": "It burnt.", "summaries": {"one": "Fire.", "two": "It did."}}


def test_a_file_of_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    lone = {"id": "8", "article": "It rained.", "summaries": {"one": "Rain."}}
    path.write_text("".join(json.dumps(one) + "\n" for one in (LINE, lone)))
    assert read_articles(path) == [RatedArticle("7", "It burnt.", {"one": "Fire.", "two": "It did."})]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"id": None}, "line 2: id is None: it must be a text or a whole number"),
        ({"id": 7}, "line 2: its id 7 stands in an earlier line"),
        ({"article": " "}, "line 2: article is ' ': it must be a text that is not empty"),
        ({"summaries": ["a", "b"]}, "line 2: summaries is .* it must be an object of texts"),
        ({"summaries": {"one": 1}}, "line 2: summaries is .* it must be an object of texts"),
        ({"reference": 1}, "line 2: reference is 1: it must be a text"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, change, sentence):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(LINE) + "\n" + json.dumps(LINE | {"id": 8} | change) + "\n")
    with pytest.raises(UserError, match=sentence):
        read_articles(path)


def test_what_is_neither_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    with pytest.raises(UserError, match=r"neither a \.jsonl file nor a folder"):
        read_articles(path)
    path.write_text(json.dumps(LINE | {"summaries": {"one": "Fire."}}) + "\n")
    with pytest.raises(UserError, match="no article with the summaries of two systems"):
        read_articles(path)
    with pytest.raises(UserError, match="holds no finished evaluation"):
        read_articles(tmp_path)


def test_a_folder_of_an_evaluation(tmp_path):
    data, out = tmp_path / "pairs.jsonl", tmp_path / "out"
    rows = [
        {"id": name, "document": f"{name} burnt. {name} was rebuilt by hand.", "summary": f"{name} is new."}
        for name in ("The mill", "The barn", "The inn")
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["--systems", "lead-1,lead-3", "--test_file", str(data), "--output_dir", str(out), "--metrics", "lengths"]
    assert evaluate([*asked, "--max_samples", "2", "--slices", "none"]) == 0
    found = read_articles(out)
    assert [one.id for one in found] == ["The mill", "The barn"]
    first = found[0]
    assert first.article == rows[0]["document"] and first.reference == "The mill is new."
    assert first.summaries == {"lead-1": "The mill burnt.", "lead-3": "The mill burnt. The mill was rebuilt by hand."}

    data.write_text(data.read_text().replace("burnt", "fell"))
    with pytest.raises(UserError, match=r"are not those that the evaluation in .* was made on"):
        read_articles(out)
