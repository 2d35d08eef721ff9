"""Numbers and texts as HTML."""

from space.markup import escape, megabytes, signed


def test_numbers():
    assert [signed(value) for value in (1.234, -0.5, -0.001, 0)] == ["+1.23", "−0.50", "0.00", "0.00"]
    assert [megabytes(size) for size in (12_340_000, 242_000_000, 3_100_000_000)] == ["12.3 MB", "242 MB", "3.1 GB"]


def test_escape():
    assert escape("<a b=\"c\" d='e'>&\r\0") == "&lt;a b=&quot;c&quot; d=&#x27;e&#x27;&gt;&amp;&#13;\ufffd"
