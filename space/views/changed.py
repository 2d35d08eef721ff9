"""What the model says of a changed article: with words struck out, or with typos."""

from typing import TYPE_CHECKING

from space.markup import escape
from space.views.copied import CopiedMap, marked, whole_words
from trainer.runtime.figures import ABSENT, signed

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from space.engine import Answer, AskedAgain
    from trainer.attribution.deletion import Change

KINDS = {"kept": "{}", "removed": "<del>{}</del>", "added": "<ins>{}</ins>"}
ROUGE = ("rouge1", "rouge2", "rougeL")
OF_THE_ARTICLE = (
    "This summary is a sentence of the article. Without words of that sentence it is no longer there to be taken, so "
    "these always count for much."
)


def asked_again(found: "AskedAgain", chosen: bool) -> str:
    """The old and the new summary as one text, and how much less probable the old one became.

    Args:
        chosen: whether the old summary is a sentence of the article.
    """
    from trainer.attribution.proof import times

    one = found.deletion
    count, them = (f"{one.words:,} words", "them") if one.words != 1 else ("1 word", "it")
    says = f"Without {count} the model says: {found.answer.text or 'nothing'}"
    note = f'<p class="note">{OF_THE_ARTICLE}</p>' if chosen else ""
    return (
        f'<section class="card again" aria-label="Asked again" data-says="{escape(says)}"><h2>Without {count}</h2>'
        f"{difference(found.changes)}"
        f"<p>Without {them} the summary above is <b>{times(one.fall)}</b>; without {count} drawn at random it is "
        f"{times(one.random_fall)}.</p>"
        f'<p class="note">Its log-probability changes by {signed(-one.fall, 1)} nats; at random by '
        f"{signed(-one.random_fall, 1)}, the mean of {len(one.random_after)} draws.</p>{note}</section>"
    )


def difference(changes: "tuple[Change, ...]") -> str:
    """Old and new summary as one text, struck out and added words marked."""
    if all(change.kind == "kept" for change in changes):
        return "<p>The model says the same again.</p>"
    text = " ".join(KINDS[change.kind].format(escape(change.text)) for change in changes)
    return f'<p class="short-summary" dir="auto">{text}</p>'


def with_typos(
    answer: "Answer",
    article: str,
    copied: CopiedMap,
    changes: "tuple[Change, ...]",
    rouge: list[tuple[str, dict[str, float] | None]],
) -> str:
    """The summary of an article with typos beside that of the clean one.

    Args:
        article: with typos; `copied` is the map of `answer` and this.
        changes: from the clean summary to this one.
        rouge: what this one was scored against, and F1 by ROUGE type; None where ROUGE finds no words in it.
    """
    scores = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{100 * score[kind]:.1f}</td>" if score else f"<td>{ABSENT}</td>" for kind in ROUGE)
        + "</tr>"
        for name, score in rouge
    )
    written = escape(answer.text) if answer.text else "<i>The model wrote nothing.</i>"
    if answer.text:
        places = [(piece, whole_words(answer.text, piece.in_summary)) for piece in copied.pieces]
        written = marked(answer.text, [], places)
    read = marked(article, [], [(piece, piece.in_article) for piece in copied.pieces])
    return (
        f'<div class="noisy"><h3>Its summary now</h3><p class="short-summary" dir="auto">{written}</p>'
        f"<h3>Against the one above</h3>{difference(changes)}"
        '<table class="rouge"><caption class="hidden">ROUGE of the summary of the article with typos</caption>'
        '<thead><tr><th scope="col">ROUGE, F1 × 100, against</th><th scope="col">R-1</th><th scope="col">R-2</th>'
        f'<th scope="col">R-L</th></tr></thead><tbody>{scores}</tbody></table>'
        "<details><summary>The article with typos, and where this was copied from</summary>"
        f'<div class="noisy-article" dir="auto" tabindex="0" role="region" aria-label="The article with typos">{read}'
        "</div></details></div>"
    )
