"""Sizes of files, disks and memory in words."""


def spoken_size(size: float) -> str:
    """Bytes as a person reads them: 512 bytes, 4.1 kB, 12.3 MB, 242 MB, 3.1 GB (powers of 1000)."""
    for limit, unit, name in ((1e3, 1, "bytes"), (1e6, 1e3, "kB"), (1e9, 1e6, "MB")):
        if size < limit:
            return f"{size / unit:.0f} {name}" if unit == 1 or size >= 100 * unit else f"{size / unit:.1f} {name}"
    return f"{size / 1e9:.1f} GB"
