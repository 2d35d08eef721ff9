"""What a small T5 is asked before it has seen a summary: pairs (source, target) made of any text.

Every function is pure: ids and a random generator in, one `Pair` of 1-d id arrays out, `</s>` not yet added. Sentinels
are T5's: `<extra_id_0>` has the highest id and they count downwards.
"""

from dataclasses import dataclass

import numpy as np

from trainer.pretraining.corpus import Document

N_SENTINELS = 100  # of T5's vocabularies
LEAD_LENGTH = (8, 64)  # pieces; a shorter first sentence is a heading, a longer one no summary


@dataclass(frozen=True)
class Pair:
    """One example: ids that are read and ids that are to be written, both without `</s>`."""

    source: np.ndarray
    target: np.ndarray


def span_corruption(
    ids: np.ndarray,
    rng: np.random.Generator,
    first_sentinel: int,
    density: float = 0.15,
    mean_length: float = 3.0,
) -> Pair:
    """T5's denoising (Raffel et al. 2020, section 3.1.4): random spans fall out, the target is what fell out.

    Each span is replaced by the next sentinel in the source; the target lists sentinel, span, sentinel, span, … and
    ends with one more sentinel. `restore` is the inverse. The text begins with a piece that stays, as in T5's code.

    Raises:
        ValueError: fewer than two ids.
    """
    length = len(ids)
    if length < 2:
        raise ValueError(f"span corruption needs at least 2 ids, got {length}")
    n_noise = min(max(round(length * density), 1), length - 1)
    # One sentinel a span and one to close; a text too long for them has longer spans.
    n_spans = max(min(round(n_noise / mean_length), length - n_noise, N_SENTINELS - 1), 1)
    noise = _random_partition(n_noise, n_spans, rng)
    kept = _random_partition(length - n_noise, n_spans, rng)
    source, target, position = [], [], 0
    for index, (n_kept, n_gone) in enumerate(zip(kept, noise, strict=True)):
        sentinel = [first_sentinel - index]
        source += [ids[position : position + n_kept], sentinel]
        target += [sentinel, ids[position + n_kept : position + n_kept + n_gone]]
        position += n_kept + n_gone
    target.append([first_sentinel - n_spans])
    return Pair(np.concatenate(source), np.concatenate(target))


def restore(pair: Pair, first_sentinel: int) -> np.ndarray:
    """The text that `span_corruption` was given."""
    lowest = first_sentinel - N_SENTINELS + 1
    spans: dict[int, list[int]] = {}
    for piece in pair.target.tolist():
        if lowest <= piece <= first_sentinel:
            current = spans.setdefault(piece, [])
        else:
            current.append(piece)
    restored: list[int] = []
    for piece in pair.source.tolist():
        restored += spans.get(piece, [piece])
    return np.asarray(restored)


def gap_scores(sentences: list[np.ndarray]) -> np.ndarray:
    """ROUGE-1 F1, over pieces, of each sentence with all the others (PEGASUS, Zhang et al. 2020, "Ind-Orig")."""
    width = int(max(sentence.max(initial=0) for sentence in sentences)) + 1
    counts = np.stack([np.bincount(sentence, minlength=width) for sentence in sentences])
    rest = counts.sum(axis=0) - counts
    overlap = np.minimum(counts, rest).sum(axis=1)
    return 2 * overlap / np.maximum(counts.sum(axis=1) + rest.sum(axis=1), 1)


def gap_sentences(
    sentences: list[np.ndarray], first_sentinel: int, in_place: bool, n_gaps: int = 1, max_target: int = 96
) -> Pair:
    """PEGASUS: the sentences most like the rest are the target.

    Each is replaced by the next sentinel in the source, or left standing where `in_place` is true, so that finding and
    copying it pays. As many of the `n_gaps` best as fit into `max_target` ids, in the order of the text; the best one
    always, cut if need be.
    """
    chosen, room = [], max_target
    for index in np.argsort(-gap_scores(sentences), kind="stable")[: min(n_gaps, len(sentences) - 1)]:
        if not chosen or len(sentences[index]) <= room:
            chosen.append(int(index))
            room -= len(sentences[index])
    chosen.sort()
    target = np.concatenate([sentences[index] for index in chosen])[:max_target]
    if in_place:
        return Pair(np.concatenate(sentences), target)
    source = list(sentences)
    for number, index in enumerate(chosen):
        source[index] = np.asarray([first_sentinel - number])
    return Pair(np.concatenate(source), target)


def lead_sentence(document: Document) -> Pair | None:
    """The first sentence from all that follows: how XSum's summaries came about (Narayan et al. 2018, section 2).

    None where the first sentence is too short or too long to be one, or less than three sentences follow. A later
    sentence that repeats it is taken out of the source as well.
    """
    lead, *rest = document.sentences
    rest = [sentence for sentence in rest if not np.array_equal(sentence, lead)]
    if not LEAD_LENGTH[0] <= len(lead) <= LEAD_LENGTH[1] or len(rest) < 3:
        return None
    return Pair(np.concatenate(rest), lead)


def continuation(ids: np.ndarray, max_target: int = 96) -> Pair:
    """Prefix language modelling: what comes next (Raffel et al. 2020, section 3.2.3)."""
    n_target = min(max_target, max(len(ids) // 2, 1))
    cut = len(ids) - n_target
    return Pair(ids[:cut], ids[cut:])


def copy_exercise(length: int, rng: np.random.Generator, first_sentinel: int, lowest_piece: int) -> Pair:
    """Useful nonsense (Krishna et al. 2021): of `length` random pieces, copy the few between two sentinels."""
    pieces = rng.integers(lowest_piece, first_sentinel - N_SENTINELS + 1, size=length)
    n_target = int(rng.integers(5, 25))
    start = int(rng.integers(0, length - n_target))
    target = pieces[start : start + n_target]
    source = np.concatenate(
        [pieces[:start], [first_sentinel], target, [first_sentinel - 1], pieces[start + n_target :]]
    )
    return Pair(source, target)


def _random_partition(total: int, parts: int, rng: np.random.Generator) -> np.ndarray:
    """`parts` positive whole numbers that add up to `total`, all such tuples equally likely."""
    cuts = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate(([0], cuts, [total])))
