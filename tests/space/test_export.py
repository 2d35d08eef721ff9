"""A result to take away."""

import json
import re

import pytest

from space import answering
from space.engine import Engine
from space.views.copied import copied_map
from space.views.export import as_html, as_json
from tests.space.pages import _Page
from tests.tiny import tiny_t5

ARTICLE = "Two <b>boats</b> sank at night.</script><script>window.ran = 1</script> Nobody was hurt, the mayor said."


@pytest.fixture(scope="module")
def shown() -> answering.Shown:
    model, tokenizer = tiny_t5(seed=5)
    engine = Engine(model, tokenizer, name="ada/t5", revision="0123456789abcdef")
    written = engine.summarize(ARTICLE, {"num_beams": 1, "max_new_tokens": 8})
    first = answering.Shown(ARTICLE, written, engine, copied_map(written.text, ARTICLE), reference="Boats sank.")
    *_, last = answering.explain(first, 4)
    return last["shown"]


def test_json_holds_what_is_behind_the_result(shown):
    record = json.loads(as_json(shown))
    assert record["article"] == ARTICLE and record["summary"] == shown.answer.text
    assert (record["model"], record["revision"], record["seed"]) == ("ada/t5", "0123456789abcdef", None)
    assert record["decoding"]["max_new_tokens"] == 8 and record["reference"] == "Boats sank."
    influence = record["influence"]
    assert "".join(word["text"] for word in influence["words"]) == ARTICLE
    assert len(influence["pieces"]) == len(influence["scores"]) == shown.answer.tokens_read
    assert record["sources"] is None


def test_the_file_is_whole_and_runs_nothing(shown):
    html = as_html(shown)
    page = _Page(html)
    assert ARTICLE in page.text and shown.answer.text in page.text
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == 1 and not {"link", "img", "iframe"} & set(tags)
    assert not re.search(r"https?://(?!www\.w3\.org)", html)
    (data,) = re.findall(r'<script type="application/json" id="record">(.*?)</script>', html, re.DOTALL)
    assert json.loads(data) == json.loads(as_json(shown))
