"""Texts for numbers, as people read them."""

from __future__ import annotations


def count(number: float, noun: str) -> str:
    """Return a number with its noun: 1 gang, 2 gangs."""
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a time span: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
