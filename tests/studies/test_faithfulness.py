"""The study of faithfulness with a model of random weights: what is kept, compared and said."""

import json

import pytest

from tests.tiny import SMOKE, save_tiny_t5
from trainer import study as command
from trainer.errors import UserError
from trainer.settings.studies import FaithfulnessSettings, parse_explanation_study
from trainer.studies.faithfulness import compared, faithfulness, findings, methods_of

LINES = """max_source_length: 40
max_samples: 3
orders: 2
ablations: 6
sanity_articles: 1
methods:
  saliency: {}
  integrated_gradients: {n_steps: 3}
  occlusion_words: {}
first_articles:
  occlusion_words: 2
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_t5(tmp_path_factory.mktemp("model"))


@pytest.fixture
def flags(tmp_path, model):
    (tmp_path / "short.yaml").write_text(LINES)
    where = ["--model", str(model), "--test_file", str(SMOKE / "test.jsonl"), "--output_dir", str(tmp_path / "out")]
    return ["--study", str(tmp_path / "short.yaml"), *where]


def test_a_study_that_was_killed_goes_on_and_repeats_no_article(flags, tmp_path, capsys):
    study = parse_explanation_study(flags, FaithfulnessSettings)

    def stop(text):
        if text.startswith("By the first article"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        faithfulness(study, stop)
    journal = tmp_path / "out" / "measured.jsonl"
    before = journal.read_bytes()
    assert before.count(b"\n") == 1 + 3
    journal.write_bytes(before + b'{"article": "torn')
    with pytest.raises(UserError, match="Fewer than two articles"):
        faithfulness(parse_explanation_study([*flags, "--report_only"], FaithfulnessSettings), print)

    assert command.main(["faithfulness", *flags]) == 0
    whole = journal.read_bytes()
    assert whole.startswith(before) and whole.count(b"\n") == 1 + 3 + 3 + 2
    lines = [json.loads(line) for line in whole.splitlines()[1:]]
    assert len({(line["article"], line["what"]) for line in lines}) == len(lines)
    assert [line["measured"]["sanity"] is not None for line in lines] == [True] * 3 + [False] * 5

    record = json.loads((tmp_path / "out" / "study.json").read_text())
    methods = {one["method"]: one for one in record["methods"]}
    assert {name: one["n"] for name, one in methods.items()} == {
        "saliency": 3,
        "integrated_gradients": 3,
        "occlusion_words": 2,
    }
    steps = [line["measured"] for line in lines if line["what"] == 'integrated_gradients {"n_steps": 3}']
    gains = [one["random_deletion_area"] - one["deletion_area"] for one in steps]
    found = methods["integrated_gradients"]
    assert found["deletion"]["value"] == pytest.approx(sum(gains) / 3) and found["deletion"]["n"] == 3
    assert found["completeness"]["converged"] == sum(one["converged"] for one in steps)
    assert (found["forward_passes"], found["backward_passes"]) == (5, 3)
    page = (tmp_path / "out" / "study.md").read_text()
    assert record["findings"] in page and "study.svg" in page and "| integrated gradients | 3 |" in page

    assert command.main(["faithfulness", *flags]) == 0 and journal.read_bytes() == whole
    assert command.main(["faithfulness", *flags, "--orders", "3"]) == 2
    assert "orders: 2 -> 3" in capsys.readouterr().err


def line(gain: float, seconds: float = 1.0) -> dict:
    """What one method has on one article; the larger `gain`, the more faithful by every measure."""
    return {
        "deletion_area": -gain,
        "random_deletion_area": 0.0,
        "insertion_area": gain,
        "random_insertion_area": 0.0,
        "fall_without_words": {"1": gain, "5": gain},
        "random_fall_without_words": {"1": 0.0, "5": 0.1},
        "fall_without_sentences": {"1": gain},
        "lds": gain / 100,
        "completeness_error": None,
        "converged": None,
        "n_steps": None,
        "sanity": None,
        "seconds": seconds,
        "forward_passes": 1,
        "backward_passes": 0,
    }


@pytest.fixture
def lines():
    """On every article lime beats the default and the slow method beats both; only the first, easy ones have lime."""
    ease = {place: 20.0 - place for place in range(12)}
    return {
        "integrated_gradients": {place: line(one + 0.1 * (place % 2)) for place, one in ease.items()},
        "lime": {place: line(one + 2) for place, one in ease.items() if place > 5},
        "occlusion_words": {place: line(one + 4, seconds=9.0) for place, one in ease.items()},
        "saliency": {place: line(0.5 if place % 2 else -0.5) for place in ease},
    }


def test_methods_are_compared_on_the_articles_that_both_have(lines):
    found = compared(lines, {name: {} for name in lines}, affordable_seconds=3.0)
    by_name = {one["method"]: one for one in found["methods"]}
    assert by_name["lime"]["lds"]["value"] < by_name["integrated_gradients"]["lds"]["value"]  # harder articles
    assert by_name["lime"]["against_default"]["words"]["value"] == pytest.approx(2 - 0.05)
    assert [one["method"] for one in found["methods"]] == [
        "occlusion_words",
        "lime",
        "integrated_gradients",
        "saliency",
    ]
    assert [one["mean_rank"] for one in found["methods"]] == [1, 2, 3, 4]
    assert found["best_affordable"] == "lime" and not by_name["occlusion_words"]["affordable"]
    assert by_name["saliency"]["beats_random_p_holm"] > 0.05 > 1e-3 > by_name["lime"]["beats_random_p_holm"]


def test_the_paragraph_says_what_the_record_holds(lines):
    values = compared(lines, {name: {} for name in lines}, affordable_seconds=3.0)
    values |= {"orders": 4, "ablations": 32, "affordable_seconds": 3.0, "data": {"n": 12, "dataset": "xsum"}}
    values |= {"model": {"system": "space/starter", "decoding": {"max_source_length": 192}}}
    found = findings(values)
    assert "with 3 of them; not with saliency." in found.text
    assert "The most faithful of those that take at most 3.0 s an article is lime: mean rank 2.0" in found.text
    assert "Beside the page's default, integrated gradients (mean rank 3.0), it differs in" in found.text
    assert [row[0] for row in found.table.rows] == [
        "occlusion words (slow)",
        "lime",
        "integrated gradients",
        "saliency",
    ]


def test_wrong_methods_are_refused():
    with pytest.raises(UserError, match=r"no attribution method 'salience'\. Did you mean saliency"):
        methods_of(FaithfulnessSettings(methods={"salience": {}}))
    with pytest.raises(UserError, match="The method lime does not take these settings"):
        methods_of(FaithfulnessSettings(methods={"lime": {"steps": 3}}))
    with pytest.raises(UserError, match="first_articles"):
        methods_of(FaithfulnessSettings(methods={"lime": {}}, first_articles={"saliency": 3}))
    assert len(methods_of(FaithfulnessSettings())) == 12
