"""`assay export`: from a key to files that stand alone, and every refusal."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import predict_alone
from helpers import QUIET, small
from safetensors.torch import load_file

from assay import NUMERICS
from assay.commands import run
from assay.data.normalize import IMAGENET, normalize
from assay.experiment import Experiment
from assay.export import folder as export_folder
from assay.export.check import PredictionsDiffer
from assay.export.network import load_trained
from assay.nets.network import build_network
from assay.places import Places
from assay.resolve import resolve
from assay.store import records
from assay.store.local import LocalStore
from assay.training.session import train

FILES = {"model.pt2", "weights.safetensors", "model.json"}


def trained(out: Path, experiment: Experiment) -> str:
    """Train an experiment and the experiments inside it below `out`, and return its key."""
    store, resolved = LocalStore(out / "store"), resolve(experiment, Places())
    for each in (*resolved.inputs.values(), resolved):
        train(each, store, places=Places(), runtime=QUIET)
    return resolved.key


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a folder of results, and the key of a student in it, whose teacher is larger."""
    out = tmp_path_factory.mktemp("results")
    return out, trained(out, small("kd", method__teachers=(small(seed=7, net__encoder__width=8),)))


@pytest.fixture(scope="module")
def export_output(finished: tuple[Path, str]) -> tuple[Path, str]:
    """Return the student's exported folder, and the command's output."""
    out, key = finished
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert run(["export", key[:8], "--out", str(out)]) == 0
    return out / "export" / key, output.getvalue()


@pytest.fixture
def exported(export_output: tuple[Path, str]) -> Path:
    """Return the student's exported folder."""
    return export_output[0]


def test_a_folder_with_three_files_appears_and_nothing_beside_it(exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == FILES
    assert [path.name for path in exported.parent.iterdir()] == [exported.name]
    assert all(
        each.stat().st_mode & 0o044 == (exported / "model.json").stat().st_mode & 0o044 for each in exported.iterdir()
    )


def test_a_process_without_this_package_predicts_the_same(
    exported: Path, finished: tuple[Path, str], tmp_path: Path
) -> None:
    out, key = finished
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 21, 30), dtype=np.uint8)
    network = load_trained(LocalStore(out / "store"), key).network
    with torch.no_grad():
        expected = network(normalize(torch.tensor(images), IMAGENET)).argmax(dim=1)
    assert np.array_equal(predict_alone(exported, images, tmp_path), expected.numpy())


def test_the_document_holds_everything_that_a_user_needs(exported: Path, finished: tuple[Path, str]) -> None:
    out, key = finished
    document = json.loads((exported / "model.json").read_text())
    result = records.read_json(LocalStore(out / "store"), key, records.RESULT)
    assert (document["key"], document["method"], document["network"]) == (key, "kd", "student")
    assert (document["classes"], document["miou"]) == (result["classes"], result["miou"])
    assert document["input"]["images"] == ["batch", 3, "height", "width"] and document["input"]["dtype"] == "uint8"
    assert document["ignore_index"] == 255 and document["weights_expect"]["mean"] == [0.485, 0.456, 0.406]
    cost = result["cost"]["student"]
    assert (document["parameters"], document["multiply_adds"]["count"]) == (cost["parameters"], cost["multiply_adds"])
    assert document["check"]["images"] == "validation" and document["check"]["pixels_as_in_training"] == 1.0
    assert document["latency"]["threads"] == 1 and set(document["latency"]["milliseconds"]) == {"program", "network"}
    assert min(document["latency"]["milliseconds"].values()) > 0
    assert Experiment.from_json(document["experiment"]).method.name == "kd"


def test_the_weights_fit_a_network_that_is_built_after_the_document(exported: Path, finished: tuple[Path, str]) -> None:
    out, key = finished
    document = json.loads((exported / "model.json").read_text())
    spec = Experiment.from_json(document["experiment"]).net
    network = build_network(spec, len(document["classes"]))
    network.load_state_dict(load_file(exported / "weights.safetensors"))
    original = load_trained(LocalStore(out / "store"), key).network
    for built, trained_value in zip(network.state_dict().values(), original.state_dict().values(), strict=True):
        assert torch.equal(built, trained_value)


def test_the_output_names_the_checked_images_and_the_latency(export_output: tuple[Path, str]) -> None:
    folder, output = export_output
    assert "checked on validation images (1 x 16 x 16, 2 x 12 x 12, 3 x 5 x 5): equal classes" in output
    assert "100.00 % of the pixels" in output and "cpu, 1 thread, median" in output
    assert output.endswith(f"in {folder}\n") and "note" not in output


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error; check exit code 2 and that it is one line."""
    capsys.readouterr()
    assert run(["export", *arguments]) == 2
    output = capsys.readouterr().err
    assert output.startswith("error: ") and output.count("\n") == 1
    return output


def test_an_existing_export_is_replaced_only_with_force(
    exported: Path, finished: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, key = finished
    (exported / "model.json").write_text("old")
    assert "--force" in refusal([key, "--out", str(out)], capsys)
    assert (exported / "model.json").read_text() == "old"
    assert run(["export", key, "--out", str(out), "--force"]) == 0
    assert json.loads((exported / "model.json").read_text())["key"] == key
    assert [path.name for path in exported.parent.iterdir()] == [exported.name]


def test_a_folder_with_anything_else_in_it_is_never_replaced(
    finished: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, key = finished
    (tmp_path / "thesis.tex").write_text("mine")
    assert "thesis.tex" in refusal([key, "--out", str(out), "--to", str(tmp_path), "--force"], capsys)
    assert "is a file" in refusal([key, "--out", str(out), "--to", str(tmp_path / "thesis.tex"), "--force"], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_key_that_is_not_there_is_refused(finished: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "begins with 'nothing'" in refusal(["nothing", "--out", str(finished[0])], capsys)


def test_a_key_that_is_not_finished_is_refused_with_its_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, resolved = LocalStore(tmp_path / "store"), resolve(small(), Places())
    calls = iter(range(100))
    train(resolved, store, places=Places(), runtime=QUIET, stop=lambda: next(calls) > 4)
    output = refusal([resolved.key, "--out", str(tmp_path)], capsys)
    assert f"{resolved.key} is interrupted (at step" in output
    assert not (tmp_path / "export").exists()


def test_an_experiment_of_another_version_is_refused_and_named_so(
    finished: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, key = finished
    shutil.copytree(out / "store" / key, tmp_path / "store" / key)
    path = tmp_path / "store" / key / records.EXPERIMENT
    document = json.loads(path.read_text())
    document["experiment"]["data"]["source"]["name"] = "shapes"  # the drawn images of numerics 1
    document["identity"]["numerics"] = 1
    path.write_text(json.dumps(document))
    output = refusal([key, "--out", str(tmp_path)], capsys)
    assert f"{key} is an experiment of another version of this package (numerics 1, here {NUMERICS})" in output
    assert "no choice 'shapes'" in output and "Use the version that trained it" in output
    assert run(["why", key, "--out", str(tmp_path)]) == 2
    assert "another version of this package" in capsys.readouterr().err


def test_flags_that_mean_nothing_are_refused(finished: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    out, key = finished
    assert "--threads must be at least 1, got 0" in refusal([key, "--out", str(out), "--threads", "0"], capsys)
    with pytest.raises(SystemExit) as stopped:
        run(["export", key, "--onnx"])
    assert stopped.value.code == 2


def test_a_folder_that_cannot_be_written_is_named(
    finished: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, key = finished
    (tmp_path / "file").write_text("")
    assert f"cannot write {tmp_path / 'file' / 'below'}" in refusal(
        [key, "--out", str(out), "--to", str(tmp_path / "file" / "below")], capsys
    )


def test_files_that_predict_something_else_are_not_left_behind(
    finished: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, key = finished
    other = trained(tmp_path, small(recipe__steps=2, seed=3))
    wrong = export_folder.make_program(load_trained(LocalStore(tmp_path / "store"), other).network, sides=(16, 16))
    monkeypatch.setattr(export_folder, "make_program", lambda *_, **__: wrong)
    arguments = ["export", key, "--out", str(out), "--to", str(tmp_path / "here" / "there")]
    assert run(arguments) == PredictionsDiffer.exit_code == 1
    assert "model.pt2 does not predict the same" in capsys.readouterr().err
    assert list((tmp_path / "here").iterdir()) == []
