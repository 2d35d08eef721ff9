"""Why, for those who want to know: what the words of the article did to the summary's probability, in numbers."""

import re
from bisect import bisect_right
from typing import TYPE_CHECKING

from space.markup import escape
from space.views.changed import OF_THE_ARTICLE
from trainer.runtime.figures import signed

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from space.engine import Explanation, Weight
    from trainer.attribution.folding import Span
    from trainer.attribution.sources import Sources

MOST_ROWS = 1000  # words in the table of all; a page of more is slow to draw
NAMED_SOURCES = 6


def sources(found: "Sources", article: str, weight: "Weight | None" = None) -> str:
    """The words of the article that most raised or lowered the probability of one word of the summary.

    With a button that strikes those that raised it out of the article.
    """
    words = [span for span in found.spans if span.score is not None and any(map(str.isalnum, span.text))]
    strongest = sorted(words, key=lambda span: -abs(span.score))[:NAMED_SOURCES]
    largest = abs(strongest[0].score) if strongest else 1.0
    listed = "".join(
        f'<li class="{"up" if span.score >= 0 else "down"}" style="--a:{abs(span.score) / (largest or 1):.3f}">'
        f"<b>{escape(span.text)}</b> {signed(span.score)}</li>"
        for span in strongest
    )
    told = f"log p = {signed(found.log_prob, 2)} nats"
    if found.completeness_error is not None:
        short = "" if found.converged else ", which has not converged"
        told += f"; the scores add up to within {_percent(found.completeness_error)}{short}"
    return (
        f'<section class="card sources" aria-label="Sources of a word"><p>What made the model say '
        f"<b>“{escape(found.word)}”</b>? The words of the article that weigh most (tinted in the article too):</p>"
        f"<ul>{listed}</ul>{_strike_button(found, strongest, article)}"
        f'<p class="note">In nats: + raised its probability, − lowered it. {told}. {_coloured(weight)}</p></section>'
    )


def _strike_button(found: "Sources", strongest: "list[Span]", article: str) -> str:
    """A button that asks again without the words that raised the probability; it names them by their numbers."""
    raising = {id(span) for span in strongest if span.score > 0}
    runs = [run.start() for run in re.finditer(r"\S+", article)]
    numbers, start = [], 0
    for span in found.spans:
        if id(span) in raising:
            numbers.append(str(bisect_right(runs, start) - 1))
        start += len(span.text)
    if not numbers:
        return ""
    words = "this word" if len(numbers) == 1 else f"the {len(numbers)} that raised it"
    listed = ",".join(numbers)
    return f'<p><button type="button" data-do="without" data-words="{listed}">Ask again without {words}</button></p>'


def _coloured(weight: "Weight | None") -> str:
    if weight is None:
        return ""
    if not weight.bounds:
        return "No word does more than random ones when it is left out: none is tinted."
    count = len(weight.bounds)
    words = "one word that does" if count == 1 else f"{count:,} words that do"
    return f"Tinted: the {words} more than random ones when left out."


def explanation(found: "Explanation", prefix: str, weight: "Weight | None" = None, chosen: bool = False) -> str:
    """What is explained, whether its words matter, the strongest words, whether the scores add up, every word's score.

    Args:
        weight: what leaving words out says, once that is known.
        chosen: whether the summary is a sentence of the article.
    """
    size = max((abs(span.score) for span in found.spans if span.score is not None), default=0.0)
    return (
        '<section class="why" aria-label="Explanation">'
        f'{_proof(weight, chosen)}<p class="explained">{_explained(found)}</p>{_legend(size)}'
        f"<h3>Strongest words</h3>{_strongest(found)}"
        f"<h3>Do the scores add up?</h3>{_facts(found, prefix)}{_all_words(found)}</section>"
    )


def _proof(weight: "Weight | None", chosen: bool) -> str:
    if weight is None:
        return ""
    named = ", ".join(f"“{escape(word)}”" for word in weight.necessity.words)
    note = f" {OF_THE_ARTICLE}" if chosen else ""
    return (
        f'<p class="proof"><b>{escape(weight.necessity.sentence)}</b></p>'
        f'<p class="explained" dir="auto">{named}. {_coloured(weight)}{note}</p>'
    )


def _explained(found: "Explanation") -> str:
    one = found.attribution
    return (
        "Integrated gradients: what each word of the article adds to the log-probability of the whole summary, "
        '<span class="formula">Σ log <i>p</i>(<i>y</i><sub>t</sub> | <i>y</i><sub>&lt;t</sub>, <i>x</i>)</span> = '
        f"{signed(one.target_log_prob, 1)} nats, against {signed(one.baseline_log_prob, 1)} nats when every token read "
        "is blanked out."
    )


def _legend(size: float) -> str:
    return (
        '<div class="legend" aria-hidden="true">'
        f'<span class="end">lowered it <b>−{size:.2f}</b></span><i class="ramp"></i>'
        f'<span class="end"><b>+{size:.2f}</b> raised it</span></div>'
    )


def _strongest(found: "Explanation") -> str:
    if not found.strongest:
        return '<p class="note">No word has a score.</p>'
    largest = max(abs(span.score) for span in found.strongest) or 1.0
    rows = "".join(
        f'<li class="{"up" if span.score >= 0 else "down"}"><span class="word" dir="auto">{escape(span.text)}</span>'
        f'<span class="track"><i style="--w:{abs(span.score) / largest:.3f}"></i></span>'
        f'<span class="nats">{signed(span.score)}</span></li>'
        for span in found.strongest
    )
    return f'<ol class="strongest" aria-label="Strongest words, in nats">{rows}</ol>'


def _facts(found: "Explanation", prefix: str) -> str:
    one = found.attribution
    facts = (
        (
            "Completeness error",
            _percent(one.completeness_error),
            f"how far the scores are from adding up, {one.n_steps} steps"
            + ("" if one.converged else ": not converged"),
        ),
        (
            f"On the prefix “{prefix.strip()}”",
            _percent(one.prefix_share),
            "of all scores, sign aside: not the article’s words",
        ),
        ("On the end mark </s>", _percent(one.eos_share), "likewise"),
    )
    return (
        '<dl class="facts">'
        + "".join(
            f"<div><dt>{escape(name)}</dt><dd><b>{value}</b> <span>{escape(about)}</span></dd></div>"
            for name, value, about in facts
        )
        + "</dl>"
    )


def _percent(share: float) -> str:
    if 0 < share < 0.0001:
        return "under 0.01%"
    return f"{share:.1%}" if share >= 0.01 else f"{share:.2%}"


def _all_words(found: "Explanation") -> str:
    """Every score as text, for who can't see tints or can't point."""
    scored = [span for span in found.spans if span.score is not None and any(map(str.isalnum, span.text))]
    rows = "".join(
        f'<tr><th scope="row" dir="auto">{escape(span.text)}</th><td>{signed(span.score, 3)}</td></tr>'
        for span in scored[:MOST_ROWS]
    )
    more = f", the first {MOST_ROWS:,}" if len(scored) > MOST_ROWS else ""
    return (
        f"<details><summary>Every word’s score, in the article’s order{more}</summary>"
        '<div class="all-words" tabindex="0" role="region" aria-label="Every word’s score"><table>'
        f'<thead><tr><th scope="col">Word</th><th scope="col">nats</th></tr></thead><tbody>{rows}</tbody></table>'
        "</div></details>"
    )
