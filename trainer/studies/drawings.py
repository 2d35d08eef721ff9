"""The plots of studies, in the look of the report's (trainer/report/plots.py)."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Rectangle

from trainer.report.plots import INK, LINE, SERIES, SOFT, WIDTH, picture, standalone

SHOWN = ("rouge1_fmeasure", "validation_loss")


def differences_drawing(
    compared: Sequence[Mapping[str, Any]], figures: Mapping[str, tuple[str, float, int]], shown: Sequence[str] = SHOWN
) -> str:
    """SVG: a row for each change, a panel for each of the figures `shown`, its difference with the interval."""
    names = ["\n".join(textwrap.wrap(one["change"], 40)) for one in compared] or ["nothing to compare yet"]

    def draw() -> Drawing:
        figure = Drawing(figsize=(WIDTH, 0.9 + 0.3 * len(names)))
        panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        figure.subplots_adjust(wspace=0.1)
        for panel, name in zip(panels, shown, strict=True):
            title, factor, _ = figures[name]
            for place, one in enumerate(compared):
                record = one.get(name)
                if record:
                    color = SERIES[0] if record["p_holm"] < 0.05 else SERIES[5]
                    ends = [factor * record["low"], factor * record["high"]]
                    panel.plot(ends, [place, place], color=color, linewidth=1.8, solid_capstyle="round")
                    panel.plot(factor * record["value"], place, "o", color=color, markersize=6, markeredgewidth=0)
            panel.axvline(0, color=SOFT, linewidth=1)
            panel.set_title(f"Δ {title}" + (" F1 × 100" if factor == 100 else ", nats a token"))
            panel.grid(axis="x")
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        figure.text(0.13, 0.0, "blue: beyond chance after Holm's correction; grey: not shown", color=SOFT, va="top")
        return figure

    return standalone(picture("differences", draw))


def faithfulness_drawing(methods: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> str:
    """SVG: a row for each method, a panel for each measure of faithfulness with its interval, and one for the seconds.

    Args:
        methods: records of `trainer.studies.faithfulness`, the best first.
        titles: measure → title; the titles' units follow a comma.
    """

    def draw() -> Drawing:
        figure = Drawing(figsize=(WIDTH, 0.9 + 0.3 * len(methods)))
        panels = figure.subplots(1, len(titles) + 1, sharey=True)
        figure.subplots_adjust(wspace=0.15)
        for panel, (name, title) in zip(panels, titles.items(), strict=False):
            for place, one in enumerate(methods):
                if one[name]:
                    color = SERIES[0] if one["affordable"] else SERIES[5]
                    panel.plot([one[name]["low"], one[name]["high"]], [place, place], color=color, linewidth=1.8)
                    panel.plot(one[name]["value"], place, "o", color=color, markersize=5, markeredgewidth=0)
            panel.axvline(0, color=SOFT, linewidth=1)
            panel.set_title("\n".join(textwrap.wrap(title.replace(" nats", "\nnats"), 18)), fontsize=8.5)
        panels[-1].plot([one["seconds"]["median"] for one in methods], range(len(methods)), "o", color=SERIES[1])
        panels[-1].set_xscale("log")
        panels[-1].set_title("seconds,\none article", fontsize=8.5)
        for panel in panels:
            panel.grid(axis="x")
            panel.tick_params(axis="x", labelsize=8)
        panels[0].set_yticks(range(len(methods)), [one["method"].replace("_", " ") for one in methods])
        panels[0].set_ylim(len(methods) - 0.5, -0.5)
        figure.text(0.13, 0.0, "grey: slow; more to the right is more faithful", color=SOFT, va="top")
        return figure

    return standalone(picture("faithfulness", draw))


def attention_drawing(
    tenths: Mapping[str, Sequence[Mapping[str, Any]]], ratios: Mapping[str, Mapping[str, Any]], titles: Sequence[str]
) -> str:
    """SVG: how shares lie over the article's tenths, and how many times its share of the words each kind of word gets.

    Args:
        tenths: what gives the shares → its ten records (share of the whole, in [0, 1], with interval).
        ratios: what gives the shares → kind of word → times its share of the words.
        titles: of the kinds, in order.
    """

    def draw() -> Drawing:
        figure = Drawing(figsize=(WIDTH, 3.4))
        left, right = figure.subplots(1, 2, width_ratios=[1.2, 1])
        figure.subplots_adjust(wspace=0.45)
        for number, (name, records) in enumerate(tenths.items()):
            color, places = SERIES[number], np.arange(1, 11)
            left.plot(places, [100 * one["value"] for one in records], "o-", color=color, markersize=4, label=name)
            low, high = ([100 * one[end] for one in records] for end in ("low", "high"))
            left.fill_between(places, low, high, color=color, alpha=0.15, linewidth=0)
            for place, kind in enumerate(titles):
                if kind in ratios[name]:
                    right.plot(ratios[name][kind], place + 0.15 * (number - 0.5), "o", color=color, markersize=6)
        left.set_xticks(range(1, 11))
        left.set_ylim(bottom=0)
        left.set_xlabel("tenth of the article")
        left.set_title("% of what all words get")
        left.legend(fontsize=8.5)
        right.axvline(1, color=SOFT, linewidth=1)
        right.set_yticks(range(len(titles)), ["\n".join(textwrap.wrap(title, 16)) for title in titles])
        right.set_ylim(len(titles) - 0.5, -0.5)
        right.set_title("times the share of the words")
        for panel in (left, right):
            panel.grid(axis="both" if panel is left else "x")
        return figure

    return standalone(picture("attention", draw))


def sweep_drawing(
    points: Sequence[Mapping[str, Any]], space: Mapping[str, Any], importance: Mapping[str, float], title: str
) -> str:
    """SVG: a heat map of the first two settings, parallel coordinates of all, and how much each matters.

    Args:
        points: each with `params` (setting → value) and `value` (F1 × 100), the best first.
        importance: setting → share.
    """
    names = list(space)

    def draw() -> Drawing:
        figure = Drawing(figsize=(WIDTH, 6.4))
        grid = figure.add_gridspec(2, 2, width_ratios=[1.25, 1], hspace=0.42, wspace=0.6)
        _heat_map(figure.add_subplot(grid[0, 0]), points, names, title)
        _importance(figure.add_subplot(grid[0, 1]), importance)
        _parallel(figure.add_subplot(grid[1, :]), points, names, title)
        return figure

    return standalone(picture("sweep", draw))


def _heat_map(panel: Any, points: Sequence[Mapping[str, Any]], names: Sequence[str], title: str) -> None:
    """Means of all trials of a pair of values; darker is better."""
    across, down = names[0], names[1] if len(names) > 1 else None
    columns = _levels(points, across)
    rows = _levels(points, down) if down else [None]
    cells: dict[tuple[int, int], list[float]] = {}
    for one in points:
        place = columns.index(one["params"][across]), rows.index(one["params"][down]) if down else 0
        cells.setdefault(place, []).append(one["value"])
    means = {place: float(np.mean(values)) for place, values in cells.items()}
    low, high = min(means.values()), max(means.values())
    for (column, row), value in means.items():
        _cell(panel, column, row, value, (value - low) / (high - low) if high > low else 0.5)
    _grid(panel, columns, rows if down else [""])
    panel.set_xlabel(across)
    panel.set_ylabel(down or "")
    panel.set_title(f"{title}, mean")


def matrix_drawing(cells: Sequence[Mapping[str, Any]], rows: Sequence[str], columns: Sequence[str], title: str) -> str:
    """SVG: what was trained on, down, by what was tested on, across; darker is better within a column.

    Args:
        cells: each with `trained_on`, `tested_on` and `value` (F1).
    """

    def draw() -> Drawing:
        figure = Drawing(figsize=(WIDTH, 1.2 + 0.6 * len(rows)))
        panel = figure.subplots()
        for number, column in enumerate(columns):
            values = {cell["trained_on"]: cell["value"] for cell in cells if cell["tested_on"] == column}
            low, high = min(values.values()), max(values.values())
            for name, value in values.items():
                _cell(panel, number, rows.index(name), 100 * value, (value - low) / (high - low) if high > low else 0.5)
        _grid(panel, columns, rows)
        panel.set_xlabel("tested on")
        panel.set_ylabel("trained on")
        panel.set_title(title)
        return figure

    return standalone(picture("transfer", draw))


def _cell(panel: Any, column: int, row: int, value: float, share: float) -> None:
    """A number on a square that is the darker, the larger `share` is."""
    alpha = 0.12 + 0.6 * share
    panel.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=SERIES[0], alpha=alpha, linewidth=0))
    panel.text(column, row, f"{value:.2f}", ha="center", va="center", color=INK, fontsize=9)


def _grid(panel: Any, columns: Sequence[Any], rows: Sequence[Any]) -> None:
    panel.set_xlim(-0.5, len(columns) - 0.5)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.set_xticks(range(len(columns)), [_short(value) for value in columns])
    panel.set_yticks(range(len(rows)), [_short(value) for value in rows])


def _importance(panel: Any, importance: Mapping[str, float]) -> None:
    """Shares of the variance that each setting explains (fANOVA)."""
    panel.set_title("importance (fANOVA)")
    if not importance:
        panel.set_axis_off()
        panel.text(0, 0.9, "too few trials to tell", color=SOFT, transform=panel.transAxes)
        return
    names = list(importance)
    panel.barh(range(len(names)), [100 * importance[name] for name in names], height=0.5, color=SERIES[2], alpha=0.6)
    panel.set_yticks(range(len(names)), names, fontsize=9)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlim(0, 100)
    panel.set_xlabel("% of the variance")
    panel.grid(axis="x")


def _parallel(panel: Any, points: Sequence[Mapping[str, Any]], names: Sequence[str], title: str) -> None:
    """A line for each trial through its settings to its value; the best in another colour, in front."""
    axes = [*names, title]
    columns = [[one["params"][name] for one in points] for name in names] + [[one["value"] for one in points]]
    levels = [_levels(points, name) for name in names] + [sorted(columns[-1])]
    places = [_scaled(values, level) for values, level in zip(columns, levels, strict=True)]
    for order in reversed(range(len(points))):
        color, alpha, width = (SERIES[1], 1.0, 2.2) if order == 0 else (SERIES[5], 0.45, 1.1)
        line = [column[order] for column in places]
        panel.plot(range(len(axes)), line, "-", color=color, alpha=alpha, linewidth=width)
    for number, level in enumerate(levels):
        panel.axvline(number, color=LINE, linewidth=1)
        marks = level if len(level) <= 6 and number < len(names) else [level[0], level[-1]]
        for value, place in zip(marks, _scaled(marks, level), strict=True):
            panel.text(number + 0.02, place + 0.035, _short(value), color=SOFT, fontsize=8.5, va="center")
    panel.set_xticks(range(len(axes)), axes)
    panel.set_yticks([])
    panel.set_xlim(-0.1, len(axes) - 0.75)
    panel.set_title("each trial; the best in colour")


def _levels(points: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    found = {one["params"][name] for one in points}
    return sorted(found, key=lambda value: (isinstance(value, str), value))


def _scaled(values: Sequence[Any], levels: Sequence[Any]) -> list[float]:
    """Places in [0, 1]: by rank among the levels where these are few or no numbers, else by value."""
    if any(isinstance(level, str | bool) for level in levels) or len(levels) <= 6 or levels[0] == levels[-1]:
        return [levels.index(value) / max(len(levels) - 1, 1) for value in values]
    return [(value - levels[0]) / (levels[-1] - levels[0]) for value in values]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
