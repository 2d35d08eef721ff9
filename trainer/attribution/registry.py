"""Every attribution method by its name. Each has `.attribute(pair, rows, progress)`, which gives a matrix."""

from collections.abc import Callable
from typing import Any, Protocol

from trainer.attribution.ablation import ContextCite, KernelShap, Lime, Occlusion
from trainer.attribution.attention import AttentionRollout, CrossAttention, ValueWeightedAttention
from trainer.attribution.gradient_methods import GradientShap, InputXGradient, Saliency
from trainer.attribution.matrix import AttributionMatrix, IntegratedGradients, Pair, Rows
from trainer.errors import UserError, nearest


class Method(Protocol):
    """What an attribution method does."""

    def attribute(
        self, pair: Pair, rows: Rows | None = None, progress: Callable[[int, int], None] | None = None
    ) -> AttributionMatrix:
        """Scores of each source token for each of `rows`, by default every summary token."""


# Of the affordable ones Gradient SHAP is as faithful (trainer/records/studies/faithfulness), but it draws its points by
# chance, and its scores do not add up.
DEFAULT_METHOD = "integrated_gradients"
METHODS: dict[str, Callable[..., Method]] = {
    "integrated_gradients": IntegratedGradients,
    "input_x_gradient": InputXGradient,
    "saliency": Saliency,
    "gradient_shap": GradientShap,
    "occlusion_words": lambda: Occlusion("words"),
    "occlusion_sentences": lambda: Occlusion("sentences"),
    "kernel_shap": KernelShap,
    "lime": Lime,
    "contextcite": ContextCite,
    "attention": CrossAttention,
    "attention_rollout": AttentionRollout,
    "attention_values": ValueWeightedAttention,
}


def method(name: str, **settings: Any) -> Method:
    """The method of that name; `settings` are those of its class.

    Raises:
        UserError: no such method, or a setting that it does not have.
    """
    if name not in METHODS:
        near = nearest(name, METHODS)
        meant = f" Did you mean {near}?" if near else ""
        raise UserError(f"There is no attribution method {name!r}.{meant} Methods: {', '.join(METHODS)}.")
    try:
        return METHODS[name](**settings)
    except TypeError as error:
        raise UserError(f"The method {name} does not take these settings: {error}") from error
