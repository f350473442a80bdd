"""Scores over a data set, and prediction by windows, scales and flips."""

from __future__ import annotations

import pytest
import torch

from assay.recipe import Evaluation
from assay.training.evaluate import ConfusionMatrix, predict, window_starts


def plain_iou(prediction: torch.Tensor, target: torch.Tensor, num_classes: int) -> list[float | None]:
    pairs = [(p, t) for p, t in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True) if t != 255]
    iou: list[float | None] = []
    for c in range(num_classes):
        union = sum(p == c or t == c for p, t in pairs)
        iou.append(sum(p == c and t == c for p, t in pairs) / union if union else None)
    return iou


def example() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randint(0, 4, (3, 6, 7), generator=generator)
    target = torch.randint(0, 4, (3, 6, 7), generator=generator)
    target[0, :2] = 255
    return prediction, target


def test_iou_counts_pixels_over_the_whole_set_and_leaves_ignored_and_absent_out() -> None:
    prediction, target = example()
    matrix = ConfusionMatrix(6)  # classes 4 and 5 are never there
    for p, t in zip(prediction, target, strict=True):
        matrix.update(p, t)
    expected = plain_iou(prediction, target, 6)
    assert matrix.iou() == pytest.approx(expected)
    assert expected[4:] == [None, None]
    present = [value for value in expected if value is not None]
    assert matrix.miou() == pytest.approx(sum(present) / len(present))
    counted = target != 255
    assert matrix.pixel_accuracy() == pytest.approx((prediction == target)[counted].double().mean().item())


def test_a_class_that_is_predicted_and_never_there_counts_as_zero() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(torch.tensor([[0, 2]]), torch.tensor([[0, 0]]))
    assert matrix.iou() == [0.5, None, 0.0]
    assert matrix.miou() == 0.25


def test_nothing_counted_is_zero_and_no_error() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(torch.zeros(2, 2, dtype=torch.int64), torch.full((2, 2), 255))
    assert (matrix.miou(), matrix.pixel_accuracy()) == (0.0, 0.0)


def per_pixel(images: torch.Tensor) -> torch.Tensor:
    """Return logits that depend on single pixels alone, so that windows and flips must not change them."""
    return torch.cat([images, -images.sum(1, keepdim=True)], dim=1) * 3


@pytest.mark.parametrize("size", [(8, 8), (13, 10), (5, 9), (6, 6)])
@pytest.mark.parametrize("flip", [False, True])
def test_sliding_windows_and_flips_agree_with_the_whole_image(size: tuple[int, int], flip: bool) -> None:
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    whole = predict(per_pixel, images, Evaluation())
    slid = predict(per_pixel, images, Evaluation(mode="sliding", window=(6, 6), flip=flip))
    assert torch.equal(whole, slid)


def test_several_scales_give_one_class_per_pixel_of_the_image() -> None:
    images = torch.randn(1, 3, 12, 9, generator=torch.Generator().manual_seed(2))
    classes = predict(per_pixel, images, Evaluation(scales=(0.5, 1.0, 1.75), flip=True))
    assert classes.shape == (1, 12, 9)
    smooth = torch.ones(1, 3, 12, 9) * torch.tensor([3.0, 1.0, 1.0]).view(1, 3, 1, 1)
    assert (predict(per_pixel, smooth, Evaluation(scales=(0.5, 1.75))) == 0).all()


def test_an_image_is_fitted_with_its_ratio_and_scored_at_its_own_size() -> None:
    images = torch.randn(2, 3, 12, 9, generator=torch.Generator().manual_seed(3))
    sizes: list[tuple[int, ...]] = []

    def predictor(images_of_size: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(images_of_size.shape[-2:]))
        return per_pixel(images_of_size)

    classes = predict(predictor, images, Evaluation(fit=16))
    assert sizes == [(16, 12)] and classes.shape == (2, 12, 9)
    larger = torch.nn.functional.interpolate(images, size=(16, 12), mode="bilinear")
    logits = torch.nn.functional.interpolate(per_pixel(larger), size=(12, 9), mode="bilinear")
    assert torch.equal(classes, logits.argmax(dim=1))
    predict(predictor, images, Evaluation(fit=16, scales=(0.5, 1.0), mode="sliding", window=(20, 20)))
    assert sizes[1:] == [(20, 20), (20, 20)], "one window, padded, at each scale"
    predict(predictor, images, Evaluation(fit=16, scales=(0.5, 1.0), flip=True))
    assert sizes[3:] == [(8, 6), (8, 6), (16, 12), (16, 12)]


def plain_protocol(image: torch.Tensor, scales: tuple[float, ...], spec: Evaluation) -> torch.Tensor:
    """Return the mean outputs of an image over scales, mirrors and windows, in plain loops."""
    height, width = image.shape[-2:]
    total = torch.zeros(1, 4, height, width)
    for scale in scales:
        size = (round(height * scale), round(width * scale))
        scaled = torch.nn.functional.interpolate(image, size=size, mode="bilinear")
        window = round(spec.window[0] * max(scale, 1)) if spec.windows == "scaled" else spec.window[0]
        step = int(window * spec.stride_share)
        for mirrored in (False, True):
            view = scaled.flip(-1) if mirrored else scaled
            sums, counts = torch.zeros(1, 4, *size), torch.zeros(size)
            tops, lefts = (sorted({min(start, max(n - window, 0)) for start in range(0, n, step)}) for n in size)
            for top in tops:
                for left in lefts:
                    part = view[..., top : top + window, left : left + window]
                    rows, columns = slice(top, top + part.shape[-2]), slice(left, left + part.shape[-1])
                    logits = of_the_window(part)
                    sums[..., rows, columns] += logits if spec.average == "logits" else logits.softmax(1)
                    counts[rows, columns] += 1
            mean = sums / counts
            mean = mean.flip(-1) if mirrored else mean
            total += torch.nn.functional.interpolate(mean, size=(height, width), mode="bilinear")
    return total


def of_the_window(images: torch.Tensor) -> torch.Tensor:
    """Return logits that depend on the whole window, so that its place counts."""
    columns = torch.linspace(-1, 1, images.shape[-1])
    return per_pixel(images) + images.mean((2, 3), keepdim=True).sum(1, keepdim=True) * torch.stack(
        [columns, -columns, columns**2, columns * 0]
    ).view(1, 4, 1, -1)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("windows", ["padded", "scaled"])
def test_windows_slide_at_each_scale_over_the_image_and_its_mirror(windows: str, average: str) -> None:
    image = torch.randn(1, 3, 24, 36, generator=torch.Generator().manual_seed(4))
    scales = (0.5, 1.0, 2.0)
    sliding = Evaluation(mode="sliding", window=(12, 12), stride_share=0.7, scales=scales, flip=True)
    spec = sliding.replace(windows=windows, average=average)
    expected = plain_protocol(image, scales, spec)
    assert torch.equal(predict(of_the_window, image, spec), expected.argmax(dim=1))
    other_windows = {"windows": "scaled" if windows == "padded" else "padded"}
    other_average = {"average": "logits" if average == "probabilities" else "probabilities"}
    for changes in ({"scales": (1.0,)}, other_windows, other_average):
        other = spec.replace(**changes)
        assert not torch.equal(expected.argmax(dim=1), predict(of_the_window, image, other)), changes


def test_windows_that_are_not_padded_end_at_the_border_of_a_small_image() -> None:
    sizes: list[tuple[int, ...]] = []

    def predictor(images: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(images.shape[-2:]))
        return per_pixel(images)

    spec = Evaluation(mode="sliding", window=(8, 8), windows="scaled", scales=(0.5, 2.0))
    assert predict(predictor, torch.zeros(1, 3, 8, 16), spec).shape == (1, 8, 16)
    assert sizes == [(4, 8), *[(16, 16)] * 3], "at scale 0.5 the height of the image; at scale 2 twice the window"


def test_the_strides_of_sdcnets_windows_on_cityscapes() -> None:
    """Its code steps by ceil(2/3 · 1024) = 683, and ends the last window at the border."""
    assert window_starts(2048, 1024, 683 / 1024) == [0, 683, 1024]
    assert window_starts(4096, 2048, 683 / 1024) == [0, 1366, 2048]


def test_fields_that_an_evaluation_does_not_use_are_in_no_key() -> None:
    assert Evaluation().unused() == {"window", "stride_share", "windows", "average"}
    assert Evaluation(flip=True).unused() == {"window", "stride_share", "windows"}
    assert Evaluation(mode="sliding").unused() == frozenset()


@pytest.mark.parametrize("length", [1, 5, 6, 7, 20, 33])
def test_windows_cover_every_pixel_and_stay_inside(length: int) -> None:
    starts = window_starts(length, 6, 2 / 3)
    covered = {pixel for start in starts for pixel in range(start, start + 6)}
    assert set(range(length)) <= covered
    assert starts[-1] == max(length - 6, 0)
    assert starts == sorted(set(starts))
