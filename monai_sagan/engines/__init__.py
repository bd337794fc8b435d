"""Engines: training a SAGAN, and running one over cases."""

from monai_sagan.engines.anomaly_evaluator import AnomalyEvaluator
from monai_sagan.engines.sagan_trainer import SAGANTrainer

__all__ = ["AnomalyEvaluator", "SAGANTrainer"]
