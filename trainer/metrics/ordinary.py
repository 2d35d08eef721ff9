"""Words that are written in lower case: so a capital at the beginning of a sentence is all that such a word has.

"Police" may open any sentence; "Leinster" is a name wherever it stands. Which words are which is counted in large
texts, as for truecasing (Lita et al. 2003). `python -m trainer.metrics.ordinary --corpus a.jsonl.gz --corpus …` writes
the list.
"""

import argparse
import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

LIST = Path(__file__).with_name("ordinary_words.json")
# So many times in lower case in the texts counted (120 million characters), and at least as often as capitalised.
LEAST = 30

_LOWER = re.compile(r"(?<![\w'’.-])[a-z]{3,}(?![\w'’-])")
_CAPITALISED = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?![\w'’-])")  # within a sentence
_ENDINGS = ("s", "d", "ed", "ing", "er", "ers", "ly")


def is_ordinary(word: str) -> bool:
    """Whether an English word, in whatever case it stands, is usually written in lower case.

    Inflected forms count as the word that they come from, and a compound as its first part.

    >>> [is_ordinary(word) for word in ("Campaigners", "High-speed", "Leinster", "Rome")]
    [True, True, False, False]
    """
    first = word.lower().partition("-")[0]
    return first in _words() or any(stem in _words() for stem in _stems(first))


def ordinary_words(texts: Iterable[str]) -> list[str]:
    """The words that `texts` write in lower case, sorted; without those that an ending makes of another."""
    lower: Counter[str] = Counter()
    capitalised: Counter[str] = Counter()
    for text in texts:
        lower.update(_LOWER.findall(text))
        capitalised.update(word.lower() for word in _CAPITALISED.findall(text))
    words = {word for word, number in lower.items() if number >= max(LEAST, capitalised[word])}
    return sorted(word for word in words if not any(stem in words for stem in _stems(word)))


def main(argv: list[str] | None = None) -> int:
    """Counts corpora and writes the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, action="append", required=True, help="gzipped JSON Lines with `text`.")
    corpora = parser.parse_args(argv).corpus
    words = ordinary_words(text for file in corpora for text in _texts(file))
    found = {"counted": [file.name for file in corpora], "words": " ".join(words)}
    LIST.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(f"{len(words):,} words in {LIST}.")
    return 0


def _texts(file: Path) -> Iterator[str]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from (json.loads(line)["text"] for line in lines)


@cache
def _words() -> frozenset[str]:
    return frozenset(json.loads(LIST.read_text("utf-8"))["words"].split())


def _stems(word: str) -> list[str]:
    return [word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending) and len(word) > len(ending) + 2]


if __name__ == "__main__":
    sys.exit(main())
