"""Why this text and not that one: the words of the article that favour the one at the first place where they part."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainer.attribution.matrix import AttributionMatrix, IntegratedGradients, Pair
from trainer.errors import UserError


@dataclass(frozen=True)
class Contrast:
    """Two texts at the first token where they differ.

    Attributes:
        common: the text that both begin with.
        token, other: the vocabulary's pieces that come next in each.
        matrix: one row: scores of the article's tokens in nats, positive for those that favour the first text. They
            add up to the difference of log p(token) − log p(other) between the article and the baseline.
    """

    common: str
    token: str
    other: str
    matrix: AttributionMatrix


def contrast(
    pair: Pair, other: Pair, *, baseline: str = "pad", progress: Callable[[int, int], None] | None = None
) -> Contrast:
    """What favours `pair`'s summary over `other`'s, two texts for one article.

    Raises:
        UserError: the texts are the same, or the articles are not.
    """
    if pair.source != other.source:
        raise UserError("The two texts belong to different articles: a contrast needs the same one.")
    both = zip(pair.target.ids, other.target.ids, strict=False)
    parting = next((place for place, (one, two) in enumerate(both) if one != two), None)
    if parting is None:  # neither goes on where the other ends: both end with </s>
        raise UserError("The two texts are the same to this model: there is nothing to contrast.")
    method = IntegratedGradients(baseline=baseline)
    one, two = (method.attribute(side, [[parting]], progress) for side in (pair, other))
    end = max((offset[1] for offset in pair.target.offsets[:parting] if offset), default=0)
    return Contrast(
        common=pair.summary[:end],
        token=pair.target.pieces[parting],
        other=other.target.pieces[parting],
        matrix=AttributionMatrix(
            pair.source,
            pair.target,
            one.rows,
            one.scores - two.scores,
            one.log_probs - two.log_probs,
            one.baseline_log_probs - two.baseline_log_probs,
            np.maximum(one.n_steps, two.n_steps),
        ),
    )
