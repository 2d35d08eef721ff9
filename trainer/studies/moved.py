"""How far the explanation of a summary moves when its article is changed.

The summary of the unchanged article is explained twice: by that article and by the changed one. Compared are the scores
of the words that both have. Where a change plants or drops words, these have no partner and do not count.
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from scipy.stats import binomtest

from trainer.attribution.folding import fold_to, holders, run_bounds, sentence_bounds
from trainer.attribution.matrix import AttributionMatrix
from trainer.attribution.proof import agreement
from trainer.attribution.registry import DEFAULT_METHOD, method
from trainer.metrics.words import words_of
from trainer.studies.explanations import Explained, Journal, mean_record

FEWEST = 10  # words that both articles have: with fewer there is no rank correlation to speak of


def aligned(before: str, after: str) -> list[tuple[int, int]]:
    """(place in `before`, place in `after`) of the words (runs without white space) that are the same ones.

    Sentences that stand in both, case and marks aside, are found wherever they have gone. The other words are aligned
    in order by their longest common runs; between two such runs as many words on both sides belong together one by one,
    so that a misspelt word keeps its partner.
    """
    ours, theirs = _Words(before), _Words(after)
    pairs = []
    for sentence, places in ours.sentences.items():
        for one, other in zip(places, theirs.sentences.get(sentence, []), strict=False):
            pairs += zip(one, other, strict=True)
    taken = ({one for one, _ in pairs}, {other for _, other in pairs})
    rest, other_rest = (
        [place for place in range(len(words.folded)) if place not in gone]
        for words, gone in zip((ours, theirs), taken, strict=True)
    )
    blocks = SequenceMatcher(
        None, [ours.folded[place] for place in rest], [theirs.folded[place] for place in other_rest], autojunk=False
    ).get_opcodes()
    for kind, start, end, other_start, other_end in blocks:
        if kind in ("equal", "replace") and end - start == other_end - other_start:
            pairs += zip(rest[start:end], other_rest[other_start:other_end], strict=True)
    return sorted(pairs)


class _Words:
    """The words of a text, folded, and by the words of a sentence the places of all its occurrences."""

    def __init__(self, text: str):
        bounds = run_bounds(text)
        self.folded = [" ".join(words_of(text[start:end])) for start, end in bounds]
        self.sentences: dict[tuple[str, ...], list[list[int]]] = {}
        places: dict[int, list[int]] = {}
        for place, sentence in enumerate(holders(sentence_bounds(text), bounds)):
            if sentence is not None:
                places.setdefault(sentence, []).append(place)
        for own in places.values():
            self.sentences.setdefault(tuple(self.folded[place] for place in own), []).append(own)


def moved(before: str, after: str, first: AttributionMatrix, second: AttributionMatrix) -> dict[str, Any] | None:
    """Compares the first rows of two matrices, of the article as it was and as it is now.

    Returns:
        `words` compared; `spearman`, rank correlation of their scores; `overlap`, which part of the ten strongest is
        the same; `same_sentence`, whether the same sentence is the strongest, counted in the words compared; `fall` of
        the summary's log probability, nats. None where fewer than ten words that were read are in both.
    """
    scores, read = zip(*(_by_word(text, matrix) for text, matrix in ((before, first), (after, second))), strict=True)
    pairs = [(one, other) for one, other in aligned(before, after) if read[0][one] and read[1][other]]
    if len(pairs) < FEWEST:
        return None
    ours, theirs = np.array([(scores[0][one], scores[1][other]) for one, other in pairs]).T
    alike = agreement(ours, theirs)
    sentences = holders(sentence_bounds(before), run_bounds(before))
    mine = np.array([sentences[one] for one, _ in pairs])
    strongest = [
        max(dict.fromkeys(mine), key=lambda sentence: values[mine == sentence].sum()) for values in (ours, theirs)
    ]
    return {
        "words": len(pairs),
        "spearman": None if np.isnan(alike.spearman) else alike.spearman,
        "overlap": alike.overlap,
        "same_sentence": bool(strongest[0] == strongest[1]),
        "fall": float(first.log_probs[0] - second.log_probs[0]),
    }


def _by_word(text: str, matrix: AttributionMatrix) -> tuple[np.ndarray, np.ndarray]:
    """(words) scores, and whether anything of the word was read."""
    bounds, offsets = run_bounds(text), matrix.source.offsets
    read = np.zeros(len(bounds), dtype=bool)
    read[[place for place in holders(bounds, offsets) if place is not None]] = True
    return fold_to(bounds, offsets, matrix.scores[0]), read


def explain_changes(
    explained: Explained,
    articles: Sequence[tuple[str, str, str]],
    changed: Mapping[str, Sequence[str]],
    journal: Journal,
    say: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """For each change how far it moves the explanations, by the page's default method.

    Args:
        articles: name and text of each, unchanged, and its summary.
        changed: by the name of a change the same articles, changed.
        journal: what was measured already is taken from there.
    """
    way, found = method(DEFAULT_METHOD), {label: [] for label in changed}
    for place, (name, article, summary) in enumerate(articles):
        first = None
        for label, texts in changed.items():
            line = journal.find(article, label)
            if line is None:
                if first is None:
                    pair = explained.pair(article, summary)
                    first = way.attribute(pair, pair.whole)
                other = explained.pair(texts[place], summary)
                line = {"moved": moved(article, texts[place], first, way.attribute(other, other.whole))}
                journal.add(article, name, label, line)
            found[label].append(line["moved"])
        if (place + 1) % 10 == 0:
            say(f"{place + 1} of {len(articles)} articles explained.")
    return {label: _record(lines) for label, lines in found.items()}


def _record(lines: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    there = [line for line in lines if line is not None]
    record: dict[str, Any] = {"method": DEFAULT_METHOD, "n": len(there)}
    for name in ("spearman", "overlap", "fall"):
        record[name] = mean_record([line[name] for line in there])
    same = sum(line["same_sentence"] for line in there)
    record["same_sentence"] = None
    if there:
        interval = binomtest(same, len(there)).proportion_ci(method="wilson")
        record["same_sentence"] = {"n": len(there), "same": same, "low": interval.low, "high": interval.high}
    return record
