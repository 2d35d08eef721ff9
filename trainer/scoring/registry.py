"""The metrics of trainer/eval.py by name, those that need a model with it."""

from collections.abc import Callable

from trainer.errors import UserError
from trainer.hub.names import name_and_revision
from trainer.metrics.abstraction import abstraction
from trainer.metrics.base import MetricFunction
from trainer.metrics.bleu import bleu
from trainer.metrics.chrf import chrf
from trainer.metrics.entailment import EntailmentModel, entailment
from trainer.metrics.error_classes import errors
from trainer.metrics.facts import facts
from trainer.metrics.lengths import lengths
from trainer.metrics.overlap import overlap
from trainer.metrics.repetition import repetition
from trainer.metrics.semantic import Encoder, bertscore, embedding_similarity, word_movers_distance
from trainer.scoring.figures import rouge_figures
from trainer.settings.evaluation import EvalSettings

METRICS: dict[str, MetricFunction] = {
    "rouge": rouge_figures,
    "bleu": bleu,
    "chrf": chrf,
    "overlap": overlap,
    "lengths": lengths,
    "abstraction": abstraction,
    "repetition": repetition,
    "facts": facts,
    "errors": errors,
}

# Metrics that need a model, which is loaded when they are asked for.
BY_ENCODER: dict[str, Callable[[Encoder], MetricFunction]] = {
    "embedding": embedding_similarity,
    "bertscore": bertscore,
    "wmd": word_movers_distance,
}

METRIC_NAMES = (*METRICS, "aboutness", *BY_ENCODER, "entailment")


def metrics_of(settings: EvalSettings) -> list[MetricFunction]:
    """The metrics asked for, with the models that they need.

    Raises:
        UserError: a model can't be had, or none is named where one must be.
    """
    names = settings.system.metric_list
    found = {name: METRICS[name] for name in names if name in METRICS}
    if BY_ENCODER.keys() & set(names):
        encoder = Encoder.load(*name_and_revision(settings.system.encoder))
        found |= {name: BY_ENCODER[name](encoder) for name in names if name in BY_ENCODER}
    if "entailment" in names:
        if not settings.system.nli:
            raise UserError("--metrics entailment needs a classifier to judge it: name one with --nli.")
        found["entailment"] = entailment(EntailmentModel.load(*name_and_revision(settings.system.nli)))
    return [found[name] for name in names if name in found]  # aboutness looks beyond a block
