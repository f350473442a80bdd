"""Random subsets of fixed size from populations whose sizes only the device has: exact, and without reading back."""

from __future__ import annotations

import torch

from assay.collectives import rank, world_size


def draw_subsets(population: torch.Tensor, size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a subset of each population {0, …, M - 1} without replacement; return its members and which ones count.

    population: int64, first dimension B: the M of every row; a row may be empty
    Members (int64, `population`'s shape x size) rise along each row. The first K = min(M, size) count, the others
    are 0. All ranks must hold equal generators: each draws for the global batch and takes its own images' rows.

    Every subset of K members has the same chance. Members e_1 < … < e_K and numbers c_k = e_k - (k - 1) determine each
    other, and c is any multiset of K numbers out of n = M - K + 1. So a uniform multiset is drawn, by Pólya's urn: the
    i-th draw (i = 0, 1, …) takes each number with equal chances from n new ones and the i earlier draws; a multiset
    with counts m_1, …, m_n then has the chance K! / (n (n + 1) … (n + K - 1)), whatever the counts are. A draw that
    repeats an earlier one points at it, and the chains of pointers are followed for all draws at once, doubling the
    length in each round. The time depends on `size` alone. Integers of 63 bits modulo n + i are uniform to n / 2^63.
    """
    taken = population.clamp(max=size)  # K
    kinds = (population - taken + 1).unsqueeze(-1)  # n
    position = torch.arange(size, device=population.device)
    pick = _random_integers(population, size, generator) % (kinds + position)
    source = torch.where(pick < kinds, position, pick - kinds)  # the draw that this draw repeats, or itself
    for _ in range(max(size - 1, 0).bit_length()):
        source = source.gather(-1, source)
    counts = position < taken.unsqueeze(-1)
    multiset = torch.where(counts, pick.gather(-1, source), torch.iinfo(torch.int64).max - size).sort(dim=-1).values
    return torch.where(counts, multiset + position, 0), counts


def _random_integers(population: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Return random integers of 63 bits (`population`'s shape x size) for this rank's images."""
    images, *rest = population.shape
    drawn = torch.empty((world_size() * images, *rest, size), dtype=torch.int64, device=population.device)
    return drawn.random_(generator=generator)[rank() * images : (rank() + 1) * images]
