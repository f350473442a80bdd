"""The check of exported files finds differences, and passes where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import QUIET, small
from safetensors.torch import load_file, save_file

from assay.export.check import CheckImages, PredictionsDiffer, batches_of, check, check_images
from assay.export.folder import PROGRAM, WEIGHTS, export
from assay.export.network import Trained, load_trained
from assay.export.program import Program
from assay.places import Places
from assay.resolve import resolve
from assay.store import records
from assay.store.local import LocalStore
from assay.training.session import train

PROGRAM_OF_ANY_SIZE = Program(data=b"", sides=None, smallest=5)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalStore, Trained, Path]:
    """Return a store with one finished experiment, that experiment, and the folder of its export."""
    folder = tmp_path_factory.mktemp("check")
    store = LocalStore(folder / "store")
    resolved = resolve(small(), Places())
    train(resolved, store, places=Places(), runtime=QUIET)
    export(store, resolved.key, folder / "out")
    return store, load_trained(store, resolved.key), folder / "out"


def test_stored_validation_images_are_checked_with_their_predictions(
    exported: tuple[LocalStore, Trained, Path],
) -> None:
    store, trained, folder = exported
    result, _ = check(folder / PROGRAM, folder / WEIGHTS, trained, PROGRAM_OF_ANY_SIZE, check_images(store, trained))
    assert (result.images, result.as_in_training) == ("validation", 1.0)
    assert result.shapes == ((1, 3, 16, 16), (2, 3, 12, 12), (3, 3, 5, 5))
    assert max(result.program_difference, result.weights_difference) < 1e-5


def test_without_stored_images_random_ones_are_checked(
    exported: tuple[LocalStore, Trained, Path], store: LocalStore
) -> None:
    _, trained, folder = exported
    images = check_images(store, trained)
    result, _ = check(folder / PROGRAM, folder / WEIGHTS, trained, PROGRAM_OF_ANY_SIZE, images)
    assert (result.images, result.as_in_training) == ("random", None)


def test_weights_that_predict_something_else_are_found(
    exported: tuple[LocalStore, Trained, Path], tmp_path: Path
) -> None:
    store, trained, folder = exported
    weights = load_file(folder / WEIGHTS)
    weights["head.classifier.bias"] += torch.tensor([5.0, 0, 0, 0, 0, -5.0])
    save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(PredictionsDiffer, match=rf"{WEIGHTS} does not predict the same"):
        check(folder / PROGRAM, tmp_path / WEIGHTS, trained, PROGRAM_OF_ANY_SIZE, check_images(store, trained))


def test_a_program_of_other_weights_is_found(exported: tuple[LocalStore, Trained, Path]) -> None:
    store, trained, folder = exported
    other = load_trained(store, trained.key)
    with torch.no_grad():
        other.network.head.classifier.bias += torch.tensor([0.0, 0, 0, 0, 0, 0.5])
    with pytest.raises(PredictionsDiffer, match=rf"{PROGRAM} does not predict the same"):
        check(folder / PROGRAM, folder / WEIGHTS, other, PROGRAM_OF_ANY_SIZE, check_images(store, trained))


def test_a_program_for_one_size_is_checked_with_that_size_alone() -> None:
    images = CheckImages(kind="random", images=(torch.zeros(3, 9, 7, dtype=torch.uint8),) * 2, predictions=())
    program = Program(data=b"", sides=(9, 7), smallest=5)
    assert [tuple(each.shape) for each in batches_of(images.images, program)] == [(1, 3, 9, 7), (2, 3, 9, 7)]


def test_stored_weights_that_were_changed_are_not_exported(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    resolved = resolve(small(recipe__steps=2), Places())
    train(resolved, store, places=Places(), runtime=QUIET)
    store.write(resolved.key, "weights.pt", b"something else")
    with pytest.raises(Exception, match="are not those that its result names"):
        export(store, resolved.key, tmp_path / "out")
    assert records.state(store, resolved.key).name == "done" and not (tmp_path / "out").exists()
