"""Handlers that attach to MONAI's engines."""

from monai_sagan.handlers.attention_gatherer import AttentionGatherer
from monai_sagan.handlers.case_gatherer import CaseGatherer
from monai_sagan.handlers.checkpoint_selection import CheckpointSelection
from monai_sagan.handlers.progress import CaseProgress, TrainingProgress
from monai_sagan.handlers.training_checkpoint import TrainingCheckpoint
from monai_sagan.handlers.training_record import TrainingRecord
from monai_sagan.handlers.weights_loader import WeightsLoader

__all__ = [
    "AttentionGatherer",
    "CaseGatherer",
    "CaseProgress",
    "CheckpointSelection",
    "TrainingCheckpoint",
    "TrainingProgress",
    "TrainingRecord",
    "WeightsLoader",
]
