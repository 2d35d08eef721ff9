"""Numbers and texts as HTML."""

from space.markup import escape, signed


def test_numbers():
    assert [signed(value) for value in (1.234, -0.5, -0.001, 0)] == ["+1.23", "−0.50", "0.00", "0.00"]


def test_escape():
    assert escape("<a b=\"c\" d='e'>&\r\0") == "&lt;a b=&quot;c&quot; d=&#x27;e&#x27;&gt;&amp;&#13;\ufffd"
