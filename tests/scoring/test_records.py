"""Records, intervals, the file that holds them and the tables printed from it."""

import json
import math
import os
import subprocess
from dataclasses import asdict, replace
from statistics import NormalDist

import numpy as np
import pytest

from trainer.data.splits import Example, Split
from trainer.errors import UserError
from trainer.metrics.base import Figure, mean_of
from trainer.runtime import files as module
from trainer.runtime.environment import environment, git_commit
from trainer.scoring.in_memory import evaluate_system
from trainer.scoring.intervals import bootstrap_interval, measured, resampled_sums
from trainer.scoring.records import Evaluation, Metric, Results, results_table
from trainer.summarizers.base import Summary
from trainer.summarizers.extractive import LeadN, RandomN
from trainer.summarizers.seq2seq import Seq2SeqSummarizer

SPLIT = Split(
    name="test",
    dataset="user/news",
    revision="0" * 40,
    examples=[
        Example("a", "The cat sat. A dog ran off.", "The cat sat."),
        Example("b", "Rain fell all day. Nobody went out.", "Nobody went out."),
        Example("c", "Prices rose. Wages did not.", "Prices and wages rose."),
    ],
)


class TestBootstrap:
    def test_two_values_by_enumeration(self):
        """Of 0 and 1 the resampled mean is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4."""
        assert bootstrap_interval([0.0, 1.0], samples=4000) == (0.0, 1.0)
        assert bootstrap_interval([0.0, 1.0], samples=4000, confidence=0.4) == (0.5, 0.5)

    def test_shares_agree_with_all_resamples_of_three(self):
        """All 27 resamples of three values: the distribution of the drawn means is theirs."""
        values = np.array([0.0, 1.0, 5.0])
        drawn = resampled_sums(values[:, None], 20_000, seed=0)[:, 0]
        every = [a + b + c for a in values for b in values for c in values]
        for total in set(every):
            assert (drawn == total).mean() == pytest.approx(every.count(total) / 27, abs=0.015)

    def test_a_large_sample_has_the_interval_of_the_normal_distribution(self):
        values = np.random.default_rng(1).normal(10, 3, size=2000)
        low, high = bootstrap_interval(values, samples=4000)
        half = NormalDist().inv_cdf(0.975) * values.std() / math.sqrt(2000)
        assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)

    def test_it_covers_the_truth_about_as_often_as_it_says(self):
        draw = np.random.default_rng(2)
        hits = 0
        for _ in range(300):
            low, high = bootstrap_interval(draw.exponential(1.0, size=60), samples=300)
            hits += low <= 1.0 <= high
        assert 0.88 < hits / 300 < 0.98  # 95% would be exact; skewed data and n = 60 cost a little

    def test_the_seed_decides(self):
        values = np.random.default_rng(3).random(50)
        assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
        assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)

    def test_chunks_do_not_change_the_result_and_keep_memory_flat(self):
        rows = np.random.default_rng(4).random((57, 3))
        whole = resampled_sums(rows, 500, seed=9)
        for drawn_at_once in (1, 100, 57 * 7):
            assert np.allclose(resampled_sums(rows, 500, 9, drawn_at_once), whole, rtol=1e-12)

    def test_a_hundred_thousand_examples_take_tens_of_megabytes(self):
        import tracemalloc

        rows = np.random.default_rng(5).random((100_000, 4))
        tracemalloc.start()
        resampled_sums(rows, 60, seed=0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 150e6  # all 60 draws at once would be twice that

    def test_one_example_and_equal_values_have_no_width(self):
        assert bootstrap_interval([0.3]) == (0.3, 0.3)
        assert bootstrap_interval([0.25] * 10) == (0.25, 0.25)

    def test_undefined_values_are_drawn_and_left_out(self):
        low, high = bootstrap_interval([1.0, math.nan, 1.0, math.nan])
        assert (low, high) == (1.0, 1.0)
        assert all(math.isnan(end) for end in bootstrap_interval([math.nan, math.nan]))

    @pytest.mark.parametrize("bad", [{"samples": 0}, {"confidence": 1.0}, {"confidence": 0.0}])
    def test_bad_values_are_refused(self, bad):
        with pytest.raises(ValueError, match="samples is"):
            bootstrap_interval([1.0, 2.0], **bad)

    def test_a_figure_that_is_no_mean_is_computed_anew_for_each_resample(self):
        """A ratio of sums, as corpus scores are: Σa / Σb."""
        a, b = np.array([1.0, 0.0, 3.0, 2.0]), np.array([2.0, 5.0, 4.0, 2.0])
        figure = Figure(np.stack([a, b], 1), lambda sums: sums[..., 0] / sums[..., 1], "ratio", a / b)
        metric = measured({"ratio": figure}, samples=3000, seed=1)["ratio"]
        assert metric.value == pytest.approx(6 / 13)
        drawn = np.random.default_rng(7).integers(0, 4, size=(20_000, 4))
        ratios = a[drawn].sum(1) / b[drawn].sum(1)
        assert (metric.low, metric.high) == pytest.approx(np.percentile(ratios, [2.5, 97.5]), abs=0.03)

    def test_all_figures_of_one_call_are_resampled_together(self):
        """So a figure and its double have intervals that are exactly each other's double."""
        values = np.random.default_rng(8).random(40)
        found = measured({"x": mean_of(values, "s"), "2x": mean_of(2 * values, "s")})
        assert (found["2x"].low, found["2x"].high) == pytest.approx((2 * found["x"].low, 2 * found["x"].high))


class TestEvaluate:
    def test_lead_1_by_hand(self):
        evaluation, predictions = evaluate_system(LeadN(1), SPLIT, bootstrap_samples=200, bootstrap_seed=5)
        assert [line.prediction for line in predictions] == [
            "The cat sat.",
            "Rain fell all day.",
            "Prices rose.",
        ]
        metrics = evaluation.metrics
        # 1; 0; "prices rose" in "prices and wages rose": P 1, R 1/2, F1 2/3
        assert metrics["rouge1_fmeasure"].value == pytest.approx((1 + 0 + 2 / 3) / 3)
        assert metrics["rouge1_precision"].value == pytest.approx(2 / 3)
        assert metrics["rouge1_recall"].value == pytest.approx((1 + 1 / 2) / 3)
        assert metrics["rouge2_fmeasure"].value == pytest.approx(1 / 3)
        assert metrics["rougeL_fmeasure"].value == pytest.approx((1 + 2 / 3) / 3)
        assert metrics["summary_words"].value == 3.0
        assert metrics["reference_words"].value == pytest.approx(10 / 3)
        assert metrics["source_words"].value == pytest.approx((7 + 7 + 5) / 3)
        assert metrics["compression"].value == pytest.approx((7 / 3 + 7 / 4 + 5 / 2) / 3)
        assert metrics["coverage"].value == 1.0
        assert (metrics["unfinished_share"].value, metrics["empty_share"].value) == (0.0, 0.0)
        assert metrics["summary_tokens"] == Metric(None, None, None, 0, metrics["summary_tokens"].signature)
        assert all(figure.low <= figure.value <= figure.high for figure in metrics.values() if figure.value is not None)
        assert evaluation.data == {
            "dataset": "user/news",
            "config": None,
            "split": "test",
            "revision": "0" * 40,
            "fingerprint": SPLIT.fingerprint,
            "n": 3,
            "skipped": 0,
        }
        assert evaluation.interval == {
            "method": "bootstrap percentile",
            "samples": 200,
            "seed": 5,
            "confidence": 0.95,
        }
        assert (evaluation.system, evaluation.model, evaluation.seed) == ("lead-1", None, None)
        assert evaluation.commit == git_commit()

    def test_every_metric_of_the_issue_is_there(self):
        names = set(evaluate_system(LeadN(3), SPLIT, bootstrap_samples=100)[0].metrics)
        assert {
            f"{kind}_{part}"
            for kind in ("rouge1", "rouge2", "rougeL", "rougeLsum")
            for part in ("precision", "recall", "fmeasure")
        } <= names
        assert {"summary_words", "source_words", "compression", "empty_share", "unfinished_share"} <= names
        assert {"repeated_trigram_share", "coverage", "density"} <= names
        assert {f"novel_{n}grams" for n in range(1, 5)} <= names

    def test_predictions_hold_each_examples_own_scores_as_json(self):
        _, predictions = evaluate_system(LeadN(1), SPLIT, bootstrap_samples=100)
        line = json.loads(json.dumps(asdict(predictions[2]), allow_nan=False))
        assert (line["system"], line["id"], line["reference"]) == ("lead-1", "c", "Prices and wages rose.")
        assert line["scores"]["rouge1_fmeasure"] == pytest.approx(2 / 3)
        assert line["scores"]["novel_4grams"] is None  # two words have no 4-gram

    def test_a_model_is_measured_with_what_it_says_of_itself(self, tiny):
        system = Seq2SeqSummarizer(*tiny, name="tiny", generation={"max_new_tokens": 5}, batch_size=2)
        evaluation, predictions = evaluate_system(system, SPLIT, bootstrap_samples=100)
        assert evaluation.decoding == system.decoding()
        assert evaluation.number_format == "fp32"
        assert evaluation.metrics["summary_tokens"].value == sum(line.tokens_written for line in predictions) / 3
        assert evaluation.metrics["unfinished_share"].value == sum(not line.finished for line in predictions) / 3
        assert evaluation.metrics["source_cut_share"].value == 0.0

    def test_blocks_and_progress(self):
        seen, told = [], []

        class Watched(LeadN):
            def summarize(self, sources):
                seen.append(len(sources))
                return super().summarize(sources)

        evaluate_system(
            Watched(1), SPLIT, bootstrap_samples=100, block_size=2, progress=lambda *done: told.append(done)
        )
        assert (seen, told) == ([2, 1], [(2, 3), (3, 3)])

    def test_empty_summaries_score_zero_and_are_counted(self):
        class Silent(LeadN):
            def summarize(self, sources):
                return [Summary("", None, 1, 1) for _ in sources]

        metrics = evaluate_system(Silent(1), SPLIT, bootstrap_samples=100)[0].metrics
        assert (metrics["empty_share"].value, metrics["rougeLsum_fmeasure"].value) == (1.0, 0.0)
        assert (metrics["compression"].value, metrics["compression"].n) == (None, 0)

    def test_no_examples_are_refused(self):
        with pytest.raises(UserError, match="test split of user/news has no examples"):
            evaluate_system(LeadN(1), replace(SPLIT, examples=[]))


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
        f"{kind}_{part}": Metric(value, value - 0.01, value + 0.01, 9, signature[kind])
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
    NOTES = "ROUGE × 100 on user/news test, n = 1,234. 95% intervals by bootstrap percentile, 1,000 samples, seed 0."
    ROUGE = "40.00 [39.00, 41.00] | 20.00 [19.00, 21.00] | 30.00 [29.00, 31.00] | 35.00 [34.00, 36.00]"

    def test_markdown(self):
        words = Metric(20.04, 19.0, 21.0, 9, "w")
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

    def test_full_has_precision_and_recall(self):
        low = Metric(0.1, 0.05, 0.15, 9, "s")
        lines = results_table([record(rouge1_precision=low)], markdown=True, full=True).splitlines()
        assert lines[0] == "| System | Metric | Precision | Recall | F1 |"
        assert lines[2] == "| lead-1 | ROUGE-1 | 10.00 [5.00, 15.00] | 40.00 [39.00, 41.00] | 40.00 [39.00, 41.00] |"
        assert len(lines) == 2 + 4 + 4

    def test_several_data_sets_get_a_column(self):
        table = results_table([record(), record(dataset="user/papers")], markdown=True)
        assert "| lead-1 | user/papers test | 40.00" in table
        assert "user/news test, n = 1,234; user/papers test, n = 1,234" in table

    def test_nothing_to_show(self):
        assert Results().table() == "No system has been evaluated."


class TestEnvironment:
    def test_it_is_json_and_names_no_host(self):
        found = json.loads(json.dumps(environment(), allow_nan=False))
        assert found["packages"]["rouge_score"] == "0.1.2"
        assert found["cores"] >= 1 and found["threads"] >= 1 and found["cpu"]
        assert isinstance(found["bf16"], bool)
        assert os.uname().nodename not in json.dumps(found).split('"')

    def test_commit(self, tmp_path):
        def git(*arguments):
            subprocess.run(
                ["git", "-C", tmp_path, "-c", "user.name=t", "-c", "user.email=t@t", *arguments],
                check=True,
                capture_output=True,
            )

        assert git_commit(tmp_path) is None
        git("init")
        assert git_commit(tmp_path) is None  # no commit yet
        (tmp_path / "trainer").mkdir()
        file = tmp_path / "trainer" / "code.py"
        file.write_text("1")
        git("add", ".")
        git("commit", "-m", "x")
        clean = git_commit(tmp_path)
        assert len(clean) == 40 and set(clean) <= set("0123456789abcdef")
        (tmp_path / "notes").write_text("untracked, and not code")
        assert git_commit(tmp_path) == clean
        file.write_text("2")
        assert git_commit(tmp_path) == clean + "-dirty"
        assert git_commit(tmp_path / "trainer") is None  # a folder inside a checkout is not its top
