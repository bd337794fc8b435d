"""Inferers: an image or a volume in, what a network says of it out."""

from monai_sagan.inferers.classification import ClassificationInferer
from monai_sagan.inferers.precision import gains_by_bfloat16
from monai_sagan.inferers.restoration import RestorationInferer

__all__ = ["ClassificationInferer", "RestorationInferer", "gains_by_bfloat16"]
