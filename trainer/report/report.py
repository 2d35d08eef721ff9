"""Writes what an evaluation found: results.json, report.md with its plots, report.html and examples.html.

Both pages are single files: styles, plots and the few lines of script are in them, fonts are the system's, and nothing
is fetched from anywhere.
"""

import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from trainer.metrics.error_classes import CLASSES
from trainer.report.plots import standalone, svg, variables
from trainer.report.qualitative import SHOWN_SOURCE, Shown, shown
from trainer.report.sections import Plot, markdown, sections
from trainer.report.tables import Table, title
from trainer.runtime.files import write_atomically
from trainer.scoring.evaluation import Evaluated
from trainer.scoring.records import Results, data_name
from trainer.settings.evaluation import ReportSettings

HERE = Path(__file__).resolve().parent
GROUPS = {"best": "best", "worst": "worst", "drawn": "drawn at random"} | {
    name: text for name, (text, _) in CLASSES.items()
}
_VALUE = re.compile(r"(?P<value>[+-]?[\d.]+) (?P<interval>\[.*\])")


def write_report(found: Evaluated, settings: ReportSettings, seed: int) -> None:
    """All files of the report into the run's folder.

    Args:
        seed: of the examples that are drawn.
    """
    results, folder = found.results, found.run.folder
    results.save(folder / "results.json")
    write_atomically(folder / "report.md", markdown(results))
    pictures = {
        part.name: svg(part.name, results)
        for section in sections(results)
        for part in section.parts
        if isinstance(part, Plot)
    }
    for name, picture in pictures.items():
        write_atomically(folder / "plots" / f"{name}.svg", standalone(picture) + "\n")
    examples = _examples(found, settings, seed)
    write_atomically(folder / "report.html", report_page(results, pictures, bool(examples)))
    if examples:
        write_atomically(folder / "examples.html", examples_page(results, examples))


def report_page(results: Results, pictures: dict[str, str], examples: bool = True) -> str:
    """report.html, of the record and the plots drawn from it."""
    made = sections(results)
    return _template("report.html.jinja").render(
        title=title(results),
        style=_style(),
        sections=[
            (_anchor(section.title), section.title, [_html(part, pictures) for part in section.parts])
            for section in made
        ],
        examples=examples,
        schema=results.schema,
    )


def examples_page(results: Results, examples: list[Shown]) -> str:
    """examples.html: a card a summary, filtered by system, group and words."""
    groups = [name for name in GROUPS if any(name in one.groups for one in examples)]
    return _template("examples.html.jinja").render(
        title=f"Examples from {data_name(results.evaluations[0])}",
        style=_style(),
        examples=examples,
        systems=list(dict.fromkeys(one.system for one in examples)),
        groups={name: GROUPS[name] for name in groups},
        classes={name: text for name, (text, _) in CLASSES.items()},
        cut_at=f"{SHOWN_SOURCE:,}",
    )


def _examples(found: Evaluated, settings: ReportSettings, seed: int) -> list[Shown]:
    if not settings.examples:
        return []
    made: list[Shown] = []
    for system, one in found.measured.items():
        values = one.columns.values
        by = "rouge1_fmeasure" if "rouge1_fmeasure" in values else settings.compare_list[0]
        made += shown(system, values, by, settings.examples, seed, found.run.ledger, found.run.examples)
    return made


def _html(part: Any, pictures: dict[str, str]) -> Markup:
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Plot):
        return Markup(f'<figure role="img" aria-label="{escape(part.about)}">{pictures[part.name]}</figure>')
    if isinstance(part, list):
        return Markup("<ul>") + Markup("").join(_item(text) for text in part) + Markup("</ul>")
    return Markup("<p>") + _text(part) + Markup("</p>")


def _item(text: str) -> Markup:
    """Items that warn are seen to."""
    kind = ' class="care"' if text.startswith(("Take care: ", "No row for ")) else ""
    return Markup(f"<li{kind}>") + _text(text.removeprefix("Take care: ")) + Markup("</li>")


def _text(text: str) -> Markup:
    """The little Markdown that the sections use: `code`, **bold** and [a link](file)."""
    html = str(escape(text))
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", html)
    html = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", html)
    return Markup(re.sub(r"\[([^\]]+)\]\(([\w.]+)\)", r'<a href="\2">\1</a>', html))


def _table(table: Table) -> Markup:
    def cell(text: str, column: int, tag: str) -> str:
        kind = ' class="n"' if table.is_number(column) else ""
        match = _VALUE.fullmatch(text)
        inner = (
            f"{match['value']} <small>{match['interval']}</small>" if match and table.is_number(column) else _text(text)
        )
        return f"<{tag}{kind}>{inner}</{tag}>"

    head = "".join(cell(text, column, "th") for column, text in enumerate(table.head))
    body = "".join(
        "<tr>" + "".join(cell(text, column, "td") for column, text in enumerate(row)) + "</tr>" for row in table.rows
    )
    kind = "wide many" if len(table.head) > 5 else "wide"
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return Markup(f'<div class="{kind}"><table>{inner}</table></div>')


def _anchor(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower()).strip("-")


def _style() -> Markup:
    return Markup(variables() + "\n" + (HERE / "report.css").read_text("utf-8"))


def _template(name: str) -> jinja2.Template:
    loader = jinja2.FileSystemLoader(HERE)
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template(name)
