"""Numbers by their value: "£2.4m", "2.4 million" and "2,400,000" are one number, and so are "three" and "3".

A number is read from a list of tokens as `trainer.metrics.facts` makes it. What is counted (pounds, per cent, years) is
not compared.
"""

import re

# Digits with what stands close to them: currency, a short form of thousand to trillion, or a per cent sign.
NUMBER = r"[£$€]?\d+(?:,\d{3})*(?:\.\d+)?(?:(?:[kKmM]|[bB][nN]|[tT][nN])\b|%)?"
_PARTS = re.compile(r"[£$€]?(?P<digits>[\d,]+(?:\.\d+)?)(?P<close>[a-zA-Z]*)%?")

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_UNITS += ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {word: value for value, word in enumerate(_UNITS)} | {word: 10 * n for n, word in enumerate(_TENS, start=2)}
_LARGE = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_CLOSE = {"k": 10**3, "m": 10**6, "bn": 10**9, "tn": 10**12}
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh")
_ORDINALS += ("twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth")
RANKS = {word: rank for rank, word in enumerate((*_ORDINALS, "nineteenth", "twentieth"), start=1)}
# Words from which a number follows, for whoever says it in another way.
IMPLIED = {"once": 1, "both": 2, "couple": 2, "pair": 2, "twice": 2, "double": 2, "half": 50}
IMPLIED |= {"quarter": 25, "triple": 3, "treble": 3, "hat-trick": 3, "dozen": 12, "decade": 10, "century": 100} | RANKS
IMPLIED |= {f"{word}s": value for word, value in _SMALL.items()}


def quantity_at(tokens: list[str], place: int) -> tuple[float, int] | None:
    """The value of the number that begins at `place` and the place behind it; None where none begins.

    >>> quantity_at(["two", "hundred", "and", "fifty", "boats"], 0), quantity_at(["£2.4", "million"], 0)
    ((250, 4), (2400000.0, 2))
    """
    total: float = 0
    part: float | None = None
    end = start = place
    least = float("inf")  # a later word stands for less, as "fifty" in "two hundred and fifty"
    while end < len(tokens):
        word = tokens[end].lower()
        joins = word == "and" and part is not None and end > start and tokens[end - 1].lower() in _LARGE
        if joins and end + 1 < len(tokens) and _small(tokens[end + 1].lower()) is not None:
            end += 1
            continue
        if part is None and is_digits(word):
            part, end = digits_value(word), end + 1
            least = 0
            continue
        if word in _LARGE and (part is not None or end == place):
            scale = _LARGE[word]
            part = (1 if part is None else part) * scale
            if scale > 100:
                total, part = total + part, 0
            least, end = scale, end + 1
            continue
        value = _small(word)
        if value is None or value >= least:
            break
        part, least, end = (part or 0) + value, 10 if value >= 20 and not value % 10 else 0, end + 1
    return None if part is None else (total + part, end)


def begins_quantity(word: str) -> bool:
    """Whether a word is a number or a rank."""
    word = word.lower()
    return _small(word) is not None or word in _LARGE or word in RANKS


def is_digits(token: str) -> bool:
    """Whether a token is a number in digits, be it with its currency."""
    return token.lstrip("£$€")[:1].isdecimal()


def digits_value(token: str) -> float:
    """The value of a token of digits.

    >>> digits_value("£2.4m"), digits_value("1,200"), digits_value("5%")
    (2400000.0, 1200.0, 5.0)
    """
    parts = _PARTS.fullmatch(token)
    return float(parts["digits"].replace(",", "")) * _CLOSE.get(parts["close"].lower(), 1)


def rounds_to(exact: float, stated: float) -> bool:
    """Whether `stated` is `exact` or `exact` rounded to as many figures as `stated` has, two or more.

    >>> rounds_to(2_398_120, 2_400_000), rounds_to(2.4, 2), rounds_to(213, 200)
    (True, False, False)
    """
    if exact == stated:
        return True
    figures = len(f"{stated:.15g}".replace(".", "").strip("0")) if "e" not in f"{stated:.15g}" else 2
    return figures >= 2 and float(f"{exact:.{figures}g}") == stated


def _small(word: str) -> int | None:
    """The value of a word from zero to ninety-nine."""
    if word in _SMALL:
        return _SMALL[word]
    tens, _, units = word.partition("-")
    return _SMALL[tens] + _SMALL[units] if tens in _TENS and 0 < _SMALL.get(units, 0) < 10 else None
