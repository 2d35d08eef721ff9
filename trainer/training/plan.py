"""How many steps a training takes and when it is scored."""

import math
from dataclasses import dataclass

from trainer.settings.training import Settings


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
