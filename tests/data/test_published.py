"""The lists that come with the package: counts and hashes of the published files, and what is known about them."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from assay.data import published
from assay.data.published.pack import pack
from assay.data.sources import SOURCES
from assay.data.splits import Split, split
from assay.places import Places

# The number of ids of each published file, and a hash of its ids in its order, one per line. Those of cps and unimatch
# (but coco) were computed from the published files themselves; the others were copied by hand, see `sources.json`.
LISTS = {
    "cps/cityscapes/train.txt": (2975, "fc017050aa0a524b"),
    "cps/cityscapes/train_aug_labeled_1-16.txt": (186, "de235b9fae9cafc1"),
    "cps/cityscapes/train_aug_labeled_1-2.txt": (1488, "5f5db5b45b41e891"),
    "cps/cityscapes/train_aug_labeled_1-4.txt": (744, "e8ad4829253c19fb"),
    "cps/cityscapes/train_aug_labeled_1-8.txt": (372, "d28bf27e274b48d9"),
    "cps/cityscapes/val.txt": (500, "9560711d77fd93d2"),
    "cps/voc/pseudoseg_labeled_1-16.txt": (92, "7feeb5314d994857"),
    "cps/voc/pseudoseg_labeled_1-2.txt": (732, "ba2d2c50ff29e4b8"),
    "cps/voc/pseudoseg_labeled_1-4.txt": (366, "97abd8fe7d52346b"),
    "cps/voc/pseudoseg_labeled_1-8.txt": (183, "5dac0b72efebf633"),
    "cps/voc/pseudoseg_unlabeled_1-16.txt": (1373, "22be7051e35a974e"),
    "cps/voc/pseudoseg_unlabeled_1-2.txt": (733, "d65246e0d2ff2c9f"),
    "cps/voc/pseudoseg_unlabeled_1-4.txt": (1099, "df65d19492044d0a"),
    "cps/voc/pseudoseg_unlabeled_1-8.txt": (1282, "c750fb758a95ae55"),
    "cps/voc/train.txt": (1464, "129f1fe991729b18"),
    "cps/voc/train_aug.txt": (10582, "855dff350b7f447b"),
    "cps/voc/train_aug_labeled_1-16.txt": (662, "baa85754594fcd33"),
    "cps/voc/train_aug_labeled_1-2.txt": (5291, "5338f277730143e0"),
    "cps/voc/train_aug_labeled_1-4.txt": (2646, "fd0e8dca3dac524c"),
    "cps/voc/train_aug_labeled_1-8.txt": (1323, "c9ca45b4e688d408"),
    "cps/voc/val.txt": (1449, "6f8edc37993764f6"),
    "u2pl/cityscapes/1488/labeled.txt": (1488, "702e7f41070af0dd"),
    "u2pl/cityscapes/186/labeled.txt": (186, "f08b2764cfcc297d"),
    "u2pl/cityscapes/372/labeled.txt": (372, "5544a6b081221894"),
    "u2pl/cityscapes/744/labeled.txt": (744, "80dca5c896616b85"),
    "u2pl/pascal/1323/labeled.txt": (1323, "112dcea11e1a1d21"),
    "u2pl/pascal/2646/labeled.txt": (2646, "4cc769f75d69c74e"),
    "u2pl/pascal/5291/labeled.txt": (5291, "989051b20c885ee0"),
    "u2pl/pascal/662/labeled.txt": (662, "e9bb5d18af804179"),
    "unimatch/cityscapes/1_16/labeled.txt": (186, "de235b9fae9cafc1"),
    "unimatch/cityscapes/1_2/labeled.txt": (1488, "5f5db5b45b41e891"),
    "unimatch/cityscapes/1_30/labeled.txt": (100, "25f7c1eacdde4515"),
    "unimatch/cityscapes/1_4/labeled.txt": (744, "e8ad4829253c19fb"),
    "unimatch/cityscapes/1_8/labeled.txt": (372, "d28bf27e274b48d9"),
    "unimatch/cityscapes/val.txt": (500, "e063e193cd8da9a4"),
    "unimatch/coco/1_128/labeled.txt": (925, "1ab0cdec5948c87c"),
    "unimatch/coco/1_256/labeled.txt": (463, "fae49266485dc498"),
    "unimatch/coco/1_32/labeled.txt": (3697, "d5130e5c9fdb9a3c"),
    "unimatch/coco/1_512/labeled.txt": (232, "5c4e8091acf25525"),
    "unimatch/coco/1_64/labeled.txt": (1849, "6e70da5507e1915e"),
    "unimatch/pascal/1464/labeled.txt": (1464, "129f1fe991729b18"),
    "unimatch/pascal/183/labeled.txt": (183, "5dac0b72efebf633"),
    "unimatch/pascal/1_16/labeled.txt": (662, "baa85754594fcd33"),
    "unimatch/pascal/1_4/labeled.txt": (2646, "fd0e8dca3dac524c"),
    "unimatch/pascal/1_8/labeled.txt": (1323, "c9ca45b4e688d408"),
    "unimatch/pascal/366/labeled.txt": (366, "97abd8fe7d52346b"),
    "unimatch/pascal/732/labeled.txt": (732, "b2973f8d47b780e0"),
    "unimatch/pascal/92/labeled.txt": (92, "7feeb5314d994857"),
    "unimatch/pascal/train_aug.txt": (10582, "855dff350b7f447b"),
    "unimatch/pascal/val.txt": (1449, "6f8edc37993764f6"),
}
PSEUDOSEG = {"1-16": 92, "1-8": 183, "1-4": 366, "1-2": 732}
CPS = ("1-16", "1-8", "1-4", "1-2")


def ids(name: str) -> set[str]:
    found = published.ids_of(name)
    assert found
    return set(found)


def test_every_list_has_the_count_and_the_ids_of_the_published_file() -> None:
    found = {}
    for name in published.names():
        entries = published.ids_of(name) or ()
        found[name] = len(entries), hashlib.sha256("\n".join(entries).encode()).hexdigest()[:16]
    assert found == LISTS


def test_no_list_repeats_an_image() -> None:
    for name in published.names():
        assert len(ids(name)) == LISTS[name][0]


def test_all_lists_together_are_small() -> None:
    folder = Path(published.__file__).parent
    assert sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) < 2**20


def test_a_name_is_found_with_and_without_its_suffix() -> None:
    assert published.ids_of("cps/voc/val") == published.ids_of("cps/voc/val.txt") is not None
    assert [published.ids_of(name) for name in ("cps/voc", "cps/voc/", "cps/voc/vall", "voc/val", "")] == [None] * 5


def test_every_origin_has_authors_a_home_and_a_licence() -> None:
    for origin in published.origins():
        assert origin.authors and "github.com/" in origin.home and origin.licence
        assert origin.data in SOURCES


def test_ids_are_ids_of_their_data_set() -> None:
    for origin in published.origins():
        source = SOURCES[origin.data]()
        for entries in published.lists_of(origin.folder).values():
            assert all(source.image_id(image_id) == image_id for image_id in entries)


# --- what facts.md, section 6, states about the lists ---------------------------------------------------------------


def test_cps_lists_of_voc_are_nested_and_their_complements_have_the_published_sizes() -> None:
    everything = ids("cps/voc/train_aug.txt")
    labeled = [ids(f"cps/voc/train_aug_labeled_{share}.txt") for share in CPS]
    assert all(small < large for small, large in itertools.pairwise([*labeled, everything]))
    assert [len(everything - part) for part in labeled] == [9920, 9259, 7936, 5291]
    assert [len(part & ids("cps/voc/train.txt")) for part in labeled] == [93, 193, 388, 742]


def test_each_unlabelled_list_of_pseudoseg_repeats_one_labelled_image() -> None:
    repeated = []
    for share, count in PSEUDOSEG.items():
        labeled, unlabeled = (ids(f"cps/voc/pseudoseg_{part}_{share}.txt") for part in ("labeled", "unlabeled"))
        assert labeled | unlabeled == ids("cps/voc/train.txt") and len(labeled) == count
        repeated.append(labeled & unlabeled)
    assert repeated == [{"2008_004822"}, {"2009_001036"}, {"2007_000032"}, {"2009_000662"}]


def test_pseudoseg_lists_are_not_nested() -> None:
    lists = [ids(f"cps/voc/pseudoseg_labeled_{share}.txt") for share in PSEUDOSEG]
    assert not any(small <= large for small, large in itertools.pairwise(lists))


def test_the_few_label_lists_of_unimatch_are_pseudosegs_but_for_732_of_which_371_are_shared() -> None:
    shared = [
        len(ids(f"unimatch/pascal/{count}/labeled.txt") & ids(f"cps/voc/pseudoseg_labeled_{share}.txt"))
        for share, count in PSEUDOSEG.items()
    ]
    assert shared == [92, 183, 366, 371]
    assert ids("unimatch/pascal/1464/labeled.txt") == ids("cps/voc/train.txt")
    everything = ids("unimatch/pascal/train_aug.txt")
    complements = [len(everything - ids(f"unimatch/pascal/{count}/labeled.txt")) for count in (92, 183, 366, 732, 1464)]
    assert complements == [10490, 10399, 10216, 9850, 9118]


@pytest.mark.parametrize("share", CPS[:3])
def test_the_other_lists_of_unimatch_for_voc_are_those_of_cps(share: str) -> None:
    name = f"unimatch/pascal/{share.replace('-', '_')}/labeled.txt"
    assert published.ids_of(name) == published.ids_of(f"cps/voc/train_aug_labeled_{share}.txt")


def test_the_lists_of_cityscapes_are_the_same_of_cps_and_of_unimatch() -> None:
    train = ids("cps/cityscapes/train.txt")
    for share, unlabeled in zip(CPS, (2789, 2603, 2231, 1487), strict=True):
        labeled = ids(f"cps/cityscapes/train_aug_labeled_{share}.txt")
        assert labeled == ids(f"unimatch/cityscapes/{share.replace('-', '_')}/labeled.txt")
        assert labeled < train and len(train - labeled) == unlabeled
    assert len(train - ids("unimatch/cityscapes/1_30/labeled.txt")) == 2875
    assert ids("cps/cityscapes/val.txt") == ids("unimatch/cityscapes/val.txt")


def test_the_lists_of_u2pl_label_the_1464_first_and_share_few_images_with_those_of_cps() -> None:
    fine, everything = ids("cps/voc/train.txt"), ids("cps/voc/train_aug.txt")
    labeled = [ids(f"u2pl/pascal/{count}/labeled.txt") for count in (662, 1323, 2646, 5291)]
    assert [len(part & fine) for part in labeled] == [662, 1323, 1464, 1464]
    assert all(part < everything for part in labeled)
    cps = [ids(f"cps/voc/train_aug_labeled_{share}.txt") for share in CPS]
    assert [len(part & other) for part, other in zip(labeled, cps, strict=True)][:3] == [43, 172, 666]


def test_the_two_smaller_lists_of_u2pl_are_draws_of_pythons_generator_with_seed_5() -> None:
    """The 1464 ids in their order, drawn again here, give every id: the lists were copied without a mistake."""
    fine = published.ids_of("cps/voc/train.txt") or ()
    for count in (662, 1323):
        assert published.ids_of(f"u2pl/pascal/{count}/labeled.txt") == tuple(random.Random(5).sample(fine, count))


def test_the_lists_of_u2pl_for_cityscapes_have_the_counts_of_cps_and_other_images() -> None:
    counts = (186, 372, 744, 1488)
    labeled = [ids(f"u2pl/cityscapes/{count}/labeled.txt") for count in counts]
    assert all(part < ids("cps/cityscapes/train.txt") for part in labeled)
    cps = [ids(f"cps/cityscapes/train_aug_labeled_{share}.txt") for share in CPS]
    assert [len(part & other) for part, other in zip(labeled, cps, strict=True)] == [8, 48, 182, 720]


def test_the_smallest_list_of_coco_is_every_16th_image_of_the_largest() -> None:
    largest = published.ids_of("unimatch/coco/1_32/labeled.txt") or ()
    assert published.ids_of("unimatch/coco/1_512/labeled.txt") == largest[::16]
    assert [LISTS[f"unimatch/coco/1_{share}/labeled.txt"][0] for share in (512, 256, 128, 64, 32)] == [
        *(232, 463, 925, 1849, 3697)
    ]


def test_training_and_validation_images_are_distinct() -> None:
    for origin in published.origins():
        lists = published.lists_of(origin.folder)
        val = {image_id for name, entries in lists.items() if name == "val.txt" for image_id in entries}
        assert not any(val & set(entries) for name, entries in lists.items() if name != "val.txt")


# --- packing --------------------------------------------------------------------------------------------------------


def test_packing_the_lists_again_gives_the_same_files(tmp_path: Path) -> None:
    for name in published.names():
        path = tmp_path / "lists" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\r\n".join(published.ids_of(name) or ()), encoding="utf-8")
    files = list(pack(tmp_path / "lists", tmp_path))
    assert {path.name for path in files} == {origin.file_name() for origin in published.origins()}
    for path in files:
        shipped = Path(published.__file__).parent / path.name
        assert gzip.decompress(path.read_bytes()) == gzip.decompress(shipped.read_bytes())


def test_packing_reads_every_published_format_and_keeps_its_order(tmp_path: Path) -> None:
    files = {
        "cps/voc/a.txt": "2007_000063\r\n2007_000032\r\n",
        "cps/cityscapes/b.txt": "/images/train/jena_000078_000019.png\t/masks/train/jena_000078_000019_gtFine.png",
        "unimatch/pascal/92/c.txt": "JPEGImages/2007_000032.jpg SegmentationClass/2007_000032.png\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(text.encode())
    content = {path.name: json.loads(gzip.decompress(path.read_bytes())) for path in pack(tmp_path, tmp_path)}
    assert content == {
        "cps-voc.json.gz": {"a.txt": ["2007_000063", "2007_000032"]},
        "cps-cityscapes.json.gz": {"b.txt": ["jena_000078_000019"]},
        "unimatch-pascal.json.gz": {"92/c.txt": ["2007_000032"]},
    }


def test_importing_the_package_reads_no_list() -> None:
    program = "import assay.data.splits, assay.presets; from assay.data import published as p;"
    program += "print(p.origins.cache_info().currsize, p.lists_of.cache_info().currsize)"
    answer = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.split() == ["0", "0"]


def test_a_split_of_cityscapes_is_resolved_by_a_published_list_alone(tmp_path: Path) -> None:
    for image_id in sorted(ids("cps/cityscapes/train.txt") | ids("cps/cityscapes/val.txt")):
        pool = "val" if image_id in ids("cps/cityscapes/val.txt") else "train"
        for folder, tail in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds")):
            path = tmp_path / folder / pool / image_id.split("_")[0] / f"{image_id}_{tail}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    spec = Split(labeled="unimatch/cityscapes/1_16/labeled", unlabeled="rest")
    result = split(SOURCES["cityscapes"](), spec, Places(data=tmp_path, splits=tmp_path))
    assert [len(part) for part in (result.labeled, result.unlabeled, result.val)] == [186, 2789, 500]
    assert set(result.labeled) == ids("cps/cityscapes/train_aug_labeled_1-16.txt")
