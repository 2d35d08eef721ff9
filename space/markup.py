"""Text to HTML. The only place where a visitor's text becomes part of a page."""

import html


def escape(text: str) -> str:
    """`text` so that a browser shows it, and its DOM holds it, character for character; no part of it is
    markup.

    HTML turns a bare carriage return into a line feed, so it goes as a reference. It cannot hold U+0000 at
    all: like every browser does, U+FFFD takes its place.
    """
    return html.escape(text, quote=True).replace("\r", "&#13;").replace("\0", "\ufffd")
