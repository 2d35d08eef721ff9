"""The page as a whole: its parts in their order, its looks, and what it may load (nothing from anywhere
else)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from space import api, sessions
from space.calls import Page, PlainCalls
from space.rating import Desk
from space.serving import Serving
from space.views import layout, rating

TITLE = "One sentence, and where it comes from"
MAIN_PAGE = "Summarise"  # in the list of pages, where there are several
STYLE = Path(__file__).resolve().parent / "style"
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace")
# Requests that may wait for the model; the next one is told to come back later.
LONGEST_QUEUE = 128

# The live region stays, and its text changes: that is what a screen reader reads out.
HEADER = f"""
<header><h1>{TITLE}</h1></header>
<p id="live" class="hidden" role="status" aria-live="polite"></p>
"""


def build(serving: Serving, others: Sequence[Serving] = (), desk: Desk | None = None) -> gr.Blocks:
    """The whole demo, not launched; `serving` must have been started by the time that somebody looks, and `others`.

    Args:
        others: models that visitors may compare with the one that answers.
        desk: what people compare on the page /rate, which is there only where this is given.
    """
    with Page(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        gr.HTML(HEADER, elem_id="header", apply_default_css=False)
        layout.build(serving, others, page)
        if desk is not None:
            gr.Navbar(main_page_name=MAIN_PAGE)
        api.add(serving)
    if desk is not None:
        with page.route("Rate summaries", "rate"):
            gr.Navbar(main_page_name=MAIN_PAGE)
            rating.build(desk, page)
    return page.queue(default_concurrency_limit=4, max_size=LONGEST_QUEUE)


def launch_options() -> dict[str, Any]:
    """What `Blocks.launch` needs for this page to look and behave as it should."""
    return {
        # Plain font names: the browser asks no font host for them.
        "theme": gr.themes.Base(font=SANS, font_mono=MONO, primary_hue="teal", neutral_hue="stone"),
        "css_paths": [STYLE / f"{sheet}.css" for sheet in ("ground", "tool", "results", "compare", "why", "rating")],
        "head": f"<script>{(STYLE / 'page.js').read_text('utf-8')}</script>",
        "footer_links": ["api"],
        "run_history": False,
        "ssr_mode": False,
        "pwa": False,
        "state_session_capacity": sessions.MOST,
        "app_kwargs": {
            "middleware": [Middleware(sessions.LightSessions), Middleware(OwnOriginOnly), Middleware(PlainCalls)]
        },
    }


class OwnOriginOnly:
    """Tells the browser to load nothing from any other host, whatever a library's page may ask for.

    Gradio's front end compiles templates, hence 'unsafe-eval'. A Space shows the page in a frame of another
    host, so who may frame it is left open.
    """

    POLICY = (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "media-src 'self' data: blob:; worker-src 'self' blob:; base-uri 'self'; form-action 'self'"
    )

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", self.POLICY.encode())
                message = {**message, "headers": [*message.get("headers", ()), policy]}
            await send(message)

        await self._app(scope, receive, with_policy if scope["type"] == "http" else send)
