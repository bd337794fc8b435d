"""Engines: training, and running a network over cases."""

from monai_sagan.engines.anomaly_evaluator import AnomalyEvaluator
from monai_sagan.engines.loaders import require_batches
from monai_sagan.engines.sagan_trainer import SAGANTrainer

__all__ = ["AnomalyEvaluator", "SAGANTrainer", "require_batches"]
