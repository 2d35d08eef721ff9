"""transformers' Seq2SeqTrainer, set up so that its results can be trusted.

What differs from its defaults, and why:
- The loss is the sum over all target tokens of an optimizer step, divided by their number, however they are split
  into batches and processes. T5's own loss is a mean a batch, which Trainer then scales wrongly.
- Validation summaries are made and scored by the code of the final evaluation, against the whole references.
- Every random order has its own generator, seeded by seed + epoch, so that a resumed run sees the same batches.
- A checkpoint counts when it is sealed (trainer/training/checkpoints.py); an evaluation always comes before the
  checkpoint of its step, so that none is lost by a kill between the two.
- A loss or gradient that is no number ends the run before it reaches the weights.
- Where the settings say so, a step also learns from moved embeddings or from a second reading
  (trainer/training/robust.py).
"""

import math
import shutil
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from transformers import Seq2SeqTrainer

from trainer.data.splits import Example
from trainer.metrics.rouge import rouge
from trainer.settings.training import Settings
from trainer.summarizers.seq2seq import Seq2SeqSummarizer
from trainer.training.callbacks import progress_bar
from trainer.training.checkpoints import MANIFEST, TrainingRun, rotate, seal
from trainer.training.loss import token_loss
from trainer.training.ranking import ranking_loss
from trainer.training.robust import disagreement, fgm, freelb
from trainer.training.stops import not_finite


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
        run: TrainingRun,
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

    @property
    def precision(self) -> str:
        """What the steps are really computed in, whatever was asked for: fp32 or bf16."""
        mixed = self.accelerator.mixed_precision
        return "fp32" if mixed == "no" else mixed

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler:
        return self.sampler

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        robust = self.settings.robust
        if robust.adversarial is None:
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        inputs = self._prepare_inputs(inputs)
        input_ids = inputs.pop("input_ids")
        embed = self.model.get_encoder().get_input_embeddings()

        def loss_at(moved: torch.Tensor) -> torch.Tensor:
            batch = {**inputs, "inputs_embeds": embed(input_ids) + moved}
            return self.compute_loss(model, batch, num_items_in_batch=num_items_in_batch)

        step = (loss_at, self.accelerator.backward, inputs["attention_mask"], embed.embedding_dim)
        if robust.adversarial == "fgm":
            return fgm(*step, robust.adversarial_epsilon)
        return freelb(*step, robust.adversarial_epsilon, robust.adversarial_step_size, robust.adversarial_steps)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        if self.settings.robust.r_drop is not None:
            return self._loss_of_two_readings(model, inputs, num_items_in_batch)
        if "gains" not in inputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        ranked = {name: inputs.pop(name) for name in ("targets", "segments", "gains", "labels")}
        outputs = model(**inputs)
        loss = ranking_loss(outputs.logits, **ranked, num_items_in_batch=num_items_in_batch)
        loss = self._over_processes(loss, num_items_in_batch)
        return (loss, outputs) if return_outputs else loss

    def _loss_of_two_readings(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None
    ) -> torch.Tensor:
        """R-Drop's loss; in evaluation mode, without dropout, twice the plain one."""
        one, first = super().compute_loss(model, {**inputs}, True, num_items_in_batch)
        other, second = super().compute_loss(model, {**inputs}, True, num_items_in_batch)
        apart = disagreement(first.logits, second.logits, inputs["labels"], num_items_in_batch)
        return one + other + self.settings.robust.r_drop * self._over_processes(apart, num_items_in_batch)

    def _over_processes(self, loss: torch.Tensor, num_items_in_batch: torch.Tensor | int | None) -> torch.Tensor:
        """The loss of this process made up for that the processes' gradients are averaged, not summed."""
        return loss * self.args.world_size if num_items_in_batch is not None else loss

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        # Called before each optimizer step. A loss that is no number makes gradients that are none, so this sees both.
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if not math.isfinite(norm):
            raise not_finite(self.state.global_step + 1, float(norm), self.settings, self.run)
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
        with progress_bar(len(mine), "validation", self.is_world_process_zero()) as bar:
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
                seal(folder, seconds=self.seconds, step=self.state.global_step, precision=self.precision)
                rotate(self.run.folder, self.settings.run.save_total_limit, self.state.best_global_step)
        except BaseException:
            if self.is_world_process_zero() and not (folder / MANIFEST).is_file():
                shutil.rmtree(folder, ignore_errors=True)
            raise
