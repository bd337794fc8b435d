"""What a score means beside those of healthy images."""

from monai_sagan.calibration.conformal import (
    FalsePositiveRate,
    conformal_p_value,
    conformal_threshold,
    false_positive_rate,
    smallest_p_value,
)
from monai_sagan.calibration.describe import describe_calibration
from monai_sagan.calibration.false_discovery import false_discovery_mask
from monai_sagan.calibration.handler import CalibrationWriter
from monai_sagan.calibration.slices import slice_p_values
from monai_sagan.calibration.store import Calibration, read_calibration, write_calibration
from monai_sagan.calibration.transform import CompareWithHealthyd

__all__ = [
    "Calibration",
    "CalibrationWriter",
    "CompareWithHealthyd",
    "FalsePositiveRate",
    "conformal_p_value",
    "conformal_threshold",
    "describe_calibration",
    "false_discovery_mask",
    "false_positive_rate",
    "read_calibration",
    "slice_p_values",
    "smallest_p_value",
    "write_calibration",
]
