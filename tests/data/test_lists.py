"""Published lists of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.commands import run
from assay.data.lists import PUBLISHED, find_list, match, read_list
from assay.data.sources import VOC
from assay.errors import UserError
from assay.places import Places

IDS = ("2007_000032", "2007_000039", "2007_000063")


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"2007_000032\n2007_000039\n2007_000063\n",
        b"2007_000032\r\n2007_000039\r\n2007_000063",
        b"\n2007_000032\n\n2007_000039  \n \t\n2007_000063\n\n",
        b"\xef\xbb\xbf2007_000032\n2007_000039\n2007_000063\n",
        b"2007_000063\n2007_000039\n2007_000032",
        b"JPEGImages/2007_000032.jpg SegmentationClass/2007_000032.png\n"
        b"JPEGImages/2007_000039.jpg SegmentationClass/2007_000039.png\n"
        b"JPEGImages/2007_000063.jpg SegmentationClass/2007_000063.png",
        b"/images/2007_000032.jpg\t/masks/2007_000032.png\r\n"
        b"/images/2007_000039.jpg\t/masks/2007_000039.png\r\n"
        b"/images/2007_000063.jpg\t/masks/2007_000063.png\r\n",
    ],
    ids=["plain", "windows", "empty lines", "byte order mark", "other order", "pairs", "tabs"],
)
def test_every_form_of_a_list_gives_the_same_images(tmp_path, content):
    path = write(tmp_path / "list.txt", content)
    assert match(read_list(path), VOC(), frozenset((*IDS, "2007_000068")), path) == IDS


@pytest.mark.parametrize("content", [b"", b"\r\n \n"])
def test_an_empty_list_is_refused(tmp_path, content):
    path = write(tmp_path / "list.txt", content)
    with pytest.raises(UserError, match=r"list\.txt is empty; it must hold one image per line"):
        read_list(path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read as text"):
        read_list(write(tmp_path / "list.txt", b"\x89PNG\xff\xfe"))


def test_unknown_images_are_counted_and_the_first_are_named(tmp_path):
    path = tmp_path / "list.txt"
    entries = (IDS[0], "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    with pytest.raises(UserError) as caught:
        match(entries, VOC(), frozenset(IDS), path)
    assert str(caught.value).startswith(
        f"4 of 5 entries of {path} are not among the 3 images of voc; the first: a, b, c. "
    )


def test_an_image_that_is_listed_twice_is_refused_even_under_two_names(tmp_path):
    entries = (IDS[0], IDS[1], f"JPEGImages/{IDS[0]}.jpg")
    with pytest.raises(UserError, match=rf"list holds 1 image more than once, the first is '{IDS[0]}'"):
        match(entries, VOC(), frozenset(IDS), tmp_path / "list")


def test_a_list_is_found_at_the_given_path_or_below_the_folder_of_lists(tmp_path, monkeypatch):
    places = Places(splits=tmp_path / "splits")
    below = write(places.splits / "cps" / "voc" / "a.txt", b"x")
    monkeypatch.chdir(tmp_path)
    assert find_list("cps/voc/a.txt", places) == below
    assert find_list(str(below), Places(splits=tmp_path / "other")) == below
    write(tmp_path / "cps" / "voc" / "a.txt", b"x")
    assert find_list("cps/voc/a.txt", places) == Path("cps/voc/a.txt")


def test_a_missing_list_is_reported_with_both_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        find_list("a.txt", Places(splits=tmp_path / "splits"))
    for place in (tmp_path / "a.txt", tmp_path / "splits" / "a.txt"):
        assert str(place) in str(caught.value)


def test_a_folder_is_no_list(tmp_path):
    (tmp_path / "cps").mkdir()
    with pytest.raises(UserError, match="the list 'cps' is neither"):
        find_list("cps", Places(splits=tmp_path))


def test_the_published_lists_are_those_of_three_code_bases_for_two_data_sets():
    assert {folder: len(names) for folder, names in PUBLISHED.items()} == {
        "cps/voc": 15,
        "cps/cityscapes": 6,
        "unimatch/pascal": 10,
        "unimatch/cityscapes": 6,
        "u2pl/pascal": 4,
    }
    assert all(len(set(names)) == len(names) for names in PUBLISHED.values())
    assert {"train_aug_labeled_1-16.txt", "pseudoseg_unlabeled_1-2.txt"} <= set(PUBLISHED["cps/voc"])
    assert {"92/labeled.txt", "1_16/labeled.txt", "val.txt"} <= set(PUBLISHED["unimatch/pascal"])


def test_doctor_names_each_missing_published_list_and_its_folder(tmp_path, capsys):
    absent = {"cps/voc/val.txt", "unimatch/pascal/92/labeled.txt", "unimatch/pascal/183/labeled.txt"}
    for name in {f"{folder}/{name}" for folder, names in PUBLISHED.items() for name in names} - absent:
        write(tmp_path / name, b"x")
    assert run(["doctor", "--splits", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("lists "))
    assert lines[first].split() == ["lists", "in", str(tmp_path)]
    assert lines[first + 1 : first + 5] == [
        "  missing  cps/voc: 1 of 15 lists: val.txt",
        "  ok       cps/cityscapes: 6 lists",
        "  missing  unimatch/pascal: 2 of 10 lists: 92/labeled.txt, 183/labeled.txt",
        "  ok       unimatch/cityscapes: 6 lists",
    ]
