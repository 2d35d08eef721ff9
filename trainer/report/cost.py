"""What a training of T5-small on XSum should take and cost on hired GPUs, before one is hired.

    python -m trainer.report.cost --recipe report-table-3
    python -m trainer.report.cost --recipe report-table-3 --measured runs/short-try/model/results.json

Without `--measured` all rests on assumptions, which are flags and are printed with the answer: no GPU was at hand where
this was written. With it, on what a training of the same model and lengths took, on one GPU like those to be hired; a
short try is enough (`--max_steps 200 --max_eval_samples 640`).
"""

import argparse
import json
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import T5Config

from trainer.errors import UserError
from trainer.report.tables import Table, markdown_table
from trainer.runtime.durations import spoken
from trainer.settings.training import Settings
from trainer.training.plan import Plan

XSUM = {"train": 204_045, "validation": 11_332, "test": 11_334}  # pairs (Narayan et al. 2018)
SMALL = "google-t5/t5-small"  # T5Config() has its shape
LONGEST_SUMMARY = 64  # tokens that the summaries of a batch are padded to; XSum's have 23 words on average
FLAVORS = {1: "a100-large", 4: "a100x4", 8: "a100x8"}  # of the Hub's Jobs


@dataclass(frozen=True)
class Speed:
    """What one GPU does.

    Attributes:
        pair_seconds: of training, a pair.
        article_seconds: of summarising, an article.
        source: where this is known from, as a sentence.
    """

    pair_seconds: float
    article_seconds: float
    source: str


@dataclass(frozen=True)
class Cost:
    """Seconds of training, of scoring on validation pairs and of scoring on test pairs, and US dollars of all."""

    gpus: int
    training: float
    validation: float
    test: float
    dollars: float

    @property
    def seconds(self) -> float:
        return self.training + self.validation + self.test


def step_flops(config: T5Config, source: int, target: int) -> float:
    """Floating-point operations of training on one pair: three times those of a forward pass (Kaplan et al. 2020).

    Two for each weight and token it is used on, and those of the attentions' products, four times tokens × tokens ×
    width (queries with keys, weights with values).
    """
    width = config.num_heads * config.d_kv
    attention, feed = 4 * config.d_model * width, 2 * config.d_model * config.d_ff
    encoder = config.num_layers * (2 * (attention + feed) * source + 4 * source**2 * width)
    keys = config.num_decoder_layers * 2 * (attention / 2) * source  # the decoder's look at the article
    decoder = config.num_decoder_layers * (
        2 * (1.5 * attention + feed) * target + 4 * target * (target + source) * width
    )
    head = 2 * config.d_model * config.vocab_size * target
    return 3 * (encoder + keys + decoder + head)


def assumed_speed(settings: Settings, teraflops: float, reached: float, token_seconds: float) -> Speed:
    """From the arithmetic of T5-small, as if every article had the most tokens that are read and every summary the most
    that may be written.

    Raises:
        UserError: another model is trained.
    """
    if settings.model.model != SMALL or settings.model.from_scratch is not None:
        raise UserError(f"The assumptions are for {SMALL}: for another model give --measured, from a short try of it.")
    flops = step_flops(T5Config(), settings.data.max_source_length, LONGEST_SUMMARY)
    batch = settings.evaluation.eval_batch_size
    return Speed(
        flops / (teraflops * 1e12 * reached),
        settings.generation.max_new_tokens * token_seconds / batch,
        f"Assumed, not measured: {flops / 1e9:.0f} GFLOP a pair (every article {settings.data.max_source_length:,} "
        f"tokens long), a GPU of {teraflops:g} TFLOP/s of which {100 * reached:g}% are reached, and "
        f"{1000 * token_seconds:g} ms for a token of each of {batch} summaries written at a time, "
        f"{settings.generation.max_new_tokens} tokens each.",
    )


def measured_speed(results: Path) -> Speed:
    """From the results.json of a training on one GPU.

    Raises:
        UserError: it can't be read, or it is of no such training.
    """
    try:
        record = json.loads(results.read_text("utf-8"))
        training, pairs = record["training"], record["training"]["splits"]
        scored = record["settings"]["evaluation"]["max_eval_samples"]
        articles = min(pairs[1]["n"], scored or pairs[1]["n"])
        scoring = [one["seconds"] for one in training["evaluations"]]
        trained = training["steps"] * training["pairs_per_step"]
        processes, device = training["processes"], training["device"]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"--measured is {results}: that is no results.json of a training ({error}).") from error
    if processes != 1:
        raise UserError(f"--measured is {results}: {processes} processes trained there; one is needed.")
    return Speed(
        (training["seconds"] - sum(scoring)) / trained,
        sum(scoring) / len(scoring) / articles,
        f"Measured: {trained:,} pairs trained on and {articles:,} articles summarised on {device} ({results}).",
    )


def costs(settings: Settings, speed: Speed, gpus: Sequence[int], dollars: float, shared: float) -> list[Cost]:
    """What the run takes on so many GPUs.

    Training and validation are shared among them, with the share `shared` of each one's speed; the test articles are
    summarised by one, by the finished model and by the start model.
    """
    n_train = min(XSUM["train"], settings.data.max_train_samples or math.inf)
    n_test = min(XSUM["test"], settings.data.max_test_samples or math.inf)
    limits = settings.data.max_validation_samples, settings.evaluation.max_eval_samples
    n_validation = min(XSUM["validation"], *(limit or math.inf for limit in limits))
    plan = Plan.of(settings, int(n_train))
    found = []
    for number in gpus:
        together = number * (shared if number > 1 else 1.0)
        training = plan.steps * plan.batch_size * speed.pair_seconds / together
        validation = plan.evaluations * n_validation * speed.article_seconds / together
        test = (2 if settings.evaluation.baselines else 1) * n_test * speed.article_seconds
        hours = (training + validation + test) / 3600
        found.append(Cost(number, training, validation, test, hours * number * dollars))
    return found


def jobs_line(flags: Sequence[str], cost: Cost, batch_size: int) -> str:
    """What to type in a fresh copy of the checkout to have the Hub's Jobs do it; twice the time is allowed for."""
    start = "python"
    flags = [*flags, "--push"]
    if cost.gpus > 1:
        start = f"torchrun --nproc_per_node={cost.gpus}"
        flags += ["--train_batch_size", str(max(batch_size // cost.gpus, 1))]
    hours = math.ceil(2 * cost.seconds / 3600)
    prepare = "cp -r /checkout /work && cd /work && pip install -q -r requirements.txt"
    return (
        f"hf jobs run --flavor {FLAVORS.get(cost.gpus, 'FLAVOR')} --timeout {hours}h --secrets HF_TOKEN "
        f'--volume .:/checkout python:3.11 bash -c "{prepare} && {start} trainer/train.py {shlex.join(flags)}"'
    )


def described(settings: Settings, flags: Sequence[str], speed: Speed, found: Sequence[Cost], dollars: float) -> str:
    """The table, where it comes from, and the lines for the Hub's Jobs; `flags` are those of the training."""
    rows = [
        [str(one.gpus), *map(spoken, (one.training, one.validation, one.test, one.seconds)), f"{one.dollars:.2f}"]
        for one in found
    ]
    head = ["GPUs", "training", "validation", "test", "all", "US dollars"]
    lines = [jobs_line(flags, one, settings.optimisation.train_batch_size) for one in found]
    return "\n\n".join(
        [
            markdown_table(Table(head, rows)),
            f"{speed.source} A GPU's hour is taken to cost {dollars:g} dollars (an A100 of the Hub's Jobs; look up "
            "today's price). What fetching and metrics take comes on top; before its first step the training itself "
            "says what it measures.",
            "On the Hub's Jobs, typed in a fresh copy of this checkout:",
            *lines,
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Prints the forecast; returns 2 for something wrong in what was asked."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.report.cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Further flags are those of trainer/train.py.",
    )
    parser.add_argument("--measured", type=Path, help="results.json of a short try on one such GPU")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8], help="numbers of GPUs [1 8]")
    parser.add_argument("--dollars", type=float, default=2.5, help="US dollars for an hour of a GPU [2.5]")
    parser.add_argument("--teraflops", type=float, default=19.5, help="what a GPU can do [19.5: an A100 in fp32]")
    parser.add_argument("--reached", type=float, default=0.4, help="share of it that is reached [0.4]")
    parser.add_argument("--token_seconds", type=float, default=0.015, help="of a decoding step of a batch [0.015]")
    parser.add_argument("--shared", type=float, default=0.9, help="share of its speed that each of several has [0.9]")
    asked, rest = parser.parse_known_args(argv)
    try:
        for name in ("gpus", "dollars", "teraflops", "reached", "token_seconds", "shared"):
            value = getattr(asked, name)
            if min(value if isinstance(value, list) else [value]) <= 0:
                raise UserError(f"--{name} is {value}: it must be over 0.")
        settings = Settings.parse(rest)
        speed = (
            measured_speed(asked.measured)
            if asked.measured
            else assumed_speed(settings, asked.teraflops, asked.reached, asked.token_seconds)
        )
    except UserError as error:
        print(f"\n{error}", file=sys.stderr)
        return error.exit_code
    found = costs(settings, speed, asked.gpus, asked.dollars, asked.shared)
    print(described(settings, rest, speed, found, asked.dollars))
    return 0


if __name__ == "__main__":
    sys.exit(main())
