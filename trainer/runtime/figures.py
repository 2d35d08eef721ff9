"""Figures as people read them: with their interval, or with a sign."""

ABSENT = "–"  # stands for what was not measured, is not defined or is not there


def figure_and_interval(
    value: float | None, low: float | None, high: float | None, scale: float = 100, digits: int = 2, sign: str = ""
) -> tuple[str, str]:
    """`12.34` and `[11.00, 13.00]`, each times `scale`; – and nothing where it is not measured or not defined.

    `sign` is "+" where positive numbers should have one.
    """
    if value is None:
        return ABSENT, ""
    value, low, high = (f"{scale * number:{sign}.{digits}f}" for number in (value, low, high))
    return value, f"[{low}, {high}]"


def with_interval(
    value: float | None, low: float | None, high: float | None, scale: float = 100, digits: int = 2, sign: str = ""
) -> str:
    """`12.34 [11.00, 13.00]`, as `figure_and_interval`."""
    return " ".join(figure_and_interval(value, low, high, scale, digits, sign)).rstrip()


def signed(value: float, digits: int = 2) -> str:
    """+1.23 or −1.23, with a real minus sign; a value that rounds to 0 has no sign."""
    shown = f"{abs(value):.{digits}f}"
    if float(shown) == 0:
        return shown
    return f"{'−' if value < 0 else '+'}{shown}"
