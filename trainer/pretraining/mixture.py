"""Batches for pre-training: which text is asked what at which step.

A batch is a function of the seed and the step alone. So nothing about the data has to be saved to resume exactly.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from transformers import T5Tokenizer

from trainer.data.spelling import Spelling
from trainer.errors import UserError
from trainer.pretraining.corpus import Corpus, Document
from trainer.pretraining.objectives import (
    Pair,
    continuation,
    copy_exercise,
    gap_sentences,
    lead_sentence,
    span_corruption,
)
from trainer.settings.pretraining import PretrainSettings

EOS, PAD, IGNORED = 1, 0, -100
# Every 200th document of a file is kept for validation losses, or of a text with `held_out_every: N` every Nth.
HELD_OUT_EVERY = 200
MAX_DRAWS = 10_000  # for one example, before the texts are said to hold none
BUCKET_BATCHES = 8  # examples of so many batches are sorted by length together
PREFIXES = {
    "span": "",
    "gap": "gap: ",
    "gap_in_place": "extract: ",
    "lead": "summarize: ",
    "summary": "summarize: ",
    "title": "title: ",
    "continuation": "continue: ",
    "copy": "copy: ",
}


# Targets that say what the source is about; names and numbers that it lacks could only be guessed.
ABOUT_THE_REST = ("gap", "lead", "summary", "title")


@dataclass(frozen=True)
class Asked(Pair):
    """A pair as the model gets it, with prefix and `</s>`; `ignored` (target length,) is true where no loss counts."""

    ignored: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Padded ids: `source` (batch, source length), `target` and `labels` (batch, target length), 64-bit.

    `labels` are the target's ids where a loss is counted, -100 elsewhere.
    """

    source: np.ndarray
    target: np.ndarray
    labels: np.ndarray

    @property
    def n_tokens(self) -> int:
        """Ids read and written, padding left out."""
        return int((self.source != PAD).sum() + (self.target != PAD).sum())

    @property
    def n_labels(self) -> int:
        """Ids that count in the loss."""
        return int((self.labels != IGNORED).sum())

    def inputs(self) -> dict[str, torch.Tensor]:
        """Arguments of a T5's forward call: the decoder reads the whole target, whatever of it counts in the loss."""
        source = torch.from_numpy(self.source)
        return {
            "input_ids": source,
            "attention_mask": (source != PAD).long(),
            "decoder_input_ids": torch.from_numpy(np.pad(self.target[:, :-1], ((0, 0), (1, 0)), constant_values=PAD)),
            "labels": torch.from_numpy(self.labels),
        }


class Mixture:
    """Draws examples from several corpora by weight, in the shares that the settings give each objective."""

    def __init__(self, corpora: dict[str, Corpus], settings: PretrainSettings, tokenizer: T5Tokenizer):
        self._settings, self._corpora = settings, corpora
        self._first_sentinel = tokenizer.convert_tokens_to_ids("<extra_id_0>")
        self._lowest_piece = 3
        self._spelling = Spelling.of(tokenizer)
        self._prefixes = {
            name: np.asarray(tokenizer(prefix, add_special_tokens=False)["input_ids"], np.int64)
            for name, prefix in PREFIXES.items()
        }
        self._pool_key: tuple[int, bool] | None = None
        self._pool: list[list[Asked]] = []
        self._held_out_every = {
            id(corpus): settings.texts[name].get("held_out_every", HELD_OUT_EVERY) for name, corpus in corpora.items()
        }
        self._sources = {name: self._suited(name) for name in PREFIXES if name != "copy"}
        if sum(settings.shares.values()):  # told now, and not when copying has been exercised for an hour
            self._draw(settings.shares, np.random.default_rng(0))

    def _suited(self, objective: str) -> tuple[list[Corpus], np.ndarray]:
        chosen, weights = [], []
        for name, corpus in self._corpora.items():
            text = self._settings.texts[name]
            # Leads, titles and summaries are asked only where the recipe says that a file has good ones.
            weight = text.get(objective, 0.0) if objective in ("lead", "title", "summary") else text.get("weight", 1.0)
            if weight > 0:
                chosen.append(corpus)
                weights.append(weight)
        if not chosen and self._settings.shares.get(objective, 0) > 0:
            raise UserError(f"shares.{objective} is over 0, but no text has a weight for `{objective}`")
        return chosen, np.asarray(weights) / max(sum(weights), 1e-9)

    def batch(self, step: int, exercise_end: int | None) -> Batch:
        """The batch of a step; before `exercise_end` (None: not yet reached) it only exercises copying."""
        size = self._settings.batch_size
        pool, place = divmod(step, BUCKET_BATCHES)
        exercising = exercise_end is None or step < exercise_end
        if self._pool_key != (pool, exercising):
            rng = np.random.default_rng((self._settings.seed, pool))
            shares = {"copy": 1.0} if exercising else self._shares_at(pool * BUCKET_BATCHES - exercise_end)
            pairs = [self._draw(shares, rng) for _ in range(size * BUCKET_BATCHES)]
            pairs.sort(key=lambda pair: (len(pair.target), len(pair.source)))
            order = rng.permutation(BUCKET_BATCHES)
            self._pool = [pairs[k * size : (k + 1) * size] for k in order]
            self._pool_key = pool, exercising
        return collate(self._pool[place], self._settings.pad_to)

    def _shares_at(self, step: int) -> dict[str, float]:
        settings = self._settings
        progress = min(max(step, 0) / settings.anneal_steps, 1.0)
        shares = dict(settings.shares)
        copy_from, copy_to = settings.copy_share
        place_from, place_to = settings.in_place_share
        in_place = place_from + (place_to - place_from) * progress
        gap = shares.pop("gap", 0.0)
        shares["gap_in_place"], shares["gap"] = gap * in_place, gap * (1 - in_place)
        copy = copy_from + (copy_to - copy_from) * progress
        shares = {name: share * (1 - copy) for name, share in shares.items()}
        return shares | {"copy": copy}

    def _draw(self, shares: dict[str, float], rng: np.random.Generator) -> Asked:
        names = list(shares)
        weights = np.asarray([shares[name] for name in names])
        for _ in range(MAX_DRAWS):
            objective = names[rng.choice(len(names), p=weights / weights.sum())]
            if objective == "copy":
                pair = self._exercise(rng)
            else:
                corpora, chances = self._sources[objective]
                corpus = corpora[rng.choice(len(corpora), p=chances)]
                index = int(rng.integers(len(corpus)))
                if index % self._held_out_every[id(corpus)] == 0:
                    continue
                pair = self._ask(objective, corpus[index], rng)
            if pair is not None:
                return self._finish(objective, pair, not self._settings.learn_unsupported)
        sizes = ", ".join(f"{name} has {len(corpus)}" for name, corpus in self._corpora.items())
        raise UserError(
            f"in {MAX_DRAWS:,} draws the texts gave no example of {', '.join(names)}. Of usable documents {sizes}, of "
            f"which the first and every Nth after it are held out (`held_out_every`, else {HELD_OUT_EVERY}); give more "
            "or longer texts"
        )

    def _exercise(self, rng: np.random.Generator) -> Pair:
        length = int(rng.integers(40, self._settings.max_source_length - 8))
        return copy_exercise(length, rng, self._first_sentinel, self._lowest_piece)

    def _ask(self, objective: str, document: Document, rng: np.random.Generator) -> Pair | None:
        limit, longest = self._settings.max_source_length, self._settings.max_target_length
        if objective == "lead":
            pair = lead_sentence(document)
            # A first "sentence" in capitals is a headline.
            return None if pair is None or self._spelling.fact[pair.target].mean() > 0.5 else pair
        if objective == "title":
            if document.title is None or len(document.title) < 3:
                return None
            return Pair(np.concatenate(document.sentences), document.title)
        if objective == "summary":
            if document.summary is None or len(document.summary) > longest:
                return None
            return Pair(np.concatenate(document.sentences), document.summary)
        if objective in ("span", "continuation"):
            ids = np.concatenate(document.sentences)
            extra = limit // 8 if objective == "span" else longest
            start = int(rng.integers(max(len(ids) - limit, 0) + 1))
            ids = ids[start : start + limit + extra - 16]
            if len(ids) < 32:
                return None
            if objective == "continuation":
                return continuation(ids, longest)
            return span_corruption(ids, rng, self._first_sentinel, density=self._settings.span_density)
        window = _window(document.sentences, limit + (0 if objective == "gap_in_place" else longest), rng)
        if len(window) < 3:
            return None
        in_place = objective == "gap_in_place"
        n_gaps = 1 if in_place else int(rng.integers(1, 4))
        return gap_sentences(window, self._first_sentinel, in_place, n_gaps, longest)

    def _finish(self, objective: str, pair: Pair, masked: bool) -> Asked:
        source = np.concatenate([self._prefixes[objective], pair.source])[: self._settings.max_source_length - 1]
        source, target = np.append(source, EOS), np.append(pair.target[: self._settings.max_target_length], EOS)
        ignored = np.zeros(len(target), bool)
        if masked and objective in ABOUT_THE_REST:
            ignored = self._spelling.unsupported(target, source)
        return Asked(source, target, ignored)

    @cached_property
    def validation(self) -> dict[str, list[Batch]]:
        """Batches of held-out documents for each objective: 96 examples, the same at every call."""
        rng = np.random.default_rng(0)
        found = {"copy": [self._finish("copy", self._exercise(rng), False) for _ in range(64)]}
        for objective, (corpora, chances) in self._sources.items():
            pairs: list[Asked] = []
            for _ in range(4000):
                if not corpora or len(pairs) == 96:
                    break
                corpus = corpora[rng.choice(len(corpora), p=chances)]
                every = self._held_out_every[id(corpus)]
                index = int(rng.integers(-(-len(corpus) // every))) * every
                pair = self._ask(objective, corpus[index], rng)
                if pair is not None:
                    pairs.append(self._finish(objective, pair, False))
            if pairs:
                found[objective] = pairs
        pad_to = self._settings.pad_to
        return {
            name: [collate(pairs[k : k + 16], pad_to) for k in range(0, len(pairs), 16)]
            for name, pairs in found.items()
        }


def collate(pairs: list[Asked], pad_to: int = 1) -> Batch:
    """Pads to the longest, and up to a multiple of `pad_to`: sources and targets with 0, labels with -100."""
    widths = (max(len(pair.source) for pair in pairs), max(len(pair.target) for pair in pairs))
    source, target = (np.full((len(pairs), -(-width // pad_to) * pad_to), PAD, np.int64) for width in widths)
    labels = np.full_like(target, IGNORED)
    for row, pair in enumerate(pairs):
        source[row, : len(pair.source)] = pair.source
        target[row, : len(pair.target)] = pair.target
        labels[row, : len(pair.target)] = np.where(pair.ignored, IGNORED, pair.target)
    return Batch(source, target, labels)


def _window(sentences: list[np.ndarray], limit: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Consecutive sentences of at most `limit` ids together, from a random start that leaves enough behind it."""
    lengths = np.cumsum([len(sentence) for sentence in sentences])
    last_start = int(np.searchsorted(lengths, max(lengths[-1] - limit, 0)))
    start = int(rng.integers(last_start + 1))
    before = lengths[start - 1] if start else 0
    end = int(np.searchsorted(lengths, before + limit, side="right"))
    return sentences[start:end]
