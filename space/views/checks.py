"""The folds in which a visitor tests a summary, and which control does what there."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from space import checking, limits
from space.answering import Shown
from space.views.methods import LABELS

PRIVATE = {"show_progress": "hidden", "api_visibility": "private"}
AT_ONCE = {"queue": False, **PRIVATE}
# Explanations wait in a line of their own: nobody's summary waits behind them.
SUMMARISE, EXPLAIN = "summarise", "explain"
FIRST_METHODS = ("integrated_gradients", "contextcite")
TEXT_CHOICES = dict(zip(checking.TEXTS, ("The summary", "The reference", "Another text"), strict=True))
BASELINE_CHOICES = dict(zip(checking.BASELINES, ("Each method’s own", "<pad>", "Zero", "Mean"), strict=True))
# What each of the three views of the article shows; the style sheet shows the one that is chosen.
HINTS = (
    '<p class="hint" data-layer="copied">Coloured: what the summary took from the article.</p>'
    '<p class="hint" data-layer="influence">Coloured: the words that count most for the model; blue ones spoke against '
    "the summary.</p>"
    '<p class="hint" data-layer="strike">Tick sentences to leave out, and ask the model again.</p>'
    '<button type="button" data-do="strike" hidden>Ask again without <span></span></button>'
)


def html(elem_id: str, value: str = "") -> gr.HTML:
    return gr.HTML(value, elem_id=elem_id, apply_default_css=False)


class Checks:
    """Components that ask about a summary that is there; `parts` are the names of those that an answer changes."""

    parts_of_checks = ("again", "certainty", "noise", "noisy", "noisy_progress", "methods")

    def _strikes(self) -> None:
        """Under the article: what was ticked there is left out."""
        html("strike-out", HINTS)
        # Asked by page.js; the numbers of the sentences and words go through no field that is seen.
        self.sentences, self.words = gr.JSON(visible=False), gr.JSON(visible=False)
        self.ask_without = gr.Button("Ask again", elem_id="ask-without")

    def _certainty(self) -> None:
        with gr.Accordion("How sure was it?", open=False, elem_id="sure", elem_classes="fold") as self.sure_fold:
            self.certainty = html("certainty")
        self.sure = gr.State(False)

    def _typos(self) -> None:
        with gr.Accordion("Try it with typos", open=False, elem_id="typos", elem_classes="fold"):
            self.noise = gr.Slider(
                limits.TYPOS.least,
                limits.TYPOS.greatest,
                0,
                step=1,
                label="Letters hit wrongly, in %",
                info="the model reads the article with them",
                elem_id="noise",
            )
            self.noisy_progress = html("noisy-progress")
            self.noisy = html("noisy")

    def _methods(self) -> None:
        with gr.Accordion(
            "Other methods, another text, and proof", open=False, elem_id="methods-fold", elem_classes="inner"
        ):
            self.names = gr.CheckboxGroup(
                [(name, key) for key, name in LABELS.items()], value=list(FIRST_METHODS), label="Methods"
            )
            self.baseline = gr.Radio(
                [(name, key) for key, name in BASELINE_CHOICES.items()],
                value=checking.OWN,
                label="Baseline",
                info="what stands for no text, where a method needs that",
            )
            self.which = gr.Radio(
                [(name, key) for key, name in TEXT_CHOICES.items()], value=checking.TEXTS[0], label="Text to explain"
            )
            self.typed = gr.Textbox(label="Another text", lines=2, max_lines=6, visible=False, elem_id="typed")
            with gr.Row(elem_id="attention-parts"):
                self.layer, self.head = (
                    gr.Dropdown(
                        [(f"All {name}s (mean)", checking.ALL)],
                        label=f"Cross-attention: {name}",
                        filterable=False,
                        visible=False,
                    )
                    for name in ("layer", "head")
                )
            self.shuffles = gr.Checkbox(
                False,
                label="Shuffle the model’s weights too",
                info="Do the scores change when the model forgets what it learned? They should. Each method then takes "
                "four to eight times as long, and the model twice its memory.",
            )
            with gr.Row(elem_id="ask-methods"):
                self.ask_methods = gr.Button("Compare the methods", size="sm", elem_id="compare-methods")
                self.ask_favoured = gr.Button("What speaks for the summary instead?", size="sm", elem_id="contrast")
            self.methods = html("methods")
            # Asked by page.js for the button in a method's block.
            self.tinted = gr.Textbox(visible=False)
            self.ask_tint = gr.Button("Show in the article", elem_id="ask-tint")


def wire(tool: Any, running: list[Any]) -> None:
    """Wires the controls up; adds to `running` what a new request cancels."""

    def certainty(shown: Shown | None) -> Iterator[dict]:
        yield from tool.updates(checking.certainty(shown))

    def strike(shown: Shown | None, sentences: Any, words: Any) -> Iterator[dict]:
        yield from tool.updates(checking.strike(shown, sentences, words))

    def noise(shown: Shown | None, percent: Any) -> Iterator[dict]:
        yield from tool.updates(checking.noise(shown, percent))

    def methods(shown: Shown | None, *values: Any) -> Iterator[dict]:
        yield from tool.updates(checking.methods(shown, *values))

    def favoured(shown: Shown | None, *values: Any) -> Iterator[dict]:
        yield from tool.updates(checking.favoured(shown, *values))

    def tint(shown: Shown | None, name: Any) -> dict:
        return tool.update(checking.tint(shown, name))

    def attention_parts(shown: Shown | None, names: Any) -> list[gr.Dropdown]:
        choices = checking.attention_choices(shown, names)
        return (
            [gr.Dropdown(choices=one, visible=True) for one in choices] if choices else [gr.Dropdown(visible=False)] * 2
        )

    short = {"outputs": tool.parts, "concurrency_id": SUMMARISE, **PRIVATE}
    long = {"outputs": tool.parts, "concurrency_id": EXPLAIN, **PRIVATE}
    opened = tool.sure_fold.expand(lambda: True, outputs=tool.sure, **AT_ONCE)
    tool.sure_fold.collapse(lambda: False, outputs=tool.sure, **AT_ONCE)
    struck = "(shown) => [shown, ...summariser.struck()]"
    text, parts = [tool.which, tool.typed], [tool.layer, tool.head]
    running.extend(
        [
            opened.then(certainty, inputs=tool.shown, **short),
            tool.ask_without.click(strike, inputs=[tool.shown, tool.sentences, tool.words], js=struck, **long),
            tool.noise.input(noise, inputs=[tool.shown, tool.noise], trigger_mode="always_last", **short),
            tool.ask_methods.click(
                methods, inputs=[tool.shown, tool.names, tool.baseline, *text, tool.shuffles, *parts], **long
            ),
            tool.ask_favoured.click(favoured, inputs=[tool.shown, *text], **long),
        ]
    )
    for button in (tool.ask_methods, tool.ask_favoured):
        button.click(None, js="() => summariser.layer('influence')")
    tinted = "(shown) => [shown, summariser.tinted()]"
    tool.ask_tint.click(tint, inputs=[tool.shown, tool.tinted], outputs=tool.parts, js=tinted, **AT_ONCE)
    tool.names.change(attention_parts, inputs=[tool.shown, tool.names], outputs=parts, **AT_ONCE)
    tool.which.change(lambda which: gr.Textbox(visible=which == "other"), tool.which, tool.typed, **AT_ONCE)
