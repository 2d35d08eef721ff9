"""ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum (Lin 2004): precision, recall and F1 of every example.

The counting is Google's `rouge_score` with its Porter stemmer, the tool behind most published figures.
ROUGE-Lsum is the summary-level form: it compares sentence by sentence, and sentences are
`trainer.data.sentences.split_sentences`'s.

What that tool does to a text, since it explains surprising scores: lower case, everything but a-z and 0-9 is
a gap between words (so "café" is "caf", and text in another script has no words at all), and words of more
than three letters are stemmed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np
from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer, tokenize, tokenizers

from trainer.data.sentences import SENTENCE_SPLIT, split_sentences
from trainer.metrics.base import FigureKind, Metric, same_number

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
PARTS = ("precision", "recall", "fmeasure")


@dataclass(frozen=True)
class RougeScores:
    """Scores of n examples.

    Attributes:
        values: for each ROUGE type an array (n, 3) of precision, recall and F1 in [0, 1].
        signatures: for each ROUGE type the tool, its version and its settings.
    """

    values: dict[str, np.ndarray]
    signatures: dict[str, str]

    def mean(self, rouge_type: str = "rouge1", part: str = "fmeasure") -> float:
        """The mean over the examples, in [0, 1]."""
        return float(self.values[rouge_type][:, PARTS.index(part)].mean())


def rouge(
    predictions: Sequence[str],
    references: Sequence[str],
    rouge_types: Sequence[str] = ROUGE_TYPES,
    stemmer: bool = True,
) -> RougeScores:
    """Scores each prediction against the reference of the same position.

    A prediction or reference without words scores 0 on all three, by definition.

    Raises:
        ValueError: the lists differ in length.
    """
    n = same_number(predictions=predictions, references=references)
    by_sentence = rouge_scorer.RougeScorer(["rougeLsum"], tokenizer=RougeTokenizer(stemmer))
    plain_types = [kind for kind in rouge_types if kind != "rougeLsum"]
    scorer = rouge_scorer.RougeScorer(plain_types, tokenizer=RougeTokenizer(stemmer)) if plain_types else None
    values = {kind: np.zeros((n, 3)) for kind in rouge_types}
    for row, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        scores = scorer.score(reference, prediction) if scorer else {}
        if "rougeLsum" in values:
            scores |= by_sentence.score(sentence_lines(reference), sentence_lines(prediction))
        for kind, score in scores.items():
            values[kind][row] = score.precision, score.recall, score.fmeasure
    return RougeScores(values, {kind: signature(kind, stemmer) for kind in rouge_types})


def signature(rouge_type: str, stemmer: bool = True) -> str:
    """Every setting behind a ROUGE figure, in sacrebleu's manner (Post 2018)."""
    fields = [
        rouge_type,
        f"tool:rouge_score-{version('rouge_score')}",
        f"stemmer:{'porter' if stemmer else 'no'}",
    ]
    if rouge_type == "rougeLsum":
        fields.append(f"split:{SENTENCE_SPLIT}")
    return "|".join([*fields, "case:lower"])


def sentence_lines(text: str) -> str:
    """`text` with one sentence a line: the form in which `rouge_score` takes sentences for ROUGE-Lsum."""
    return "\n".join(split_sentences(text))


class RougeTokenizer(tokenizers.Tokenizer):
    """`rouge_score`'s own tokenisation; it only remembers stems, which take most of the time otherwise."""

    def __init__(self, stemmer: bool = True):
        self._stemmer = _stemmer() if stemmer else None

    def tokenize(self, text: str) -> list[str]:
        return tokenize.tokenize(text, self._stemmer)


def rouge_spans(text: str) -> list[tuple[int, int, str]]:
    """The words of a text as ROUGE compares them, each with where it stands: (start, end, stem), in characters."""
    tokenizer = RougeTokenizer()
    lower = "".join(character.lower() if len(character.lower()) == 1 else " " for character in text)
    return [(*match.span(), *tokenizer.tokenize(match[0])) for match in re.finditer("[a-z0-9]+", lower)]


class _RememberingStemmer:
    def __init__(self):
        self.stem = lru_cache(maxsize=1 << 15)(PorterStemmer().stem)


@lru_cache(maxsize=1)
def _stemmer() -> _RememberingStemmer:
    """The one of the process: most words of an article were met in others."""
    return _RememberingStemmer()


def wordless(texts: Iterable[str]) -> int:
    """How many texts have neither a letter a–z nor a digit, and so no word for this tool: they score 0 always."""
    return sum(not tokenize.tokenize(text, None) for text in texts)


def _score(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
    """`rouge1_precision`, `rouge1_recall`, `rouge1_fmeasure`, `rouge2_precision` and so on, with the Porter stemmer."""
    values = rouge(predictions, references).values
    return {f"{kind}_{part}": values[kind][:, column] for kind in ROUGE_TYPES for column, part in enumerate(PARTS)}


rouge_metric = Metric(
    "rouge", {f"{kind}_{part}": FigureKind(signature(kind)) for kind in ROUGE_TYPES for part in PARTS}, _score
)
