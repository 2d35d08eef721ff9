"""Durations in words."""

DAY = 86_400.0


def spoken(seconds: float, exactly: bool = False) -> str:
    """`0.35` → '350 ms', `200` → '3.3 minutes', `1_000` → '17 minutes', `90_000` → '1.0 days'.

    `exactly` keeps one decimal of any number: '16.7 minutes'.
    """
    for limit, unit, name in ((1, 0.001, "ms"), (100, 1, "s"), (6000, 60, "minutes"), (DAY, 3600, "hours")):
        if seconds < limit:
            value = seconds / unit
            whole = name == "ms" or (value >= 10 and not exactly)
            return f"{value:.{0 if whole else 1}f} {name}"
    return f"{seconds / DAY:.1f} days"
