"""Baselines that choose sentences of the article: Lead, Random, TextRank and, as a bound, the oracle."""

import copy
import hashlib
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, gmres

from trainer.data.sentences import SENTENCE_SPLIT, split_sentences
from trainer.metrics.rouge import RougeTokenizer
from trainer.metrics.words import FUNCTION_WORDS, ngrams
from trainer.summarizers.base import Summary, positive

# TextRank solves its equations at once for texts of so many sentences, which is faster, and by steps for longer ones,
# which takes less memory. The tolerance is relative; ranks are compared to 9 decimals.
SOLVED_DIRECTLY = 500
TOLERANCE = 1e-12


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
    def choose(self, text: str, sentences: list[str]) -> Iterable[int]:
        """The numbers, in any order, of the sentences that make the summary.

        Args:
            text: what the choice goes by: the source itself, or for the oracle its reference.
            sentences: of the source.
        """

    def summarize(self, sources: list[str]) -> list[Summary]:
        return [self._summarize(source, source) for source in sources]

    def _summarize(self, source: str, text: str) -> Summary:
        sentences = split_sentences(source)
        chosen = " ".join(sentences[number] for number in sorted(self.choose(text, sentences)))
        return _verbatim(chosen, source)

    def describe(self) -> dict[str, Any]:
        return copy.deepcopy(self._about)


class LeadN(Extractive):
    """The first n sentences of the source: hard to beat on news, by design of news."""

    def __init__(self, n: int):
        self.n = positive("n of lead-n", n)
        super().__init__(f"lead-{n}", {"sentences": n})

    def choose(self, text: str, sentences: list[str]) -> Iterable[int]:
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

    def choose(self, text: str, sentences: list[str]) -> Iterable[int]:
        digest = hashlib.sha256(f"{self.seed}\n{text}".encode("utf-8", "surrogatepass")).digest()
        draw = random.Random(int.from_bytes(digest, "big"))
        return draw.sample(range(len(sentences)), min(self.n, len(sentences)))


class TextRank(Extractive):
    """The n sentences most central to the source by TextRank (Mihalcea & Tarau 2004, section 4).

    Sentences are the nodes of a graph, weighed by the words that two of them share over the logarithms of their
    lengths, and a sentence's rank is its PageRank there with damping 0.85. Words are stemmed, function words left out.
    The rank is the solution of its linear equations, for a long text by GMRES (Saad & Schultz 1986).
    """

    def __init__(self, n: int, damping: float = 0.85):
        self.n = positive("n of textrank-n", n)
        self.damping = damping
        super().__init__(f"textrank-{n}", {"sentences": n, "damping": damping, "words": "porter, no function words"})
        self._tokenizer = RougeTokenizer()
        self._function_words = frozenset(self._tokenizer.tokenize(" ".join(FUNCTION_WORDS)))

    def choose(self, text: str, sentences: list[str]) -> Iterable[int]:
        # Equal ranks differ by rounding: of equals, the first.
        ranks = self.ranks(sentences).round(9)
        return np.argsort(-ranks, kind="stable")[: self.n].tolist()

    def ranks(self, sentences: list[str]) -> np.ndarray:
        """The PageRank of each sentence (n,); they sum to 1.

        Memory grows with the words of the text, not with the square of its sentences.
        """
        n = len(sentences)
        if not n:
            return np.zeros(0)
        graph = self._graph(sentences)
        leaving = graph.times(np.ones(n))
        linked = leaving > 0

        def rest(ranks: np.ndarray) -> np.ndarray:
            """`ranks` less what flows to each sentence: the left side of the equations."""
            # From a sentence that shares nothing with any other, every sentence is as near.
            moved = np.divide(ranks, leaving, out=np.zeros(n), where=linked)
            return ranks - self.damping * (graph.times(moved) + ranks[~linked].sum() / n)

        start = np.full(n, (1 - self.damping) / n)
        if n <= SOLVED_DIRECTLY:
            moves = np.divide(graph.table(), leaving[:, None], out=np.full((n, n), 1 / n), where=linked[:, None])
            return np.linalg.solve(np.eye(n) - self.damping * moves.T, start)
        ranks, failed = gmres(LinearOperator((n, n), rest, dtype=np.float64), start, rtol=TOLERANCE, restart=50)
        if failed:
            raise ArithmeticError(f"TextRank did not converge on a text of {n:,} sentences")
        return ranks

    def _graph(self, sentences: list[str]) -> "_SharedWords":
        return _SharedWords([set(self._tokenizer.tokenize(one)) - self._function_words for one in sentences])


class _SharedWords:
    """TextRank's graph: weights w[i, j] = words in both / (log words of i + log words of j).

    Sentences of the same length are weighed alike, so the product with a vector needs one column for each length, and
    not the whole table of weights.
    """

    def __init__(self, words: list[set[str]]):
        columns = {word: column for column, word in enumerate(sorted(set().union(*words)))}
        places = [(row, columns[word]) for row, found in enumerate(words) for word in found]
        rows, held = np.array(places, dtype=np.int64).reshape(-1, 2).T
        self._holds = csr_array((np.ones(len(rows)), (rows, held)), shape=(len(words), len(columns)))
        self._counts = np.array([len(found) for found in words], dtype=np.float64)
        logs = np.log(np.maximum(self._counts, 1))
        lengths, self._length = np.unique(logs, return_inverse=True)
        scale = logs[:, None] + lengths[None]
        # Two sentences of one word have no length to divide by; the paper leaves them out.
        self._weights = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)

    def table(self) -> np.ndarray:
        """All weights (n, n)."""
        weights = (self._holds @ self._holds.T).toarray() * self._weights[:, self._length]
        np.fill_diagonal(weights, 0)
        return weights

    def times(self, vector: np.ndarray) -> np.ndarray:
        """The weights times a vector (n,)."""
        n = len(vector)
        by_length = np.zeros(self._weights.shape)
        by_length[np.arange(n), self._length] = vector
        shared = self._holds @ (self._holds.T @ by_length)
        itself = self._counts * self._weights[np.arange(n), self._length] * vector
        return (self._weights * shared).sum(axis=1) - itself


class Oracle(Extractive):
    """The sentences of the source that are nearest to the reference, which it is shown: a bound, not a system.

    Greedy, as in Nallapati et al. 2017: the sentence that raises ROUGE-1 F1 + ROUGE-2 F1 most is added until none does
    or there are `most`.

    Args:
        most: sentences at most; None for no limit.
    """

    def __init__(self, most: int | None = None):
        self.most = None if most is None else positive("most of oracle", most)
        name = "oracle" if most is None else f"oracle-{most}"
        super().__init__(name, {"sees_reference": True, "sentences": most, "objective": "rouge1 + rouge2 fmeasure"})
        self._tokenizer = RougeTokenizer()

    def summarize(self, sources: list[str], references: list[str]) -> list[Summary]:
        """One summary for each source, made with the reference of the same place."""
        return [self._summarize(*pair) for pair in zip(sources, references, strict=True)]

    def choose(self, text: str, sentences: list[str]) -> Iterable[int]:
        reference = self._tokenizer.tokenize(text)
        words = [self._tokenizer.tokenize(sentence) for sentence in sentences]
        expected = set(reference)
        candidates = [number for number, found in enumerate(words) if expected.intersection(found)]
        chosen: list[int] = []
        best = 0.0
        while candidates and len(chosen) != self.most:
            gains = [(self._score(sorted([*chosen, number]), words, reference), -number) for number in candidates]
            score, number = max(gains)
            if score <= best + 1e-12:
                break
            best = score
            chosen.append(-number)
            candidates.remove(-number)
        return chosen

    @staticmethod
    def _score(chosen: list[int], words: list[list[str]], reference: list[str]) -> float:
        summary = [word for number in chosen for word in words[number]]
        return sum(ngram_f1(summary, reference, n) for n in (1, 2))


class References:
    """The references, which it is shown, as if a system had written them: what the other figures are to be read by."""

    def summarize(self, sources: list[str], references: list[str]) -> list[Summary]:
        """The reference of the same place for each source."""
        return [_verbatim(reference, source) for source, reference in zip(sources, references, strict=True)]

    def describe(self) -> dict[str, Any]:
        return {
            "system": "references",
            "model": None,
            "revision": None,
            "decoding": {"sees_reference": True},
            "number_format": None,
            "seed": None,
        }


def _verbatim(text: str, source: str) -> Summary:
    """A summary that nothing was generated for: the source counts in words, and was read to its end."""
    words = len(source.split())
    return Summary(text, None, tokens_read=words, tokens_total=words)


def ngram_f1(summary: list[str], reference: list[str], n: int) -> float:
    """F1 of the n-grams of two lists of words: 2 × shared / all, which is ROUGE-n's."""
    ours, theirs = Counter(ngrams(summary, n)), Counter(ngrams(reference, n))
    total = ours.total() + theirs.total()
    return 2 * (ours & theirs).total() / total if total else 0.0
