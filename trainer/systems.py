"""Everything that summarises, behind one small protocol.

A summariser is anything with `summarize(sources) -> list[Summary]` and `describe()`; evaluation, studies and
the demo know no more about it. Here are the baselines that choose sentences of the article and the one class
for every encoder–decoder that transformers loads.
"""

import copy
import dataclasses
import difflib
import hashlib
import random
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from trainer.errors import UserError
from trainer.metrics.rouge import RougeTokenizer
from trainer.metrics.words import ngrams
from trainer.model import Task, load_model, task_of
from trainer.sentences import SENTENCE_SPLIT, split_sentences

NUMBER_FORMATS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.float64: "fp64"}

# Words that texts on any subject share: TextRank would link every sentence to every other by them.
_FUNCTION_WORDS = """
a about after again all also am an and any are as at be because been before being between both but by can could did
do does down during each for from further had has have he her here hers him his how i if in into is it its just me more
most my no nor not now of off on once only or other our out over own said same say says she should so some such than
that the their them then there these they this those through to too under until up us very was we were what when where
which while who whom why will with would you your
"""
# transformers stops after 20 tokens when nobody says more, which cut most published T5-small summaries in
# mid-sentence.
DEFAULT_MAX_NEW_TOKENS = 128
LIBRARY_MAX_LENGTH = 20

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


@dataclasses.dataclass(frozen=True)
class Summary:
    """One summary and how much of the source it is made from.

    Attributes:
        text: the summary; may be empty.
        score: log probability of the summary / its length ** length_penalty where beam search gives it, else
            None.
        tokens_read: tokens that reached the system, prefix and end token included (words, where it has no
            tokenizer).
        tokens_total: tokens of the whole source, counted the same way; more than `tokens_read` if it was cut.
        tokens_written: tokens generated, the end token included; None where nothing is generated.
        finished: False if the limit of new tokens cut the summary off.
    """

    text: str
    score: float | None
    tokens_read: int
    tokens_total: int
    tokens_written: int | None = None
    finished: bool = True


class Summarizer(Protocol):
    """What evaluation, studies and the demo ask of a system."""

    def summarize(self, sources: list[str]) -> list[Summary]:
        """One summary for each source, in their order."""
        ...

    def describe(self) -> dict[str, Any]:
        """`system`, `model`, `revision`, `decoding`, `number_format` and `seed` for a record; JSON values."""
        ...


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
        self.n = _positive("n of lead-n", n)
        super().__init__(f"lead-{n}", {"sentences": n})

    def choose(self, source: str, sentences: list[str]) -> Iterable[int]:
        return range(min(self.n, len(sentences)))


class RandomN(Extractive):
    """n sentences of the source drawn without replacement.

    The draw depends on `seed` and on the source's own text only, so neither the order of the data nor the
    batches change it.
    """

    def __init__(self, n: int, seed: int = 0):
        self.n = _positive("n of random-n", n)
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
        self.n = _positive("n of textrank-n", n)
        self.damping = damping
        super().__init__(f"textrank-{n}", {"sentences": n, "damping": damping, "words": "porter, no function words"})
        self._tokenizer = RougeTokenizer()
        self._function_words = frozenset(self._tokenizer.tokenize(_FUNCTION_WORDS))

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
        examples: (source, reference) of all texts that it will be asked for.
        most: sentences at most; None for no limit.

    `choose` raises KeyError for a source that is not among the examples.
    """

    def __init__(self, examples: Iterable[tuple[str, str]], most: int | None = None):
        self.most = None if most is None else _positive("most of oracle", most)
        super().__init__("oracle", {"sees_reference": True, "sentences": most, "objective": "rouge1 + rouge2 fmeasure"})
        self._tokenizer = RougeTokenizer()
        self._references: dict[str, list[str]] = {}
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
        return sum(_ngram_f1(summary, reference, n) for reference in references for n in (1, 2))


def _ngram_f1(summary: list[str], reference: list[str], n: int) -> float:
    """F1 of the n-grams of two lists of words: 2 × shared / all, which is ROUGE-n's."""
    ours, theirs = Counter(ngrams(summary, n)), Counter(ngrams(reference, n))
    total = ours.total() + theirs.total()
    return 2 * (ours & theirs).total() / total if total else 0.0


def _positive(name: str, n: int) -> int:
    if n < 1:
        raise UserError(f"{name} is {n}: it must be 1 or more.")
    return n


class Seq2SeqSummarizer:
    """Any encoder–decoder of transformers, decoded by its own `generate`.

    Sources are sorted by length so that a batch holds little padding, and the summaries come back in the
    order asked for. The model's own `generation_config` is read and left as it was; `generation` goes over
    it. Where neither sets a limit, it is 128 new tokens.

    Args:
        name: what tables call the system.
        revision: the commit of a Hub model, for the record.
        task: the prefix and how many tokens are read, prefix and end token included; by default what the
            model's config remembers.
        generation: decoding settings by their names in transformers' `GenerationConfig`, or a dataclass of
            such.
        batch_size: sources decoded together.
        seed: starts the generator of a sampling decoding anew at every call; not used otherwise.
        scores: ask beam search for the score of each summary. transformers then keeps the distribution of
            every step: batch size × beams × new tokens × vocabulary × 4 bytes (0.5 GB for 8 × 4 × 128 ×
            32,128).

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
    ):
        task = task or task_of(model.config)
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.revision = revision
        self.prefix: str = task.prefix
        self.max_source_length: int = task.max_source_length
        self.batch_size = _positive("batch_size", batch_size)
        self.seed = seed
        self.generation = _generation_config(model.generation_config, generation)
        self.generation.return_dict_in_generate = True
        self.generation.output_scores = scores and self.generation.num_beams > 1

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
            UserError: it can't be had, or is not a model that `trainer.model.load_model` loads.
        """
        model_id = str(name_or_folder)
        model, tokenizer, commit = load_model(model_id, revision)
        return cls(model, tokenizer, name=name or model_id, revision=commit, **options)

    def summarize(self, sources: list[str]) -> list[Summary]:
        inputs, totals = self._tokenize(sources)
        # Longest first: a batch that does not fit in memory shows at once, not after an hour.
        order = sorted(range(len(sources)), key=lambda row: len(inputs[row]), reverse=True)
        summaries: dict[int, Summary] = {}
        with self._ready():
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                for row, written in zip(rows, self._generate([inputs[row] for row in rows]), strict=True):
                    text, score, tokens_written, finished = written
                    summaries[row] = Summary(text, score, len(inputs[row]), totals[row], tokens_written, finished)
        return [summaries[row] for row in range(len(sources))]

    def describe(self) -> dict[str, Any]:
        return {
            "system": self.name,
            "model": self.model.name_or_path or self.name,
            "revision": self.revision,
            "decoding": self.decoding(),
            "number_format": NUMBER_FORMATS.get(self.model.dtype, str(self.model.dtype).removeprefix("torch.")),
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
        return reading | _ALWAYS_STATED | chosen

    def _tokenize(self, sources: list[str]) -> tuple[list[list[int]], list[int]]:
        """Token ids of each source, cut to the limit, and how many there were before the cut."""
        if not sources:
            return [], []
        texts = [self.prefix + source for source in sources]
        # verbose=False: a source longer than the model reads needs no warning, it is cut and counted here.
        inputs = self.tokenizer(texts, verbose=False)["input_ids"]
        totals = [len(ids) for ids in inputs]
        long = [row for row, total in enumerate(totals) if total > self.max_source_length]
        if long:  # cut by the tokenizer, which knows the special tokens that must stay
            cut = self.tokenizer(
                [texts[row] for row in long],
                truncation=True,
                max_length=self.max_source_length,
                verbose=False,
            )
            for row, ids in zip(long, cut["input_ids"], strict=True):
                inputs[row] = ids
        return inputs, totals

    def _generate(self, inputs: list[list[int]]) -> list[tuple[str, float | None, int, bool]]:
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
        )
        # Without the start token, which for BART is an end token.
        sequences = output.sequences[:, 1:].tolist()
        texts = self.tokenizer.batch_decode(sequences, skip_special_tokens=True)
        scores = getattr(output, "sequences_scores", None)
        scores = [None] * len(sequences) if scores is None else scores.float().tolist()
        ends = [self._end(ids) for ids in sequences]
        return [(text.strip(), score, *end) for text, score, end in zip(texts, scores, ends, strict=True)]

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


def _generation_config(own: GenerationConfig, given: Any) -> GenerationConfig:
    """A copy of the model's config with the given settings over it and a limit of new tokens in any case."""
    given = dataclasses.asdict(given) if dataclasses.is_dataclass(given) else dict(given or {})
    known = [name for name in vars(GenerationConfig()) if not name.startswith("_")]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UserError(
                f"No decoding setting is called {name!r}" + (f": did you mean {near[0]!r}?" if near else ".")
            )
    config = copy.deepcopy(own)
    if config.max_length == LIBRARY_MAX_LENGTH:  # written by older versions of transformers, chosen by nobody
        config.max_length = None
    for new, old in (("max_new_tokens", "max_length"), ("min_new_tokens", "min_length")):
        limits = (given.pop(new, None), _less_start(given.pop(old, None)))
        limits += (getattr(config, new), _less_start(getattr(config, old)))
        setattr(config, new, next((limit for limit in limits if limit is not None), None))
        setattr(config, old, None)
    for name, value in given.items():
        setattr(config, name, value)
    if config.max_new_tokens is None:
        config.max_new_tokens = DEFAULT_MAX_NEW_TOKENS
    config.num_beams = config.num_beams or 1
    config.do_sample = bool(config.do_sample)
    config.num_return_sequences = 1
    if config.num_beams == 1:  # they mean nothing to a greedy search, and transformers warns of them
        config.length_penalty = config.early_stopping = None
    for name, least in (("max_new_tokens", 1), ("num_beams", 1)):
        value = getattr(config, name)
        if not isinstance(value, int) or value < least:
            raise UserError(f"{name} is {value!r}: it must be a whole number of {least} or more.")
    try:
        config.validate()
    except ValueError as error:
        raise UserError(f"These decoding settings do not go together: {error}") from error
    return config


def _less_start(length: int | None) -> int | None:
    """A length that counts the start token, as `max_length` does, in new tokens."""
    return None if length is None else max(length - 1, 0)
