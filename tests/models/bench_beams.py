"""Seconds of beam search with transformers' own cache and with the trainer's, which leaves the source where it is.

    python -m tests.models.bench_beams MODEL --articles FILE.jsonl [--n 16] [--beams 4 8] [--threads 1]

Both decode the same batch in turn, `--repeats` times, after a first round that is not counted; the tokens must be equal
or it says so and stops. Lines of FILE hold `document` (the smoke recipe's by default).
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from tests.tiny import SMOKE
from trainer.models.beam_cache import beam_cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a T5 and its tokenizer")
    parser.add_argument("--articles", type=Path, default=SMOKE / "train.jsonl")
    parser.add_argument("--n", type=int, default=16, help="articles taken from the top of the file, one batch")
    parser.add_argument("--beams", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--max_source_length", type=int, default=448)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    model = AutoModelForSeq2SeqLM.from_pretrained(args.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    lines = args.articles.read_text("utf-8").splitlines()[: args.n]
    texts = ["summarize: " + json.loads(line)["document"] for line in lines]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=args.max_source_length)
    print(f"{args.model}: {len(texts)} articles of up to {inputs['input_ids'].shape[1]} tokens, {args.threads} threads")
    print(f"{'beams':>5}{'plain s':>10}{'ours s':>10}{'times':>8}")
    for beams in args.beams:
        generation = GenerationConfig.from_model_config(model.config)
        generation.update(num_beams=beams, min_new_tokens=20, max_new_tokens=64, no_repeat_ngram_size=3)
        seconds: dict[str, list[float]] = {"plain": [], "ours": []}
        written = {}
        for _ in range(args.repeats + 1):
            for name in seconds:
                cache = beam_cache(model, generation) if name == "ours" else {}
                start = time.perf_counter()
                with torch.inference_mode():
                    written[name] = model.generate(**inputs, generation_config=generation, **cache)
                seconds[name].append(time.perf_counter() - start)
            if not torch.equal(*written.values()):
                raise SystemExit(f"the two caches wrote different tokens at {beams} beams")
        plain, ours = (statistics.median(times[1:]) for times in seconds.values())
        print(f"{beams:>5}{plain:>10.2f}{ours:>10.2f}{plain / ours:>8.2f}")


if __name__ == "__main__":
    main()
