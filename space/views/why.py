"""Why, for those who want to know: what the words of the article did to the summary's probability, in numbers."""

from typing import TYPE_CHECKING

from space.markup import escape
from trainer.runtime.figures import signed

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from space.engine import Explanation
    from trainer.attribution.sources import Sources

MOST_ROWS = 1000  # words in the table of all; a page of more is slow to draw


NAMED_SOURCES = 6


def sources(found: "Sources") -> str:
    """The words of the article that most raised or lowered the probability of one word of the summary."""
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
        f'<ul>{listed}</ul><p class="note">In nats: + raised its probability, − lowered it. {told}.</p></section>'
    )


def explanation(found: "Explanation", prefix: str) -> str:
    """What is explained, the strongest words, whether the scores add up, and every word's score."""
    size = max((abs(span.score) for span in found.spans if span.score is not None), default=0.0)
    return (
        '<section class="why" aria-label="Explanation">'
        f'<p class="explained">{_explained(found)}</p>{_legend(size)}'
        f"<h3>Strongest words</h3>{_strongest(found)}"
        f"<h3>Do the scores add up?</h3>{_facts(found, prefix)}{_all_words(found)}</section>"
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
            f"how far the scores are from adding up, {one.n_steps} steps",
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
