"""Tokens a second of a training step as ours goes, and as the stock example script of transformers has it.

    python -m tests.bench_training --articles FILE.jsonl [--model trainer/base] [--rounds 6] [--steps 4] [--record FILE]

A is the stock loop: batches drawn at random, padded to the longest, AdamW one tensor after the other. B is ours: like
lengths together, AdamW fused. Both in fp32, batches of 8, from the same weights; they take turns, `--steps` steps a
round, after a first round that is not counted. Only real tokens count: those of articles and summaries, no padding.
Before, both must give one batch the same loss. Measured too: how many articles a second are tokenised.
Lines of FILE hold `document` and `summary`.
"""

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from tests.bench_decoding import command as typed
from trainer.data.sampling import LengthGroupedSampler, ShuffledSampler
from trainer.data.splits import Example
from trainer.data.tokens import SummarizationDataset, collator
from trainer.models.load import load_model
from trainer.runtime.environment import environment, git_commit
from trainer.runtime.files import write_json

BATCH_SIZE = 8


class Loop:
    """One way of training: its order of the pairs, its optimizer, and a model of its own."""

    def __init__(self, model, data: SummarizationDataset, collate, order: torch.utils.data.Sampler, **optimizer):
        self.model, self.data, self.collate = copy.deepcopy(model).train(), data, collate
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=2e-5, **optimizer)
        self.batches = self._batches(order)

    def _batches(self, order: torch.utils.data.Sampler) -> Iterator[list[int]]:
        epoch = 0
        while True:
            order.set_epoch(epoch)
            rows = list(order)
            for start in torch.randperm(len(rows) // BATCH_SIZE, generator=torch.Generator().manual_seed(epoch)):
                yield rows[start * BATCH_SIZE : (start + 1) * BATCH_SIZE]
            epoch += 1

    def loss(self, rows: list[int]) -> tuple[torch.Tensor, int, int]:
        """(Loss, real tokens, tokens with padding) of a batch."""
        batch = self.collate([self.data[row] for row in rows])
        real = int(batch["attention_mask"].sum() + (batch["labels"] != -100).sum())
        return self.model(**batch).loss, real, batch["input_ids"].numel() + batch["labels"].numel()

    def run(self, steps: int) -> tuple[float, int, int]:
        """(Seconds, real tokens, tokens with padding) of so many steps."""
        start, real, padded = time.perf_counter(), 0, 0
        for _ in range(steps):
            loss, tokens, with_padding = self.loss(next(self.batches))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            real, padded = real + tokens, padded + with_padding
        return time.perf_counter() - start, real, padded


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path, required=True)
    parser.add_argument("--model", default="trainer/base", help="folder of a T5")
    parser.add_argument("--max_source_length", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--record", type=Path)
    args = parser.parse_args()

    model, tokenizer, _ = load_model(args.model)
    rows = [json.loads(line) for line in args.articles.read_text("utf-8").splitlines()]
    examples = [Example(str(number), row["document"], row["summary"]) for number, row in enumerate(rows)]
    start = time.perf_counter()
    limits = {"max_source_length": args.max_source_length, "max_target_length": 128}
    data = SummarizationDataset(examples, tokenizer, prefix="summarize: ", **limits)
    tokenised = len(examples) / (time.perf_counter() - start)

    collate = collator(tokenizer)
    loops = {
        "A": Loop(model, data, collate, ShuffledSampler(len(data), 0), foreach=False),
        "B": Loop(model, data, collate, LengthGroupedSampler(data.source_lengths, BATCH_SIZE), fused=True),
    }
    losses = []
    for loop in loops.values():
        loop.model.eval()  # without dropout, which draws other numbers each time
        with torch.inference_mode():
            losses.append(loop.loss(list(range(BATCH_SIZE)))[0].item())
        loop.model.train()
    if abs(losses[0] - losses[1]) > 1e-5:
        raise SystemExit(f"the two give one batch different losses: {losses}")
    found: dict[str, list[tuple[float, int, int]]] = {name: [] for name in loops}
    for _ in range(args.rounds + 1):
        for name, loop in loops.items():
            found[name].append(loop.run(args.steps))
    record = {
        "command": typed("tests.bench_training"),
        "commit": git_commit(),
        "environment": environment(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "batch_size": BATCH_SIZE,
        "source_tokens": {"mean": float(data.source_lengths.mean()), "greatest": int(data.source_lengths.max())},
        "articles_tokenised_a_second": round(tokenised, 1),
        "rounds": args.rounds,
    }
    for name, runs in found.items():
        rates = sorted(real / seconds for seconds, real, _ in runs[1:])
        record[name] = {
            "real_tokens_a_second": {
                "median": round(statistics.median(rates)),
                "least": round(rates[0]),
                "greatest": round(rates[-1]),
                "all": round(sum(run[1] for run in runs[1:]) / sum(run[0] for run in runs[1:])),
            },
            "padding_share": round(1 - sum(run[1] for run in runs[1:]) / sum(run[2] for run in runs[1:]), 3),
        }
        print(f"{name}: {json.dumps(record[name])}")
    record["times_as_many"] = round(
        record["B"]["real_tokens_a_second"]["all"] / record["A"]["real_tokens_a_second"]["all"], 2
    )
    print(
        f"{record['times_as_many']} times as many; {record['articles_tokenised_a_second']} articles tokenised a second"
    )
    if args.record:
        write_json(args.record, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
