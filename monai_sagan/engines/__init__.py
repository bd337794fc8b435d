"""Engines: training, and running a network over cases."""

from monai_sagan.engines.anomaly_evaluator import AnomalyEvaluator
from monai_sagan.engines.contrast_training import ContrastTraining, out_of_fold_scores
from monai_sagan.engines.loaders import require_batches
from monai_sagan.engines.reconstruction import PrepareReconstruction
from monai_sagan.engines.sagan_trainer import SAGANTrainer
from monai_sagan.engines.score_selection import ScoreSelection

__all__ = [
    "AnomalyEvaluator",
    "ContrastTraining",
    "PrepareReconstruction",
    "SAGANTrainer",
    "ScoreSelection",
    "out_of_fold_scores",
    "require_batches",
]
