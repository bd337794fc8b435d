"""What the papers report, with confidence intervals."""

from monai_sagan.metrics.classification import classification_metrics
from monai_sagan.metrics.delong import delong_auc, delong_difference
from monai_sagan.metrics.detection import (
    binomial_rate,
    dice,
    image_auc,
    image_average_precision,
    pixel_average_precision,
)
from monai_sagan.metrics.interval import Interval
from monai_sagan.metrics.paired import PairedDifference, paired_difference

__all__ = [
    "Interval",
    "PairedDifference",
    "binomial_rate",
    "classification_metrics",
    "delong_auc",
    "delong_difference",
    "dice",
    "image_auc",
    "image_average_precision",
    "paired_difference",
    "pixel_average_precision",
]
