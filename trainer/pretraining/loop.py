"""The loop of pre-training: vocabulary, model, steps, checkpoints, log and the finished model."""

import copy
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from statistics import mean

import torch
from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

from trainer.errors import UserError
from trainer.models.initialisation import grow, make_copy_ready
from trainer.models.vocabulary import train_vocabulary
from trainer.pretraining.corpus import text_of, text_rows
from trainer.pretraining.mixture import Batch, Mixture
from trainer.runtime.files import give_usual_mode, replacing, write_atomically, write_json
from trainer.settings.machine import Precision
from trainer.settings.pretraining import PretrainSettings

# The run's last state, which it goes on from; and, while the rate falls, the cool-down's, which leaves the other alone.
CHECKPOINT, COOLDOWN = "checkpoint.pt", "cooldown.pt"
COPY_WINDOW = 50  # steps over which the loss says whether copying has been learnt


def vocabulary(settings: PretrainSettings, paths: list[Path]) -> T5Tokenizer:
    """The run's vocabulary: that of `settings.model` or `settings.tokenizer`, or one of its own.

    Its own is trained once, on an even sample of every file (about 20 million characters in all).

    Raises:
        UserError: the vocabulary of `settings.tokenizer` has more ids than the settings give the model.
    """
    if settings.model is not None:
        return T5Tokenizer.from_pretrained(settings.model)
    if settings.tokenizer is not None:
        tokenizer = T5Tokenizer.from_pretrained(settings.tokenizer)
        if len(tokenizer) > settings.vocab_size:
            raise UserError(
                f"--vocab_size is {settings.vocab_size}, but {settings.tokenizer} has {len(tokenizer)} ids: "
                f"it must be {len(tokenizer)} or more"
            )
        return tokenizer
    folder = Path(settings.output_dir) / "tokenizer"
    if (folder / "tokenizer.json").is_file():
        return T5Tokenizer.from_pretrained(folder)
    sample: list[str] = []
    for path in paths:
        if not path.is_file():
            raise UserError(f"text file {path} does not exist, and the vocabulary is made of it: give --tokenizer")
        texts = [text_of(row) for row in text_rows(path)]
        share, taken = 20_000_000 // len(paths), 0
        for text in texts[:: max(sum(map(len, texts)) // share, 1)]:
            if taken < share:
                sample.append(text)
                taken += len(text)
    tokenizer = train_vocabulary(sample, settings.vocab_size)
    tokenizer.save_pretrained(folder)
    return tokenizer


def model_to_pretrain(settings: PretrainSettings, tokenizer: T5Tokenizer) -> T5ForConditionalGeneration:
    """The T5 of `settings.model`, grown to the settings' shape, or one with random, copy-ready weights.

    Raises:
        UserError: the model in that folder is larger in some way than the settings say.
    """
    if settings.model is not None:
        # Trained on in fp32: a step is often smaller than what bf16 can tell apart.
        model = T5ForConditionalGeneration.from_pretrained(settings.model, dtype=torch.float32, dropout_rate=0.0)
        shape = {name: getattr(model.config, name) for name in settings.shape()}
        if shape == settings.shape():
            return model
        config = copy.deepcopy(model.config)
        config.update(settings.shape())
        try:
            return grow(model, config)
        except ValueError as error:
            raise UserError(
                f"model {settings.model} is of {shape}, but the settings say {settings.shape()}: {error}"
            ) from error
    config = T5Config(
        vocab_size=settings.vocab_size if settings.tokenizer else len(tokenizer),
        d_model=settings.d_model,
        d_kv=settings.d_kv,
        d_ff=settings.d_ff,
        num_layers=settings.num_layers,
        num_decoder_layers=settings.num_decoder_layers,
        num_heads=settings.num_heads,
        dropout_rate=0.0,  # one pass over the text: nothing to overfit to
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    model = T5ForConditionalGeneration(config)
    if settings.copy_ready:
        make_copy_ready(model)
    return model


class TrainingState:
    """What a checkpoint holds: weights, optimizer, where the run stands. Batches follow from seed and step alone."""

    def __init__(self, model: T5ForConditionalGeneration, settings: PretrainSettings):
        self.model, self.settings = model, settings
        # Compiled anew for each shape of a batch (`pad_to` leaves few); validation calls the model itself.
        self.forward = torch.compile(model, dynamic=False) if settings.compile else model
        self.parameters = list(model.parameters())
        # AdamW whose step is a share of each weight's own root mean square (as Adafactor's; nanoT5, Nawrot 2023).
        self.optimizer = torch.optim.AdamW(
            [{"params": [parameter]} for parameter in self.parameters],
            lr=settings.learning_rate,
            betas=(0.9, settings.adam_beta2),
            eps=1e-8,
            weight_decay=0.0,
            fused=True,
        )
        self.step = 0
        self.tokens = 0
        self.seconds = 0.0
        self.exercise_end: int | None = None if settings.exercise_steps and settings.model is None else 0
        self.recent: list[float] = []  # losses of the last steps, the newest last
        self.cooldown_start: int | None = None

    def update(self) -> None:
        """One optimizer step from the gradients at hand.

        Raises:
            UserError: they are not finite; the weights are left as they were.
        """
        self.check_finite("length of the gradients", torch.nn.utils.clip_grad_norm_(self.parameters, 1.0).item())
        norms = torch.stack(torch._foreach_norm(self.parameters)).tolist()  # together: one wait for a GPU
        rate = self.settings.learning_rate * self.schedule()
        for group, norm in zip(self.optimizer.param_groups, norms, strict=True):
            group["lr"] = rate * max(norm / group["params"][0].numel() ** 0.5, 1e-3)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def check_finite(self, what: str, value: float) -> None:
        """Raises `UserError` where `value` is NaN or infinite, before anything is learnt from it."""
        if not math.isfinite(value):
            raise UserError(
                f"the {what} is {value} at step {self.step}, and nothing was learnt from it; lower --learning_rate. "
                "The same command goes on from the last checkpoint, with another --output_dir it starts anew"
            )

    def schedule(self) -> float:
        """Share of the peak learning rate: linear warm-up, level, and in the cool-down linear to zero."""
        share = min(1.0, (self.step + 1) / max(self.settings.warmup_steps, 1))
        if self.cooldown_start is not None:
            share *= max(1 - (self.step - self.cooldown_start) / self.settings.cooldown_steps, 0.0)
        return share

    @property
    def end(self) -> int:
        """The step to stop at."""
        if self.cooldown_start is None:
            return self.settings.max_steps
        return self.cooldown_start + self.settings.cooldown_steps

    def save(self, folder: Path) -> None:
        """Writes the checkpoint; a kill at any moment leaves the old one or the new one whole."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "exercise_end": self.exercise_end,
            "recent": self.recent,
            "shape": self.settings.shape(),
            "cooldown_start": self.cooldown_start,
            "cooldown_steps": self.settings.cooldown_steps,
        }
        with replacing(folder / (CHECKPOINT if self.cooldown_start is None else COOLDOWN)) as part:
            torch.save(state, part)

    def resume(self, folder: Path) -> None:
        """Takes up the run where its checkpoint, or that of the cool-down that the settings ask for, left it.

        Raises:
            UserError: the checkpoint is of a model of another shape.
        """
        if (folder / CHECKPOINT).is_file():
            self._take(folder / CHECKPOINT, torch.load(folder / CHECKPOINT, "cpu", weights_only=True, mmap=True))
        if not self.settings.cooldown_steps:
            return
        begun = {"cooldown_start": self.step, "cooldown_steps": self.settings.cooldown_steps}
        if (folder / COOLDOWN).is_file():
            stored = torch.load(folder / COOLDOWN, "cpu", weights_only=True, mmap=True)
            if begun.items() <= stored.items():  # else it is an earlier cool-down's
                self._take(folder / COOLDOWN, stored)
        self.cooldown_start = begun["cooldown_start"]

    def _take(self, path: Path, stored: dict) -> None:
        if stored["shape"] != self.settings.shape():
            raise UserError(f"{path} is of {stored['shape']}, but the settings say {self.settings.shape()}")
        self.model.load_state_dict(stored["model"])
        self.optimizer.load_state_dict(stored["optimizer"])
        for name in ("step", "tokens", "seconds", "exercise_end", "recent"):
            setattr(self, name, stored[name])


def pretrain(state: TrainingState, mixture: Mixture, output_dir: Path) -> None:
    """Steps until `max_steps` or `max_minutes`, or to the end of the cool-down; checkpoints and a log on the way."""
    settings = state.settings
    started = saved = logged = time.monotonic()
    tokens_logged = state.tokens
    state.model.train()
    while state.step < state.end and time.monotonic() - started < settings.max_minutes * 60:
        began = time.monotonic()
        batch = mixture.batch(state.step, state.exercise_end)
        loss = batch_loss(state.forward, batch, settings.precision)
        state.recent = [*state.recent, loss.item()][-max(settings.log_steps, COPY_WINDOW) :]
        state.check_finite("loss", state.recent[-1])
        loss.backward()
        state.update()
        state.step += 1
        state.tokens += batch.n_tokens
        state.seconds += time.monotonic() - began
        if state.exercise_end is None and can_copy(state):
            state.exercise_end = state.step
            print(f"copying exercised until step {state.step}", flush=True)
        evaluates = state.step % settings.eval_steps == 0
        if evaluates or state.step % settings.log_steps == 0:
            now = time.monotonic()
            line = {
                "step": state.step,
                "tokens": state.tokens,
                "hours": round(state.seconds / 3600, 3),
                "loss": round(mean(state.recent[-settings.log_steps :]), 4),
                "tokens_per_second": round((state.tokens - tokens_logged) / (now - logged)),
            }
            if evaluates:
                line |= validation_losses(state.model, mixture, settings.precision)
            append(output_dir / "log.jsonl", line)
            tokens_logged, logged = state.tokens, time.monotonic()
        if time.monotonic() - saved > settings.save_minutes * 60:
            state.save(output_dir)
            saved = time.monotonic()
    state.save(output_dir)


def can_copy(state: TrainingState) -> bool:
    """Whether copying costs under 1 nat a piece (a half-learnt circuit is forgotten again), or will not for long."""
    least = state.settings.exercise_steps
    return state.step >= least and (mean(state.recent[-COPY_WINDOW:]) < 1.0 or state.step >= 4 * least)


def batch_loss(model: T5ForConditionalGeneration, batch: Batch, precision: Precision) -> torch.Tensor:
    """Mean loss a piece, in nats, on the model's device; bf16 mixes in bfloat16."""
    device = model.device
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        return model(**{name: tensor.to(device) for name, tensor in batch.inputs().items()}).loss


@torch.no_grad()
def validation_losses(model: T5ForConditionalGeneration, mixture: Mixture, precision: Precision) -> dict[str, float]:
    """Mean loss a piece, in nats, of each objective on held-out documents."""
    model.eval()
    found = {}
    for name, batches in mixture.validation.items():
        total = sum(batch_loss(model, batch, precision).item() * batch.n_labels for batch in batches)
        found[f"validation_{name}"] = round(total / sum(batch.n_labels for batch in batches), 4)
    model.train()
    return found


def save_base(
    model: T5ForConditionalGeneration, tokenizer: T5Tokenizer, folder: Path, settings: PretrainSettings
) -> None:
    """Writes the finished model in bf16, its tokenizer and the settings that made it."""
    finished = copy.deepcopy(model).to(torch.bfloat16)
    finished.config.dropout_rate = 0.1  # for whoever fine-tunes it, as T5 1.1: none in pre-training, 0.1 after it
    finished.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    give_usual_mode(folder)
    places = ("text_dir", "output_dir", "corpus_cache")
    record = {name: value for name, value in asdict(settings).items() if name not in places}
    record |= {name: record[name] and str(record[name]) for name in ("model", "tokenizer")}
    write_json(folder / "pretraining.json", record)


def cut_log(path: Path, step: int) -> None:
    """Takes off the lines behind `step`, which a kill after the last checkpoint (or a cool-down) has left."""
    if not path.is_file():
        return
    kept = []
    for text in path.read_text("utf-8").splitlines(keepends=True):
        try:
            if json.loads(text)["step"] <= step:
                kept.append(text)
        except json.JSONDecodeError:  # torn by the kill
            break
    write_atomically(path, "".join(kept))


def append(path: Path, line: dict) -> None:
    """Adds one JSON line to the log and prints it."""
    text = json.dumps(line)
    print(text, flush=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(text + "\n")
