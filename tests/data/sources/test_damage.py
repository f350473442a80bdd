"""Damaged files and unusual ones: one clear sentence with the file's name, or the pixels as they were written.

Nothing is guessed: what programs show differently is refused, and what has one meaning is read.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import damage
import numpy as np
import pytest
from PIL import Image, ImageFile

from assay.commands import run
from assay.data.contents import require_content
from assay.data.label_check import require_labels
from assay.data.source import IGNORE
from assay.data.sources import Folder
from assay.data.sources.files import read_image, read_mask, read_pair
from assay.data.splits import Split, split
from assay.errors import UserError
from assay.places import Places

IMAGE, MASK = "train/images/1.jpg", "train/masks/1.png"
SETTINGS = {
    "data.source.path": "mine",
    "data.source.num_labels": damage.CLASSES,
    "data.split.labeled": "all",
    "net.encoder.arch": "tiny",
    "net.encoder.weights": "none",
    "net.head.channels": 8,
    "recipe.steps": 1,
    "recipe.augment.crop": "16,16",
    "recipe.labeled_batch": 4,
    "recipe.unlabeled_batch": 4,
}
TRAIN = ["--data", "folder", *(part for path, value in SETTINGS.items() for part in ("--set", f"{path}={value}"))]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return damage.write_folder(tmp_path / "mine")


def problem(root: Path) -> str:
    """Return the error of resolving a split of the folder and reading all its images, or an empty text."""
    source, places = Folder(path=root.name, num_labels=damage.CLASSES), Places(data=root.parent)
    try:
        images = split(source, Split(labeled="all", unlabeled="all"), places)
        require_content(source, (*images.labeled, *images.unlabeled, *images.val), places)
        require_labels(source, images, places)
        for image_id in sorted({*images.labeled, *images.unlabeled, *images.val}):
            source.read(image_id, places)
    except UserError as error:
        return str(error)
    return ""


def notes(root: Path) -> str:
    source, places = Folder(path=root.name, num_labels=damage.CLASSES), Places(data=root.parent)
    return "\n".join(split(source, Split(labeled="all", unlabeled="all"), places).notes)


def photo(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(damage.pixels()).convert(mode)


def cut(name: str, share: float) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        content = (root / name).read_bytes()
        damage.replace(root / name, content[: int(share * len(content))])

    return apply


def content(name: str, make: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda root: damage.replace(root / name, make()) and None


def zeros_in_the_middle(root: Path) -> None:
    data = bytearray((root / MASK).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 16] = bytes(16)
    damage.replace(root / MASK, bytes(data))


def bad_checksum_of_the_header(root: Path) -> None:
    data = bytearray((root / MASK).read_bytes())
    data[29] ^= 1
    damage.replace(root / MASK, bytes(data))


def palette_mask_as_rgb(root: Path) -> None:
    mask = Image.fromarray(damage.labels())
    mask.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    mask.convert("RGB").save(root / MASK)


def swapped(root: Path) -> None:
    """Swap a PNG image and its mask."""
    (root / IMAGE).unlink()
    image, mask = root / "train/images/1.png", root / MASK
    photo().save(root / "third.png")
    mask.rename(image)
    (root / "third.png").rename(mask)


def turned(root: Path) -> None:
    """Write a rotated photograph and a mask of the size that the photograph is shown in."""
    damage.replace(root / IMAGE, rotated(6))
    Image.fromarray(damage.labels(damage.WIDTH, damage.HEIGHT)).save(root / MASK)


def folder_as_image(root: Path) -> None:
    (root / IMAGE).unlink()
    (root / IMAGE).mkdir()


def link_loop(root: Path) -> None:
    (root / IMAGE).unlink()
    (root / IMAGE).symlink_to((root / IMAGE).with_name("2.jpeg"))
    (root / IMAGE).with_name("2.jpeg").symlink_to(root / IMAGE)
    (root / "train/images/2.jpg").unlink()


def dangling_link(root: Path) -> None:
    (root / IMAGE).unlink()
    (root / IMAGE).symlink_to(root / "gone.jpg")


def frames(suffix: str) -> bytes:
    return damage.encoded(photo(), suffix, save_all=True, append_images=[photo(), photo()])


def rotated(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return damage.encoded(photo(), ".jpg", exif=exif)


def bomb() -> bytes:
    return damage.png(60000, 60000, bits=8, colour=2, rows=b"\0")


def grey_tiff() -> bytes:
    return damage.encoded(Image.fromarray(np.ones((damage.HEIGHT, damage.WIDTH), dtype=np.float32)), ".tif")


def mask_of(value: int, dtype: type = np.uint8) -> bytes:
    return damage.encoded(Image.fromarray(np.full((damage.HEIGHT, damage.WIDTH), value, dtype=dtype)), ".png")


def half_a_png() -> bytes:
    whole = damage.encoded(photo(), ".png")
    return whole[: len(whole) // 2]


def two_bit_mask() -> bytes:
    return damage.png(damage.WIDTH, damage.HEIGHT, bits=2, colour=0, rows=(b"\0" + bytes(6)) * damage.HEIGHT)


def sixteen_bit_colours() -> bytes:
    rows = (b"\0" + bytes(6 * damage.WIDTH)) * damage.HEIGHT
    return damage.png(damage.WIDTH, damage.HEIGHT, bits=16, colour=2, rows=rows)


def all_masks(pool: str, value: int) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        for path in (root / pool / "masks").iterdir():
            damage.replace(path, mask_of(value))

    return apply


def twin(one: str, other: str) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        for name in (one, other):
            damage.replace(root / "train" / name, damage.encoded(photo(), ".png"))

    return apply


def mask_with_other_letters(root: Path) -> None:
    (root / "train/images/1.jpg").rename(root / "train/images/View.jpg")
    (root / "train/masks/1.png").rename(root / "train/masks/view.png")


def emptied(name: str) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        for path in (root / name).iterdir():
            path.unlink()

    return apply


def other_formats(root: Path) -> None:
    for path in (root / "train/images").iterdir():
        path.rename(path.with_suffix(".avif"))


def not_in_utf8(root: Path) -> None:
    damage.replace(root / "train/images" / os.fsdecode(b"stra\xdfe.jpg"), damage.encoded(photo(), ".jpg"))


NFC, NFD = (unicodedata.normalize(form, "größe") for form in ("NFC", "NFD"))
DAMAGES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "JPEG cut at its start": (cut(IMAGE, 0.005), IMAGE, "cannot be read as an image"),
    "JPEG cut in its middle": (cut(IMAGE, 0.5), IMAGE, "cannot be read as an image"),
    "JPEG cut at its end": (cut(IMAGE, 0.99), IMAGE, "cannot be read as an image"),
    "PNG cut": (cut(MASK, 0.7), MASK, "cannot be read as an image"),
    "image in a PNG that is cut": (content(IMAGE, half_a_png), IMAGE, "cannot be read as an image"),
    "empty file": (cut(IMAGE, 0), IMAGE, "cannot be read as an image (it is empty)"),
    "empty mask": (cut(MASK, 0), MASK, "cannot be read as an image (it is empty)"),
    "zeros in a PNG": (zeros_in_the_middle, MASK, "cannot be read as an image"),
    "PNG with a bad checksum": (bad_checksum_of_the_header, MASK, "cannot be read as an image"),
    "text as image": (content(IMAGE, lambda: b"no image\n"), IMAGE, "its content is not JPEG, PNG, BMP or WEBP"),
    "web page as image": (content(IMAGE, lambda: b"<!DOCTYPE html><html>"), IMAGE, "its content is not JPEG"),
    "TIFF of floats as image": (content(IMAGE, grey_tiff), IMAGE, "its content is not JPEG"),
    "GIF as image": (content(IMAGE, lambda: frames(".gif")), IMAGE, "its content is not JPEG"),
    "animated PNG": (content(IMAGE, lambda: frames(".png")), IMAGE, "an animation of 3 images"),
    "animated WebP": (content(IMAGE, lambda: frames(".webp")), IMAGE, "an animation of 3 images"),
    "decompression bomb": (content(IMAGE, bomb), IMAGE, "declares more than"),
    "CMYK": (content(IMAGE, lambda: damage.encoded(photo("CMYK"), ".jpg")), IMAGE, "holds CMYK colours"),
    "EXIF rotation": (content(IMAGE, lambda: rotated(6)), IMAGE, "EXIF orientation 6"),
    "EXIF rotation and a turned mask": (turned, IMAGE, "EXIF orientation 6"),
    "16-bit image": (content(IMAGE, lambda: mask_of(3000, np.uint16)), IMAGE, "must hold 8 bits per channel"),
    "16-bit colours": (content(IMAGE, sixteen_bit_colours), IMAGE, "must hold 8 bits per channel"),
    "palette mask saved as RGB": (palette_mask_as_rgb, MASK, "one class id per pixel (a palette or grey image), got 3"),
    "RGBA mask": (content(MASK, lambda: damage.encoded(photo("RGBA"), ".png")), MASK, "one class id per pixel"),
    "16-bit mask": (content(MASK, lambda: mask_of(1, np.uint16)), MASK, "must hold 8 bits per channel"),
    "2-bit mask": (content(MASK, two_bit_mask), MASK, "must hold 8 bits per channel"),
    "JPEG as mask": (content(MASK, lambda: damage.encoded(photo("L"), ".jpg")), MASK, "compression changes class ids"),
    "id beyond the count": (content(MASK, lambda: mask_of(3)), MASK, "class 3, but the data set has 3 classes (0-2"),
    "cure of such an id": (content(MASK, lambda: mask_of(3)), MASK, "set data.source.num_labels to the largest class"),
    "mask of another size": (
        content(MASK, lambda: damage.encoded(Image.fromarray(damage.labels(5, 7)), ".png")),
        MASK,
        "must have the size of its image 1.jpg, 24 x 20, got 7 x 5",
    ),
    "image and mask swapped": (swapped, MASK, "one class id per pixel"),
    "all labelled masks are 255": (all_masks("train", 255), "train/masks/0.png", "of all 4 labelled images is 255"),
    "all validation masks are 255": (all_masks("val", 255), "val/masks/0.png", "of all 2 validation images is 255"),
    "validation image without mask": (lambda root: (root / "val/masks/1.png").unlink(), "val/masks", "is that of 1."),
    "no mask at all": (emptied("train/masks"), "train/masks", "none of 4 images"),
    "folder named as image": (folder_as_image, IMAGE, "is a folder"),
    "loop of links": (link_loop, IMAGE, "is a link to"),
    "dangling link": (dangling_link, IMAGE, "which leads to no file"),
    "two files of one name": (twin("images/a.jpg", "images/a.png"), "train/images", "both a.jpg and a.png; one id"),
    "twin in other letters": (twin("images/A.png", "images/a.png"), "train/images", "large and small letters"),
    "mask in other letters": (mask_with_other_letters, "train/images/View.jpg", "differ in large and small letters"),
    "twin in other accents": (twin(f"images/{NFC}.png", f"images/{NFD}.png"), "train/images", "accents are encoded"),
    "name not in UTF-8": (not_in_utf8, "train/images", r"'stra\udcdfe.jpg'"),
    "line break in a name": (twin("images/a\nb.png", "masks/a\nb.png"), "train/images", r"'a\nb.png'"),
    "no images": (emptied("val/images"), "val/images", "no images in"),
    "only other formats": (
        other_formats,
        "train/images",
        "it holds 4 other files, the first is 0.avif",
    ),
    "empty folder of unlabelled images": (lambda root: (root / "unlabeled").mkdir(), "unlabeled", "no images in"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_one_sentence_with_the_files_name(kind: str, root: Path) -> None:
    assert problem(root) == ""
    other = damage.write_folder(root.parent / "damaged")  # folders are listed once in a process
    apply, name, message = DAMAGES[kind]
    apply(other)
    error = problem(other)
    assert message in error and str(other / name) in error
    assert "\n" not in error and error.endswith(".")


def contents(folder: Path) -> dict[Path, str]:
    """Return all that lies below a folder: links with their ends, files with their hashes, and folders."""
    return {path: _content(path) for path in folder.rglob("*")}


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"


def test_nothing_is_written_for_damaged_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Train on each kind of damage through the command, and compare data and store with what was there before.

    Each training stops at the latest with its first batch or its evaluation, so the whole command runs for all kinds.
    """
    out = tmp_path / "out"
    for index, (apply, _, message) in enumerate(DAMAGES.values()):
        root = damage.write_folder(tmp_path / f"data{index}" / "mine")
        apply(root)
        before = contents(root.parent)
        flags = ["--data-root", str(root.parent), "--out", str(out)]
        assert run(["train", "--method", "supervised", *TRAIN, *flags]) == 2, list(DAMAGES)[index]
        assert message in capsys.readouterr().err
        assert contents(root.parent) == before and "folder" in before.values()
        assert set(contents(out).values()) <= {"folder"}


def test_pils_limits_are_pils() -> None:
    assert Image.MAX_IMAGE_PIXELS == 1024 * 1024 * 1024 // 4 // 3
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def _read_as_nobody(root: Path, answer: Connection) -> None:
    os.setuid(65534)
    answer.send(problem(root))


def problem_without_privileges(root: Path) -> str:
    """Return the folder's problem for a user that permissions bind, which they do not for root."""
    if os.getuid() != 0:
        return problem(root)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_read_as_nobody, args=(root, theirs))
    process.start()
    assert ours.poll(60)
    process.join()
    return ours.recv()


@pytest.mark.parametrize(
    ("name", "message"), [(IMAGE, "cannot be read (Permission"), ("train/images", "cannot be listed (Permission")]
)
def test_files_without_permission(name: str, message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's folders are closed to other users
        Path(folder).chmod(0o755)
        root = damage.write_folder(Path(folder) / "mine")
        assert problem_without_privileges(damage.write_folder(Path(folder) / "open")) == ""
        (root / name).chmod(0)
        error = problem_without_privileges(root)
        (root / name).chmod(0o755)
    assert message in error and str(root / name) in error


# --- what is read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_an_image_in_another_mode_is_read_as_its_colours(mode: str, suffix: str, tmp_path: Path) -> None:
    image = photo(mode)
    path = damage.replace(tmp_path / f"a{suffix}", damage.encoded(image, ".png"))  # a PNG, whatever its suffix says
    np.testing.assert_array_equal(read_image(path, strict=True), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("options", [{"progressive": True}, {"optimize": True}, {"icc_profile": b"profile"}])
def test_a_jpeg_is_read_however_it_is_stored(options: dict[str, object], tmp_path: Path) -> None:
    ramp = np.add.outer(np.arange(40), np.arange(60))[..., None].repeat(3, axis=2).astype(np.uint8)
    content = damage.encoded(Image.fromarray(ramp), ".jpg", quality=95, **options)
    path = damage.replace(tmp_path / "a.jpg", content)
    assert np.abs(read_image(path, strict=True).astype(int) - ramp).max() <= 4


@pytest.mark.parametrize("orientation", [0, 1])
def test_an_upright_image_may_say_so(orientation: int, tmp_path: Path) -> None:
    path = damage.replace(tmp_path / "a.jpg", rotated(orientation))
    assert read_image(path, strict=True).shape == (damage.HEIGHT, damage.WIDTH, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_data_of_nonsense_rotate_nothing(tmp_path: Path) -> None:
    for exif in (b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"):
        path = damage.replace(tmp_path / "a.jpg", damage.encoded(photo(), ".jpg", exif=exif))
        assert read_image(path, strict=True).shape == (damage.HEIGHT, damage.WIDTH, 3)
    # pytest replaces the filters of warnings, so the last of them is read by another process.
    program = f"import pathlib, sys; sys.path[:] = {sys.path!r}; from assay.data.sources.files import read_image; "
    program += f"read_image(pathlib.Path({str(path)!r}), strict=True)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stderr == ""


@pytest.mark.parametrize("make", [lambda: rotated(6), lambda: damage.encoded(photo("CMYK"), ".jpg")])
def test_a_published_data_set_is_read_as_it_is_stored(make: Callable[[], bytes], tmp_path: Path) -> None:
    path = damage.replace(tmp_path / "a.jpg", make())
    np.testing.assert_array_equal(read_image(path), np.asarray(Image.open(path).convert("RGB")))


def test_a_camera_picture_with_a_preview_is_its_picture(tmp_path: Path) -> None:
    first = photo()
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[photo()], quality=95)
    image = read_image(tmp_path / "a.jpg", strict=True)
    np.testing.assert_array_equal(image, np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB")))


def test_an_interlaced_png_is_read(tmp_path: Path) -> None:
    content = damage.png(1, 1, bits=8, colour=0, rows=b"\0\2", interlaced=True)  # of one pass, since it has one pixel
    path = damage.replace(tmp_path / "a.png", content)
    assert content[28] == 1 and read_mask(path, num_classes=3).tolist() == [[2]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_mask_is_read_with_any_number_of_bits(bits: int, tmp_path: Path) -> None:
    mask = damage.labels(num_classes=2)
    image = Image.fromarray(mask)
    image.putpalette([9, 9, 9, 200, 200, 200])
    image.save(tmp_path / "a.png", bits=bits)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", num_classes=2), mask)


def test_a_mask_of_one_bit_holds_classes_0_and_1(tmp_path: Path) -> None:
    mask = damage.labels(num_classes=2)
    Image.fromarray(mask.astype(bool)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", num_classes=2), mask)


def test_a_png_without_its_last_bytes_has_all_its_pixels(tmp_path: Path) -> None:
    mask = damage.labels()
    content = damage.encoded(Image.fromarray(mask), ".png")
    np.testing.assert_array_equal(read_mask(damage.replace(tmp_path / "a.png", content[:-8]), num_classes=3), mask)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3000), (3000, 1)])
def test_any_size_is_read(height: int, width: int, tmp_path: Path) -> None:
    image, mask = damage.pixels(height, width), damage.labels(height, width)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(mask).save(tmp_path / "b.png")
    read = read_pair(tmp_path / "a.png", tmp_path / "b.png", num_classes=damage.CLASSES, strict=True)
    np.testing.assert_array_equal(read[0], image)
    np.testing.assert_array_equal(read[1], mask)


@pytest.mark.parametrize(
    "stem",
    [
        "two words",
        " before",
        "after ",
        "größe",
        "木",
        "🌲👨‍👩‍👧",
        "a.b.c",
        "-x",
        "#1",
        "a%20b",
        "Screenshot\u202f1",
        "UPPER",
    ],
)
@pytest.mark.parametrize("suffix", [".jpg", ".JPG"])
def test_a_name_may_be_any_text(stem: str, suffix: str, tmp_path: Path) -> None:
    root = damage.write_folder(tmp_path / "mine", train=1)
    damage.write_pair(root / "train", stem, suffix)
    assert problem(root) == "" and notes(root) == ""
    image_id = f"train/{stem.lstrip()}"
    source, places = Folder(path="mine", num_labels=damage.CLASSES), Places(data=tmp_path)
    assert image_id in source.ids("train", places)
    assert source.image_id(f"train/images/{stem}{suffix}") == image_id


def test_an_image_and_its_mask_may_encode_accents_differently(tmp_path: Path) -> None:
    root = damage.write_folder(tmp_path / "mine", train=1)
    damage.write_pair(root / "train", NFD)
    (root / "train/images" / f"{NFD}.jpg").rename(root / "train/images" / f"{NFC}.jpg")
    assert problem(root) == "" and notes(root) == ""
    source, places = Folder(path="mine", num_labels=damage.CLASSES), Places(data=tmp_path)
    assert f"train/{NFC}" in source.ids("train", places)
    (tmp_path / "list.txt").write_text(f"{NFD}.jpg\n")
    images = split(source, Split(labeled=str(tmp_path / "list.txt"), unlabeled="all"), places)
    assert images.labeled == (f"train/{NFC}",)


def test_links_to_files_and_folders_are_followed(root: Path) -> None:
    (root / IMAGE).rename(root / "elsewhere.jpg")
    (root / IMAGE).symlink_to(root / "elsewhere.jpg")
    (root / "val").rename(root / "held out")
    (root / "val").symlink_to(root / "held out")
    assert problem(root) == ""


@pytest.mark.parametrize("name", ["._0.jpg", ".DS_Store", "Thumbs.db", "desktop.ini"])
def test_files_that_systems_leave_are_ignored(name: str, root: Path) -> None:
    for folder in ("train/images", "train/masks", "val/images"):
        (root / folder / name).write_bytes(b"\0")
    assert problem(root) == "" and notes(root) == ""


def test_a_hidden_image_is_ignored_and_one_with_a_space_behind_its_suffix_is_noted(root: Path) -> None:
    for name in (".hidden.jpg", "view.jpg "):
        damage.replace(root / "train/images" / name, damage.encoded(photo(), ".jpg"))
    assert problem(root) == ""
    (note,) = notes(root).splitlines()
    assert f"left out in {root}/train/images: 1 file, the first is view.jpg ;" in note


# --- copies among unlabelled images ------------------------------------------------------------------------------


def copy_frames(root: Path) -> None:
    """Copy all images with masks, and one other, to unlabeled/."""
    for pool, stem in (("train", "1"), ("val", "v")):
        damage.replace(root / f"unlabeled/{stem}.jpg", (root / f"{pool}/images/{stem}.jpg").read_bytes())
    damage.replace(root / "unlabeled/0.jpg", (root / "train/images/0.jpg").read_bytes() + b"other")


def test_another_image_of_the_same_name_and_size_is_no_copy(root: Path) -> None:
    for name in ("train/images/1.jpg", "unlabeled/1.jpg"):
        damage.replace(root / name, damage.encoded(photo(), ".png", compress_level=0))
    assert (root / "train/images/1.jpg").stat().st_size == (root / "unlabeled/1.jpg").stat().st_size
    places = Places(data=root.parent)
    assert Folder(path=root.name, num_labels=damage.CLASSES).ids("unlabeled", places) == ("unlabeled/1",)


def test_copies_of_labelled_and_of_validation_images_are_left_out_with_a_note(root: Path) -> None:
    damage.write_pair(root / "val", "v")
    copy_frames(root)
    source, places = Folder(path=root.name, num_labels=damage.CLASSES), Places(data=root.parent)
    assert source.ids("unlabeled", places) == ("unlabeled/0",)  # its content has another size
    assert "val/v" in source.ids("val", places) and "train/1" in source.ids("train", places)
    (note,) = split(source, Split(labeled="all", unlabeled="all"), places).notes
    assert f"images in {root / 'unlabeled'}" in note and ": 2, the first is 1.jpg; they count as its copies" in note


def test_copies_of_held_out_images_are_left_out(tmp_path: Path) -> None:
    for index in range(6):
        damage.write_pair(tmp_path / "mine", str(index))
        image = (tmp_path / f"mine/images/{index}.jpg").read_bytes()
        damage.replace(tmp_path / f"mine/unlabeled/{index}.jpg", image)
    damage.replace(tmp_path / "mine/unlabeled/6.jpg", image)  # the name of no other image
    source, places = Folder(path="mine", num_labels=damage.CLASSES), Places(data=tmp_path)
    assert source.ids("unlabeled", places) == ("unlabeled/6",)
    assert len(source.ids("train", places)) + len(source.ids("val", places)) == 6


# --- lists -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0\n0.jpg\n", "more than once"),
        (b"0\nnothing\n", "nothing"),
        (b"", "is empty"),
        (b"\n \r\n", "is empty"),
        ("0\n1\n".encode("utf-16"), "save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "save it as UTF-8"),
        (b"val/images/0.jpg\n", "labelled images are also validation images"),
    ],
)
def test_a_damaged_list_is_one_sentence(content: bytes, message: str, root: Path) -> None:
    path = root.parent / "list.txt"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        split(Folder(path="mine", num_labels=3), Split(labeled=str(path), unlabeled="all"), Places(data=root.parent))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def error_of_list(entry: str, root: Path) -> str:
    damage.replace(root.parent / "list.txt", entry.encode())
    spec = Split(labeled="all", unlabeled=str(root.parent / "list.txt"))
    with pytest.raises(UserError) as caught:
        split(Folder(path=root.name, num_labels=damage.CLASSES), spec, Places(data=root.parent))
    return str(caught.value)


def test_a_list_of_copies_that_are_left_out_is_explained(root: Path) -> None:
    damage.write_pair(root / "val", "v")
    copy_frames(root)
    error = error_of_list("unlabeled/1.jpg\nunlabeled/0.jpg\n", root)
    assert "1 of 2 entries" in error and "1 of them, the first is unlabeled/1, are copies of images with masks" in error


def test_a_list_of_images_held_out_for_validation_is_explained(root: Path) -> None:
    damage.write_pair(root / "val", "v")
    assert "1 of them, the first is train/v, lie in val/" in error_of_list("v.jpg\nnothing\n", root)
    flat = root.parent / "flat"
    (root / "train").rename(flat)
    places = Places(data=root.parent)
    held_out = Folder(path="flat").ids("val", places)[0].removeprefix("val/")
    error = error_of_list(f"{held_out}.jpg\n", flat)
    assert f"the first is train/{held_out}, are held out for validation (data.source.val_share=0.2); make" in error


def test_a_list_may_have_windows_line_ends_and_a_byte_order_mark(root: Path) -> None:
    (root.parent / "list.txt").write_bytes("\ufeff0\r\n1.jpg\r\n\r\n".encode())
    labeled = Split(labeled=str(root.parent / "list.txt"), unlabeled="all")
    images = split(Folder(path="mine", num_labels=3), labeled, Places(data=root.parent))
    assert images.labeled == ("train/0", "train/1")


def test_the_mask_of_a_damaged_image_is_not_blamed(root: Path) -> None:
    cut(IMAGE, 0.5)(root)
    with pytest.raises(UserError) as caught:
        read_pair(root / IMAGE, root / MASK, num_classes=3)
    assert IMAGE in str(caught.value) and MASK not in str(caught.value)
    assert (read_mask(root / MASK, num_classes=3) != IGNORE).all()
