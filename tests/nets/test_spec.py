"""Networks as values."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from assay.errors import FieldError
from assay.nets.spec import DeepLabV2, DeepLabV3Plus, Encoder, Net, PSPNet
from assay.values import from_json, to_json


def test_describing_networks_and_finding_weights_import_neither_torch_nor_timm():
    code = (
        "import sys, assay.nets.spec, assay.nets.weights;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'torchvision')))"
    )
    paths = [str(Path(each).absolute()) for each in sys.path if each]
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}; {code}"], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("head", [DeepLabV2(branches=2), DeepLabV3Plus(projection=3), PSPNet(bins=(1, 2))])
def test_json_round_trip_of_a_network(head):
    net = Net(encoder=Encoder(arch="resnet18", stem="deep", multi_grid=(1, 2)), head=head)
    assert from_json(Net, to_json(net)) == net


@pytest.mark.parametrize(
    "make",
    [
        lambda: Encoder(output_stride=4),
        lambda: Encoder(multi_grid=(1, 0)),
        lambda: Encoder(arch="tiny", weights="imagenet"),
        lambda: DeepLabV2(branches=5),
        lambda: DeepLabV2(atrous_rates=()),
        lambda: DeepLabV3Plus(dropout=1.0),
        lambda: DeepLabV3Plus(projection=2),
        lambda: DeepLabV3Plus(classifier_std=0.0),
        lambda: PSPNet(bins=(0,)),
    ],
)
def test_an_impossible_network_is_refused(make):
    with pytest.raises(FieldError):
        make()
