"""Texts for numbers, as people read them."""

from __future__ import annotations


def count(number: float, noun: str) -> str:
    """Return a number with its noun: 1 gang, 2 gangs."""
    return f"{number:g} {plural(noun, number)}"


def plural(noun: str, number: float) -> str:
    """Return a noun for this number of things, for a list that follows it: seed 0, seeds 0, 1."""
    return noun if number == 1 else f"{noun}s"


def byte_size(size: float) -> str:
    """Return a number of bytes as the makers of disks count: 640 kB, 8.7 GB."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= limit:
            return f"{size / limit:.3g} {unit}"
    return f"{size:g} B"


def duration(seconds: float) -> str:
    """Return an estimated time in round numbers: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def measured_time(seconds: float | None) -> str:
    """Return a measured time with a digit after the point: 63.4 s, 6.0 min; a dash where it is not known."""
    if seconds is None:
        return "–"
    for size, unit in ((86400 * 3, "days"), (3600 * 3, "h"), (180, "min")):
        if seconds >= size:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:.1f} {unit}"
    return f"{seconds:.1f} s"
