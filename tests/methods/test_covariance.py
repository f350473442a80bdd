"""Class covariances and augmented logits against plain loops, and their memory."""

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
    """Return features whose classes differ in mean and variance, and labels: some ignored, none of class 2."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (pixels,), generator=generator)
    labels[::5] = IGNORE
    features = torch.randn(pixels, WIDTH, generator=generator, dtype=torch.float64)
    features = features @ torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)
    return (features * (1 + labels.unsqueeze(1)) + 3 * labels.unsqueeze(1)).to(dtype), labels


def plain_statistics(features: torch.Tensor, labels: torch.Tensor, label: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the biased covariance matrix of a class, feature by feature."""
    members = [features[index] for index in range(len(labels)) if int(labels[index]) == label]
    mean = sum(members) / len(members)
    matrix = torch.zeros(WIDTH, WIDTH, dtype=features.dtype)
    for member in members:
        for a in range(WIDTH):
            for b in range(WIDTH):
                matrix[a, b] += (member[a] - mean[a]) * (member[b] - mean[b])
    return mean, matrix / len(members)


def estimate(parts: list[tuple[torch.Tensor, torch.Tensor]], *, full: bool) -> ClassCovariance:
    estimator = ClassCovariance(CLASSES, WIDTH, full=full)
    for features, labels in parts:
        estimator.update(features, labels)
    return estimator


@pytest.mark.parametrize("full", [False, True])
def test_after_updates_of_different_sizes_it_is_the_covariance_of_all_features(full: bool) -> None:
    parts = [drawn(0, 40), drawn(1, 7), drawn(2, 90)]
    estimator = estimate(parts, full=full)
    features, labels = (torch.cat(each) for each in zip(*parts, strict=True))
    for label in (0, 1):
        mean, matrix = plain_statistics(features, labels, label)
        torch.testing.assert_close(estimator.mean[label], mean, rtol=1e-12, atol=1e-12)
        expected = matrix if full else matrix.diagonal()
        torch.testing.assert_close(estimator.covariance[label], expected, rtol=1e-11, atol=1e-12)
        assert int(estimator.count[label]) == int((labels == label).sum())


@pytest.mark.parametrize("full", [False, True])
def test_a_class_without_features_stays_zero(full: bool) -> None:
    estimator = estimate([drawn(0, 40), drawn(1, 40)], full=full)
    assert int(estimator.count[2]) == 0
    assert torch.equal(estimator.mean[2], torch.zeros_like(estimator.mean[2]))
    assert torch.equal(estimator.covariance[2], torch.zeros_like(estimator.covariance[2]))


@pytest.mark.parametrize("full", [False, True])
def test_features_under_ignored_labels_change_nothing_even_if_they_are_nan(full: bool) -> None:
    features, labels = drawn(0, 40)
    with_nan = torch.where((labels == IGNORE).unsqueeze(1), torch.nan, features)
    for clean, other in zip(
        estimate([(features, labels)], full=full).buffers(),
        estimate([(with_nan, labels)], full=full).buffers(),
        strict=True,
    ):
        assert torch.equal(clean, other)


@pytest.mark.parametrize("full", [False, True])
def test_an_update_of_ignored_labels_alone_changes_nothing(full: bool) -> None:
    estimator = estimate([drawn(0, 40)], full=full)
    before = [each.clone() for each in estimator.buffers()]
    features, labels = drawn(1, 40)
    estimator.update(features, torch.full_like(labels, IGNORE))
    assert all(torch.equal(a, b) for a, b in zip(before, estimator.buffers(), strict=True))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("dtype", "kept"),
    [(torch.float32, torch.float32), (torch.float64, torch.float64), (torch.bfloat16, torch.float32)],
)
def test_statistics_have_the_dtype_of_the_features_and_at_least_single_precision(
    dtype: torch.dtype, kept: torch.dtype, full: bool
) -> None:
    estimator = estimate([drawn(0, 40, dtype)], full=full)
    assert estimator.mean.dtype == estimator.covariance.dtype == kept
    assert estimator.count.dtype == torch.int64


@pytest.mark.parametrize("full", [False, True])
def test_single_precision_is_enough_for_features_far_from_zero(full: bool) -> None:
    features, labels = drawn(0, 400)
    far = estimate([(features.float() + 1000, labels)], full=full)
    near = estimate([(features, labels)], full=full)
    torch.testing.assert_close(far.covariance.double(), near.covariance, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("full", [False, True])
def test_the_size_of_chunks_makes_no_difference(full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = estimate([drawn(0, 50)], full=full)
    monkeypatch.setattr(covariance, "MAX_TEMPORARY", 3 * WIDTH)
    torch.testing.assert_close(list(estimate([drawn(0, 50)], full=full).buffers()), list(whole.buffers()))


def example(*, full: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, CLASSES, 2, 3, generator=generator, dtype=torch.float64).requires_grad_()
    labels = torch.randint(0, CLASSES, (2, 2, 3), generator=generator)
    labels[1, 0, 1] = IGNORE
    weight = torch.randn(CLASSES, WIDTH, generator=generator, dtype=torch.float64).requires_grad_()
    root = torch.randn(CLASSES, WIDTH, WIDTH, generator=generator, dtype=torch.float64)
    matrices = root @ root.mT
    return logits, labels, weight, matrices if full else matrices.diagonal(dim1=1, dim2=2).clone()


def plain_augmented_logits(
    logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor, covariances: torch.Tensor, strength: float
) -> torch.Tensor:
    added = torch.zeros_like(logits)
    for b, h, w in torch.cartesian_prod(*(torch.arange(size) for size in labels.shape)).tolist():
        y = int(labels[b, h, w])
        if y == IGNORE:
            continue
        sigma = covariances[y] if covariances.dim() == 3 else covariances[y].diag()
        for j in range(CLASSES):
            v = weight[j] - weight[y]
            added[b, j, h, w] = strength / 2 * (v @ sigma @ v)
    return logits + added


@pytest.mark.parametrize("full", [False, True])
def test_augmented_logits_are_the_quadratic_form_in_value_and_gradient(full: bool) -> None:
    logits, labels, weight, covariances = example(full=full)
    fast = augmented_logits(logits, labels, weight, covariances, 1.5)
    slow = plain_augmented_logits(logits, labels, weight, covariances, 1.5)
    assert fast.dtype == torch.float64
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(output.logsumexp(1).sum(), (logits, weight)) for output in (fast, slow)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("full", [False, True])
def test_the_added_term_never_trains_the_covariance(full: bool) -> None:
    logits, labels, weight, covariances = example(full=full)
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(
            augmented_logits(logits, labels, weight, covariances.requires_grad_(), 1.0).sum(), covariances
        )


@pytest.mark.parametrize("full", [False, True])
def test_without_train_weight_the_added_term_is_the_same_number_and_trains_no_classifier(full: bool) -> None:
    logits, labels, weight, covariances = example(full=full)
    constant = augmented_logits(logits, labels, weight, covariances, 1.5, train_weight=False)
    assert torch.equal(constant, augmented_logits(logits, labels, weight, covariances, 1.5))
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(constant.sum(), weight)


def test_the_function_and_fda_have_the_same_default_of_train_weight() -> None:
    default = inspect.signature(augmented_logits).parameters["train_weight"].default
    assert default is FDA().train_weight is True


@pytest.mark.parametrize("full", [False, True])
def test_nothing_is_added_to_the_pixels_class_or_where_the_label_is_ignored(full: bool) -> None:
    logits, labels, weight, covariances = example(full=full)
    added = augmented_logits(logits, labels, weight, covariances, 1.0) - logits
    assert torch.equal(added[1, :, 0, 1], torch.zeros(CLASSES, dtype=torch.float64))
    of_label = added.gather(1, labels.clamp(max=CLASSES - 1).unsqueeze(1))
    assert torch.equal(of_label, torch.zeros_like(of_label))
    assert (added >= 0).all() and (added > 0).any()


def test_a_strength_of_zero_adds_nothing() -> None:
    logits, labels, weight, covariances = example(full=True)
    assert torch.equal(augmented_logits(logits, labels, weight, covariances, 0.0), logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_augmented_logits_have_the_dtype_of_the_logits(dtype: torch.dtype) -> None:
    logits, labels, weight, covariances = example(full=False)
    assert augmented_logits(logits.to(dtype), labels, weight, covariances, 1.0).dtype == dtype


def peak_memory(work: Callable[[], object], folder: Path) -> int:
    """Return the most bytes that torch allocates at once during the work, beyond those before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = work()
    trace = folder / "trace.json"
    profiler.export_chrome_trace(str(trace))
    del result
    trace_events = json.loads(trace.read_text())["traceEvents"]
    events = [event for event in trace_events if event.get("name") == "[memory]"]
    held, most = 0, 0
    for event in sorted(events, key=lambda event: event["ts"]):
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

    assert peak_memory(step, tmp_path) < 20 * 10**6
    assert peak_memory(in_training, tmp_path) < 20 * 10**6
    assert peak_memory(lambda: torch.zeros(6 * 10**6), tmp_path) >= 24 * 10**6, (
        "the measurement must notice a large tensor"
    )
