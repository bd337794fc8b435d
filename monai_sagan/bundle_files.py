"""Where the files of a bundle lie, below its folder."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "CALIBRATED_WITH",
    "CALIBRATION",
    "CALIBRATION_MAPS",
    "CONTRAST",
    "EVALUATION",
    "FAMILIARITY",
    "METADATA",
    "SELECTION",
    "TRAINED_ON",
    "WEIGHTS",
]

METADATA = Path("configs") / "metadata.json"
# A folder: what a config writes to where nothing else is said.
EVALUATION = Path("eval")
WEIGHTS = Path("models") / "model.pt"
# What is trained besides, to score by contrast and to recognise out-of-distribution images; not all bundles have it.
CONTRAST = Path("models") / "contrast.pt"
FAMILIARITY = Path("models") / "familiarity.pt"
SELECTION = Path("models") / "selection.json"
CALIBRATION = Path("models") / "calibration.json"
CALIBRATION_MAPS = Path("models") / "calibration_maps.pt"
CALIBRATED_WITH = Path("models") / "calibrated_with.txt"
TRAINED_ON = Path("models") / "trained_on.txt"
