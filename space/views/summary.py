"""The summary: its words and where they come from, what to know before believing it, and how it was made."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from space.markup import escape
from space.serving import STARTER_NAME
from space.verdict import Remark, standing
from space.views.copied import CopiedMap, marked, whole_words

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from space.engine import Answer

# A model reads characters that its vocabulary lacks as <unk>; from this share on, people should know.
MANY_UNKNOWN = 0.1
# What a result can be taken away as: action of page.js, name, and what it does.
MAKERS = (
    ("copy", "Copy", "Copy the summary"),
    ("link", "Link", "Copy a link that brings the settings and the text back; it sends nothing to the server"),
    ("html", "HTML", "Download this result as one HTML file"),
    ("json", "JSON", "Download this result as JSON, with everything behind it"),
)


def chose(answer: "Answer") -> bool:
    """Whether the summary is a sentence of the article that the model chose, not one that it wrote."""
    return answer.decoding.get("choose_from") == "sentences"


def summary_card(answer: "Answer", by: str, copied: CopiedMap, note: str | None = None, *, actions: bool = True) -> str:
    """The card: summary, verdict, pieces and how it was made.

    Args:
        by: the model, as HTML (`byline`).
        note: of an example, what it shows.
        actions: whether there is a page that answers to its buttons.
    """
    text = summary_text(answer.text, copied) if answer.text else '<i class="nothing">The model wrote nothing.</i>'
    made = f"{'Chosen' if chose(answer) else 'Written'} by {by if answer.asked else 'a rule'}"
    makers = '<div class="makers">' + "".join(
        f'<button type="button" data-do="{do}" title="{about}">{name}</button>' for do, name, about in MAKERS
    )
    makers += "</div>"
    return (
        '<section class="card result" aria-label="Summary">'
        f'<div class="kicker"><h2>Summary</h2><p class="by">{made}</p>'
        f"{makers if actions else ''}</div>"
        '<p class="older" role="status">The article was changed since: this is the summary of the older text.</p>'
        + (f'<p class="example-note">{escape(note)}</p>' if note else "")
        + f'<p class="summary" dir="auto">{text}</p>'
        f"{verdict(answer.remarks, standing(chose(answer), answer.asked))}{_pieces(copied)}"
        f'<p class="byline">{escape(_how(answer, copied))} {_read(answer)}</p>{_notes(answer)}</section>'
    )


def summary_text(text: str, copied: CopiedMap) -> str:
    """The summary as HTML: copied pieces marked, words that the article lacks underlined, each word to be asked."""
    words = []
    for number, run in enumerate(re.finditer(r"\S+", text)):
        lacks = any(start < run.end() and run.start() < end for start, end in copied.lacking)
        kind = "sw lacks" if lacks else "sw"
        # One stop of the tab key for all words; from there the arrow keys lead on.
        stop = -1 if number else 0
        tag = f'<span class="{kind}" data-do="word" data-word="{number}" role="button" tabindex="{stop}">'
        words.append((*run.span(), tag))
    return marked(text, words, [(piece, whole_words(text, piece.in_summary)) for piece in copied.pieces])


def byline(name: str, revision: str | None) -> str:
    """Which model wrote a summary, as HTML."""
    if name == STARTER_NAME:
        return "the demo’s model"
    return escape(name) + (f" <code>{escape(revision[:7])}</code>" if revision else "")


def verdict(remarks: Sequence[Remark], always: str) -> str:
    """What to know before believing a summary: warnings first, in a box of their own, and a tick never above them.

    Args:
        always: what is said of every summary (`space.verdict.standing`).
    """
    warnings = "".join(f"<li>{escape(remark.text)}</li>" for remark in remarks if remark.warns)
    ticks = "".join(f'<li class="tick">{escape(remark.text)}</li>' for remark in remarks if not remark.warns)
    box = f'<ul class="warnings">{warnings}</ul>' if warnings else ""
    return (
        f'<div class="verdict" role="group" aria-label="Before you believe it">{box}'
        f'<ul class="ticks">{ticks}<li class="standing">{escape(always)}</li></ul></div>'
    )


def _pieces(copied: CopiedMap) -> str:
    """A button for each piece: shows the article's sentence that it was taken from."""
    if not copied.pieces:
        return ""
    buttons = "".join(
        f'<button type="button" class="tint{piece.tint}" data-do="piece" data-piece="{piece.letter}" '
        f'data-sentence="{escape(piece.sentence_text)}" aria-expanded="false"><b>{piece.letter}</b>: '
        f"{_counted(piece.words, 'word')} of sentence {piece.sentence}</button>"
        for piece in copied.pieces
    )
    lacks = '<span class="key"><span class="lacks">underlined</span>: not in the article</span>'
    return (
        f'<div class="pieces" role="group" aria-label="Where it was copied from"><p>Copied from</p>{buttons}'
        f"{lacks if copied.lacking else ''}</div>"
        '<p class="from" hidden></p>'
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _how(answer: "Answer", copied: CopiedMap) -> str:
    if not answer.asked and copied.pieces and copied.pieces[0].sentence == 1:
        return "The article opens with this sentence, which was taken as its lead: the model was not asked."
    if not answer.asked:
        return "No other sentence of the article could be taken: the model was not asked."
    if chose(answer):
        return f"Chosen among the article’s own sentences in {answer.seconds:.1f} s."
    beams = answer.decoding.get("num_beams", 1)
    search = "greedily" if beams == 1 else f"with {beams} beams"
    return f"Written {search}, at most {answer.decoding['max_new_tokens']} new tokens, in {answer.seconds:.1f} s."


def _read(answer: "Answer") -> str:
    """How much was read; the tokens, for who knows what they are, when it is pointed at."""
    if not answer.asked:
        return ""
    words = (
        f"The last {_counted(answer.words_unread, 'word')} were not read."
        if answer.words_unread
        else "The article was read to its end."
    )
    tokens = f"{answer.tokens_read:,} tokens read, {answer.tokens_total - answer.tokens_read:,} past the limit"
    return f'<span class="read" title="{tokens}">{words}</span>'


def _notes(answer: "Answer") -> str:
    if answer.unknown <= MANY_UNKNOWN * answer.tokens_read:
        return ""
    share = answer.unknown / answer.tokens_read
    note = f"{share:.0%} of the tokens read are unknown to this model’s vocabulary: it knows English only."
    return f'<p class="note">{escape(note)}</p>'
