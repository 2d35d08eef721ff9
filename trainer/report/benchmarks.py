"""What benchmarks found, from a record: `python -m trainer.report.benchmarks trainer/records/bench/decoding.json`."""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure as Drawing

from trainer.report.plots import SERIES, SOFT, WIDTH, picture, standalone
from trainer.report.tables import Table, markdown_table
from trainer.runtime.figures import ABSENT
from trainer.runtime.files import write_atomically


def decoding_table(record: dict[str, Any]) -> Table:
    """Models and kinds of decoding × engines: the median seconds, and how many times as fast as the first engine.

    Args:
        record: what `python -m tests.bench_decoding --record` writes.
    """
    runs = [run for run in record["runs"] if "engines" in run]
    engines = list(dict.fromkeys(name for run in runs for name in run["engines"]))
    rows = []
    for run in runs:
        cells = []
        for name in engines:
            found = run["engines"].get(name)
            cells.append(f"{found['seconds']:.2f} s ({found['times_transformers']:.1f}×)" if found else ABSENT)
        rows.append([f"{run['model']}, {run['case']}", *cells])
    return Table(["Seconds", *engines], rows)


def first_token_sentence(record: dict[str, Any]) -> str:
    """How long a reader of a stream waits for its first token, beside the encoder's time."""
    parts = [
        f"{run['first_token']:.2f} s with {run['model']} ({run['times_the_encoder']:.2f} × the encoder's time)"
        for run in record["runs"]
        if "first_token" in run
    ]
    return f"The first streamed token comes after {' and '.join(parts)}." if parts else ""


def quality_sentence(record: dict[str, Any]) -> str:
    """What each int8 changes in the summaries of real articles."""
    found = record["quality"]
    scores = {
        name: "/".join(f"{values[kind]:.2f}" for kind in ("rouge1", "rouge2", "rougeL"))
        for name, values in found["rouge_f1"].items()
    }
    parts = [f"{same} of {found['n']} with {name} ({scores[name]})" for name, same in found["unchanged"].items()]
    return (
        f"Of the summaries that the starter writes of XSum test articles, word for word those of fp32 (ROUGE-1/2/L "
        f"{scores['fp32']}) are {' and '.join(parts)}."
    )


def serving_sentence(record: dict[str, Any], crowd: dict[str, Any]) -> str:
    """What many clients get from the demo: 20 of them beside an earlier commit, and 50 for two minutes.

    Args:
        record, crowd: what `python -m tests.bench_serving --record` writes, with and without `--before`.
    """
    rounds = {name: record[name]["rounds"] for name in "AB"}
    rates = {name: statistics.mean(one["summaries_a_second"] for one in several) for name, several in rounds.items()}
    (many,) = crowd["B"]["rounds"]
    return (
        f"{record['clients']} clients that ask at once get {rates['B']:.1f} summaries a second, "
        f"{record['times_as_many']:.1f} times as many as at commit {record['A']['commit'][:7]} ({rates['A']:.1f}); "
        f"{crowd['clients']} get {many['summaries_a_second']:.1f} for {many['seconds']:.0f} s, with {many['errors']} "
        f"errors, half of them within {many['p50_s']:.1f} s and 95% within {many['p95_s']:.1f} s, and the server's "
        f"memory goes from {many['memory_mb']['middle']:,} MB after half of the time to {many['memory_mb']['end']:,}."
    )


def waiting_sentence(record: dict[str, Any]) -> str:
    """What a visitor waits for a summary while another one's explanation is computed.

    Args:
        record: what `python -m tests.bench_waiting --record` writes.
    """
    alone, beside = record["A"], record["B"]
    return (
        f"A summary comes after {alone['p50_s']:.2f} s (median; 95% within {alone['p95_s']:.2f} s), and after "
        f"{beside['p50_s']:.2f} s ({beside['p95_s']:.2f} s) while another visitor's explanation is computed, which "
        f"takes {record['explanation_s']:.0f} s."
    )


def attribution_sentence(record: dict[str, Any]) -> str:
    """How long the starter's attributions take, beside Captum's.

    Args:
        record: what `python -m tests.bench_attribution --record` writes.
    """
    whole, steps, complete, row = (record[f"{case}-starter"] for case in ("whole", "steps", "complete", "row"))
    return (
        f"The scores of a whole summary by space/starter ({whole['source_tokens']} tokens of the article) take "
        f"{whole['seconds']['median']:.1f} s of one core, {whole['ratio']:.1f} times less than Captum's at "
        f"{whole['loop_steps']} steps with the same error; the matrix of its {steps['target_tokens']} tokens takes "
        f"{steps['ratio']:.1f} times less than a run of Captum for each at equal steps, {complete['ratio']:.1f} times "
        f"less at equal completeness; a clicked word {row['seconds']['median']:.1f} s, and "
        f"{row['clock_seconds']['median']:.1f} s by the clock with {row['clock_seconds']['threads']} threads."
    )


def start_sentence(record: dict[str, Any]) -> str:
    """How long the demo takes to its first page and summary.

    Args:
        record: what `python -m tests.bench_start --record` writes.
    """
    found = record["B"]
    return (
        f"`app.py` shows its first page after {found['first_page_s']['median']:.1f} s and its first summary after "
        f"{found['first_summary_s']['median']:.1f} s, and takes {found['peak_memory_mb']['median']:.0f} MB."
    )


def training_sentence(record: dict[str, Any]) -> str:
    """How many real tokens a second are trained on, beside the stock loop.

    Args:
        record: what `python -m tests.bench_training --record` writes.
    """
    ours, stock = (record[name]["real_tokens_a_second"]["all"] for name in "BA")
    return (
        f"A training of {record['parameters'] / 1e6:.1f} million parameters reads {ours:,} real tokens a second, "
        f"{record['times_as_many']:.1f} times as many as a loop that takes batches as they come ({stock:,}), and "
        f"{record['articles_tokenised_a_second']:,.0f} articles a second are tokenised."
    )


def lengths_table(record: dict[str, Any]) -> Table:
    """Lengths of the article × seconds of the encoder, of a summary, and memory: ours and transformers'.

    Args:
        record: what `python -m tests.bench_lengths --record` writes.
    """
    points = {(point["engine"], point["source_tokens"]): point for point in record["points"]}
    rows = []
    for length in dict.fromkeys(point["source_tokens"] for point in record["points"]):
        ours, theirs = points["ours", length], points["transformers", length]
        cells = [
            f"{ours[name]:.2f} / {theirs[name]:.2f}"
            if name != "memory_mb"
            else f"{ours[name]:.0f} / {theirs[name]:.0f}"
            for name in ("encoder_seconds", "whole_seconds", "memory_mb")
        ]
        rows.append([f"{length:,}", *cells])
    return Table(["Source tokens", "Encoder, s", "Summary, s", "Memory, MB"], rows)


def lengths_sentence(record: dict[str, Any]) -> str:
    """What becomes of time and memory with the length, and why."""
    ours = [point for point in record["points"] if point["engine"] == "ours"]
    first, middle, last = ours[0], ours[len(ours) // 2], ours[-1]
    parts = [
        f"{one['whole_seconds']:.1f} s and {one['memory_mb']:,.0f} MB beside the model "
        f"at {one['source_tokens']:,} tokens"
        for one in (first, middle, last)
    ]
    return (
        f"With the article's length a summary by {record['model']} grows from {parts[0]} to {parts[1]} and {parts[2]}: "
        "at first its steps take most, which do not depend on the length, then the matrices of the encoder, in "
        "proportion to it, and from some two thousand tokens the attention of each token to each, with its square."
    )


def lengths_drawing(record: dict[str, Any]) -> str:
    """SVG: seconds and memory by the length of the article, both axes logarithmic, with lines of slope 1 and 2."""

    def draw() -> Drawing:
        figure = Drawing(figsize=(WIDTH, 3.2))
        panels = figure.subplots(1, 2)
        figure.subplots_adjust(wspace=0.25)
        titles = {"whole_seconds": "Seconds a summary", "memory_mb": "Memory, MB"}
        for panel, (name, title) in zip(panels, titles.items(), strict=True):
            for color, engine in zip(SERIES, ("ours", "transformers"), strict=False):
                points = [point for point in record["points"] if point["engine"] == engine and point[name] > 0]
                lengths, values = [one["source_tokens"] for one in points], [one[name] for one in points]
                panel.plot(lengths, values, "o-", color=color, label=engine, linewidth=1.8, markersize=5)
            for slope, style in ((1, ":"), (2, "--")):
                ends = [values[-1] / (lengths[-1] / length) ** slope for length in (lengths[0], lengths[-1])]
                name_of = "grows with the length" if slope == 1 else "grows with its square"
                panel.plot([lengths[0], lengths[-1]], ends, style, color=SOFT, linewidth=1, label=name_of)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            panel.set_xticks(lengths, [f"{length:,}" for length in lengths])
            panel.set_title(title)
            panel.set_xlabel("source tokens")
            panel.grid()
        panels[0].legend()
        return figure

    return standalone(picture("lengths", draw))


def main(argv: list[str] | None = None) -> int:
    """Prints what README shows of a record, in Markdown, and draws its plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path, help="JSON that tests/bench_decoding.py or tests/bench_lengths.py wrote")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="of a record of lengths")
    args = parser.parse_args(argv)
    record = json.loads(args.record.read_text("utf-8"))
    if "points" in record:
        print(markdown_table(lengths_table(record)))
        if args.plot:
            write_atomically(args.plot, lengths_drawing(record) + "\n")
        return 0
    print(markdown_table(decoding_table(record)))
    print(first_token_sentence(record))
    print(quality_sentence(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
