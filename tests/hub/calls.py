"""What tests of calls to the Hub share: a listener, and the Hub's errors."""

import httpx2
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import hf_raise_for_status


class Heard(list):
    """Collects what is said in place of printing it."""

    def __call__(self, text: str) -> None:
        self.append(text)

    @property
    def text(self) -> str:
        return "\n".join(self)


def answer(status: int, code: str | None = None, message: str | None = None, **headers: str) -> HfHubHTTPError:
    """The client's own error for such an answer of the Hub."""
    headers = {key.replace("_", "-"): value for key, value in headers.items()}
    headers |= {"X-Error-Code": code} if code else {}
    headers |= {"X-Error-Message": message} if message else {}
    request = httpx2.Request("GET", "http://hub.test/api/models/ada/t5")
    try:
        hf_raise_for_status(httpx2.Response(status, headers=headers, json={}, request=request))
    except HfHubHTTPError as error:
        return error
    raise AssertionError(status)


def wrapped(error: Exception, outer: type[Exception] = OSError) -> Exception:
    """As transformers and the client's download wrap errors."""
    try:
        raise outer("Can't load the configuration of 'ada/t5'") from error
    except Exception as caught:
        return caught
