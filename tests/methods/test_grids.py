"""Resizing of logits, labels and masks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.losses import resize_bilinear, resize_nearest

sizes = st.integers(min_value=1, max_value=9)


@given(sizes, sizes, sizes, sizes)
def test_nearest_takes_the_pixel_at_the_middle_of_each_cell(height: int, width: int, rows: int, columns: int) -> None:
    labels = torch.arange(2 * height * width).view(2, height, width)
    resized = resize_nearest(labels, (rows, columns))
    for row in range(rows):
        for column in range(columns):
            middle = int((row + 0.5) * height / rows), int((column + 0.5) * width / columns)
            assert torch.equal(resized[:, row, column], labels[:, middle[0], middle[1]])


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_nearest_keeps_the_type(dtype: torch.dtype) -> None:
    assert resize_nearest(torch.ones(1, 4, 4, dtype=dtype), (2, 3)).dtype == dtype


def test_bilinear_at_half_size_is_the_mean_of_two_by_two() -> None:
    maps = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(resize_bilinear(maps, (2, 3)), torch.nn.functional.avg_pool2d(maps, 2))


def test_maps_of_the_requested_size_are_returned_as_they_are() -> None:
    maps = torch.randn(2, 3, 4, 6)
    assert resize_bilinear(maps, (4, 6)) is maps
    assert resize_nearest(maps[:, 0].contiguous(), (4, 6)).shape == (2, 4, 6)
