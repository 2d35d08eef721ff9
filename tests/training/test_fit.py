"""Fitting: the loss, the order, validation, checkpoints and what stops a run; all on a T5 of a few thousand weights."""

import json
import math
import random
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import TrainerCallback
from transformers.trainer_pt_utils import LabelSmoother

from tests.tiny import tiny_t5
from trainer.data.load import load_split
from trainer.data.sampling import ShuffledSampler
from trainer.errors import Stopped, UserError
from trainer.metrics.rouge import rouge
from trainer.models.task import generation_config
from trainer.settings.groups import GenerationSettings
from trainer.settings.training import Settings
from trainer.summarizers.seq2seq import Seq2SeqSummarizer
from trainer.training import arguments, forecast
from trainer.training import trainer as training_trainer
from trainer.training.checkpoints import Run, checkpoints, is_last, is_whole, rotate, seal, step_of, sweep
from trainer.training.fit import build_trainer, check_disk, fit
from trainer.training.loss import token_loss
from trainer.training.plan import Plan
from trainer.training.stops import explained

QUICK = ["--recipe", "smoke", "--max_source_length", "40", "--max_target_length", "24", "--max_new_tokens", "6"]


def settings_for(folder: Path, *flags: str) -> Settings:
    """Short sequences and the smoke recipe's texts; `--model` is only a name here, models are passed in."""
    return Settings.parse([*QUICK, "--output_dir", str(folder), *flags])


def trainer_for(folder: Path, *flags: str, seed: int = 0, n: int | None = None, **over):
    settings = settings_for(folder, *flags)
    train, validation = (load_split(settings.data, name) for name in ("train", "validation"))
    model, tokenizer = tiny_t5(seed, **over)
    if n:
        train = replace(train, examples=train.examples[:n])
    return build_trainer(settings, Run.open(settings), model, tokenizer, train, validation)


def weights_of(trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}


def assert_close(one: dict, two: dict, tolerance: float) -> None:
    for name in one:
        assert torch.allclose(one[name], two[name], rtol=0, atol=tolerance), (
            name,
            float((one[name] - two[name]).abs().max()),
        )


# --- The loss --------------------------------------------------------------------------------------------------------


def test_token_loss_by_hand():
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]]))
    labels = torch.tensor([[0, 1, -100]])
    outputs = SimpleNamespace(logits=logits)
    by_hand = -(math.log(0.5) + math.log(0.8))
    assert float(token_loss(outputs, labels)) == pytest.approx(by_hand / 2)
    assert float(token_loss(outputs, labels, 10)) == pytest.approx(by_hand / 10)
    even = -(math.log(0.5) + 2 * math.log(0.25) + math.log(0.8) + 2 * math.log(0.1)) / 3
    assert float(token_loss(outputs, labels, label_smoothing=0.1)) == pytest.approx((0.9 * by_hand + 0.1 * even) / 2)


def test_label_smoothing_is_that_of_transformers():
    torch.manual_seed(0)
    logits, labels = torch.randn(3, 5, 11), torch.randint(0, 11, (3, 5))
    labels[0, 3:] = -100
    theirs = LabelSmoother(epsilon=0.1)({"logits": logits}, labels)
    ours = token_loss(SimpleNamespace(logits=logits), labels, label_smoothing=0.1)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


def steps_with(folder: Path, batch: int, accumulation: int, *flags: str, loss=True):
    """Weights and logged losses after 3 steps of 8 pairs each, the same pairs however they are cut."""
    trainer = trainer_for(
        folder,
        *("--train_batch_size", str(batch), "--gradient_accumulation_steps", str(accumulation), "--max_steps", "3"),
        *("--max_grad_norm", "0", "--learning_rate", "1e-3", "--lr_scheduler", "constant", "--max_eval_samples", "1"),
        *flags,
    )
    if not loss:
        trainer.compute_loss_func = None
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    norms = [entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry]
    return weights_of(trainer), losses, [float(norm) for norm in norms]


@pytest.mark.parametrize("smoothing", ["0", "0.1"])
def test_accumulation_changes_nothing(tmp_path, smoothing):
    flags = ("--label_smoothing", smoothing)
    weights, losses, norms = steps_with(tmp_path / "1", 8, 1, *flags)
    for batch, accumulation in ((4, 2), (2, 4)):
        others = steps_with(tmp_path / f"{accumulation}", batch, accumulation, *flags)
        assert others[1] == pytest.approx(losses, rel=1e-4)
        assert others[2] == pytest.approx(norms, rel=1e-4)
        assert_close(others[0], weights, 2e-5)


def test_without_our_loss_accumulation_would_change_much(tmp_path):
    """Seq2SeqTrainer by itself: the fault that `token_loss` is there for. If this fails, it may be mended upstream."""
    _, losses, norms = steps_with(tmp_path / "1", 8, 1, loss=False)
    _, others, other_norms = steps_with(tmp_path / "2", 4, 2, loss=False)
    assert others[0] / losses[0] == pytest.approx(2, abs=0.1)
    assert other_norms[0] / norms[0] > 1.5


def test_gradient_checkpointing_changes_nothing(tmp_path):
    weights, losses, _ = steps_with(tmp_path / "plain", 8, 1)
    others, other_losses, _ = steps_with(tmp_path / "checkpointed", 8, 1, "--gradient_checkpointing")
    assert other_losses == pytest.approx(losses, rel=1e-5)
    assert_close(others, weights, 2e-5)


# --- Steps, order, schedules -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "batch", "accumulation", "epochs"), [(28, 4, 2, 1), (28, 8, 1, 0.5), (10, 4, 1, 2), (7, 2, 3, 1)]
)
def test_the_plan_is_what_the_trainer_does(tmp_path, n, batch, accumulation, epochs):
    flags = ["--train_batch_size", str(batch), "--gradient_accumulation_steps", str(accumulation)]
    flags += ["--num_train_epochs", str(epochs), "--max_eval_samples", "1", "--eval_every", "2"]
    trainer = trainer_for(tmp_path, *flags, n=n)
    trainer.train()
    plan = Plan.of(trainer.settings, n)
    assert trainer.state.max_steps == trainer.state.global_step == plan.steps
    scored = [entry["step"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert len(scored) == plan.evaluations and scored[-1] == plan.steps
    assert plan.batch_size == batch * accumulation


def test_the_order_depends_on_seed_and_epoch_alone():
    sampler = ShuffledSampler(20, 3)
    first = list(sampler)
    torch.rand(5)
    assert list(sampler) == first and sorted(first) == list(range(20))
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(ShuffledSampler(20, 4)) == list(sampler), "seed + epoch"


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


@pytest.mark.parametrize(
    ("schedule", "shape"),
    [
        ("linear", [0.5, 1.0, 0.5, 0.125]),
        ("cosine", [0.5, 1.0, 0.5, 0.0380602337]),
        ("constant", [0.5, 1.0, 1.0, 1.0]),
        ("inverse_sqrt", [0.5, 1.0, (2 / 6) ** 0.5, (2 / 9) ** 0.5]),
    ],
)
def test_schedules(tmp_path, schedule, shape):
    flags = ["--lr_scheduler", schedule, "--warmup_steps", "2", "--max_steps", "10", "--learning_rate", "1e-3"]
    trainer = trainer_for(tmp_path, *flags)
    trainer.create_optimizer()
    scheduler = trainer.create_scheduler(10)
    rates = []
    for _ in range(10):
        rates.append(scheduler.get_last_lr()[0] / 1e-3)
        trainer.optimizer.step()
        scheduler.step()
    assert [rates[step] for step in (1, 2, 6, 9)] == pytest.approx(shape)


def test_adafactor_takes_the_rate_it_is_given(tmp_path):
    trainer = trainer_for(tmp_path, "--optimizer", "adafactor", "--warmup_steps", "0.2", "--max_steps", "10")
    assert trainer.args.get_warmup_steps(10) == 2
    trainer.create_optimizer()
    options = trainer.optimizer.param_groups[0]
    assert type(trainer.optimizer).__name__ == "Adafactor"
    assert options["lr"] == trainer.settings.optimisation.learning_rate
    assert not options["relative_step"] and not options["scale_parameter"]


def test_bf16_where_there_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(arguments, "has_bf16", lambda: False)
    trainer = trainer_for(tmp_path, "--precision", "bf16")
    assert not trainer.args.bf16
    assert "does not compute in bfloat16, so --precision bf16 is set aside and fp32 is used" in capsys.readouterr().out


# --- Validation ------------------------------------------------------------------------------------------------------


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
    fit(settings, Run.open(settings), *tiny_t5(), train, validation)
    assert Run(tmp_path).trained["steps"] == 3 and Run(tmp_path).trained["stopped_early"]
    assert Run(tmp_path).trained["best_checkpoint"] == "checkpoint-1"


class _Killed(Exception):
    pass


class _KillAt(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_save(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise _Killed


# --- The forecast ----------------------------------------------------------------------------------------------------


def test_the_forecast_leaves_no_trace(tmp_path):
    trainer = trainer_for(tmp_path, "--optimizer", "adamw", "--weight_decay", "0.1", dropout_rate=0.1)
    before = weights_of(trainer)
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    training = trainer.model.training
    found = forecast.measure(trainer)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights_of(trainer).items())
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]
    assert trainer.model.training == training
    assert all(weight.grad is None for weight in trainer.model.parameters())
    assert trainer.optimizer is None
    assert 0 < found.step_seconds < 60 and 0 < found.article_seconds < 60
    assert 1 << 27 < found.memory < found.memory_total


def test_what_the_forecast_says(tmp_path):
    found = forecast.Forecast(step_seconds=2.0, article_seconds=0.5, memory=3 * 10**9, memory_total=16 * 10**9)
    settings = Settings.parse(["--num_train_epochs", "2"])
    plan = Plan.of(settings, 160, 1)
    said = forecast.describe(found, settings, plan, validation_pairs=100)
    assert "20 steps of 16 pairs (10 an epoch), each about 2.0 s; 2 evaluations of 100 articles." in said
    assert "That should take 2.3 minutes: 40 s of training, at most 1.7 minutes of validation" in said
    assert "3.0 of 16.0 GB" in said and "days" not in said
    assert "5 steps of 16 pairs are left of 20" in forecast.describe(found, settings, plan, 100, done=15)


def test_a_machine_that_would_need_days_is_told_so_with_what_would_not():
    found = forecast.Forecast(step_seconds=20.0, article_seconds=0.01, memory=1, memory_total=2)
    settings = Settings.parse(["--recipe", "report-section-3"])
    n = 64_000
    plan = Plan.of(settings, n)
    said = forecast.describe(found, settings, plan, 100)
    assert "This machine would need days for that (4.6 days): use a GPU." in said
    assert "--recipe smoke" in said and "--recipe report-table-1 " in said, "one epoch takes 22 hours"
    assert "--recipe report-section-3" not in said
    night = int(said.split("--max_train_samples ")[1].split()[0])
    hours = Plan.of(settings, night).steps * found.step_seconds / 3600
    assert hours == pytest.approx(8, rel=0.01)


# --- What stops a run ------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_stops_before_the_weights(tmp_path):
    trainer = trainer_for(tmp_path, "--max_steps", "6", "--eval_every", "2")
    loss, calls = trainer.compute_loss_func, []

    def poisoned(outputs, labels, num_items_in_batch=None):
        calls.append(1)
        return loss(outputs, labels, num_items_in_batch) * (math.nan if len(calls) == 4 else 1)

    trainer.compute_loss_func = poisoned
    with pytest.raises(Stopped) as error:
        trainer.train()
    said = str(error.value)
    assert "no longer a number at step 4" in said and "checkpoint-2 is whole" in said
    assert "--learning_rate 0.001 " in said or "--learning_rate 0.001," in said
    assert all(tensor.isfinite().all() for tensor in trainer.model.state_dict().values())
    assert len(calls) == 4 and trainer.state.global_step == 3


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch):
    settings = settings_for(tmp_path, "--max_steps", "4", "--eval_every", "1", "--save_total_limit", "1")
    train, validation = (load_split(settings.data, name) for name in ("train", "validation"))
    run = Run.open(settings)
    write = torch.save

    def full(value, path, *args, **kwargs):
        # What Linux answers to the first write that finds no room, on the second checkpoint's optimizer.
        if "checkpoint-2" in str(path):
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device", str(path))
        return write(value, path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full)
    full_disk = pytest.raises(Stopped, match=r"disk .* is full. checkpoint-1 is whole. Free some space")
    with full_disk, explained(settings):
        fit(settings, run, *tiny_t5(), train, validation)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-1"]
    assert is_whole(tmp_path / "checkpoint-1")
    monkeypatch.undo()
    fit(settings, run, *tiny_t5(), train, validation)
    assert run.trained["steps"] == 4


def test_a_disk_too_small_is_found_out_before(tmp_path, monkeypatch):
    settings = settings_for(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    run = Run.open(settings)
    check_disk(settings, run, weights=1_000_000)
    with pytest.raises(UserError, match=r"1\.0 GB free, and the run will need 3\.1 GB"):
        check_disk(settings, run, weights=60_000_000)


def test_out_of_memory_in_all_its_words(tmp_path):
    settings = settings_for(tmp_path, "--optimizer", "adafactor", "--gradient_checkpointing", "--train_batch_size", "1")
    for error in (
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:116] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
    ):
        said = r"Out of memory. There is no checkpoint yet. What needs less"
        with pytest.raises(Stopped, match=said) as found, explained(settings):
            raise error
        # Only what is not done already.
        assert "--eval_batch_size 4" in str(found.value) and "--max_source_length 20" in str(found.value)
        assert not any(word in str(found.value) for word in ("train_batch", "--optimizer", "--gradient_checkpointing"))
    with pytest.raises(ZeroDivisionError), explained(settings):
        raise ZeroDivisionError  # a fault of ours is not made to look like one of the machine's


# --- Checkpoints -----------------------------------------------------------------------------------------------------


def fake_checkpoint(folder: Path, step: int) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.pt", "trainer_state.json"):
        (path / name).write_text(f"{name} {step}" * 10)
    return path


def test_a_checkpoint_is_whole_only_as_it_was_sealed(tmp_path):
    path = fake_checkpoint(tmp_path, 5)
    assert not is_whole(path)
    seal(path, seconds=1.5)
    assert is_whole(path)
    for change in (
        lambda: (path / "optimizer.pt").write_text("cut"),
        lambda: (path / "optimizer.pt").unlink(),
        lambda: (path / "complete.json").write_text("{"),
        lambda: (path / "complete.json").write_text("[]"),
        lambda: (path / "complete.json").write_text('{"files": {}}'),
        lambda: (path / "complete.json").unlink(),
    ):
        shutil.rmtree(path)
        seal(fake_checkpoint(tmp_path, 5), seconds=1.5)
        assert is_whole(path)
        change()
        assert not is_whole(path) and checkpoints(tmp_path) == []
    assert sweep(tmp_path) == [path] and not path.exists()


def test_rotation_keeps_the_newest_and_the_best(tmp_path):
    for step in (2, 10, 8, 30):
        seal(fake_checkpoint(tmp_path, step))
    fake_checkpoint(tmp_path, 40)  # being written, or cut short: doesn't count, isn't touched
    (tmp_path / "checkpoint-notes").mkdir()
    rotate(tmp_path, keep=2, best_step=2)
    assert [step_of(path) for path in checkpoints(tmp_path)] == [2, 10, 30], "by number, not by name or date"
    rotate(tmp_path, keep=1, best_step=30)
    assert [step_of(path) for path in checkpoints(tmp_path)] == [30]
    rotate(tmp_path, keep=0, best_step=None)
    assert [step_of(path) for path in checkpoints(tmp_path)] == [30], "never the last one"
    assert (tmp_path / "checkpoint-40").is_dir() and (tmp_path / "checkpoint-notes").is_dir()


def test_a_run_goes_on_only_with_its_own_settings(tmp_path, capsys):
    folder = tmp_path / "run"
    run = Run.open(settings_for(folder, "--seed", "1"))
    run.check_data({"train": "aa", "validation": "bb"})
    assert Run.open(settings_for(folder, "--seed", "1", "--push", "--save_every", "7")) == run
    with pytest.raises(UserError) as error:
        Run.open(settings_for(folder, "--seed", "2", "--num_beams", "4"), processes=2)
    said = str(error.value)
    assert "--seed: 1 -> 2" in said and "--num_beams: 1 -> 4" in said and "processes: 1 -> 2" in said
    assert "learning_rate" not in said and "--from_start" in said
    run.check_data({"train": "aa", "validation": "bb"})
    with pytest.raises(UserError, match="The validation pairs are not those"):
        run.check_data({"train": "aa", "validation": "cc"})

    seal(fake_checkpoint(folder, 3))
    fake_checkpoint(folder, 6)
    run = Run.open(settings_for(folder, "--seed", "1"))
    assert run.last_checkpoint.name == "checkpoint-3"
    assert "checkpoint-6 was cut short" in capsys.readouterr().out

    (folder / "model").mkdir()
    (folder / "model" / "results.json").write_text("precious")
    run = Run.open(settings_for(folder, "--seed", "2", "--from_start"))
    assert run.last_checkpoint is None and not run.finished
    assert (tmp_path / "run.old-1" / "model" / "results.json").read_text() == "precious"
    Run.open(settings_for(folder, "--seed", "3", "--from_start"))
    assert (tmp_path / "run.old-2" / "settings.json").is_file()


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    seal(fake_checkpoint(tmp_path, 3))
    with pytest.raises(UserError, match="no run of this trainer's"):
        Run.open(settings_for(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be made"):
        Run.open(settings_for(tmp_path / "file"))


def test_metrics_of_steps_that_are_done_again_are_cut_off(tmp_path):
    run = Run.open(settings_for(tmp_path))
    lines = [json.dumps({"step": step, "loss": 1.0}) for step in (1, 2, 3, 4)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 5, "lo')
    run.forget_after(3)
    kept = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in kept] == [1, 2, 3]


def test_a_start_model_with_other_generation_settings_is_trained_with_ours(tmp_path):
    model, tokenizer = tiny_t5()
    model.generation_config = generation_config(model.config, tokenizer, GenerationSettings(num_beams=4))
    model.generation_config.num_beams = 7
    settings = settings_for(tmp_path)
    train, validation = (load_split(settings.data, name) for name in ("train", "validation"))
    trainer = build_trainer(settings, Run.open(settings), model, tokenizer, train, validation)
    assert trainer.model.generation_config.num_beams == 1
    assert trainer.model.generation_config.max_new_tokens == 6
