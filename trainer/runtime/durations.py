"""Durations in words."""

DAY = 86_400.0


def spoken(seconds: float) -> str:
    """`0.35` → '350 ms', `200` → '3.3 minutes', `90_000` → '1.0 days'."""
    for limit, unit, name in ((1, 0.001, "ms"), (100, 1, "s"), (6000, 60, "minutes"), (DAY, 3600, "hours")):
        if seconds < limit:
            value = seconds / unit
            return f"{value:.0f} {name}" if value >= 10 or name == "ms" else f"{value:.1f} {name}"
    return f"{seconds / DAY:.1f} days"
