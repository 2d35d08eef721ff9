"""Baselines that choose sentences of the article: Lead, Random, TextRank and, as a bound, the oracle."""

import copy
import hashlib
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from trainer.data.sentences import SENTENCE_SPLIT, split_sentences
from trainer.metrics.rouge import RougeTokenizer
from trainer.metrics.words import FUNCTION_WORDS, ngrams
from trainer.summarizers.base import Summary, positive


class Extractive(ABC):
    """A system whose summary is sentences of the source, in the order of the source."""

    def __init__(self, system: str, decoding: dict[str, Any], seed: int | None = None):
        self._about = {
            "system": system,
            "model": None,
            "revision": None,
            "decoding": decoding | {"sentence_split": SENTENCE_SPLIT},
            "number_format": None,
            "seed": seed,
        }

    @abstractmethod
    def choose(self, source: str, sentences: list[str]) -> Iterable[int]:
        """The numbers, in any order, of the sentences that make the summary."""

    def summarize(self, sources: list[str]) -> list[Summary]:
        return [self._summarize(source) for source in sources]

    def _summarize(self, source: str) -> Summary:
        sentences = split_sentences(source)
        words = len(source.split())
        text = " ".join(sentences[number] for number in sorted(self.choose(source, sentences)))
        return Summary(text, None, tokens_read=words, tokens_total=words)

    def describe(self) -> dict[str, Any]:
        return copy.deepcopy(self._about)


class LeadN(Extractive):
    """The first n sentences of the source: hard to beat on news, by design of news."""

    def __init__(self, n: int):
        self.n = positive("n of lead-n", n)
        super().__init__(f"lead-{n}", {"sentences": n})

    def choose(self, source: str, sentences: list[str]) -> Iterable[int]:
        return range(min(self.n, len(sentences)))


class RandomN(Extractive):
    """n sentences of the source drawn without replacement.

    The draw depends on `seed` and on the source's own text only, so neither the order of the data nor the
    batches change it.
    """

    def __init__(self, n: int, seed: int = 0):
        self.n = positive("n of random-n", n)
        super().__init__(f"random-{n}", {"sentences": n}, seed)
        self.seed = seed

    def choose(self, source: str, sentences: list[str]) -> Iterable[int]:
        digest = hashlib.sha256(f"{self.seed}\n{source}".encode("utf-8", "surrogatepass")).digest()
        draw = random.Random(int.from_bytes(digest, "big"))
        return draw.sample(range(len(sentences)), min(self.n, len(sentences)))


class TextRank(Extractive):
    """The n sentences most central to the source by TextRank (Mihalcea & Tarau 2004, section 4).

    Sentences are the nodes of a graph, weighed by the words that two of them share over the logarithms of their
    lengths, and a sentence's rank is its PageRank there with damping 0.85. Words are stemmed, function words left out.
    The rank is the solution of its linear equations, so nothing is iterated and nothing depends on a tolerance.
    """

    def __init__(self, n: int, damping: float = 0.85):
        self.n = positive("n of textrank-n", n)
        self.damping = damping
        super().__init__(f"textrank-{n}", {"sentences": n, "damping": damping, "words": "porter, no function words"})
        self._tokenizer = RougeTokenizer()
        self._function_words = frozenset(self._tokenizer.tokenize(" ".join(FUNCTION_WORDS)))

    def choose(self, source: str, sentences: list[str]) -> Iterable[int]:
        # Equal ranks differ by rounding: of equals, the first.
        ranks = self.ranks(sentences).round(9)
        return np.argsort(-ranks, kind="stable")[: self.n].tolist()

    def ranks(self, sentences: list[str]) -> np.ndarray:
        """The PageRank of each sentence (n,); they sum to 1."""
        n = len(sentences)
        if not n:
            return np.zeros(0)
        weights = self._similarities(sentences)
        leaving = weights.sum(axis=1, keepdims=True)
        # From a sentence that shares nothing with any other, every sentence is as near.
        moves = np.divide(weights, leaving, out=np.full((n, n), 1 / n), where=leaving > 0)
        return np.linalg.solve(np.eye(n) - self.damping * moves.T, np.full(n, (1 - self.damping) / n))

    def _similarities(self, sentences: list[str]) -> np.ndarray:
        words = [set(self._tokenizer.tokenize(sentence)) - self._function_words for sentence in sentences]
        columns = {word: column for column, word in enumerate(sorted(set().union(*words)))}
        holds = np.zeros((len(sentences), len(columns)))
        for row, found in enumerate(words):
            holds[row, [columns[word] for word in found]] = 1
        lengths = np.log(np.maximum(holds.sum(axis=1), 1))
        scale = lengths[:, None] + lengths[None, :]
        # Two sentences of one word have no length to divide by; the paper leaves them out.
        weights = np.divide(holds @ holds.T, scale, out=np.zeros_like(scale), where=scale > 0)
        np.fill_diagonal(weights, 0)
        return weights


class Oracle(Extractive):
    """The sentences of the source that are nearest to the reference, which it is shown: a bound, not a system.

    Greedy, as in Nallapati et al. 2017: the sentence that raises ROUGE-1 F1 + ROUGE-2 F1 most is added until none does
    or there are `most`. Of several references of the same source, the sum is taken over all.

    Args:
        examples: (source, reference) of all texts that it will be asked for; more can be shown later.
        most: sentences at most; None for no limit.

    `choose` raises KeyError for a source that is not among the examples.
    """

    def __init__(self, examples: Iterable[tuple[str, str]], most: int | None = None):
        self.most = None if most is None else positive("most of oracle", most)
        name = "oracle" if most is None else f"oracle-{most}"
        super().__init__(name, {"sees_reference": True, "sentences": most, "objective": "rouge1 + rouge2 fmeasure"})
        self._tokenizer = RougeTokenizer()
        self._references: dict[str, list[str]] = {}
        self.show(examples)

    def show(self, examples: Iterable[tuple[str, str]]) -> None:
        """Adds further (source, reference)."""
        for source, reference in examples:
            self._references.setdefault(source, []).append(reference)

    def choose(self, source: str, sentences: list[str]) -> Iterable[int]:
        references = [self._tokenizer.tokenize(reference) for reference in self._references[source]]
        words = [self._tokenizer.tokenize(sentence) for sentence in sentences]
        expected = set().union(*references)
        candidates = [number for number, found in enumerate(words) if expected.intersection(found)]
        chosen: list[int] = []
        best = 0.0
        while candidates and len(chosen) != self.most:
            gains = [(self._score(sorted([*chosen, number]), words, references), -number) for number in candidates]
            score, number = max(gains)
            if score <= best + 1e-12:
                break
            best = score
            chosen.append(-number)
            candidates.remove(-number)
        return chosen

    @staticmethod
    def _score(chosen: list[int], words: list[list[str]], references: list[list[str]]) -> float:
        summary = [word for number in chosen for word in words[number]]
        return sum(ngram_f1(summary, reference, n) for reference in references for n in (1, 2))


class References:
    """The references, which it is shown, as if a system had written them: what the other figures are to be read by.

    Of several references of the same source the first counts. `summarize` raises KeyError for a source that was not
    shown.
    """

    def __init__(self) -> None:
        self._references: dict[str, str] = {}

    def show(self, examples: Iterable[tuple[str, str]]) -> None:
        """Adds further (source, reference)."""
        for source, reference in examples:
            self._references.setdefault(source, reference)

    def summarize(self, sources: list[str]) -> list[Summary]:
        words = [len(source.split()) for source in sources]
        return [Summary(self._references[source], None, n, n) for source, n in zip(sources, words, strict=True)]

    def describe(self) -> dict[str, Any]:
        return {
            "system": "references",
            "model": None,
            "revision": None,
            "decoding": {"sees_reference": True},
            "number_format": None,
            "seed": None,
        }


def ngram_f1(summary: list[str], reference: list[str], n: int) -> float:
    """F1 of the n-grams of two lists of words: 2 × shared / all, which is ROUGE-n's."""
    ours, theirs = Counter(ngrams(summary, n)), Counter(ngrams(reference, n))
    total = ours.total() + theirs.total()
    return 2 * (ours & theirs).total() / total if total else 0.0
