"""The settings of a training in the words of transformers' Trainer."""

import os

import torch
from transformers import Seq2SeqTrainingArguments

from trainer.errors import UserError
from trainer.runtime.hardware import has_bf16
from trainer.settings.training import Settings
from trainer.training.plan import Plan

SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "inverse_sqrt": "inverse_sqrt",
    "constant": "constant_with_warmup",
}

OPTIMIZERS = {"adamw": "adamw_torch_fused", "adafactor": "adafactor"}


# Variables by which `accelerate launch`, or a shell, has accelerate train in another way than the settings say.
# (Precision and gradient accumulation, which it can set too, are overruled by the Trainer's arguments.)
OTHER_WAYS = (
    "ACCELERATE_USE_DEEPSPEED",
    "ACCELERATE_USE_FSDP",
    "ACCELERATE_USE_MEGATRON_LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG",
    "ACCELERATE_DYNAMO_BACKEND",
)


def training_arguments(settings: Settings, n_train: int) -> Seq2SeqTrainingArguments:
    """The settings in transformers' words.

    Raises:
        UserError: the environment asks accelerate to train in another way than the settings say.
    """
    check_environment()
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
        report_to=settings.run.report_to,
        project=settings.name,
        run_name=settings.output_dir.name,
        log_level="error",
        log_level_replica="error",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=gpu,
        ddp_find_unused_parameters=False,
    )
    # transformers lets ACCELERATE_MIXED_PRECISION decide where bf16 is False.
    args.mixed_precision = "bf16" if args.bf16 else "no"
    if args.n_gpu > 1:
        # One process drives one GPU: transformers would split each batch over all of them (DataParallel), slower and
        # with other results. torchrun uses them all.
        args._n_gpu = 1
    return args


def check_environment() -> None:
    """Raises `UserError` where a variable of `OTHER_WAYS` is on."""
    for name in OTHER_WAYS:
        value = os.environ.get(name, "")
        if value.lower() not in ("", "no", "false", "0"):
            raise UserError(
                f"{name} is {value} in the environment (accelerate launch sets it), so accelerate would train in "
                f"another way than the settings, and the record of them, say: unset {name}, or start with torchrun."
            )


def use_bf16(settings: Settings) -> bool:
    """Whether bfloat16 is asked for and to be had."""
    return settings.optimisation.precision == "bf16" and has_bf16()
