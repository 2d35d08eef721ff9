"""The tool's layout: one article on the left, its summary on the right, and which control does what."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import gradio as gr

from space import answering, checking, limits
from space.answering import N_STEPS, Parts, Shown, examples
from space.guards import without_tags
from space.serving import Serving
from space.views import article as article_view
from space.views import checks, export
from space.views import chip as chip_view
from space.views.checks import AT_ONCE, EXPLAIN, PRIVATE, SUMMARISE, Checks
from space.views.checks import html as _html
from space.views.notices import notice

# Seconds between two looks at the models: while something is under way, and when only a later retry may change it.
WHILE_MOVING = 1.0
WHEN_SETTLED = 15.0
DECODING = (limits.NUM_BEAMS, limits.MAX_NEW_TOKENS, limits.LENGTH_PENALTY)
# The values of the sliders until a model has said its own.
FIRST_VALUES = (4, 64, 1)


class Tool(Checks):
    """The components of the tool by their names; a request changes some of them."""

    def __init__(self, compares: bool) -> None:
        shown = examples()
        with gr.Row(elem_id="tool", equal_height=False):
            with gr.Column(elem_id="paper"):
                self._paper(shown)
            with gr.Column(elem_id="side"):
                self._side(shown[0], compares)
        self.shown = gr.State(None)
        self.explains = gr.State(False)

    def _paper(self, shown: list[dict[str, Any]]) -> None:
        with gr.Row(elem_id="bar"):
            self.read = gr.Button("Read", elem_id="read", size="sm")
            self.edit = gr.Button("Edit", elem_id="edit", size="sm")
            self.paste = gr.Button("Paste an article", elem_id="paste", size="sm")
            self.busy = gr.Button("Stop", elem_id="stop", size="sm", interactive=False)
            self.run = gr.Button("Summarise", variant="primary", elem_id="run")
        with gr.Row(elem_id="examples"):
            gr.HTML("<p>Examples</p>", apply_default_css=False, elem_id="or-try")
            self.tries = [
                gr.Button(
                    example["title"], size="sm", elem_classes=["example", *(["wrong"] if "note" in example else [])]
                )
                for example in shown
            ]
        with gr.Column(elem_id="edit-pane"):
            self.article = gr.Textbox(
                shown[0]["article"],
                label="Article",
                placeholder="Paste an English article",
                lines=12,
                max_lines=30,
                elem_id="article-in",
                autoscroll=False,
            )
        self.article_error = _html("article-error")
        # Clicked by page.js for the buttons that stand in the note beside the article.
        self.anyway = gr.Button("Summarise all the same", elem_id="anyway")
        self.strip = gr.Button("Strip the tags", elem_id="strip")
        # Clicked by page.js after the text was changed: Gradio's own event misses what is pasted.
        self.look = gr.Button("Look at the text", elem_id="look")
        with gr.Column(elem_id="read-pane"):
            text = shown[0]["article"]
            self.article_view = gr.HTML(
                article_view.article(text, len(text)), elem_id="article", apply_default_css=False
            )
        with gr.Row(elem_id="foot"):
            self.meter = _html("meter")
            self.show_copied = gr.Button("Copied from", elem_id="show-copied", size="sm")
            self.show_influence = gr.Button("Influence", elem_id="show-influence", size="sm")
            self.show_strike = gr.Button("Strike out", elem_id="show-strike", size="sm")
            self._strikes()

    def _side(self, first: dict[str, Any], compares: bool) -> None:
        self.takeover = _html("takeover")
        self.progress = gr.HTML(notice("Loading…", "busy"), elem_id="progress", apply_default_css=False)
        self.summary = _html("summary")
        self.sources = _html("sources")
        self.again = _html("again")
        # Asked by page.js for what is clicked inside the summary; their values go through no field that is seen.
        self.word = gr.Number(visible=False, precision=0)
        self.ask_word = gr.Button("Sources of a word", elem_id="ask-word")
        self.weigh = gr.Button("Score against the reference", elem_id="weigh")
        self.link = gr.Button("Link", elem_id="copy-link")
        self.file = gr.Textbox(visible=False)
        self.save_html = gr.Button("Save as HTML", elem_id="save-html")
        self.save_json = gr.Button("Save as JSON", elem_id="save-json")
        with gr.Accordion("Compare with other summaries", open=False, elem_id="compare", elem_classes="fold"):
            self.compare = _html("comparison")
            self.others_progress = _html("others-progress")
            self.ask_others = gr.Button("Ask the other models", size="sm", elem_id="ask-others", visible=compares)
            self.reference = gr.Textbox(
                first["reference"],
                label="Reference",
                placeholder="A summary by a person, to score against",
                lines=2,
                max_lines=6,
                elem_id="reference-in",
            )
            self.reference_error = _html("reference-error")
        self._certainty()
        self._typos()
        with gr.Accordion("Why these words?", open=False, elem_id="why", elem_classes="fold") as self.why_fold:
            self.why = _html("explanation")
            self._methods()
        with gr.Accordion("Settings", open=False, elem_id="settings", elem_classes="fold") as self.settings:
            self.own = gr.Checkbox(True, label="Decode the way the model’s published scores were made")
            self.num_beams, self.max_new_tokens, self.length_penalty = (
                _slider(limit, value, label, info, interactive=False)
                for limit, value, label, info in zip(
                    DECODING,
                    FIRST_VALUES,
                    ("Beams", "New tokens, at most", "Length penalty"),
                    ("1 is greedy", None, "higher: longer"),
                    strict=True,
                )
            )
            self.n_steps = _slider(
                replace(limits.N_STEPS, least=0),
                N_STEPS,
                "Steps of the explanation",
                "0: as many as the scores need to add up",
            )
            self.settings_error = _html("settings-error")
            self.reset = gr.Button("Reset to the model’s own", size="sm", elem_id="reset")

    @property
    def decoding(self) -> list[gr.Slider]:
        return [self.num_beams, self.max_new_tokens, self.length_penalty]

    @property
    def parts(self) -> list[Any]:
        """The components that a request may change."""
        names = (
            "progress",
            "summary",
            "sources",
            "article_view",
            "meter",
            "compare",
            "others_progress",
            "why",
            "shown",
            "busy",
            "settings",
            *answering.ERRORS,
            *self.parts_of_checks,
        )
        return [getattr(self, name) for name in names] + self.decoding

    @property
    def fields(self) -> list[Any]:
        """What a visitor fills in: the values that a request and a link take, in their order."""
        return [self.article, self.reference, self.n_steps, self.own, *self.decoding]

    def update(self, parts: Parts) -> dict[Any, Any]:
        """Parts by their names as Gradio takes them, which is at least one."""
        shown = dict(parts)
        if "busy" in shown:
            shown["busy"] = gr.Button(interactive=shown["busy"])
        if "settings" in shown:
            shown["settings"] = gr.Accordion(label=shown["settings"])
        return {getattr(self, name): value for name, value in shown.items()} or {self.progress: gr.skip()}

    def updates(self, steps: Iterator[Parts]) -> Iterator[dict[Any, Any]]:
        """Each step with all before it, and at least one: what a generator leaves out would be lost on the page."""
        so_far: Parts = {}
        yield self.update(so_far)
        for parts in steps:
            so_far |= parts
            yield self.update(so_far)


def build(serving: Serving, others: Sequence[Serving], page: gr.Blocks) -> None:
    """Lays out chip and tool on `page` and wires them up; the first example is summarised as the page opens.

    Args:
        others: models that may be compared with the one that answers.
    """
    chip = gr.HTML(chip_view.chip(serving.status(), None), elem_id="status", apply_default_css=False)
    tool = Tool(compares=bool(others))
    _keep_up(serving, page, chip, tool)
    _switches(tool)
    _requests(serving, others, page, tool)


def _slider(limit: limits.Range, value: float, label: str, info: str | None = None, **options: Any) -> gr.Slider:
    step = 1 if limit.whole else 0.1
    return gr.Slider(limit.least, limit.greatest, value, step=step, label=label, info=info, **options)


def _keep_up(serving: Serving, page: gr.Blocks, chip: gr.HTML, tool: Tool) -> None:
    """The chip follows the models, and the page says when another one takes over."""

    def look(chip_now: str, takeover_now: str, shown: Shown | None) -> tuple[Any, Any, gr.Timer]:
        status, engine = serving.status(), serving.ready()
        news = (
            chip_view.chip(status, engine),
            chip_view.takeover(shown.engine if shown else None, engine),
        )
        # What is the same is not sent, or the chip would fold up while it is read.
        sent = [new if new != now else gr.skip() for new, now in zip(news, (chip_now, takeover_now), strict=True)]
        return *sent, gr.Timer(WHEN_SETTLED if status.settled else WHILE_MOVING)

    timer = gr.Timer(WHILE_MOVING)
    for when in (page.load, timer.tick):
        when(look, inputs=[chip, tool.takeover, tool.shown], outputs=[chip, tool.takeover, timer], **AT_ONCE)


def _switches(tool: Tool) -> None:
    """Controls that show something else of what is there already."""
    tool.link.click(None, js="(...values) => summariser.link(values)", inputs=tool.fields)
    tool.edit.click(None, js="() => summariser.edit(false)")
    tool.paste.click(None, js="() => summariser.edit(true)")
    tool.show_copied.click(None, js="() => summariser.layer('copied')")
    tool.show_strike.click(None, js="() => summariser.layer('strike')")
    tool.why_fold.collapse(lambda: False, outputs=tool.explains, js="() => summariser.layer('copied')", **AT_ONCE)
    tool.own.change(lambda own: [gr.Slider(interactive=not own)] * 3, inputs=tool.own, outputs=tool.decoding, **AT_ONCE)
    for button, made, name in (
        (tool.save_html, export.as_html, "summary.html"),
        (tool.save_json, export.as_json, "summary.json"),
    ):
        saved = button.click(lambda shown, made=made: made(shown) if shown else "", tool.shown, tool.file, **AT_ONCE)
        saved.then(None, js=f"(text) => summariser.save(text, '{name}')", inputs=tool.file)
    tool.reset.click(lambda: (True, N_STEPS), outputs=[tool.own, tool.n_steps], **AT_ONCE)


def _requests(serving: Serving, others: Sequence[Serving], page: gr.Blocks, tool: Tool) -> None:
    """Controls that ask the model."""

    def respond(article: str, reference: str, n_steps: int, own: bool, *decoding: Any, anyway=False) -> Iterator[dict]:
        settings = () if own else decoding
        yield from tool.updates(answering.answer(serving, article, reference, settings, n_steps, anyway))

    def respond_anyway(*values: Any) -> Iterator[dict]:
        yield from respond(*values, anyway=True)

    def explain(shown: Shown | None, explains: bool, n_steps: int) -> Iterator[dict]:
        yield from tool.updates(answering.explain(shown if explains else None, n_steps))

    def open_folds(shown: Shown | None, sure: bool, explains: bool, n_steps: int) -> Iterator[dict]:
        """What a new summary is asked in the folds that are open."""
        certain = checking.certainty(shown if sure else None)
        yield from tool.updates(chain(certain, answering.explain(shown if explains else None, n_steps)))

    def sources(shown: Shown | None, word: Any) -> Iterator[dict]:
        yield from tool.updates(answering.sources(shown, word))

    def ask_others(shown: Shown | None, reference: str) -> Iterator[dict]:
        yield from tool.updates(answering.ask_others(shown, reference, others))

    def type_in(article: str, shown: Shown | None, reference: str) -> dict:
        return {**look_at(article, shown), tool.reference: reference}

    def compare(shown: Shown | None, reference: str) -> dict:
        return tool.update(answering.compare(shown, reference) if shown and shown.answer.text else {})

    def look_at(article: str, shown: Shown | None) -> dict:
        return tool.update(answering.typed(serving, article, shown))

    # Private, or every click would be an endpoint.
    asks = {
        "inputs": tool.fields,
        "outputs": tool.parts,
        # Half of them wait for the model while the other half are computed together.
        "concurrency_id": SUMMARISE,
        "concurrency_limit": 2 * serving.together,
        **PRIVATE,
    }
    explains = {
        "inputs": [tool.shown, tool.explains, tool.n_steps],
        "outputs": tool.parts,
        # The model's own line has one of them computed at a time; those in it are told their place.
        "concurrency_id": EXPLAIN,
        "concurrency_limit": serving.together,
        **PRIVATE,
    }
    opened_folds = explains | {"inputs": [tool.shown, tool.sure, tool.explains, tool.n_steps]}
    running: list[Any] = []
    checks.wire(tool, running)

    def then_respond(event: Any, answers: Callable[..., Iterator[dict]] = respond) -> None:
        asked = event.then(answers, **asks)
        running.extend([asked, asked.then(open_folds, **opened_folds)])

    from_link = "(...values) => summariser.fromLink(values)"
    opened = page.load(None, js=from_link, inputs=tool.fields, outputs=tool.fields)
    running.append(opened.then(respond, **asks))
    waits = {"fn": lambda: notice("Waiting for its turn…", "busy"), "outputs": tool.progress, **AT_ONCE}
    then_respond(tool.run.click(**waits))
    then_respond(tool.anyway.click(**waits), respond_anyway)
    stripped = {"inputs": tool.article, "outputs": tool.article, **AT_ONCE}
    then_respond(tool.strip.click(without_tags, **stripped))
    for button, example in zip(tool.tries, examples(), strict=True):
        then_respond(_filled(tool, button, example))
    for button in (tool.show_influence.click, tool.why_fold.expand):
        wanted = button(lambda: True, outputs=tool.explains, js="() => summariser.layer('influence')", **AT_ONCE)
        running.append(wanted.then(explain, **explains))
    ask_word = {"js": "(shown, word) => [shown, summariser.word()]", "concurrency_id": EXPLAIN, **PRIVATE}
    asked = tool.ask_word.click(sources, inputs=[tool.shown, tool.word], outputs=tool.parts, **ask_word)
    asked_others = {"inputs": [tool.shown, tool.reference], "outputs": tool.parts, "concurrency_id": SUMMARISE}
    running.extend([asked, tool.ask_others.click(ask_others, **asked_others, **PRIVATE)])
    for button in (tool.run, tool.anyway, tool.strip, *tool.tries):  # what was under way is not wanted any more
        button.click(None, cancels=running)
    told = [tool.progress, tool.why, tool.sources, tool.again, tool.methods, tool.noisy_progress]
    tool.busy.click(_stopped, cancels=running, inputs=told, outputs=[tool.busy, *told], **AT_ONCE)
    looks = {"inputs": [tool.article, tool.shown], "outputs": tool.parts, "trigger_mode": "always_last", **AT_ONCE}
    types = "(article, shown, reference) => [article, shown, summariser.typed(article, reference)]"
    typing = looks | {"inputs": [*looks["inputs"], tool.reference], "outputs": [*tool.parts, tool.reference]}
    tool.look.click(type_in, js=types, **typing)
    tool.read.click(look_at, js="(a, s) => { summariser.read(); return [a, s]; }", **looks)
    refers = "(shown, reference) => { summariser.referenced(); return [shown, reference]; }"
    tool.weigh.click(compare, js=refers, inputs=[tool.shown, tool.reference], outputs=tool.parts, **AT_ONCE)


def _filled(tool: Tool, button: gr.Button, example: dict[str, Any]) -> Any:
    """The event in which an example fills the fields."""
    decoding = [gr.skip()] * 3 if "decoding" not in example else example["decoding"]
    waiting = notice("Waiting for its turn…", "busy")
    filled = (example["article"], example["reference"], waiting, "decoding" not in example, *decoding)
    places = [tool.article, tool.reference, tool.progress, tool.own, *tool.decoding]
    return button.click(lambda: filled, outputs=places, **AT_ONCE)


def _stopped(*told: str) -> list[Any]:
    """What is there stays, and what was still to come says so."""
    return [gr.Button(interactive=False), *(notice("Stopped.") if "notice busy" in part else part for part in told)]
