"""How much of a summary is the article's own wording.

Coverage and density are those of Grusky et al. 2018 (Newsroom, section 4) over greedy extractive fragments;
novel n-grams those of Narayan et al. 2018 (XSum, table 1), counted as distinct n-grams. Words are
`words_of`'s: lower case, no punctuation (Newsroom's own figures count punctuation as tokens too, and come out
higher).
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from trainer.metrics.base import Metric, means
from trainer.metrics.words import WORDS, ngrams, words_of

LONGEST_NGRAM = 4
FIGURES = ("coverage", "density", *(f"novel_{n}grams" for n in range(1, LONGEST_NGRAM + 1)))
SIGNATURE = f"tool:trainer|words:{WORDS}|case:lower"


def _score(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
    """`coverage`, `density` and `novel_1grams` to `novel_4grams`, the mean of the examples' own values.

    `coverage` is the share of the summary's words that lie in a fragment of the source, in [0, 1]; `density`
    the mean length of the fragment that a word lies in, in words; `novel_ngrams` the share of the summary's
    distinct n-grams that the source lacks. Each is undefined, and left out, for a summary of fewer than n
    words (n = 1 for the first two).
    """
    values: dict[str, list[float]] = {name: [] for name in FIGURES}
    for prediction, source in zip(predictions, sources, strict=True):
        summary, article = words_of(prediction), words_of(source)
        fragments = extractive_fragments(summary, article)
        values["coverage"].append(_share(sum(fragments), len(summary)))
        values["density"].append(_share(sum(length**2 for length in fragments), len(summary)))
        for n in range(1, LONGEST_NGRAM + 1):
            distinct = set(ngrams(summary, n))
            novel = distinct.difference(ngrams(article, n))
            values[f"novel_{n}grams"].append(_share(len(novel), len(distinct)))
    return values


abstraction = Metric("abstraction", means(FIGURES, SIGNATURE), _score, needs=("references", "sources"))


def extractive_fragments(summary: Sequence[str], article: Sequence[str]) -> list[int]:
    """Lengths of the fragments that the summary shares with the article (Grusky et al. 2018, figure 3).

    Greedy from the left: at each word of the summary the longest run that also stands in the article is one
    fragment, and the search goes on behind it. As in the paper, the article is searched on behind each run
    that was found, so that a run which begins inside another one is not seen.
    """
    places = defaultdict(list)
    for place, word in enumerate(article):
        places[word].append(place)
    lengths = []
    start = 0
    while start < len(summary):
        longest = searched = 0
        for place in places.get(summary[start], ()):
            if place < searched:
                continue
            run = _common_run(summary, start, article, place)
            longest = max(longest, run)
            searched = place + run
        if longest:
            lengths.append(longest)
        start += max(longest, 1)
    return lengths


def _common_run(summary: Sequence[str], start: int, article: Sequence[str], place: int) -> int:
    """How many words agree from these two places on."""
    run = 0
    limit = min(len(summary) - start, len(article) - place)
    while run < limit and summary[start + run] == article[place + run]:
        run += 1
    return run


def _share(part: float, whole: int) -> float:
    return part / whole if whole else float("nan")
