"""Texts as HTML."""

from space.markup import escape


def test_escape():
    assert escape("<a b=\"c\" d='e'>&\r\0") == "&lt;a b=&quot;c&quot; d=&#x27;e&#x27;&gt;&amp;&#13;\ufffd"
