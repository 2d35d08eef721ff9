"""Sentences of an article that can stand alone as its summary: whole, and without what ties them to others."""

import re

from trainer.data.sentences import split_sentences

WORDS = (5, 60)  # fewer make a heading or a caption, more are no summary
_WHOLE = re.compile(r"""[A-Z0-9"“‘'£$€].*[.!?]["'”’)\]]*""", re.DOTALL)
# In a text without capitals, and most often tokenised: there a quotation mark does not tell whether it opens or closes,
# so a sentence that begins with one may be the end of a longer quotation.
_WHOLE_IN_SMALL_LETTERS = re.compile(r"""[A-Za-z0-9£$€#].*[.!?](?: ?["'”’)\]])*""", re.DOTALL)
_PAIRS = (("“", "”"), ("(", ")"), ("[", "]"))
# "But the firm said" says "The firm said" to whom the sentence before is unknown. Not where the word changes the sense
# of what follows: "But for the storm …", "And so …".
_CONNECTIVE = re.compile(
    r"(?:(?:But|And|Yet)(?! (?:for|then|so|not|all|what|nothing|anyone)\b),? "
    r"|(?:However|Meanwhile|Moreover|Furthermore|Nevertheless|Nonetheless|Also|In addition|Additionally|Separately), )"
    r"(?=[A-Za-z0-9£$€])"
)
_ASIDE = re.compile(r" \([^()]{1,80}\)")
# What a copied web page puts in front of a text's first sentence.
_FURNITURE = re.compile(
    r"(?:Media playback is (?:un|not )supported on (?:your|this) device|Image (?:copyright|caption) \S+"
    r"|(?:\d{1,2} \w+ \d{4} )?Last updated at \d\d:\d\d (?:GMT|BST)"
    # An agency's mark: "(CNN)", "LONDON, England (Reuters) -".
    r"|(?:[^()]{2,40} (?=\( ?\w+ ?\) ?[-–—]))?\( ?(?:cnn|reuters|ap|afp|bbc) ?\)(?: ?[-–—]+)?) ",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[•·*–—-] ?(?=\w)")


def extracts(text: str) -> list[str]:
    """The sentences of `text` that could be its summary, tidied, in order, each once.

    Those are whole sentences (`is_whole`). Where there is none, every sentence that ends with a stop, and where there
    is none of these either, every sentence.

    >>> extracts('Image: AP\\nTwo boats sank (both were old) off Dover. But the crew is safe and well. "Yes.')
    ['Two boats sank off Dover.', 'The crew is safe and well.']
    """
    sentences = split_sentences(text)
    first_letters = [next(filter(str.isalpha, sentence), "") for sentence in sentences]
    capitals = sum(map(str.isupper, first_letters)) >= sum(map(str.islower, first_letters))
    whole = [sentence for sentence in map(tidied, sentences) if is_whole(sentence, capitals)]
    ended = [sentence for sentence in sentences if sentence.rstrip("\"'”’)]")[-1:] in (".", "!", "?")]
    return list(dict.fromkeys(whole or ended or sentences))


def is_whole(sentence: str, capitals: bool = True) -> bool:
    """Whether a sentence has a beginning and an end, 5 to 60 words, and no quotation or bracket left open.

    Args:
        capitals: whether the text that it is from begins its sentences with capitals.
    """
    if not WORDS[0] <= len(sentence.split()) <= WORDS[1] or sentence.endswith("..."):
        return False
    pattern = _WHOLE if capitals else _WHOLE_IN_SMALL_LETTERS
    if not pattern.fullmatch(sentence) or sentence.count('"') % 2 or sentence.count("`") > sentence.count("'"):
        return False
    if any(sentence.count(opening) != sentence.count(closing) for opening, closing in _PAIRS):
        return False
    return sentence.count("‘") <= sentence.count("’")  # ’ is an apostrophe too


def tidied(sentence: str) -> str:
    """A sentence without page furniture and bullet before it, its first "But" or "However," and asides in brackets.

    Only words are left out and the first letter is made a capital, so what it says is what the article says.
    """
    text = sentence
    while furniture := _FURNITURE.match(text):
        text = text[furniture.end() :]
    text = _LABEL.sub("", text, count=1) if _LABEL.match(text) else text
    text = _ASIDE.sub("", text)
    text = _CONNECTIVE.sub("", text, count=1) if _CONNECTIVE.match(text) else text
    return text[:1].upper() + text[1:] if text != sentence else sentence
