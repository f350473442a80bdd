"""The smallest run of the input's benchmark: all three ways read the same images."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from assay.data.cache_folders import cache_folders
from assay.places import Places
from studies.benchmarks.input_benchmark import CITYSCAPES, VOC, Images, bits_per_pixel, print_speed, write_images


@pytest.mark.parametrize("like", [VOC, CITYSCAPES])
def test_one_line_compares_files_cache_and_pil(
    like: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = dataclasses.replace(like, size=(24, 40), crops=((16, 16),), number=8, batch=2)
    write_images(tmp_path / images.name, images)
    assert 1 < bits_per_pixel(tmp_path / images.name, images) < 24
    print_speed(images, (16, 16), Places(data=tmp_path), 2)
    (line,) = capsys.readouterr().out.splitlines()
    heading, *rates = re.split(r" {2,}(?=[\d.]+ \()", line)
    assert heading.startswith(f"{images.name} ") and heading.endswith(f"24 x 40{images.suffix}, crop 16 x 16")
    numbers = [float(text) for rate in rates for text in re.findall(r"[\d.]+", rate)]
    files, _, cache, _, pil, _, files_ratio, cache_ratio = numbers
    assert files_ratio == pytest.approx(files / pil, abs=0.06) and cache_ratio == pytest.approx(cache / pil, abs=0.06)
    (folder,) = cache_folders(tmp_path / "cache")
    assert folder.images == 6  # all but the two that the data set holds out for validation
