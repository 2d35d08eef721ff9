"""What happens beside the steps of a training: when checkpoints are left, the file of metrics, the progress bar."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback

from trainer.training.plan import Plan


class Schedule(TrainerCallback):
    """Leaves a checkpoint after every evaluation, and gives what is drawn anew in each epoch its number.

    Args:
        drawn: sampler, and pairs where they change from epoch to epoch; each has `set_epoch`.
    """

    def __init__(self, *drawn: Any):
        self.drawn = drawn

    def on_train_begin(self, args, state, control, **kwargs):
        # A checkpoint brings these back as they were; a resumed run may have others.
        state.save_steps, state.logging_steps = args.save_steps, args.logging_steps

    def on_epoch_begin(self, args, state, control, **kwargs):
        # accelerate's own call does not get through to the sampler after a resume with several processes.
        for one in self.drawn:
            one.set_epoch(int(round(state.epoch or 0, 6)))

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


class ProgressLines(TrainerCallback):
    """A bar with the time left where somebody watches, and a plain line a log entry in any case."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.bar: tqdm | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self.bar = progress_bar(state.max_steps, "training", True, initial=state.global_step)

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


def progress_bar(total: int, what: str, shown: bool, initial: int = 0) -> tqdm:
    """A progress bar, with the time left, where a terminal is there to show it."""
    shown = shown and sys.stderr.isatty()
    return tqdm(total=total, initial=initial, desc=what, disable=not shown, leave=False)
