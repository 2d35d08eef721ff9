"""How fast attribution is: the whole matrix against the usual loop, and a whole summary's score against Captum's.

    python -m tests.bench_attribution [--case CASE …] [--repeats 3] [--record trainer/records/bench/attribution.json]

Cases, each with a model's name behind it, `starter` or `t5-small` (that model's shapes with random weights); all of
them are run where none is named, each in a process of its own:

- `steps-MODEL`: the matrix of 512 source tokens × 30 summary tokens (as many as the model reads) at equal steps. The
  usual loop is one run of Captum's LayerIntegratedGradients for each summary token, as Inseq does it, with only the
  tokens before that one given to the decoder.
- `complete-MODEL`: the same at equal completeness: the loop takes the fewest steps of 16, 32, 64, … with which every
  sampled row adds up to within 1% of max(|change|, 1 nat), the matrix adds points by itself. Only the shipped model:
  random weights say nothing of the steps that are needed.
- `whole-MODEL`: one score for the whole summary: `trainer.attribution.gradients` at 32 steps, as the page had it,
  against as many points as it takes to 1%, and against 32 steps of our own passes.
- `row-MODEL`: the first word that is clicked, with everything that has to be built for it; also by the clock, with a
  thread for each core, as the page does it: for an idle machine only.
- `memory-MODEL`: one row of a source of 5,000 tokens: peak memory of the process.

Equality is checked before anything is timed: scores within 1e-4 of the largest value at equal steps. A ReLU whose input
is 0 up to rounding has another slope in another order of additions; where that happens (one of a million units, with
random weights) the script stops, and another `--article` is to be tried. What is measured
is the processor's time of one thread, so that other work beside it changes little. A and B alternate; medians and
ranges are printed and, with `--record`, kept. The loop's rows take alike long, so that a few of them are timed and the
rest is counted. All cases together are to take about five minutes of one core: those of t5-small are timed once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import LayerIntegratedGradients
from transformers import T5Config, T5ForConditionalGeneration

from tests.bench_decoding import command as typed
from trainer.attribution.gradients import frozen_copy, integrated_gradients, target_log_probs
from trainer.attribution.matrix import IntegratedGradients, Pair
from trainer.attribution.passes import Passes
from trainer.attribution.sources import sources_of
from trainer.models.load import load_model
from trainer.runtime.environment import environment, git_commit
from trainer.runtime.files import write_json
from trainer.runtime.hardware import peak_memory

ROOT = Path(__file__).resolve().parents[1]
STARTER = ROOT / "space" / "starter"
PREFIX = "summarize: "
TARGET_TOKENS = 30
LOOP_BATCH = 4  # points that the loop sends through together: the fastest of 1, 4 and 32 here


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", default=ALL, help="for example steps-starter")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="of the case steps-MODEL")
    parser.add_argument("--loop_rows", type=int, default=3, help="rows of the loop that are timed")
    parser.add_argument("--article", type=int, default=0, help="which text of the examples is read")
    parser.add_argument("--record", type=Path)
    args = parser.parse_args()
    if len(args.case) > 1:  # so that each has its own peak of memory
        flags = {"repeats": args.repeats, "steps": args.steps, "loop_rows": args.loop_rows, "article": args.article}
        flags |= {"record": args.record} if args.record else {}
        own = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
        for case in args.case:
            subprocess.run([sys.executable, "-m", "tests.bench_attribution", *own, "--case", case], check=True)
        return
    torch.set_num_threads(1)
    (case,) = args.case
    kind, _, name = case.partition("-")
    args.repeats = 1 if name == "t5-small" else args.repeats
    model, pair, limit = _model_and_pair(name, args.article)
    result = {"source_tokens": len(pair.source.ids), "target_tokens": len(pair.target.ids)}
    result |= CASES[kind](model, pair, limit, args)
    command = typed("tests.bench_attribution")
    result |= {"commit": git_commit(), "environment": environment(), "command": command}
    print(case, json.dumps({key: value for key, value in result.items() if key != "environment"}, indent=1), flush=True)
    if args.record:
        kept = json.loads(args.record.read_text("utf-8")) if args.record.is_file() else {}
        args.record.parent.mkdir(parents=True, exist_ok=True)
        write_json(args.record, dict(sorted((kept | {case: result}).items())))


def _model_and_pair(name: str, article: int) -> tuple[Any, Pair, int]:
    model, tokenizer, _ = load_model(STARTER)
    limit = 448 if name == "starter" else 512
    if name == "t5-small":
        torch.manual_seed(0)
        shapes = {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8, "vocab_size": 32128}
        model = T5ForConditionalGeneration(T5Config(**shapes, decoder_start_token_id=0)).eval()
    texts = [row["article"] for row in json.loads((ROOT / "space" / "examples.json").read_text("utf-8"))]
    text = " ".join(texts[article:] + texts[:article])
    words = text.split()
    count = next(n for n in range(len(words)) if len(tokenizer(" ".join(words[: n + 1])).input_ids) > TARGET_TOKENS)
    summary = " ".join(words[:count])  # the article's first words, as the starter would choose them
    return model, Pair.read(Passes(model), tokenizer, text, summary, prefix=PREFIX, max_source_length=limit), limit


def _loop_row(model: Any, pair: Pair, token: int, n_steps: int, method: str = "gausslegendre") -> np.ndarray:
    """One row of the usual loop: Captum, and a decoder that is given the tokens before this one."""
    ids = torch.tensor([pair.source.ids])
    labels = torch.tensor([pair.target.ids[: token + 1]])

    def forward(ids, mask, labels):
        return target_log_probs(model, ids, mask, labels)[:, -1]

    found = LayerIntegratedGradients(forward, model.encoder.embed_tokens).attribute(
        ids,
        baselines=torch.full_like(ids, model.config.pad_token_id),
        additional_forward_args=(torch.ones_like(ids), labels),
        n_steps=n_steps,
        method=method,
        internal_batch_size=LOOP_BATCH,
    )
    return found.detach().sum(-1)[0].numpy()


def _sampled(pair: Pair, count: int) -> list[int]:
    return np.linspace(0, len(pair.target.ids) - 1, count).round().astype(int).tolist()


def _alternate(
    repeats: int, clock: Callable[[], float] = time.process_time, **ways: Callable[[], Any]
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = clock()
            way()
            seconds[name].append(clock() - start)
    return seconds


def _times(seconds: list[float], scale: float = 1.0) -> dict[str, Any]:
    scaled = [scale * one for one in seconds]
    return {"median": statistics.median(scaled), "range": [min(scaled), max(scaled)], "repeats": len(scaled)}


def _check(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference as a part of the largest value; ends the script above 1e-4."""
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    if difference > 1e-4:
        raise SystemExit(f"The two ways differ by {difference:.2e} of the largest value: nothing is timed.")
    return difference


def steps(model, pair: Pair, limit: int, args) -> dict[str, Any]:
    rows, loop = _sampled(pair, args.loop_rows), frozen_copy(model)
    few = IntegratedGradients(n_steps=2).attribute(pair, [[rows[-1]]]).scores[0]
    difference = _check(few, _loop_row(loop, pair, rows[-1], 2))
    method = IntegratedGradients(n_steps=args.steps)
    seconds = _alternate(
        args.repeats,
        matrix=lambda: method.attribute(pair),
        loop=lambda: [_loop_row(loop, pair, row, args.steps) for row in rows],
    )
    return _compared(seconds, len(pair.target.ids) / len(rows)) | {
        "steps": args.steps,
        "difference": difference,
        "loop_rows_timed": len(rows),
        "bar": 3.0,
    }


def complete(model, pair: Pair, limit: int, args) -> dict[str, Any]:
    rows, loop = _sampled(pair, args.loop_rows), frozen_copy(model)
    kept: list = []
    (taken,) = _alternate(1, matrix=lambda: kept.append(IntegratedGradients().attribute(pair))).values()
    matrix = kept[0]
    needed = next(
        n
        for n in (16, 32, 64, 128, 256, 512)
        if n == 512 or IntegratedGradients(n_steps=n).attribute(pair, [[row] for row in rows]).converged.all()
    )
    difference = _check(
        IntegratedGradients(n_steps=2).attribute(pair, [[rows[0]]]).scores[0], _loop_row(loop, pair, rows[0], 2)
    )
    seconds = _alternate(args.repeats, loop=lambda: [_loop_row(loop, pair, row, 4) for row in rows])
    scale = needed / 4 * len(pair.target.ids) / len(rows)
    return _compared({"matrix": taken, "loop": seconds["loop"]}, scale) | {
        "converged": float(matrix.converged.mean()),
        "steps": {"mean": float(matrix.n_steps.mean()), "most": int(matrix.n_steps.max())},
        "loop_steps": needed,
        "loop_steps_timed": 4,
        "loop_rows_timed": len(rows),
        "difference": difference,
        "bar": 8.0,
    }


def whole(model, pair: Pair, limit: int, args) -> dict[str, Any]:
    def today(n_steps: int = 32):
        return integrated_gradients(
            model, pair.tokenizer, pair.article, pair.summary, prefix=PREFIX, max_source_length=limit, n_steps=n_steps
        )

    middle = IntegratedGradients(n_steps=2, method="riemann_middle")
    difference = _check(middle.attribute(pair, pair.whole).scores[0], np.array(today(2).scores))
    equal = IntegratedGradients(n_steps=32, method="riemann_middle")
    found = IntegratedGradients().attribute(pair, pair.whole)
    seconds = _alternate(
        args.repeats,
        matrix=lambda: IntegratedGradients().attribute(pair, pair.whole),
        equal_steps=lambda: equal.attribute(pair, pair.whole),
        loop=today,
    )
    return _compared(seconds, 1.0) | {
        "equal_steps_seconds": _times(seconds["equal_steps"]),
        "steps": int(found.n_steps[0]),
        "completeness_error": float(found.completeness_errors[0]),
        "loop_steps": 32,
        "loop_completeness_error": today().completeness_error,
        "difference": difference,
        "bar": 2.5,
    }


def row(model, pair: Pair, limit: int, args) -> dict[str, Any]:
    words = _sampled(pair, args.loop_rows)
    last = len(pair.summary.split()) - 1
    steps: list[int] = []

    def first(word: int) -> Callable[[], None]:
        def click() -> None:
            fresh = Pair.read(
                Passes(model), pair.tokenizer, pair.article, pair.summary, prefix=PREFIX, max_source_length=limit
            )
            steps.append(sources_of(fresh, word).n_steps)

        return click

    ways = {f"word {word}": first(min(word, last)) for word in words}
    seconds = _alternate(args.repeats, **ways).values()
    torch.set_num_threads(os.cpu_count() or 1)
    by_clock = _alternate(args.repeats, time.perf_counter, **ways).values()
    return {
        "seconds": _times(list(chain(*seconds))),
        "clock_seconds": _times(list(chain(*by_clock))) | {"threads": torch.get_num_threads()},
        "steps": sorted(set(steps)),
        "bar_seconds": 3.0,
    }


def memory(model, pair: Pair, limit: int, args) -> dict[str, Any]:
    before = peak_memory(torch.device("cpu"))
    text = " ".join([pair.article] * 20)
    long = Pair.read(pair.passes, pair.tokenizer, text, pair.summary, prefix=PREFIX, max_source_length=5000)
    seconds = _alternate(1, one=lambda: IntegratedGradients(n_steps=1).attribute(long, [[0]]))["one"]
    return {
        "source_tokens": len(long.source.ids),
        "seconds_a_step": seconds[0],
        "peak_bytes_before": before,
        "peak_bytes": peak_memory(torch.device("cpu")),
        "bar_bytes": 4 << 30,
    }


def _compared(seconds: dict[str, list[float]], scale: float) -> dict[str, Any]:
    ours, theirs = _times(seconds["matrix"]), _times(seconds["loop"], scale)
    return {"seconds": ours, "loop_seconds": theirs, "ratio": theirs["median"] / ours["median"]}


CASES = {"steps": steps, "complete": complete, "whole": whole, "row": row, "memory": memory}
ALL = [f"{kind}-starter" for kind in CASES] + [f"{kind}-t5-small" for kind in CASES if kind != "complete"]

if __name__ == "__main__":
    main()
