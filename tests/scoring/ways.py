"""Two ways to the figures of a system: the engine of the product, and a plain computation that it is compared with."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trainer.data.splits import Split
from trainer.metrics.base import Metric, mean_of
from trainer.runtime.processes import Processes
from trainer.scoring.blocks import predict
from trainer.scoring.intervals import measured
from trainer.scoring.jobs import Job
from trainer.scoring.measure import measure
from trainer.scoring.records import Evaluation, FigureRecord
from trainer.scoring.run import Run
from trainer.summarizers.base import Summarizer
from trainer.training.finish import METRICS


def evaluate_system(
    system: Summarizer,
    split: Split,
    *,
    metrics: Sequence[Metric] = METRICS,
    bootstrap_samples: int = 1000,
    bootstrap_seed: int = 0,
    block_size: int = 256,
    bound: bool = False,
) -> tuple[Evaluation, list[dict]]:
    """The record of one system by the product's own engine, and the lines of its predictions.jsonl."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(system.describe()["system"], lambda: system, bound=bound, required=True)
        run = Run(Path(folder) / "run", block_size)
        run.begin(split, {}, [job.name])
        predict(run, [job], metrics, Processes(0, 1))
        evaluation = measure(run, [job], metrics, bootstrap_samples, bootstrap_seed)[job.name].evaluation
        run.finish([job.name], {})
        return evaluation, [json.loads(line) for line in run.predictions.open("rb")]


def directly(
    system: Summarizer, split: Split, metrics: Sequence[Metric], samples: int, seed: int, block_size: int
) -> tuple[dict[str, FigureRecord], list[str]]:
    """(figures, summaries) of a system with nothing of the engine in between: all texts in memory, scored at once."""
    sources = [example.source for example in split.examples]
    references = [example.target for example in split.examples]
    summaries = []
    for start in range(0, len(sources), block_size):
        summaries += system.summarize(sources[start : start + block_size])
    columns = {
        "summary_tokens": [float("nan") if one.tokens_written is None else one.tokens_written for one in summaries],
        "unfinished_share": [not one.finished for one in summaries],
        "source_cut_share": [one.tokens_read < one.tokens_total for one in summaries],
    }
    figures = {
        name: mean_of(values, f"{name}|tool:trainer|tokens:the system's own") for name, values in columns.items()
    }
    texts = [one.text for one in summaries]
    for metric in metrics:
        figures |= metric(texts, references, sources)
    return measured(figures, samples, seed), texts
