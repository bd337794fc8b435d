"""Handlers that attach to MONAI's engines."""

from monai_sagan.handlers.progress import CaseProgress, TrainingProgress
from monai_sagan.handlers.training_checkpoint import TrainingCheckpoint
from monai_sagan.handlers.weights_loader import WeightsLoader

__all__ = ["CaseProgress", "TrainingCheckpoint", "TrainingProgress", "WeightsLoader"]
