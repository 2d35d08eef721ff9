"""The study of attention: kinds of words on a hand-made text, and shares with a model of random weights."""

import json

import numpy as np
import pytest

from tests.tiny import SMOKE, save_tiny_t5
from trainer import study as command
from trainer.attribution.folding import run_bounds
from trainer.studies.attention import PARTS, TENTHS, kinds_of, parts_of, summed

TEXT = "The U.S. team won. Ann Orm of Hull ran 12 miles in May 2019, and the crowd of 3,000 in Hull cheered."


def test_every_word_has_its_kind():
    bounds = run_bounds(TEXT)
    kinds = dict(zip(range(len(bounds)), kinds_of(TEXT, bounds), strict=True))
    words = [TEXT[start:end] for start, end in bounds]
    by_kind = {kind: [words[place] for place, one in kinds.items() if one == kind] for kind in set(kinds.values())}
    assert by_kind["names"] == ["Ann", "Orm", "of", "Hull", "Hull"]  # "of" is within the name; U.S. is spelled US there
    assert by_kind["numbers"] == ["12", "3,000"] and by_kind["dates"] == ["May", "2019,"]
    assert by_kind["function words"] == ["The", "in", "and", "the", "of", "in"]


def test_parts_of_an_article():
    bounds = run_bounds(TEXT)
    found = parts_of(TEXT, "and the crowd of 3,000 in Hull cheered.", bounds)
    assert found["first sentence"].sum() == 4 and found["first sentence"][:4].all()
    assert found["stretch that the summary copies"].nonzero()[0].tolist() == list(range(len(bounds) - 8, len(bounds)))
    assert np.sum([found[name] for name in TENTHS if name in found], axis=0).tolist() == [1] * len(bounds)
    assert "stretch that the summary copies" not in parts_of(TEXT, "Another text.", bounds)
    few = run_bounds("Hull won.")
    assert [name for name in parts_of("Hull won.", "x", few) if name in TENTHS] == ["tenth 1", "tenth 6"]


def test_what_gets_more_than_its_share_is_shown():
    def line(names: float) -> dict:
        shares = {"names": names, "other words": 1 - names}
        own = {"shares": shares, "prefix": 0.2, "end": 0.1}
        return {
            "words": 10,
            "parts": {"names": 0.3, "other words": 0.7},
            "methods": {"attention": own, "integrated gradients": own},
            "texts": {"hull": [2, 6.0, 2.0], "ran": [1, 0.5, 4.0]},
        }

    found = summed([line(0.5 + 0.01 * number) for number in range(5)], least_articles=5)
    assert found["ratios"]["attention"]["names"] == pytest.approx(0.52 / 0.3)
    assert found["beyond"]["attention"]["names"]["value"] == pytest.approx(0.22)
    assert found["beyond"]["attention"]["names"]["p_holm"] < 0.001
    assert found["top_words"]["attention"][0] == {"word": "hull", "times": 3.0, "articles": 5}
    assert found["top_words"]["integrated gradients"][0]["word"] == "ran"
    assert summed([line(0.5)] * 2, least_articles=3)["top_words"]["attention"] == []


def test_the_study_runs_and_goes_on(tmp_path):
    model = save_tiny_t5(tmp_path / "model")
    flags = ["attention", "--model", str(model), "--test_file", str(SMOKE / "test.jsonl"), "--max_source_length", "60"]
    flags += ["--output_dir", str(tmp_path / "out"), "--max_samples"]
    assert command.main([*flags, "2"]) == 0
    journal = tmp_path / "out" / "measured.jsonl"
    two = journal.read_bytes()
    assert command.main([*flags, "3"]) == 0
    assert journal.read_bytes().startswith(two) and journal.read_bytes().count(b"\n") == 4
    for text in journal.read_text().splitlines()[1:]:
        measured = json.loads(text)["measured"]
        for own in measured["methods"].values():
            assert sum(own["shares"].get(name, 0.0) for name in TENTHS) == pytest.approx(1)
            kinds = PARTS[: PARTS.index("first sentence")]
            assert sum(own["shares"].get(name, 0.0) for name in kinds) == pytest.approx(1)
        assert sum(found[1] for found in measured["texts"].values()) == pytest.approx(measured["words"], abs=0.05)
    record = json.loads((tmp_path / "out" / "study.json").read_text())
    assert record["data"]["n"] == 3 and record["findings"] in (tmp_path / "out" / "study.md").read_text()
