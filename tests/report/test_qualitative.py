"""Which examples are shown, and how their words are marked."""

import numpy as np

from trainer.data.splits import Example
from trainer.metrics.error_classes import CLASSES
from trainer.report.qualitative import choose, marked, marked_summary, shown
from trainer.scoring.ledger import Ledger, Spool, append_lines


class TestExamples:
    def test_spans_are_the_text(self):
        for text in ("", "A café in Hull, twelve 12,000!", "  odd  spaces\n", "日本語 text"):
            assert "".join(span for span, _ in marked(text, {"hull"}, "x")) == text
            assert "".join(span for span, _ in marked_summary(text, "Hull", "twelve")) == text

    def test_marks(self):
        spans = marked_summary(
            "The council buys boats from Bob Vell quickly.", "Council bought.", "Boats for the council."
        )
        marks = {text: mark for text, mark in spans if mark}
        assert marks == {
            "council": "shared", "buys": "new", "boats": "used", "Bob": "invented", "Vell": "invented",
            "quickly": "new",
        }  # fmt: skip

    def test_best_worst_and_each_class(self):
        values = {
            "rouge1_fmeasure": np.array([0.1, 0.9, np.nan, 0.5, 0.3]),
            "invented_share": np.array([0.0, 1.0, 0.0, 1.0, 0.0]),
        }
        rows = choose(values, "rouge1_fmeasure", 2, seed=0)
        groups = {name: {row for row, names in rows.items() if name in names} for name in ("best", "worst", "invented")}
        assert groups == {"best": {1, 3}, "worst": {0, 2}, "invented": {1, 3}}
        assert sum("drawn" in names for names in rows.values()) == 2
        assert rows == choose(values, "rouge1_fmeasure", 2, seed=0)
        assert len(choose(values, "rouge1_fmeasure", 99, seed=0)) == 5

    def test_texts_are_read_from_the_disk(self, tmp_path):
        spool = Spool.create(tmp_path / "s")
        for number in range(4):
            spool.append(Example(f"id{number}", f"Article {number} " + "x" * 5000, f"Reference {number}"))
        append_lines(
            tmp_path / "p",
            [
                {"system": "s", "row": n, "id": f"id{n}", "prediction": f"P {n}", "reference": f"R {n}"}
                for n in range(4)
            ],
        )
        ledger = Ledger(4)
        ledger.scan([tmp_path / "p"])
        values = {"rouge1_fmeasure": np.array([0.0, 0.3, 0.2, 0.1]), "empty_share": np.array([1.0, 0, 0, 0])}
        found = shown("s", values, "rouge1_fmeasure", 1, 0, ledger, spool)
        best = next(one for one in found if "best" in one.groups)
        assert (best.id, best.score, best.errors) == ("id1", 0.3, ())
        assert "".join(text for text, _ in best.summary) == "P 1" and best.cut == 5010 - 4000
        worst = next(one for one in found if "worst" in one.groups)
        assert worst.errors == ("empty",) and set(worst.groups) >= {"worst", "empty"}

    def test_every_class_is_a_figure_that_some_metric_has(self, results):
        assert all(figure in results.evaluations[0].metrics for _, figure in CLASSES.values())
