"""COCO's masks: the rule for overlaps and crowds, against a plain painter, and damaged annotations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from trees import write_coco

from assay.data.source import DataBroken

pytest.importorskip("pycocotools", reason="COCO's annotations are drawn with pycocotools: pip install '.[coco]'")

from assay.data.sources.coco_masks import Annotation, Picture, draw, read_annotations

HEIGHT, WIDTH = 12, 16
pytestmark = pytest.mark.filterwarnings("error")  # pycocotools has warnings of its own


Box = tuple[int, int, int, int]  # top, left, bottom, right; the last two exclusive


def rectangle(number: int, label: int, box: Box, area: float, *, crowd: bool = False) -> Annotation:
    """Return an annotation of the pixels in a box: an instance as a polygon, a crowd as a run-length code."""
    top, left, bottom, right = box
    shape = run_lengths(box) if crowd else [[left, top, right, top, right, bottom, left, bottom]]
    return Annotation(id=number, label=label, area=area, is_crowd=crowd, shape=shape)


def run_lengths(box: Box) -> dict[str, list[int]]:
    """Return COCO's run-length code, pixel by pixel down the columns."""
    top, left, bottom, right = box
    runs, inside = [0], False
    for column in range(WIDTH):
        for row in range(HEIGHT):
            if (top <= row < bottom and left <= column < right) != inside:
                inside = not inside
                runs.append(0)
            runs[-1] += 1
    return {"size": [HEIGHT, WIDTH], "counts": runs}


def picture(*annotations: Annotation) -> Picture:
    return Picture(name="000000000009", height=HEIGHT, width=WIDTH, annotations=annotations)


def painted(*layers: tuple[Box, int]) -> np.ndarray:
    """Return boxes with their labels, painted one over the other."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for (top, left, bottom, right), label in layers:
        mask[top:bottom, left:right] = label
    return mask


LARGE, SMALL, OTHER = (1, 1, 9, 11), (4, 6, 8, 14), (0, 0, 7, 8)


def test_a_smaller_instance_covers_a_larger_one_whatever_their_order():
    first, second = rectangle(1, 5, SMALL, 32), rectangle(2, 7, LARGE, 80)
    for order in ((first, second), (second, first)):
        np.testing.assert_array_equal(draw(picture(*order)), painted((LARGE, 7), (SMALL, 5)))


def test_the_annotations_area_decides_and_not_the_pixels():
    np.testing.assert_array_equal(
        draw(picture(rectangle(1, 5, SMALL, 90), rectangle(2, 7, LARGE, 80))), painted((SMALL, 5), (LARGE, 7))
    )


def test_of_two_instances_of_equal_area_the_one_with_the_larger_id_is_on_top():
    first, second = rectangle(8, 5, SMALL, 50), rectangle(9, 7, LARGE, 50)
    for order in ((first, second), (second, first)):
        np.testing.assert_array_equal(draw(picture(*order)), painted((SMALL, 5), (LARGE, 7)))


def test_a_crowd_is_ignored_where_no_instance_is_drawn():
    crowd = rectangle(1, 1, OTHER, 1, crowd=True)
    for order in ((crowd, rectangle(2, 7, LARGE, 80)), (rectangle(2, 7, LARGE, 80), crowd)):
        np.testing.assert_array_equal(draw(picture(*order)), painted((OTHER, 255), (LARGE, 7)))


def test_an_image_without_annotations_is_background():
    np.testing.assert_array_equal(draw(picture()), painted())


def test_all_polygons_of_an_instance_are_drawn():
    two = Annotation(
        id=1, label=3, area=9, is_crowd=False, shape=[[1, 1, 4, 1, 4, 3, 1, 3], [8, 5, 10, 5, 10, 9, 8, 9]]
    )
    np.testing.assert_array_equal(draw(picture(two)), painted(((1, 1, 3, 4), 3), ((5, 8, 9, 10), 3)))


def test_categories_become_classes_in_the_order_of_their_ids(tmp_path):
    root = write_coco(tmp_path)
    first, second, *_ = read_annotations(root / "annotations" / "instances_train2017.json")
    assert (first.name, [entry.label for entry in first.annotations]) == ("000000000009", [2, 1, 80])
    assert (second.name, second.annotations, second.height) == ("000000000025", [], 42)


@pytest.mark.parametrize("shape", [[], [[1, 2, 3]], {"size": [5, 5], "counts": [25]}, {"size": [12, 16]}, 7])
def test_a_shape_that_cannot_be_drawn_names_its_annotation_and_image(shape):
    with pytest.raises(DataBroken, match="the annotation 4 of 000000000009 "):
        draw(picture(Annotation(id=4, label=1, area=1, is_crowd=False, shape=shape)))


def damaged(content: dict, change: str) -> str:
    """Return annotations with one kind of damage, as text."""
    if change == "another category":
        content["categories"][0]["name"] = "stuff"
    elif change == "unknown category":
        content["annotations"][0]["category_id"] = 12
    elif change == "no area":
        del content["annotations"][0]["area"]
    text = json.dumps([] if change == "a list" else content)
    return text[: len(text) // 2] if change == "truncated" else text


@pytest.mark.parametrize("change", ["another category", "unknown category", "no area", "a list", "truncated"])
def test_damaged_annotations_are_one_sentence_with_the_files_name(tmp_path: Path, change: str):
    path = write_coco(tmp_path) / "annotations" / "instances_val2017.json"
    path.write_text(damaged(json.loads(path.read_text()), change))
    with pytest.raises(
        DataBroken, match=rf"^{path} (cannot be read as COCO's instance annotations|has the category 1)"
    ):
        read_annotations(path)
