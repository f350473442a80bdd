"""The experiments of MKD's studies: every value of the paper's profile with its source, and each row's parts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from assay.data.sources.coco import CLASSES as CLASSES_OF_COCO
from assay.nets.flops import parameters
from assay.nets.heads import build_head
from assay.nets.network import build_network
from assay.nets.weights import pretrained_name
from assay.presets import coco
from assay.study.cells import Cell, Selection, cells_of, profile_of
from assay.study.paper import number, paper_number
from assay.study.tables import Study
from studies import mkd_ablation, mkd_benchmark
from studies.recipes import mkd

CITYSCAPES_TABLE = "mkd.table2.cityscapes"
# path | value | source: the paper (section), the authors' code if the paper does not give it, ours if neither does.
PAPER = """
method.name | "mkd" | 3
method.teaching | "mutual" | 3.1, table 4
method.weight_teachers | 0.6 | code: 1.5 of a mean over labelled images and padding as well
method.weight_students | 0.4 | code: 1.0 of the same mean
method.momentum | 0.6 | code
method.warmup | "min" | code
method.teacher_mode | "train" | code
method.teacher_buffers | "own" | code
method.threshold_teachers | 0.95 | 3.1
method.threshold_students | 0.0 | 3.1: worse where it is applied to the other student
method.confidence | "target" | 3.1 in words, code; Eq. 3 prints the student's
method.sda.name | "sda" | 3.2
method.sda.photometric | true | 3.2
method.sda.cutmix.name | "boxes" | code
method.sda.cutmix.num_boxes | 3 | code
method.sda.cutmix.area | [0.25, 0.5] | code
method.sda.cutmix.rule | "toggle" | code
method.fda | null | table 4: its last row has none
method.fda_teachers | false | 1: "in student networks", code: and in teachers; not used without FDA
method.fda_labeled_first | false | ours; the code does; not used without FDA
method.on_labeled | false | Eq. 2 and 7; the code also takes labelled images
method.on_padding | false | ours; the code also takes padding
method.resolution | "half" | code
method.second_head | null | table 6: same network
data.source.name | "voc" | 4.1
data.source.masks | "aug" | 4.1
data.split.labeled | "cps/voc/train_aug_labeled_1-16.txt" | table 2: CPS's lists
data.split.unlabeled | "rest" | table 1: the remaining images
data.split.labeled_pool | "train_aug" | 4.1
data.split.seed | 0 | not used with a list
data.split.keep_repeated | false | ours
data.sampling | null | code: all images in turn
net.encoder.arch | "resnet101" | table 4
net.encoder.output_stride | 16 | code
net.encoder.stem | "deep" | code
net.encoder.stem_width | 32 | code: ResNetV1c, a stem of 32, 32 and 64 channels
net.encoder.multi_grid | [] | code: none
net.encoder.width | 16 | not used by ResNets
net.encoder.weights | "imagenet" | 4.1
net.head.name | "deeplabv3plus" | 4.1
net.head.channels | 256 | code
net.head.low_level_channels | 48 | code
net.head.atrous_rates | [6, 12, 18] | code
net.head.separable | true | 4.1
net.head.projection | 1 | 4.1: "same as standard DeepLabv3plus"; the code has 3
net.head.dropout | 0.0 | code
net.head.classifier_std | null | ours: torch's; the code has 0.01
net.head.classifier_bias | true | code
net.head.plain_projections | false | code
net.head.align_corners | false | ours
net.batch_norm.momentum | 0.001 | code
net.batch_norm.eps | null | ours: torch's
net.batch_norm.frozen | false | code
recipe.steps | 30000 | code
recipe.labeled_batch | 16 | 4.1; code: 4 pairs on each of 4 GPUs
recipe.unlabeled_batch | 16 | 4.1; code: 4 pairs on each of 4 GPUs
recipe.accumulate | 1 | code
recipe.optimizer.name | "sgd" | 4.1
recipe.optimizer.lr | 0.0025 | 4.1
recipe.optimizer.head_lr | null | code: no multiplier
recipe.optimizer.momentum | 0.9 | 4.1
recipe.optimizer.nesterov | false | ours
recipe.optimizer.weight_decay | 0.0005 | 4.1
recipe.optimizer.decay_norm_and_bias | true | code: no exception
recipe.schedule.power | 0.9 | 4.1
recipe.schedule.warmup_steps | 0 | 4.1: poly alone
recipe.schedule.restart | null | code
recipe.ohem | null | code: plain cross entropy
recipe.augment.crop | [512, 512] | 4.1
recipe.augment.fit | 512 | code
recipe.augment.scales | [0.5, 2.0] | code
recipe.augment.scale_draw | "range" | code
recipe.augment.flip | 0.5 | code
recipe.augment.distort | null | 3.2: flipping, cropping and resizing alone; the code distorts
recipe.augment.strong.jitter | 0.3 | code
recipe.augment.strong.blur | 0.5 | code
recipe.augment.strong.grey | 0.5 | code
recipe.augment.strong.equalize | 0.1 | code
recipe.augment.strong.solarize | 0.1 | code
recipe.augment.strong.brightness | 0.5 | code
recipe.augment.strong.contrast | 0.5 | code
recipe.augment.strong.saturation | 0.5 | code
recipe.augment.strong.hue | 0.25 | code
recipe.augment.strong.blur_sigma | [0.1, 2.0] | code
recipe.augment.strong.blur_kernels | [3, 5, 7] | code
recipe.evaluation.every | 2000 | code
recipe.evaluation.mode | "whole" | code
recipe.evaluation.fit | 512 | code
recipe.evaluation.window | [512, 512] | not used
recipe.evaluation.stride_share | 0.6666666666666666 | not used
recipe.evaluation.scales | [1.0] | 4.1: single scale
recipe.evaluation.flip | false | code
recipe.evaluation.windows | "padded" | not used
recipe.evaluation.average | "probabilities" | not used
recipe.precision | "bf16" | ours: the code's fp16 is not available
start | null | ours: none
"""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, content in value.items():
            yield from leaves(content, f"{path}.{name}" if path else name)
    else:
        yield path, value


def cells(study: Study, profile: str, **choice: Any) -> list[Cell]:
    return cells_of(study, profile_of(study, profile), Selection(seeds=(0,), **choice))


def row(study: Study, profile: str, table: str, label: str, column: str) -> Cell:
    (cell,) = cells(study, profile, tables=(table,), rows=(label,), columns=(column,))
    return cell


def table_names(study: Study) -> list[str]:
    return [table.name for table in study.tables]


def test_every_value_of_the_papers_profile_has_a_source() -> None:
    last = row(mkd_ablation.STUDY, "paper", "mkd.table4", "+ Mutual MT + SDA + KS", "1/16(662)")
    listed = dict(line.split(" | ")[:2] for line in PAPER.strip().splitlines())
    values = {path: value for path, value in leaves(last.experiment.to_json()) if path not in ("name", "seed")}
    assert values == {path: json.loads(value) for path, value in listed.items()}


# Differences of other rows from table 4's last row: path | value | source.
CO_TRAINING = """
method.teaching | "none" | 3.1, table 4: students alone
method.threshold_teachers | 0.0 | table 4: no KS; not used without teachers
"""
WITHOUT_SDA = """
method.sda | null | table 4: no SDA
"""
WITHOUT_KS = """
method.threshold_teachers | 0.0 | table 4: no KS
"""
WITH_FDA = """
method.fda.name | "fda" | 3.2, table 4
method.fda.strength | 1.5 | code: at the end of the training
method.fda.schedule | "cosine" | code
method.fda.full | false | code: variances; Eq. 4 has matrices
method.fda.train_weight | true | Eq. 4 as a loss; ours: the code's constant runs away
method.fda.classes | "pseudo_label" | 3.2; the code's is the network's own argmax
"""
FINE = """
data.source.masks | "fine" | 4.1: the 1464 original masks
data.split.labeled | "cps/voc/pseudoseg_labeled_1-16.txt" | table 5: PseudoSeg's lists
"""
ALL = """
data.source.masks | "fine" | 4.1: the 1464 original masks
data.split.labeled | "unimatch/pascal/92/labeled.txt" | table 1: its last row
"""
HN = """
method.second_head.name | "pspnet" | 4.3
method.second_head.channels | 512 | ours: no code
method.second_head.bins | [1, 2, 3, 6] | ours: no code
method.second_head.dropout | 0.0 | code: none in the other branch
"""
CITYSCAPES = """
data.source.name | "cityscapes" | 4.1
data.source.train_extra_masks | "none" | not used: its pool is not
data.source.resize | null | 4.1: images of 2048 x 1024
data.split.labeled | "cps/cityscapes/train_aug_labeled_1-16.txt" | table 2: CPS's lists
data.split.labeled_pool | "train" | 4.1: 2975 images
recipe.optimizer.lr | 0.01 | 4.1
recipe.augment.crop | [512, 1024] | 4.1: 1024 x 512, width first as in its 2048 x 1024
recipe.augment.fit | null | ours: MMSegmentation's; the code's 512 on VOC would be less than a crop
recipe.evaluation.fit | null | ours: MMSegmentation's
"""
OF_U2PL = CITYSCAPES.replace("cps/cityscapes/train_aug_labeled_1-16.txt", "u2pl/cityscapes/186/labeled.txt")
METHOD_CPS = """
method.name | "cps" | table 2
method.cutmix | null | table 2: without
method.on_labeled | true | code of CPS
"""
COCO = """
data.source.name | "coco" | 4.1
data.split.labeled | "unimatch/coco/1_512/labeled.txt" | table 3: PseudoSeg's lists, which UniMatch's authors publish
data.split.labeled_pool | "train" | 4.1: 118k images
net.encoder.arch | "xception65" | 4.1
net.encoder.stem | "plain" | not used by Xception
"""
DIFFERENCES = {
    ("mkd.table2.cityscapes", "Ours", "R101 1/16(186)"): CITYSCAPES,
    ("mkd.table2.cityscapes", "Ours ‡", "R101 1/16(186)"): OF_U2PL,
    ("mkd.table2.cityscapes", "Ours", "R50 1/2(1488)"): CITYSCAPES.replace("1-16", "1-2")
    + """
net.encoder.arch | "resnet50" | table 2
""",
    ("mkd.table2.cityscapes", "SupOnly", "R101 1/16(186)"): CITYSCAPES
    + """
method.name | "supervised" | table 2
""",
    ("mkd.table2.cityscapes", "CPS", "R101 1/16(186)"): CITYSCAPES
    + METHOD_CPS
    + """
method.weight | 6.0 | code of CPS, on Cityscapes
""",
    ("mkd.table2.cityscapes", "CPS ‡★", "R101 1/16(186)"): OF_U2PL
    + METHOD_CPS
    + """
method.weight | 6.0 | code of CPS, on Cityscapes
""",
    ("mkd.table2.cityscapes", "CPS w/ CutMix", "R101 1/16(186)"): CITYSCAPES
    + """
method.name | "cps" | table 2
method.weight | 5.0 | code of CPS with CutMix, on Cityscapes
method.cutmix.name | "boxes" | code of CPS with CutMix
method.cutmix.num_boxes | 3 | code of CPS with CutMix
method.cutmix.area | [0.25, 0.5] | code of CPS with CutMix
method.cutmix.rule | "toggle" | code of CPS with CutMix
""",
    ("mkd.table2.cityscapes", "MT", "R101 1/16(186)"): CITYSCAPES
    + """
method.name | "mean_teacher" | table 2
method.weight | 100.0 | code of CPS
method.momentum | 0.99 | code of CPS
method.on_labeled | true | code of CPS
""",
    ("mkd.table3", "Ours", "1/512(232)"): COCO,
    ("mkd.table3", "SupOnly", "1/32(3697)"): COCO.replace("1_512", "1_32")
    + """
method.name | "supervised" | table 3
""",
    ("mkd.table4", "Co-training", "1/16(662)"): CO_TRAINING + WITHOUT_SDA,
    ("mkd.table4", "+ Mutual MT", "1/16(662)"): WITHOUT_KS + WITHOUT_SDA,
    ("mkd.table4", "+ Mutual MT + FDA", "1/16(662)"): WITHOUT_KS + WITHOUT_SDA + WITH_FDA,
    ("mkd.table4", "+ SDA", "1/16(662)"): CO_TRAINING,
    ("mkd.table4", "+ Mutual MT + SDA", "1/16(662)"): WITHOUT_KS,
    ("mkd.table5", "KS on L_st", "1/16(92)"): FINE,
    ("mkd.table5", "KS on L_ss", "1/16(92)"): FINE
    + """
method.threshold_teachers | 0.0 | table 5
method.threshold_students | 0.95 | table 5
""",
    ("mkd.table5", "KS on L_st and L_ss", "1/16(92)"): FINE + "method.threshold_students | 0.95 | table 5",
    ("mkd.table5", "KS on L_st", "Full(1464)"): """
data.source.masks | "fine" | 4.1: the 1464 original masks
data.split.labeled | "cps/voc/train.txt" | table 5: all of them
""",
    ("mkd.table6", "SN", "1/16(92)"): ALL,
    ("mkd.table6", "HN", "1/16(92)"): ALL + HN,
}


@pytest.mark.parametrize("place", DIFFERENCES, ids=" ".join)
def test_every_value_in_which_another_row_differs_from_table_4s_last_one_has_a_source(
    place: tuple[str, str, str],
) -> None:
    last = row(mkd_ablation.STUDY, "paper", "mkd.table4", "+ Mutual MT + SDA + KS", "1/16(662)")
    base = dict(leaves(last.experiment.to_json()))
    study = next(study for study in (mkd_ablation.STUDY, mkd_benchmark.STUDY) if place[0] in table_names(study))
    values = dict(leaves(row(study, "paper", *place).experiment.to_json()))
    listed = dict(line.split(" | ")[:2] for line in DIFFERENCES[place].split("\n") if line)
    differences = {path: value for path, value in values.items() if path not in base or base[path] != value}
    assert differences == {path: json.loads(value) for path, value in listed.items()}


# Differences of the profile `code` from `paper`, in every row: path | value | source.
RELEASED = """
method.weight_teachers | 1.5 | code
method.weight_students | 1.0 | code
method.on_labeled | true | code: its losses take labelled and unlabelled images together
method.on_padding | true | code: its pseudo-labels ignore no pixel
net.encoder.arch | "resnet50" | code
net.head.projection | 3 | code
net.head.classifier_std | 0.01 | code
recipe.augment.distort.name | "distort" | code
recipe.augment.distort.chance | 0.5 | code
recipe.augment.distort.brightness | 32.0 | code
recipe.augment.distort.contrast | 0.5 | code
recipe.augment.distort.saturation | 0.5 | code
recipe.augment.distort.hue | 0.1 | code
"""
RELEASED_FDA = """
method.fda.train_weight | false | code: a constant term
method.fda.classes | "own" | code
method.fda_teachers | true | code: four estimators
method.fda_labeled_first | true | code
"""


def test_every_value_in_which_the_codes_profile_differs_from_the_papers_has_a_source() -> None:
    printed = {(cell.table, cell.row, cell.column): cell for cell in cells(mkd_ablation.STUDY, "paper")}
    released = cells(mkd_ablation.STUDY, "code")
    assert {(cell.table, cell.row, cell.column) for cell in released} == set(printed)
    for cell in released:
        of_paper = dict(leaves(printed[cell.table, cell.row, cell.column].experiment.to_json()))
        values = dict(leaves(cell.experiment.to_json()))
        sources = RELEASED + (RELEASED_FDA if "method.fda.name" in values else "")
        listed = dict(line.split(" | ")[:2] for line in sources.split("\n") if line)
        differences = {path: value for path, value in values.items() if of_paper.get(path) != value}
        assert differences == {path: json.loads(value) for path, value in listed.items()}, (cell.table, cell.row)
        assert "ResNet-50" in cell.not_comparable


def test_a_row_of_the_codes_profile_has_the_parts_of_the_released_configuration() -> None:
    released: Any = row(
        mkd_ablation.STUDY, "code", "mkd.table4.released", "+ Mutual MT + SDA + FDA", "1/16(662)"
    ).experiment
    method = released.method
    assert (method.teaching, method.threshold_teachers, method.threshold_students) == ("mutual", 0.0, 0.0)
    assert method.sda is not None and method.fda is not None
    assert "'+ Mutual MT + SDA + FDA' of mkd_ablation's mkd.table4.released at 1/16(662)" in mkd.CODE_NOTE


@pytest.mark.parametrize(("profile", "millions"), [("paper", 3.19), ("code", 5.81)])  # counted of the authors' code
def test_the_heads_of_the_profiles_have_the_sizes_of_a_1x1_and_of_the_codes_3x3_projection(
    profile: str, millions: float
) -> None:
    net = row(mkd_ablation.STUDY, profile, "mkd.table4", "+ Mutual MT", "1/16(662)").experiment.net
    with torch.device("meta"):
        head = build_head(net.head, (256, 2048), 21)
    assert round(parameters(head) / 1e6, 2) == millions


def test_xception65_takes_its_published_weights_and_learns_cocos_81_classes(tmp_path: Path) -> None:
    experiment = row(mkd_benchmark.STUDY, "paper", "mkd.table3", "Ours", "1/512(232)").experiment
    with torch.random.fork_rng():
        torch.manual_seed(0)
        published = timm.create_model("xception65", pretrained=False)  # the names and shapes of xception65.tf_in1k
    save_file(
        {name: each.contiguous() for name, each in published.state_dict().items()}, tmp_path / "weights.safetensors"
    )
    assert pretrained_name(experiment.net.encoder) == "xception65.tf_in1k"
    network = build_network(experiment.net, len(CLASSES_OF_COCO), weights=tmp_path / "weights.safetensors")
    assert network.random_parameters == () and round(parameters(network.encoder) / 1e6, 2) == 37.87
    images = torch.randn(2, 3, 64, 48)
    low, high = network.encoder(images)
    assert low.shape == (2, 256, 16, 12) and high.shape == (2, 2048, 4, 3)
    logits = network(images)
    assert logits.shape == (2, 81, 64, 48)
    logits.square().sum().backward()
    assert all(each.grad is not None for each in network.parameters())


def test_the_preset_of_coco_is_the_papers_recipe_but_for_precision_and_normalisation() -> None:
    experiment: Any = row(mkd_benchmark.STUDY, "paper", "mkd.table3", "Ours", "1/32(3697)").experiment
    data, net, recipe = coco()
    assert experiment.data.source == data.source and experiment.net.replace(batch_norm=net.batch_norm) == net
    optimizer = recipe.optimizer.replace(decay_norm_and_bias=True)
    assert experiment.recipe == recipe.replace(optimizer=optimizer, precision="bf16")


def test_the_comparison_in_the_codes_profile_has_the_networks_of_its_rows_and_columns() -> None:
    ours = row(mkd_benchmark.STUDY, "code", "mkd.table2", "Ours", "R50 1/16(662)").experiment
    assert ours == row(mkd_ablation.STUDY, "code", "mkd.table4", "+ Mutual MT + SDA + KS", "1/16(662)").experiment
    assert row(mkd_benchmark.STUDY, "code", "mkd.table1", "Ours-R50", "1/16(92)").experiment.net == ours.net
    planned: list[Any] = [cell.experiment for cell in cells(mkd_benchmark.STUDY, "code", tables=("mkd.table2",))]
    on_padding = {each.method.name: getattr(each.method, "on_padding", None) for each in planned}
    assert on_padding == {"supervised": None, "mean_teacher": True, "cutmix_seg": None, "cps": True, "mkd": True}


ON_CITYSCAPES = """
net.head.projection | 3 | code of MKD
net.head.classifier_std | 0.01 | code of MKD
recipe.augment.distort.name | "distort" | code of MKD
recipe.augment.distort.chance | 0.5 | code of MKD
recipe.augment.distort.brightness | 32.0 | code of MKD
recipe.augment.distort.contrast | 0.5 | code of MKD
recipe.augment.distort.saturation | 0.5 | code of MKD
recipe.augment.distort.hue | 0.1 | code of MKD
"""
CPS_IN_CODE = """
method.on_padding | true | code of CPS
recipe.ohem.name | "ohem" | code of CPS, on Cityscapes
recipe.ohem.threshold | 0.7 | code of CPS, on Cityscapes
recipe.ohem.min_kept | 800000 | code of CPS, on Cityscapes: 50,000 for each of the 16 images
"""
OURS_IN_CODE = """
method.weight_teachers | 1.5 | code of MKD
method.weight_students | 1.0 | code of MKD
method.on_labeled | true | code of MKD
method.on_padding | true | code of MKD
"""


@pytest.mark.parametrize(
    ("label", "sources"),
    [
        ("SupOnly", ""),
        ("MT", "method.on_padding | true | code of CPS"),
        ("CutMix-Seg", ""),
        ("CPS", CPS_IN_CODE),
        ("CPS w/ CutMix", CPS_IN_CODE),
        ("CPS ‡★", CPS_IN_CODE),
        ("Ours", OURS_IN_CODE),
        ("Ours ‡", OURS_IN_CODE),
    ],
)
def test_every_value_in_which_the_codes_cityscapes_differ_from_the_papers_has_a_source(
    label: str, sources: str
) -> None:
    of_paper, values = (
        dict(leaves(row(mkd_benchmark.STUDY, profile, CITYSCAPES_TABLE, label, "R101 1/8(372)").experiment.to_json()))
        for profile in ("paper", "code")
    )
    listed = dict(line.split(" | ")[:2] for line in (ON_CITYSCAPES + sources).split("\n") if line)
    differences = {path: value for path, value in values.items() if of_paper.get(path) != value}
    assert differences == {path: json.loads(value) for path, value in listed.items()}


PARTS = {  # of table 4's rows: teaching, SDA, T of L_st, FDA
    "Co-training": ("none", False, 0.0, False),
    "+ Mutual MT": ("mutual", False, 0.0, False),
    "+ Mutual MT + FDA": ("mutual", False, 0.0, True),
    "+ SDA": ("none", True, 0.0, False),
    "+ Mutual MT + SDA": ("mutual", True, 0.0, False),
    "+ Mutual MT + SDA + KS": ("mutual", True, 0.95, False),
}


@pytest.mark.parametrize("profile", ["quick", "camvid", "paper", "code"])
def test_each_row_of_table_4_has_the_parts_in_its_label(profile: str) -> None:
    parts = {}
    for cell in cells(mkd_ablation.STUDY, profile, tables=("mkd.table4",), columns=("1/16(662)",)):
        method: Any = cell.experiment.method
        parts[cell.row] = (
            method.teaching,
            method.sda is not None,
            method.threshold_teachers,
            method.fda is not None,
        )
    assert parts == PARTS


def test_the_table_of_plain_mean_teachers_has_two_rows_of_table_4_and_one_more() -> None:
    plain = {
        cell.row: cell.experiment
        for cell in cells(mkd_ablation.STUDY, "quick", tables=("mkd.table4.plain",), columns=("1/16(662)",))
    }
    whole = {
        cell.row: cell.experiment
        for cell in cells(mkd_ablation.STUDY, "quick", tables=("mkd.table4",), columns=("1/16(662)",))
    }
    assert plain.pop("+ plain MT").method.teaching == "plain"
    assert plain == {label: whole[label] for label in ("Co-training", "+ Mutual MT")}


def test_tables_5_and_6_change_the_selection_and_the_second_branch_of_table_4s_last_row() -> None:
    base: Any = row(mkd_ablation.STUDY, "paper", "mkd.table4", "+ Mutual MT + SDA + KS", "1/16(662)").experiment.method
    five = {
        cell.row: cell.experiment.method
        for cell in cells(mkd_ablation.STUDY, "paper", tables=("mkd.table5",), columns=("1/16(92)",))
    }
    assert five == {
        "KS on L_st": base,
        "KS on L_ss": base.replace(threshold_teachers=0.0, threshold_students=0.95),
        "KS on L_st and L_ss": base.replace(threshold_students=0.95),
    }
    six: Any = {
        cell.row: cell.experiment
        for cell in cells(mkd_ablation.STUDY, "paper", tables=("mkd.table6",), columns=("1/16(92)",))
    }
    assert six["SN"].method == base and six["HN"].method.second_head.name == "pspnet"
    assert six["HN"].net.head.name == "deeplabv3plus"
    last = row(mkd_benchmark.STUDY, "paper", "mkd.table1.dagger", "Ours-R101 † *", "1/16(92)")
    assert six["SN"] == last.experiment, "table 6's SN is table 1's last row"


def test_rows_that_differ_from_the_papers_are_not_comparable_in_the_papers_profile() -> None:
    reasons = {
        (cell.table, cell.row, cell.column): cell.not_comparable
        for study in (mkd_ablation.STUDY, mkd_benchmark.STUDY)
        for cell in cells(study, "paper")
    }
    comparable = {(table, label) for (table, label, _), why in reasons.items() if not why}
    assert comparable == {
        *(("mkd.table4", label) for label in PARTS if label not in ("Co-training", "+ SDA")),
        *(("mkd.table4.plain", label) for label in ("Co-training", "+ plain MT", "+ Mutual MT")),
        *(("mkd.table4.released", label) for label in ("+ Mutual MT + SDA", "+ Mutual MT + SDA + FDA")),
        *(("mkd.table6", label) for label in ("HN", "SN")),
        *(("mkd.table1", f"SupOnly-{net}") for net in ("R50", "R101")),
        ("mkd.table1.dagger", "Ours-R101 † *"),
        *(("mkd.table2", label) for label in ("SupOnly", "Ours")),
        *(("mkd.table2.u2pl", label) for label in ("SupOnly ‡", "Ours ‡")),
        *((CITYSCAPES_TABLE, label) for label in ("SupOnly", "SupOnly ‡", "Ours", "Ours ‡")),
        *(("mkd.table3", label) for label in ("SupOnly", "Ours")),
    }
    parts = "the other parts of the paper's row are not stated"
    assert all(why.startswith(parts) for (table, _, _), why in reasons.items() if table == "mkd.table5")
    assert "not this SDA" in reasons["mkd.table4", "+ SDA", "1/16(662)"]
    assert "Eq. 5 without L_st" in reasons["mkd.table4", "Co-training", "1/16(662)"]


def test_the_order_of_a_quoted_number_counts_unless_its_row_is_another_thing() -> None:
    rows = [(table.name, row) for study in (mkd_ablation.STUDY, mkd_benchmark.STUDY) for table in study.tables
            for row in table.rows]  # fmt: skip
    assert [(table, row.label) for table, row in rows if row.not_the_papers] == [("mkd.table4", "+ SDA")]


@pytest.mark.parametrize("study", [mkd_ablation.STUDY, mkd_benchmark.STUDY], ids=lambda study: study.name)
def test_profiles_name_their_changes_of_the_method(study: Study) -> None:
    from methods.mkd import MKD

    defaults = MKD()
    weights = f"α = {defaults.weight_teachers} and β = {defaults.weight_students}"
    assert weights in profile_of(study, "paper").note
    for profile in ("quick", "camvid"):
        of_mkd: list[Any] = [cell for cell in cells(study, profile) if cell.experiment.method.name == "mkd"]
        ours = next(cell for cell in of_mkd if cell.experiment.method.teaching == "mutual")
        method = ours.experiment.method
        sums = {
            sum((method.weight_teachers, method.weight_students)[method.teaching == "none" :])
            for method in (cell.experiment.method for cell in of_mkd)
        }
        assert len(sums) == 1, "the unlabelled images have equal weight in every row"
        assert (method.weight_teachers, method.weight_students) == (defaults.weight_teachers, defaults.weight_students)
        alone = f"β is 1 in rows without teachers (profile paper: {defaults.weight_students})"
        has_such_rows = any(cell.experiment.method.teaching == "none" for cell in of_mkd)
        assert (alone in ours.not_comparable) == has_such_rows == (study is mkd_ablation.STUDY)
        assert ("loss at the images' resolution" in ours.not_comparable) == (method.resolution == "image")


def test_only_table_1_without_a_dagger_has_the_labelled_images_as_unlabelled_ones_at_full_1464() -> None:
    full = row(mkd_benchmark.STUDY, "paper", "mkd.table1", "Ours-R101", "Full(1464)").experiment.data.split
    assert (full.labeled, full.labeled_pool, full.unlabeled) == ("cps/voc/train.txt", "train", "train")
    for table, label in (("mkd.table5", "KS on L_st"), ("mkd.table6", "SN")):
        larger = row(mkd_ablation.STUDY, "paper", table, label, "Full(1464)").experiment.data.split
        assert (larger.labeled_pool, larger.unlabeled) == ("train_aug", "rest")


@pytest.mark.parametrize("column", ["1/16(92)", "1/2(732)", "Full(1464)"])
def test_table_5_is_labelled_by_pseudosegs_lists(column: str) -> None:
    five = row(mkd_ablation.STUDY, "paper", "mkd.table5", "KS on L_st", column).experiment.data.split
    without_dagger = row(mkd_benchmark.STUDY, "paper", "mkd.table1", "Ours-R101", column).experiment.data.split
    assert five.labeled == without_dagger.labeled


@pytest.mark.parametrize("study", [mkd_ablation.STUDY, mkd_benchmark.STUDY], ids=lambda study: study.name)
def test_every_number_of_the_papers_tables_is_shown(study: Study) -> None:
    from assay.study import paper

    shown: dict[str, set[tuple[str, str]]] = {}
    for table in study.tables:
        for row in table.rows:
            for column in table.columns:
                if paper_number(table, row, column) is not None:
                    shown.setdefault(table.paper, set()).add((str(row.paper), column))
    for name, places in shown.items():
        printed = {
            (row["label"], column)
            for row in paper.table(name)["rows"]
            for column, value in row["values"].items()
            if value is not None
        }
        assert printed <= places, name


def test_u2pls_lists_have_their_authors_file_names() -> None:
    cell = row(mkd_benchmark.STUDY, "paper", "mkd.table2.u2pl", "Ours ‡", "R101 1/16(662)")
    assert cell.experiment.data.split.labeled == "u2pl/pascal/662/labeled.txt"


def test_rows_that_name_a_network_have_it_in_the_papers_profile_and_share_one_training_on_textures() -> None:
    encoders = {
        cell.row: cell.experiment.net.encoder.arch
        for cell in cells(mkd_benchmark.STUDY, "paper", tables=("mkd.table1",), columns=("1/16(92)",))
    }
    assert encoders["SupOnly-R50"] == encoders["Ours-R50"] == "resnet50"
    assert {arch for label, arch in encoders.items() if label.endswith("R101")} == {"resnet101"}
    quick = {
        cell.row: cell.experiment
        for cell in cells(mkd_benchmark.STUDY, "quick", tables=("mkd.table1",), columns=("1/16(92)",))
    }
    assert quick["Ours-R50"] == quick["Ours-R101"]


@pytest.mark.parametrize("profile", ["paper", "code"])
def test_the_table_of_the_released_parts_adds_fda_to_a_row_of_table_4(profile: str) -> None:
    without, released = (
        row(mkd_ablation.STUDY, profile, "mkd.table4.released", label, "1/16(662)").experiment
        for label in ("+ Mutual MT + SDA", "+ Mutual MT + SDA + FDA")
    )
    assert without == row(mkd_ablation.STUDY, profile, "mkd.table4", "+ Mutual MT + SDA", "1/16(662)").experiment
    fda_alone: Any = row(mkd_ablation.STUDY, profile, "mkd.table4", "+ Mutual MT + FDA", "1/16(662)").experiment
    method: Any = without.method
    changes = {name: getattr(fda_alone.method, name) for name in ("fda", "fda_teachers", "fda_labeled_first")}
    assert released == without.replace(method=method.replace(**changes))


def test_ours_of_table_2_is_the_ablations_last_row_in_the_papers_profile() -> None:
    ours = row(mkd_benchmark.STUDY, "paper", "mkd.table2", "Ours", "R101 1/16(662)").experiment
    assert ours == row(mkd_ablation.STUDY, "paper", "mkd.table4", "+ Mutual MT + SDA + KS", "1/16(662)").experiment


@pytest.mark.parametrize("profile", ["quick", "camvid", "paper", "code"])
@pytest.mark.parametrize(
    ("table", "rows", "source"),
    [
        ("mkd.table3", {"SupOnly", "Ours"}, "coco"),
        (
            CITYSCAPES_TABLE,
            {"SupOnly", "SupOnly ‡", "MT", "CutMix-Seg", "CPS", "CPS w/ CutMix", "CPS ‡★", "Ours", "Ours ‡"},
            "cityscapes",
        ),
    ],
)
def test_rows_on_cityscapes_and_coco_are_trained_there_or_on_the_profiles_own_data(
    profile: str, table: str, rows: set[str], source: str
) -> None:
    planned = cells(mkd_benchmark.STUDY, profile, tables=(table,))
    assert {cell.row for cell in planned} == rows and not any(cell.blocked_by for cell in planned)
    sources = {cell.experiment.data.source.name for cell in planned}
    assert sources == {{"quick": "textures", "camvid": "camvid"}.get(profile, source)}


def test_rows_with_a_double_dagger_have_u2pls_lists_on_cityscapes_and_the_others_have_the_cps_authors() -> None:
    for cell in cells(mkd_benchmark.STUDY, "paper", tables=(CITYSCAPES_TABLE,)):
        of_u2pl = cell.experiment.data.split.labeled.startswith("u2pl/cityscapes/")
        assert of_u2pl == ("‡" in cell.row), (cell.row, cell.column)


def test_on_drawn_textures_cityscapes_is_the_second_data_set() -> None:
    (ours,) = cells(mkd_benchmark.STUDY, "quick", tables=(CITYSCAPES_TABLE,), rows=("Ours",), columns=("R50 1/8(372)",))
    assert ours.experiment.data.source.world == 1 and ours.experiment.data.split.labeled == "1/8"  # type: ignore[attr-defined]


def test_captions_describe_a_pool_that_is_not_stated() -> None:
    caption = mkd_benchmark.TABLE1.caption
    assert "Pool not stated" in caption and "Full(1464)" in caption


def test_the_caption_of_table_5_infers_its_pool_from_numbers_that_the_paper_prints() -> None:
    places = (("5", "KS on L_st only"), ("1", "Ours-R101"), ("1", "Ours-R101 †"), ("1", "Ours-R101 † *"))
    numbers = [f"{number(f'mkd.table{table}', label, '1/16(92)'):.2f}" for table, label in places]
    caption = mkd_ablation.TABLE5.caption
    assert "inferred" in caption
    assert re.findall(r"\b\d+\.\d\d\b", caption) == numbers


def test_captions_of_tables_with_the_larger_pool_name_the_difference_of_u2pls_732() -> None:
    for table in (mkd_ablation.TABLE6, mkd_benchmark.TABLE1_ALL):
        assert "1/2(732), where the two share 371 images" in table.caption
