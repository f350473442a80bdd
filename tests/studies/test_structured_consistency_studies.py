"""The experiments of Structured Consistency's studies: every value of the paper's profile with its source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from assay.data.boxes import draw_boxes, paint
from assay.data.sources import CamVid
from assay.nets.flops import parameters
from assay.nets.network import build_network
from assay.presets import quick
from assay.study.cells import Cell, Selection, cells_of, profile_of
from assay.study.layouts import layout_of
from assay.study.paper import number, paper_number, table
from assay.study.tables import Study
from methods.structured_consistency import StructuredConsistency
from studies import structured_consistency_ablation as ablation
from studies import structured_consistency_benchmark as benchmark
from studies.recipes.structured_consistency import PAIRS_OF_A_DRAWN_BOX

LAST = "+ structured consistency loss"
# path | value | source: the paper (section), Zhu et al.'s code (sdcnet), which it follows, or ours.
PAPER = """
method.name | "structured_consistency" | 3
method.weight_consistency | 20.0 | 4.1: λ_c
method.weight_structured | 3.0 | 4.1: λ_sc
method.boxes.name | "boxes" | 3.2
method.boxes.num_boxes | 32 | 4.1: N
method.boxes.area | [0.75, 0.75] | 3.2: about half of the image, which 32 boxes of this area cover
method.boxes.rule | "union" | 3.3: a box covers the earlier ones
method.last_boxes | 16 | 4.1: N_box
method.pairs | 9000 | 4.1: N_pair
method.drop | "pairs" | Eq. 9
method.self_pairs | true | Eq. 8: all pairs
method.similarity_of | "probabilities" | Eq. 4 and 7: the same p
method.resolution | "image" | Eq. 4: H x W
method.on_padding | false | ours
method.one_pass | true | 3.1: labelled and unlabelled images in a batch, simultaneously
method.momentum | 0.999 | 4.1
method.teacher | "ema" | 4.1, table 3
method.validated | "ema" | 4.1, table 3
method.relaxation.name | "relaxation" | 3.1
method.relaxation.window | 3 | sdcnet: a border of 1; Eq. 2 has w without its value
method.relaxation.strict_classes | [] | Eq. 2: all classes; sdcnet: seven keep their label
method.relaxation.class_weight | 0.0 | Eq. 2: none
method.relaxation.ignored_borders | false | ours: Eq. 2 does not say
method.relaxation.tighten_at | 1.0 | Eq. 2: one window; sdcnet: until epoch 100
method.relaxation.border_weight | 1.0 | Eq. 2: none; not used
data.source.name | "cityscapes" | 4.1
data.source.train_extra_masks | "none" | 4.1: coarse annotations of unlabelled images are ignored
data.source.resize | null | sdcnet: images at their own size
data.split.labeled | "all" | 4.1: 2975 images
data.split.unlabeled | "train_extra" | 4.1: coarsely annotated images
data.split.labeled_pool | "train" | 4.1
data.split.seed | 0 | not used with all images
data.split.keep_repeated | false | ours
data.sampling.name | "class_uniform" | 4.1
data.sampling.share | 0.5 | sdcnet
data.sampling.tile | 1024 | sdcnet
net.encoder.arch | "wide_resnet38" | 4.1
net.encoder.output_stride | 8 | 4.1
net.encoder.stem | "deep" | not used by this encoder
net.encoder.stem_width | 64 | not used by this encoder
net.encoder.multi_grid | [1, 2, 4] | not used by this encoder
net.encoder.width | 16 | not used by this encoder
net.encoder.weights | "imagenet" | sdcnet; the paper's come from Mapillary
net.head.name | "deeplabv3plus" | 4.1
net.head.channels | 256 | sdcnet
net.head.low_level_channels | 48 | sdcnet
net.head.atrous_rates | [12, 24, 36] | sdcnet: twice 6, 12 and 18 at stride 8
net.head.separable | false | sdcnet
net.head.projection | 1 | sdcnet
net.head.dropout | 0.0 | sdcnet
net.head.classifier_std | 0.08838834764831845 | sdcnet: Kaiming's normal distribution for 256 inputs
net.head.classifier_bias | false | sdcnet
net.head.plain_projections | true | sdcnet
net.head.align_corners | true | sdcnet
net.batch_norm.momentum | 0.1 | sdcnet: torch's
net.batch_norm.eps | null | sdcnet: torch's
net.batch_norm.frozen | false | 4.1: synchronised batch norm
recipe.steps | 65100 | 4.1: 175 epochs of the labelled images, 372 steps of 8 each
recipe.labeled_batch | 8 | 4.1: one on each of 8 GPUs
recipe.unlabeled_batch | 8 | 4.1: one mixed image on each of 8 GPUs, from a u_a and a u_b
recipe.accumulate | 1 | 4.1
recipe.optimizer.name | "sgd" | 4.1
recipe.optimizer.lr | 0.002 | 4.1
recipe.optimizer.head_lr | null | sdcnet: one rate
recipe.optimizer.momentum | 0.9 | 4.1
recipe.optimizer.nesterov | false | sdcnet
recipe.optimizer.weight_decay | 0.001 | 4.1
recipe.optimizer.decay_norm_and_bias | true | sdcnet: all parameters in one group
recipe.schedule.power | 1.0 | 4.1
recipe.schedule.warmup_steps | 0 | 4.1
recipe.schedule.restart | null | 4.1: the polynomial alone
recipe.ohem | null | Eq. 2
recipe.augment.crop | [896, 896] | sdcnet; not stated in the paper
recipe.augment.fit | null | sdcnet
recipe.augment.scales | [0.5, 2.0] | sdcnet
recipe.augment.scale_draw | "range" | sdcnet
recipe.augment.flip | 0.5 | sdcnet
recipe.augment.distort.name | "jitter_blur" | 3.2: the random augmentation of Zhu et al.
recipe.augment.distort.brightness | 0.25 | sdcnet
recipe.augment.distort.contrast | 0.25 | sdcnet
recipe.augment.distort.saturation | 0.25 | sdcnet
recipe.augment.distort.hue | 0.25 | sdcnet
recipe.augment.distort.blur_sigma | [0.15, 1.3] | sdcnet
recipe.evaluation.every | 9300 | ours: 25 epochs; the number shown is the last step's
recipe.evaluation.mode | "sliding" | sdcnet; 4.2: overlapping tiles
recipe.evaluation.fit | null | sdcnet
recipe.evaluation.window | [1024, 1024] | sdcnet
recipe.evaluation.stride_share | 0.6669921875 | sdcnet: 683 of 1024, an overlap of a third
recipe.evaluation.windows | "scaled" | sdcnet
recipe.evaluation.scales | [1.0] | sdcnet: one scale on validation images
recipe.evaluation.flip | true | sdcnet: by default
recipe.evaluation.average | "logits" | sdcnet
recipe.precision | "float32" | ours: not stated; sdcnet's script has no --fp16
start | null | 4.1: from Mapillary Vistas, whose weights are not here
"""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, content in value.items():
            yield from leaves(content, f"{path}.{name}" if path else name)
    else:
        yield path, value


def values_of(cell: Cell) -> dict[str, Any]:
    """Return a cell's values, without those of strong views, which the method has not."""
    skipped = ("name", "seed")
    strong = "recipe.augment.strong."
    values = leaves(cell.experiment.to_json())
    return {path: value for path, value in values if path not in skipped and not path.startswith(strong)}


def listed(text: str) -> dict[str, Any]:
    return {path: json.loads(value) for path, value, _ in (line.split(" | ") for line in text.strip().splitlines())}


def cells(study: Study, profile: str, **choice: Any) -> list[Cell]:
    return cells_of(study, profile_of(study, profile), Selection(seeds=(0,), **choice))


def row(study: Study, profile: str, table: str, label: str, column: str = "mIoU") -> Cell:
    (cell,) = cells(study, profile, tables=(table,), rows=(label,), columns=(column,))
    return cell


def test_every_value_of_the_papers_profile_has_a_source() -> None:
    assert values_of(row(ablation.STUDY, "paper", "scl.table2", LAST)) == listed(PAPER)


# Differences of other rows from table 2's last one: path | value | source.
DIFFERENCES = {
    ("scl.table2", "supervised-only (baseline)"): """
method.weight_consistency | 0.0 | table 2
method.weight_structured | 0.0 | table 2
""",
    ("scl.table2", "+ consistency loss"): """
method.weight_structured | 0.0 | table 2
""",
    ("scl.table3", "EMA: neither"): """
method.teacher | "student" | table 3
method.validated | "student" | table 3
""",
    ("scl.table3", "EMA: validation"): """
method.teacher | "student" | table 3
""",
    ("scl.table3", "EMA: teacher"): """
method.validated | "student" | table 3
""",
    ("scl.table3", "EMA: both"): "",
    ("scl.table2.size", "N_box = 1"): """
method.last_boxes | 1 | ours
""",
    ("scl.table2.size", "N_pair / 100"): """
method.pairs | 90 | ours
""",
    ("scl.table2.size", "N_pair x 10"): """
method.pairs | 90000 | ours
""",
    ("scl.table2.drop", "pixels dropped, N_pair / 10"): """
method.drop | "pixels" | 3.3: "drop out the similarity vectors"
method.pairs | 900 | ours
""",
    ("scl.table1", "Ours"): """
recipe.evaluation.scales | [0.5, 1.0, 2.0] | 4.2
""",
}


@pytest.mark.parametrize("place", DIFFERENCES, ids=" ".join)
def test_every_value_in_which_another_row_differs_from_table_2s_last_one_has_a_source(place: tuple[str, str]) -> None:
    base = values_of(row(ablation.STUDY, "paper", "scl.table2", LAST))
    study = benchmark.STUDY if place[0] == "scl.table1" else ablation.STUDY
    values = values_of(row(study, "paper", *place))
    assert {path: value for path, value in values.items() if base[path] != value} == listed(DIFFERENCES[place])


# Differences of the profile `base` from `paper`, in every row: path | value | source.
BASE = """
method.relaxation.strict_classes | [5, 6, 7, 11, 12, 17, 18] | sdcnet: --strict_bdr_cls
method.relaxation.class_weight | 1.0 | sdcnet: --wt_bound
method.relaxation.ignored_borders | true | sdcnet
method.relaxation.tighten_at | 0.5714285714285714 | sdcnet: --rlx_off_epoch 100 of 175
method.relaxation.border_weight | 2.0 | sdcnet
recipe.steps | 32550 | sdcnet: 175 epochs, 186 steps of 16 each
recipe.labeled_batch | 16 | sdcnet: --bs_mult 2 on each of 8 GPUs
recipe.optimizer.lr | 0.001 | sdcnet
recipe.optimizer.weight_decay | 0.0001 | sdcnet: by default
recipe.schedule.restart.name | "restart" | sdcnet: scl-poly
recipe.schedule.restart.at | 0.5714285714285714 | sdcnet: the same epoch 100
recipe.schedule.restart.power | 1.5 | sdcnet: --repoly
recipe.evaluation.every | 4650 | ours: 25 epochs
"""


def test_every_value_in_which_the_base_differs_from_the_paper_has_a_source() -> None:
    printed = {(cell.table, cell.row): values_of(cell) for cell in cells(ablation.STUDY, "paper")}
    of_base = cells(ablation.STUDY, "base")
    assert {(cell.table, cell.row) for cell in of_base} == set(printed)
    for cell in of_base:
        of_paper, values = printed[cell.table, cell.row], values_of(cell)
        differences = {path: value for path, value in values.items() if of_paper.get(path) != value}
        assert differences == listed(BASE), (cell.table, cell.row)


def test_the_papers_network_is_that_of_zhus_code() -> None:
    net = row(ablation.STUDY, "paper", "scl.table2", LAST).experiment.net
    with torch.device("meta"):
        network = build_network(net, 19).eval()
        low, high = network.encoder(torch.empty(1, 3, 64, 64))
    assert parameters(network) == 137_103_936
    assert (low.shape[-1], high.shape[-1]) == (32, 8), "4.1: low-level features at stride 2, the last ones at 8"


def test_the_tables_have_the_papers_rows_in_its_order() -> None:
    for of in (ablation.TABLE2, ablation.TABLE3, benchmark.TABLE1):
        printed = [each["label"] for each in table(of.name)["rows"]]
        assert [row.paper for row in of.rows] == printed
    assert paper_number(ablation.TABLE2, ablation.TABLE2.rows[-1], "mIoU") == 81.9
    assert paper_number(ablation.TABLE3, ablation.TABLE3.rows[-1], "mIoU") == 81.9


def test_table_1_has_the_papers_columns_and_its_classes() -> None:
    assert list(benchmark.TABLE1.columns) == table("scl.table1")["columns"]
    (laid_out,) = layout_of(benchmark.STUDY, profile_of(benchmark.STUDY, "paper")).tables
    classes = {column.label: column.of_class for column in laid_out.columns}
    assert classes["s.walk"] == "sidewalk" and classes["motor"] == "motorcycle" and classes["mIoU"] == ""
    assert set(benchmark.CLASSES_OF_CAMVID.values()) == set(CamVid().classes())
    assert number("scl.table1", "Ours", "t-light") == 79.3


def test_table_1_is_one_training_per_seed_and_never_the_papers() -> None:
    of_paper = cells(benchmark.STUDY, "paper")
    assert {cell.column for cell in of_paper} == set(benchmark.TABLE1.columns)
    assert len({cell.experiment for cell in of_paper}) == 1
    assert all("test images" in cell.not_comparable for cell in of_paper)
    assert {cell.column for cell in cells(benchmark.STUDY, "quick")} == {"mIoU"}


def test_table_1s_quick_training_is_that_of_table_2() -> None:
    (quick_cell,) = cells(benchmark.STUDY, "quick")
    assert quick_cell.experiment == row(ablation.STUDY, "quick", "scl.table2", LAST).experiment


def test_a_drawn_box_has_no_more_pairs_than_the_shares_of_the_quick_profile_refer_to() -> None:
    method = row(ablation.STUDY, "quick", "scl.table2", LAST).experiment.method
    assert isinstance(method, StructuredConsistency) and method.pairs == 9000 > PAIRS_OF_A_DRAWN_BOX
    height, width = quick()[2].augment.crop
    rng = np.random.default_rng(0)
    boxes = torch.tensor(np.stack([draw_boxes(rng, height, width, method.boxes) for _ in range(500)]))
    areas = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    assert int(areas.max()) ** 2 == PAIRS_OF_A_DRAWN_BOX
    mask, _ = paint(boxes, height, width, method.boxes.rule)
    assert mask.float().mean().item() == pytest.approx(0.5, abs=0.03), "3.2: about half of the image"
    for label, pairs in (("N_pair / 100", 6), ("N_pair / 10", 62)):
        of_share: Any = row(ablation.STUDY, "quick", "scl.table2.size", label).experiment.method
        assert of_share.pairs == pairs


def test_quick_trainings_start_from_one_network_that_was_trained_on_the_other_world() -> None:
    study = ablation.STUDY
    starts = {cell.experiment.start for cell in cells_of(study, study.profiles[0], Selection())}
    (start,) = starts
    assert start is not None and (start.method.name, start.seed, start.start) == ("supervised", 0, None)
    assert start.data.source.world == 1 and start.data.split.labeled == "all"  # type: ignore[union-attr]
    assert row(study, "paper", "scl.table2", LAST).experiment.start is None


@pytest.mark.parametrize(("profile", "steps"), [("paper", 65_100), ("quick", 600), ("camvid", 4000)])
def test_the_moving_average_spans_the_same_share_of_every_profiles_training(profile: str, steps: int) -> None:
    experiment = row(ablation.STUDY, profile, "scl.table2", LAST).experiment
    method: Any = experiment.method
    assert experiment.recipe.steps == steps
    assert 1 / (1 - method.momentum) / steps == pytest.approx(1000 / 65_100)
