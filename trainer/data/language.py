"""Which language texts are in, found out from the texts: a card claims nothing that nobody has looked at."""

from collections import Counter
from collections.abc import Sequence

from trainer.data.splits import Example
from trainer.errors import UserError

# So many pairs, spread evenly over the split, are looked at: half a second.
SAMPLE = 200

# So many of their texts must be in one language for it to be that of the split.
SHARE = 0.9

# What py3langid says of a text without words.
_NO_WORDS = "zxx"

# By how many nats a text must be more probable in another language to be said to be in it. Of the first 6, 10 or 20
# words of the 999 XSum test articles only Welsh ones are: four are partly in Welsh.
CLEARLY = 30.0


def language_of(examples: Sequence[Example], asked: str | None = None) -> str | None:
    """The language of articles and summaries alike as an ISO 639 code ("en"); None where they are of several.

    Args:
        asked: a code that the texts must agree with; "none" asks for None.

    Raises:
        UserError: the texts read as another language than `asked`.
    """
    if asked == "none":
        return None
    import py3langid  # imported here: it reads a model of 4 MB

    pairs = examples[:: max(len(examples) // SAMPLE, 1)][:SAMPLE]
    texts = [text for pair in pairs for text in (pair.source, pair.target)]
    counts = Counter(py3langid.classify(text)[0] for text in texts)
    code, number = counts.most_common(1)[0]
    language = code if number >= SHARE * len(texts) and code != _NO_WORDS else None
    if asked is not None and asked != language:
        found = ", ".join(f"{name} ({100 * n / len(texts):.0f}%)" for name, n in counts.most_common(3))
        raise UserError(
            f"--language is {asked!r}, but {len(texts)} of the training texts read as {found}. Leave it out for what "
            "the texts are found to be, or give 'none' to claim nothing."
        )
    return language


def other_language(text: str) -> str | None:
    """The name of a text's language, as "German", where that clearly is not English; else None."""
    import py3langid
    from transformers.models.whisper.tokenization_whisper import LANGUAGES  # names of a hundred languages

    ranked = py3langid.rank(text)
    code, log_prob = ranked[0]
    if code in ("en", _NO_WORDS) or log_prob - dict(ranked)["en"] < CLEARLY:
        return None
    return LANGUAGES[code].title() if code in LANGUAGES else f"another language (ISO 639 “{code}”)"
