"""Calls over plain HTTP: the commands that "Use via API" prints, and what a caller who sends too little is told."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trainer.errors import UserError, nearest

# What stands in the printed commands, so that they run as they are.
EXAMPLES = {
    "article": "The mill burnt down. Nobody was hurt.",
    "summary": "A mill burnt down.",
    "reference": "The old mill burnt down at night.",
}
_CALL = re.compile(r"/gradio_api/call/(?P<named>v2/)?(?P<endpoint>[^/]+)/?$")
# Gradio's own ends in `| read EVENT_ID; curl …`: bash and sh run `read` in a process of its own, so that EVENT_ID is
# empty in the second command.
_PIPED = re.compile(r"(?P<post>curl .*?)\s*\\\n\s*\| read EVENT_ID; (?P<get>curl .*)", re.DOTALL)


class Page(gr.Blocks):
    """Blocks whose API is described with examples that can be asked for."""

    def get_api_info(self, *args: Any, **options: Any) -> Any:
        info = super().get_api_info(*args, **options)
        for endpoint in info["named_endpoints"].values():
            for parameter in endpoint["parameters"]:
                default = parameter["parameter_default"]
                example = EXAMPLES.get(parameter["parameter_name"], parameter["example_input"])
                parameter["example_input"] = default if parameter["parameter_has_default"] else example
        return info


class PlainCalls:
    """Makes Gradio's API one for plain HTTP: the printed cURL commands run in any shell, and each call gets an answer.

    In `/gradio_api/info` the commands are mended. A POST to `/gradio_api/call/NAME` or `/gradio_api/call/v2/NAME` gets
    the defaults of what it leaves out; where that can't be, it is answered with status 422 and `{"detail": sentence}`.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        call = _CALL.search(path)
        if path.rstrip("/").endswith("/gradio_api/info"):
            await self._described(scope, receive, send)
        elif call and scope["method"] == "POST":
            await self._called(call, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _described(self, scope: Scope, receive: Receive, send: Send) -> None:
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self._app(scope, receive, hold)
        start, *rest = held
        body = b"".join(message["body"] for message in rest)
        if start["status"] == 200:
            body = json.dumps(with_shell_commands(json.loads(body))).encode()
        await send({**start, "headers": _of_length(start["headers"], body)})
        await send({"type": "http.response.body", "body": body})

    async def _called(self, call: re.Match, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        try:
            endpoints = scope["app"].get_blocks().get_api_info()["named_endpoints"]
            body = json.dumps(completed(body, call["endpoint"], endpoints, named=bool(call["named"]))).encode()
        except UserError as error:
            await JSONResponse({"detail": str(error)}, 422)(scope, receive, send)
            return
        unread = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return unread.pop() if unread else await receive()

        await self._app({**scope, "headers": _of_length(scope["headers"], body)}, replay, send)


def with_shell_commands(info: dict[str, Any]) -> dict[str, Any]:
    """A description of the API with cURL commands that run in bash, sh and zsh alike."""
    for endpoint in info["named_endpoints"].values():
        if piped := _PIPED.fullmatch(endpoint["code_snippets"]["bash"]):
            endpoint["code_snippets"]["bash"] = f"EVENT_ID=$({piped['post']})\n{piped['get']}"
    return info


def completed(body: bytes, name: str, endpoints: Mapping[str, Any], *, named: bool) -> dict[str, Any]:
    """The body of a call with a value for each argument: by name, or in order as `data`.

    Raises:
        UserError: there is no such endpoint, the body is no such thing, or an argument is missing or unknown.
    """
    if f"/{name}" not in endpoints:
        near = nearest(f"/{name}", endpoints)
        raise UserError(f"There is no /{name}: " + (f"did you mean {near}?" if near else f"it is {_or(endpoints)}."))
    parameters = endpoints[f"/{name}"]["parameters"]
    names = [parameter["parameter_name"] for parameter in parameters]
    takes = f"/{name} takes {', '.join(names)}"
    try:
        given = json.loads(body)
    except ValueError as error:  # of JSON, or bytes that are no UTF-8
        raise UserError(f"The body is no JSON ({error}): {takes}.") from error
    if not isinstance(given, dict):
        raise UserError(f"The body must be a JSON object, not {type(given).__name__}: {takes}.")
    values = dict(given) if named else _in_order(given.get("data"), names, takes)
    unknown = [one for one in values if one not in names and one != "oauth_token"]
    if unknown:
        near = nearest(unknown[0], names)
        raise UserError(f"{takes}: not {unknown[0]}" + (f", did you mean {near}?" if near else "."))
    for parameter in parameters:
        if parameter["parameter_has_default"]:
            values.setdefault(parameter["parameter_name"], parameter["parameter_default"])
        elif parameter["parameter_name"] not in values:
            raise UserError(f"{takes}: {parameter['parameter_name']} is missing.")
    return values if named else {**given, "data": [values[one] for one in names]}


def _in_order(data: Any, names: Sequence[str], takes: str) -> dict[str, Any]:
    if not isinstance(data, list):
        raise UserError(f'The body must be {{"data": [VALUE, …]}}: {takes}, in this order.')
    if len(data) > len(names):
        raise UserError(f"{takes}: {len(data)} values are too many.")
    return dict(zip(names, data, strict=False))


def _of_length(headers: Sequence[tuple[bytes, bytes]], body: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a JSON body."""
    kept = [pair for pair in headers if pair[0].lower() not in (b"content-length", b"content-type")]
    return [*kept, (b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]


def _or(names: Mapping[str, Any]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"
