"""Randomness as a function: the same arguments give the same numbers, in any order, on any rank, in any process.

A generator is addressed by what it is for: ``generator(seed, "crop", "labeled", position)``. NumPy's Philox is
counter-based: its key is the hash of that address, so no state has to be carried, saved or synchronised.
"""

from __future__ import annotations

import hashlib

import numpy as np


def digest(*address: int | str) -> bytes:
    """128 bits that stand for an address; 1 and "1" are different addresses."""
    text = "\x1f".join(f"{type(part).__name__[0]}{part}" for part in address)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def generator(*address: int | str) -> np.random.Generator:
    """The generator that belongs to an address."""
    key = np.frombuffer(digest(*address), dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def torch_seed(*address: int | str) -> int:
    """A seed for torch's own generators that belongs to an address."""
    return int.from_bytes(digest(*address)[:8], "little") >> 1


def order(num_items: int, *address: int | str) -> np.ndarray:
    """A permutation of range(num_items) that belongs to an address."""
    return generator(*address).permutation(num_items)
