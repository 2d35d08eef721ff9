"""Does a system do better on some kinds of article than on others?

Articles are set apart by what can be read off the texts alone: how long they are, where in them the reference's content
stands, what they are about, how thick they are with numbers and with names. For each kind the figure is given, and its
gap from the whole with the interval of that gap: the same resampled examples give both, so the interval knows that the
kind is part of the whole.

Topics are clusters: k-means on TF-IDF vectors, begun by k-means++ (Arthur & Vassilvitskii 2007) from a seed. They are
fitted on at most 2,000 articles and the others are put to the nearest, so memory does not grow with the data.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from trainer.data.sentences import split_sentences
from trainer.metrics.base import Figure
from trainer.metrics.facts import facts_of
from trainer.metrics.words import FUNCTION_WORDS, words_of
from trainer.scoring.intervals import measured
from trainer.scoring.ledger import Spool

LEAST = 10  # examples that a slice needs to be shown
FITTED = 2000  # articles that topics are made of
VOCABULARY = 3000
TOP_WORDS = 6
RESTARTS, ROUNDS = 4, 50
_BLOCK = 256
_STOP = frozenset(FUNCTION_WORDS) | frozenset(
    ["will", "also", "mr", "mrs", "told", "new", "year", "years", "like", "make", "made", "since"]
)
_OPENING, _FIRST, _MIDDLE, _LAST = range(4)
_POSITIONS = ("opening sentence", "rest of first third", "middle third", "last third")
ABOUT = {
    "length": "Length of the article in words, in quarters of the examples",
    "position": "Where in the article the answer stands: the sentence that shares most words with the reference",
    "topic": f"Topic: clusters of the articles' own words (TF-IDF, k-means; scikit-learn {version('scikit-learn')}), "
    "named by the words that set them apart",
    "numbers": "Numbers and dates per 100 words of the article, in thirds",
    "names": "Names (capitalised words that open no sentence) per 100 words of the article, in thirds",
}


@dataclass(frozen=True)
class Slice:
    """One kind of article: `rows` (n,) says which examples are of it."""

    family: str
    name: str
    rows: np.ndarray


@dataclass
class Features:
    """The kinds that a data set is set apart into; `notes` say what could not be."""

    slices: list[Slice]
    about: dict[str, str]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, spool: Spool, families: Sequence[str], topics: int = 6, seed: int = 0) -> "Features":
        """Reads the examples once (twice for topics), a block at a time.

        Args:
            families: of "length", "position", "topic", "numbers", "names".
            topics: number of clusters; not used where the examples have labels of their own.
        """
        n = len(spool)
        length, numbers, names = (np.full(n, np.nan, np.float32) for _ in range(3))
        position = np.full(n, -1, np.int8)
        labels: list[str | None] = []
        for row, (example, label) in enumerate(spool.labelled()):
            length[row] = max(len(example.source.split()), 1)
            if "position" in families:
                position[row] = answer_position(example.source, example.target)
            if "numbers" in families or "names" in families:
                kinds = Counter(fact.kind for fact in facts_of(example.source))
                numbers[row] = 100 * (kinds["number"] + kinds["date"]) / length[row]
                names[row] = 100 * kinds["name"] / length[row]
            if label is not None or labels:
                labels += [None] * (row - len(labels)) + [label]
        found = cls([], {family: ABOUT[family] for family in families})
        if "length" in families:
            found._quantiles("length", length, ("shortest", "short", "long", "longest"), "{:.0f} words")
        if "position" in families:
            for code, name in enumerate(_POSITIONS):
                found._add("position", name, position == code)
            lost = int((position < 0).sum())
            if lost:
                found.notes.append(f"{lost:,} references share no word with their article, and have no position.")
        if "topic" in families:
            found._topics(spool, labels, topics, seed)
        if "numbers" in families:
            found._quantiles(
                "numbers", numbers, ("few numbers", "some numbers", "many numbers"), "{:.1f} per 100 words"
            )
        if "names" in families:
            if np.median(names) > 0:
                found._quantiles("names", names, ("few names", "some names", "many names"), "{:.1f} per 100 words")
            else:
                found.notes.append(
                    "Most articles have no capitalised names (texts in one case?), so none are told apart."
                )
        return found

    def families(self) -> Iterator[tuple[str, list[Slice]]]:
        for family in self.about:
            slices = [one for one in self.slices if one.family == family]
            if slices:
                yield family, slices

    def _add(self, family: str, name: str, rows: np.ndarray) -> None:
        n = int(rows.sum())
        if n >= LEAST:
            self.slices.append(Slice(family, name, rows))
        elif n:
            self.notes.append(f"{name} ({family}): {n} example{'s' if n > 1 else ''}, too few to show.")

    def _quantiles(self, family: str, values: np.ndarray, names: Sequence[str], unit: str) -> None:
        edges = np.quantile(values, np.linspace(0, 1, len(names) + 1))
        which = np.digitize(values, edges[1:-1], right=True)
        for number, name in enumerate(names):
            low, high = (unit.split("}")[0] + "}").format(edges[number]), unit.format(edges[number + 1])
            self._add(family, f"{name} ({low} to {high})", which == number)

    def _topics(self, spool: Spool, labels: Sequence[str | None], k: int, seed: int) -> None:
        if any(label is not None for label in labels):
            self.about["topic"] = "Topic, as a column of the data states it"
            column = np.array([label or "" for label in labels], dtype=object)
            for label, _ in Counter(label for label in labels if label).most_common():
                self._add("topic", label, column == label)
            return
        k = min(k, len(spool) // (3 * LEAST))
        if k < 2:
            self.notes.append(f"{len(spool)} articles are too few for topics.")
            return
        draw = np.random.default_rng(seed)
        rows = np.sort(draw.choice(len(spool), min(FITTED, len(spool)), replace=False))
        found = Topics.fit([spool[int(row)].source for row in rows], k, seed)
        if found is None:
            self.notes.append("The articles have no words that tell topics apart.")
            return
        which = np.concatenate([found.nearest([pair.source for pair in block]) for block in spool.blocks(_BLOCK)])
        for topic in np.argsort([-(which == topic).sum() for topic in range(k)], kind="stable"):
            self._add("topic", found.names[topic], which == topic)


def answer_position(source: str, reference: str) -> int:
    """Where the sentence stands that shares most of its words with the reference: 0 opening, 1 to 3 thirds; -1 nowhere.

    The measure is F1 of distinct words, function words left out; of equals the first sentence counts.
    """
    wanted = set(words_of(reference)) - _STOP
    sentences = split_sentences(source)
    best, place = 0.0, -1
    for number, sentence in enumerate(sentences):
        words = set(words_of(sentence)) - _STOP
        shared = len(words & wanted)
        score = 2 * shared / (len(words) + len(wanted)) if shared else 0.0
        if score > best:
            best, place = score, number
    if place <= 0:
        return place if place < 0 else _OPENING
    return (_FIRST, _MIDDLE, _LAST)[min(3 * place // len(sentences), 2)]


class Topics:
    """Clusters of articles by their words: k-means on TF-IDF vectors of length 1, both by scikit-learn.

    Attributes:
        names: of each cluster, the words that stand out most against the mean of all.
    """

    def __init__(self, vectorizer: TfidfVectorizer, clusters: KMeans):
        self._vectorizer, self._clusters = vectorizer, clusters
        centers = clusters.cluster_centers_
        order = np.argsort(centers.mean(axis=0) - centers, axis=1, kind="stable")[:, :TOP_WORDS]
        words = vectorizer.get_feature_names_out()
        self.names = [", ".join(words[row]) for row in order]

    @classmethod
    def fit(cls, texts: Sequence[str], k: int, seed: int) -> "Topics | None":
        """Clusters of these texts; None where they have no word that could tell them apart.

        Words are letters only, three or more, of 0.5% to half of the texts, of two at least; the most frequent 3,000.
        """
        least = max(2, len(texts) // 200)
        vectorizer = TfidfVectorizer(
            analyzer=topic_words,
            min_df=least,
            max_df=max(len(texts) // 2, least),
            max_features=VOCABULARY,
            sublinear_tf=True,
            dtype=np.float32,
        )
        try:
            table = vectorizer.fit_transform(texts)
        except ValueError:  # no word is left
            return None
        with threadpool_limits(1):  # sums of several threads are rounded in the order in which they come
            return cls(vectorizer, KMeans(k, n_init=RESTARTS, max_iter=ROUNDS, random_state=seed).fit(table))

    def nearest(self, texts: Sequence[str]) -> np.ndarray:
        """The cluster of each text (n,); -1 where it has none of the words."""
        table = self._vectorizer.transform(texts)
        return np.where(table.getnnz(axis=1) > 0, self._clusters.predict(table), -1)


def topic_words(text: str) -> list[str]:
    """The words of a text that topics are told by."""
    return [word for word in words_of(text) if len(word) > 2 and word.isalpha() and word not in _STOP]


def slice_records(
    features: Features, metric: str, figures: Mapping[str, Figure], samples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """For a record: each slice with its n, and for each system value and gap from the whole with 95% intervals.

    Returns `metric`, `families` (name, about, slices) and `notes`.
    """
    families = []
    for family, slices in features.families():
        rows = [{"name": one.name, "n": int(one.rows.sum()), "systems": {}} for one in slices]
        for system, figure in figures.items():
            parts = {}
            for number, one in enumerate(slices):
                parts[f"{number} value"] = _within(figure, one.rows)
                parts[f"{number} gap"] = _gap(figure, one.rows)
            found = measured(parts, samples, seed)
            for number, row in enumerate(rows):
                value, gap = found[f"{number} value"], found[f"{number} gap"]
                row["systems"][system] = {
                    "value": [value.value, value.low, value.high],
                    "gap": [gap.value, gap.low, gap.high],
                }
        families.append({"name": family, "about": features.about[family], "slices": rows})
    return {"metric": metric, "samples": samples, "seed": seed, "families": families, "notes": features.notes}


def _within(figure: Figure, rows: np.ndarray) -> Figure:
    values = np.where(rows, figure.per_example, np.nan)
    return Figure(figure.rows * rows[:, None], figure.combine, figure.signature, values)


def _gap(figure: Figure, rows: np.ndarray) -> Figure:
    width = figure.rows.shape[1]

    def combine(sums: np.ndarray) -> np.ndarray:
        return figure.combine(sums[..., :width]) - figure.combine(sums[..., width:])

    both = np.concatenate([figure.rows * rows[:, None], figure.rows], axis=1)
    return Figure(both, combine, figure.signature, np.where(rows, figure.per_example, np.nan))
