"""Fits a T5 to article–summary pairs: transformers' Seq2SeqTrainer, set up so that its results can be trusted.

What differs from its defaults, and why:
- The loss is the sum over all target tokens of an optimizer step, divided by their number, however they are split
  into batches and processes. T5's own loss is a mean a batch, which Trainer then scales wrongly.
- Validation summaries are made and scored by the code of the final evaluation, against the whole references.
- Every random order has its own generator, seeded by seed + epoch, so that a resumed run sees the same batches.
- A checkpoint counts when it is sealed (trainer/checkpoints.py); an evaluation always comes before the checkpoint of
  its step, so that none is lost by a kill between the two.
- A loss or gradient that is no number ends the run before it reaches the weights.
"""

import errno
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    TrainerState,
)

from trainer.checkpoints import MANIFEST, TRAINER_STATE, Run, is_last, read_notes, rotate, seal, step_of
from trainer.data import Example, LengthGroupedSampler, Split, SummarizationDataset, collator, tokenize
from trainer.errors import Stopped, UserError
from trainer.forecast import forecast
from trainer.metrics.rouge import rouge
from trainer.model import count_weights, has_bf16, remember_task
from trainer.settings import Settings
from trainer.spelling import Spelling
from trainer.systems import Oracle, Seq2SeqSummarizer

SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "inverse_sqrt": "inverse_sqrt",
    "constant": "constant_with_warmup",
}
OPTIMIZERS = {"adamw": "adamw_torch_fused", "adafactor": "adafactor"}
# Bytes that a checkpoint holds for each weight: the weight itself, and what the optimizer remembers of it.
CHECKPOINT_BYTES = {"adamw": 12, "adafactor": 5}


def token_loss(
    outputs: Any,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross entropy summed over the target tokens of a batch, over the number of those in the whole optimizer step.

    Args:
        outputs: has `logits` (batch, target tokens, vocabulary).
        labels: (batch, target tokens), -100 where nothing is to be learnt.
        num_items_in_batch: tokens of the step, over all accumulated batches and processes; those of this batch
            where it is None.
        label_smoothing: share of the target's probability spread evenly over the vocabulary.
    """
    logits = outputs.logits
    total = cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(),
        labels.reshape(-1),
        ignore_index=-100,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    if num_items_in_batch is None:
        num_items_in_batch = labels.ne(-100).sum()
    return total / num_items_in_batch


class ShuffledSampler(torch.utils.data.Sampler[int]):
    """Every index once an epoch in an order drawn from `seed` + epoch alone.

    torch's RandomSampler, as accelerate deals it out to several processes, starts again with the order of the first
    epoch after a resume in the middle of a later one.
    """

    def __init__(self, n: int, seed: int):
        self.n, self.seed, self.epoch = n, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        draw = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(torch.randperm(self.n, generator=draw).tolist())


class EvenSampler(torch.utils.data.Sampler[int]):
    """Another sampler's order, filled up with `BLANK` to a multiple of `multiple`.

    Without it, accelerate would make the processes' last batches equal by taking pairs of the epoch's beginning a
    second time, and several processes would not learn what one learns.
    """

    BLANK = -1

    def __init__(self, order: torch.utils.data.Sampler, multiple: int):
        self.order = order
        self.blanks = -len(order) % multiple

    def set_epoch(self, epoch: int) -> None:
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.order) + self.blanks

    def __iter__(self) -> Iterator[int]:
        yield from self.order
        yield from [self.BLANK] * self.blanks


class TrainingPairs(torch.utils.data.Dataset):
    """The tokenised pairs, and at index `EvenSampler.BLANK` one with nothing to learn.

    With `spelling` an item also says which places of its labels are `ignored`: names and numbers that the source lacks.
    """

    def __init__(self, tokens: SummarizationDataset, eos_token_id: int, spelling: Spelling | None = None):
        self.tokens = tokens
        self.spelling = spelling
        self.blank = {"input_ids": [eos_token_id], "labels": [-100]}

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        if index == EvenSampler.BLANK:
            return self.blank
        pair = self.tokens[index]
        if self.spelling is None:
            return pair
        unsupported = self.spelling.unsupported(np.asarray(pair["labels"]), np.asarray(pair["input_ids"]))
        return pair | {"ignored": np.flatnonzero(unsupported).tolist()}


@dataclass(frozen=True)
class Plan:
    """How many steps there are and when they are scored.

    Attributes:
        steps: optimizer steps of the whole run.
        steps_per_epoch: of a pass over the training pairs.
        eval_steps: steps between evaluations; the last step is always followed by one.
        batch_size: pairs in an optimizer step, over accumulated batches and processes.
    """

    steps: int
    steps_per_epoch: int
    eval_steps: int
    batch_size: int

    @classmethod
    def of(cls, settings: Settings, n_train: int, processes: int = 1) -> "Plan":
        optimisation = settings.optimisation
        batches = math.ceil(n_train / (optimisation.train_batch_size * processes))
        per_epoch = math.ceil(batches / optimisation.gradient_accumulation_steps)
        steps = optimisation.max_steps or math.ceil(per_epoch * optimisation.num_train_epochs)
        return cls(
            steps=steps,
            steps_per_epoch=per_epoch,
            eval_steps=min(settings.evaluation.eval_steps or per_epoch, steps),
            batch_size=optimisation.train_batch_size * optimisation.gradient_accumulation_steps * processes,
        )

    @property
    def evaluations(self) -> int:
        return math.ceil(self.steps / self.eval_steps)


class SummarizationTrainer(Seq2SeqTrainer):
    """Seq2SeqTrainer with the loss, order, validation and checkpoints that this module's head describes.

    Args:
        settings, run: what is asked for, and the folder it goes to.
        validation: pairs scored by generation.
        sampler: order of the training pairs; has `set_epoch`.
    """

    def __init__(
        self,
        *args: Any,
        settings: Settings,
        run: Run,
        validation: Sequence[Example],
        sampler: torch.utils.data.Sampler,
        **kwargs: Any,
    ):
        self.settings, self.run = settings, run
        self.validation, self.sampler = validation, sampler
        self.seconds_before = 0.0
        super().__init__(*args, **kwargs)
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training so far, those before a resume included."""
        return self.seconds_before + time.monotonic() - self.began

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler:
        return self.sampler

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        # Called before each optimizer step. A loss that is no number makes gradients that are none, so this sees both.
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if not math.isfinite(norm):
            raise _not_finite(self.state.global_step + 1, float(norm), self.settings, self.run)
        return norm

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
        **gen_kwargs: Any,
    ) -> dict[str, float]:
        """Loss and ROUGE F1 in [0, 1] on the validation pairs, summarised as the finished model will be.

        Each process takes every n-th pair, so none is padded and none counts twice.
        """
        began = time.monotonic()
        summarizer = Seq2SeqSummarizer(
            self.model,
            self.processing_class,
            name="validation",
            batch_size=self.settings.evaluation.eval_batch_size,
        )
        rank, processes = self.args.process_index, self.args.world_size
        mine = range(rank, len(self.validation), processes)
        block = 4 * self.settings.evaluation.eval_batch_size
        found: list[tuple[int, str, int | None, bool]] = []
        with _bar(len(mine), "validation", self.is_world_process_zero()) as bar:
            for start in range(0, len(mine), block):
                rows = mine[start : start + block]
                summaries = summarizer.summarize([self.validation[row].source for row in rows])
                found += [
                    (row, summary.text, summary.tokens_written, summary.finished)
                    for row, summary in zip(rows, summaries, strict=True)
                ]
                bar.update(len(rows))
        loss = self._validation_loss(mine)
        everything = sorted(gather_object(found) if processes > 1 else found)
        scores = rouge([text for _, text, _, _ in everything], [pair.target for pair in self.validation])
        metrics = {
            "loss": loss,
            **{kind: scores.mean(kind) for kind in scores.values},
            "summary_tokens": float(np.mean([tokens for _, _, tokens, _ in everything])),
            "unfinished_share": float(np.mean([not finished for _, _, _, finished in everything])),
            "seconds": round(time.monotonic() - began, 3),
        }
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _validation_loss(self, rows: Sequence[int]) -> float:
        """Mean cross entropy a target token, in nats, without label smoothing, over the rows of all processes."""
        sums = torch.zeros(2, dtype=torch.float64)
        training = self.model.training
        self.model.eval()
        size = self.settings.evaluation.eval_batch_size
        with torch.no_grad():
            for start in range(0, len(rows), size):
                batch = self.data_collator([self.eval_dataset[row] for row in rows[start : start + size]])
                batch = self._prepare_inputs(batch)
                labels = batch.pop("labels")
                outputs = self.model(**batch)
                tokens = int(labels.ne(-100).sum())
                sums += torch.tensor([float(token_loss(outputs, labels, 1)), tokens], dtype=torch.float64)
        self.model.train(training)
        if self.args.world_size > 1:
            sums = torch.tensor(gather_object([sums.tolist()]), dtype=torch.float64).sum(0)
        return float(sums[0] / sums[1])

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        folder = self.run.folder / f"checkpoint-{self.state.global_step}"
        try:
            if self.is_world_process_zero():
                # A checkpoint of that step can only be left of a folder that was moved here: don't mix the two.
                (folder / MANIFEST).unlink(missing_ok=True)
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.is_world_process_zero():
                seal(folder, seconds=self.seconds, step=self.state.global_step)
                rotate(self.run.folder, self.settings.run.save_total_limit, self.state.best_global_step)
        except BaseException:
            if self.is_world_process_zero() and not (folder / MANIFEST).is_file():
                shutil.rmtree(folder, ignore_errors=True)
            raise


class Schedule(TrainerCallback):
    """Leaves a checkpoint after every evaluation, and gives the sampler its epoch."""

    def __init__(self, sampler: torch.utils.data.Sampler):
        self.sampler = sampler

    def on_train_begin(self, args, state, control, **kwargs):
        # A checkpoint brings these back as they were; a resumed run may have others.
        state.save_steps, state.logging_steps = args.save_steps, args.logging_steps

    def on_epoch_begin(self, args, state, control, **kwargs):
        # accelerate's own call does not get through to the sampler after a resume with several processes.
        self.sampler.set_epoch(int(round(state.epoch or 0, 6)))

    def on_evaluate(self, args, state, control, **kwargs):
        control.should_save = True
        return control


class MetricsFile(TrainerCallback):
    """A line of JSON in metrics.jsonl for everything that is logged."""

    def __init__(self, path: Path):
        self.path = path

    def on_log(self, args, state, control, logs=None, **kwargs):
        if state.is_world_process_zero and logs:
            line = {
                "step": state.global_step,
                "epoch": round(state.epoch or 0, 4),
                "time": round(time.time(), 1),
            }
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line | {k: v for k, v in logs.items() if k not in line}) + "\n")


class Progress(TrainerCallback):
    """A bar with the time left where somebody watches, and a plain line a log entry in any case."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.bar: tqdm | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self.bar = _bar(state.max_steps, "training", True, initial=state.global_step)

    def on_step_end(self, args, state, control, **kwargs):
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not state.is_world_process_zero or not logs:
            return
        head = f"step {state.global_step:,} of {state.max_steps:,}, epoch {state.epoch or 0:.2f}"
        if "loss" in logs:
            tqdm.write(
                f"{head}: loss {logs['loss']:.4f}, gradient {logs.get('grad_norm', 0):.3f}, "
                f"learning rate {logs['learning_rate']:.3g}"
            )
        elif "eval_loss" in logs:
            names = {"rouge1": "ROUGE-1", "rouge2": "2", "rougeL": "L", "rougeLsum": "Lsum"}
            scores = ", ".join(f"{title} {100 * logs[f'eval_{name}']:.2f}" for name, title in names.items())
            tqdm.write(
                f"{head}: validation loss {logs['eval_loss']:.4f}, {scores}, "
                f"{logs['eval_summary_tokens']:.1f} tokens a summary"
            )

    def on_train_end(self, args, state, control, **kwargs):
        if self.bar is not None:
            self.bar.close()


def build_trainer(
    settings: Settings,
    run: Run,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Split,
    validation: Split,
) -> SummarizationTrainer:
    """A trainer that is ready to run, the model told of its task.

    Raises:
        UserError: something can't be tokenised within the limits.
    """
    data, optimisation = settings.data, settings.optimisation
    remember_task(model, tokenizer, data.prefix, data.max_source_length, settings.generation)
    args = training_arguments(settings, len(train.examples))
    plan = Plan.of(settings, len(train.examples), args.world_size)
    tokens = tokenize(train.examples, tokenizer, data)
    spelling = None if data.learn_unsupported else Spelling.of(tokenizer)
    pairs = validation.examples[: settings.evaluation.max_eval_samples]
    if optimisation.group_by_length:
        sampler = LengthGroupedSampler(tokens.source_lengths, plan.batch_size, optimisation.seed)
    else:
        sampler = ShuffledSampler(len(tokens), optimisation.seed)
    if args.world_size > 1:
        sampler = EvenSampler(sampler, optimisation.train_batch_size * args.world_size)
    if args.process_index == 0:
        for note in tokens.notes():
            print(note)
        if optimisation.precision == "bf16" and not args.bf16:
            where = "This GPU" if torch.cuda.is_available() else "This processor"
            print(f"{where} does not compute in bfloat16, so --precision bf16 is set aside and fp32 is used.")
    callbacks = [Schedule(sampler), MetricsFile(run.folder / "metrics.jsonl"), Progress(plan)]
    if optimisation.early_stopping_patience:
        callbacks.append(EarlyStoppingCallback(optimisation.early_stopping_patience))
    trainer = SummarizationTrainer(
        model=model,
        args=args,
        data_collator=collator(tokenizer, model),
        train_dataset=TrainingPairs(tokens, tokenizer.eos_token_id, spelling),
        eval_dataset=tokenize(pairs, tokenizer, data),
        processing_class=tokenizer,
        compute_loss_func=partial(token_loss, label_smoothing=optimisation.label_smoothing),
        callbacks=callbacks,
        settings=settings,
        run=run,
        validation=pairs,
        sampler=sampler,
    )
    for default in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(default)
    return trainer


def training_arguments(settings: Settings, n_train: int) -> Seq2SeqTrainingArguments:
    """The settings in transformers' words."""
    optimisation = settings.optimisation
    gpu = torch.cuda.is_available()
    plan = Plan.of(settings, n_train, int(os.environ.get("WORLD_SIZE", "1")))
    warmup = optimisation.warmup_steps
    args = Seq2SeqTrainingArguments(
        output_dir=str(settings.output_dir),
        per_device_train_batch_size=optimisation.train_batch_size,
        per_device_eval_batch_size=settings.evaluation.eval_batch_size,
        gradient_accumulation_steps=optimisation.gradient_accumulation_steps,
        num_train_epochs=optimisation.num_train_epochs,
        max_steps=optimisation.max_steps or -1,
        learning_rate=optimisation.learning_rate,
        optim=OPTIMIZERS[optimisation.optimizer],
        lr_scheduler_type=SCHEDULES[optimisation.lr_scheduler],
        warmup_steps=int(warmup) if warmup >= 1 else warmup,
        max_grad_norm=optimisation.max_grad_norm,
        weight_decay=optimisation.weight_decay,
        bf16=use_bf16(settings),
        use_cpu=not gpu,
        seed=optimisation.seed,
        data_seed=optimisation.seed,
        activation_checkpointing=settings.model.gradient_checkpointing,
        # Evaluations and checkpoints go by steps also where they are asked for by epoch: transformers would write
        # the checkpoint of an epoch's last step before that epoch's evaluation, and a kill between lose the latter.
        eval_strategy="steps",
        eval_steps=plan.eval_steps,
        save_strategy="steps",
        save_steps=settings.run.save_every,
        metric_for_best_model=settings.evaluation.metric_for_best_model,
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        logging_steps=settings.run.logging_steps,
        logging_nan_inf_filter=False,
        report_to=settings.report_to,
        project=settings.name,
        run_name=settings.output_dir.name,
        log_level="error",
        log_level_replica="error",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=gpu,
        ddp_find_unused_parameters=False,
    )
    if args.n_gpu > 1:
        # One process drives one GPU: transformers would split each batch over all of them (DataParallel), slower and
        # with other results. torchrun uses them all.
        args._n_gpu = 1
    return args


def use_bf16(settings: Settings) -> bool:
    """Whether bfloat16 is asked for and to be had."""
    return settings.optimisation.precision == "bf16" and has_bf16()


def with_extracted(train: Split, share: float, seed: int) -> Split:
    """The split with further pairs behind its own: articles drawn by `seed`, each with its oracle sentence as summary.

    The oracle sentence is the one nearest to the reference (`Oracle`, Nallapati et al. 2017); an article that has no
    word in common with its reference gets none.

    Args:
        share: of the articles, in [0, 1], that are drawn.
    """
    if not share:
        return train
    draw = np.random.default_rng(seed)
    number = len(train.examples)
    rows = np.sort(draw.choice(number, round(share * number), replace=False))
    drawn = [train.examples[row] for row in rows]
    oracle = Oracle([(pair.source, pair.target) for pair in drawn], most=1)
    sentences = oracle.summarize([pair.source for pair in drawn])
    added = [
        Example(f"{pair.id}#extracted", pair.source, sentence.text)
        for pair, sentence in zip(drawn, sentences, strict=True)
        if sentence.text
    ]
    return replace(train, examples=[*train.examples, *added])


def fit(
    settings: Settings,
    run: Run,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Split,
    validation: Split,
) -> None:
    """Trains to the last step from wherever the run stands, and writes down which checkpoint is the best.

    Raises:
        Stopped: the loss is no longer a number. (What a full disk or memory raise, `explained` turns into sentences.)
    """
    last = run.last_checkpoint
    train = with_extracted(train, settings.data.extracted_share, settings.optimisation.seed)
    trainer = build_trainer(settings, run, model, tokenizer, train, validation)
    first = trainer.is_world_process_zero()
    plan = Plan.of(settings, len(train.examples), trainer.args.world_size)
    if last is None or not is_last(last):
        check_disk(settings, run, count_weights(model))
        done = step_of(last) if last else 0
        if last is not None:
            trainer.seconds_before = read_notes(last)["seconds"]
        if first:
            run.forget_after(done)
            if last is not None:
                print(f"Going on from {last.name}.")
        sentences = forecast(trainer, plan, done)
        if first:
            print(sentences, flush=True)
        trainer.began = time.monotonic()
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    else:  # killed after the last step: there is nothing left to do but to note it
        trainer.state = TrainerState.load_from_json(str(last / TRAINER_STATE))
    if first:
        run.mark_trained(training_record(trainer, plan))


def training_record(trainer: SummarizationTrainer, plan: Plan) -> dict[str, Any]:
    """What training did, for trained.json, results.json and the card; JSON values only."""
    settings, state = trainer.settings, trainer.state
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    evaluations = [
        {name.removeprefix("eval_"): value for name, value in entry.items()}
        for entry in state.log_history
        if "eval_loss" in entry
    ]
    return {
        "best_checkpoint": f"checkpoint-{state.best_global_step}",
        "best_step": state.best_global_step,
        "best_metric": settings.evaluation.metric_for_best_model,
        "best_value": state.best_metric,
        "steps": state.global_step,
        "planned_steps": plan.steps,
        "epochs": round(state.epoch, 4),
        "stopped_early": state.global_step < plan.steps,
        "pairs_per_step": plan.batch_size,
        "processes": trainer.args.world_size,
        "seconds": round(read_notes(trainer.run.last_checkpoint)["seconds"], 1),
        "first_loss": losses[0] if losses else None,
        "last_loss": losses[-1] if losses else None,
        "evaluations": evaluations,
        "parameters": count_weights(trainer.model),
        "precision": "bf16" if use_bf16(settings) else "fp32",
        "device": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu",
    }


def check_disk(settings: Settings, run: Run, weights: int) -> None:
    """Raises `UserError` where the disk has no room for the checkpoints that will be there at one time."""
    one = weights * CHECKPOINT_BYTES[settings.optimisation.optimizer]
    there = len(list(run.folder.glob("checkpoint-*")))
    needed = one * max(settings.run.save_total_limit + 2 - there, 1) + 4 * weights
    free = shutil.disk_usage(run.folder).free
    if free < needed:
        raise UserError(
            f"{run.folder} is on a disk with {free / 1e9:.1f} GB free, and the run will need {needed / 1e9:.1f} GB for "
            "checkpoints and model. Free some space, choose another --output_dir, or lower --save_total_limit."
        )


@contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """Turns what can go wrong anywhere on the way, a full disk or memory, into a sentence that says what to do.

    Raises:
        Stopped: in place of the error.
    """
    run = Run(settings.output_dir)
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        stopped = _full_disk(error, run) or _full_memory(error, settings, run)
        if stopped is None:
            raise
        raise stopped from error


def _full_disk(error: Exception, run: Run) -> Stopped | None:
    chain = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    full = any(
        getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        or "No space left on device" in str(cause)
        # What torch.save says of any failed write; with room left on the disk it is something else.
        or ("PytorchStreamWriter failed" in str(cause) and shutil.disk_usage(run.folder).free < 1 << 28)
        for cause in chain
    )
    if not full:
        return None
    return Stopped(
        f"The disk that holds {run.folder} is full. {_state_of(run)} Free some space (old runs, the Hub's cache), then "
        "start the same command again."
    )


def _full_memory(error: Exception, settings: Settings, run: Run) -> Stopped | None:
    text = str(error)
    if not (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "can't allocate memory" in text
        or "not enough memory" in text
    ):
        return None
    optimisation = settings.optimisation
    half = optimisation.train_batch_size // 2
    advice = []
    if half:
        advice.append(
            f"--train_batch_size {half} --gradient_accumulation_steps "
            f"{2 * optimisation.gradient_accumulation_steps} (the same step in smaller bites)"
        )
    if not settings.model.gradient_checkpointing:
        advice.append("--gradient_checkpointing")
    if optimisation.optimizer != "adafactor":
        advice.append("--optimizer adafactor")
    if settings.evaluation.eval_batch_size > 1:
        advice.append(f"--eval_batch_size {settings.evaluation.eval_batch_size // 2} (if it happened in validation)")
    advice.append(f"--max_source_length {max(settings.data.max_source_length // 2, 2)}")
    return Stopped(
        f"Out of memory. {_state_of(run)} What needs less, best first: {'; '.join(advice)}. These are other settings, "
        "so add --from_start or another --output_dir."
    )


def _not_finite(step: int, norm: float, settings: Settings, run: Run) -> Stopped:
    optimisation = settings.optimisation
    advice = [f"--learning_rate {optimisation.learning_rate / 3:.1g}"]
    if optimisation.warmup_steps == 0:
        advice.append("--warmup_steps 0.05")
    if optimisation.precision != "fp32":
        advice.append("--precision fp32")
    if optimisation.max_grad_norm == 0:
        advice.append("--max_grad_norm 1")
    return Stopped(
        f"The loss is no longer a number at step {step} (length of the gradient: {norm}), so training stopped before "
        f"the weights were spoilt. {_state_of(run)} The same command would come to the same end: try "
        f"{', '.join(advice)}, with --from_start or another --output_dir. If it happens in the first steps, look for "
        "numbers that are none in the start model."
    )


def _state_of(run: Run) -> str:
    last = run.last_checkpoint
    return f"{last.name} is whole." if last else "There is no checkpoint yet."


def _bar(total: int, what: str, shown: bool, initial: int = 0) -> tqdm:
    """A progress bar, with the time left, where a terminal is there to show it."""
    shown = shown and sys.stderr.isatty()
    return tqdm(total=total, initial=initial, desc=what, disable=not shown, leave=False)
