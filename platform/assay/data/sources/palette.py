"""The palette of VOC, which goes on for as many classes as a data set has."""

from __future__ import annotations

Colour = tuple[int, int, int]


def voc_palette(number: int, *, first: int = 0) -> tuple[Colour, ...]:
    """Return a number of colours of VOC's palette. All of its 256 colours differ; the first, index 0, is black."""
    return tuple(_colour(index) for index in range(first, first + number))


def _colour(index: int) -> Colour:
    """Return a colour of VOC's palette: groups of three bits of the index fill the channels from the highest bit."""
    colour = [0, 0, 0]
    for level in range(8):
        for channel in range(3):
            colour[channel] |= (index >> (3 * level + channel) & 1) << (7 - level)
    return colour[0], colour[1], colour[2]
