"""Is a summary about its article? Whether, of a hundred articles, its own is the one most like it.

A summary can be fluent, and score by words that fit any news at all. This asks what a reader would: could one tell from
the summary which article it belongs to? TF-IDF vectors of the words are compared by cosine: scikit-learn's smooth form,
term frequency × (log((1 + N) / (1 + df)) + 1), where N and df count the articles of the pool.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from trainer.metrics.base import Metric, means
from trainer.metrics.words import WORDS, words_of

POOL = 100  # articles that a summary could belong to
FIGURE = "own_article_share"
SETTINGS = f"tool:scikit-learn-{version('scikit-learn')}|tfidf:smooth|words:{WORDS}|case:lower|pool:{POOL}"
SIGNATURE = f"{FIGURE}|{SETTINGS}"


class Pool:
    """Articles that summaries can be traced back to.

    Args:
        sources: the articles, two or more: of a single one every summary would be.
    """

    def __init__(self, sources: Sequence[str]):
        if len(sources) < 2:
            raise ValueError(f"{len(sources)} articles are no pool: there must be 2 or more")
        self._n = len(sources)
        self._vectorizer = None
        if any(words_of(source) for source in sources):
            self._vectorizer = TfidfVectorizer(analyzer=words_of)
            self._articles = self._vectorizer.fit_transform(sources)

    def similarities(self, summary: str) -> np.ndarray:
        """Cosine with each article (articles,), in [0, 1]; 0 for a summary with none of their words."""
        if self._vectorizer is None:
            return np.zeros(self._n)
        return (self._articles @ self._vectorizer.transform([summary]).T).toarray()[:, 0]

    def has_own(self, summary: str, place: int) -> bool:
        """Whether no article is more like the summary than the one at `place`, and that one at all."""
        similar = self.similarities(summary)
        return bool(similar[place] > 0 and similar[place] >= similar.max() - 1e-12)


def pools(n: int) -> list[tuple[range, range]]:
    """(rows of the pool, rows that are scored in it): a hundred at a time, the last pool filled from before it.

    None where there are fewer than two rows.
    """
    if n < 2:
        return []
    return [
        (range(max(0, min(start, n - POOL)), min(start + POOL, n)), range(start, min(start + POOL, n)))
        for start in range(0, n, POOL)
    ]


def _score(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
    """`own_article_share`: the share of summaries whose nearest of 100 articles is their own.

    The articles are taken a hundred at a time in their order. With less than a hundred the pool is smaller and the
    question easier (the signature says 100); a single example has no value.
    """
    values = np.full(len(predictions), np.nan)
    for pool, scored in pools(len(predictions)):
        articles = Pool([sources[row] for row in pool])
        for row in scored:
            values[row] = articles.has_own(predictions[row], row - pool.start)
    return {FIGURE: values}


aboutness = Metric("aboutness", means([FIGURE], SETTINGS), _score, needs=("sources",), pools=pools)
