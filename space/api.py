"""The endpoints for programs: JSON in, JSON out, names that stay.

Each is an ordinary function; `add` makes it an endpoint of a page. What the caller got wrong comes back as an
error that is one sentence.
"""

import math
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import TYPE_CHECKING, Any

import gradio as gr

from space import limits
from space.answering import MODEL, sentence
from space.serving import Serving
from trainer.errors import UserError

if TYPE_CHECKING:  # torch comes with them: the page opens first
    from space.engine import Engine
    from trainer.attribution.certainty import TokenProbability


def add(serving: Serving) -> None:
    """Adds the endpoints to the page that is being built."""

    def summarize(
        article: str,
        num_beams: int | None = None,
        max_new_tokens: int | None = None,
        length_penalty: float | None = None,
    ) -> dict:
        """Summarises an article. Settings that are not given are the model's own.

        Returns `summary`, `tokens_read` and `tokens_total` of the article (prefix and end token included),
        `tokens_written`, `finished` (false if a limit cut the summary off), `remarks` (`text`, and `warns` where it
        is a reason to doubt the summary; worst first), `model`, `revision` and `decoding`.
        """
        article = limits.text(article, "article", limits.ARTICLE_CHARACTERS)
        settings = limits.decoding(num_beams, max_new_tokens, length_penalty)
        engine = serving.engine()
        answer = engine.summarize(article, settings)
        return {
            "summary": answer.text,
            "tokens_read": answer.tokens_read,
            "tokens_total": answer.tokens_total,
            "tokens_written": answer.tokens_written,
            "finished": answer.finished,
            "remarks": [asdict(remark) for remark in answer.remarks],
            "model": engine.label,
            "revision": engine.revision,
            "decoding": answer.decoding,
        }

    def score(summary: str, reference: str) -> dict:
        """ROUGE of a summary against a reference.

        Returns `rouge1`, `rouge2`, `rougeL` and `rougeLsum`, each with `precision`, `recall` and `fmeasure`
        in [0, 1], and `signatures`: tool, version and settings behind each.
        """
        from space.comparison import score as scores  # with scipy and NLTK: the page opens first

        return scores(summary, reference)

    def attribute(
        article: str,
        summary: str | None = None,
        n_steps: int | None = None,
        num_beams: int | None = None,
        max_new_tokens: int | None = None,
        length_penalty: float | None = None,
    ) -> dict:
        """Scores the words of an article by what each did to the log-probability of a summary (integrated
        gradients).

        `summary` may be any text; without it the model writes one, with the decoding settings given. Returns
        it, and `spans`: `{"text", "score"}` in nats, whose texts joined are the article, character for
        character; score is null for white space and for what the model did not read. Beside them `strongest`
        (words), `target_log_prob` and `baseline_log_prob` (nats), `completeness_error`, `converged` (whether that is
        at most 1%), `prefix_share`, `eos_share`, `tokens_read`, `tokens_total`, `n_steps`, `model` and `revision`.
        `n_steps` midpoints of the path are taken, or, where it is left out, as many points as it takes until the
        scores add up to within 1%, at most 512.
        """
        article = limits.text(article, "article", limits.ARTICLE_CHARACTERS)
        steps = limits.steps(n_steps)
        settings = limits.decoding(num_beams, max_new_tokens, length_penalty)
        engine, summary = _engine_and_summary(serving, article, summary, settings, so="there is nothing to explain")
        found = engine.explain(article, summary, steps)
        one = found.attribution
        return {
            "summary": summary,
            "spans": [{"text": span.text, "score": span.score} for span in found.spans],
            "strongest": [{"text": span.text, "score": span.score} for span in found.strongest],
            "target_log_prob": one.target_log_prob,
            "baseline_log_prob": one.baseline_log_prob,
            "completeness_error": one.completeness_error,
            "converged": one.converged,
            "prefix_share": one.prefix_share,
            "eos_share": one.eos_share,
            "tokens_read": one.tokens_read,
            "tokens_total": one.tokens_total,
            "n_steps": one.n_steps,
            "model": engine.label,
            "revision": engine.revision,
        }

    def guards(article: str) -> dict:
        """What is wrong with a text that is to be summarised: a link, HTML, another language, too few words.

        Returns `guards`, each with `kind` ("link", "html", "language", "unknown" or "short"), `text` (a plain sentence)
        and `mended` (the text without its tags, else null). Nothing is forbidden by them.
        """
        article = limits.text(article, "article", limits.ARTICLE_CHARACTERS)
        return {"guards": [asdict(guard) for guard in serving.engine().guards(article)]}

    def probabilities(article: str, summary: str) -> dict:
        """How sure the model is of each word of a summary of an article; the summary may be any text.

        Returns `words`, each with `text`, `log_prob` (nats; the sum of its tokens'), `probability`, `entropy` (nats;
        the mean of its tokens') and `tokens`; these have `text`, `log_prob`, `entropy` and `alternatives`, the five
        most probable tokens in that place (`text` and `probability`). Beside them `end` (the token that ends the
        summary) and `log_prob`, of the whole: the sum of the words' and the end's; `model` and `revision`.
        """
        article = limits.text(article, "article", limits.ARTICLE_CHARACTERS)
        summary = limits.text(summary, "summary", limits.SUMMARY_CHARACTERS)
        engine = serving.engine()
        found = engine.word_probabilities(article, summary)
        return {
            "words": [
                {
                    "text": word.text,
                    "log_prob": word.log_prob,
                    "probability": math.exp(word.log_prob),
                    "entropy": word.entropy,
                    "tokens": [_token(token) for token in word.tokens],
                }
                for word in found.words
            ],
            "end": _token(found.end),
            "log_prob": found.log_prob,
            "model": engine.label,
            "revision": engine.revision,
        }

    def without(
        article: str,
        summary: str | None = None,
        words: list[int] | None = None,
        sentences: list[int] | None = None,
        num_beams: int | None = None,
        max_new_tokens: int | None = None,
        length_penalty: float | None = None,
    ) -> dict:
        """Strikes words or sentences out of an article and asks the model again.

        `words` are numbers of the article's words (what stands between white space), `sentences` those of its
        sentences; both count from 0. Without `summary` it is the model's own of the whole article. Returns `article`
        (what is left), `summary` (the new one), `changes` (`kind`: "kept", "removed" or "added"; and `text`), and how
        far the old summary's log-probability `fall`s and how far for as many random words, `random_fall` (the mean of
        ten draws); nats. Beside them `words` (how many were struck out), `model` and `revision`.
        """
        article = limits.text(article, "article", limits.ARTICLE_CHARACTERS)
        settings = limits.decoding(num_beams, max_new_tokens, length_penalty)
        numbers = {name: limits.numbers(value, name) for name, value in (("words", words), ("sentences", sentences))}
        engine, summary = _engine_and_summary(
            serving, article, summary, settings, so="nothing can become less probable"
        )
        found = engine.without(article, summary, settings, **numbers)
        return {
            "article": found.deletion.article,
            "summary": found.answer.text,
            "changes": [change._asdict() for change in found.changes],
            "fall": found.deletion.fall,
            "random_fall": found.deletion.random_fall,
            "words": found.deletion.words,
            "model": engine.label,
            "revision": engine.revision,
        }

    # Half of them wait for the model while the other half are computed together.
    gr.api(_in_sentences(summarize), api_name="summarize", concurrency_limit=2 * serving.together)
    gr.api(_in_sentences(score), api_name="score", concurrency_limit=2)
    gr.api(_in_sentences(attribute), api_name="attribute", concurrency_id=MODEL, concurrency_limit=1)
    gr.api(_in_sentences(guards), api_name="guards", concurrency_limit=2)
    gr.api(_in_sentences(probabilities), api_name="probabilities", concurrency_limit=2)
    gr.api(_in_sentences(without), api_name="without", concurrency_id=MODEL, concurrency_limit=1)


def _token(token: "TokenProbability") -> dict:
    alternatives = [{"text": text, "probability": probability} for text, probability in token.alternatives]
    return {**asdict(token), "alternatives": alternatives}


def _in_sentences(endpoint: Callable[..., dict]) -> Callable[..., dict]:
    """`endpoint`, whose errors reach the caller as one sentence, without a traceback."""

    @wraps(endpoint)
    def call(*args: Any) -> dict:
        try:
            return endpoint(*args)
        except Exception as error:
            raise gr.Error(sentence(error), print_exception=False) from error

    return call


def _engine_and_summary(
    serving: Serving, article: str, summary: Any, settings: dict[str, int | float], so: str
) -> tuple["Engine", str]:
    """The model, and the summary that was given or, where it is None, the model's own.

    Raises:
        UserError: the summary is no text or too long, or the model wrote none; `so` is what follows from that.
    """
    if summary is not None:
        summary = limits.text(summary, "summary", limits.SUMMARY_CHARACTERS)
    engine = serving.engine()
    summary = summary or engine.summarize(article, settings).text
    if not summary:
        raise UserError(f"The model wrote nothing, so {so}.")
    return engine, summary
