"""What an evaluation found: figures for a program in JSON, and a page for a person."""

from monai_sagan.report.case import EvaluatedCase
from monai_sagan.report.evaluation import evaluation_metrics
from monai_sagan.report.handler import EvaluationReport
from monai_sagan.report.overview import draw_cases, draw_volume
from monai_sagan.report.page import write_report

__all__ = ["EvaluatedCase", "EvaluationReport", "draw_cases", "draw_volume", "evaluation_metrics", "write_report"]
