"""What the papers report, with confidence intervals."""

from monai_sagan.metrics.detection import Interval, dice, image_auc, image_average_precision, pixel_average_precision

__all__ = ["Interval", "dice", "image_auc", "image_average_precision", "pixel_average_precision"]
