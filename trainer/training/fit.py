"""Fits a T5 to article–summary pairs, from wherever the run stands to its last step."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    TrainerState,
)

from trainer.data.noisy_copies import NoisyCopies
from trainer.data.sampling import EvenSampler, LengthGroupedSampler, MixedSampler, ShuffledSampler, TrainingPairs
from trainer.data.spelling import Spelling
from trainer.data.splits import Split
from trainer.data.tokens import JoinedDataset, collator, tokenize
from trainer.errors import UserError
from trainer.models.load import count_weights
from trainer.models.pretrained import positions
from trainer.models.task import remember_task
from trainer.runtime.hardware import bf16_set_aside
from trainer.runtime.sizes import spoken_size
from trainer.settings.training import Settings
from trainer.training.arguments import training_arguments
from trainer.training.callbacks import MetricsFile, ProgressLines, Schedule
from trainer.training.checkpoints import TRAINER_STATE, TrainingRun, best_step, is_last, read_notes, step_of
from trainer.training.forecast import forecast
from trainer.training.loss import token_loss
from trainer.training.plan import Plan
from trainer.training.precision import quicker_precision
from trainer.training.ranking import RankedCollator, RankedExtracts
from trainer.training.trainer import SummarizationTrainer

# Bytes that a checkpoint holds for each weight: the weight itself, and what the optimizer remembers of it.
CHECKPOINT_BYTES = {"adamw": 12, "adafactor": 5}


def build_trainer(
    settings: Settings,
    run: TrainingRun,
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
    check_positions(model, settings)
    remember_task(model, tokenizer, data.prefix, data.max_source_length, settings.generation)
    if optimisation.dropout is not None:
        set_dropout(model, optimisation.dropout)
    if settings.robust.r_drop is not None:
        check_dropout(model)
    args = training_arguments(settings, len(train.examples))
    plan = Plan.of(settings, len(train.examples), args.world_size)
    with args.main_process_first():  # the other processes read what it keeps
        tokens, changing = training_tokens(settings, train, tokenizer, run.folder / "tokens")
    if data.ranked_sentences:
        learnt = RankedExtracts(train.examples, tokens, tokenizer, data.ranked_sentences, optimisation.seed)
    else:
        spelling = None if data.learn_unsupported else Spelling.of(tokenizer)
        end = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
        learnt = TrainingPairs(tokens, end, spelling)
    pairs = validation.examples[: settings.evaluation.max_eval_samples]
    if optimisation.group_by_length:
        sampler = LengthGroupedSampler(tokens.source_lengths, plan.batch_size, optimisation.seed)
    elif train.sizes:
        sampler = MixedSampler(train.sizes, data.sampling_temperature or 1.0, optimisation.seed)
    else:
        sampler = ShuffledSampler(len(tokens), optimisation.seed)
    if args.world_size > 1:
        sampler = EvenSampler(sampler, optimisation.train_batch_size * args.world_size)
    if args.process_index == 0:
        for note in tokens.notes():
            print(note)
        learning = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        if learning < count_weights(model):
            print(f"{learning:,} of the model's {count_weights(model):,} weights are trained.")
        if optimisation.precision == "bf16" and not args.bf16:
            print(bf16_set_aside(args.device))
    collate = collator(tokenizer, model)
    if optimisation.precision == "auto":
        batch = collate([tokens[row] for row in range(min(optimisation.train_batch_size, len(tokens)))])
        optimisation = replace(optimisation, precision=precision_of(run, model, batch, args))
        args = training_arguments(replace(settings, optimisation=optimisation), len(train.examples))
    if data.ranked_sentences:
        collate = RankedCollator(collate, model.config.decoder_start_token_id, tokenizer.pad_token_id)
    callbacks = [Schedule(sampler, *changing), MetricsFile(run.folder / "metrics.jsonl"), ProgressLines(plan)]
    if optimisation.early_stopping_patience:
        callbacks.append(EarlyStoppingCallback(optimisation.early_stopping_patience))
    trainer = SummarizationTrainer(
        model=model,
        args=args,
        data_collator=collate,
        train_dataset=learnt,
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


def precision_of(
    run: TrainingRun, model: PreTrainedModel, batch: dict[str, torch.Tensor], args: Seq2SeqTrainingArguments
) -> str:
    """fp32 or bf16 for a run that leaves it to the machine: what it has computed in so far, else what is quicker."""
    if run.last_checkpoint is not None:
        return read_notes(run.last_checkpoint).get("precision", "fp32")
    found = [""]
    if args.process_index == 0:
        found[0], sentence = quicker_precision(model, batch, args.device)
        print(sentence)
    if args.world_size > 1:
        torch.distributed.broadcast_object_list(found)
    return found[0]


def training_tokens(
    settings: Settings, train: Split, tokenizer: PreTrainedTokenizerBase, cache: Path
) -> tuple[Any, list[NoisyCopies]]:
    """The training pairs as ids, kept in the folder `cache`, and those of them that change from epoch to epoch.

    Raises:
        UserError: the limits leave no room for an article.
    """
    data, robust = settings.data, settings.robust
    prefixes = [data.prefix, *(prefix for _, prefix in data.mixed)]
    sizes = train.sizes or (len(train),)
    if len(sizes) == 1:
        tokens = tokenize(train.examples, tokenizer, data, cache)
    else:
        ends = list(accumulate(sizes))
        tokens = JoinedDataset(
            tokenize(train.examples[end - size : end], tokenizer, replace(data, prefix=prefix), cache)
            for prefix, size, end in zip(prefixes, sizes, ends, strict=True)
        )
    if not robust.noises:
        return tokens, []
    noisy = NoisyCopies(
        train.examples,
        tokens,
        tokenizer,
        prefixes=list(zip(prefixes, sizes, strict=True)),
        max_source_length=data.max_source_length,
        noises=robust.noises,
        share=robust.noise_share,
        seed=settings.optimisation.seed,
    )
    return noisy, [noisy]


def check_positions(model: PreTrainedModel, settings: Settings) -> None:
    """Raises `UserError` where the model has no positions for so many tokens (T5 has them for any number)."""
    encoder, decoder = positions(model)
    for name, asked, limit in (
        ("max_source_length", settings.data.max_source_length, encoder),
        ("max_target_length", settings.data.max_target_length, decoder),
        ("max_new_tokens", settings.generation.max_new_tokens, decoder),
    ):
        if limit is not None and asked > limit:
            raise UserError(
                f"--{name} is {asked}: the model has positions for {limit} tokens, so it is {limit} at most."
            )


def check_dropout(model: PreTrainedModel) -> None:
    """Raises `UserError` where two readings of a batch could not differ."""
    if not any(isinstance(module, torch.nn.Dropout) and module.p for module in model.modules()):
        raise UserError("--r_drop compares two readings with other dropout, and there is none: add --dropout 0.1.")


def set_dropout(model: PreTrainedModel, rate: float) -> None:
    """Changes the dropout of every layer; attention's, which T5 keeps as a number, too."""
    if hasattr(model.config, "dropout_rate"):
        model.config.dropout_rate = rate
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = rate
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = rate


def fit(
    settings: Settings,
    run: TrainingRun,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Split,
    validation: Split,
    watchers: Sequence[TrainerCallback] = (),
) -> None:
    """Trains to the last step from wherever the run stands, and writes down which checkpoint is the best.

    `watchers` are told of every evaluation, and may end the run by an exception.

    Raises:
        UserError: the run was computed in another precision so far, or the disk is too small.
        Stopped: the loss is no longer a number. (What a full disk or memory raise, `explained` turns into sentences.)
    """
    last = run.last_checkpoint
    trainer = build_trainer(settings, run, model, tokenizer, train, validation)
    for watcher in watchers:
        trainer.add_callback(watcher)
    first = trainer.is_world_process_zero()
    plan = Plan.of(settings, len(train.examples), trainer.args.world_size)
    if last is None or not is_last(last):
        check_disk(settings, run, count_weights(model))
        done = step_of(last) if last else 0
        if last is not None:
            notes = read_notes(last)
            trainer.seconds_before = notes["seconds"]
            check_precision(trainer.precision, notes.get("precision", trainer.precision), run)
            if (best := best_step(last)) is not None:
                run.intact_checkpoint(best)  # the model is going to be made from it: better to know it now
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
    settings, state, device = trainer.settings, trainer.state, trainer.args.device
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
        "precision": trainer.precision,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def check_precision(now: str, before: str, run: TrainingRun) -> None:
    """Raises `UserError` where the run was computed in another precision so far, as on a machine without bfloat16."""
    if now != before:
        raise UserError(
            f"The run in {run.folder} has computed in {before} so far, and would go on in {now} here: a mixture that "
            f"no record would tell. Go on where {before} is to be had, choose another --output_dir, or begin anew with "
            "--from_start."
        )


def check_disk(settings: Settings, run: TrainingRun, weights: int) -> None:
    """Raises `UserError` where the disk has no room for the checkpoints that will be there at one time."""
    one = weights * CHECKPOINT_BYTES[settings.optimisation.optimizer]
    there = len(list(run.folder.glob("checkpoint-*")))
    needed = one * max(settings.run.save_total_limit + 2 - there, 1) + 4 * weights
    free = shutil.disk_usage(run.folder).free
    if free < needed:
        raise UserError(
            f"{run.folder} is on a disk with {spoken_size(free)} free, and the run will need {spoken_size(needed)} for "
            f"checkpoints and model, {spoken_size(needed - free)} more. Free some space, choose another "
            "--output_dir, or lower --save_total_limit."
        )
