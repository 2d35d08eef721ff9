"""Attribution methods side by side: what each finds strongest, and what leaving words out says about it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from space.markup import escape
from trainer.runtime.figures import ABSENT, signed

if TYPE_CHECKING:  # torch comes with it: the page opens first
    import numpy as np

    from trainer.attribution.contrast import Contrast
    from trainer.attribution.folding import Span
    from trainer.attribution.proof import Agreement, Curve, Evidence
    from trainer.attribution.sources import Sources

# Names that a visitor reads; by those of `trainer.attribution.registry`.
LABELS = {
    "integrated_gradients": "Integrated gradients",
    "input_x_gradient": "Input × gradient",
    "saliency": "Saliency",
    "gradient_shap": "Gradient SHAP",
    "occlusion_words": "Occlusion by word (slow)",
    "occlusion_sentences": "Occlusion by sentence",
    "kernel_shap": "Kernel SHAP, by sentence",
    "lime": "LIME, by sentence",
    "contextcite": "ContextCite, by sentence",
    "attention": "Cross-attention",
    "attention_rollout": "Attention rollout",
    "attention_values": "Value-weighted attention",
}
# What follows a score of these; the others' are in nats.
UNITS = {"attention": " of the attention", "attention_rollout": " of the attention", "attention_values": ""}
NAMED = 5
# Rank correlations up to which scores are said to look hardly alike, and from which on alike.
HARDLY, ALIKE = 0.2, 0.5
PLOT = (120, 44)  # CSS pixels
HEADS = {
    "Adds up": "How far the scores are from adding up to the change of log-probability (completeness error)",
    "Taken out": "Mean log-probability as words are taken out, strongest first; lower is better",
    "Put in": "Mean log-probability as words are put into an empty article, strongest first; higher is better",
}


@dataclass(frozen=True)
class Finding:
    """One method's scores for a text, and what leaving words out says about them.

    Attributes:
        name: one of `LABELS`, and, behind a comma, what was chosen of it.
        coloured: (start, end) of the article's words that do more than random ones: its tints.
        sanity: what shuffling the weights says (`trainer.attribution.proof.sanity_check`); None: not asked for.
    """

    name: str
    sources: "Sources"
    evidence: "Evidence"
    coloured: Sequence[tuple[int, int]]
    sanity: Mapping[str, float] | None = None


def methods(findings: Sequence[Finding], agreements: "Sequence[tuple[str, str, Agreement]]", text: str) -> str:
    """A block for each method, with its curves; and how alike the methods are, two by two.

    Args:
        text: that is explained.
    """
    heads = "".join(f'<th scope="col"><abbr title="{about}">{name}</abbr></th>' for name, about in HEADS.items())
    alike = "".join(
        f"<li>{escape(label(one))} and {escape(label(two))}: rank correlation {_number(found.spearman)}, "
        f"{found.overlap:.0%} of the ten strongest words alike</li>"
        for one, two, found in agreements
    )
    return (
        f'<div class="methods"><p class="explained">Explained: <span dir="auto">“{escape(text)}”</span></p>'
        '<table class="systems"><caption class="hidden">Attribution methods side by side</caption>'
        f"<thead><tr>{heads}</tr></thead>{''.join(map(_method, findings))}</table>"
        + (f'<h3>Do they agree?</h3><ul class="alike">{alike}</ul>' if alike else "")
        + '<p class="note">Areas in nats: the method’s, then the mean of 20 random orders’, and p, the part of orders '
        "that do as well. Grey lines are the random orders.</p></div>"
    )


def label(text: str) -> str:
    """A method's name, at the beginning of a text, as people read it."""
    name, comma, rest = text.partition(",")
    return LABELS.get(name, name).removesuffix(" (slow)") + comma + rest


def unit_of(name: str | None) -> str:
    """What stands behind a score of a method, with the space before it; None: of the page's default one."""
    return UNITS.get((name or "").partition(",")[0], " nats")


def _number(value: float) -> str:
    return signed(value) if value == value else ABSENT


def _method(found: Finding) -> str:
    words = [span for span in found.sources.spans if span.score is not None and any(map(str.isalnum, span.text))]
    strongest = _listed(sorted(words, key=lambda span: -span.score)[:NAMED])
    cells = _curve(found.evidence.deletion) + _curve(found.evidence.insertion)
    told = [found.evidence.necessity.sentence]
    if found.sanity is not None:
        told.append(shuffled(found.sanity, len(set(found.sources.attribution.scores))))
    if not found.coloured:
        told.append("No word does more than random ones when it is left out: none is tinted.")
    told = "".join(f'<span class="sentence">{escape(one)}</span>' for one in told)
    return (
        f'<tbody><tr><th scope="rowgroup" colspan="{len(HEADS)}"><b>{escape(label(found.name))}</b>'
        f'<span dir="auto">{strongest}</span>{told}'
        f'<button type="button" data-do="tint" data-method="{escape(found.name)}" aria-pressed="false">'
        f'Show in the article<span class="hidden"> by {escape(label(found.name))}</span></button></th></tr>'
        f"<tr><td>{_completeness(found.sources)}</td>{cells}</tr></tbody>"
    )


def shuffled(sanity: Mapping[str, float], scores: int) -> str:
    """What a method's scores are worth by the check with shuffled weights, in words and with its numbers.

    Args:
        sanity: rank correlation of |scores| by stage.
        scores: how many different ones there are; of few a correlation is large by chance.
    """
    decoder, encoder, alike = (sanity[stage] for stage in ("decoder", "encoder", "embeddings"))
    chance = 2 / math.sqrt(max(scores - 1, 1))  # two standard errors of the rank correlation of unrelated scores
    shown = f"({_number(alike)})"
    if math.isnan(alike):
        told = "With all weights shuffled all words have the same score: there is nothing to compare."
    elif alike <= max(HARDLY, chance):
        how = "hardly look alike" if alike <= HARDLY else f"look no more alike than {scores} scores do by chance"
        told = f"With all weights shuffled the scores {how} {shown}: they depend on what the model has learned."
    elif alike <= ALIKE:
        told = (
            f"With all weights shuffled the scores still look a little alike {shown}: they depend on the text as well "
            "as on what the model has learned."
        )
    else:
        told = (
            f"Even with all weights shuffled the scores look alike {shown}: this method shows the text rather than "
            "what the model has learned."
        )
    return (
        f"{told} Rank correlation after the decoder’s weights were shuffled {_number(decoder)}, then the encoder’s "
        f"{_number(encoder)}, then the embeddings’ {_number(alike)}."
    )


def _listed(spans: "Sequence[Span]") -> str:
    return ", ".join(escape(span.text) for span in spans)


def _completeness(found: "Sources") -> str:
    if found.completeness_error is None:
        return "not meant to"
    return f"to {found.completeness_error:.1%}" if found.converged else "not converged"


def _curve(curve: "Curve") -> str:
    return (
        f"<td>{_plot(curve)}<b>{signed(curve.area, 1)}</b> / {signed(float(curve.random_areas.mean()), 1)}"
        f"<span>p = {curve.p:.2f}</span></td>"
    )


def _plot(curve: "Curve") -> str:
    """The curve over those of the random orders; its numbers stand beside it."""
    from trainer.attribution.proof import SHARES

    width, height = PLOT
    low = float(min(curve.log_probs.min(), curve.random.min()))
    high = float(max(curve.log_probs.max(), curve.random.max()))
    size = (high - low) or 1.0

    def line(values: "np.ndarray", kind: str) -> str:
        points = " ".join(
            f"{share * width:.1f},{height - (float(value) - low) / size * height:.1f}"
            for share, value in zip(SHARES, values, strict=True)
        )
        return f'<polyline class="{kind}" points="{points}"/>'

    lines = "".join(line(values, "chance") for values in curve.random) + line(curve.log_probs, "own")
    return f'<svg class="curve" viewBox="-1 -1 {width + 2} {height + 2}" aria-hidden="true">{lines}</svg>'


def speaking(spans: "Sequence[Span]") -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(start, end) in the article of the words that speak most for the summary, and of those for the other text."""
    scored, start = [], 0
    for text, score in spans:
        if score and any(map(str.isalnum, text)):
            scored.append((score, (start, start + len(text))))
        start += len(text)
    scored.sort()
    ours = [place for score, place in reversed(scored[-NAMED:]) if score > 0]
    return ours, [place for score, place in scored[:NAMED] if score < 0]


def favoured(found: "Contrast", article: str, spans: "Sequence[Span]", other: str) -> str:
    """Where two texts part, and the words of the article that favour the one over the other.

    Args:
        spans: the article's words with scores, positive for the summary above.
        other: the text that it is compared with.
    """
    ours, theirs = (escape(", ".join(article[start:end] for start, end in places)) for places in speaking(spans))
    begin = f"Both begin with “{escape(found.common)}”, then" if found.common else "From the first word on"
    one, two = (f"“{escape(_piece(piece))}”" for piece in (found.token, found.other))
    error = float(found.matrix.completeness_errors[0])
    adds = f"add up to within {error:.1%}" if bool(found.matrix.converged[0]) else "have not converged"
    return (
        f'<div class="methods"><p class="explained">Against: <span dir="auto">“{escape(other)}”</span></p>'
        f'<p dir="auto">{begin} the summary goes on with {one} and the other text with {two}.</p>'
        f'<dl class="facts"><div><dt>For {one} speak</dt><dd dir="auto"><b>{ours or ABSENT}</b></dd></div>'
        f'<div><dt>For {two} speak</dt><dd dir="auto"><b>{theirs or ABSENT}</b></dd></div></dl>'
        f'<p class="note">Integrated gradients of log p({one}) − log p({two}), '
        f"{signed(float(found.matrix.log_probs[0]))} nats; the scores {adds}.</p></div>"
    )


def _piece(piece: str) -> str:
    return "the end" if piece == "</s>" else piece.replace("▁", " ").strip() or "a blank"
