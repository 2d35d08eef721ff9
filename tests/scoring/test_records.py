"""Records, the file that holds them and the tables printed from it."""

import json
import math

import pytest

from tests.scoring.pairs import SPLIT
from tests.scoring.ways import evaluate_system
from trainer.errors import UserError
from trainer.runtime import files as module
from trainer.scoring.records import Evaluation, FigureRecord, Results, results_table
from trainer.summarizers.extractive import LeadN, RandomN


@pytest.fixture(scope="module")
def results():
    found = Results(settings={"data": {"prefix": "summarize: "}}, training={"steps": 7, "losses": [1.5, 1.25]})
    found.evaluations += [
        evaluate_system(system, SPLIT, bootstrap_samples=100)[0] for system in (LeadN(1), RandomN(1, 3))
    ]
    return found


class TestFile:
    def test_what_is_saved_comes_back_equal(self, results, tmp_path):
        path = results.save(tmp_path / "deep" / "er" / "results.json")
        assert Results.load(path) == results
        assert [item.name for item in path.parent.iterdir()] == ["results.json"]
        data = json.loads(path.read_text("utf-8"))
        assert list(data) == ["schema", "evaluations", "settings", "training", "environment"]
        assert data["schema"] == 1

    def test_a_write_that_fails_leaves_the_old_file_whole(self, results, tmp_path, monkeypatch):
        path = results.save(tmp_path / "results.json")
        before = path.read_bytes()

        def full(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(module.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            Results(training={"steps": 8}).save(path)
        assert path.read_bytes() == before
        assert [item.name for item in tmp_path.iterdir()] == ["results.json"]

    def test_what_json_cannot_hold_is_refused_and_not_written(self, tmp_path):
        with pytest.raises(ValueError, match="not JSON compliant"):
            Results(training={"loss": math.nan}).save(tmp_path / "results.json")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda data: data.pop("schema"), "has no schema"),
            (lambda data: data.update(schema=2), "is of schema 2, and this version reads schema 1"),
            (lambda data: data.pop("settings"), "lacks the field 'settings'"),
            (lambda data: data.update(extra=1), "has a field 'extra'"),
            (lambda data: data.update(evaluations={}), "evaluations is {}, and must be list"),
            (lambda data: data["evaluations"].append(3), r"evaluations\[2\] is 3: it must be an object"),
            (lambda data: data["evaluations"][1].pop("commit"), r"evaluations\[1\] lacks the field 'commit'"),
            (lambda data: data["evaluations"][0].update(seed="x"), "seed is 'x', and must be int or null"),
            (lambda data: data["evaluations"][0].update(seed=True), "seed is True"),
            (lambda data: data["evaluations"][0].update(seconds=None), "seconds is None, and must be float"),
            (
                lambda data: data["evaluations"][0]["data"].pop("n"),
                r"evaluations\[0\].data lacks the field 'n'",
            ),
            (lambda data: data["evaluations"][0]["interval"].pop("seed"), r"interval lacks the field 'seed'"),
            (
                lambda data: data["evaluations"][0]["metrics"]["density"].pop("n"),
                r"metrics\['density'\] lacks the field 'n'",
            ),
            (
                lambda data: data["evaluations"][0]["metrics"]["density"].update(value="3"),
                "value is '3', and must be float or null",
            ),
        ],
    )
    def test_a_bad_file_is_refused_with_the_place(self, results, tmp_path, change, message):
        data = json.loads(json.dumps(results.to_dict()))
        change(data)
        path = tmp_path / "results.json"
        path.write_text(json.dumps(data), "utf-8")
        with pytest.raises(UserError, match=message) as error:
            Results.load(path)
        assert str(path) in str(error.value)

    @pytest.mark.parametrize(("text", "message"), [("{", "is not a JSON file"), ("[]", "is not a file of results")])
    def test_no_json_or_something_else(self, tmp_path, text, message):
        path = tmp_path / "results.json"
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            Results.load(path)

    def test_no_file(self, tmp_path):
        with pytest.raises(UserError, match="can't be read: No such file"):
            Results.load(tmp_path / "results.json")


def record(system="lead-1", dataset="user/news", **metrics):
    signature = {kind: f"{kind}|tool:x" for kind in ("rouge1", "rouge2", "rougeL", "rougeLsum")}
    figures = {
        f"{kind}_{part}": FigureRecord(value, value - 0.01, value + 0.01, 9, signature[kind])
        for kind, value in zip(signature, (0.4, 0.2, 0.3, 0.35), strict=True)
        for part in ("precision", "recall", "fmeasure")
    }
    return Evaluation(
        system=system,
        model=None,
        revision=None,
        data={"dataset": dataset, "split": "test", "revision": None, "fingerprint": "f", "n": 1234},
        decoding={},
        number_format=None,
        seed=None,
        commit=None,
        interval={"method": "bootstrap percentile", "samples": 1000, "seed": 0, "confidence": 0.95},
        seconds=1.0,
        metrics=figures | metrics,
    )


class TestTable:
    NOTES = (
        "ROUGE × 100 on user/news, test split, n = 1,234. 95% intervals by bootstrap percentile, 1,000 samples, seed 0."
    )
    ROUGE = "40.00 [39.00, 41.00] | 20.00 [19.00, 21.00] | 30.00 [29.00, 31.00] | 35.00 [34.00, 36.00]"

    def test_markdown(self):
        words = FigureRecord(20.04, 19.0, 21.0, 9, "w")
        assert results_table([record(summary_words=words), record("a|b")], markdown=True) == (
            "| System | ROUGE-1 | ROUGE-2 | ROUGE-L | ROUGE-Lsum | Words |\n"
            "| --- | ---: | ---: | ---: | ---: | ---: |\n"
            f"| lead-1 | {self.ROUGE} | 20.0 [19.0, 21.0] |\n"
            f"| a\\|b | {self.ROUGE} | – |\n"
            f"\n{self.NOTES}\n\n"
            "Signatures: `rouge1|tool:x`, `rouge2|tool:x`, `rougeL|tool:x`, `rougeLsum|tool:x`"
        )

    def test_text_is_in_columns(self):
        lines = results_table([record(), record("a-longer-name")]).splitlines()
        places = {line.index("40.00") for line in lines if "40.00" in line} | {lines[0].index("ROUGE-1")}
        assert len(places) == 1
        assert self.NOTES in lines

    def test_references_that_rouge_can_not_score_are_said(self):
        odd = record()
        odd.data["references_without_words"] = 34
        lines = results_table([odd, record("other")]).splitlines()
        assert [line for line in lines if line.startswith("34 of 1,234 references have neither a letter")]
        assert not any("references have" in line for line in results_table([record()]).splitlines())

    def test_several_data_sets_get_a_column(self):
        table = results_table([record(), record(dataset="user/papers")], markdown=True)
        assert "| lead-1 | user/papers, test split | 40.00" in table
        assert "user/news, test split, n = 1,234; user/papers, test split, n = 1,234" in table

    def test_nothing_to_show(self):
        assert Results().table() == "No system has been evaluated."
