"""The views of an image that methods train on, as values.

A weak view is scaled, cropped and flipped, and optionally its colours are distorted. A strong view is the same crop,
never distorted, under one photometric operator (`Strong`) or under operators that may also move pixels
(`RandAugment`). The code of the operators is in `photometric` and `randaugment`, of the crop's geometry in `geometry`,
of the boxes in `boxes`.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from assay.errors import FieldError
from assay.values import Value, param


class Strong(Value):
    """Exactly one of five operators for each image, drawn with these weights (the proportions of MKD's code)."""

    name = "photometric"
    is_unnamed_in_data = True

    jitter: float = param(default=0.3, low=0, help="weight of colour jitter")
    blur: float = param(default=0.5, low=0, help="weight of Gaussian blur")
    grey: float = param(default=0.5, low=0, help="weight of conversion to grey")
    equalize: float = param(default=0.1, low=0, help="weight of histogram equalisation")
    solarize: float = param(default=0.1, low=0, help="weight of solarisation")
    brightness: float = param(default=0.5, low=0, high=1, help="jitter: factor drawn from 1 ± this")
    contrast: float = param(default=0.5, low=0, high=1, help="jitter: factor drawn from 1 ± this")
    saturation: float = param(default=0.5, low=0, high=1, help="jitter: factor drawn from 1 ± this")
    hue: float = param(default=0.25, low=0, high=0.5, help="jitter: turn of the hue circle drawn from ± this")
    blur_sigma: tuple[float, float] = param(default=(0.1, 2.0), help="blur: range of the Gaussian's width in pixels")
    blur_kernels: tuple[int, ...] = param(default=(3, 5, 7), help="blur: kernel sizes, one is drawn")

    def check(self) -> None:
        if self.jitter + self.blur + self.grey + self.equalize + self.solarize <= 0:
            raise FieldError("the weights of the strong operators must not all be 0")
        low, high = self.blur_sigma
        if not 0 < low <= high:
            raise FieldError(f"blur_sigma must be two numbers with 0 < low <= high, got {self.blur_sigma}")
        if not self.blur_kernels or any(size < 1 or size % 2 == 0 for size in self.blur_kernels):
            raise FieldError(f"blur_kernels must be odd and positive, got {self.blur_kernels}")

    def needs_carrying(self) -> bool:
        """Return True if labels of the weak view must be carried to this view; here they fit it as they are."""
        return False


Operator = Literal[
    "identity", "autocontrast", "equalize", "rotate", "solarize", "color", "contrast", "brightness", "sharpness",
    "shear_x", "translate_x", "translate_y", "posterize", "shear_y",
]  # fmt: skip
MOVING: frozenset[Operator] = frozenset({"rotate", "shear_x", "shear_y", "translate_x", "translate_y"})
MAX_MAGNITUDE = 10  # RandAugment's scale of magnitudes


class RandAugment(Value):
    """RandAugment and Cutout, as in Three-Stage's code; `randaugment` applies them and carries labels along.

    Each of `num_ops` operators is drawn with replacement and applied with chance `chance`, at a whole magnitude drawn
    from the range `magnitudes`. Of 10, magnitude m means:

    - rotate, shear, translate: m/10 of the fields below (translations in whole pixels), to either side;
    - colour, contrast, brightness, sharpness: the factor 0.1 + 1.8 m/10;
    - solarise: inversion from 256 - 25.6 m up; posterise: 4 - 0.4 m bits, rounded up.

    Then squares are cut out: filled with mid-grey, around centres that are anywhere in the image.
    """

    name = "randaugment"

    num_ops: int = param(default=3, low=0, help="operators per image")
    operators: tuple[Operator, ...] = param(default=get_args(Operator), help="the operators that are drawn from")
    chance: float = param(default=0.5, low=0, high=1, help="chance that a drawn operator is applied")
    magnitudes: tuple[int, int] = param(default=(1, 9), help="smallest and largest magnitude, of 10")
    rotate: float = param(default=30.0, low=0, high=180, help="degrees at magnitude 10")
    shear: float = param(default=0.3, low=0, high=1, help="shear at magnitude 10, in pixels per pixel")
    translate: float = param(default=10.0, low=0, help="pixels at magnitude 10")
    cutout_squares: int = param(default=3, low=0, help="squares that are cut out")
    cutout_size: int = param(default=32, low=2, help="side of a square in pixels; even")
    ignore_cutout: bool = param(default=False, help="give the pixels inside the squares the label IGNORE")

    def check(self) -> None:
        low, high = self.magnitudes
        if not 0 <= low <= high <= MAX_MAGNITUDE:
            raise FieldError(f"magnitudes must be two rising numbers from 0 to {MAX_MAGNITUDE}, got {self.magnitudes}")
        if self.num_ops and not self.operators:
            raise FieldError(f"operators must not be empty with num_ops={self.num_ops}; for none, set num_ops to 0")
        if self.cutout_size % 2:
            raise FieldError(f"cutout_size must be even, got {self.cutout_size}")

    def unused(self) -> frozenset[str]:
        drawn = set(self.operators) if self.num_ops else set()
        fields_of_operators = {
            "rotate": drawn & {"rotate"},
            "shear": drawn & {"shear_x", "shear_y"},
            "translate": drawn & {"translate_x", "translate_y"},
            "magnitudes": drawn - {"identity", "autocontrast", "equalize"},
            "operators": drawn,
            "chance": drawn,
            "cutout_size": self.cutout_squares,
            "ignore_cutout": self.cutout_squares,
        }
        return frozenset(field for field, users in fields_of_operators.items() if not users)

    def needs_carrying(self) -> bool:
        """Return True if labels of the weak view must be carried to this view: pixels move, or count no longer."""
        moves = self.num_ops > 0 and self.chance > 0 and bool(MOVING & set(self.operators))
        return moves or (self.cutout_squares > 0 and self.ignore_cutout)


class Distort(Value):
    """Random changes of the weak views' brightness, contrast, saturation and hue (as in MKD's code).

    Contrast comes second or last, with equal chances.
    """

    name = "distort"

    chance: float = param(default=0.5, low=0, high=1, help="chance of each of the four")
    brightness: float = param(default=32.0, low=0, high=255, help="added to the 256 steps, drawn from ± this")
    contrast: float = param(default=0.5, low=0, high=1, help="factor of the 256 steps drawn from 1 ± this")
    saturation: float = param(default=0.5, low=0, high=1, help="factor drawn from 1 ± this")
    hue: float = param(
        default=0.1, low=0, high=0.5, help="turn of the hue circle drawn from ± this (18 of OpenCV's 180)"
    )


class JitterBlur(Value):
    """Colour jitter, then a Gaussian blur, of every weak view (as in Zhu et al.'s code, whose jitter has any order)."""

    name = "jitter_blur"

    brightness: float = param(default=0.25, low=0, high=1, help="factor drawn from 1 ± this")
    contrast: float = param(default=0.25, low=0, high=1, help="factor drawn from 1 ± this")
    saturation: float = param(default=0.25, low=0, high=1, help="factor drawn from 1 ± this")
    hue: float = param(default=0.25, low=0, high=0.5, help="turn of the hue circle drawn from ± this")
    blur_sigma: tuple[float, float] = param(default=(0.15, 1.3), help="range of the Gaussian's width in pixels")

    def check(self) -> None:
        low, high = self.blur_sigma
        if not 0 < low <= high:
            raise FieldError(f"blur_sigma must be two numbers with 0 < low <= high, got {self.blur_sigma}")


class Augment(Value):
    """The geometry that all views of an image share, the distortion of weak views, and the strong operators."""

    crop: tuple[int, int] = param(default=(512, 512), help="height and width of a training crop")
    fit: int | None = param(
        default=None, low=1, help="first fit the image into a square of this side, keeping its aspect ratio"
    )
    scales: tuple[float, ...] = param(default=(0.5, 2.0), help="scale factors: two ends of a range, or a list")
    scale_draw: Literal["range", "list"] = param(default="range", help="draw evenly from the range, or from the list")
    flip: float = param(default=0.5, low=0, high=1, help="chance of a left-right flip")
    distort: Distort | JitterBlur | None = param(
        default=None,
        neutral=None,
        help="change the colours of weak views, including labelled ones: distort or jitter_blur; none: do not",
    )
    strong: Strong | RandAugment = param(factory=Strong, help="operators of strong views: photometric or randaugment")

    def check(self) -> None:
        if min(self.crop) < 1:
            raise FieldError(f"crop must be two positive sizes, got {self.crop}")
        if not self.scales or min(self.scales) <= 0:
            raise FieldError(f"scales must be positive, got {self.scales}")
        if self.scale_draw == "range" and (len(self.scales) != 2 or self.scales[0] > self.scales[1]):
            raise FieldError(f"scales must be two rising ends when scale_draw is 'range', got {self.scales}")


class Boxes(Value):
    """CutMix rectangles, as in French et al.'s code.

    Each of N boxes covers a share p/N of the image, with p drawn from `area` and a log-uniform aspect ratio. It lies
    fully inside the image.
    """

    name = "boxes"

    num_boxes: int = param(default=1, low=1, high=1024, help="boxes per image")
    area: tuple[float, float] = param(default=(0.5, 0.5), help="range of the area share of all boxes together")
    rule: Literal["union", "toggle"] = param(
        default="union", help="where boxes overlap: inside (union) or back outside (toggle, as French's code does)"
    )

    def check(self) -> None:
        low, high = self.area
        if not 0 < low <= high <= 1:
            raise FieldError(f"area must be two shares with 0 < low <= high <= 1, got {self.area}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Views:
    """The streams of images that a method trains on."""

    labeled_strong: bool = False  # also a strong view of the labelled images
    unlabeled: int = 0  # independent streams of unlabelled images
    strong: int = 0  # strong views of each unlabelled image
    boxes: Boxes | None = None  # CutMix boxes, one set per unlabelled image
    # Fields of the method whose experiment predicts masks of the unlabelled images (``pseudo``, ``stages.0``). That
    # experiment's `Method.mask_predictors` names its masks; for others than "masks" write ``pseudo:other``.
    stored: tuple[str, ...] = ()
    labeled_stored: bool = False  # also masks of the labelled images
