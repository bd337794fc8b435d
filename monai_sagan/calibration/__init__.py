"""What a score means beside those of healthy images."""

from monai_sagan.calibration.conformal import (
    FalsePositiveRate,
    conformal_p_value,
    conformal_threshold,
    false_positive_rate,
    fewest_healthy,
    smallest_p_value,
)
from monai_sagan.calibration.describe import describe_calibration
from monai_sagan.calibration.deviation import DeviationMapd
from monai_sagan.calibration.handler import CalibrationWriter
from monai_sagan.calibration.pixel_scale import MapOfHealthy, PixelScale, fit_pixel_scale
from monai_sagan.calibration.slices import slice_p_values
from monai_sagan.calibration.store import Calibration, read_calibration, write_calibration
from monai_sagan.calibration.transform import CompareWithHealthyd
from monai_sagan.calibration.unlabeled_ranking import UnlabeledRanking

__all__ = [
    "Calibration",
    "CalibrationWriter",
    "CompareWithHealthyd",
    "DeviationMapd",
    "FalsePositiveRate",
    "MapOfHealthy",
    "PixelScale",
    "UnlabeledRanking",
    "conformal_p_value",
    "conformal_threshold",
    "describe_calibration",
    "false_positive_rate",
    "fewest_healthy",
    "fit_pixel_scale",
    "read_calibration",
    "slice_p_values",
    "smallest_p_value",
    "write_calibration",
]
