"""The interface that every data set implements."""

from __future__ import annotations

import subprocess
import sys
import typing
from pathlib import Path

import pytest

from assay.data.source import IGNORE, DataMissing
from assay.data.sources import SOURCES, AnySource, Textures
from assay.experiment import Data
from assay.places import Places
from assay.values import from_json, to_json, value_classes

ROOT = Path(__file__).parents[3]
EVERY = pytest.mark.parametrize("source", [source() for source in SOURCES.values()], ids=list(SOURCES))


@EVERY
def test_each_class_has_a_colour_of_its_own(source):
    assert len(source.palette()) == len(source.classes()) == source.num_classes() <= IGNORE
    assert len(set(source.palette())) == len(source.palette())
    assert len(set(source.classes())) == len(source.classes())
    assert all(0 <= channel <= 255 for colour in source.palette() for channel in colour)


@EVERY
def test_pools_name_val_and_begin_with_a_training_pool(source):
    assert "val" in source.pools()
    assert source.pools()[0] != "val"


@EVERY
def test_a_data_set_survives_json(source):
    assert from_json(type(source), to_json(source)) == source


@EVERY
def test_missing_data_are_reported_with_the_folder_that_was_searched(source, tmp_path):
    if isinstance(source, Textures):
        return
    source = source.replace(path="pictures") if hasattr(source, "path") else source
    for pool in source.pools():
        with pytest.raises(DataMissing, match=str(tmp_path)):
            source.ids(pool, Places(data=tmp_path))


def test_an_experiment_accepts_every_data_set():
    assert value_classes(typing.get_type_hints(Data)["source"]) == value_classes(AnySource) == SOURCES


def test_nothing_heavy_is_imported():
    script = (
        "import sys, assay.data.sources, assay.data.splits;"
        "from assay.places import Places; assay.data.sources.Textures().read('train-000000', Places());"
        "assert not {'torch', 'torchvision', 'timm', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={"PYTHONPATH": "platform", "PATH": ""}, check=True)
