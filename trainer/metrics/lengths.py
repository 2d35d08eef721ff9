"""How long summaries are, how many are empty, cut off or repeat themselves.

A word here is what stands between white space: the plainest definition, the same for every language and tool.
"""

from collections.abc import Sequence

import numpy as np

from trainer.metrics.base import Figure, mean_of, same_number

SIGNATURE = "tool:trainer|words:whitespace"


def lengths(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Figure]:
    """`summary_words`, `reference_words`, `source_words`, `compression` and `empty_share`.

    `compression` is words of the source per word of the summary (Grusky et al. 2018, section 4), the mean of
    the examples' own ratios; an empty summary has none and is left out (the figure's n says how many count).

    Raises:
        ValueError: the lists differ in length.
    """
    same_number(predictions=predictions, references=references, sources=sources)
    summary, reference, source = (_word_counts(texts) for texts in (predictions, references, sources))
    ratio = np.divide(source, summary, out=np.full(len(source), np.nan), where=summary > 0)
    return {
        "summary_words": mean_of(summary, f"summary_words|{SIGNATURE}"),
        "reference_words": mean_of(reference, f"reference_words|{SIGNATURE}"),
        "source_words": mean_of(source, f"source_words|{SIGNATURE}"),
        "compression": mean_of(ratio, f"compression|{SIGNATURE}"),
        "empty_share": mean_of(summary == 0, f"empty_share|{SIGNATURE}"),
    }


def _word_counts(texts: Sequence[str]) -> np.ndarray:
    return np.array([len(text.split()) for text in texts], dtype=np.float64)
