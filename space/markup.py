"""Text to HTML. The only place where a visitor's text becomes part of a page."""

import html


def escape(text: str) -> str:
    """`text` so that a browser shows it, and its DOM holds it, character for character; no part of it is
    markup.

    HTML turns a bare carriage return into a line feed, so it goes as a reference. It cannot hold U+0000 at
    all: like every browser does, U+FFFD takes its place.
    """
    return html.escape(text, quote=True).replace("\r", "&#13;").replace("\0", "\ufffd")


def signed(value: float, digits: int = 2) -> str:
    """+1.23 or −1.23, with a real minus sign; a value that rounds to 0 has no sign."""
    shown = f"{abs(value):.{digits}f}"
    if float(shown) == 0:
        return shown
    return f"{'−' if value < 0 else '+'}{shown}"
