"""Randomness as a function: the same arguments give the same numbers, in any order, on any rank, in any process.

A generator's address names its purpose: ``generator(seed, "crop", "labeled", position)``. NumPy's Philox is
counter-based: its key is the hash of the address, so no state has to be passed on, saved or synchronised.
"""

from __future__ import annotations

import hashlib

import numpy as np


def digest(*address: int | str) -> bytes:
    """Return a hash of 128 bits of an address. 1 and "1" are different addresses."""
    text = "\x1f".join(f"{type(part).__name__[0]}{part}" for part in address)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def generator(*address: int | str) -> np.random.Generator:
    """Return the generator of an address."""
    key = np.frombuffer(digest(*address), dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def torch_seed(*address: int | str) -> int:
    """Return the seed of an address for torch's generators."""
    return int.from_bytes(digest(*address)[:8], "little") >> 1


def order(num_items: int, *address: int | str) -> np.ndarray:
    """Return the permutation of range(num_items) of an address."""
    return generator(*address).permutation(num_items)
