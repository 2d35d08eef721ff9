"""A result to take away: as JSON with everything behind it, and as one HTML file that opens without a server."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from space.markup import escape
from space.views import article as article_view
from space.views.summary import byline, chose, summary_card
from space.views.why import explanation

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from space.answering import Shown

STYLE = Path(__file__).resolve().parents[1] / "style"
SHEETS = ("ground.css", "results.css", "why.css", "file.css")
SCHEMA = 1


def as_json(shown: "Shown") -> str:
    """The result as JSON: texts, model and revision, settings, seed, what was said of it, and what explains it.

    `copied`: pieces with (start, end) in characters of both texts. `influence`: integrated gradients of the whole
    summary, null where it was not asked for; `words` joined are the article, and `pieces` × `scores` is the row of the
    matrix (summary × article tokens) that belongs to the whole summary. `sources`: the same for a clicked word.
    """
    return json.dumps(_record(shown), ensure_ascii=False, indent=1)


def _record(shown: "Shown") -> dict[str, Any]:
    written, engine = shown.answer, shown.engine
    return {
        "schema": SCHEMA,
        "article": shown.article,
        "summary": written.text,
        "reference": shown.reference,
        "model": engine.label,
        "revision": engine.revision,
        "parameters": engine.parameters,
        "decoding": written.decoding,
        "seed": 0 if written.decoding.get("do_sample") else None,  # the seed that every sampling begins with
        "tokens_read": written.tokens_read,
        "tokens_total": written.tokens_total,
        "tokens_written": written.tokens_written,
        "finished": written.finished,
        "seconds": written.seconds,
        "remarks": [{"text": remark.text, "warns": remark.warns} for remark in written.remarks],
        "copied": [
            {"letter": piece.letter, "summary": piece.in_summary, "article": piece.in_article}
            for piece in shown.copied.pieces
        ],
        "influence": _influence(shown),
        "sources": _sources(shown),
    }


def _influence(shown: "Shown") -> dict[str, Any] | None:
    if shown.explanation is None:
        return None
    one = shown.explanation.attribution
    return {
        "method": "integrated gradients",
        "unit": "nats",
        "n_steps": one.n_steps,
        "target_log_prob": one.target_log_prob,
        "baseline_log_prob": one.baseline_log_prob,
        "completeness_error": one.completeness_error,
        "words": [{"text": span.text, "score": span.score} for span in shown.explanation.spans],
        "pieces": one.pieces,
        "scores": one.scores,
    }


def _sources(shown: "Shown") -> dict[str, Any] | None:
    """The row of one word of the summary."""
    if shown.sources is None:
        return None
    found = shown.sources
    return {
        "word": found.word,
        "summary": [found.start, found.end],
        "log_prob": found.log_prob,
        "completeness_error": found.completeness_error,
        "words": [{"text": span.text, "score": span.score} for span in found.spans],
        "sentences": [{"article": [one.start, one.end], "score": one.score} for one in found.sentences],
        "pieces": found.attribution.pieces,
        "scores": found.attribution.scores,
    }


def as_html(shown: "Shown") -> str:
    """The result as one HTML file: no script, nothing loaded, both texts with their pieces, and the JSON inside."""
    written, engine = shown.answer, shown.engine
    by = byline(engine.label, engine.revision)
    reading = engine.reading(shown.article)
    why = ""
    if shown.explanation:
        why = explanation(shown.explanation, written.decoding["prefix"], shown.weight, chose(written))
    influence = f'<section class="card"><h2>Influence on the model</h2>{why}</section>' if why else ""
    style = "\n".join((STYLE / sheet).read_text("utf-8") for sheet in SHEETS)
    layer = "influence" if shown.spans else "copied"
    # "</" would end the script element; JSON allows the same character written so.
    record = as_json(shown).replace("<", "\\u003c")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(written.text[:80])}</title><style>{style}</style></head>"
        f'<body class="gradio-container"><main id="tool" data-layer="{layer}">'
        f"{summary_card(written, by, shown.copied, actions=False)}"
        f'<section class="card"><h2>Article</h2>{_article(shown, reading.end)}</section>{influence}</main>'
        f'<script type="application/json" id="record">{record}</script></body></html>'
    )


def _article(shown: "Shown", read_to: int) -> str:
    return article_view.article(shown.article, read_to, shown.copied, shown.spans, shown.coloured, by=shown.by)
