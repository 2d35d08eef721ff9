"""The page for raters: an article, two summaries by nobody knows whom, and questions about both."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from space.markup import escape
from space.rating import Comparison, Desk
from space.views.notices import notice
from trainer.errors import UserError
from trainer.ratings.log import GRADES, QUESTIONS

AT_ONCE = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
LETTERS = ("A", "B")
PREFERENCES = [("A is better", "first"), ("B is better", "second"), ("Neither: as good or as bad", "tie")]
ASKED = {
    "faithfulness": "Does the article say all that it says?",
    "fluency": "Is it good English, and clear by itself?",
    "relevance": "Does it say what matters most in the article?",
}
INTRODUCTION = """<section class="card rating-intro"><h1>Which summary is better?</h1>
<p>You read an article and two summaries of it, A and B, in an order that is drawn each time; who or what wrote them is
not told. Say which one is better, and give both a grade for each question, from 1 (not at all) to 5 (fully). Judge by
the article alone, not by what you know yourself. Every answer is saved at once with the name that you give; stop when
you like, and go on later under the same name.</p></section>"""
# What a rater reads next gets the focus, also for who reads it by ear: what is wrong, else the next comparison. That
# begins with nothing chosen: Gradio changes the HTML in its place, and what was chosen would stay.
START = """() => {
    let told = null;
    new MutationObserver(() => {
        const next = document.querySelector(".problem") ?? document.querySelector("#rated h2");
        if (!next || next.textContent === told) return;
        told = next.textContent;
        if (next.matches("h2")) for (const radio of document.querySelectorAll("#rated input")) radio.checked = false;
        next.tabIndex = -1;
        next.focus({ preventScroll: true });
        next.scrollIntoView({ block: next.matches("h2") ? "start" : "nearest" });
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""
# What is chosen, by the names of the groups.
CHOSEN = """(now, rater) => {
    const chosen = [...document.querySelectorAll("#rated input:checked")].map((radio) => [radio.name, radio.value]);
    return [now, rater, Object.fromEntries(chosen)];
}"""


def build(desk: Desk, page: gr.Blocks) -> None:
    """Lays out the page, and wires it to `desk`."""
    page.load(None, js=START)
    gr.HTML(INTRODUCTION, elem_id="rating-intro", apply_default_css=False)
    with gr.Row(elem_id="rater", equal_height=False):
        name = gr.Textbox(label="Your name or initials", max_lines=1, elem_id="rater-name", scale=3)
        begin = gr.Button("Begin", variant="primary", elem_id="rate-begin", scale=1)
    said = gr.HTML("", elem_id="rating-said", apply_default_css=False)
    comparison, rater = gr.State(None), gr.State(None)
    with gr.Column(visible=False, elem_id="rating") as form:
        rated = gr.HTML("", elem_id="rated", apply_default_css=False)
        problem = gr.HTML("", elem_id="rating-problem", apply_default_css=False)
        save = gr.Button("Save and show the next", variant="primary", elem_id="rate-save")
    chosen = gr.JSON(visible=False)
    shown = [comparison, rater, form, rated, said, problem]

    def show(name_given: str, told: str = "") -> dict[Any, Any]:
        try:
            now = desk.next(name_given)
        except UserError as error:
            return {said: notice(str(error), "problem")}
        end = "You have compared all that there is. Thank you!"
        return {
            comparison: now,
            rater: name_given,
            form: gr.Column(visible=now is not None),
            rated: comparison_view(now) if now else "",
            said: _told(f"{told} {'' if now else end}".strip()),
            problem: "",
        }

    def answer(now: Comparison | None, name_given: str | None, given: dict[str, str]) -> dict[Any, Any]:
        if now is None or name_given is None:  # the server was started anew since
            return {said: notice("The page was open for too long. Please press Begin again.", "problem")}
        try:
            saved = desk.save(name_given, now, given.get("preference"), _grades(given))
        except UserError as error:
            return {problem: notice(str(error), "problem")}
        return show(name_given, "Saved." if saved else "You had answered this one already.")

    for event in (begin.click, name.submit):
        event(show, inputs=name, outputs=shown, **AT_ONCE)
    save.click(answer, js=CHOSEN, inputs=[comparison, rater, chosen], outputs=shown, **AT_ONCE)


def comparison_view(now: Comparison) -> str:
    """The article and its two summaries as HTML."""
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in now.article.article.splitlines() if part.strip())
    columns = "".join(_column(*pair) for pair in zip(LETTERS, now.texts, strict=True))
    return (
        f'<h2 tabindex="-1">Comparison {now.done + 1:,} of {now.total:,}</h2>'
        f'<section class="card article" tabindex="0" aria-label="Article" dir="auto">{paragraphs}</section>'
        f'<div class="two">{columns}</div>'
        f'<div class="card">{_group("preference", "Which summary is better?", "", PREFERENCES)}</div>'
    )


def _column(letter: str, text: str) -> str:
    """A summary, and the questions about it."""
    grades = [(str(grade), str(grade)) for grade in GRADES]
    questions = "".join(
        _group(f"{question} {letter}", f"{question.capitalize()} of {letter}", asked, grades)
        for question, asked in ASKED.items()
    )
    shown = escape(text) if text.strip() else "<i>It is empty.</i>"
    return (
        f'<section class="card" aria-label="Summary {letter}"><h3>Summary {letter}</h3>'
        f'<p class="summary" dir="auto">{shown}</p>{questions}</section>'
    )


def _group(name: str, legend: str, about: str, choices: list[tuple[str, str]]) -> str:
    """Radio buttons; Gradio's own are no group to the arrow keys, nor to who reads by ear."""
    radios = "".join(
        f'<label><input type="radio" name="{name}" value="{value}"> {label}</label>' for label, value in choices
    )
    about = f"<small>{about}</small>" if about else ""
    return f"<fieldset><legend>{legend} {about}</legend>{radios}</fieldset>"


def _told(text: str) -> str:
    return f'<p role="status">{escape(text)}</p>' if text else ""


def _grades(given: Mapping[str, str]) -> dict[str, tuple[int | None, ...]]:
    """question → grades of A and B, None where there is none; what a browser sends may be anything."""
    grades = {str(grade): grade for grade in GRADES}
    return {
        question: tuple(grades.get(given.get(f"{question} {letter}", "")) for letter in LETTERS)
        for question in QUESTIONS
    }
