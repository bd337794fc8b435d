"""Methods side by side."""

from monai_sagan.comparison.attention import compare_attention
from monai_sagan.comparison.attention_table import comparison_rows, comparison_table
from monai_sagan.comparison.detection import DEFAULT_METHODS, compare_detection
from monai_sagan.comparison.detection_table import HEADINGS, detection_rows, detection_table
from monai_sagan.comparison.methods import METHODS
from monai_sagan.comparison.plain_classifier import PlainClassifierTraining, SmallClassifier

__all__ = [
    "DEFAULT_METHODS",
    "HEADINGS",
    "METHODS",
    "PlainClassifierTraining",
    "SmallClassifier",
    "compare_attention",
    "compare_detection",
    "comparison_rows",
    "comparison_table",
    "detection_rows",
    "detection_table",
]
