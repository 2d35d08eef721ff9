"""A system over a split, block by block."""

import copy
import json
from dataclasses import replace

import pytest
import torch

from tests.scoring.pairs import SPLIT
from tests.scoring.ways import evaluate_system
from trainer.data.splits import Example, Split
from trainer.errors import UserError
from trainer.runtime.environment import git_commit
from trainer.runtime.processes import Processes
from trainer.scoring.blocks import predict
from trainer.scoring.jobs import Job
from trainer.scoring.measure import measure, wordless_notes
from trainer.scoring.records import FigureRecord
from trainer.scoring.run import Run
from trainer.summarizers import seq2seq
from trainer.summarizers.base import Summary
from trainer.summarizers.extractive import LeadN, References
from trainer.summarizers.seq2seq import Seq2SeqSummarizer
from trainer.training.finish import METRICS


class TestEvaluate:
    def test_lead_1_by_hand(self):
        evaluation, predictions = evaluate_system(LeadN(1), SPLIT, bootstrap_samples=200, bootstrap_seed=5)
        assert [line["prediction"] for line in predictions] == [
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
        assert metrics["summary_tokens"] == FigureRecord(None, None, None, 0, metrics["summary_tokens"].signature)
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
        line = json.loads(json.dumps(predictions[2], allow_nan=False))
        assert (line["system"], line["id"], line["reference"]) == ("lead-1", "c", "Prices and wages rose.")
        assert line["scores"]["rouge1_fmeasure"] == pytest.approx(2 / 3)
        assert line["scores"]["novel_4grams"] is None  # two words have no 4-gram

    def test_a_model_is_measured_with_what_it_says_of_itself(self, tiny):
        system = Seq2SeqSummarizer(*tiny, name="tiny", generation={"max_new_tokens": 5}, batch_size=2)
        evaluation, predictions = evaluate_system(system, SPLIT, bootstrap_samples=100)
        assert evaluation.decoding == system.decoding()
        assert evaluation.number_format == "fp32"
        assert evaluation.metrics["summary_tokens"].value == sum(line["tokens_written"] for line in predictions) / 3
        assert evaluation.metrics["unfinished_share"].value == sum(not line["finished"] for line in predictions) / 3
        assert evaluation.metrics["source_cut_share"].value == 0.0

    def test_blocks_and_progress(self, capsys):
        seen = []

        class Watched(LeadN):
            def summarize(self, sources):
                seen.append(len(sources))
                return super().summarize(sources)

        _, predictions = evaluate_system(Watched(1), SPLIT, bootstrap_samples=100, block_size=2)
        assert (seen, [line["row"] for line in predictions]) == ([2, 1], [0, 1, 2])
        assert "lead-1: 3 articles" in capsys.readouterr().out

    def test_empty_summaries_score_zero_and_are_counted(self):
        class Silent(LeadN):
            def summarize(self, sources):
                return [Summary("", None, 1, 1) for _ in sources]

        metrics = evaluate_system(Silent(1), SPLIT, bootstrap_samples=100)[0].metrics
        assert (metrics["empty_share"].value, metrics["rougeLsum_fmeasure"].value) == (1.0, 0.0)
        assert (metrics["compression"].value, metrics["compression"].n) == (None, 0)

    def test_two_rows_of_one_article_have_each_its_own_reference(self):
        """References score 100 in both rows, whatever the blocks."""
        twice = [Example("a", "Rain fell.", "It rained."), Example("b", "Rain fell.", "Wet weather came.")]
        split = Split("test", twice, dataset="twice")
        for block_size in (1, 2):
            evaluation, predictions = evaluate_system(References(), split, bound=True, block_size=block_size)
            assert [line["prediction"] for line in predictions] == ["It rained.", "Wet weather came."]
            assert evaluation.metrics["rouge1_fmeasure"].value == 1

    def test_references_without_a_word_for_rouge_are_counted(self):
        examples = [
            Example("a", "雨が降った。", "雨。"),
            Example("b", "Rain fell.", "It rained."),
            Example("c", "...", "…"),
        ]
        split = Split("test", examples, dataset="news")
        assert evaluate_system(LeadN(1), split)[0].data["references_without_words"] == 2
        assert "references_without_words" not in evaluate_system(LeadN(1), SPLIT)[0].data
        (note,) = wordless_notes(split, SPLIT)
        assert note.startswith("news, test: 2 of 3 references have neither a letter a–z nor a digit")

    def test_a_system_that_fails_costs_its_own_row(self, tmp_path, capsys):
        class Broken(LeadN):
            def summarize(self, sources):
                raise MemoryError("no room")

        def absent():
            raise UserError("there is no such model.")

        jobs = [Job("broken", lambda: Broken(1)), Job("absent", absent), Job("lead-1", lambda: LeadN(1))]
        run = Run(tmp_path / "run", 2)
        run.begin(SPLIT, {}, [job.name for job in jobs])
        failed = predict(run, jobs, METRICS, Processes(0, 1))
        assert failed == {"broken": "MemoryError: no room", "absent": "there is no such model."}
        assert list(measure(run, jobs[2:], METRICS, 100, 0)) == ["lead-1"]
        assert "broken has no row: MemoryError: no room" in capsys.readouterr().out
        with pytest.raises(MemoryError):
            predict(run, [replace(jobs[0], required=True)], METRICS, Processes(0, 1))

    def test_beams_have_scores_where_memory_allows(self, tiny, monkeypatch):
        """`generate` keeps the distributions of all steps for them, and is what a model in bf16 is decoded by."""
        options = {"generation": {"max_new_tokens": 5, "num_beams": 2}, "scores": True}
        kept = (copy.deepcopy(tiny[0]).to(torch.bfloat16), tiny[1])
        _, predictions = evaluate_system(Seq2SeqSummarizer(*kept, name="tiny", **options), SPLIT)
        assert all(line["score"] < 0 for line in predictions)
        monkeypatch.setattr(seq2seq, "MOST_SCORE_BYTES", 1000)
        _, without = evaluate_system(Seq2SeqSummarizer(*kept, name="tiny", **options), SPLIT)
        assert [line["score"] for line in without] == [None] * 3
        assert [line["prediction"] for line in without] == [line["prediction"] for line in predictions]
        _, ours = evaluate_system(Seq2SeqSummarizer(*tiny, name="tiny", **options), SPLIT)
        assert all(line["score"] < 0 for line in ours)  # our own loop keeps none

    def test_no_examples_are_refused(self):
        with pytest.raises(UserError, match="test split of user/news has no examples"):
            evaluate_system(LeadN(1), replace(SPLIT, examples=[]))
