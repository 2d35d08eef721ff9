"""One system over one split, all in memory: the scores at the end of a training."""

import time
from collections.abc import Callable, Sequence

from trainer.data.splits import Split
from trainer.errors import UserError
from trainer.metrics.abstraction import abstraction
from trainer.metrics.base import MetricFunction
from trainer.metrics.lengths import lengths
from trainer.metrics.repetition import repetition
from trainer.scoring.figures import generation_figures, rouge_figures
from trainer.scoring.intervals import evaluation_of, json_number
from trainer.scoring.records import Evaluation, Prediction
from trainer.summarizers.base import Summarizer, Summary

METRICS: tuple[MetricFunction, ...] = (rouge_figures, lengths, abstraction, repetition)


def evaluate_system(
    summarizer: Summarizer,
    split: Split,
    *,
    metrics: Sequence[MetricFunction] = METRICS,
    bootstrap_samples: int = 1000,
    bootstrap_seed: int = 0,
    confidence: float = 0.95,
    block_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Evaluation, list[Prediction]]:
    """Lets a system summarise a split and measures what comes back.

    Args:
        split: the pairs; each source goes to the system, each target is what its summary is compared with.
        metrics: functions of predictions, references and sources, each giving several figures.
        block_size: sources handed to the system at once.
        progress: told after each block how many of how many examples are done.

    Raises:
        UserError: the split is empty.
    """
    examples = split.examples
    if not examples:
        raise UserError(f"the {split.name} split of {split.dataset} has no examples, so nothing can be measured on it")
    started = time.monotonic()
    summaries: list[Summary] = []
    for start in range(0, len(examples), block_size):
        block = examples[start : start + block_size]
        summaries += summarizer.summarize([example.source for example in block])
        if progress:
            progress(len(summaries), len(examples))
    seconds = time.monotonic() - started
    texts = [summary.text for summary in summaries]
    references = [example.target for example in examples]
    sources = [example.source for example in examples]
    figures = generation_figures(summaries)
    for metric in metrics:
        figures |= metric(texts, references, sources)
    about = summarizer.describe()
    evaluation = evaluation_of(
        about, split, figures, seconds, bootstrap_samples=bootstrap_samples, seed=bootstrap_seed, confidence=confidence
    )
    predictions = [
        Prediction(
            system=about["system"],
            id=example.id,
            prediction=summary.text,
            reference=example.target,
            score=summary.score,
            tokens_read=summary.tokens_read,
            tokens_total=summary.tokens_total,
            tokens_written=summary.tokens_written,
            finished=summary.finished,
            scores={name: json_number(figure.per_example[row]) for name, figure in figures.items()},
        )
        for row, (example, summary) in enumerate(zip(examples, summaries, strict=True))
    ]
    return evaluation, predictions
