"""What an evaluation found: figures for a program in JSON, and a page for a person."""

from monai_sagan.report.case import EvaluatedCase
from monai_sagan.report.classification_handler import ClassificationReport
from monai_sagan.report.classification_page import write_classification_report
from monai_sagan.report.classified_case import ClassifiedCase
from monai_sagan.report.evaluation import evaluation_metrics
from monai_sagan.report.handler import EvaluationReport
from monai_sagan.report.overview import draw_cases, draw_volume
from monai_sagan.report.page import write_report
from monai_sagan.report.weight_map import WeightMap, draw_mean_weight_maps

__all__ = [
    "ClassificationReport",
    "ClassifiedCase",
    "EvaluatedCase",
    "EvaluationReport",
    "WeightMap",
    "draw_cases",
    "draw_mean_weight_maps",
    "draw_volume",
    "evaluation_metrics",
    "write_classification_report",
    "write_report",
]
