"""Order, validation and choice of the best checkpoint in a real training."""

import json

import pytest
from transformers import TrainerCallback

from tests.tiny import tiny_t5
from tests.training.runs import settings_for, trainer_for
from trainer.data.load import load_split
from trainer.metrics.rouge import rouge
from trainer.summarizers.seq2seq import Seq2SeqSummarizer
from trainer.training import trainer as training_trainer
from trainer.training.checkpoints import TrainingRun, checkpoints, is_last, step_of
from trainer.training.fit import fit


@pytest.mark.parametrize("flags", [[], ["--group_by_length"]])
def test_each_pair_once_an_epoch_and_another_order_in_the_next(tmp_path, flags):
    trainer = trainer_for(tmp_path, *flags, "--num_train_epochs", "2", "--max_eval_samples", "1")
    seen, original = [], trainer.data_collator

    def watch(rows):
        seen.append([tuple(row["labels"]) for row in rows])
        return original(rows)

    trainer.data_collator = watch
    trainer.evaluate = lambda **_: {"eval_rouge1": 0.0}
    trainer.train()
    batches = len(seen) // 2
    one, two = ([row for batch in half for row in batch] for half in (seen[:batches], seen[batches:]))
    assert sorted(one) == sorted(two) and len(set(one)) == 28
    assert one != two


def test_validation_scores_are_those_of_the_final_evaluation(tmp_path):
    trainer = trainer_for(tmp_path, "--num_beams", "2", "--eval_batch_size", "4")
    before = trainer.model.generation_config.to_dict()
    found = trainer.evaluate()
    assert trainer.model.generation_config.to_dict() == before
    pairs = trainer.validation
    system = Seq2SeqSummarizer(trainer.model, trainer.processing_class, name="x", batch_size=3)
    texts = [summary.text for summary in system.summarize([pair.source for pair in pairs])]
    scores = rouge(texts, [pair.target for pair in pairs])
    for kind in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        assert found[f"eval_{kind}"] == pytest.approx(scores.mean(kind))
    assert found["eval_unfinished_share"] == 1.0 and found["eval_summary_tokens"] == 6
    # T5's own loss is the mean of one batch: the same, where all pairs are one batch.
    batch = trainer.data_collator([trainer.eval_dataset[row] for row in range(len(pairs))])
    assert found["eval_loss"] == pytest.approx(trainer.model.eval()(**batch).loss.item(), rel=1e-5)


def test_the_best_checkpoint_is_kept_and_the_file_of_metrics_is_whole(tmp_path, monkeypatch):
    trainer = trainer_for(
        tmp_path, "--max_steps", "6", "--eval_every", "1", "--save_total_limit", "1", "--save_every", "1"
    )
    scores = iter([0.1, 0.3, 0.2, 0.3, 0.25, 0.1])
    monkeypatch.setattr(training_trainer, "rouge", lambda *_: _Scores(next(scores)))
    trainer.train()
    assert trainer.state.best_global_step == 2 and trainer.state.best_metric == 0.3
    assert [step_of(path) for path in checkpoints(tmp_path)] == [2, 6]
    assert is_last(tmp_path / "checkpoint-6") and not is_last(tmp_path / "checkpoint-2")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["eval_rouge1"] for line in lines if "eval_rouge1" in line] == [0.1, 0.3, 0.2, 0.3, 0.25, 0.1]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]


class _Scores:
    def __init__(self, value: float):
        self.values = {kind: None for kind in ("rouge1", "rouge2", "rougeL", "rougeLsum")}
        self.value = value

    def mean(self, kind):
        return self.value


def test_early_stopping_counts_on_after_a_resume(tmp_path, monkeypatch):
    """Two evaluations without a better score, the second of them after a kill: that is patience 2."""
    flags = ["--max_steps", "8", "--eval_every", "1", "--early_stopping_patience", "2"]
    monkeypatch.setattr(training_trainer, "rouge", lambda *_: _Scores(0.1))
    trainer = trainer_for(tmp_path, *flags)
    trainer.add_callback(_KillAt(2))
    with pytest.raises(_Killed):
        trainer.train()
    last = checkpoints(tmp_path)[-1]
    assert step_of(last) == 2 and not is_last(last)
    trainer = trainer_for(tmp_path, *flags)
    trainer.train(resume_from_checkpoint=str(last))
    assert trainer.state.global_step == 3, "step 1 is the best, 2 and 3 are no better"
    assert is_last(tmp_path / "checkpoint-3")
    # Started again, the run does not train on.
    settings = settings_for(tmp_path, *flags)
    train, validation = (load_split(settings.data, name) for name in ("train", "validation"))
    fit(settings, TrainingRun.open(settings), *tiny_t5(), train, validation)
    assert TrainingRun(tmp_path).trained["steps"] == 3 and TrainingRun(tmp_path).trained["stopped_early"]
    assert TrainingRun(tmp_path).trained["best_checkpoint"] == "checkpoint-1"


class _Killed(Exception):
    pass


class _KillAt(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_save(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise _Killed
