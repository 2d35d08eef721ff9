"""The three endpoints for programs: JSON in, JSON out, names that stay.

Each is an ordinary function; `add` makes it an endpoint of a page. What the caller got wrong comes back as an
error that is one sentence.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import Any

import gradio as gr

from space import limits
from space.answering import MODEL, N_STEPS, sentence
from space.serving import Serving
from trainer.errors import UserError


def add(serving: Serving) -> None:
    """Adds `/summarize`, `/score` and `/attribute` to the page that is being built."""

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
        n_steps: int = N_STEPS,
        num_beams: int | None = None,
        max_new_tokens: int | None = None,
        length_penalty: float | None = None,
    ) -> dict:
        """Scores the words of an article by what each did to the log-probability of a summary (integrated
        gradients).

        `summary` may be any text; without it the model writes one, with the decoding settings given. Returns
        it, and `spans`: `{"text", "score"}` in nats, whose texts joined are the article, character for
        character; score is null for white space and for what the model did not read. Beside them `strongest`
        (words), `target_log_prob` and `baseline_log_prob` (nats), `completeness_error`, `prefix_share`,
        `eos_share`, `tokens_read`, `tokens_total`, `n_steps`, `model` and `revision`.
        """
        article = limits.text(article, "article", limits.ARTICLE_CHARACTERS)
        steps = limits.N_STEPS.check(n_steps)
        settings = limits.decoding(num_beams, max_new_tokens, length_penalty)
        if summary is not None:
            summary = limits.text(summary, "summary", limits.SUMMARY_CHARACTERS)
        engine = serving.engine()
        summary = summary or engine.summarize(article, settings).text
        if not summary:
            raise UserError("The model wrote nothing, so there is nothing to explain.")
        found = engine.explain(article, summary, steps)
        one = found.attribution
        return {
            "summary": summary,
            "spans": [{"text": span.text, "score": span.score} for span in found.spans],
            "strongest": [{"text": span.text, "score": span.score} for span in found.strongest],
            "target_log_prob": one.target_log_prob,
            "baseline_log_prob": one.baseline_log_prob,
            "completeness_error": one.completeness_error,
            "prefix_share": one.prefix_share,
            "eos_share": one.eos_share,
            "tokens_read": one.tokens_read,
            "tokens_total": one.tokens_total,
            "n_steps": one.n_steps,
            "model": engine.label,
            "revision": engine.revision,
        }

    # Half of them wait for the model while the other half are computed together.
    gr.api(_in_sentences(summarize), api_name="summarize", concurrency_limit=2 * serving.together)
    gr.api(_in_sentences(score), api_name="score", concurrency_limit=2)
    gr.api(_in_sentences(attribute), api_name="attribute", concurrency_id=MODEL, concurrency_limit=1)


def _in_sentences(endpoint: Callable[..., dict]) -> Callable[..., dict]:
    """`endpoint`, whose errors reach the caller as one sentence, without a traceback."""

    @wraps(endpoint)
    def call(*args: Any) -> dict:
        try:
            return endpoint(*args)
        except Exception as error:
            raise gr.Error(sentence(error), print_exception=False) from error

    return call
