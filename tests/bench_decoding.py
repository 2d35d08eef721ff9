"""Seconds to write summaries: transformers' `generate`, our loop in its number formats, and CTranslate2.

    python -m tests.bench_decoding --model t5-small-shapes --case greedy [--threads 2] [--repeats 7] [--record]
    python -m tests.bench_decoding --quality XSUM.jsonl [--n 150] [--record]

All engines write the same number of tokens of the same articles (random ids) from the same weights, in turn, one round
after another, after a first that is not counted; before the timing, our fp32 tokens must be those of `generate`, and
every engine must write as many as it is asked for. Where two beams are equally good to 1e-4, either may come first.
Printed and, with `--record`, kept in trainer/records/bench/decoding.json: the median, the fastest and the slowest round
of each engine, and how often transformers' median holds ours. CTranslate2 takes part where it is installed
(`pip install ctranslate2`); it is no requirement of the project.

With `--quality` the shipped model writes summaries of real articles in fp32 and in each int8, greedily: how many are
the same, and what ROUGE says of each. Lines of the file hold `document` and `summary`.

Time it on an idle machine: with other work beside it, two threads wait for each other at every operator. Where there is
none, `--clock cpu --threads 1` counts the seconds of a core that the process really gets.
"""

import argparse
import datetime
import json
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, GenerationConfig, T5Config, T5ForConditionalGeneration

from trainer.metrics.rouge import rouge
from trainer.models.ctranslate2_decoding import CTranslate2Decoder
from trainer.models.load import load_model
from trainer.models.t5_decoding import Decoding, decode, stream
from trainer.models.t5_network import T5Network
from trainer.runtime.files import write_atomically
from trainer.settings.base import ROOT
from trainer.summarizers.seq2seq import Seq2SeqSummarizer

RECORD = ROOT / "trainer" / "records" / "bench" / "decoding.json"
STARTER = ROOT / "space" / "starter"
NEW_TOKENS = 40
T5_SMALL = {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_heads": 8, "num_layers": 6, "num_decoder_layers": 6}
MODELS = {"t5-small-shapes": 512, "space/starter": 448}  # and how many tokens an article has
CASES = {"greedy": (1, 1), "beam 4": (1, 4), "batch 8": (8, 1)}  # articles and beams
FIRST_TOKEN = "first token"

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

QUALITY = ("fp32", "int8", *(("ctranslate2-int8",) if find_spec("ctranslate2") else ()))  # number formats

Engine = Callable[[], list[list[int]]]


def build(name: str) -> T5ForConditionalGeneration:
    """t5-small's shapes with random weights: what is written means nothing, but costs what it costs."""
    if name != "t5-small-shapes":
        return load_model(ROOT / name)[0]
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(
        T5Config(vocab_size=32128, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, **T5_SMALL)
    )
    for stack in (model.encoder, model.decoder):  # else the first token is written again and again
        for block in stack.block:
            torch.nn.init.normal_(block.layer[0].SelfAttention.v.weight, std=0.1)
    return model.eval()


def engines(model: T5ForConditionalGeneration, texts: list[list[int]], beams: int) -> dict[str, Engine]:
    """Name → function that writes `NEW_TOKENS` tokens of each text."""
    settings = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "num_beams": beams}
    config = GenerationConfig(**settings, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS)
    inputs, mask = torch.tensor(texts), torch.ones(len(texts), len(texts[0]), dtype=torch.long)

    def library() -> list[list[int]]:
        with torch.inference_mode():
            found = model.generate(input_ids=inputs, attention_mask=mask, generation_config=config)
        return found[:, 1:].tolist()

    def ours(number_format: str) -> Engine:
        network, decoding = T5Network(model, number_format), Decoding.of(config)
        return lambda: [one.ids for (one,) in decode(network, texts, decoding, torch.Generator())]

    def other() -> list[list[int]]:
        return [one.ids for (one,) in decoder.decode(texts, decoding)]

    found = {"transformers fp32": library} | {f"ours {name}": ours(name) for name in ("fp32", "int8")}
    if find_spec("ctranslate2"):
        tokenizer = AutoTokenizer.from_pretrained(STARTER)  # any will do: the texts are ids, and ids come back
        decoder, decoding = CTranslate2Decoder(model, tokenizer, "ctranslate2-int8"), Decoding.of(config)
        found["CTranslate2 int8"] = other
    return found


def check(found: dict[str, list[list[int]]]) -> dict[str, float]:
    """For each engine the share of tokens that are those of transformers; ends the run where that can't be."""
    expected = found["transformers fp32"]
    shares = {}
    for name, texts in found.items():
        if [len(text) for text in texts] != [NEW_TOKENS] * len(expected):
            raise SystemExit(f"{name} wrote {[len(text) for text in texts]} tokens, not {NEW_TOKENS}")
        pairs = [pair for ours, theirs in zip(texts, expected, strict=True) for pair in zip(ours, theirs, strict=True)]
        shares[name] = round(sum(ours == theirs for ours, theirs in pairs) / len(pairs), 4)
    if shares["ours fp32"] < 1:
        raise SystemExit(f"our fp32 tokens are not those of transformers: {shares['ours fp32']:.1%} are")
    return shares


def quality(file: Path, n: int) -> dict[str, Any]:
    """Summaries by the shipped model in int8 beside those in fp32, over the first `n` articles of a file."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()[:n]]
    model, tokenizer, _ = load_model(STARTER)
    written, means = {}, {}
    for number_format in QUALITY:
        settings = {"num_beams": 1, "number_format": number_format}
        summarizer = Seq2SeqSummarizer(model, tokenizer, name="space/starter", generation=settings)
        written[number_format] = [one.text for one in summarizer.summarize([row["document"] for row in rows])]
        scores = rouge(written[number_format], [row["summary"] for row in rows])
        means[number_format] = {kind: round(100 * scores.mean(kind), 2) for kind in scores.values}
    same = {
        name: sum(ours == exact for ours, exact in zip(texts, written["fp32"], strict=True))
        for name, texts in written.items()
        if name != "fp32"
    }
    return {"file": file.name, "n": len(rows), "decoding": summarizer.decoding(), "unchanged": same, "rouge_f1": means}


def command(module: str) -> str:
    """What was typed to run a benchmark, files and folders by their names alone."""
    words = [Path(word).name if Path(word).parent.is_dir() else word for word in sys.argv[1:]]
    return shlex.join(["python", "-m", module, *words])


def about(threads: int, module: str = "tests.bench_decoding") -> dict[str, Any]:
    """Where, when and by which command something was measured."""
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    names = [line.split(":")[1].strip() for line in cpu.splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    packages = {}
    for package in ("torch", "transformers", "ctranslate2"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = None
    return {
        "processor": names[0] if names else platform.processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
        "versions": packages,
        "commit": commit.stdout.strip(),
        "command": command(module),
        "date": datetime.date.today().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="t5-small-shapes")
    parser.add_argument("--case", choices=(*CASES, FIRST_TOKEN), nargs="+", default=["greedy"])
    parser.add_argument("--quality", type=Path, metavar="FILE", help="JSON Lines with `document` and `summary`")
    parser.add_argument("--n", type=int, default=150, help="articles of that file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="what seconds are counted")
    parser.add_argument("--record", action="store_true", help=f"keep the figures in {RECORD.relative_to(ROOT)}")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.quality:
        found = quality(args.quality, args.n)
        print(json.dumps(found, indent=1))
        if args.record:
            keep({"quality": found | about(args.threads)})
        return
    model = build(args.model)
    for case in args.case:
        found = first_token(model, args) if case == FIRST_TOKEN else {"engines": measure(model, args, case)}
        if args.record:
            new_tokens = 1 if case == FIRST_TOKEN else NEW_TOKENS
            run = {
                "model": args.model,
                "case": case,
                "new_tokens": new_tokens,
                "source_tokens": MODELS[args.model],
                **about(args.threads),
                "clock": args.clock,
                "repeats": args.repeats,
                **found,
            }
            runs = json.loads(RECORD.read_text("utf-8")).get("runs", []) if RECORD.is_file() else []
            runs = [old for old in runs if (old["model"], old["case"]) != (args.model, case)]
            order = [(name, one) for name in MODELS for one in (*CASES, FIRST_TOKEN)]
            keep({"runs": sorted([*runs, run], key=lambda one: order.index((one["model"], one["case"])))})


def measure(model, args: argparse.Namespace, case: str) -> dict[str, dict[str, float]]:
    """Checks the engines on the articles of a case, then times them in turn; printed and returned by their names."""
    (articles, beams), name, clock = CASES[case], args.model, CLOCKS[args.clock]
    generator = torch.Generator().manual_seed(1)
    size = (articles, MODELS[name])
    texts = torch.randint(5, min(model.config.vocab_size, 7000), size, generator=generator).tolist()
    found = engines(model, texts, beams)
    shares = check({engine: write() for engine, write in found.items()})
    seconds: dict[str, list[float]] = {engine: [] for engine in found}
    for _ in range(args.repeats):
        for engine, write in found.items():
            start = clock()
            write()
            seconds[engine].append(clock() - start)
    base = statistics.median(seconds["transformers fp32"])
    rows = {}
    print(f"{name}, {case}")
    for engine, times in seconds.items():
        median = statistics.median(times)
        rows[engine] = {
            "seconds": round(median, 4),
            "fastest": round(min(times), 4),
            "slowest": round(max(times), 4),
            "times_transformers": round(base / median, 3),
            "same_tokens": shares[engine],
        }
        spread = f"[{min(times):.3f}, {max(times):.3f}]"
        print(f"{engine:<20}{median:>9.3f} s {spread}{base / median:>7.2f}× {shares[engine]:.1%}", flush=True)
    return rows


def first_token(model, args: argparse.Namespace) -> dict[str, float]:
    """Seconds to the first streamed token, and of those the encoder's alone (fp32, one article), and their ratio."""
    clock, network = CLOCKS[args.clock], T5Network(model)
    ids = torch.randint(5, 7000, (MODELS[args.model],), generator=torch.Generator().manual_seed(1)).tolist()
    config = GenerationConfig(pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, max_new_tokens=NEW_TOKENS)
    parts: dict[str, list[float]] = {"encoder": [], "first_token": []}
    for turn in range(args.repeats + 1):
        start = clock()
        with torch.inference_mode():
            network._encode([ids])
        middle = clock()
        next(stream(network, ids, Decoding.of(config), torch.Generator()))
        if turn:  # the first is not counted
            parts["encoder"].append(middle - start)
            parts["first_token"].append(clock() - middle)
    seconds = {name: round(statistics.median(times), 4) for name, times in parts.items()}
    found = {**seconds, "times_the_encoder": round(seconds["first_token"] / seconds["encoder"], 3)}
    print(f"{args.model}, {FIRST_TOKEN}: {found}", flush=True)
    return found


def keep(values: dict[str, Any]) -> None:
    """Puts `values` into the record, over what it holds under the same names."""
    record = json.loads(RECORD.read_text("utf-8")) if RECORD.is_file() else {}
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(RECORD, json.dumps(record | values, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
