"""Class covariances and augmented logits against plain loops, and what they cost."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from methods.fda import FDA, update_covariance
from methods.losses import ClassCovariance, augmented_logits, covariance

IGNORE = 255
CLASSES, WIDTH = 3, 4


def drawn(seed: int, pixels: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Features whose classes differ in mean and spread, and labels with ignored ones and no pixel of class 2."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (pixels,), generator=generator)
    labels[::5] = IGNORE
    features = torch.randn(pixels, WIDTH, generator=generator, dtype=torch.float64)
    features = features @ torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)
    return (features * (1 + labels.unsqueeze(1)) + 3 * labels.unsqueeze(1)).to(dtype), labels


def plain(features: torch.Tensor, labels: torch.Tensor, of: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean and the biased covariance matrix of a class, feature by feature."""
    members = [features[index] for index in range(len(labels)) if int(labels[index]) == of]
    mean = sum(members) / len(members)
    matrix = torch.zeros(WIDTH, WIDTH, dtype=features.dtype)
    for member in members:
        for a in range(WIDTH):
            for b in range(WIDTH):
                matrix[a, b] += (member[a] - mean[a]) * (member[b] - mean[b])
    return mean, matrix / len(members)


def seen(parts: list[tuple[torch.Tensor, torch.Tensor]], *, full: bool) -> ClassCovariance:
    made = ClassCovariance(CLASSES, WIDTH, full=full)
    for features, labels in parts:
        made.update(features, labels)
    return made


@pytest.mark.parametrize("full", [False, True])
def test_after_uneven_updates_it_is_the_covariance_of_all_features_seen(full: bool) -> None:
    parts = [drawn(0, 40), drawn(1, 7), drawn(2, 90)]
    found = seen(parts, full=full)
    features, labels = (torch.cat(each) for each in zip(*parts, strict=True))
    for of in (0, 1):
        mean, matrix = plain(features, labels, of)
        torch.testing.assert_close(found.mean[of], mean, rtol=1e-12, atol=1e-12)
        expected = matrix if full else matrix.diagonal()
        torch.testing.assert_close(found.covariance[of], expected, rtol=1e-11, atol=1e-12)
        assert int(found.count[of]) == int((labels == of).sum())


@pytest.mark.parametrize("full", [False, True])
def test_a_class_that_was_never_seen_stays_zero(full: bool) -> None:
    found = seen([drawn(0, 40), drawn(1, 40)], full=full)
    assert int(found.count[2]) == 0
    assert torch.equal(found.mean[2], torch.zeros_like(found.mean[2]))
    assert torch.equal(found.covariance[2], torch.zeros_like(found.covariance[2]))


@pytest.mark.parametrize("full", [False, True])
def test_features_under_ignored_labels_change_nothing_whatever_they_are(full: bool) -> None:
    features, labels = drawn(0, 40)
    spoilt = torch.where((labels == IGNORE).unsqueeze(1), torch.nan, features)
    for clean, other in zip(
        seen([(features, labels)], full=full).buffers(), seen([(spoilt, labels)], full=full).buffers(), strict=True
    ):
        assert torch.equal(clean, other)


@pytest.mark.parametrize("full", [False, True])
def test_nothing_but_ignored_labels_leaves_it_as_it_was(full: bool) -> None:
    found = seen([drawn(0, 40)], full=full)
    before = [each.clone() for each in found.buffers()]
    features, labels = drawn(1, 40)
    found.update(features, torch.full_like(labels, IGNORE))
    assert all(torch.equal(a, b) for a, b in zip(before, found.buffers(), strict=True))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("given", "kept"),
    [(torch.float32, torch.float32), (torch.float64, torch.float64), (torch.bfloat16, torch.float32)],
)
def test_statistics_are_kept_in_the_dtype_given_and_never_below_single(
    given: torch.dtype, kept: torch.dtype, full: bool
) -> None:
    found = seen([drawn(0, 40, given)], full=full)
    assert found.mean.dtype == found.covariance.dtype == kept
    assert found.count.dtype == torch.int64


@pytest.mark.parametrize("full", [False, True])
def test_far_from_zero_single_precision_still_sees_the_spread(full: bool) -> None:
    features, labels = drawn(0, 400)
    far = seen([(features.float() + 1000, labels)], full=full)
    near = seen([(features, labels)], full=full)
    torch.testing.assert_close(far.covariance.double(), near.covariance, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("full", [False, True])
def test_how_many_pixels_are_taken_at_once_makes_no_difference(full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = seen([drawn(0, 50)], full=full)
    monkeypatch.setattr(covariance, "MAX_TEMPORARY", 3 * WIDTH)
    torch.testing.assert_close(list(seen([drawn(0, 50)], full=full).buffers()), list(whole.buffers()))


def example(*, full: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, CLASSES, 2, 3, generator=generator, dtype=torch.float64).requires_grad_()
    labels = torch.randint(0, CLASSES, (2, 2, 3), generator=generator)
    labels[1, 0, 1] = IGNORE
    weight = torch.randn(CLASSES, WIDTH, generator=generator, dtype=torch.float64).requires_grad_()
    root = torch.randn(CLASSES, WIDTH, WIDTH, generator=generator, dtype=torch.float64)
    matrices = root @ root.mT
    return logits, labels, weight, matrices if full else matrices.diagonal(dim1=1, dim2=2).clone()


def plainly_augmented(
    logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor, spread: torch.Tensor, strength: float
) -> torch.Tensor:
    added = torch.zeros_like(logits)
    for b, h, w in torch.cartesian_prod(*(torch.arange(size) for size in labels.shape)).tolist():
        of = int(labels[b, h, w])
        if of == IGNORE:
            continue
        sigma = spread[of] if spread.dim() == 3 else spread[of].diag()
        for j in range(CLASSES):
            v = weight[j] - weight[of]
            added[b, j, h, w] = strength / 2 * (v @ sigma @ v)
    return logits + added


@pytest.mark.parametrize("full", [False, True])
def test_augmented_logits_are_the_quadratic_form_in_value_and_gradient(full: bool) -> None:
    logits, labels, weight, spread = example(full=full)
    fast = augmented_logits(logits, labels, weight, spread, 1.5)
    slow = plainly_augmented(logits, labels, weight, spread, 1.5)
    assert fast.dtype == torch.float64
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    mine, plain = (torch.autograd.grad(each.logsumexp(1).sum(), (logits, weight)) for each in (fast, slow))
    torch.testing.assert_close(mine, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("full", [False, True])
def test_the_added_term_never_trains_the_covariance(full: bool) -> None:
    logits, labels, weight, spread = example(full=full)
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(augmented_logits(logits, labels, weight, spread.requires_grad_(), 1.0).sum(), spread)


@pytest.mark.parametrize("full", [False, True])
def test_without_train_weight_the_added_term_is_the_same_number_and_trains_no_classifier(full: bool) -> None:
    logits, labels, weight, spread = example(full=full)
    constant = augmented_logits(logits, labels, weight, spread, 1.5, train_weight=False)
    assert torch.equal(constant, augmented_logits(logits, labels, weight, spread, 1.5))
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(constant.sum(), weight)


def test_by_default_the_function_and_fda_are_of_one_mind_about_the_classifier() -> None:
    default = inspect.signature(augmented_logits).parameters["train_weight"].default
    assert default is FDA().train_weight is True


@pytest.mark.parametrize("full", [False, True])
def test_nothing_is_added_to_the_own_class_or_where_the_label_is_ignored(full: bool) -> None:
    logits, labels, weight, spread = example(full=full)
    added = augmented_logits(logits, labels, weight, spread, 1.0) - logits
    assert torch.equal(added[1, :, 0, 1], torch.zeros(CLASSES, dtype=torch.float64))
    own = added.gather(1, labels.clamp(max=CLASSES - 1).unsqueeze(1))
    assert torch.equal(own, torch.zeros_like(own))
    assert (added >= 0).all() and (added > 0).any()


def test_a_strength_of_zero_adds_nothing() -> None:
    logits, labels, weight, spread = example(full=True)
    assert torch.equal(augmented_logits(logits, labels, weight, spread, 0.0), logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_augmented_logits_come_in_the_dtype_of_the_logits(dtype: torch.dtype) -> None:
    logits, labels, weight, spread = example(full=False)
    assert augmented_logits(logits.to(dtype), labels, weight, spread, 1.0).dtype == dtype


def peak(work: Callable[[], object], folder: Path) -> int:
    """Bytes that torch holds at once while it works, beyond those it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = work()
    trace = folder / "trace.json"
    profiler.export_chrome_trace(str(trace))
    del kept
    events = [each for each in json.loads(trace.read_text())["traceEvents"] if each.get("name") == "[memory]"]
    held, most = 0, 0
    for event in sorted(events, key=lambda each: each["ts"]):
        held += event["args"]["Bytes"]
        most = max(most, held)
    return most


@pytest.mark.parametrize("full", [False, True])
def test_a_step_at_full_size_takes_less_than_20_megabytes(full: bool, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(16384, 256, generator=generator)
    labels = torch.randint(0, 21, (16384,), generator=generator)
    labels[3000:] = 0  # most pixels are of one class, as in real images
    logits = torch.randn(4, 21, 64, 64, generator=generator)
    weight = torch.randn(21, 256, generator=generator)
    estimator = ClassCovariance(21, 256, full=full)

    def step() -> torch.Tensor:
        estimator.update(features, labels)
        return augmented_logits(logits, labels.view(4, 64, 64), weight, estimator.covariance, 1.5)

    maps = features.view(4, 64, 64, 256).movedim(-1, 1).contiguous()

    def in_training() -> None:
        update_covariance(estimator, maps, labels.view(4, 64, 64), (64, 64))

    assert peak(step, tmp_path) < 20 * 10**6
    assert peak(in_training, tmp_path) < 20 * 10**6
    assert peak(lambda: torch.zeros(6 * 10**6), tmp_path) >= 24 * 10**6, "the measurement sees nothing"
