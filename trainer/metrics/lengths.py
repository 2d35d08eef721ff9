"""How long summaries, references and articles are, and how many summaries are empty.

A word here is what stands between white space: the plainest definition, the same for every language and tool.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.metrics.base import Metric, means

FIGURES = ("summary_words", "reference_words", "source_words", "compression", "empty_share")
SIGNATURE = "tool:trainer|words:whitespace"


def _score(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
    """`summary_words`, `reference_words`, `source_words`, `compression` and `empty_share`.

    `compression` is words of the source per word of the summary (Grusky et al. 2018, section 4), the mean of
    the examples' own ratios; an empty summary has none and is left out (the figure's n says how many count).
    """
    summary, reference, source = (_word_counts(texts) for texts in (predictions, references, sources))
    ratio = np.divide(source, summary, out=np.full(len(source), np.nan), where=summary > 0)
    return {
        "summary_words": summary,
        "reference_words": reference,
        "source_words": source,
        "compression": ratio,
        "empty_share": summary == 0,
    }


def _word_counts(texts: Sequence[str]) -> np.ndarray:
    return np.array([len(text.split()) for text in texts], dtype=np.float64)


lengths = Metric("lengths", means(FIGURES, SIGNATURE), _score, needs=("references", "sources"))
