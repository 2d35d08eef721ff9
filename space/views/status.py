"""The line under the title: which model answers, and what has become of the one that should."""

import gradio as gr

from space.markup import escape
from space.serving import STARTER_NAME, Serving, Status
from trainer.runtime.sizes import spoken_size

# Seconds between two looks at the status: while something is under way, and when it may only change by a
# later retry.
WHILE_MOVING = 1.0
WHEN_SETTLED = 15.0


def status_line(status: Status) -> str:
    """The status as HTML."""
    parts = [_answering(status)]
    if status.phase != "answering" or status.reason:
        parts.append(_wanted(status))
    state = "ok" if status.phase == "answering" else "failed" if status.phase == "failed" else "moving"
    return f'<div class="status {state}" role="status">{"".join(parts)}</div>'


def _answering(status: Status) -> str:
    if status.answering is None:
        return '<p class="who"><span class="dot"></span>Loading the first model…</p>'
    size = f"{status.parameters / 1e6:.1f} million parameters"
    if status.answering == STARTER_NAME:
        about = f"the starter, a small model that ships with this demo ({size})"
        return f'<p class="who"><span class="dot"></span><span>Answering: <b>{about}</b></span></p>'
    revision = f" <code>{escape(status.revision[:7])}</code>" if status.revision else ""
    name = f"<b>{escape(status.answering)}</b>{revision}"
    return f'<p class="who"><span class="dot"></span><span>Answering: {name} ({size})</span></p>'


def _wanted(status: Status) -> str:
    name = f"<b>{escape(status.wanted)}</b>"
    note = f" <span>{escape(_capital(status.reason))}</span>" if status.reason else ""
    match status.phase:
        case "waiting" | "asking":
            return f'<p class="wanted">Asking the Hub for {name}.{note}</p>'
        case "downloading":
            part = 100 * status.done / status.total if status.total else 0
            far = f"{spoken_size(status.done)} of {spoken_size(status.total)}"
            return (
                f'<p class="wanted">Fetching {name}: {far}. It takes over when it is here.</p>'
                f'<div class="bar" role="progressbar" aria-label="download" aria-valuemin="0" aria-valuemax="100" '
                f'aria-valuenow="{part:.0f}"><i style="width:{part:.1f}%"></i></div>'
            )
        case "loading":
            return f'<p class="wanted">Loading {name}; it takes over in a moment.{note}</p>'
        case _:  # "failed", or "answering" from the cache of an earlier download
            return f'<p class="wanted">{note.strip()}</p>'


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def build(serving: Serving, page: gr.Blocks) -> None:
    """Lays out the status line on `page`; it keeps itself up to date."""

    def look() -> tuple[str, gr.Timer]:
        status = serving.status()
        return status_line(status), gr.Timer(WHEN_SETTLED if status.settled else WHILE_MOVING)

    line = gr.HTML(status_line(serving.status()), elem_id="status", apply_default_css=False)
    timer = gr.Timer(WHILE_MOVING)
    for when in (page.load, timer.tick):
        when(look, outputs=[line, timer], queue=False, show_progress="hidden", api_visibility="private")
