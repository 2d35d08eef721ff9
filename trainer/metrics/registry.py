"""All metrics by the names that command lines know them by: the one place where a metric is entered."""

from collections.abc import Callable, Sequence

from trainer.errors import UserError
from trainer.hub.names import name_and_revision
from trainer.metrics.aboutness import aboutness
from trainer.metrics.abstraction import abstraction
from trainer.metrics.base import Metric
from trainer.metrics.bleu import bleu
from trainer.metrics.chrf import chrf
from trainer.metrics.copied import copied
from trainer.metrics.entailment import EntailmentModel, entailment
from trainer.metrics.error_classes import errors
from trainer.metrics.facts import facts
from trainer.metrics.lengths import lengths
from trainer.metrics.overlap import overlap
from trainer.metrics.repetition import repetition
from trainer.metrics.rouge import rouge_metric
from trainer.metrics.semantic import Encoder, bertscore, embedding_similarity, word_movers_distance

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        rouge_metric,
        bleu,
        chrf,
        overlap,
        lengths,
        abstraction,
        repetition,
        facts,
        errors,
        copied,
        aboutness,
    )
}

# Metrics that need a model, which is loaded when they are asked for.
BY_ENCODER: dict[str, Callable[[Encoder], Metric]] = {
    "embedding": embedding_similarity,
    "bertscore": bertscore,
    "wmd": word_movers_distance,
}

METRIC_NAMES = (*METRICS, *BY_ENCODER, "entailment")


def metrics_of(names: Sequence[str], encoder: str | None = None, nli: str | None = None) -> list[Metric]:
    """The metrics of these names, with the models that they need.

    Args:
        names: of `METRIC_NAMES`.
        encoder, nli: MODEL or MODEL@REVISION of those that need an encoder, or a classifier of entailment.

    Raises:
        UserError: a model can't be had, or none is named where one must be.
    """
    built = {name: METRICS[name] for name in names if name in METRICS}
    if BY_ENCODER.keys() & set(names):
        model = Encoder.load(*name_and_revision(encoder)) if encoder else Encoder.load()
        built |= {name: BY_ENCODER[name](model) for name in names if name in BY_ENCODER}
    if "entailment" in names:
        if not nli:
            raise UserError("--metrics entailment needs a classifier to judge it: name one with --nli.")
        built["entailment"] = entailment(EntailmentModel.load(*name_and_revision(nli)))
    return [built[name] for name in names]
