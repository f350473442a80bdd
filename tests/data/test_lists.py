"""Published lists of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.data import published
from assay.data.list_owner import describe_owner
from assay.data.lists import ImageList, ListMissing, find_list, is_list_name, match, own_lists, read_file, read_list
from assay.data.sources import ADE20K, COCO, VOC, CamVid, Cityscapes, Folder
from assay.errors import UserError
from assay.places import Places

IDS = ("2007_000032", "2007_000039", "2007_000063")


def a_list(*entries: str) -> ImageList:
    return ImageList(title="a list", entries=entries, size=len(entries))


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
        b"JPEGImages/2007_000032.jpg,Masks/2007_000032.png\n2007_000039.jpg, 2007_000039.png\n2007_000063.jpg;x\n",
    ],
    ids=["plain", "windows", "empty lines", "byte order mark", "other order", "pairs", "tabs", "commas"],
)
def test_every_form_of_a_list_gives_the_same_images(tmp_path, content):
    path = write(tmp_path / "list.txt", content)
    assert match(read_file(path), VOC(), frozenset((*IDS, "2007_000068"))) == IDS


@pytest.mark.parametrize("content", [b"", b"\r\n \n"])
def test_an_empty_list_is_refused(tmp_path, content):
    path = write(tmp_path / "list.txt", content)
    with pytest.raises(UserError, match=r"list\.txt is empty; it must hold one image per line"):
        read_list(path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read as text"):
        read_list(write(tmp_path / "list.txt", b"\x89PNG\xff\xfe"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.csv", b"image,mask\r\n2007_000032.jpg,a.png\r\n2007_000039.jpg,b.png\r\n2007_000063.jpg,c.png\r\n"),
        ("list.csv", b'"2007_000032.jpg","a, b.png"\n"2007_000039.jpg",""\n\n2007_000063.jpg\n'),
        ("list.csv", b"2007_000032,1\n2007_000039,1\n2007_000063,0\n"),
        ("list.tsv", b"id\tsplit\n2007_000032\ttrain\n2007_000039\ttrain\n2007_000063\ttrain\n"),
    ],
)
def test_tables_are_read_by_their_first_column_without_a_heading(tmp_path, name, content):
    assert match(read_file(write(tmp_path / name, content)), VOC(), frozenset(IDS)) == IDS


def test_a_name_with_a_comma_is_one_name(tmp_path):
    path = write(tmp_path / "list.txt", "train/Straße, nass.jpg masks/Straße, nass.png\n".encode())
    assert match(read_file(path), Folder(path="x"), {"train/Straße, nass"}) == ("train/Straße, nass",)


@pytest.mark.parametrize(
    ("source", "line", "image_id"),
    [
        (COCO(), "train2017/000000177254.jpg masks/000000177254.png", "000000177254"),
        (COCO(), "000000177254", "000000177254"),
        (Cityscapes(), "leftImg8bit/train/hamburg/hamburg_000000_080169_leftImg8bit.png", "hamburg_000000_080169"),
        (
            Cityscapes(),
            "leftImg8bit/train/jena/jena_000078_000019_leftImg8bit.png"
            " gtFine/train/jena/jena_000078_000019_gtFine_labelTrainIds.png",
            "jena_000078_000019",
        ),
        (
            Cityscapes(),
            "/images/train/jena_000078_000019.png\t/segmentation/train/jena_000078_000019_gtFine.png",
            "jena_000078_000019",
        ),
        (VOC(), "JPEGImages/2007_000032.jpg SegmentationClass/2007_000032.png", "2007_000032"),
        (ADE20K(), "images/training/ADE_train_00000001.jpg annotations/x.png", "ADE_train_00000001"),
        (CamVid(), "train/images/0001TP_009210.jpg,train/masks/0001TP_009210.png", "train/0001TP_009210"),
    ],
)
def test_published_formats_of_every_data_set_name_its_images(tmp_path, source, line, image_id):
    images = read_file(write(tmp_path / "list.txt", f"{line}\r\n".encode()))
    assert match(images, source, {image_id}) == (image_id,)


def test_unknown_images_are_counted_and_the_first_are_named():
    with pytest.raises(UserError) as caught:
        match(a_list(IDS[0], "a.jpg", "b.jpg", "c.jpg", "d.jpg"), VOC(), frozenset(IDS))
    assert str(caught.value) == (
        "4 of 5 entries of a list are not among the 3 images of voc; the first: a, b, c. Does the list belong to"
        " another data set, or is the data set incomplete?"
    )


def test_a_reason_that_is_known_stands_in_place_of_the_question():
    with pytest.raises(UserError, match=r"the first: a\. They are elsewhere: \['a\.jpg'\]$"):
        match(a_list(IDS[0], "a.jpg"), VOC(), frozenset(IDS), explain=lambda unknown: f"They are elsewhere: {unknown}")


def test_an_image_that_is_listed_twice_is_refused_even_under_two_names():
    for again in (IDS[0], f"JPEGImages/{IDS[0]}.jpg"):
        with pytest.raises(UserError, match=rf"a list holds 1 image more than once, the first is '{IDS[0]}'"):
            match(a_list(IDS[0], IDS[1], again), VOC(), frozenset(IDS))


def test_a_list_is_found_at_the_given_path_or_below_the_folder_of_lists(tmp_path, monkeypatch):
    places = Places(splits=tmp_path / "splits")
    below = write(places.splits / "mine" / "voc" / "a.txt", b"x")
    monkeypatch.chdir(tmp_path)
    assert find_list("mine/voc/a.txt", places).title == str(below)
    assert find_list(str(below), Places(splits=tmp_path / "other")).title == str(below)
    write(tmp_path / "mine" / "voc" / "a.txt", b"y")
    for name in ("mine/voc/a.txt", "mine/voc/a"):
        assert find_list(name, places).entries == ("y",)


def test_a_published_list_is_found_without_a_folder_and_an_own_list_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = Places(splits=tmp_path / "splits")
    for name in ("cps/voc/train_aug_labeled_1-8", "cps/voc/train_aug_labeled_1-8.txt"):
        images = find_list(name, places)
        assert images.title == f"the published list {name}" and images.size == len(images.entries) == 1323
    own = write(places.splits / "cps" / "voc" / "train_aug_labeled_1-8.txt", b"2007_000032")
    for name in ("cps/voc/train_aug_labeled_1-8", "cps/voc/train_aug_labeled_1-8.txt"):
        assert find_list(name, places).title == str(own)


@pytest.mark.parametrize("number", [1, 106, 186])
def test_a_number_behind_a_list_takes_its_first_entries(tmp_path, number):
    name = "cps/cityscapes/train_aug_labeled_1-16"
    images = find_list(f"{name}:{number}", Places(splits=tmp_path))
    assert images.entries == (published.ids_of(name) or ())[:number] and images.size == 186


@pytest.mark.parametrize("number", [0, 187])
def test_a_number_that_a_list_does_not_have_is_refused(tmp_path, number):
    with pytest.raises(UserError, match=rf"between 1 and the 186 entries of the published list .*1-16, got {number}\."):
        find_list(f"cps/cityscapes/train_aug_labeled_1-16:{number}", Places(splits=tmp_path))


def test_a_file_with_a_colon_in_its_name_is_that_file(tmp_path):
    path = write(tmp_path / "mine.txt:2", b"a\nb\nc")
    assert find_list(str(path), Places()).entries == ("a", "b", "c")
    assert find_list(f"{path}:1", Places()).entries == ("a",)


def test_a_missing_list_is_reported_with_every_place_and_the_nearest_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "splits" / "mine" / "labelled.txt", b"x")
    with pytest.raises(ListMissing) as caught:
        find_list("cps/voc/train_aug_labelled_1-8:5", Places(splits=tmp_path / "splits"))
    for place in (tmp_path / "cps", tmp_path / "splits" / "cps"):
        assert f"{place}/voc/train_aug_labelled_1-8 " in str(caught.value).replace(",", " ")
    assert "the nearest names are cps/voc/train_aug_labeled_1-8.txt, " in str(caught.value)
    with pytest.raises(ListMissing, match=r"the nearest names are mine/labelled\.txt"):
        find_list("mine/labeled", Places(splits=tmp_path / "splits"))
    with pytest.raises(ListMissing, match=r"comes with the package; name the folder"):
        find_list("????.txt", Places(splits=tmp_path / "splits"))


@pytest.mark.parametrize("name", ["cps", "cps/voc", "cps/voc/"])
def test_a_folder_is_no_list(tmp_path, name):
    (tmp_path / "cps" / "voc").mkdir(parents=True)
    with pytest.raises(ListMissing, match=f"the list '{name}' is neither"):
        find_list(name, Places(splits=tmp_path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(
            (text, True)
            for text in ("a.txt", "a.TXT", "a.csv", "a.tsv", "a.lst", "a.pkl", "a.pickle", "a/b", "a.pkl:106")
        ),
        *((text, True) for text in ("cps/voc/train_aug_labeled_1-8", "unimatch/pascal/92/labeled:5", "a/1/8")),
        *(
            (text, False)
            for text in ("1/8", "3/16", "-1/8", "1/-2", "all", "106", "rest", "train", "", "1/8:3", "train:3")
        ),
    ],
)
def test_names_of_lists_are_told_from_shares_counts_and_pools(text, expected):
    assert is_list_name(text) is expected


def test_own_lists_are_all_files_that_can_be_lists(tmp_path):
    for name in ("b/a.txt", "a.pkl", "c.csv", "readme.md", "image.png"):
        write(tmp_path / name, b"x")
    assert [path.relative_to(tmp_path).as_posix() for path in own_lists(Places(splits=tmp_path))] == [
        "a.pkl",
        "b/a.txt",
        "c.csv",
    ]
    assert own_lists(Places(splits=tmp_path / "absent")) == ()


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        (("leftImg8bit/train/jena/jena_000078_000019_leftImg8bit.png",), "They are images of cityscapes."),
        (("jena_000078_000019", "jena_999999_000019"), "They have the names of images of cityscapes."),
        (("jena_000078_000019", "jena_000032_000019", "me"), "2 of them have the names of images of cityscapes."),
        (("train2017/000000177254.jpg masks/000000177254.png",), "They are images of coco."),
        (("000000177254", "000000000001.jpg"), "They have the names of images of coco."),
        (("images/training/ADE_train_00000001.jpg",), "They have the names of images of ade20k."),
        (("0001TP_009210.png", "Seq05VD_f00000"), "They have the names of images of camvid."),
        (("2007_000032",), ""),
        (("jena_000078_000019", "me"), ""),
        (("mine", "yours"), ""),
    ],
)
def test_the_data_set_that_a_list_belongs_to_is_named(entries, sentence):
    assert describe_owner(entries, VOC()) == sentence


def test_images_of_voc_are_recognised_elsewhere():
    assert describe_owner(("2007_000032", "2011_003276"), Cityscapes()) == "They are images of voc."
