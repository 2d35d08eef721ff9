"""Time, completeness error and memory of integrated gradients for a model folder, over steps and quadratures.

    python -m tests.attribution.bench_attribution MODEL --articles FILE.jsonl [--n 8] [--steps 8 16 32 64] [--threads 2]

Every setting is run on every article in turn, the whole round `--repeats` times, so that a busy machine slows all
settings alike. Lines of FILE hold `document` and `summary` (the smoke recipe's by default). Printed for each setting:
the median seconds an article; the median and the largest completeness error; and the median distance of the scores
from those at `--reference` steps, Σ|a − r| / Σ|r|, since errors of single scores may cancel in the sum.
"""

import argparse
import json
import resource
import statistics
import time
from itertools import product
from pathlib import Path

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from tests.tiny import SMOKE
from trainer.attribution.gradients import integrated_gradients


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a T5 and its tokenizer")
    parser.add_argument("--articles", type=Path, default=SMOKE / "train.jsonl")
    parser.add_argument("--n", type=int, default=8, help="articles taken from the top of the file")
    parser.add_argument("--steps", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--methods", nargs="+", default=["riemann_middle", "gausslegendre"])
    parser.add_argument("--internal_batch_sizes", type=int, nargs="+", default=[0], help="0: the default")
    parser.add_argument("--reference", type=int, default=0, help="steps (Gauss-Legendre); 0 leaves it out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--prefix", default="summarize: ")
    parser.add_argument("--max_source_length", type=int, default=1024)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    model = AutoModelForSeq2SeqLM.from_pretrained(args.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    lines = args.articles.read_text("utf-8").splitlines()[: args.n]
    pairs = [(row["document"], row["summary"]) for row in map(json.loads, lines)]
    settings = list(product(args.methods, args.steps, args.internal_batch_sizes))

    def explain(pair, method, n_steps, internal_batch_size=0):
        return integrated_gradients(
            model,
            tokenizer,
            *pair,
            prefix=args.prefix,
            max_source_length=args.max_source_length,
            n_steps=n_steps,
            method=method,
            internal_batch_size=internal_batch_size or None,
        )

    references = [explain(pair, "gausslegendre", args.reference).scores for pair in pairs if args.reference]
    seconds = {setting: [[] for _ in pairs] for setting in settings}
    results = {setting: [] for setting in settings}
    for repeat, (index, pair), setting in product(range(args.repeats), enumerate(pairs), settings):
        start = time.perf_counter()
        result = explain(pair, *setting)
        seconds[setting][index].append(time.perf_counter() - start)
        if repeat == 0:
            results[setting].append(result)

    read = [result.tokens_read for result in results[settings[0]]]
    print(
        f"{args.model}: {model.num_parameters() / 1e6:.1f} M parameters, {len(pairs)} articles of "
        f"{min(read)}–{max(read)} tokens, {args.threads} threads"
    )
    print(f"{'method':<18}{'steps':>6}{'batch':>6}{'s':>8}{'error':>9}{'worst':>9}{'distance':>10}")
    for setting in settings:
        method, n_steps, batch = setting
        errors = [result.completeness_error for result in results[setting]]
        distances = [
            sum(abs(a - r) for a, r in zip(result.scores, reference, strict=True)) / sum(map(abs, reference))
            for result, reference in zip(results[setting], references, strict=bool(references))
        ]
        typical = statistics.median(statistics.median(times) for times in seconds[setting])
        distance = f"{statistics.median(distances):10.2%}" if distances else f"{'–':>10}"
        print(
            f"{method:<18}{n_steps:>6}{batch or 'auto':>6}{typical:>8.2f}{statistics.median(errors):>9.2%}"
            f"{max(errors):>9.2%}{distance}"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
