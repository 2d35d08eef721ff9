"""How long a run will take and how much memory it needs, measured before its first step.

A few real steps are timed on real batches with an optimizer of learning rate 0, and one batch is summarised.
Weights, gradients and random numbers are afterwards what they were, so the run's result does not depend on it.
"""

import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainer.errors import UserError
from trainer.runtime.durations import DAY, spoken
from trainer.runtime.hardware import peak_memory, total_memory
from trainer.settings.training import Settings, recipes
from trainer.summarizers.seq2seq import Seq2SeqSummarizer
from trainer.training.plan import Plan
from trainer.training.trainer import SummarizationTrainer

# Batches are timed until there are so many of them, or so many seconds are spent.
TIMED_BATCHES = 3

TIMED_SECONDS = 60.0


@dataclass(frozen=True)
class Forecast:
    """What was measured.

    Attributes:
        step_seconds: of an optimizer step, all accumulated batches of one process included.
        article_seconds: of summarising one article, in a batch of `eval_batch_size`.
        memory: bytes in use at the peak, of the GPU or of this process.
        memory_total: bytes that there are.
    """

    step_seconds: float
    article_seconds: float
    memory: int
    memory_total: int


def forecast(trainer: SummarizationTrainer, plan: Plan, done: int = 0) -> str:
    """Measures, and says in a few lines how much is to be done, how long it should take and what it needs."""
    return describe(measure(trainer), trainer.settings, plan, len(trainer.validation), done, trainer.args.world_size)


def measure(trainer: SummarizationTrainer) -> Forecast:
    """Times steps and summaries; leaves no trace in the trainer, its model or the random numbers."""
    model, device = trainer.model, trainer.args.device
    settings = trainer.settings
    with no_trace(model, device):
        batches = _batches(trainer)
        optimizer_class, options = trainer.get_optimizer_cls_and_kwargs(trainer.args, model)
        optimizer = optimizer_class(model.parameters(), **{**options, "lr": 0.0, "weight_decay": 0.0})
        # The longest batch comes first: it shows the memory, warms everything up, and is not counted.
        _step(trainer, optimizer, next(batches))
        seconds: list[float] = []
        while len(seconds) < TIMED_BATCHES and sum(seconds) < TIMED_SECONDS:
            began = time.perf_counter()
            _step(trainer, optimizer, next(batches))
            seconds.append(time.perf_counter() - began)
        memory = peak_memory(device)
        del optimizer
        article = _seconds_an_article(trainer)
    return Forecast(
        step_seconds=float(np.mean(seconds)) * settings.optimisation.gradient_accumulation_steps,
        article_seconds=article,
        memory=memory,
        memory_total=total_memory(device),
    )


def describe(
    found: Forecast,
    settings: Settings,
    plan: Plan,
    validation_pairs: int,
    done: int = 0,
    processes: int = 1,
) -> str:
    """The sentences: steps, time, memory, and what to do instead where this machine would need days."""
    left = plan.steps - done
    evaluations = math.ceil(plan.steps / plan.eval_steps) - done // plan.eval_steps
    training = left * found.step_seconds
    scoring = evaluations * validation_pairs * found.article_seconds / processes
    total = training + scoring
    lines = [
        f"{left:,} steps of {plan.batch_size} pairs{f' are left of {plan.steps:,}' if done else ''} "
        f"({plan.steps_per_epoch:,} an epoch), each about {spoken(found.step_seconds)}; "
        f"{evaluations} evaluation{'s' if evaluations != 1 else ''} of {validation_pairs:,} articles.",
        f"That should take {spoken(total)}: {spoken(training)} of training, at most {spoken(scoring)} of validation "
        "(the scores on the test split come after).",
        f"Memory at the longest batch: {found.memory / 1e9:.1f} of {found.memory_total / 1e9:.1f} GB.",
    ]
    if total > DAY:
        lines.append(_instead(found, settings, plan, total, scoring))
    return "\n".join(lines)


def _instead(found: Forecast, settings: Settings, plan: Plan, total: float, scoring: float) -> str:
    """What would be done within a day here."""
    per_pair = found.step_seconds / plan.batch_size
    night = max(int((8 * 3600) / per_pair / max(settings.optimisation.num_train_epochs, 1)), 1)
    quicker = []
    for name in recipes():
        if name == settings.run.recipe:
            continue
        try:
            other = Settings.parse(["--recipe", name])
        except UserError:
            continue
        if other.data.train_file is not None:  # it brings its own small data
            quicker.append(f"--recipe {name}")
        elif other.optimisation.max_steps is None and settings.optimisation.max_steps is None:
            epochs = other.optimisation.num_train_epochs / settings.optimisation.num_train_epochs
            if (total - scoring) * epochs + scoring * min(epochs, 1) < DAY:
                quicker.append(f"--recipe {name}")
    options = [f"{' or '.join(quicker)} would not"] if quicker else []
    options.append(f"--max_train_samples {night} would train for about 8 hours")
    if scoring > DAY / 4:
        options.append("--max_eval_samples 500 would shorten validation")
    return f"This machine would need days for that ({spoken(total)}): use a GPU. Here, {'; '.join(options)}."


def _batches(trainer: SummarizationTrainer) -> Iterator[dict[str, torch.Tensor]]:
    """The longest batch, then batches drawn at random, without end."""
    data, size = trainer.train_dataset, trainer.settings.optimisation.train_batch_size
    longest = np.argsort(-(data.tokens.source_lengths + data.tokens.target_lengths), kind="stable")[:size]
    yield trainer.data_collator([data[int(row)] for row in longest])
    draw = random.Random(0)
    while True:
        yield trainer.data_collator([data[draw.randrange(len(data))] for _ in range(size)])


def _step(trainer: SummarizationTrainer, optimizer: Any, batch: dict[str, torch.Tensor]) -> None:
    model, device = trainer.model, trainer.args.device
    with torch.autocast(device.type, torch.bfloat16, enabled=trainer.args.bf16):
        trainer.training_step(model, batch)
    optimizer.step()
    optimizer.zero_grad()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds_an_article(trainer: SummarizationTrainer) -> float:
    size = trainer.settings.evaluation.eval_batch_size
    pairs = random.Random(0).sample(list(trainer.validation), min(size, len(trainer.validation)))
    summarizer = Seq2SeqSummarizer(trainer.model, trainer.processing_class, name="forecast", batch_size=size)
    began = time.perf_counter()
    summarizer.summarize([pair.source for pair in pairs])
    return (time.perf_counter() - began) / len(pairs)


@contextmanager
def no_trace(model: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Brings random numbers, mode and gradients back to what they were."""
    states = random.getstate(), np.random.get_state()
    training = model.training
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        model.train(training)
        for weight in model.parameters():
            weight.grad = None
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
