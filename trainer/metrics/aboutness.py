"""Is a summary about its article? Whether, of a hundred articles, its own is the one most like it.

A summary can be fluent, and score by words that fit any news at all. This asks what a reader would: could one tell from
the summary which article it belongs to? TF-IDF vectors of the words (term frequency × (log((1 + N) / (1 + df)) + 1),
scikit-learn's smooth form, where N and df count the articles of the pool), compared by cosine.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from trainer.metrics.base import Figure, mean_of, same_number
from trainer.metrics.words import WORDS, words_of

POOL = 100  # articles that a summary could belong to
FIGURE = "own_article_share"
SIGNATURE = f"{FIGURE}|tool:trainer|tfidf:smooth|words:{WORDS}|case:lower|pool:{POOL}"


class Pool:
    """Articles that summaries can be traced back to.

    Args:
        sources: the articles, two or more: of a single one every summary would be.
    """

    def __init__(self, sources: Sequence[str]):
        if len(sources) < 2:
            raise ValueError(f"{len(sources)} articles are no pool: there must be 2 or more")
        counts = [Counter(words_of(source)) for source in sources]
        frequency = Counter(word for words in counts for word in words)
        self._places = {word: place for place, word in enumerate(frequency)}
        self._idf = np.log((1 + len(sources)) / (1 + np.array(list(frequency.values())))) + 1
        self._articles = np.stack([self._vector(words) for words in counts])

    def similarities(self, summary: str) -> np.ndarray:
        """Cosine with each article (articles,), in [0, 1]; 0 for a summary with none of their words."""
        return self._articles @ self._vector(Counter(words_of(summary)))

    def has_own(self, summary: str, place: int) -> bool:
        """Whether no article is more like the summary than the one at `place`, and that one at all."""
        similar = self.similarities(summary)
        return bool(similar[place] > 0 and similar[place] >= similar.max() - 1e-12)

    def _vector(self, words: Counter[str]) -> np.ndarray:
        vector = np.zeros(len(self._places))
        for word, count in words.items():
            if word in self._places:
                vector[self._places[word]] = count
        vector *= self._idf
        norm = np.linalg.norm(vector)
        return vector / norm if norm else vector


def pools(n: int) -> list[tuple[range, range]]:
    """(rows of the pool, rows that are scored in it): a hundred at a time, the last pool filled from before it."""
    return [
        (range(max(0, min(start, n - POOL)), min(start + POOL, n)), range(start, min(start + POOL, n)))
        for start in range(0, n, POOL)
    ]


def aboutness(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Figure]:
    """`own_article_share`: the share of summaries whose nearest of 100 articles is their own.

    The articles are taken a hundred at a time in their order. With less than a hundred the pool is smaller and the
    question easier (the signature says 100); a single example has no value.

    Raises:
        ValueError: the lists differ in length.
    """
    n = same_number(predictions=predictions, sources=sources)
    found = np.full(n, np.nan)
    for pool, scored in pools(n) if n > 1 else []:
        articles = Pool([sources[row] for row in pool])
        for row in scored:
            found[row] = articles.has_own(predictions[row], row - pool.start)
    return {FIGURE: mean_of(found, SIGNATURE)}
