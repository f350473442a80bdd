"""User errors: each ends with one clear message and leaves the store as it was."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import damage as damage_files
import numpy as np
import pytest
import torch
from PIL import Image

from assay.commands import run
from assay.store.local import LocalStore

ROOT = Path(__file__).parent.parent.parent
TINY = [
    *("--set", "recipe.steps=2", "--set", "data.source.num_train=32", "--set", "data.source.num_val=4"),
    *("--set", "recipe.augment.crop=16,16", "--set", "data.source.size=16", "--set", "net.encoder.width=4"),
]
FOLDER = ["--data", "folder", "--set", "data.source.path=mine", "--set", "data.source.num_labels=3"]
SMALL_NET = [
    *("--set", "net.encoder.arch=tiny", "--set", "net.head.channels=8", "--set", "recipe.steps=2"),
    *("--set", "recipe.augment.crop=16,16", "--set", "recipe.labeled_batch=2", "--set", "recipe.unlabeled_batch=2"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of results with one finished experiment."""
    out = tmp_path_factory.mktemp("results")
    assert run(["train", "--method", "supervised", *TINY, "--out", str(out)]) == 0
    return out


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Return a folder `mine` of eight images of three classes in a data root, beside a folder of lists."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (tmp_path / "data" / "mine" / name).mkdir(parents=True)
    for index in range(8):
        image = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        mask = rng.integers(0, 3, (20, 24), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / "data" / "mine" / "images" / f"{index}.jpg")
        Image.fromarray(mask).save(tmp_path / "data" / "mine" / "masks" / f"{index}.png")
    (tmp_path / "splits").mkdir()
    return tmp_path / "data" / "mine"


def some_training_image(dataset: Path) -> str:
    from assay.data.sources import Folder
    from assay.places import Places

    return Folder(path="mine", num_labels=3).ids("train", Places(data=dataset.parent))[0].split("/")[1]


def refused(arguments: list[str], out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error; check exit code 2, one line, no traceback, and the store as before."""
    before = contents(out)
    capsys.readouterr()
    code = run([*arguments, "--out", str(out)])
    error = capsys.readouterr().err
    assert code == 2, error
    assert error.startswith("error: ") and "Traceback" not in error and error.count("\n") == 1
    assert contents(out) == before
    return error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "cpss"], "no method 'cpss'; did you mean 'cps'"),
        ([], "--method is missing"),
        (["--method", "cps", "--data", "texture"], "no data set 'texture'; did you mean 'textures'"),
        (["--method", "cps", "--set", "method.wait=1"], "CPS (at method) has no field 'wait'; did you mean 'weight'"),
        (["--method", "cps", "--set", "method.weight=heavy"], "must be a number, got 'heavy' (from --set"),
        (["--method", "cps", "--set", "method.weight=-1"], "weight must be in [0, inf), got -1.0 (from --set"),
        (["--method", "cps", "--set", "net.head=unet"], "no choice 'unet'"),
        (["--method", "cps", "--set", "recipe.augment.crop=3"], "crop must be a list, got 3"),
        (["--method", "cps", "--set", "recipe.augment.crop=3,4,5"], "crop must have 2 entries"),
        (["--method", "cps", "--set", "recipe.accumulate=3"], "must divide into accumulate=3"),
        (["--method", "cps", "--seed=-1"], "seed must be in [0, inf), got -1 (from --seed -1)."),
        (["--method", "cps", "--set", "seed"], "--set takes path=value"),
        (["--method", "cps", "--set", "data.split.labeled=many"], "must be 1/n, a count, all, or a list, got"),
        (["--method", "cps", "--set", "data.split.labeled=5000"], "must be between 1 and the 640 images"),
        (["--method", "cps", "--set", "data.split.labeled=x/y.txt"], "the list 'x/y.txt' is neither at"),
        (["--method", "cps", "--set", "data.split.unlabeled=trian"], "did you mean 'train'"),
        (["--method", "cps", "--set", "net.encoder.arch=resnet5"], "timm has no 'resnet5'"),
        (["--method", "cps", "--set", "net.encoder.weights=no.pth"], "net.encoder.weights=no.pth is not a file"),
        (["--method", "cps", "--data", "voc", "--data-root", "nowhere"], "no folder JPEGImages"),
        (["--method", "cps", "--data", "camvid", "--data-root", "nowhere"], "no folder train/images"),
        (["--method", "cps", "--data", "folder"], "data.source.path must name a folder"),
        (["--method", "cps", "--runtime", "device=gpu"], "device must be auto, cpu, cuda"),
        (["--method", "cps", "--runtime", "threads=0"], "threads must be in [1, inf), got 0"),
    ],
)
def test_a_mistake_in_the_flags(
    arguments: list[str], message: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(["train", *arguments], finished, capsys)


def test_imagenet_weights_that_are_not_here(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--set", "net.encoder.arch=resnet18", "--set", "net.encoder.weights=imagenet", "--weights", str(tmp_path)]
    error = refused(["train", "--method", "supervised", *flags], finished, capsys)
    assert "resnet18.tv_in1k.safetensors" in error and str(tmp_path) in error and "weights=none" in error


def lists(text: str) -> Callable[[Path], list[str]]:
    def write(dataset: Path) -> list[str]:
        (dataset.parent.parent / "splits" / "some.txt").write_text(text)
        return ["--set", "data.split.labeled=some.txt"]

    return write


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lists("\n \r\n"), "is empty; it must hold one image per line"),
        (lists(""), "1 of 2 entries of"),
        (lists(""), "more than once"),
        (lambda dataset: [path.unlink() for path in (dataset / "masks").iterdir()] and None, "has a mask in"),
        (lambda dataset: [path.unlink() for path in (dataset / "images").iterdir()] and None, "no images in"),
    ],
)
def test_data_that_cannot_be_split(
    damage: Callable[[Path], object], message: str, dataset: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Folders are listed once in a process: looking for an image before damaging the folder would hide the damage.
    train = some_training_image(dataset) if message.endswith(("once", "of")) else ""
    if message == "more than once":
        damage = lists(f"{train}.jpg\r\nimages/{train}.jpg masks/{train}.png")
    elif message == "1 of 2 entries of":
        damage = lists(f"{train}\nmissing\n")
    more = damage(dataset)
    arguments = ["train", "--method", "supervised", *FOLDER, *SMALL_NET, "--data-root", str(dataset.parent)]
    arguments += ["--splits", str(dataset.parent.parent / "splits"), *(more if isinstance(more, list) else [])]
    assert message in refused(arguments, finished, capsys)


def test_a_labelled_list_that_names_validation_images(
    tmp_path: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    for image_id in ("2007_000001", "2007_000002", "2007_000003"):
        Image.fromarray(np.zeros((20, 24, 3), dtype=np.uint8)).save(root / "JPEGImages" / f"{image_id}.jpg")
        Image.fromarray(np.zeros((20, 24), dtype=np.uint8)).save(root / "SegmentationClass" / f"{image_id}.png")
    (root / "ImageSets/Segmentation/train.txt").write_text("2007_000001\n2007_000002\n")
    (root / "ImageSets/Segmentation/val.txt").write_text("2007_000003")
    (tmp_path / "list.txt").write_text("2007_000001\r\n2007_000003")
    flags = ["--set", "data.source.masks=fine", "--set", f"data.split.labeled={tmp_path / 'list.txt'}"]
    flags += ["--set", "data.split.labeled_pool=train", "--set", "data.split.unlabeled=train", *SMALL_NET]
    flags += ["--set", "net.encoder.weights=none"]
    error = refused(
        ["train", "--method", "supervised", "--data", "voc", "--data-root", str(tmp_path / "data"), *flags],
        finished,
        capsys,
    )
    assert "2007_000003" in error and "validation" in error


def broken_image(dataset: Path) -> str:
    path = dataset / "images" / f"{some_training_image(dataset)}.jpg"
    path.write_bytes(path.read_bytes()[:200])
    return "cannot be read as an image"


def other_size(dataset: Path) -> str:
    Image.fromarray(np.zeros((5, 5), dtype=np.uint8)).save(dataset / "masks" / f"{some_training_image(dataset)}.png")
    return "must have the size of its image"


def wrong_class(dataset: Path) -> str:
    Image.fromarray(np.full((20, 24), 9, dtype=np.uint8)).save(
        dataset / "masks" / f"{some_training_image(dataset)}.png"
    )
    return "holds class 9, but the data set has 3 classes (0-2, 255 = ignore)"


def coloured_mask(dataset: Path) -> str:
    Image.fromarray(np.zeros((20, 24, 3), dtype=np.uint8)).save(
        dataset / "masks" / f"{some_training_image(dataset)}.png"
    )
    return "one class id per pixel"


def cmyk(dataset: Path) -> str:
    path = dataset / "images" / f"{some_training_image(dataset)}.jpg"
    Image.new("CMYK", (24, 20)).save(path)
    return f"{path} holds CMYK colours"


def bomb(dataset: Path) -> str:
    path = dataset / "images" / f"{some_training_image(dataset)}.jpg"
    path.write_bytes(damage_files.png(60000, 60000, bits=8, colour=2, rows=b"\0"))
    return f"{path} declares more than"


def loop_of_links(dataset: Path) -> str:
    path = dataset / "images" / f"{some_training_image(dataset)}.jpg"
    path.unlink()
    path.symlink_to(path)
    return f"{path} is a link to {path}, which leads to no file"


def empty_mask(dataset: Path) -> str:
    path = dataset / "masks" / f"{some_training_image(dataset)}.png"
    path.write_bytes(b"")
    return f"{path} cannot be read as an image (it is empty)"


def no_labels(dataset: Path) -> str:
    for path in (dataset / "masks").iterdir():
        Image.fromarray(np.full((20, 24), 255, dtype=np.uint8)).save(path)
    return "labelled images is 255, which means ignore"


@pytest.mark.parametrize(
    "damage",
    [broken_image, other_size, wrong_class, coloured_mask, cmyk, bomb, loop_of_links, empty_mask, no_labels],
)
def test_a_bad_file_ends_the_training_and_leaves_the_store_as_it_was(
    damage: Callable[[Path], str], dataset: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = damage(dataset)
    out = tmp_path / "out"
    arguments = ["--method", "supervised", *FOLDER, *SMALL_NET, "--data-root", str(dataset.parent), "--out", str(out)]
    arguments += ["--set", "data.split.labeled=all", "--set", "recipe.labeled_batch=6"]
    capsys.readouterr()
    code = run(["train", *arguments])
    error = capsys.readouterr().err
    assert code == 2 and message in error and "Traceback" not in error
    assert contents(out) == {} and LocalStore(out / "store").keys() == []
    assert run(["train", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_batch_norm_with_one_value_per_channel(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    out = str(tmp_path / "out")
    code = run(["train", "--method", "supervised", *TINY, "--set", "recipe.labeled_batch=1", "--out", out])
    error = capsys.readouterr().err
    assert code == 2 and "one value per channel" in error and "head.branches" in error
    assert contents(tmp_path / "out") == {}


@pytest.mark.parametrize("what", ["weights", "text"])
def test_a_weights_file_of_something_else(
    what: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.pth"
    if what == "weights":
        torch.save({"layer1.0.conv1.weight": torch.zeros(2, 2)}, path)
    else:
        path.write_text("no weights")
    flags = ["--set", "net.encoder.arch=resnet18", "--set", f"net.encoder.weights={path}"]
    out = str(tmp_path / "out")
    code = run(["train", "--method", "supervised", *TINY, *flags, "--out", out])
    error = capsys.readouterr().err
    assert code == 2 and str(path) in error and "Traceback" not in error
    assert contents(tmp_path / "out") == {}


@pytest.mark.parametrize("beginning", ["ffff", ""])
def test_a_key_that_names_no_single_experiment(
    beginning: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    if beginning == "":
        for seed in "12":
            assert run(["train", "--method", "supervised", *TINY, "--seed", seed, "--out", str(out)]) == 0
        assert "2 keys begin with ''" in refused(["show", ""], out, capsys)
    else:
        assert "begins with 'ffff'" in refused(["show", "ffff"], finished, capsys)


def test_a_key_in_a_folder_without_experiments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "abc", "--out", str(tmp_path)]) == 2
    assert f"{tmp_path / 'store'} holds no experiment yet" in capsys.readouterr().err


def test_a_method_without_its_teachers_is_refused_before_anything_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--method", "kd", *TINY, "--out", str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert output.out == "" and "teachers can be given only in a script" in output.err


def test_a_store_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert run(["train", "--method", "supervised", *TINY, "--out", str(tmp_path / "file")]) != 0
    error = capsys.readouterr().err
    assert str(tmp_path / "file") in error and "Traceback" not in error
    assert (tmp_path / "file").read_text() == "not a folder"


def test_no_space_left_is_one_error_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    arguments = ["train", "--method", "supervised", *TINY, "--out", str(tmp_path / "out")]
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"from assay.commands import run; sys.exit(run({arguments!r}))"
    )
    process = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "platform:."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in process.stderr, process.stderr
    assert process.returncode == 1 and str(tmp_path) in process.stderr
    assert LocalStore(tmp_path / "out" / "store").keys() == []
    # With room again the same command goes through.
    assert run(arguments) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, so asking for one is no mistake")
def test_a_gpu_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--method", "supervised", *TINY, "--runtime", "device=cuda", "--out", str(tmp_path)]
    assert run(arguments) == 2
    assert "torch sees no GPU here" in capsys.readouterr().err
