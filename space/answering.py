"""From a visitor's values to what the page shows: one request, step by step.

Each generator here yields the parts of the page that change, by their names, as often as there is more to show.
Whatever goes wrong ends in a sentence beside the field that caused it, and the last result stays.
"""

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from space import limits
from space.serving import Serving, label_of
from space.views import article as article_view
from space.views.chip import plain
from space.views.compare import comparison
from space.views.copied import CopiedMap, copied_map
from space.views.notices import guarded, notice
from space.views.summary import byline, summary_card
from space.views.why import explanation
from space.views.why import sources as sources_view
from trainer.errors import UserError

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from space.comparison import Row
    from space.engine import Answer, Engine, Explanation
    from trainer.attribution.folding import Span
    from trainer.attribution.sources import Sources

EXAMPLES = Path(__file__).resolve().parent / "examples.json"

# Events that compute with the model wait in one line.
MODEL = "model"
# Points of integrated gradients' path: 32 leave an error well under a few per cent (see trainer/attribution).
N_STEPS = 32

Parts = dict[str, Any]
ERRORS = ("article_error", "reference_error", "settings_error")


@dataclass(frozen=True)
class Shown:
    """The result that a visitor has on the page; `engine` is the model that it is by."""

    article: str
    answer: "Answer"
    engine: "Engine"
    copied: CopiedMap
    reference: str | None = None
    others: "tuple[Row, ...]" = ()
    explanation: "Explanation | None" = None
    sources: "Sources | None" = None

    @property
    def spans(self) -> "Sequence[Span] | None":
        """The article's words with the scores that tint them: of the word that was clicked, or the whole summary's."""
        found = self.sources or self.explanation
        return found.spans if found else None


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
        engine.explain(article, summary, N_STEPS)


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
        limits.N_STEPS.check(n_steps)
        field = "article_error"
        engine = serving.engine()
        if not anyway and (stops := engine.guards(article)):
            yield {"progress": "", "article_error": guarded(stops), "busy": False}
            return
        written = engine.summarize(article, settings)
        shown = Shown(article, written, engine, copied_map(written.text, article))
        yield _first(shown, note_of(article, decoding)) | _settings(written.decoding, own=not decoding)
        if written.text:
            yield compare(shown, reference)
        yield {"progress": "", "busy": False}
    except Exception as error:
        yield {"progress": "", field: notice(sentence(error), "problem"), "busy": False}


def _first(shown: Shown, note: str | None) -> Parts:
    written, engine = shown.answer, shown.engine
    return _article(shown) | {
        "summary": summary_card(written, byline(engine.label, engine.revision), shown.copied, note),
        "sources": "",
        "why": "" if written.text else notice("Where there is no summary, there is nothing to explain."),
        "compare": "",
        "shown": shown,
    }


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
        return _article(shown)
    return {
        "meter": article_view.meter(article, reading, stale=shown is not None),
        "article_view": article_view.article(article, reading.end),
    }


def _article(shown: Shown) -> Parts:
    reading = shown.engine.reading(shown.article)
    return {
        "article_view": article_view.article(shown.article, reading.end, shown.copied, shown.spans),
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

    When the visitor stops or leaves, Gradio closes this generator, and the computation ends with the step that it is
    in.
    """
    if shown is None or not shown.answer.text:
        return
    yield {"why": notice("Looking for the words behind it…", "busy"), "busy": True}
    try:
        steps = limits.N_STEPS.check(n_steps)
        for found in _explained(shown.engine, shown.article, shown.answer.text, steps):
            if isinstance(found, tuple):
                step = f"Looking for the words behind it: step {found[0]} of {found[1]}"
                yield {"why": notice(step, "busy")}
                continue
            shown = replace(shown, explanation=found, sources=None)
            why = explanation(found, shown.answer.decoding["prefix"])
            yield _article(shown) | {"why": why, "sources": "", "shown": shown, "busy": False}
    except Exception as error:
        yield {"why": notice(sentence(error), "problem"), "busy": False}


def sources(shown: Shown | None, word: Any) -> Iterator[Parts]:
    """Which words of the article influenced one word of the summary, by its number from 0."""
    if shown is None or not isinstance(word, int | float):
        return
    yield {"sources": notice("Looking for the sources of that word…", "busy"), "busy": True}
    try:
        found = shown.engine.sources(shown.article, shown.answer.text, int(word))
        shown = replace(shown, sources=found)
        yield _article(shown) | {"sources": sources_view(found), "shown": shown, "busy": False}
    except Exception as error:
        yield {"sources": notice(sentence(error), "problem"), "busy": False}


def sentence(error: Exception) -> str:
    """What a visitor is told of an error. One that was not foreseen goes to the log with all that is known of it."""
    if isinstance(error, UserError):
        return str(error)
    logging.getLogger(__name__).error("a request failed", exc_info=error)
    if isinstance(error, MemoryError) or "memory" in str(error):
        return "There is not enough memory on this machine for that. Try a shorter article."
    return "Something went wrong on this machine. Its log says what; trying again may help."


class _Stopped(Exception):
    """Nobody waits for this explanation any more."""


def _explained(engine: "Engine", article: str, summary: str, n_steps: int) -> Iterator["tuple[int, int] | Explanation"]:
    """Steps done of all steps, time and again, then the explanation.

    The work is done in a thread of its own, so that closing this generator can stop it.
    """
    state = {"done": 0, "shown": 0}
    stop = threading.Event()

    def progress(done: int, total: int) -> None:
        if stop.is_set():
            raise _Stopped
        state["done"] = min(done, total)

    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="explain")
    try:
        work = pool.submit(engine.explain, article, summary, n_steps, progress)
        while True:
            try:
                yield work.result(timeout=0.4)
                return
            except NotYet:
                if state["done"] > state["shown"]:
                    state["shown"] = state["done"]
                    yield state["done"], n_steps
    finally:
        stop.set()
        pool.shutdown(wait=False)
