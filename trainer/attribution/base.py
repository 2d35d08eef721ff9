"""What every attribution method shares: the source as the model reads it, the target, the result."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from trainer.data.encoding import encode
from trainer.errors import UserError

_SURROGATES = re.compile("[\ud800-\udfff]")

Offset = tuple[int, int] | None
TOLERANCE = 0.01  # the largest completeness error of scores that are said to add up
SMALLEST_CHANGE = 1.0  # nats: an error is not divided by less


@dataclass(frozen=True)
class Attribution:
    """How much each piece that the model read changed the log probability of the summary.

    Attributes:
        pieces: the vocabulary's pieces that were read, in order: prefix, article, `</s>`.
        offsets: (start, end) of each piece in *article* characters, None for the prefix and `</s>`. They lie
            within the article and starts never fall back; pieces may share characters ("½" is 1, ⁄ and 2).
        scores: nats, one a piece; positive raises the summary's probability.
        target_log_prob: Σ log p(y_t | y_<t, x) of the summary, its `</s>` included; nats.
        baseline_log_prob: the same where every piece read is the baseline; nats. None, like the completeness below,
            where the method's scores are not meant to add up to the difference.
        target_tokens: number of terms in that sum.
        completeness_gap: Σ scores − (target_log_prob − baseline_log_prob); nats.
        completeness_error: |completeness_gap| / max(|target_log_prob − baseline_log_prob|, 1 nat).
        n_steps: points of the path at which the gradient was taken; None for methods without a path.
        tokens_read: length of `pieces`.
        tokens_total: what it would be without the limit on the source's length.
        prefix_share: part of Σ |scores| that falls on the prefix; in [0, 1].
        eos_share: part of Σ |scores| that falls on `</s>`; in [0, 1].
    """

    pieces: tuple[str, ...]
    offsets: tuple[Offset, ...]
    scores: tuple[float, ...]
    target_log_prob: float
    baseline_log_prob: float | None
    target_tokens: int
    completeness_gap: float | None
    completeness_error: float | None
    n_steps: int | None
    tokens_read: int
    tokens_total: int
    prefix_share: float
    eos_share: float

    @property
    def converged(self) -> bool | None:
        """Whether the scores add up to within 1%; None where they are not meant to."""
        return None if self.completeness_error is None else self.completeness_error <= TOLERANCE


@dataclass(frozen=True)
class Source:
    """Prefix, article and `</s>` as the encoder reads them, cut at the limit; fields as in `Attribution`."""

    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    offsets: tuple[Offset, ...]
    prefix_pieces: int
    tokens_total: int


def read_source(tokenizer: PreTrainedTokenizerBase, article: str, *, prefix: str, max_source_length: int) -> Source:
    """Tokenises `prefix + article` and cuts it to `max_source_length` tokens, `</s>` included.

    A piece that has characters of both prefix and article counts as the article's. A surrogate without its
    partner (broken JSON can hold one; no tokenizer takes it) is read as U+FFFD: offsets stay the article's.

    Raises:
        UserError: the article is empty, holds nothing that the vocabulary keeps, or the limit leaves no room
            for it; the tokenizer is not a fast one and so knows no offsets.
    """
    _check_fast(tokenizer)
    if not article.strip():
        raise UserError("The article is empty: there is no text to explain the summary by.")
    encoded = encode(tokenizer, [_readable(article)], prefix=prefix, limit=max_source_length)[0]
    offsets, added = encoded.encoding.offsets, encoded.tail
    body, kept = encoded.total - added, len(encoded.body)
    prefix_pieces = sum(stop <= len(prefix) for _, stop in offsets[:body])
    if body == prefix_pieces:
        raise UserError("The article holds no text that this model's vocabulary can read.")
    if kept <= prefix_pieces:
        raise UserError(
            f"max_source_length is {max_source_length}: with a prefix of {prefix_pieces} tokens and {added} "
            f"for the end it must be at least {prefix_pieces + added + 1}, or nothing of the article is read."
        )
    return Source(
        ids=tuple(encoded.ids),
        pieces=tuple(tokenizer.convert_ids_to_tokens(encoded.ids)),
        offsets=(
            *[None] * prefix_pieces,
            *_within(offsets[prefix_pieces:kept], len(prefix), len(article)),
            *[None] * added,
        ),
        prefix_pieces=prefix_pieces,
        tokens_total=encoded.total,
    )


def read_target(tokenizer: PreTrainedTokenizerBase, summary: str, *, max_target_length: int) -> tuple[int, ...]:
    """The summary's ids with `</s>`.

    Raises:
        UserError: the summary is empty, or longer than `max_target_length` tokens (it is never cut: the
            probability of half a summary would pass for that of the whole).
    """
    _check_fast(tokenizer)
    encoded = encode(tokenizer, [_readable(summary)])[0]
    ids = tuple(encoded.ids)
    if not encoded.body:
        raise UserError("The summary is empty: there is nothing to explain.")
    if len(ids) > max_target_length:
        raise UserError(
            f"The summary has {len(ids)} tokens: at most {max_target_length} can be explained at once. Shorten it."
        )
    return ids


def shares(source: Source, scores: Sequence[float]) -> tuple[float, float]:
    """The parts of Σ |scores| that fall on the prefix and on `</s>`; 0, 0 where every score is 0.

    Of absolute values, since scores of both signs cancel: a signed share could be 300%, or −20%.
    """
    sizes = [abs(score) for score in scores]
    total = sum(sizes)
    if not total:
        return 0.0, 0.0
    outside = sum(size for size, offset in zip(sizes, source.offsets, strict=True) if offset is None)
    prefix = sum(sizes[: source.prefix_pieces])
    return prefix / total, (outside - prefix) / total


def _check_fast(tokenizer: PreTrainedTokenizerBase) -> None:
    if not tokenizer.is_fast:
        raise UserError(
            f"The tokenizer is a {type(tokenizer).__name__}, which does not tell where in the text a token "
            "stands: explaining needs a fast (tokenizer.json) one."
        )


def _readable(text: str) -> str:
    return _SURROGATES.sub("\ufffd", text)


def _within(offsets: Sequence[tuple[int, int]], start: int, length: int) -> list[tuple[int, int]]:
    """Offsets counted from `start`, clipped to [0, length], none beginning before the last one did."""
    result, last = [], 0
    for begin, end in offsets:
        begin = min(max(begin - start, last), length)
        end = min(max(end - start, begin), length)
        result.append((begin, end))
        last = begin
    return result
