"""The report as sections of text, tables and plots, made of results.json alone; and the same in Markdown and text.

Whoever has the record has the report: `markdown(Results.load(path))` is report.md to the letter.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer.metrics.error_classes import CLASSES
from trainer.metrics.rouge import PARTS
from trainer.report.tables import (
    F1,
    Table,
    any_evaluation,
    audit_model,
    cited_table,
    markdown_table,
    rate,
    score_table,
    title,
)
from trainer.runtime.durations import spoken
from trainer.runtime.figures import ABSENT, with_interval
from trainer.scoring.audit import LIMITS, search_name
from trainer.scoring.records import ROUGE_TITLES, Results, cell, data_name, text_table

_COUNTS = (
    "word_movers_distance",
    "summary_words",
    "reference_words",
    "source_words",
    "summary_tokens",
    "compression",
    "density",
    "joined_places",
)

EDGE_CASES = (
    "An empty prediction scores 0 on ROUGE, BLEU, chrF and overlap, is counted in `empty_share`, and is left out of "
    "means for which it has no value (compression, coverage, density, novel n-grams): their n says how many count.",
    "A prediction longer than its article is scored like any other, and counted in `overlong_share`.",
    "BLEU and chrF are scores of the whole corpus; their intervals resample the examples' counts.",
    "Of several references of an example the first counts.",
    "The oracle sees the references: it bounds what choosing sentences can reach. It and the references themselves are "
    "compared with nobody.",
)


@dataclass(frozen=True)
class Plot:
    """A picture by the name of its drawing in `trainer.report.plots`."""

    name: str
    about: str


@dataclass
class Section:
    """A heading and what stands under it: paragraphs (str), lists of them, tables and plots, in order."""

    title: str
    parts: list[str | list[str] | Table | Plot] = field(default_factory=list)


def sections(results: Results) -> list[Section]:
    """The whole report."""
    analysis = results.analysis
    made = [_summary(results)]
    if results.evaluations:
        made += [_scores(results), _compared(analysis), _all_rouge(results), _others(results)]
    if analysis.get("audit"):
        made.append(_audit(analysis["audit"]))
    if analysis.get("slices", {}).get("families"):
        made.append(_slices(analysis["slices"], analysis.get("bounds", [])))
    if results.evaluations:
        made += [_errors(results), _time(analysis)]
    made.append(_proof(results))
    return [one for one in made if one.parts]


def _summary(results: Results) -> Section:
    analysis, one = results.analysis, any_evaluation(results)
    parts: list[Any] = []
    if one:
        words = one.metrics.get("source_words")
        long = f", {words.value:.0f} words an article" if words and words.value else ""
        skipped = f", {one.data['skipped']:,} rows skipped as bad" if one.data.get("skipped") else ""
        revision = f", revision `{one.data['revision'][:12]}`" if one.data["revision"] else ""
        parts.append(
            f"{one.data['n']:,} examples of {data_name(one)}{long}{skipped} "
            f"(fingerprint `{one.data['fingerprint']}`{revision}). "
            f"{100 * one.interval['confidence']:g}% intervals by {one.interval['method']}, "
            f"{one.interval['samples']:,} resamples, seed {one.interval['seed']}."
        )
    best = [row for row in analysis.get("comparisons", []) if row["metric"].startswith("rouge1")]
    if best:
        parts.append([row["verdict"] for row in best])
    if analysis.get("warnings"):
        parts.append([f"Take care: {text}" for text in analysis["warnings"]])
    if analysis.get("failed"):
        parts.append([f"No row for {row['system']}: {row['reason']}" for row in analysis["failed"]])
    return Section("In short", parts)


def _scores(results: Results) -> Section:
    parts: list[Any] = ["F1 × 100 with intervals; the length is in words.", score_table(results)]
    if any(name in one.metrics for one in results.evaluations for name in F1):
        parts.append(Plot("scores", "ROUGE F1 of each system with its interval"))
    cited = cited_table(results)
    if cited:
        parts += [
            "**Cited, not measured here.** Published figures, taken by others with other tools on the whole official "
            "split; no interval can be given for them, and no test of significance includes them.",
            cited,
        ]
    return Section("Scores", parts)


def _compared(analysis: dict[str, Any]) -> Section:
    found = analysis.get("comparisons", [])
    if not found:
        return Section("Is the difference real?")
    rows = [
        [
            row["system"],
            row["baseline"],
            row["metric"],
            with_interval(row["difference"], row["low"], row["high"], sign="+"),
            f"{row['p_bootstrap_holm']:.4f}",
            f"{row['p_randomization_holm']:.4f}",
            ABSENT if row["detectable"] is None else f"{100 * row['detectable']:.2f}",
        ]
        for row in found
    ]
    one = found[0]
    text = (
        f"Paired tests on the same {one['n']:,} examples, two-sided, {one['samples']:,} draws, seed {one['seed']}: "
        "paired bootstrap (Koehn 2004) and approximate randomisation (Riezler & Maxwell 2005). p-values are corrected "
        f"by Holm's method for the {one['comparisons']} comparisons of a figure. The last column is the difference "
        "that so many examples would show 4 times in 5."
    )
    head = ["System", "Against", "Figure", "Difference × 100", "p bootstrap", "p randomisation", "Detectable"]
    return Section("Is the difference real?", [text, Table(head, rows, texts=3)])


def _all_rouge(results: Results) -> Section:
    rows = [
        [one.system, name, *(cell(one.metrics.get(f"{kind}_{part}")) for part in PARTS)]
        for one in results.evaluations
        for kind, name in ROUGE_TITLES.items()
        if f"{kind}_fmeasure" in one.metrics
    ]
    head = ["System", "Figure", "Precision", "Recall", "F1"]
    return Section("Precision and recall", [Table(head, rows, texts=2)] if rows else [])


def _others(results: Results) -> Section:
    names = dict.fromkeys(name for one in results.evaluations for name in one.metrics)
    flags = {figure for _, figure in CLASSES.values()}
    names = [name for name in names if not name.startswith("rouge") and name not in flags]
    rows = []
    for name in names:
        scale, digits = (1, 2) if name in _COUNTS else (100, 2)
        label = name if name in _COUNTS else f"{name} × 100"
        rows.append([label, *(cell(one.metrics.get(name), scale, digits) for one in results.evaluations)])
    head = ["Figure", *(one.system for one in results.evaluations)]
    return Section("Everything else that was measured", [Table(head, rows)] if rows else [])


def _audit(records: Sequence[dict[str, Any]]) -> Section:
    """The grid: a row a search, a column a limit; ROUGE-1 and how many summaries were cut."""
    model = audit_model(records)
    found = {(search_name(one["decoding"]), one["decoding"]["max_new_tokens"]): one for one in records}
    searches = list(dict.fromkeys(search for search, _ in found))
    limits = [limit for limit in LIMITS if any(limit == other for _, other in found)]
    rows = []
    for search in searches:
        cells = []
        for limit in limits:
            one = found.get((search, limit))
            metrics = one["metrics"] if one else {}
            score, cut = metrics.get("rouge1_fmeasure"), metrics.get("unfinished_share")
            shown = with_interval(score["value"], score["low"], score["high"]) if score else ABSENT
            cells += [shown, f"{100 * cut['value']:.0f}%" if cut and cut["value"] is not None else ABSENT]
        rows.append([search, *cells])
    head = ["Search", *(text for limit in limits for text in (f"ROUGE-1, {limit} tokens", "cut off"))]
    values = [one["metrics"]["rouge1_fmeasure"]["value"] for one in records if "rouge1_fmeasure" in one["metrics"]]
    values = [value for value in values if value is not None]
    spread = (
        f" One checkpoint, {100 * (max(values) - min(values)):.2f} ROUGE-1 between the best row and the worst."
        if values
        else ""
    )
    text = (
        f"The same weights of {model} on the first {records[0]['data']['n']:,} examples, decoded in the ways that "
        f"published figures were: transformers stops at 20 new tokens unless told, papers search with beams.{spread}"
    )
    return Section(
        "Why published numbers differ", [text, Table(head, rows), Plot("audit", "ROUGE-1 by limit and search")]
    )


def _slices(found: dict[str, Any], bounds: Sequence[str]) -> Section:
    parts: list[Any] = [
        f"{found['metric']} × 100 of each kind of article, and its gap from the whole with a 95% interval of the gap. "
        "One interval in twenty leaves out the truth by chance: a single one that excludes 0 is a hint, many are a "
        "pattern.",
        Plot("slices", "Gap of each slice from the whole"),
    ]
    for family in found["families"]:
        systems = list(family["slices"][0]["systems"])
        rows = [
            [one["name"], f"{one['n']:,}", *(text for name in systems for text in _slice_cells(one["systems"][name]))]
            for one in family["slices"]
        ]
        head = ["Slice", "n", *(text for name in systems for text in (name, "gap from the whole"))]
        parts += [f"**{family['about']}.**", Table(head, rows)]
    if found["notes"]:
        parts.append(list(found["notes"]))
    return Section("Kinds of article", parts)


def _slice_cells(one: dict[str, Any]) -> tuple[str, str]:
    value = one["value"][0]
    return ABSENT if value is None else f"{100 * value:.2f}", with_interval(*one["gap"], sign="+")


def _errors(results: Results) -> Section:
    named = {figure: text for text, figure in CLASSES.values()}
    named = {
        figure: text for figure, text in named.items() if any(figure in one.metrics for one in results.evaluations)
    }
    if not set(named) - {"unfinished_share"}:
        return Section("What goes wrong")
    rows = [
        [text, *(cell(one.metrics.get(figure), digits=1) for one in results.evaluations)]
        for figure, text in named.items()
    ]
    text = (
        "Share of summaries in percent, by plain rules: **missing the main point** has less than a fifth of the "
        "reference's content words; **invented** states a number, name or date that the article lacks (what follows "
        "from the article in other words counts too); **repeats itself** has a sentence twice or more than a fifth of "
        "its trigrams again; **cut off** was ended by the limit of new tokens. Examples of each, with their words "
        "coloured by where they come from, are in [examples.html](examples.html)."
    )
    return Section(
        "What goes wrong",
        [
            text,
            Table(["Class", *(one.system for one in results.evaluations)], rows),
            Plot("errors", "Share of summaries with each class of error"),
        ],
    )


def _time(analysis: dict[str, Any]) -> Section:
    found = analysis.get("throughput", [])
    if not found:
        return Section("Time")
    rows = [
        [
            row["system"],
            f"{row['articles']:,}",
            spoken(row["seconds"]),
            rate(row["articles_per_second"]),
            spoken(row["xsum_test_seconds"]),
        ]
        for row in found
    ]
    text = (
        f"Summarising alone, on the machine named below. The last column is the time that XSum's whole test split "
        f"({found[0]['xsum_test_articles']:,} articles) would take at that rate, if its articles are as long as these"
    )
    words = found[0].get("source_words")
    text += f" ({words:,.0f} words on average; XSum's are about 430)." if words else "."
    head = ["System", "Articles", "Time", "Articles a second", "XSum test would take"]
    return Section("Time", [text, Table(head, rows)])


def _proof(results: Results) -> Section:
    """What every figure depends on."""
    parts: list[Any] = [list(EDGE_CASES)]
    one = any_evaluation(results)
    if one:
        signatures = dict.fromkeys(metric.signature for metric in one.metrics.values())
        parts += ["Signatures of the figures:", [f"`{text}`" for text in signatures]]
    rows = [
        [
            one.system,
            one.model or ABSENT,
            one.revision[:12] if one.revision else ABSENT,
            one.number_format or ABSENT,
            ABSENT if one.seed is None else str(one.seed),
            f"`{json.dumps(one.decoding, ensure_ascii=False)}`",
        ]
        for one in results.evaluations
    ]
    if rows:
        parts += [
            "How each system read and decoded:",
            Table(["System", "Model", "Revision", "Format", "Seed", "Decoding"], rows, texts=6),
        ]
    machine = results.environment
    if machine:
        packages = ", ".join(f"{name} {version}" for name, version in machine.get("packages", {}).items())
        commit = f"code at `{one.commit}`; " if one and one.commit else ""
        parts.append(
            f"{commit}Python {machine.get('python')}, {packages}; {machine.get('gpu') or machine.get('cpu')}, "
            f"{machine.get('threads')} thread(s)."
        )
    return Section("How it was computed", parts)


def markdown(results: Results, plots: str = "plots") -> str:
    """report.md; `plots` is the folder that its pictures lie in."""
    lines = [f"# {title(results)}", ""]
    for section in sections(results):
        lines += [f"## {section.title}", ""]
        for part in section.parts:
            if isinstance(part, Table):
                lines += [markdown_table(part)]
            elif isinstance(part, Plot):
                lines += [f"![{part.about}]({plots}/{part.name}.svg)"]
            elif isinstance(part, list):
                lines += ["\n".join(f"- {text}" for text in part)]
            else:
                lines += [part]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def printed(results: Results) -> str:
    """What the command line shows at its end: scores, cited rows apart, verdicts, warnings, failures, estimates."""
    analysis = results.analysis
    lines = []
    if results.evaluations:
        table = score_table(results)
        one = results.evaluations[0]
        lines += [text_table(table.head, table.rows), ""]
        lines.append(
            f"F1 × 100 on {data_name(one)}, n = {one.data['n']:,}; {100 * one.interval['confidence']:g}% intervals by "
            f"{one.interval['method']}, {one.interval['samples']:,} samples, seed {one.interval['seed']}."
        )
    cited = cited_table(results)
    if cited and results.evaluations:
        lines += ["", "Cited, not measured here (other tools, the whole split; in no test of significance):"]
        lines.append(text_table(cited.head, cited.rows))
    if analysis.get("audit"):
        text, table, _ = _audit(analysis["audit"]).parts
        lines += ["", text, text_table(table.head, table.rows)]
    verdicts = [row["verdict"] for row in analysis.get("comparisons", []) if row["metric"].startswith("rouge1")]
    lines += ["", *verdicts] if verdicts else []
    for row in analysis.get("throughput", []):
        lines.append(
            f"{row['system']}: {rate(row['articles_per_second'])} articles a second; XSum's whole test split "
            f"({row['xsum_test_articles']:,}) would take {spoken(row['xsum_test_seconds'])} here."
        )
    lines += [f"Take care: {text}" for text in analysis.get("warnings", [])]
    lines += [f"No row for {row['system']}: {row['reason']}" for row in analysis.get("failed", [])]
    return "\n".join(lines).strip()
