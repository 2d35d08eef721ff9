"""What Gradio keeps of each session, made small: a call by a program is a session of its own.

For links that bring a page's state back (`gr.DeepLinkButton`, which this page does not have) Gradio describes every
component anew for each session: 16 ms of its event loop and 170 KB a call, of up to 10,000 sessions.
"""

import re
from types import SimpleNamespace

from gradio.state_holder import SessionState, StateHolder
from starlette.types import ASGIApp, Receive, Scope, Send

# Sessions that are kept; what the oldest one has shown can then no longer be explained.
MOST = 2000
_ANSWER = re.compile(r"/gradio_api/call/(?:v2/)?[^/]+/(?P<event>\w+)$")


class Sessions(StateHolder):
    """Gradio's sessions without descriptions of components; those that change are still described when they do."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            # Its constructor describes the `blocks` that it is given.
            self.session_data[session_id] = SessionState(
                SimpleNamespace(default_config=self.blocks.default_config, blocks={})
            )
        return super().__getitem__(session_id)


class LightSessions:
    """Has the app that starts keep `Sessions`, and forgets a program's call when its answer is there."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            gradio_app = scope["app"]
            gradio_app.state_holder = Sessions()
            gradio_app.state_holder.set_blocks(gradio_app.get_blocks())
        await self._app(scope, receive, send)
        if scope["type"] == "http" and scope["method"] == "GET" and (answer := _ANSWER.search(scope["path"])):
            holder = scope["app"].state_holder
            holder.session_data.pop(answer["event"], None)  # a call without a session of its own is named so
            holder.time_last_used.pop(answer["event"], None)
