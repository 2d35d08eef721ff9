"""What is wrong with a pasted text before any model is asked: each guard is a plain sentence, some offer a mended text.

None of them forbids anything: a visitor who knows better goes on all the same.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser

from trainer.data.language import other_language

FEWEST_WORDS = 40
# Share of the characters that a model reads as <unk>. An emoji or a foreign name here and there stays below it.
MANY_UNKNOWN = 0.2
# Characters that language and vocabulary are judged by; more change nothing but the time.
LOOKED_AT = 20_000

_LINK = re.compile(r"(?:https?://|www\.)\S+|[\w-]+(?:\.[\w-]+)+/\S*", re.IGNORECASE)
_INLINE = "a abbr b button em font i img input label small span strong sub sup svg u"
_BLOCKS = (
    "address article aside blockquote body br caption dd div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    "head header hr html iframe li link main meta nav ol option p pre script section select style table tbody td th "
    "thead title tr ul video"
)
_BLOCK_TAGS = frozenset(_BLOCKS.split())
_UNSEEN_TAGS = frozenset(("script", "style", "head", "title", "nav", "template", "noscript", "select"))
_MARKUP = re.compile(
    rf"</?(?:{'|'.join(f'{_INLINE} {_BLOCKS}'.split())})(?:\s[^<>]*)?/?>|<!(?:doctype|--)|&(?:[a-z]{{2,8}}|#x?\w+);",
    re.IGNORECASE,
)
_LINES = re.compile(r"<(?:p|br|div|li|td|h\d)\b", re.IGNORECASE)
_FEWEST_MARKS = 2  # a single "<b>" or "&amp;" may be what the text is about


@dataclass(frozen=True)
class Guard:
    """One thing that is wrong with a text.

    Attributes:
        kind: "link", "html", "language", "unknown" or "short".
        text: what was seen and what helps, as plain sentences.
        mended: the text without what was wrong, where it can be had.
    """

    kind: str
    text: str
    mended: str | None = None


def guards(article: str, unknown_share: Callable[[str], float] | None = None) -> tuple[Guard, ...]:
    """What is wrong with a text that was pasted as an article; nothing for one as the models were taught on.

    A text with HTML tags is judged further without them.

    Args:
        unknown_share: gives the share of a text's characters, 0 to 1, that the model's vocabulary lacks.

    >>> [guard.text for guard in guards("https://www.bbc.co.uk/news/uk-1")]
    ['This is a link, and the page opens no links. Paste the text of the article instead.']
    """
    if all(_LINK.fullmatch(part) for part in article.split()):
        several = len(article.split()) > 1
        text = f"{'These are links' if several else 'This is a link'}, and the page opens no links."
        return (Guard("link", f"{text} Paste the text of the article instead."),) if article.strip() else ()
    found = []
    if len(_MARKUP.findall(article)) >= _FEWEST_MARKS:
        article = without_tags(article)
        found.append(Guard("html", "This holds HTML tags, which the model would read as words.", article or None))
    looked_at = article[:LOOKED_AT]
    language = other_language(looked_at)
    if language:
        found.append(Guard("language", f"This reads as {language}, and the page is made for articles in English."))
    share = unknown_share(looked_at) if unknown_share else 0.0
    if share >= MANY_UNKNOWN:
        found.append(Guard("unknown", f"This model does not know {share:.0%} of the characters: it can’t read them."))
    words = len(article.split())
    if words < FEWEST_WORDS and not language:  # not every language puts blanks between words
        number = {0: "no words", 1: "1 word"}.get(words, f"{words} words")
        found.append(Guard("short", f"This has {number}: with fewer than {FEWEST_WORDS} there is little to summarise."))
    return tuple(found)


def without_tags(html: str) -> str:
    """The text that a browser would show of `html`, a paragraph a line; scripts, styles and menus are left out.

    Line breaks of the source count only where no tag makes any.

    >>> without_tags("<h1>Boats</h1><p>Two <b>sank</b> &amp; one&nbsp;burnt.<script>x()</script>")
    'Boats\\nTwo sank & one burnt.'
    """
    parser = _Text()
    parser.feed(" ".join(html.split()) if _LINES.search(html) else html)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).split("\n"))
    return "\n".join(filter(None, lines))


class _Text(HTMLParser):
    """Collects what is shown of a page; a block begins and ends a line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body":  # a head that nobody closed ends here
            self._unseen.clear()
        if tag in _UNSEEN_TAGS:
            self._unseen.append(tag)
        self._break(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            del self._unseen[self._unseen.index(tag) :]
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)

    def _break(self, tag: str) -> None:
        if tag in _BLOCK_TAGS:
            self.parts.append("\n")
