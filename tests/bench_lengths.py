"""How long a summary takes, and how much memory, by the length of the article: 128 to 8,192 tokens.

    python -m tests.bench_lengths [--model t5-small-shapes] [--repeats 3] [--threads 1] [--clock cpu] [--record]

Each length has a process of its own, which encodes an article of random tokens and writes `NEW_TOKENS` tokens greedily
in fp32: ours and, for comparison, transformers' `generate`. Seconds of the encoder alone are taken too; memory is the
resident memory of the process at its highest, less what it was before the first article. The record is
trainer/records/bench/lengths.json; table and plot are drawn from it by `python -m trainer.report.benchmarks`.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
from typing import Any

import torch
from transformers import GenerationConfig

from tests.bench_decoding import CLOCKS, NEW_TOKENS, about, build
from trainer.models.t5_decoding import Decoding, decode
from trainer.models.t5_network import T5Network
from trainer.runtime.files import write_json
from trainer.settings.base import ROOT

RECORD = ROOT / "trainer" / "records" / "bench" / "lengths.json"
LENGTHS = [128, 256, 512, 1024, 2048, 4096, 8192]
LONGEST_OFTEN = 2048  # longer ones are taken once
ENGINES = ("ours", "transformers")


def measure(model_name: str, engine: str, length: int, repeats: int, threads: int, clock_name: str) -> dict[str, Any]:
    """Median seconds of the whole and of the encoder, and MB at the most; in a process of its own."""
    torch.set_num_threads(threads)
    clock, model = CLOCKS[clock_name], build(model_name)
    most = min(model.config.vocab_size, 7000)
    ids = torch.randint(5, most, (1, length), generator=torch.Generator().manual_seed(1))
    settings = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "num_beams": 1}
    config = GenerationConfig(**settings, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS)
    network = T5Network(model)

    @torch.inference_mode()
    def encode() -> None:
        if engine == "ours":
            network.read(ids.tolist(), 1, NEW_TOKENS)
        else:
            model.encoder(input_ids=ids)

    @torch.inference_mode()
    def whole() -> list[int]:
        if engine == "ours":
            return decode(network, ids.tolist(), Decoding.of(config), torch.Generator())[0][0].ids
        found = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)
        return found[0, 1:].tolist()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tokens = whole()  # not counted
    seconds: dict[str, list[float]] = {"encoder": [], "whole": []}
    for _ in range(repeats if length <= LONGEST_OFTEN else 1):
        for name, run in (("encoder", encode), ("whole", whole)):
            began = clock()
            run()
            seconds[name].append(clock() - began)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {
        "engine": engine,
        "source_tokens": length,
        **{f"{name}_seconds": round(statistics.median(taken), 4) for name, taken in seconds.items()},
        "memory_mb": round(memory, 1),
        "tokens": tokens,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["t5-small-shapes", "space/starter"], default="t5-small-shapes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="what seconds are counted")
    parser.add_argument("--record", action="store_true", help=f"keep the figures in {RECORD.relative_to(ROOT)}")
    args = parser.parse_args()
    points = []
    for length in LENGTHS:
        pair = []
        for engine in ENGINES:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                pair.append(pool.apply(measure, (args.model, engine, length, args.repeats, args.threads, args.clock)))
        if pair[0]["tokens"] != pair[1]["tokens"]:
            raise SystemExit(f"at {length} tokens ours does not write what transformers writes")
        for point in pair:
            del point["tokens"]
            print(json.dumps(point), flush=True)
        points += pair
    if args.record:
        record = {"model": args.model, "new_tokens": NEW_TOKENS, "clock": args.clock, "repeats": args.repeats}
        write_json(RECORD, record | about(args.threads, "tests.bench_lengths") | {"points": points})


if __name__ == "__main__":
    main()
