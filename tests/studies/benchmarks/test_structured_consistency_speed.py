"""The benchmark of the pair loss measures what it says: both losses are equal where no pair is dropped."""

from __future__ import annotations

import torch

from studies.benchmarks.structured_consistency_speed import Example, cost, direct, sampled


def test_eq_8_as_written_is_eq_10_with_all_pairs() -> None:
    example = Example.draw(32)
    values = [direct(example), sampled(example, pairs=1_000_000)]
    gradients = [torch.autograd.grad(value, example.student)[0] for value in values]
    torch.testing.assert_close(*values, rtol=1e-4, atol=0)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-8)


def test_memory_is_the_most_that_is_allocated_at_once() -> None:
    million = 4 * 1024**2

    def loss(example: Example) -> torch.Tensor:
        for _ in range(3):  # one after another
            torch.ones(million // 4).sum()
        return example.student.sum()

    example = Example.draw(16)
    assert million <= cost(example, loss, rounds=1).bytes <= 1.2 * million
