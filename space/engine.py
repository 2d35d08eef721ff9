"""One loaded model, and what the demo asks of it: a summary and the words behind it.

This module imports torch, transformers and captum, which takes longer than opening a page may.
`space.serving` imports it in the background, when the page is already there.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from space.guards import Guard, guards
from space.results import Answer, AskedAgain, Explanation, Reading, Weight
from space.serving import label_of
from space.turns import TOGETHER, Turns, Waiting
from space.verdict import remarks
from trainer.attribution.ablation import Ablations
from trainer.attribution.base import Attribution
from trainer.attribution.certainty import Certainty, word_probabilities
from trainer.attribution.contrast import Contrast, contrast
from trainer.attribution.deletion import Deletion, changes, delete, places_of
from trainer.attribution.folding import display_scores, fold_to_words, strongest
from trainer.attribution.matrix import IntegratedGradients, Pair
from trainer.attribution.passes import FLOAT, MEMORY, Passes
from trainer.attribution.proof import Agreement, Evidence, Proof, agreement, evidence, sanity_check
from trainer.attribution.registry import DEFAULT_METHOD
from trainer.attribution.registry import method as method_by_name
from trainer.attribution.sources import Sources, sources_of, span_of
from trainer.data.encoding import encode
from trainer.errors import UserError
from trainer.models.load import load_model
from trainer.models.t5_network import T5Network
from trainer.runtime.sizes import spoken_size
from trainer.summarizers.base import Summary
from trainer.summarizers.seq2seq import Seq2SeqSummarizer

T = TypeVar("T")
Progress = Callable[[int, int | None], None]

# Seconds after which decoding stops with what it has. Nothing within the limits of `space.limits` comes near
# it on two cores with a small model; a large one on a busy machine may.
LONGEST_DECODING = 60.0
# Results; a summary has some thirty words, and each that is clicked is one.
REMEMBERED = 64


class Engine:
    """A model in memory. Requests take turns with it (`space.turns`); the last few results are remembered.

    Args:
        name: how the model was asked for: a Hub name, a folder, or "starter".
        revision: the commit of a Hub model, else None.
        folder: that it was loaded from, if it was.
        together: summaries that are computed together at the most. Each is what it would be alone.

    Attributes:
        label: what visitors are told it is called; of a folder its last part, never the path.
        parameters: how many it has.
        own_decoding: the decoding settings that are in force where a visitor chooses none.
    """

    def __init__(
        self,
        model,
        tokenizer,
        *,
        name: str,
        revision: str | None = None,
        folder: Path | None = None,
        together: int = TOGETHER,
    ):
        self._model = model
        self._tokenizer = tokenizer
        self.name = name
        self.label = label_of(name)
        self.revision = revision
        self.folder = folder
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        self._turns = Turns(together, workers=_all_threads())
        self._sampling = threading.Lock()
        self._lock = threading.Lock()
        self._results: OrderedDict[tuple, Any] = OrderedDict()
        summarizer = self._summarizer({})
        self.own_decoding: dict[str, Any] = summarizer.decoding()
        self._prefix, self._max_source_length = summarizer.prefix, summarizer.max_source_length

    @classmethod
    def load(cls, folder: Path, *, name: str, revision: str | None = None, together: int = TOGETHER) -> "Engine":
        """Loads a folder and tries the model once, so that a broken one is found now and not by a visitor.

        Raises:
            UserError: the folder holds no T5 that loads, or its weights give no finite numbers.
        """
        try:
            model, tokenizer, _ = load_model(folder)
        except UserError as error:  # people know the model by its name, not by its place in a cache
            raise UserError(str(error).replace(str(folder), label_of(name))) from error
        engine = cls(model, tokenizer, name=name, revision=revision, folder=folder, together=together)
        engine._try_out()
        return engine

    @property
    def attention_shape(self) -> tuple[int, int]:
        """How many layers the decoder has, and how many heads each of them."""
        return self._model.config.num_decoder_layers, self._model.config.num_heads

    def guards(self, article: str) -> tuple[Guard, ...]:
        """What is wrong with a pasted text, known before the model is asked; it need not wait for its turn."""
        return guards(article, self._unknown_share)

    def reading(self, article: str) -> Reading:
        """How much of an article is read; computes nothing with the model, so it never waits for others."""
        (read,) = encode(self._tokenizer, [article], prefix=self._prefix, limit=self._max_source_length)
        words, unread = (len(text.split()) for text in (article, article[read.end :]))
        return Reading(words, words - unread, read.total, self._max_source_length, read.end)

    def summarize(self, article: str, decoding: dict[str, Any], waiting: Waiting | None = None) -> Answer:
        """Summarises; `decoding` goes over the model's own settings.

        `waiting` is called with the number of requests that are before this one (see `Turns.short`).

        Raises:
            UserError: settings that do not go together.
        """
        return self._remember(
            ("summary", article, *sorted(decoding.items())), lambda: self._summarize(article, decoding, waiting)
        )

    def explain(
        self,
        article: str,
        summary: str,
        n_steps: int | None = None,
        progress: Progress | None = None,
        waiting: Waiting | None = None,
    ) -> Explanation:
        """Integrated gradients of Σ log p(summary | article), folded to words.

        `n_steps` midpoints are taken, or, where it is None, as many points as the scores need to add up to within 1%.
        `progress` is called with (points done, points in all); what it raises ends the computation.
        Between points the summaries that wait are computed. `waiting` is as for `summarize`.

        Raises:
            UserError: there is nothing to explain, or the summary is too long.
        """
        key = ("explanation", article, summary, n_steps)
        return self._in_turn(key, lambda between: self._explain(article, summary, n_steps, between), progress, waiting)

    def sources(
        self,
        article: str,
        summary: str,
        word: int | None = None,
        progress: Progress | None = None,
        method: str = DEFAULT_METHOD,
        waiting: Waiting | None = None,
        **settings: Any,
    ) -> Sources:
        """What each word and sentence of the article did to one word of a summary; None: to the whole summary.

        Words of the summary are its runs without white space, counted from 0
        (`trainer.attribution.folding.run_bounds`). `progress` is called with (points done, points in all);
        what it raises ends the computation. `method` is a name of `trainer.attribution.registry.METHODS`, and
        `settings` are its class's: `baseline` for one. `waiting` is as for `summarize`.

        Raises:
            UserError: there is nothing to explain, the summary is too long, or it has no such word; no such method.
        """
        key = ("sources", article, summary, word, method, *sorted(settings.items()))
        by = method_by_name(method, **settings)
        return self._in_turn(
            key, lambda between: sources_of(self.pair(article, summary), word, between, by), progress, waiting
        )

    def evidence(
        self,
        article: str,
        summary: str,
        word: int | None = None,
        method: str = DEFAULT_METHOD,
        progress: Progress | None = None,
        waiting: Waiting | None = None,
        **settings: Any,
    ) -> Evidence:
        """What leaving words out of the article, and asking the model again, says about `sources`' scores.

        It takes some 250 forward passes: seconds for a small model; a further method of the same summary far fewer.

        Raises:
            UserError: as `sources`.
        """

        def compute(between: Progress) -> Evidence:
            found = self.sources(article, summary, word, method=method, **settings)
            return evidence(self._proof(article, summary, word, between), np.array(found.attribution.scores))

        key = ("evidence", article, summary, word, method, *sorted(settings.items()))
        return self._in_turn(key, compute, progress, waiting)

    def sanity(
        self,
        article: str,
        summary: str,
        method: str = DEFAULT_METHOD,
        progress: Progress | None = None,
        waiting: Waiting | None = None,
        **settings: Any,
    ) -> dict[str, float]:
        """How alike the scores for a whole summary stay when the weights are shuffled, stage by stage.

        See `trainer.attribution.proof.sanity_check`. One such check at a time has a second copy of the weights.

        Raises:
            UserError: as `sources`; or the copy would take more memory than a pass may.
        """
        if (size := FLOAT * self.parameters) > MEMORY:
            raise UserError(
                f"The check with shuffled weights needs a second copy of the model, which takes {spoken_size(size)}: "
                f"it is made for models of at most {spoken_size(MEMORY)}."
            )
        by = method_by_name(method, **settings)

        def compute(between: Progress) -> dict[str, float]:
            pair = self.pair(article, summary)
            return sanity_check(pair, by, pair.whole, progress=between)

        key = ("sanity", article, summary, method, *sorted(settings.items()))
        return self._in_turn(key, compute, progress, waiting)

    def weight(
        self,
        article: str,
        summary: str,
        attribution: Attribution,
        word: int | None = None,
        progress: Progress | None = None,
        waiting: Waiting | None = None,
    ) -> Weight:
        """Which of the words with scores do more than random ones; some 100 forward passes.

        Args:
            attribution: the scores, of the summary's word `word` or of all of it.

        Raises:
            UserError: as `sources`.
        """

        def compute(between: Progress) -> Weight:
            proof, scores = self._proof(article, summary, word, between), np.array(attribution.scores)
            return Weight(proof.noticeable_bounds(scores), proof.necessity(scores, min(5, len(proof.words))))

        key = ("weight", article, summary, word, attribution.scores)
        return self._in_turn(key, compute, progress, waiting)

    def agreement(self, article: str, summary: str, first: Attribution, second: Attribution) -> Agreement:
        """How alike two methods rank the article's words; computes nothing with the model."""
        proof = self._proof(article, summary, None, lambda *_: None)
        return agreement(*(proof.word_scores(np.array(one.scores)) for one in (first, second)))

    def _proof(self, article: str, summary: str, word: int | None, between: Progress) -> Proof:
        pair = self.pair(article, summary)
        words = self._remember(("ablations", article, summary), lambda: Ablations(pair, "words"))
        return Proof(pair, span_of(pair, word)[2], words=words, progress=between)

    def contrast(
        self,
        article: str,
        summary: str,
        other: str,
        progress: Progress | None = None,
        waiting: Waiting | None = None,
    ) -> Contrast:
        """Which words of the article favour `summary` over `other`, at the first token where the two part.

        Raises:
            UserError: there is nothing to explain, or the two are the same.
        """

        def compute(between: Progress) -> Contrast:
            return contrast(self.pair(article, summary), self.pair(article, other), progress=between)

        return self._in_turn(("contrast", article, summary, other), compute, progress, waiting)

    def word_probabilities(self, article: str, summary: str) -> Certainty:
        """How sure the model is of each word of a summary, which may be any text.

        Raises:
            UserError: article or summary is empty, or the summary too long.
        """

        def compute(pairs: Sequence[Pair]) -> list[Certainty]:
            return [word_probabilities(pair) for pair in pairs]

        key = ("probabilities", article, summary)
        return self._remember(key, lambda: self._turns.short(self.pair(article, summary), compute))

    def without(
        self,
        article: str,
        summary: str,
        decoding: dict[str, Any],
        *,
        words: Sequence[int] = (),
        sentences: Sequence[int] = (),
        progress: Progress | None = None,
        waiting: Waiting | None = None,
    ) -> AskedAgain:
        """Strikes words or sentences out of the article and summarises what is left.

        Words are the article's runs without white space, sentences those of `trainer.data.sentences`; both are counted
        from 0. How probable the old summary still is stands beside what as many random words do to it, drawn ten times.

        Raises:
            UserError: there is no such word or sentence, none is named, or nothing would be left.
        """
        places = places_of(article, words, sentences)

        def compute(between: Progress) -> Deletion:
            def log_probs(texts: list[str]) -> list[float]:
                found = []
                for text in texts:
                    found.append(self._pair(text, summary).log_prob)
                    between(len(found), len(texts))
                return found

            reader = self._summarizer({})
            (read,) = encode(self._tokenizer, [article], prefix=reader.prefix, limit=reader.max_source_length)
            return delete(article, places, log_probs, read_words=len(article[: read.end].split()))

        deletion = self._in_turn(("deletion", article, summary, *places), compute, progress, waiting)
        answer = self.summarize(deletion.article, decoding)
        return AskedAgain(deletion, answer, tuple(changes(summary, answer.text)))

    def pair(self, article: str, summary: str) -> Pair:
        """Article and summary as the model reads them: what every method of `trainer.attribution` takes."""
        return self._remember(("pair", article, summary), lambda: self._pair(article, summary))

    def _pair(self, article: str, summary: str) -> Pair:
        summarizer = self._summarizer({})
        return Pair.read(
            self._passes,
            self._tokenizer,
            article,
            summary,
            prefix=summarizer.prefix,
            max_source_length=summarizer.max_source_length,
        )

    @cached_property
    def _passes(self) -> Passes:
        return Passes(self._model)

    def _in_turn(
        self,
        key: tuple,
        compute: Callable[[Progress], T],
        progress: Progress | None = None,
        waiting: Waiting | None = None,
    ) -> T:
        """What a long computation gives; between its steps the summaries that wait are computed."""

        def between(done: int, total: int | None) -> None:
            self._turns.short_first()
            torch.set_num_threads(_all_threads())
            if progress is not None:
                progress(done, total)

        def run() -> T:  # the same may have been asked for twice
            torch.set_num_threads(_all_threads())
            return self._remember(key, lambda: compute(between))

        return self._remember(key, lambda: self._turns.long(run, waiting))

    def _summarize(self, article: str, decoding: dict[str, Any], waiting: Waiting | None) -> Answer:
        start = time.perf_counter()
        summarizer = self._summarizer(decoding)
        # What is drawn for one depends on who else is in the batch.
        kind = None if summarizer.generation.do_sample else tuple(sorted(decoding.items()))

        def compute(articles: Sequence[str]) -> list[Summary]:
            # Turns beside each other are computed sooner with a thread each than with threads that wait for each other.
            torch.set_num_threads(1 if self._turns.crowded else _all_threads())
            with self._sampling if kind is None else nullcontext():  # it sets the process's generator
                return summarizer.summarize(list(articles), scored=False)

        summary = self._turns.short(article, compute, kind, waiting)
        (read,) = encode(self._tokenizer, [article], prefix=summarizer.prefix, limit=summary.tokens_read)
        words_unread = len(article[read.end :].split())
        asked = not summarizer.extracts or summary.score is not None  # it has a score where the model gave one
        return Answer(
            text=summary.text,
            tokens_read=summary.tokens_read,
            tokens_total=summary.tokens_total,
            tokens_written=summary.tokens_written or 0,
            finished=summary.finished,
            unknown=read.ids.count(self._tokenizer.unk_token_id),
            remarks=remarks(
                summary.text,
                article,
                cut_at=None if summary.finished else summary.tokens_written,
                words_unread=words_unread if asked else 0,  # rules look at the whole article
            ),
            decoding=summarizer.decoding(),
            seconds=time.perf_counter() - start,
            words_unread=words_unread,
            asked=asked,
        )

    def _explain(self, article: str, summary: str, n_steps: int | None, progress) -> Explanation:
        pair = self.pair(article, summary)
        method = IntegratedGradients(n_steps=n_steps, method="riemann_middle")
        attribution = method.attribute(pair, pair.whole, progress).attribution(0)
        spans = fold_to_words(article, attribution)
        return Explanation(
            spans=tuple(spans),
            shown=tuple(display_scores(spans)),
            strongest=tuple(strongest(spans, 10)),
            attribution=attribution,
        )

    def _unknown_share(self, text: str) -> float:
        """The share of the characters of a text, white space aside, that the vocabulary lacks; of bytes none."""
        (read,) = encode(self._tokenizer, [text])
        if read.encoding is None or self._tokenizer.unk_token_id is None or not text.strip():
            return 0.0
        places = zip(read.encoding.ids, read.encoding.offsets, strict=True)
        unknown = {offsets for piece, offsets in places if piece == self._tokenizer.unk_token_id}
        return sum(len("".join(text[start:end].split())) for start, end in unknown) / len("".join(text.split()))

    @cached_property
    def _network(self) -> T5Network | None:
        """The weights as the decoding lays them out, once for all summaries."""
        return T5Network(self._model) if T5Network.supports(self._model) else None

    def _summarizer(self, decoding: dict[str, Any]) -> Seq2SeqSummarizer:
        generation = {"max_time": LONGEST_DECODING} | decoding
        return Seq2SeqSummarizer(
            self._model,
            self._tokenizer,
            name=self.name,
            revision=self.revision,
            generation=generation,
            batch_size=self._turns.most,
            network=self._network,
        )

    def _remember(self, key: tuple, compute: Callable[[], T]) -> T:
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]
        result = compute()
        with self._lock:
            self._results[key] = result
            if len(self._results) > REMEMBERED:
                self._results.popitem(last=False)
        return result

    def _try_out(self) -> None:
        inputs = self._tokenizer("summarize: a short text.", return_tensors="pt", verbose=False)
        start = torch.tensor([[self._model.config.decoder_start_token_id]])
        try:
            with torch.inference_mode():
                logits = self._model(**inputs, decoder_input_ids=start).logits
        except (RuntimeError, IndexError) as error:
            raise UserError(f"{self.label} loads but does not run: {error}") from error
        if not torch.isfinite(logits).all():
            raise UserError(f"The weights of {self.label} are damaged: they give no finite numbers.")


@cache
def _all_threads() -> int:
    """Threads that torch computes with where nobody has said otherwise."""
    return torch.get_num_threads()
