"""Every encoder–decoder that transformers loads: a T5 decoded by our own loop, the others by `generate`."""

import copy
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainer.data.encoding import Encoded, encode
from trainer.data.sentences import SENTENCE_SPLIT
from trainer.errors import UserError
from trainer.models.beam_cache import beam_cache
from trainer.models.beam_search import Hypothesis
from trainer.models.ctranslate2_decoding import COMPUTE_TYPES, CTranslate2Decoder
from trainer.models.likelihood import log_probs_of
from trainer.models.load import T5_FAMILY
from trainer.models.matrices import FORMATS
from trainer.models.pretrained import Pretrained, load_adapted, load_summarizer, positions, task_of_any
from trainer.models.t5_decoding import Decoding, decode, stream
from trainer.models.t5_network import T5Network
from trainer.models.task import Task
from trainer.summarizers.base import Summary, positive
from trainer.summarizers.choice import CHOICE, best_supported
from trainer.summarizers.decoding_settings import generation_config
from trainer.summarizers.extracts import extracts
from trainer.summarizers.sentence_choice import Question, best_sentences

T = TypeVar("T")

NUMBER_FORMATS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.float64: "fp64"}

# What the scores of a beam search may take of the memory.
MOST_SCORE_BYTES = 2 << 30

# Entries of a generation config that do not choose how to decode: they belong to the model or to how results
# come back, and lengths are stated as new tokens.
_NOT_DECODING = re.compile(
    r"(pad|bos|eos|decoder_start)_token_id|output_\w+|return_dict_in_generate|use_cache|num_return_sequences"
    r"|(max|min)_length|transformers_version|_.*"
)
# Stated in every record, with transformers' own defaults where nobody set them.
_ALWAYS_STATED = {
    "min_new_tokens": 0,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "early_stopping": False,
}


# Who gives one of these asks for a search.
_SEARCH = {"num_beams", "do_sample", "length_penalty", "min_new_tokens", "no_repeat_ngram_size", "early_stopping"}
_SEARCH |= {"temperature", "top_k", "top_p", "candidates"}


class Seq2SeqSummarizer:
    """Any encoder–decoder of transformers.

    A T5 in fp32 on the processor is decoded by `trainer.models.t5_decoding`, which writes the tokens that `generate`
    would write; other models, and settings that it does not know, go to `generate` itself.

    Sources are sorted by length so that a batch holds little padding, and the summaries come back in the
    order asked for. The model's own `generation_config` is read and left as it was; `generation` goes over
    it. Where neither sets a limit, it is 128 new tokens; and where the model has positions for fewer (BERT,
    BART, PEGASUS), it reads and writes no more than it has, and its record says so.

    Args:
        name: what tables call the system.
        revision: the commit of a Hub model, for the record.
        task: the prefix and how many tokens are read, prefix and end token included; by default what
            `trainer.models.pretrained.task_of_any` knows of the model.
        generation: decoding settings by their names in transformers' `GenerationConfig`, or a dataclass of
            such; and `candidates`, of how many summaries `summarize` keeps the best supported one. Where that is
            left out it is the task's number, but no more than the `num_beams` given here, and 1 under sampling.
            `choose_from` "sentences" has it choose among the article's own sentences instead, ranked by their
            log-probability; where that is left out, the task says so, unless settings of a search are given.
            `number_format` (`trainer.models.matrices.FORMATS`, or one of `trainer.models.ctranslate2_decoding`) is what
            a T5's weights are computed in, fp32 if left out; other formats are quicker and may write other tokens.
        batch_size: sources decoded together.
        seed: starts the generator of a sampling decoding anew at every call; not used otherwise.
        scores: ask beam search for the score of each summary. `generate` then keeps the distribution of
            every step: batch size × beams × new tokens × vocabulary × 4 bytes (0.5 GB for 8 × 4 × 128 ×
            32,128). Where that would be more than `MOST_SCORE_BYTES` its summaries have no score.
        candidates: how many summaries of each source `candidates()` gives: samples where the decoding samples,
            else the best of a beam search at least as wide.
        network: the model's weights as the decoding lays them out, where that has been done before.

    Raises:
        UserError: a decoding setting that does not exist, or a value that transformers refuses.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str,
        revision: str | None = None,
        task: Task | None = None,
        generation: Any = None,
        batch_size: int = 8,
        seed: int = 0,
        scores: bool = False,
        candidates: int = 1,
        network: T5Network | None = None,
    ):
        task = task or task_of_any(model, tokenizer)
        readable, writable = positions(model)
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.revision = revision
        self.prefix: str = task.prefix
        self.max_source_length: int = min(task.max_source_length, readable or task.max_source_length)
        self.batch_size = positive("batch_size", batch_size)
        self.seed = seed
        self._network = network
        generation = dataclasses.asdict(generation) if dataclasses.is_dataclass(generation) else dict(generation or {})
        self.number_format: str | None = generation.pop("number_format", None)
        self.extracts = _extracts(generation.pop("choose_from", None), task, generation, candidates, model)
        chosen_from = 1 if candidates > 1 else _chosen_from(generation.pop("candidates", None), task, generation)
        self.chooses = chosen_from > 1 or self.extracts
        candidates = max(candidates, chosen_from)
        self.generation = generation_config(model.generation_config, generation, writable, candidates)
        self.generation.return_dict_in_generate = True
        wide = self.generation.num_beams > 1 and self._score_bytes() <= MOST_SCORE_BYTES
        self.generation.output_scores = scores and wide
        self.scores = scores
        self._check_number_format()

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        revision: str | None = None,
        *,
        name: str | None = None,
        **options: Any,
    ) -> "Seq2SeqSummarizer":
        """Loads a model from the Hub or a folder; `options` are those of the class.

        Raises:
            UserError: as `trainer.models.pretrained.load_summarizer`.
        """
        return cls.of(load_summarizer(name_or_folder, revision), name or str(name_or_folder), **options)

    @classmethod
    def from_adapter(
        cls, adapter: str | Path, revision: str | None = None, *, name: str | None = None, **options: Any
    ) -> "Seq2SeqSummarizer":
        """A LoRA adapter of the Hub or a folder, merged into its base model; `options` are those of the class.

        Raises:
            UserError: as `trainer.models.pretrained.load_adapted`.
        """
        return cls.of(load_adapted(adapter, revision), name or f"lora:{adapter}", **options)

    @classmethod
    def of(cls, found: Pretrained, name: str, **options: Any) -> "Seq2SeqSummarizer":
        """A summariser of a model that is loaded already."""
        return cls(found.model, found.tokenizer, name=name, revision=found.revision, **options)

    def summarize(self, sources: list[str], scored: bool = True) -> list[Summary]:
        """One summary for each source, in their order.

        Args:
            scored: where the article's sentences are chosen from, give the summary's score also where it is known
                without asking the model, which takes time. Without it the summaries are the same.
        """
        if not self.extracts:
            found = zip(self.candidates(sources), sources, strict=True)
            return [best_supported(*pair) if self.chooses else pair[0][0] for pair in found]

        def best(batch: list[Encoded], rows: list[int]) -> list[Summary]:
            listed = map(self._extracted, batch)
            questions = [Question.of(sources[row], *pair) for row, *pair in zip(rows, batch, listed, strict=True)]
            with self._ready():
                return best_sentences(self.model, questions, scored)

        return self._in_batches(sources, lambda batches, rows: map(best, batches, rows))

    def candidates(self, sources: list[str]) -> list[list[Summary]]:
        """For each source as many summaries as the class was asked for, of a beam search the best first.

        Where the article's sentences are chosen from, all of them that are read to their end, the most probable first.
        """
        return self._in_batches(
            sources, lambda batches, _: map(self._sentences, batches) if self.extracts else self._searched(batches)
        )

    def _in_batches(
        self, sources: list[str], work: Callable[[list[list[Encoded]], list[list[int]]], Iterable[list[T]]]
    ) -> list[T]:
        """What `work` gives for each source; it gets batches of what is read, and the sources' numbers in each."""
        encoded = encode(self.tokenizer, sources, prefix=self.prefix, limit=self.max_source_length)
        # Longest first: a batch that does not fit in memory shows at once, not after an hour.
        order = sorted(range(len(sources)), key=lambda row: len(encoded[row].ids), reverse=True)
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        done = work([[encoded[row] for row in rows] for rows in batches], batches)
        found: dict[int, T] = {}
        for rows, results in zip(batches, done, strict=True):
            found.update(zip(rows, results, strict=True))
        return [found[row] for row in range(len(sources))]

    def stream(self, source: str) -> Iterator[str]:
        """The summary as far as it is written, after each token; the last is the text that `summarize` gives.

        Beams, a choice among candidates, and a model that goes to `generate` give nothing before the whole.
        """
        decoding, network = self._quick()
        if not isinstance(network, T5Network) or decoding.beams or self.chooses or decoding.returned > 1:
            yield self.summarize([source])[0].text
            return
        (encoded,) = encode(self.tokenizer, [source], prefix=self.prefix, limit=self.max_source_length)
        written: list[int] = []
        for token in stream(network, encoded.ids, decoding, torch.Generator().manual_seed(self.seed)):
            written.append(token)
            yield self._texts([written])[0]

    def _searched(self, batches: list[list[Encoded]]) -> Iterator[list[list[Summary]]]:
        """What the decoding finds for each source of each batch."""
        decoded = self._decode([[source.ids for source in batch] for batch in batches])
        for batch, written in zip(batches, decoded, strict=True):
            found = []
            for source, hypotheses in zip(batch, written, strict=True):
                texts = self._texts([hypothesis.ids for hypothesis in hypotheses])
                found.append(
                    [
                        Summary(text, one.score, len(source.ids), source.total, *self._end(one.ids))
                        for text, one in zip(texts, hypotheses, strict=True)
                    ]
                )
            yield found

    def _sentences(self, encoded: list[Encoded]) -> list[list[Summary]]:
        """Of each article of a batch the sentences that can be its summary, with the mean log-probability of their
        tokens, in nats."""
        listed = [self._extracted(source) for source in encoded]
        ids = [[ids for _, ids in texts] for texts in listed]
        with self._ready():
            sums = log_probs_of(self.model, [source.ids for source in encoded], ids)
        found = []
        for source, texts, log_probs in zip(encoded, listed, sums, strict=True):
            summaries = [
                Summary(text, log_prob / len(ids), len(source.ids), source.total, len(ids))
                for (text, ids), log_prob in zip(texts, log_probs, strict=True)
            ]
            found.append(sorted(summaries, key=lambda summary: -summary.score))
        return found

    def _extracted(self, source: Encoded) -> list[tuple[str, list[int]]]:
        """The sentences that can be the summary, each with its ids: those that the limit of tokens would not cut off,
        else the shortest."""
        texts = extracts(source.sentences_read) or [""]
        pairs = [(text, encoded.ids) for text, encoded in zip(texts, encode(self.tokenizer, texts), strict=True)]
        short = [pair for pair in pairs if len(pair[1]) <= self.generation.max_new_tokens]
        return short or [min(pairs, key=lambda pair: len(pair[1]))]

    def describe(self) -> dict[str, Any]:
        return {
            "system": self.name,
            "model": self.model.name_or_path or self.name,
            "revision": self.revision,
            "decoding": self.decoding(),
            "number_format": self.number_format
            or NUMBER_FORMATS.get(self.model.dtype, str(self.model.dtype).removeprefix("torch.")),
            "seed": self.seed if self.generation.do_sample else None,
        }

    def decoding(self) -> dict[str, Any]:
        """All that decides what is read and how it is decoded, as a record states it."""
        chosen = {
            name: value
            for name, value in sorted(self.generation.to_dict().items())
            if value is not None and not _NOT_DECODING.fullmatch(name)
        }
        reading = {
            "prefix": self.prefix,
            "max_source_length": self.max_source_length,
            "batch_size": self.batch_size,
        }
        if self.extracts:
            limit = {"max_new_tokens": self.generation.max_new_tokens}
            choice = {"choose_from": "sentences", "sentence_split": SENTENCE_SPLIT, "chosen_by": CHOICE}
            return reading | limit | choice
        number = self.generation.num_return_sequences
        several = {"candidates": number} if number > 1 else {}
        if self.chooses:
            several |= {"choose_from": "beams", "chosen_by": CHOICE}
        return reading | _ALWAYS_STATED | chosen | several

    def _score_bytes(self) -> int:
        """Memory that keeping the distributions of all steps takes."""
        steps = self.generation.num_beams * self.generation.max_new_tokens
        return 4 * self.batch_size * steps * len(self.tokenizer)

    def _quick(self) -> tuple[Decoding | None, T5Network | CTranslate2Decoder | None]:
        """The settings, and the weights for an engine quicker than `generate`, where one can decode the model."""
        decoding = Decoding.of(self.generation)
        if decoding is None or not T5Network.supports(self.model):
            return decoding, None
        number_format = self.number_format or "fp32"
        if self._network is None or not self._network.is_of(self.model, number_format):
            if number_format in COMPUTE_TYPES:
                self._network = CTranslate2Decoder(self.model, self.tokenizer, number_format)
            else:
                self._network = T5Network(self.model, number_format)
        return decoding, self._network

    def _check_number_format(self) -> None:
        if self.number_format is None:
            return
        known = (*FORMATS, *COMPUTE_TYPES)
        if self.number_format not in known:
            raise UserError(f"number_format is {self.number_format!r}: it must be one of {', '.join(known)}.")
        if self.extracts:
            raise UserError(
                f"number_format is {self.number_format}, which only a search has, and {self.name} chooses among the "
                "article's sentences. Ask for a search, num_beams=1 for one, or leave it out."
            )
        decoding = Decoding.of(self.generation)
        if self.number_format in COMPUTE_TYPES and decoding and not CTranslate2Decoder.supports(self.model, decoding):
            raise UserError(
                f"number_format is {self.number_format}, with which a T5 on the processor can be decoded greedily or "
                f"by beams, without sampling, repetition penalty or forbidden tokens: leave it out for {self.name}."
            )
        if not T5Network.supports(self.model) or decoding is None:
            raise UserError(
                f"number_format is {self.number_format}, which only a T5 on the processor has, with settings that our "
                f"own loop knows: leave it out for {self.name}."
            )

    def _decode(self, batches: list[list[list[int]]]) -> Iterator[list[list[Hypothesis]]]:
        """For each batch of token ids, and for each text in it, the summaries that are asked for, the best first."""
        decoding, network = self._quick()
        if network is None:
            with self._ready():
                yield from [self._generate(batch) for batch in batches]
            return
        generator = torch.Generator().manual_seed(self.seed)
        for batch in batches:
            quick = isinstance(network, CTranslate2Decoder)
            found = network.decode(batch, decoding) if quick else decode(network, batch, decoding, generator)
            yield [[one if self.scores else Hypothesis(one.ids) for one in several] for several in found]

    def _generate(self, inputs: list[list[int]]) -> list[list[Hypothesis]]:
        width = max(len(ids) for ids in inputs)
        input_ids = torch.full((len(inputs), width), self.tokenizer.pad_token_id)
        attention_mask = torch.zeros_like(input_ids)
        for row, ids in enumerate(inputs):
            input_ids[row, : len(ids)] = torch.tensor(ids)
            attention_mask[row, : len(ids)] = 1
        device = self.model.device
        output = self.model.generate(
            input_ids=input_ids.to(device),
            attention_mask=attention_mask.to(device),
            generation_config=copy.deepcopy(self.generation),
            **beam_cache(self.model, self.generation),
        )
        # Without the start token, which for BART is an end token.
        sequences = output.sequences[:, 1:].tolist()
        scores = getattr(output, "sequences_scores", None)
        scores = [None] * len(sequences) if scores is None else scores.float().tolist()
        found = [Hypothesis(ids, score) for ids, score in zip(sequences, scores, strict=True)]
        number = self.generation.num_return_sequences
        return [found[start : start + number] for start in range(0, len(found), number)]

    def _texts(self, sequences: list[list[int]]) -> list[str]:
        texts = self.tokenizer.batch_decode(sequences, skip_special_tokens=True)
        if "pegasus" in self.model.config.model_type:  # whose vocabulary has "<n>" for the end of a line
            texts = [" ".join(text.replace("<n>", " ").split()) for text in texts]
        return [text.strip() for text in texts]

    def _end(self, ids: list[int]) -> tuple[int, bool]:
        """How many tokens were written, and whether the model itself ended there."""
        eos = self.generation.eos_token_id
        eos = set(eos) if isinstance(eos, list) else {eos}
        written = next((place + 1 for place, token in enumerate(ids) if token in eos), None)
        if written is None:
            return len(ids), False
        forced = self.generation.forced_eos_token_id is not None and written >= self.generation.max_new_tokens
        return written, not forced

    @contextmanager
    def _ready(self):
        """Evaluation mode and, for sampling, a generator of its own; both as before afterwards."""
        training = self.model.training
        self.model.eval()
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        try:
            with (
                torch.inference_mode(),
                torch.random.fork_rng(devices, enabled=bool(self.generation.do_sample)),
            ):
                if self.generation.do_sample:
                    torch.manual_seed(self.seed)
                yield
        finally:
            self.model.train(training)


def _extracts(wanted: str | None, task: Task, given: dict[str, Any], candidates: int, model: PreTrainedModel) -> bool:
    """Whether the article's sentences are chosen from.

    Raises:
        UserError: they are to be, and the model is no T5.
    """
    if wanted not in (None, "beams", "sentences"):
        raise UserError(f"choose_from is {wanted!r}: it must be 'beams' or 'sentences'.")
    searches = candidates > 1 or bool(_SEARCH & given.keys())
    choose_from = wanted or ("beams" if searches else task.choose_from)
    if choose_from == "sentences" and model.config.model_type not in T5_FAMILY:
        raise UserError(f"choose_from is 'sentences', which only the T5 family can: not {model.config.model_type!r}.")
    return choose_from == "sentences"


def _chosen_from(wanted: int | None, task: Task, given: dict[str, Any]) -> int:
    """Of how many summaries the best supported one is kept."""
    if wanted is not None:
        return positive("candidates", wanted)
    return 1 if given.get("do_sample") else min(task.candidates, given.get("num_beams") or task.candidates)
