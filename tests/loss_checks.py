"""Tests of losses: an example, and the comparison with a slow, plain reference."""

from __future__ import annotations

import torch

IGNORE = 255


def example(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64).requires_grad_()
    target = torch.randint(0, 3, (2, 4, 5), generator=generator)
    target[0, 0] = IGNORE
    return logits, target


def assert_same(fast: torch.Tensor, slow: torch.Tensor, logits: torch.Tensor) -> None:
    """Check that two losses are equal in value and in their gradient to the logits."""
    fast_gradient = torch.autograd.grad(fast, logits, retain_graph=True)[0]
    slow_gradient = torch.autograd.grad(slow, logits)[0]
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(fast_gradient, slow_gradient, rtol=1e-10, atol=1e-12)
