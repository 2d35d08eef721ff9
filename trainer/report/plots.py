"""The report's plots, drawn from results.json alone, as SVG that takes its colours from the page.

matplotlib draws with stand-in colours, which are then replaced by CSS variables; so one picture is right on a light
and on a dark page, and its words are set in the reader's system font. As a file of its own it brings the variables
along.
"""

import io
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D

from trainer.metrics.error_classes import CLASSES
from trainer.report.tables import audit_model
from trainer.scoring.audit import LIMITS, search_name
from trainer.scoring.records import ROUGE_TITLES, Results

# Stand-in → variable. No other colour may be drawn with.
INK, SOFT, LINE = "#010101", "#020202", "#030303"
SERIES = ("#0a0001", "#0a0002", "#0a0003", "#0a0004", "#0a0005", "#0a0006")
_VARIABLES = {INK: "--ink", SOFT: "--soft", LINE: "--line"} | {color: f"--s{n}" for n, color in enumerate(SERIES, 1)}
# The page's too. --s1 to --s6 are told apart by people with colour blindness as well (after Okabe & Ito 2008).
LIGHT = {
    "--ink": "#1c2024", "--soft": "#60646c", "--line": "#d9d9e0",
    "--s1": "#0b68cb", "--s2": "#c2410c", "--s3": "#0f766e", "--s4": "#a21caf", "--s5": "#946800", "--s6": "#5b6b7b",
}  # fmt: skip
DARK = {
    "--ink": "#edeef0", "--soft": "#b0b4ba", "--line": "#3a3f45",
    "--s1": "#70b8ff", "--s2": "#ff9e64", "--s3": "#4fd1c5", "--s4": "#e796f3", "--s5": "#f1c453", "--s6": "#a9b8c7",
}  # fmt: skip
_RC = {
    "svg.fonttype": "none",
    "svg.hashsalt": "eval",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.color": LINE,
    "ytick.labelcolor": INK,
    "ytick.left": False,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
WIDTH = 9.2  # inches; the page scales it


def svg(name: str, results: Results) -> str:
    """The picture called so, for use within a page that defines the variables."""
    return picture(name, lambda: _DRAWINGS[name](results))


def picture(name: str, draw: Callable[[], Drawing]) -> str:
    """What `draw` draws, in our look; `name` tells its ids from those of other pictures on the page."""
    with rc_context(_RC):
        figure = draw()
        FigureCanvasSVG(figure)
        file = io.StringIO()
        figure.savefig(
            file, format="svg", bbox_inches="tight", pad_inches=0.05, metadata={"Date": None, "Creator": None}
        )
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    # Ids would clash where several pictures are in one page.
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", text)
    text = re.sub(r"font: ([^;\"]*?)(\d+(?:\.\d+)?px) [^;\"]*", r"font: \1\2 system-ui, sans-serif", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    return text


def standalone(picture: str) -> str:
    """The same with light and dark values of the variables, for a file of its own."""
    end = picture.index(">") + 1
    return f"{picture[:end]}\n<style>{variables()}</style>{picture[end:]}"


def variables() -> str:
    """CSS of the plots' colours."""
    light = "; ".join(f"{name}: {value}" for name, value in LIGHT.items())
    dark = "; ".join(f"{name}: {value}" for name, value in DARK.items())
    return f":root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"


def _scores(results: Results) -> Drawing:
    bounds = results.analysis.get("bounds", [])
    systems = sorted(results.evaluations, key=lambda one: one.system in bounds)
    cited = sorted(results.analysis.get("cited", []), key=lambda row: row["rouge1"])
    kinds = ("rouge1", "rouge2", "rougeL")
    names = [f"{one.system} (bound)" if one.system in bounds else one.system for one in systems]
    names += [f"{row['system']} (cited)" for row in cited]
    figure = Drawing(figsize=(WIDTH, 0.9 + 0.3 * len(names)))
    panels = figure.subplots(1, 3, sharey=True)
    figure.subplots_adjust(wspace=0.12)
    for panel, kind in zip(panels, kinds, strict=True):
        for place, one in enumerate(systems):
            metric = one.metrics.get(f"{kind}_fmeasure")
            if metric and metric.value is not None:
                color = SOFT if one.system in bounds else SERIES[0]
                _dot(panel, place, [metric.value, metric.low, metric.high], color, "s" if one.system in bounds else "o")
        for place, row in enumerate(cited, start=len(systems)):
            panel.plot(row[kind], place, "D", markersize=5, markerfacecolor="none", markeredgecolor=SOFT)
        if cited:
            panel.axhline(len(systems) - 0.5, color=LINE, linewidth=1)
        panel.set_title(f"{ROUGE_TITLES[kind]} F1 × 100")
        panel.set_xlim(left=0)
        panel.grid(axis="x")
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    for place, label in enumerate(panels[0].get_yticklabels()):
        label.set_color(SOFT if place >= len(systems) else INK)
    return figure


def _slices(results: Results) -> Drawing:
    """Gaps from the whole; the bounds are left out, and of many systems the first six are shown."""
    found = results.analysis["slices"]
    bounds = results.analysis.get("bounds", [])
    families = found["families"]
    names = list(families[0]["slices"][0]["systems"])
    systems = [name for name in names if name not in bounds][: len(SERIES)] or names[:1]
    heights = [len(family["slices"]) for family in families]
    each = 0.13 * len(systems) + 0.22  # inches of a slice
    above, below, between = 0.75, 0.55, 0.45
    height = above + below + each * sum(heights) + between * (len(families) - 1)
    figure = Drawing(figsize=(WIDTH, height))
    panels = figure.subplots(len(families), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    figure.subplots_adjust(
        left=0.34,
        right=0.99,
        top=1 - above / height,
        bottom=below / height,
        hspace=between / (each * sum(heights) / len(heights)),
    )
    for panel, family in zip(panels, families, strict=True):
        for place, one in enumerate(family["slices"]):
            for order, name in enumerate(systems):
                gap = one["systems"][name]["gap"]
                shift = 0.66 * ((order + 0.5) / len(systems) - 0.5)
                if gap[0] is not None:
                    _dot(panel, place + shift, gap, SERIES[order], size=4.5)
        panel.axvline(0, color=SOFT, linewidth=1)
        labels = [f"{_wrapped(one['name'])}, n = {one['n']:,}" for one in family["slices"]]
        panel.set_yticks(range(len(labels)), labels, fontsize=9)
        panel.set_ylim(len(labels) - 0.5, -0.5)
        panel.set_title({"position": "position of the answer"}.get(family["name"], family["name"]))
        panel.grid(axis="x")
        panel.tick_params(labelbottom=panel is panels[-1])
    panels[-1].set_xlabel(f"{found['metric']} × 100, gap from the whole")
    handles = [Line2D([], [], marker="o", color=SERIES[order], markersize=5) for order in range(len(systems))]
    figure.legend(
        handles, systems, loc="upper left", bbox_to_anchor=(0.335, 1), ncols=3, handlelength=1.4, columnspacing=1.2
    )
    return figure


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name, 38))


def _audit(results: Results) -> Drawing:
    records = results.analysis["audit"]
    figure = Drawing(figsize=(WIDTH, 3.2))
    panels = figure.subplots(1, 2)
    figure.subplots_adjust(wspace=0.2)
    searches = list(dict.fromkeys(search_name(one["decoding"]) for one in records))
    for order, search in enumerate(searches):
        rows = [one for one in records if search_name(one["decoding"]) == search]
        rows.sort(key=lambda one: one["decoding"]["max_new_tokens"])
        for panel, name in zip(panels, ("rouge1_fmeasure", "unfinished_share"), strict=True):
            kept = [one for one in rows if one["metrics"].get(name, {}).get("value") is not None]
            places = [
                LIMITS.index(one["decoding"]["max_new_tokens"]) + 0.07 * (order - (len(searches) - 1) / 2)
                for one in kept
            ]
            values = [[100 * one["metrics"][name][key] for key in ("value", "low", "high")] for one in kept]
            if not values:
                continue
            middle, low, high = np.array(values).T
            color = SERIES[order % len(SERIES)]
            panel.errorbar(
                places,
                middle,
                [middle - low, high - middle],
                color=color,
                marker="o",
                markersize=5,
                linewidth=1.3,
                elinewidth=1.3,
                label=search,
            )
    for panel, title in zip(panels, ("ROUGE-1 F1 × 100", "Summaries cut off, %"), strict=True):
        panel.set_xticks(range(len(LIMITS)), [f"{limit} tokens" for limit in LIMITS])
        panel.set_title(title)
        panel.set_ylim(bottom=0)
        panel.grid(axis="y")
        panel.tick_params(axis="y", labelcolor=SOFT)
    panels[0].set_xlabel(audit_model(records))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(0.1, 0.0), ncols=3)
    return figure


def _errors(results: Results) -> Drawing:
    systems = results.evaluations
    classes = [(text, figure) for text, figure in CLASSES.values() if any(figure in one.metrics for one in systems)]
    columns = min(3, len(classes))
    lines = -(-len(classes) // columns)
    figure = Drawing(figsize=(WIDTH, lines * (0.75 + 0.28 * len(systems))))
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    figure.subplots_adjust(wspace=0.1, hspace=0.9 / (0.4 + 0.28 * len(systems)))
    most = max(
        (
            one.metrics[name].high
            for one in systems
            for _, name in classes
            if name in one.metrics and one.metrics[name].high
        ),
        default=1.0,
    )
    for panel, (text, name) in zip(panels, classes, strict=False):
        for place, one in enumerate(systems):
            metric = one.metrics.get(name)
            if metric and metric.value is not None:
                panel.barh(place, 100 * metric.value, height=0.5, color=SERIES[0], alpha=0.28)
                _dot(panel, place, [metric.value, metric.low, metric.high], SERIES[0], size=4.5)
        panel.set_title(text, fontsize=9.5)
        panel.set_xlim(0, 105 * most)
        panel.grid(axis="x")
    for panel in panels[len(classes) :]:
        panel.set_axis_off()
    panels[0].set_yticks(range(len(systems)), [one.system for one in systems])
    panels[0].set_ylim(len(systems) - 0.5, -0.5)
    return figure


def _dot(
    panel: Any,
    place: float,
    values: Sequence[float],
    color: str,
    marker: str = "o",
    label: str | None = None,
    size: float = 6,
) -> None:
    """A figure × 100 with its interval, on a line of its own."""
    value, low, high = (100 * number for number in values)
    panel.plot([low, high], [place, place], color=color, linewidth=1.8, solid_capstyle="round")
    panel.plot(value, place, marker, color=color, markersize=size, markeredgewidth=0, label=label)


_DRAWINGS: dict[str, Callable[[Results], Drawing]] = {
    "scores": _scores,
    "slices": _slices,
    "audit": _audit,
    "errors": _errors,
}
