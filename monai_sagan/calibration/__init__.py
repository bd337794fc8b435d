"""What a score means beside those of healthy images."""

from monai_sagan.calibration.conformal import (
    FalsePositiveRate,
    conformal_p_value,
    conformal_threshold,
    false_positive_rate,
    smallest_p_value,
)
from monai_sagan.calibration.false_discovery import false_discovery_mask

__all__ = [
    "FalsePositiveRate",
    "conformal_p_value",
    "conformal_threshold",
    "false_discovery_mask",
    "false_positive_rate",
    "smallest_p_value",
]
