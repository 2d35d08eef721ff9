"""What ratings show: shares and means by hand, correlations as scipy has them, and trainer/eval.py --ratings."""

import json

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from tests.ratings.answers import rating
from trainer.eval import main
from trainer.metrics.overlap import token_overlap
from trainer.ratings.analysis import ratings_record
from trainer.ratings.correlation import correlations, kendall, spearman

GIVEN = [
    rating("ada", "1", "one"),
    rating("bo", "1", "one", systems=("two", "one"), grades=(3, 5), texts=("Nobody was hurt.", "A mill burnt.")),
    rating("ada", "2", None, grades=(3, 3), texts=("It burnt down.", "A man was seen.")),
    rating("bo", "2", "two", grades=(3, 4), texts=("It burnt down.", "A man was seen.")),
    rating("ada", "3", "one", grades=(5, 1), reference=None),
]


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "a.ratings.jsonl"
    path.write_bytes(b"".join(one.line for one in GIVEN) + b'{"torn')
    return path


def test_figures_by_hand(saved):
    record = ratings_record(saved, samples=200, seed=1)
    assert [record[name] for name in ("n", "raters", "articles", "broken_lines")] == [5, 2, 3, 1]
    shares = {(one["system"], one["other"]): one for one in record["preferences"]}
    assert shares.keys() == {("one", None), ("two", None), ("one", "two"), ("two", "one")}
    one = shares["one", "two"]
    assert [one[name] for name in ("wins", "ties", "losses")] == [3, 1, 1]
    assert one["win_rate"]["value"] == pytest.approx(3.5 / 5) and one["win_rate"]["n"] == 3
    assert shares["two", None]["win_rate"]["value"] == pytest.approx(1.5 / 5)
    # Drawn are whole articles, of which this one's share is 1, ¼ and 1: never less than ¼.
    assert one["win_rate"]["low"] == pytest.approx(0.25) and one["win_rate"]["high"] == 1
    assert [grade["fluency"]["value"] for grade in record["grades"]] == [pytest.approx(4.0), pytest.approx(2.6)]
    alphas = {row["rating"]: row for row in record["agreement"]}
    # Two units: (one, one) and (tie, two). Observed 2 of 4 differ; expected (16 − 4 − 1 − 1) / (4 × 3) = 10 / 12.
    assert alphas["preference"]["alpha"]["value"] == pytest.approx(1 - (2 / 4) / (10 / 12))
    assert alphas["preference"]["units"] == 2 and alphas["fluency"]["units"] == 4
    assert "reference" not in {row["metric"] for row in record["correlations"]}


def test_correlations_are_of_the_means_of_summaries(saved):
    rows = {(row["rating"], row["metric"]): row for row in ratings_record(saved, 200, 1)["correlations"]}
    assert len(rows) == 4 * 5
    texts = ["A mill burnt.", "Nobody was hurt.", "It burnt down.", "A man was seen."]
    means = [4.5, 2.5, 3.0, 3.5]
    scores = [token_overlap(text, "The mill burnt down.")[2] for text in texts]
    row = rows["fluency", "overlap_fmeasure"]
    assert row["spearman"]["value"] == pytest.approx(spearmanr(means, scores).statistic)
    assert row["kendall"]["value"] == pytest.approx(kendalltau(means, scores).statistic)
    assert row["kendall"]["n"] == 4  # the third article has no reference


@pytest.mark.parametrize("seed", range(3))
def test_weighted_coefficients_are_those_of_the_repeated_sample(seed):
    draw = np.random.default_rng(seed)
    x, y = draw.integers(1, 6, 40).astype(float), draw.random(40).round(1)
    weights = draw.integers(0, 4, (2, 40))
    for own, theirs in ((spearman, spearmanr), (kendall, kendalltau)):
        expected = [theirs(np.repeat(x, counts), np.repeat(y, counts)).statistic for counts in weights]
        assert own(x, y, weights.astype(float)) == pytest.approx(expected)
    found = correlations(x, y, np.arange(40) // 2, samples=200, seed=0)
    for kind, theirs in (("spearman", spearmanr), ("kendall", kendalltau)):
        assert found[kind].value == pytest.approx(theirs(x, y).statistic)
        assert found[kind].low < found[kind].value < found[kind].high
    constant = correlations(np.ones(40), y, np.arange(40), samples=100, seed=0)
    assert constant["kendall"].value is constant["spearman"].low is None


def test_the_command_line(saved, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["--ratings", str(saved), "--output_dir", str(out), "--bootstrap_samples", "100"]) == 0
    printed = capsys.readouterr().out
    assert "5 comparisons of 3 articles by 2 raters. 1 broken line was passed over." in printed
    assert "two     one         30.0" in printed and "Krippendorff’s alpha" in printed and "Token F1" in printed
    record = json.loads((out / "ratings.json").read_text("utf-8"))
    assert record == ratings_record(saved, 100, 42) and str(tmp_path) not in json.dumps(record)
    assert "| two | one | 30.0 " in (out / "ratings.md").read_text("utf-8")

    assert main([f"--ratings={tmp_path / 'none'}", "--output_dir", str(out)]) == 2
    assert "which can't be read: No such file" in capsys.readouterr().err
    assert main(["--ratings", str(saved), "--output_dir", str(out), "--system", "lead-1"]) == 2
    assert "--system" in capsys.readouterr().err
