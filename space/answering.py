"""From a visitor's values to what the page shows: one request, step by step.

Each generator here yields the parts of the page that change, by their names, as often as there is more to show.
Whatever goes wrong ends in a sentence beside the field that caused it, and the last result stays.
"""

import json
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from space import limits
from space.serving import Serving, label_of
from space.turns import Waiting
from space.views import article as article_view
from space.views.chip import plain
from space.views.compare import comparison
from space.views.copied import Bounds, CopiedMap, copied_map
from space.views.methods import Finding
from space.views.notices import guarded, notice
from space.views.summary import byline, chose, summary_card
from space.views.why import explanation
from space.views.why import sources as sources_view
from space.watching import watched
from trainer.errors import UserError

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from space.comparison import Row
    from space.engine import Answer, Engine, Explanation, Progress, Weight
    from trainer.attribution.folding import Span
    from trainer.attribution.sources import Sources

EXAMPLES = Path(__file__).resolve().parent / "examples.json"

# Events that compute with the model wait in one line.
MODEL = "model"
# Points of integrated gradients' path: 0 stands for as many as the scores need to add up.
N_STEPS = 0

Parts = dict[str, Any]
T = TypeVar("T")
ERRORS = ("article_error", "reference_error", "settings_error")
# What visitors asked about a result that is there: another result takes its place.
CHECKS = ("sources", "again", "certainty", "noisy", "noisy_progress", "methods")


@dataclass(frozen=True)
class Shown:
    """The result that a visitor has on the page.

    Attributes:
        engine: the model that it is by.
        settings: the decoding settings that were asked for; {} are the model's own.
        weight: what leaving words out says about the explanation; None where that is not known.
        spans: the article's words with the scores that tint them.
        coloured: (start, end) of the words that are tinted, because they do more than random ones; None: all.
        by: the compared method whose scores these are, by its name; None for any other scores.
        compared: the methods that were compared; each one's scores can tint the article.
    """

    article: str
    answer: "Answer"
    engine: "Engine"
    copied: CopiedMap
    settings: dict[str, Any] = field(default_factory=dict)
    reference: str | None = None
    others: "tuple[Row, ...]" = ()
    explanation: "Explanation | None" = None
    sources: "Sources | None" = None
    weight: "Weight | None" = None
    spans: "tuple[Span, ...] | None" = None
    coloured: tuple[Bounds, ...] | None = None
    by: str | None = None
    compared: tuple[Finding, ...] = ()

    def tinted(
        self, spans: "Sequence[Span]", coloured: Sequence[Bounds] | None = None, by: str | None = None, **changes: Any
    ) -> "Shown":
        """The same result with other tints over the article, and with other `changes`."""
        coloured = None if coloured is None else tuple(coloured)
        return replace(self, spans=tuple(spans), coloured=coloured, by=by, **changes)


def examples() -> list[dict[str, Any]]:
    """The example articles: each with `title`, `article` and `reference`.

    One that shows how a summary goes wrong has `decoding` too: beams, new tokens and length penalty, with which a model
    that is too small to write does so all the same; and `note`, which says so.
    """
    return json.loads(EXAMPLES.read_text("utf-8"))


def note_of(article: str, decoding: Sequence[Any]) -> str | None:
    """What an example shows, where a request is that example; None for any other."""
    for example in examples():
        if "note" in example and example["article"] == article and list(decoding) == example["decoding"]:
            return example["note"]
    return None


def warm(engine: "Engine") -> None:
    """Computes what a newly opened page shows; the engine remembers it, so the first visitor need not wait."""
    article = examples()[0]["article"]
    summary = engine.summarize(article, {}).text
    if summary:
        engine.explain(article, summary)


def answer(
    serving: Serving, article: Any, reference: Any, decoding: Sequence[Any], n_steps: Any, anyway: bool = False
) -> Iterator[Parts]:
    """Summarises: the summary, its map in both texts, and what it is compared with.

    One engine is asked for at the start and used to the end, whatever takes over meanwhile.

    Args:
        anyway: summarise also what the guards would stop at (`space.guards`).
    """
    yield {"progress": notice("Reading…", "busy"), "busy": True} | dict.fromkeys(ERRORS, "")
    field = "article_error"
    try:
        article = limits.text(article, "article", limits.ARTICLE_CHARACTERS)
        field = "settings_error"
        settings = limits.decoding(*decoding)
        limits.steps(n_steps)
        field = "article_error"
        engine = serving.engine()
        if not anyway and (stops := engine.guards(article)):
            yield {"progress": "", "article_error": guarded(stops), "busy": False}
            return
        written = yield from told(
            "progress", "Reading", lambda _, waiting: engine.summarize(article, settings, waiting)
        )
        shown = Shown(article, written, engine, copied_map(written.text, article), settings)
        yield _first(shown, note_of(article, decoding)) | _settings(written.decoding, own=not decoding)
        if written.text:
            yield compare(shown, reference)
        yield {"progress": "", "busy": False}
    except Exception as error:
        yield {"progress": "", field: notice(sentence(error), "problem"), "busy": False}


def told(part: str, doing: str, ask: "Callable[[Progress, Waiting], T]") -> Generator[Parts, None, T]:
    """What `space.watching.watched` tells, as a notice in a part of the page."""
    steps = watched(doing, ask)
    try:
        while True:
            yield {part: notice(next(steps), "busy")}
    except StopIteration as end:
        return end.value
    finally:
        steps.close()


def _first(shown: Shown, note: str | None) -> Parts:
    written, engine = shown.answer, shown.engine
    return (
        article_parts(shown)
        | dict.fromkeys(CHECKS, "")
        | {
            "summary": summary_card(written, byline(engine.label, engine.revision), shown.copied, note),
            "noise": 0,
            "why": "" if written.text else notice("Where there is no summary, there is nothing to explain."),
            "compare": "",
            "shown": shown,
        }
    )


def _settings(decoding: dict[str, Any], *, own: bool) -> Parts:
    """The settings in force: the fold's title, and the sliders, which show the model's own where those are."""
    if decoding.get("choose_from") == "sentences":
        how = f"it chooses a sentence of at most {decoding['max_new_tokens']} tokens"
    else:
        beams = decoding.get("num_beams", 1)
        how = f"{beams} beam{'' if beams == 1 else 's'}, {decoding['max_new_tokens']} tokens"
    parts = {"settings": f"Settings: {'the model’s own' if own else 'yours'} ({how})"}
    if own:
        names = ("num_beams", "max_new_tokens", "length_penalty")
        parts |= {name: decoding[name] for name in names if decoding.get(name) is not None}
    return parts


def typed(serving: Serving, article: Any, shown: Shown | None) -> Parts:
    """The meter and the article that is read, as the text in the field changes."""
    engine = serving.ready()
    if engine is None or not isinstance(article, str):
        return {}
    article = limits.without_surrogates(article)
    reading = engine.reading(article)
    if shown and shown.article == article:
        return article_parts(shown)
    return {
        "meter": article_view.meter(article, reading, stale=shown is not None),
        "article_view": article_view.article(article, reading.end),
    }


def article_parts(shown: Shown) -> Parts:
    """The article with what was copied, what influenced the model, and a box to strike each sentence out; its meter."""
    reading = shown.engine.reading(shown.article)
    strikes = bool(shown.answer.text)
    return {
        "article_view": article_view.article(
            shown.article, reading.end, shown.copied, shown.spans, shown.coloured, by=shown.by, strikes=strikes
        ),
        "meter": article_view.meter(shown.article, reading),
    }


def compare(shown: Shown, reference: Any) -> Parts:
    """The result beside others; with a reference, ROUGE. Never raises."""
    from space.comparison import overlap, reference_of, rows

    try:
        given = reference_of(reference)
        problem = ""
    except Exception as error:
        given, problem = None, notice(sentence(error), "problem")
    written = shown.answer
    table = rows(shown.article, (shown.engine.label, written.text, written.seconds), given, shown.others)
    against = overlap(written.text, given) if given else None
    return {
        "compare": comparison(table, against, written.text, given),
        "reference_error": problem,
        "shown": replace(shown, reference=given),
    }


def ask_others(shown: Shown | None, reference: Any, others: Sequence[Serving]) -> Iterator[Parts]:
    """The summaries of the other models that the owner allows, one after the other, each with its own settings."""
    from space.comparison import Row

    if shown is None or not shown.answer.text:
        return
    for serving in others:
        label = label_of(serving.status().wanted)
        yield {"others_progress": notice(f"Asking {label}…", "busy")}
        row = Row(label, "", problem=f"{label} is not here yet. {plain(serving.status().reason or '')}".strip())
        try:
            if engine := serving.ready():
                written = engine.summarize(shown.article, {})
                row = Row(label, written.text, written.seconds)
        except Exception as error:
            row = Row(label, "", problem=sentence(error))
        shown = replace(shown, others=(*(one for one in shown.others if one.name != label), row))
        parts = compare(shown, reference)
        shown = parts["shown"]
        yield parts
    yield {"others_progress": ""}


def explain(shown: Shown | None, n_steps: Any) -> Iterator[Parts]:
    """Which words of the article influenced the summary; their tints go over the article.

    First all words are tinted by their scores; then those that do no more than random words lose their tint. When the
    visitor stops or leaves, Gradio closes this generator, and the computation ends with the step that it is in.
    """
    if shown is None or not shown.answer.text:
        return
    yield {"why": notice("Looking for the words behind it…", "busy"), "busy": True}
    engine, article, summary = shown.engine, shown.article, shown.answer.text
    try:
        steps = limits.steps(n_steps)
        found = yield from told(
            "why",
            "Looking for the words behind it",
            lambda progress, waiting: engine.explain(article, summary, steps, progress, waiting),
        )
        shown = shown.tinted(found.spans, explanation=found, sources=None, weight=None)
        why = explanation(found, shown.answer.decoding["prefix"])
        yield article_parts(shown) | {"why": why, "sources": "", "shown": shown}
        weight = yield from told(
            "progress",
            "Leaving words out, to see which of them matter",
            lambda progress, waiting: engine.weight(article, summary, found.attribution, None, progress, waiting),
        )
        shown = shown.tinted(found.spans, weight.bounds, weight=weight)
        why = explanation(found, shown.answer.decoding["prefix"], weight, chose(shown.answer))
        yield article_parts(shown) | {"why": why, "shown": shown, "progress": "", "busy": False}
    except Exception as error:
        yield {"why": notice(sentence(error), "problem"), "progress": "", "busy": False}


def sources(shown: Shown | None, word: Any) -> Iterator[Parts]:
    """Which words of the article influenced one word of the summary, by its number from 0."""
    if shown is None or not isinstance(word, int | float):
        return
    yield {"sources": notice("Looking for the sources of that word…", "busy"), "busy": True}
    engine, article, summary, number = shown.engine, shown.article, shown.answer.text, int(word)
    try:
        found = yield from told(
            "sources",
            "Looking for the sources of that word",
            lambda progress, waiting: engine.sources(article, summary, number, progress=progress, waiting=waiting),
        )
        shown = shown.tinted(found.spans, sources=found)
        yield article_parts(shown) | {"sources": sources_view(found, article), "shown": shown}
        weight = yield from told(
            "progress",
            "Leaving words out, to see which of them matter",
            lambda progress, waiting: engine.weight(article, summary, found.attribution, number, progress, waiting),
        )
        shown = shown.tinted(found.spans, weight.bounds)
        view = sources_view(found, article, weight)
        yield article_parts(shown) | {"sources": view, "shown": shown, "progress": "", "busy": False}
    except Exception as error:
        yield {"sources": notice(sentence(error), "problem"), "progress": "", "busy": False}


def sentence(error: Exception) -> str:
    """What a visitor is told of an error. One that was not foreseen goes to the log with all that is known of it."""
    if isinstance(error, UserError):
        return str(error)
    logging.getLogger(__name__).error("a request failed", exc_info=error)
    if isinstance(error, MemoryError) or "memory" in str(error):
        return "There is not enough memory on this machine for that. Try a shorter article."
    return "Something went wrong on this machine. Its log says what; trying again may help."
