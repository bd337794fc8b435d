"""Turns the run of an evaluator over healthy images into a calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from monai_sagan.calibration.store import Calibration, read_calibration, write_calibration
from monai_sagan.calibration.transform import anatomical_slice_scores
from monai_sagan.errors import SettingError, UserError

__all__ = ["CalibrationWriter"]


class CalibrationWriter:
    """Writes a bundle's calibration when an evaluator has scored healthy images.

    What was known of pictures stays when volumes are calibrated with, and the other way round, as long as the weights
    are the same. The calibration is left in ``engine.state.metrics["calibration"]``.

    Args:
        bundle_root: the bundle's folder.
        weights_sha256: of the bundle's weights.
        slice_direction: along which volumes are taken apart.
        rate: the false positive rate wanted of the threshold, in (0, 1).

    Raises:
        SettingError: if the rate is out of its range.
    """

    def __init__(
        self, bundle_root: str | Path, weights_sha256: str, slice_direction: str | int, rate: float = 0.05
    ) -> None:
        if not 0.0 < rate < 1.0:
            raise SettingError(f"false_positive_rate must lie between 0 and 1, not {rate}.")
        self.bundle_root = Path(bundle_root)
        self.weights_sha256 = weights_sha256
        self.slice_direction = str(slice_direction)
        self.rate = rate
        self.image_scores: list[float] = []
        self.volume_scores: list[float] = []
        self.slice_scores: list[tuple[float, ...]] = []
        self.failed: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Attaches to an evaluator whose output is a list of scored cases, all healthy."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _collect(self, engine: Any) -> None:
        for case in engine.state.output:
            if "error" in case:
                self.failed.append(case["error"])
            elif case["slice_axis"] is None:
                self.image_scores.append(case["anomaly_score"])
            else:
                self.volume_scores.append(case["anomaly_score"])
                self.slice_scores.append(tuple(anatomical_slice_scores(case)))

    def _write(self, engine: Any) -> None:
        if not self.image_scores and not self.volume_scores:
            raise UserError(f"{self.bundle_root}: none of the healthy images could be used: {' '.join(self.failed)}")
        former = self._former()
        calibration = Calibration(
            weights_sha256=self.weights_sha256,
            slice_direction=self.slice_direction,
            rate=self.rate,
            image_scores=tuple(sorted(self.image_scores)) or former.image_scores,
            volume_scores=tuple(sorted(self.volume_scores)) or former.volume_scores,
            slice_scores=tuple(self.slice_scores) or former.slice_scores,
        )
        write_calibration(self.bundle_root, calibration)
        engine.state.metrics["calibration"] = calibration

    def _former(self) -> Calibration:
        """What is known already, and still holds."""
        empty = Calibration(self.weights_sha256, self.slice_direction, self.rate)
        try:
            former = read_calibration(self.bundle_root)
        except UserError:  # damaged; it is replaced
            return empty
        if former is None or former.weights_sha256 != self.weights_sha256:
            return empty
        if former.slice_direction != self.slice_direction:
            return Calibration(self.weights_sha256, self.slice_direction, self.rate, former.image_scores)
        return former
