"""RandAugment and Cutout against PIL and torchvision on single images, and labels carried along to the pixel."""

from __future__ import annotations

import collections

import numpy as np
import pytest
import torch
from example_images import assert_near, example_images, in_steps
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from assay.data import randaugment
from assay.data.index_maps import carry
from assay.data.randaugment import MID_GREY, OperatorDraw, RandAugmentDraw, apply_randaugment, draw_randaugment
from assay.data.source import IGNORE
from assay.data.views import MOVING, Operator, RandAugment
from assay.errors import FieldError

NO_SQUARES = RandAugment(cutout_squares=0)
SIZES = ((41, 53), (41, 20), (17, 53), (30, 31), (30, 31), (2, 9))  # the first image has no padding
EXACT = (*sorted(MOVING), "identity", "autocontrast", "equalize", "solarize", "posterize")  # not rounded anew


def draws_of(number: int, spec: RandAugment, seed: int = 0) -> list[RandAugmentDraw]:
    rng = np.random.default_rng(seed)
    return [draw_randaugment(rng, spec) for _ in range(number)]


def only(operator: OperatorDraw) -> RandAugmentDraw:
    return RandAugmentDraw(operators=(operator,), centres=(), cutout_size=2, ignore_cutout=False)


def amounts(name: Operator) -> list[float]:
    """Return the amounts at all magnitudes, to both sides."""
    return [randaugment._amount(name, magnitude, RandAugment(), side=s) for magnitude in range(11) for s in (1, -1)]


def moved_by_pil(image: Image.Image, operator: OperatorDraw) -> Image.Image:
    amount = operator.amount
    if operator.name == "rotate":
        return image.rotate(amount)
    affine = {
        "shear_x": (1, amount, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, amount, 1, 0),
        "translate_x": (1, 0, amount, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, amount),
    }[operator.name]
    return image.transform(image.size, Image.Transform.AFFINE, affine)


def reference(image: torch.Tensor, operator: OperatorDraw) -> torch.Tensor:
    """Apply an operator of EXACT to an image (3 x H x W) by PIL and torchvision."""
    if operator.name in MOVING:
        moved = moved_by_pil(Image.fromarray(image.permute(1, 2, 0).numpy()), operator)
        return torch.from_numpy(np.array(moved)).permute(2, 0, 1)
    functions = {
        "identity": lambda: image,
        "autocontrast": lambda: tv.autocontrast(image),
        "equalize": lambda: tv.equalize(image),
        "solarize": lambda: tv.solarize(image, operator.amount),
        "posterize": lambda: tv.posterize(image, int(operator.amount)),
    }
    return functions[operator.name]()


@pytest.mark.parametrize("size", [(41, 53), (64, 64), (128, 33)])
@pytest.mark.parametrize("name", sorted(MOVING))
def test_pixels_and_labels_are_moved_as_pil_moves_them(name: Operator, size: tuple[int, int]):
    image = example_images(1, *size)
    positions = np.arange(size[0] * size[1], dtype=np.int32).reshape(size)
    for amount in amounts(name):
        operator = OperatorDraw(name, amount)
        moved, index_map = apply_randaugment(image, [only(operator)])
        expected = reference(image[0], operator)
        expected_positions = moved_by_pil(Image.fromarray(positions + 1), operator)  # PIL's 0 is outside
        assert np.array_equal(index_map[0].numpy(), np.array(expected_positions) - 1)
        outside = index_map[0] < 0
        assert torch.equal(moved[0][:, ~outside], expected[:, ~outside])
        assert (expected[:, outside] == 0).all() and (moved[0][:, outside] == MID_GREY).all()
        assert bool(outside.any()) == (amount != 0)


@pytest.mark.parametrize("seed", range(6))
def test_images_and_labels_agree_to_the_pixel_after_several_moves(seed: int):
    height, width = 90, 120
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    painted = torch.stack((rows, columns, torch.full_like(rows, 255))).to(torch.uint8)
    spec = RandAugment(operators=tuple(sorted(MOVING)), num_ops=3, chance=1.0, cutout_squares=0)
    draws = draws_of(4, spec, seed)
    images, index_map = apply_randaugment(painted.expand(4, -1, -1, -1), draws)
    labels = (rows * width + columns).expand(4, -1, -1)
    carried = carry(labels.clone() + 1000, index_map)  # no label is IGNORE
    shown = images[:, 2] == 255
    assert shown.any() and not shown.all()
    assert torch.equal(carried[shown] - 1000, (images[:, 0].long() * width + images[:, 1])[shown])
    assert (carried[~shown] == IGNORE).all()


def test_several_operators_are_applied_one_by_one():
    spec = RandAugment(num_ops=4, operators=EXACT, cutout_squares=0, chance=0.8)
    images, draws = example_images(60), draws_of(60, spec)
    results, index_maps = apply_randaugment(images, draws)
    for image, draw, result, index_map in zip(images, draws, results, index_maps, strict=True):
        for operator in draw.operators:
            image = reference(image, operator)
        assert torch.equal(result, torch.where(index_map < 0, MID_GREY, image))


@pytest.mark.parametrize("amount", [0.1, 0.28, 1.0, 1.72, 1.9])
@pytest.mark.parametrize(
    ("name", "by_torchvision"),
    [
        ("color", tv.adjust_saturation),
        ("contrast", tv.adjust_contrast),
        ("brightness", tv.adjust_brightness),
        ("sharpness", tv.adjust_sharpness),
    ],
)
def test_factors_equal_torchvisions(name: Operator, by_torchvision, amount: float):
    images = example_images(3)
    results, index_map = apply_randaugment(images, [only(OperatorDraw(name, amount))] * 3)
    assert_near(results, in_steps(torch.stack([by_torchvision(image / 255, amount) for image in images])))
    assert torch.equal(index_map[0].flatten(), torch.arange(41 * 53))


@pytest.mark.parametrize("name", ["autocontrast", "equalize", "solarize", "posterize"])
def test_operators_without_factors_equal_torchvisions(name: Operator):
    images = example_images(3)
    images[1] = 77  # one colour
    for amount in amounts(name)[2:]:  # at magnitude 0, solarising inverts from 256 up, which torchvision refuses
        results, _ = apply_randaugment(images, [only(OperatorDraw(name, amount))] * 3)
        assert torch.equal(results, torch.stack([reference(image, OperatorDraw(name, amount)) for image in images]))


def test_magnitudes_are_those_of_the_authors_code():
    assert amounts("rotate")[2:6] == [3, -3, 6, -6] and amounts("rotate")[-2:] == [30, -30]
    np.testing.assert_allclose(amounts("shear_x")[2:6], [0.03, -0.03, 0.06, -0.06])
    assert amounts("translate_y")[18:20] == [9, -9]
    assert amounts("solarize")[2:20:4] == [231, 180, 128, 77, 26]
    assert amounts("posterize")[2:20:2] == [4, 4, 3, 3, 2, 2, 2, 1, 1]
    np.testing.assert_allclose(amounts("color")[2:20:16], [0.28, 1.72])


def test_squares_are_mid_grey_and_clipped_at_the_border():
    spec = RandAugment(num_ops=0, cutout_squares=3, cutout_size=8)
    images, draws = example_images(20, 30, 40), draws_of(20, spec)
    results, index_map = apply_randaugment(images, draws)
    expected = images.clone()
    for image, draw in zip(expected, draws, strict=True):
        for u_row, u_column in draw.centres:
            row, column = int(u_row * 30), int(u_column * 40)
            image[:, max(0, row - 4) : row + 4, max(0, column - 4) : column + 4] = MID_GREY
    assert torch.equal(results, expected)
    assert torch.equal(index_map, torch.arange(1200).view(1, 30, 40).expand(20, -1, -1))


def test_squares_count_in_a_loss_unless_they_are_ignored():
    images, labels = torch.zeros(6, 3, 40, 40, dtype=torch.uint8), torch.zeros(6, 40, 40, dtype=torch.long)
    for ignored in (False, True):
        spec = RandAugment(num_ops=0, cutout_size=10, ignore_cutout=ignored)
        results, index_map = apply_randaugment(images, draws_of(6, spec))
        cut = (results == MID_GREY).all(dim=1)
        assert cut.any() and torch.equal(carry(labels, index_map) == IGNORE, cut if ignored else torch.zeros_like(cut))


def test_an_image_does_not_depend_on_the_others_nor_on_their_order():
    images, draws = example_images(40), draws_of(40, RandAugment(cutout_size=8))
    names = {operator.name for draw in draws for operator in draw.operators}
    assert len(names) == 14
    together = apply_randaugment(images, draws)
    permutation = np.random.default_rng(1).permutation(40).tolist()
    shuffled = apply_randaugment(images[permutation], [draws[index] for index in permutation])
    for whole, part in zip(together, shuffled, strict=True):
        assert torch.equal(whole[permutation], part)
    for index in range(40):
        alone = apply_randaugment(images[index : index + 1], draws[index : index + 1])
        assert all(torch.equal(whole[index : index + 1], part) for whole, part in zip(together, alone, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_the_rectangle_of_a_padded_image_is_processed_alone(seed: int):
    images, draws = example_images(len(SIZES)), draws_of(len(SIZES), RandAugment(cutout_size=6, num_ops=5), seed)
    results, index_maps = apply_randaugment(images, draws, SIZES)
    own = torch.arange(41 * 53).view(41, 53)
    for index, (height, width) in enumerate(SIZES):
        rectangle = images[index : index + 1, :, :height, :width].contiguous()
        alone, alone_map = apply_randaugment(rectangle, draws[index : index + 1])
        assert torch.equal(results[index, :, :height, :width], alone[0])
        rows, columns = alone_map[0].div(width, rounding_mode="floor"), alone_map[0] % width
        expected_map = torch.where(alone_map[0] < 0, -1, rows * 53 + columns)
        assert torch.equal(index_maps[index, :height, :width], expected_map)
        padding = torch.ones(41, 53, dtype=torch.bool)
        padding[:height, :width] = False
        assert torch.equal(results[index][:, padding], images[index][:, padding])
        assert torch.equal(index_maps[index][padding], own[padding])


def test_the_weak_images_are_not_changed():
    images = example_images(30)
    before = images.clone()
    for spec in (RandAugment(), RandAugment(chance=0.0, cutout_squares=0)):
        results, index_map = apply_randaugment(images, draws_of(30, spec))
        results.clone().zero_()
        carry(torch.zeros(30, 41, 53), index_map).zero_()
        assert torch.equal(images, before)


def test_probabilities_and_masks_are_carried_like_labels():
    draws = draws_of(5, RandAugment(operators=("rotate", "translate_x"), chance=1.0))
    _, index_map = apply_randaugment(example_images(5), draws)
    labels = torch.randint(0, 4, (5, 41, 53), generator=torch.Generator().manual_seed(0))
    probabilities = torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).double()
    carried, counted = carry(labels, index_map), carry(torch.ones_like(labels, dtype=torch.bool), index_map)
    assert torch.equal(counted, carried != IGNORE) and not counted.all()
    carried_probabilities = carry(probabilities, index_map)
    assert torch.equal(carried_probabilities.sum(dim=1), counted.double())
    assert torch.equal(carried_probabilities.argmax(dim=1)[counted], carried[counted])
    assert carry(labels, None) is labels
    with pytest.raises(ValueError, match=r"carried at the size of their images, \(41, 53\), got \(20, 20\)"):
        carry(torch.zeros(5, 20, 20), index_map)


@pytest.mark.parametrize("num_ops", [0, 1, 3])
def test_the_number_of_random_numbers_depends_on_the_fields_alone(num_ops: int):
    for spec in (RandAugment(num_ops=num_ops), RandAugment(num_ops=num_ops, chance=0, operators=("posterize",))):
        rng, other = np.random.default_rng(5), np.random.default_rng(5)
        draw_randaugment(rng, spec)
        other.random(4 * num_ops + 2 * 3)
        assert rng.random() == other.random()


def test_operators_magnitudes_and_sides_are_equally_likely():
    operators = [draw.operators for draw in draws_of(4000, RandAugment(chance=1.0, num_ops=1))]
    names = collections.Counter(operator.name for (operator,) in operators)
    assert len(names) == 14 and max(abs(count - 4000 / 14) for count in names.values()) < 5 * np.sqrt(4000 / 14)
    spec = RandAugment(chance=0.5, num_ops=1, operators=("rotate",))
    degrees = collections.Counter(draw.operators[0].amount for draw in draws_of(7200, spec))
    not_applied = degrees.pop(0.0)
    assert abs(not_applied - 3600) < 5 * np.sqrt(1800)
    assert set(degrees) == {side * 3.0 * magnitude for side in (1, -1) for magnitude in range(1, 10)}
    assert max(abs(count - 200) for count in degrees.values()) < 5 * np.sqrt(200)


def test_centres_of_squares_fill_the_image():
    centres = np.array([centre for draw in draws_of(2000, RandAugment()) for centre in draw.centres])
    for shares in centres.T:
        counts, _ = np.histogram(shares, bins=6, range=(0, 1))
        assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000)


def test_the_authors_defaults():
    assert RandAugment() == RandAugment(
        num_ops=3, chance=0.5, magnitudes=(1, 9), rotate=30, shear=0.3, translate=10, cutout_squares=3, cutout_size=32
    )
    assert len(RandAugment().operators) == 14


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"magnitudes": (5, 4)}, "magnitudes must be two rising numbers from 0 to 10"),
        ({"magnitudes": (1, 11)}, "magnitudes must be two rising numbers from 0 to 10"),
        ({"operators": ()}, "operators must not be empty with num_ops=3"),
        ({"operators": ("rotat",)}, r"operators\[0\] must be one of identity"),
        ({"cutout_size": 5}, "cutout_size must be even, got 5"),
    ],
)
def test_a_wrong_field_is_refused(changes: dict[str, object], message: str):
    with pytest.raises(FieldError, match=message):
        RandAugment(**changes)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_an_accelerator_and_a_cpu_give_the_same_results():
    images, draws = example_images(60, 96, 128), draws_of(60, RandAugment(num_ops=1))
    on_cpu, on_gpu = apply_randaugment(images, draws), apply_randaugment(images.cuda(), draws)
    assert torch.equal(on_cpu[1], on_gpu[1].cpu())
    assert (on_cpu[0].int() - on_gpu[0].cpu().int()).abs().max() <= 1
