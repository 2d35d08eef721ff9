"""Where one sentence ends and the next begins: the one splitter of the project.

ROUGE-Lsum, Lead-n, Random-n and everything else that counts in sentences use `split_sentences`, so that their
figures can be compared. Its name, `SENTENCE_SPLIT`, stands in the signature of every figure that depends on
it: change the rules and the name must change too.

It is one regular expression that proposes ends, and a few rules that refuse some of them. It needs no
download, keeps every character that is not white space, and was made for English news and papers; other
scripts are split at their own full stops (。！？।؟).
"""

import re

SENTENCE_SPLIT = "regex-v1"

# An end is a run of stops with the quotes and brackets that close behind it, then white space. Full-width
# stops need no space. A stop that stands alone, as in text that was tokenised (`the end . then`), is an end
# whatever follows.
_CLOSING = "\"'”’»)\\]}"
_OPENING = "-–—•*\"'“‘«(\\[{`"
_QUOTES = "\"'“‘«([{"
_END = re.compile(rf"(?P<stop>[.!?…]+|[।؟])(?P<close>[{_CLOSING}]*)\s+|[。！？]+[」』”’）]*\s*")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Never the last word of a sentence: titles before a name, and Latin or mathematical short forms.
_NEVER_LAST = _set(
    "mr mrs ms mx dr prof st rev hon gen lt col capt cmdr sgt cpl maj adm gov sen rep pres supt insp det "
    "messrs mme mlle cf vs viz ca approx e.g i.e w.r.t al fig figs eq eqs thm vols pp nos refs"
)
# Not the last word where a number follows ("No. 5", "p. 12", "Sept. 11"); else they are words like any other.
_BEFORE_NUMBERS = _set("no p v ch sec vol ref tab art jan feb mar apr jun jul aug sep sept oct nov dec")
# These may well end a sentence: they do where the next word is one that opens sentences.
_MAY_BE_LAST = _set("inc ltd co corp plc bros jr sr etc ph.d dept est ave blvd rd mt ft")
_OPENERS = _set(
    "the a an he she it they we i you his her its their our my this that these those there here in on at for "
    "from but and so if when while after before as by with however although since what who why how where"
)
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]$")  # "J", "U.S", "e.g": single letters with stops between
_AFTER = re.compile(rf"[{_OPENING} ]*(?P<word>[\w’']*)")  # the word that follows, past quotes and brackets


def split_sentences(text: str) -> list[str]:
    """Splits `text` into sentences, in order, each without white space at its ends and with runs of it made
    one space.

    A line break always ends a sentence: articles hold a paragraph or a heading a line. Joined with spaces,
    the sentences are the text again but for its white space. No sentence is empty; text without any gives an
    empty list.

    >>> split_sentences('Dr. J. Smith paid $3.5m. "Why?" he asked. In the U.S. Senate nobody knew.')
    ['Dr. J. Smith paid $3.5m.', '"Why?" he asked.', 'In the U.S. Senate nobody knew.']
    """
    sentences = []
    for line in text.splitlines():
        line = " ".join(line.split())
        start = 0
        for end in _END.finditer(line):
            if end.end() < len(line) and _ends_sentence(line, end, start):
                sentences.append(line[start : end.end()].rstrip())
                start = end.end()
        if start < len(line):
            sentences.append(line[start:])
    return sentences


def _ends_sentence(line: str, end: re.Match, start: int) -> bool:
    stop = end["stop"]
    if stop is None:  # a full-width stop says so itself
        return True
    if end.start() == 0 or line[end.start() - 1].isspace():  # stands alone: tokenised text
        return end.start() > start and stop not in ("...", "…") and line[end.end()] not in ".!?…"
    following = _AFTER.match(line, end.end())["word"]
    if following[:1].islower():  # `"Why?" he asked`, `approx. three`
        return False
    if stop != "." or end["close"]:
        return True
    word_start = max(start, line.rfind(" ", start, end.start()) + 1)
    word = line[word_start : end.start()].strip(_QUOTES).lower()
    if word in _NEVER_LAST:
        return False
    if word in _BEFORE_NUMBERS:
        return not following[:1].isdigit()
    if word in _MAY_BE_LAST or (_INITIALS.fullmatch(word) and word != "i"):
        return following.lower() in _OPENERS
    return True
