"""What to know of a summary before believing it, in plain words, worst first."""

import re
from dataclasses import dataclass

from trainer.metrics.copied import CopiedFrom
from trainer.metrics.facts import Fact, unsupported
from trainer.metrics.words import words_of

NAMED = 3  # facts that are named one by one
# Whom these mean stands in the sentence before the one that was taken.
_POINTS_BACK = ("he", "she", "it", "they", "his", "her", "its", "their", "this", "that", "these", "those")
# A quotation whose speaker is "he" or "she": “We are safe,” she said.
_SPEAKER = re.compile(r"""["“'‘`].*["”'’] *(?:(?:said|says|added) )?(he|she|they)\b""", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Remark:
    """One sentence about a summary; `warns` where it is a reason to doubt it."""

    text: str
    warns: bool


def standing(chosen: bool, asked: bool = True) -> str:
    """What is said of every summary.

    Args:
        chosen: of one that is a sentence of the article.
        asked: whether the model was asked about it.
    """
    if not chosen:
        return "A model wrote this; it may be wrong."
    return f"A {'model' if asked else 'rule'} chose this sentence; it may miss the main point."


def remarks(summary: str, article: str, *, cut_at: int | None, words_unread: int) -> tuple[Remark, ...]:
    """What is to be said of a summary of an article.

    Args:
        cut_at: the limit of new tokens, if that cut the summary off.
        words_unread: words at the article's end that the model did not read.
    """
    passages = CopiedFrom(article).passages(summary)
    places = len(passages)
    warnings = []
    if places > 1:
        warnings.append(
            f"Joined from {places} places in the article, it may say what the article does not: read it against them."
        )
    lacking = unsupported(summary, article)
    if lacking:
        warnings.append(_not_in_the_article(lacking))
    if cut_at is not None:
        warnings.append(f"The limit of {cut_at} new tokens cut the summary off.")
    if speaker := _SPEAKER.match(summary):
        warnings.append(f"It is a quotation: who “{speaker[1]}” is stands elsewhere in the article.")
    elif places and next(iter(words_of(summary)), "") in _POINTS_BACK:
        warnings.append(f"It begins with “{summary.split()[0]}”: whom or what that means is in the sentence before it.")
    if words_unread:
        warnings.append(f"The last {words_unread:,} words of the article were not read.")
    found = [Remark(text, warns=True) for text in warnings]
    # Another word, such as "not", would be made up even if the article has it elsewhere.
    if places == 1 and not lacking and sum(run.length for run in passages[0]) == len(words_of(summary)):
        found.append(Remark("Word for word from one place in the article; no word was added.", warns=False))
    return tuple(found)


def _not_in_the_article(facts: list[Fact]) -> str:
    texts = list(dict.fromkeys(fact.text for fact in facts))
    named = [f"‘{text}’" for text in texts[:NAMED]]
    if len(texts) > NAMED:
        named.append(f"{len(texts) - NAMED} more")
    listed = " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
    return f"{listed} {'is' if len(texts) == 1 else 'are'} not in the article."
