"""Why a training stopped, in a sentence that says what to do: a full disk or memory, a loss that is no number."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trainer.errors import Stopped, UserError
from trainer.settings.training import Settings
from trainer.training.checkpoints import TrainingRun


@contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """Turns what can go wrong anywhere on the way, a full disk or memory, into a sentence that says what to do.

    Raises:
        Stopped: in place of the error.
    """
    run = TrainingRun(settings.output_dir)
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        stopped = _full_disk(error, run) or _full_memory(error, settings, run)
        if stopped is None:
            raise
        raise stopped from error


def _full_disk(error: Exception, run: TrainingRun) -> Stopped | None:
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


def _full_memory(error: Exception, settings: Settings, run: TrainingRun) -> Stopped | None:
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


def not_finite(step: int, norm: float, settings: Settings, run: TrainingRun) -> Stopped:
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


def _state_of(run: TrainingRun) -> str:
    last = run.last_checkpoint
    return f"{last.name} is whole." if last else "There is no checkpoint yet."
