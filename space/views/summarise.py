"""The page's one tool: an article goes in; a summary, its scores and the words behind it come out."""

import json
import logging
import math
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from space import limits
from space.markup import escape
from space.serving import STARTER_NAME, Serving
from space.verdict import STANDING, Remark
from trainer.errors import UserError
from trainer.runtime.figures import signed

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from space.engine import Answer, Engine, Explanation

EXAMPLES = Path(__file__).resolve().parents[1] / "examples.json"
TOOLTIP = (Path(__file__).resolve().parents[1] / "style" / "tooltip.js").read_text("utf-8")

# Events that compute with the model wait in one line.
MODEL = "model"
# Points of integrated gradients' path: 32 leave an error well under a few per cent (see trainer/attribution).
N_STEPS = 32
ROUGE_NAMES = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum"}
# A model reads characters that its vocabulary lacks as <unk>; from this share on, people should know.
MANY_UNKNOWN = 0.1


def examples() -> list[dict[str, Any]]:
    """The example articles: each with `title`, `article` and `reference`.

    One that shows how a summary goes wrong has `decoding` too: beams, new tokens and length penalty, with which a model
    that is too small to write does so all the same.
    """
    return json.loads(EXAMPLES.read_text("utf-8"))


def warm(engine: "Engine") -> None:
    """Computes what a newly opened page shows; the engine remembers it, so the first visitor need not wait."""
    article = examples()[0]["article"]
    summary = engine.summarize(article, {}).text
    if summary:
        engine.explain(article, summary, N_STEPS)


# --- Values to HTML -----------------------------------------------------------------------------------------


def notice(sentence: str, kind: str = "quiet") -> str:
    """A sentence in the place of a result; `kind` is "quiet", "busy" or "problem"."""
    role = ' role="alert"' if kind == "problem" else ""
    return f'<section class="card notice {kind}"{role}><p>{escape(sentence)}</p></section>'


def result(answer: "Answer", by: str, scores: dict[str, Any] | str | None) -> str:
    """The summary, who wrote it, how much was read, and the scores: a dict of `space.engine.score`, a
    sentence that says why there are none, or None where there was no reference."""
    text = escape(answer.text) if answer.text else '<i class="nothing">The model wrote nothing.</i>'
    return (
        '<section class="card result" aria-label="Summary">'
        f'<h2 class="kicker">Summary</h2><p class="summary" dir="auto">{text}</p>'
        f"{_verdict(answer.remarks)}"
        f'<p class="byline">{by}, {escape(_how(answer))}</p>'
        f'<p class="read">{_read(answer)}</p>'
        f"{_notes(answer)}{_scores(scores)}</section>"
    )


def byline(name: str, revision: str | None) -> str:
    """Which model wrote a summary, as HTML."""
    if name == STARTER_NAME:
        return "By the starter"
    return f"By {escape(name)}" + (f" <code>{escape(revision[:7])}</code>" if revision else "")


def _verdict(remarks: Sequence[Remark]) -> str:
    standing = f"<li>{escape(STANDING)}</li>"
    listed = "".join(f"<li{' class=warns' if remark.warns else ''}>{escape(remark.text)}</li>" for remark in remarks)
    return f'<ul class="verdict" aria-label="Before you believe it">{listed}{standing}</ul>'


def _how(answer: "Answer") -> str:
    if answer.decoding.get("choose_from") == "sentences":
        return f"choosing among the article’s own sentences, in {answer.seconds:.1f} s"
    beams = answer.decoding.get("num_beams", 1)
    search = "greedily" if beams == 1 else f"with {beams} beams"
    return f"{search}, at most {answer.decoding['max_new_tokens']} new tokens, in {answer.seconds:.1f} s"


def _read(answer: "Answer") -> str:
    past = answer.tokens_total - answer.tokens_read
    return f"<b>{answer.tokens_read:,}</b> tokens read, <b>{past:,}</b> past the limit"


def _notes(answer: "Answer") -> str:
    notes = []
    if answer.unknown > MANY_UNKNOWN * answer.tokens_read:
        share = answer.unknown / answer.tokens_read
        notes.append(f"{share:.0%} of the tokens read are unknown to this model’s vocabulary: it knows English only.")
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _scores(scores: dict[str, Any] | str | None) -> str:
    if scores is None:
        return ""
    if isinstance(scores, str):
        return f'<p class="note">{escape(scores)}</p>'
    rows = "".join(_score(name, scores[kind]) for kind, name in ROUGE_NAMES.items())
    signature = escape("; ".join(dict.fromkeys(scores["signatures"].values())))
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("Precision", "Recall", "F1"))
    return (
        f'<table class="rouge" title="{signature}"><caption>ROUGE × 100 against the reference</caption>'
        f'<thead><tr><th scope="col"><span class="hidden">Measure</span></th>{heads}'
        '<td class="share"></td></tr>'
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _score(name: str, score: dict[str, float]) -> str:
    precision, recall, f1 = (f"{100 * score[part]:.1f}" for part in ("precision", "recall", "fmeasure"))
    return (
        f'<tr><th scope="row">{name}</th><td>{precision}</td><td>{recall}</td><td class="f1">{f1}</td>'
        f'<td class="share" aria-hidden="true"><i style="--w:{f1}%"></i></td></tr>'
    )


def explanation(found: "Explanation", prefix: str) -> str:
    """The article, its words coloured by what each did to the summary's probability, and what to make of it."""
    size = max((abs(span.score) for span in found.spans if span.score is not None), default=0.0)
    return (
        '<section class="card why" aria-label="Explanation"><h2>The words behind it</h2>'
        f'<p class="explained">{_explained(found)}</p>{_legend(size)}'
        '<div class="article" dir="auto">'
        f"{highlighted(found)}</div>"
        f'<div class="two"><div><h3>Strongest words</h3>{_strongest(found)}</div>'
        f"<div><h3>How far to trust it</h3>{_facts(found, prefix)}</div></div></section>"
    )


def _explained(found: "Explanation") -> str:
    one = found.attribution
    return (
        "What is explained is the log-probability of the whole summary given the article, "
        '<span class="formula">Σ log <i>p</i>(<i>y</i><sub>t</sub> | <i>y</i><sub>&lt;t</sub>, <i>x</i>)</span> = '
        f"{signed(one.target_log_prob, 1)} nats, against {signed(one.baseline_log_prob, 1)} nats when every token read "
        "is blanked out."
    )


def _legend(size: float) -> str:
    return (
        '<div class="legend" aria-hidden="true">'
        f'<span class="end">lowered it <b>−{size:.2f}</b></span><i class="ramp"></i>'
        f'<span class="end"><b>+{size:.2f}</b> raised it</span></div>'
    )


def highlighted(found: "Explanation") -> str:
    """The article as HTML, each word with a score in a span; its text is the article, character for character."""
    read_to = max((i for i, span in enumerate(found.spans) if span.score is not None), default=-1)
    past_limit = found.attribution.tokens_total > found.attribution.tokens_read
    parts = []
    for i, (span, shown) in enumerate(zip(found.spans, found.shown, strict=True)):
        if span.score is not None and shown is not None:
            sign = "up" if span.score >= 0 else "down"
            parts.append(
                f'<span class="w {sign}" style="--a:{math.sqrt(abs(shown)):.3f}" data-nats="{signed(span.score, 3)}">'
                f"{escape(span.text)}</span>"
            )
        elif past_limit and i > read_to:
            parts.append(f'<span class="unread">{escape(span.text)}</span>')
        else:
            parts.append(escape(span.text))
    return "".join(parts)


def _strongest(found: "Explanation") -> str:
    if not found.strongest:
        return '<p class="note">No word has a score.</p>'
    largest = max(abs(span.score) for span in found.strongest) or 1.0
    rows = "".join(
        f'<li class="{"up" if span.score >= 0 else "down"}"><span class="word" dir="auto">{escape(span.text)}</span>'
        f'<span class="track"><i style="--w:{abs(span.score) / largest:.3f}"></i></span>'
        f'<span class="nats">{signed(span.score)}</span></li>'
        for span in found.strongest
    )
    return f'<ol class="strongest" aria-label="Strongest words, in nats">{rows}</ol>'


def _percent(share: float) -> str:
    if 0 < share < 0.0001:
        return "under 0.01%"
    return f"{share:.1%}" if share >= 0.01 else f"{share:.2%}"


def _facts(found: "Explanation", prefix: str) -> str:
    one = found.attribution
    facts = (
        (
            "Completeness error",
            _percent(one.completeness_error),
            f"how far the scores are from adding up, {one.n_steps} steps",
        ),
        (
            f"On the prefix “{prefix.strip()}”",
            _percent(one.prefix_share),
            "of all scores, sign aside: not the article’s words",
        ),
        ("On the end mark </s>", _percent(one.eos_share), "likewise"),
    )
    return (
        '<dl class="facts">'
        + "".join(
            f"<div><dt>{escape(name)}</dt><dd><b>{value}</b> <span>{escape(about)}</span></dd></div>"
            for name, value, about in facts
        )
        + "</dl>"
    )


# --- From a visitor's values to the page --------------------------------------------------------------------


class View(NamedTuple):
    """HTML of the result and of the explanation, and whether more is to come."""

    result: str
    explanation: str
    busy: bool = True


def answer(serving: Serving, article: Any, reference: Any, decoding: Sequence[Any], n_steps: Any) -> Iterator[View]:
    """What to show, anew as often as there is more of it: the summary comes first.

    Whatever goes wrong ends in a sentence. One engine is asked for at the start and used to the end, whatever takes
    over meanwhile. When the visitor stops or leaves, Gradio closes this generator, and the computation ends with the
    step that it is in.
    """
    yield View(notice("Reading…", "busy"), "")
    shown = ""
    try:
        article = limits.text(article, "article", limits.ARTICLE_CHARACTERS)
        settings = limits.decoding(*decoding)
        steps = limits.N_STEPS.check(n_steps)
        engine = serving.engine()
        written = engine.summarize(article, settings)
        scored = _compare(written.text, reference) if written.text else None
        shown = result(written, byline(engine.name, engine.revision), scored)
        if not written.text:
            yield View(shown, notice("Where there is no summary, there is nothing to explain."), busy=False)
            return
        yield View(shown, notice("Looking for the words behind it…", "busy"))
        for found in _explain(engine, article, written.text, steps):
            if isinstance(found, tuple):
                step = f"Looking for the words behind it: step {found[0]} of {found[1]}"
                yield View(shown, notice(step, "busy"))
            else:
                yield View(shown, explanation(found, written.decoding["prefix"]), busy=False)
    except Exception as error:
        problem = notice(sentence(error), "problem")
        yield View(shown, problem, busy=False) if shown else View(problem, "", busy=False)


def sentence(error: Exception) -> str:
    """What a visitor is told of an error. One that was not foreseen goes to the log with all that is known of it."""
    if isinstance(error, UserError):
        return str(error)
    logging.getLogger(__name__).error("a request failed", exc_info=error)
    if isinstance(error, MemoryError) or "memory" in str(error):
        return "There is not enough memory on this machine for that. Try a shorter article."
    return "Something went wrong on this machine. Its log says what; trying again may help."


def _compare(summary: str, reference: Any) -> dict[str, Any] | str | None:
    """ROUGE, None where there is no reference, or why there are no scores."""
    if reference is None or (isinstance(reference, str) and not reference.strip()):
        return None
    try:
        return scores(summary, reference)
    except UserError as error:
        return str(error)


def scores(summary: Any, reference: Any) -> dict[str, Any]:
    """ROUGE of a summary: see `space.engine.score`.

    Raises:
        UserError: a text is empty, too long, or has no word that ROUGE counts.
    """
    from space.engine import score

    summary = limits.text(summary, "summary", limits.SUMMARY_CHARACTERS)
    reference = limits.text(reference, "reference", limits.SUMMARY_CHARACTERS)
    if not any(character.isascii() and character.isalnum() for character in reference):
        raise UserError("ROUGE counts words of the letters a–z and digits, and the reference has none.")
    return score(summary, reference)


class _Stopped(Exception):
    """Nobody waits for this explanation any more."""


def _explain(engine: "Engine", article: str, summary: str, n_steps: int) -> Iterator["tuple[int, int] | Explanation"]:
    """Steps done of all steps, time and again, then the explanation.

    The work is done in a thread of its own, so that closing this generator can stop it.
    """
    state = {"done": 0, "shown": 0}
    stop = threading.Event()

    def progress(done: int, total: int) -> None:
        if stop.is_set():
            raise _Stopped
        state["done"] = min(done, total)

    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="explain")
    try:
        work = pool.submit(engine.explain, article, summary, n_steps, progress)
        while True:
            try:
                yield work.result(timeout=0.4)
                return
            except NotYet:
                if state["done"] > state["shown"]:
                    state["shown"] = state["done"]
                    yield state["done"], n_steps
    finally:
        stop.set()
        pool.shutdown(wait=False)


# --- Layout -------------------------------------------------------------------------------------------------


def build(serving: Serving, page: gr.Blocks) -> None:
    """Lays out the tool on `page` and wires it up; the first example is summarised as the page opens."""
    shown = examples()
    with gr.Row(elem_id="tool", equal_height=False):
        with gr.Column(scale=5, min_width=330, elem_id="input"):
            article = gr.Textbox(
                shown[0]["article"],
                label="Article",
                placeholder="Paste an English article",
                lines=10,
                max_lines=18,
                elem_id="article-in",
                autoscroll=False,
            )
            reference = gr.Textbox(
                shown[0]["reference"],
                label="Reference summary, if there is one",
                placeholder="A summary by a person, to score against",
                lines=2,
                max_lines=5,
                elem_id="reference-in",
            )
            with gr.Row(elem_id="buttons"):
                run = gr.Button("Summarise", variant="primary", elem_id="run", scale=3, min_width=120)
                stop = gr.Button("Stop", elem_id="stop", scale=1, min_width=80, interactive=False)
            with gr.Row(elem_id="examples"):
                gr.HTML("<p>Or try</p>", apply_default_css=False, elem_id="or-try")
                tries = [gr.Button(example["title"], elem_classes="example", size="sm") for example in shown]
            with gr.Accordion("Settings", open=False, elem_id="settings"):
                own = gr.Checkbox(True, label="Decode the way the model’s published scores were made")
                decoding = [
                    _slider(limits.NUM_BEAMS, 4, "Beams", "1 is greedy", interactive=False),
                    _slider(limits.MAX_NEW_TOKENS, 64, "New tokens, at most", interactive=False),
                    _slider(limits.LENGTH_PENALTY, 1, "Length penalty", "higher: longer", interactive=False),
                ]
                n_steps = _slider(limits.N_STEPS, N_STEPS, "Steps of the explanation", "more: slower and more exact")
        with gr.Column(scale=7, min_width=330, elem_id="output"):
            out = gr.HTML(notice("Loading…", "busy"), elem_id="result", apply_default_css=False)
            why = gr.HTML("", elem_id="explanation", apply_default_css=False, js_on_load=TOOLTIP)

    def respond(
        article: str, reference: str, n_steps: int, own: bool, *decoding: Any
    ) -> Iterator[tuple[str, str, gr.Button]]:
        for view in answer(serving, article, reference, () if own else decoding, n_steps):
            yield view.result, view.explanation, gr.Button(interactive=view.busy)

    # Private, or every click would be an endpoint; one computation at a time, or all would be slower.
    computes = {
        "inputs": [article, reference, n_steps, own, *decoding],
        "outputs": [out, why, stop],
        "show_progress": "hidden",
        "api_visibility": "private",
        "concurrency_id": MODEL,
        "concurrency_limit": 1,
    }
    at_once = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    waiting = (notice("Waiting for its turn…", "busy"), "")
    running = [page.load(respond, **computes)]
    running.append(run.click(lambda: waiting, outputs=[out, why], **at_once).then(respond, **computes))
    for button, example in zip(tries, shown, strict=True):
        filled = (example["article"], example["reference"], *waiting, *_settings_of(example))
        places = [article, reference, out, why, own, *decoding]
        fill = button.click(lambda filled=filled: filled, outputs=places, **at_once)
        running.append(fill.then(respond, **computes))
    for button in (run, *tries):  # what was under way is not wanted any more
        button.click(None, cancels=running)
    stop.click(_stopped, inputs=[out, why], outputs=[out, why, stop], cancels=running, **at_once)
    own.change(lambda own: [gr.Slider(interactive=not own)] * 3, inputs=own, outputs=decoding, **at_once)


def _settings_of(example: dict[str, Any]) -> list[Any]:
    """The checkbox "as the model's own" and the decoding sliders, as an example wants them."""
    wanted = example.get("decoding")
    if wanted is None:
        return [True, *[gr.skip()] * 3]
    return [False, *wanted]


def _slider(limit: limits.Range, value: float, label: str, info: str | None = None, **options: Any) -> gr.Slider:
    step = 1 if limit.whole else 0.1
    return gr.Slider(limit.least, limit.greatest, value, step=step, label=label, info=info, **options)


def _stopped(result: str, explanation: str) -> tuple[str, str, gr.Button]:
    """What is there stays, and what was still to come says so."""
    stopped = notice("Stopped.")
    return (
        stopped if 'class="card notice busy"' in result else result,
        stopped if 'class="card notice busy"' in explanation else explanation,
        gr.Button(interactive=False),
    )
