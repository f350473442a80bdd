"""Image-level and region-level losses against plain loops over images, classes and regions."""

from __future__ import annotations

import math

import pytest
import torch

from methods.losses import image_semantic, region_content

Size = tuple[int, int]


def drawn(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def some_padding(*shape: int) -> torch.Tensor:
    """Return a mask: the first image is padded on the right, the last image is padding alone."""
    valid = torch.ones(*shape, dtype=torch.bool)
    valid[0, :, shape[2] // 2 :] = False
    valid[-1] = False
    return valid


def plain_image_semantic(
    student: torch.Tensor, teacher: torch.Tensor, valid: torch.Tensor, reduction: str
) -> torch.Tensor:
    distances, images = [], 0
    for b in range(len(student)):
        pixels = valid[b].nonzero().tolist()
        images += bool(pixels)
        for c in range(student.shape[1] if pixels else 0):
            means = [sum(logits[b, c, h, w] for h, w in pixels) / len(pixels) for logits in (student, teacher)]
            distances.append(abs(means[0] - means[1]))
    return sum(distances) / (1 if reduction == "sum" else images * student.shape[1])


def cells(at: int, of: int, length: int) -> range:
    """Return the rows (or columns) of a region of adaptive pooling."""
    return range(at * length // of, -(-(at + 1) * length // of))


def plain_regions(features: torch.Tensor, size: Size, valid: torch.Tensor) -> list[torch.Tensor | None]:
    """Return the mean feature of each region of one image (D x h x w); None for padding alone."""
    means: list[torch.Tensor | None] = []
    for i in range(size[0]):
        for j in range(size[1]):
            inside = [
                features[:, h, w]
                for h in cells(i, size[0], features.shape[1])
                for w in cells(j, size[1], features.shape[2])
                if valid[h, w]
            ]
            means.append(sum(inside) / len(inside) if inside else None)
    return means


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum() / ((a * a).sum().sqrt() * (b * b).sum().sqrt())


def plain_region_content(student: torch.Tensor, teacher: torch.Tensor, size: Size, valid: torch.Tensor) -> torch.Tensor:
    squares = []
    for b in range(len(student)):
        ours, target = (plain_regions(features[b], size, valid[b]) for features in (student, teacher))
        for i in range(len(ours)):
            for j in range(len(ours)):
                if ours[i] is not None and ours[j] is not None:
                    squares.append((cosine(ours[i], ours[j]) - cosine(target[i], target[j])) ** 2)
    return sum(squares) / len(squares)


def assert_same(fast: torch.Tensor, slow: torch.Tensor, student: torch.Tensor) -> None:
    gradients = [torch.autograd.grad(loss, student, retain_graph=True)[0] for loss in (fast, slow)]
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-8, atol=1e-12)
    assert gradients[0].abs().sum() > 0


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("padded", [False, True])
def test_image_semantic_is_the_l1_distance_of_mean_logits(reduction: str, padded: bool) -> None:
    student, teacher = drawn(0, 3, 4, 5, 6), drawn(1, 3, 4, 5, 6)
    valid = some_padding(3, 5, 6) if padded else torch.ones(3, 5, 6, dtype=torch.bool)
    fast = image_semantic(student, teacher, reduction=reduction, valid=valid if padded else None)
    assert_same(fast, plain_image_semantic(student, teacher.detach(), valid, reduction), student)


def test_both_readings_of_eq_4_by_hand() -> None:
    # Mean logits of the student: 2 and -1, then 0 and 1; of the teacher: 5 and -1, then -1 and 3.
    student = torch.tensor([[[[1.0, 3.0]], [[-1.0, -1.0]]], [[[0.0, 0.0]], [[2.0, 0.0]]]])
    teacher = torch.tensor([[[[5.0, 5.0]], [[0.0, -2.0]]], [[[-2.0, 0.0]], [[3.0, 3.0]]]])
    assert image_semantic(student, teacher, reduction="sum").item() == pytest.approx(3 + 0 + 1 + 2)
    assert image_semantic(student, teacher).item() == pytest.approx((3 + 0 + 1 + 2) / (2 * 2))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 7), (6, 4)])
@pytest.mark.parametrize("padded", [False, True])
def test_region_content_compares_every_pair_of_regions(size: Size, padded: bool) -> None:
    student, teacher = drawn(2, 3, 5, 6, 8), drawn(3, 3, 4, 6, 8)
    valid = some_padding(3, 6, 8) if padded else torch.ones(3, 6, 8, dtype=torch.bool)
    fast = region_content(student, teacher, size=size, valid=valid if padded else None)
    slow = plain_region_content(student, teacher.detach(), size, valid)
    if size == (1, 1):
        assert fast.item() == pytest.approx(0, abs=1e-20)  # one region alone is equal to itself
    else:
        assert_same(fast, slow, student)


def test_region_content_by_hand() -> None:
    # Regions of the student at right angles, of the teacher at 60 degrees: half of the four cosines differ by 1/2.
    student = torch.tensor([[[[2.0, 0.0]], [[0.0, 3.0]]]])
    teacher = torch.tensor([[[[1.0, 1.0]], [[0.0, math.sqrt(3)]]]])
    assert region_content(student, teacher, size=(1, 2)).item() == pytest.approx(0.5 * 0.25)


def test_student_and_teacher_may_have_features_of_different_widths_and_resolutions() -> None:
    small = drawn(4, 2, 3, 4, 4)
    large = small.detach().repeat_interleave(2, 2).repeat_interleave(2, 3).repeat(1, 2, 1, 1)
    valid = torch.ones(2, 16, 16, dtype=torch.bool)
    valid[0, :, 8:] = False
    assert region_content(small, large, size=(2, 2), valid=valid).item() == pytest.approx(0, abs=1e-25)
    assert region_content(small, large + 1, size=(2, 2), valid=valid).item() > 1e-3


def test_values_on_padding_make_no_difference() -> None:
    student, teacher, valid = drawn(2, 3, 4, 6, 8), drawn(3, 3, 4, 6, 8), some_padding(3, 6, 8)
    changed = torch.where(valid.unsqueeze(1), student, 1e6)
    for loss in (image_semantic, lambda *pair, valid: region_content(*pair, size=(3, 3), valid=valid)):
        assert loss(changed, teacher, valid=valid).item() == pytest.approx(loss(student, teacher, valid=valid).item())
        assert loss(changed, teacher, valid=None).item() != pytest.approx(loss(student, teacher, valid=None).item())


def test_padding_alone_gives_a_differentiable_zero() -> None:
    student, teacher = drawn(2, 2, 4, 6, 8), drawn(3, 2, 4, 6, 8)
    valid = torch.zeros(2, 6, 8, dtype=torch.bool)
    for loss in (
        image_semantic(student, teacher, valid=valid),
        image_semantic(student, teacher, valid=valid, reduction="sum"),
        region_content(student, teacher, size=(3, 3), valid=valid),
    ):
        assert loss.item() == 0
        assert torch.equal(torch.autograd.grad(loss, student)[0], torch.zeros_like(student))


def test_regions_of_zeros_have_finite_losses_and_gradients() -> None:
    student = torch.zeros(1, 4, 4, 4, requires_grad=True)
    loss = region_content(student, drawn(3, 1, 4, 4, 4).float(), size=(2, 2))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(student.grad).all()


def test_the_teacher_gets_no_gradient() -> None:
    student, teacher = drawn(2, 2, 4, 6, 8), drawn(3, 2, 4, 6, 8)
    for loss in (image_semantic(student, teacher), region_content(student, teacher, size=(3, 3))):
        with pytest.raises(RuntimeError, match="not have been used"):
            torch.autograd.grad(loss, teacher)


@pytest.mark.parametrize(("dtype", "computed"), [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)])
def test_they_are_computed_in_the_dtype_of_the_inputs_and_at_least_in_single_precision(
    dtype: torch.dtype, computed: torch.dtype
) -> None:
    student, teacher = drawn(2, 2, 4, 6, 8).to(dtype), drawn(3, 2, 4, 6, 8).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with_autocast = (image_semantic(student, teacher), region_content(student, teacher, size=(3, 3)))
    in_double = (
        image_semantic(student.double(), teacher.double()),
        region_content(student.double(), teacher.double(), size=(3, 3)),
    )
    for loss, exact in zip(with_autocast, in_double, strict=True):
        assert loss.dtype == computed
        assert loss.item() == pytest.approx(exact.item(), rel=1e-5)
