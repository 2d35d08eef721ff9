"""What `generate` does for a T5, on the network of `trainer.models.t5_network`: the same tokens, much sooner."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import GenerationConfig
from transformers.generation.logits_process import (
    LogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from trainer.models.beam_search import BeamSearch, Hypothesis
from trainer.models.t5_network import T5Network

# transformers' own, where a config says nothing.
DEFAULTS = {"temperature": 1.0, "top_k": 50, "top_p": 1.0, "repetition_penalty": 1.0, "length_penalty": 1.0}
# A setting with any other name, and a value that does something, is left to `generate`.
UNDERSTOOD = {
    *DEFAULTS,
    *("max_new_tokens", "min_new_tokens", "num_beams", "do_sample", "num_return_sequences", "early_stopping"),
    *("no_repeat_ngram_size", "suppress_tokens", "begin_suppress_tokens", "max_time", "use_cache", "disable_compile"),
    *("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id", "transformers_version"),
    *("output_scores", "return_dict_in_generate"),
    # These belong to a search with an assistant, which another setting asks for.
    *("num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"),
    *("assistant_lookbehind", "target_lookbehind"),
}
IDLE = {"typical_p": 1.0, "encoder_repetition_penalty": 1.0, "num_beam_groups": 1, "guidance_scale": 1}


@dataclass(frozen=True)
class Decoding:
    """The settings of a `GenerationConfig` that this module understands, with transformers' defaults.

    Attributes:
        rows: how many sequences are written for each article: beams, or samples.
        returned: how many of them come back.
        ends: the ids that end a summary.
        min_new_tokens, never, not_first: until how many tokens are written no end may come, and the ids that may not
            come at all or at first.
        before, after: what transformers does to the scores of a step, (rows, vocabulary) in and out, before and after
            such ids are ruled out.
    """

    rows: int
    returned: int
    beams: bool
    samples: bool
    max_new_tokens: int
    max_time: float
    length_penalty: float
    early_stopping: bool | str
    no_repeat_ngram_size: int
    start: int
    pad: int
    ends: tuple[int, ...]
    min_new_tokens: int
    never: list[int]
    not_first: list[int]
    before: tuple[LogitsProcessor, ...]
    after: tuple[LogitsProcessor, ...]

    @classmethod
    def of(cls, config: GenerationConfig) -> "Decoding | None":
        """None where the config asks for something that only `generate` does."""
        values = {name: value for name, value in config.to_dict().items() if value is not None and name[0] != "_"}
        if any(value and value != IDLE.get(name) for name, value in values.items() if name not in UNDERSTOOD):
            return None
        wanted = DEFAULTS | values
        ends = values.get("eos_token_id", [])
        ends = tuple(ends) if isinstance(ends, list) else (ends,)
        start, pad = values.get("decoder_start_token_id"), values.get("pad_token_id")
        if not isinstance(start, int) or not isinstance(pad, int) or "max_new_tokens" not in values:
            return None
        beams, samples = values.get("num_beams", 1), bool(values.get("do_sample"))
        returned = values.get("num_return_sequences", 1)
        if returned > beams and (beams > 1 or not samples):
            return None  # `generate` says what is wrong with that
        repetition = wanted["repetition_penalty"]
        return cls(
            rows=beams if beams > 1 else returned,
            returned=returned,
            beams=beams > 1,
            samples=samples,
            max_new_tokens=values["max_new_tokens"],
            max_time=values.get("max_time", float("inf")),
            length_penalty=wanted["length_penalty"],
            early_stopping=values.get("early_stopping", False),
            no_repeat_ngram_size=values.get("no_repeat_ngram_size", 0),
            start=start,
            pad=pad,
            ends=ends,
            min_new_tokens=values.get("min_new_tokens", 0),
            never=values.get("suppress_tokens", []),
            not_first=values.get("begin_suppress_tokens", []),
            before=(RepetitionPenaltyLogitsProcessor(repetition),) if repetition != 1.0 else (),
            after=tuple(_warpers(wanted, beams, len(ends))) if samples else (),
        )


def _warpers(wanted: dict, beams: int, ends: int) -> Iterator[LogitsProcessor]:
    least = max(2, 1 + ends) if beams > 1 else 1
    if wanted["temperature"] != 1.0:
        yield TemperatureLogitsWarper(wanted["temperature"])
    if wanted["top_k"]:
        yield TopKLogitsWarper(top_k=wanted["top_k"], min_tokens_to_keep=least)
    if wanted["top_p"] < 1.0:
        yield TopPLogitsWarper(top_p=wanted["top_p"], min_tokens_to_keep=least)


@torch.inference_mode()
def decode(
    network: T5Network, articles: Sequence[Sequence[int]], decoding: Decoding, generator: torch.Generator
) -> list[list[Hypothesis]]:
    """Summaries of each article (token ids), as many as `decoding` returns, of a beam search the best first.

    Sampling draws from `generator` what `generate` draws from torch's global one.
    """
    if decoding.beams:
        return _search(network, articles, decoding, generator)
    written: list[list[int]] = [[] for _ in range(len(articles) * decoding.rows)]
    for step in _continue(network, articles, decoding, generator):
        for row, token in step:
            written[row].append(token)
    rows = decoding.rows
    return [[Hypothesis(ids) for ids in written[start : start + rows]] for start in range(0, len(written), rows)]


def stream(network: T5Network, article: Sequence[int], decoding: Decoding, generator: torch.Generator) -> Iterator[int]:
    """The tokens of one summary, each as soon as it is chosen; for a decoding without beams."""
    for step in _continue(network, [article], decoding, generator):
        yield step[0][1]


@torch.inference_mode()
def _continue(
    network: T5Network, articles: Sequence[Sequence[int]], decoding: Decoding, generator: torch.Generator
) -> Iterator[list[tuple[int, int]]]:
    """Greedy search or sampling: at each step the (row, token) of the rows that have not ended."""
    began = time.monotonic()
    state = network.read(articles, decoding.rows, decoding.max_new_tokens)
    rows = np.arange(len(articles) * decoding.rows)
    ids = np.full((len(rows), 1 + decoding.max_new_tokens), decoding.pad)
    ids[:, 0] = decoding.start
    open_ = np.ones(len(rows), dtype=bool)
    for length in range(1, decoding.max_new_tokens + 1):
        scores = _processed(network.step(state, torch.from_numpy(ids[:, length - 1])), ids[:, :length], decoding)
        if decoding.samples:
            probabilities = torch.softmax(scores, dim=-1)
            tokens = torch.multinomial(probabilities, num_samples=1, generator=generator)[:, 0].numpy()
        else:
            tokens = highest(scores).numpy()
        ids[:, length] = np.where(open_, tokens, decoding.pad)
        yield [(int(rows[place]), int(tokens[place])) for place in np.flatnonzero(open_)]
        open_ &= ~np.isin(tokens, decoding.ends)
        if not open_.any() or time.monotonic() - began > decoding.max_time:
            return
        # What has ended leaves the batch, but not while sampling: each row's draw depends on how many there are.
        if not decoding.samples and 2 * open_.sum() <= len(rows):
            left = np.flatnonzero(open_)
            state.keep(torch.from_numpy(left))
            rows, ids, open_ = rows[left], ids[left], open_[left]


def _search(
    network: T5Network, articles: Sequence[Sequence[int]], decoding: Decoding, generator: torch.Generator
) -> list[list[Hypothesis]]:
    began = time.monotonic()
    state = network.read(articles, decoding.rows, decoding.max_new_tokens)
    search = BeamSearch(
        len(articles),
        decoding.rows,
        max_new_tokens=decoding.max_new_tokens,
        start=decoding.start,
        fill=decoding.pad,
        ends=decoding.ends,
        length_penalty=decoding.length_penalty,
        early_stopping=decoding.early_stopping,
    )
    numbers = np.arange(len(articles))
    found: dict[int, list[Hypothesis]] = {}
    while True:
        ids = search.running[:, :, : search.length].reshape(-1, search.length)
        logits = network.step(state, torch.from_numpy(np.ascontiguousarray(ids[:, -1])))
        scores = _processed(torch.log_softmax(logits, dim=-1), ids, decoding)
        continuations = _drawn(scores, search, generator) if decoding.samples else _highest(scores, search)
        parents = search.advance(*continuations, cut=time.monotonic() - began > decoding.max_time)
        done = search.done
        # As above, what is done leaves the batch where that changes nothing for the others.
        if done.all() or (not decoding.samples and 2 * done.sum() >= len(numbers)):
            found |= {int(numbers[place]): search.best(place, decoding.returned) for place in np.flatnonzero(done)}
            left = np.flatnonzero(~done)
            if not len(left):
                return [found[number] for number in range(len(articles))]
            search.keep(left)
            state.keep(torch.from_numpy(left))
            numbers, parents = numbers[left], parents[left]
        state.reorder(torch.from_numpy(parents))


def _highest(scores: torch.Tensor, search: BeamSearch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best continuations of each article: (articles, wide) Σ log p, beam and token, of (rows, vocabulary) log p."""
    values, tokens = highest_several(scores, min(search.wide, scores.shape[1]))
    articles, beams = search.running_scores.shape
    sums = (values.numpy().reshape(articles, beams, -1) + search.running_scores[:, :, None]).reshape(articles, -1)
    best = np.argsort(-sums, axis=1, kind="stable")[:, : search.wide]
    parents = best // values.shape[1]
    tokens = tokens.numpy().reshape(articles, -1)
    return np.take_along_axis(sums, best, axis=1), parents, np.take_along_axis(tokens, best, axis=1)


def _drawn(
    scores: torch.Tensor, search: BeamSearch, generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_highest`, but drawn without replacement with the probabilities that the sums stand for."""
    articles, beams = search.running_scores.shape
    sums = scores.view(articles, beams, -1) + torch.from_numpy(search.running_scores)[:, :, None]
    sums = sums.view(articles, -1)
    places = torch.multinomial(torch.softmax(sums, dim=-1), num_samples=search.wide, generator=generator)
    values, order = sums.gather(1, places).sort(dim=-1, descending=True)
    places = places.gather(1, order).numpy()
    return values.numpy(), places // scores.shape[1], places % scores.shape[1]


def _processed(scores: torch.Tensor, ids: np.ndarray, decoding: Decoding) -> torch.Tensor:
    """`scores` (rows, vocabulary) after all that changes them, given the ids (rows, length) so far."""
    if decoding.before or decoding.after:
        so_far = torch.from_numpy(np.ascontiguousarray(ids))
    for processor in decoding.before:
        scores = processor(so_far, scores)
    if decoding.no_repeat_ngram_size:
        scores = _without_repeats(scores, ids, decoding.no_repeat_ngram_size)
    written = ids.shape[1] - 1
    ruled_out = [*decoding.never, *(decoding.ends if written < decoding.min_new_tokens else ())]
    ruled_out += decoding.not_first if not written else []
    if ruled_out:
        scores[:, ruled_out] = -torch.inf
    for processor in decoding.after:
        scores = processor(so_far, scores)
    return scores


def _without_repeats(scores: torch.Tensor, ids: np.ndarray, size: int) -> torch.Tensor:
    """-∞ for each token that would write again `size` tokens that a row holds already."""
    if ids.shape[1] < size:
        return scores
    windows = np.lib.stride_tricks.sliding_window_view(ids, size, axis=1)
    last = ids[:, ids.shape[1] - size + 1 :]
    rows, places = np.nonzero((windows[:, :, :-1] == last[:, None]).all(axis=2))
    if len(rows):
        scores[torch.from_numpy(rows), torch.from_numpy(windows[rows, places, -1])] = -torch.inf
    return scores


def highest(scores: torch.Tensor) -> torch.Tensor:
    """The place (rows,) of the highest of each row (rows, vocabulary), the first where several are."""
    block = _block(scores.shape[1])
    if block is None:
        return scores.argmax(dim=-1)
    blocks = scores.view(len(scores), -1, block)
    number = blocks.amax(dim=-1).argmax(dim=-1)
    inside = blocks[torch.arange(len(scores)), number].argmax(dim=-1)
    return number * block + inside


def highest_several(scores: torch.Tensor, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `number` highest of each row and their places, the highest first."""
    block = _block(scores.shape[1])
    if block is None or number * block > scores.shape[1]:
        return scores.topk(number, dim=-1)
    # They are in the blocks with the highest maxima: of each row only those are searched.
    blocks = scores.reshape(len(scores), -1, block)
    chosen = blocks.amax(dim=-1).topk(number, dim=-1).indices
    inside = blocks.gather(1, chosen[:, :, None].expand(-1, -1, block)).flatten(1)
    values, places = inside.topk(number, dim=-1)
    return values, chosen.gather(1, places // block) * block + places % block


def _block(size: int) -> int | None:
    """A number between 64 and 256 that divides `size`, so that maxima of blocks can be taken; None if there is none."""
    if size < 4096:
        return None
    return next((block for block in (128, 125, 100, *range(64, 257)) if size % block == 0), None)
