"""Turns the run of an evaluator over healthy images into a calibration."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from monai_sagan.bundle_files import CALIBRATED_WITH
from monai_sagan.calibration.grid_maps import GridMaps
from monai_sagan.calibration.pixel_scale import NUM_PLACES, MapOfHealthy, PixelScale, fit_pixel_scale
from monai_sagan.calibration.store import Calibration, is_of_several_slices, read_calibration, write_calibration
from monai_sagan.calibration.transform import anatomical_slice_scores
from monai_sagan.data import write_trained_on
from monai_sagan.errors import SettingError, UserError, such_as
from monai_sagan.progress import make_reporter
from monai_sagan.transforms import stacked_along

__all__ = ["CalibrationWriter"]


class CalibrationWriter:
    """Writes a bundle's calibration when an evaluator has scored healthy images.

    Copies of images that the bundle was trained on (``is_trained_on``) are left out, with a warning: their scores are
    not those of new ones. What was known of pictures stays when volumes are calibrated with, and the other way round,
    as long as the weights are the same. The calibration is left in ``engine.state.metrics["calibration"]``.

    Args:
        bundle_root: the bundle's folder.
        weights_sha256: of the bundle's weights.
        image_size: of the network; one in 3D has no grid that all images share, and so no scale of its maps.
        slice_direction: along which volumes are cut into slices.
        rate: the false positive rate wanted of the threshold, in (0, 1).

    Raises:
        SettingError: if the rate is out of its range.
    """

    def __init__(
        self,
        bundle_root: str | Path,
        weights_sha256: str,
        image_size: Sequence[int],
        slice_direction: str | int,
        rate: float = 0.05,
    ) -> None:
        if not 0.0 < rate < 1.0:
            raise SettingError(f"false_positive_rate must lie between 0 and 1, not {rate}.")
        self.bundle_root = Path(bundle_root)
        self.image_size = list(image_size)
        self.empty = Calibration(weights_sha256, str(slice_direction), rate)
        self.pictures = _Collected()
        self.volumes = _Collected()
        self.files: list[dict[str, Any]] = []
        self.failed: list[str] = []
        self.trained_on: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Attaches to an evaluator whose output is a list of scored cases, all healthy."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _collect(self, engine: Any) -> None:
        for case in engine.state.output:
            if "error" in case:
                self.failed.append(case["error"])
                continue
            if case.get("is_trained_on"):
                self.trained_on.append(Path(case["path"]).name)
                continue
            (self.volumes if is_of_several_slices(case) else self.pictures).add(case, self.image_size)
            self.files.append({"image": case["files"]})
            self.empty = replace(self.empty, score_kind=case.get("score_kind", "residual"))

    def _write(self, engine: Any) -> None:
        if self.trained_on:
            make_reporter("none").warning(
                f"{len(self.trained_on)} of the healthy images look the same as images that the bundle was trained on, "
                f"and are left out: {such_as(self.trained_on)}."
            )
        if self.trained_on and not (self.pictures.scores or self.volumes.scores or self.failed):
            raise UserError(
                f"{self.bundle_root}: the bundle was trained on all healthy images; calibrate it with others."
            )
        if not self.pictures.scores and not self.volumes.scores:
            raise UserError(f"{self.bundle_root}: none of the healthy images could be used: {' '.join(self.failed)}")
        calibration = self._former()
        if self.pictures.scores:
            calibration = replace(
                calibration,
                image_scores=tuple(sorted(self.pictures.scores)),
                image_ood_scores=tuple(sorted(self.pictures.ood_scores)),
                image_scale=self.pictures.scale(1),
            )
        if self.volumes.scores:
            calibration = replace(
                calibration,
                volume_scores=tuple(sorted(self.volumes.scores)),
                slice_scores=tuple(self.volumes.slice_scores),
                volume_ood_scores=tuple(sorted(self.volumes.ood_scores)),
                volume_scale=self.volumes.scale(NUM_PLACES),
                stacked_along=tuple(sorted(self.volumes.stacked_along)),
            )
        # First, so that none of them is ever taken for a test.
        write_trained_on(self.bundle_root / CALIBRATED_WITH, self.files, keep_former=True)
        write_calibration(self.bundle_root, calibration)
        engine.state.metrics["calibration"] = calibration

    def _former(self) -> Calibration:
        """What is known already, and still holds."""
        try:
            former = read_calibration(self.bundle_root)
        except UserError:  # damaged; it is replaced
            return self.empty
        kept = ("weights_sha256", "score_kind")
        if former is None or any(getattr(former, name) != getattr(self.empty, name) for name in kept):
            return self.empty
        former = replace(former, rate=self.empty.rate)
        if former.slice_direction == self.empty.slice_direction:
            return former
        return replace(
            self.empty,
            image_scores=former.image_scores,
            image_ood_scores=former.image_ood_scores,
            image_scale=former.image_scale,
        )


class _Collected:
    """What was seen of pictures, or of volumes."""

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.slice_scores: list[tuple[float, ...]] = []
        self.ood_scores: list[float] = []
        self.maps: list[MapOfHealthy] = []
        self.stacked_along: set[str] = set()

    def add(self, case: Mapping[Hashable, Any], image_size: Sequence[int]) -> None:
        self.scores.append(case["anomaly_score"])
        if case.get("ood_score") is not None:
            self.ood_scores.append(case["ood_score"])
        if is_of_several_slices(case):
            self.slice_scores.append(tuple(anatomical_slice_scores(case)))
            self.stacked_along.add(stacked_along(case["anomaly_map"], case["slice_axis"]))
        if len(image_size) == 2:
            grid = GridMaps(case["anomaly_map"], image_size, case["slice_axis"], case.get("contrast_map"))
            if grid.shown:
                # Half the memory: all slices of all volumes are kept until the last one is seen.
                maps = torch.cat([grid.take(batch).half() for batch in grid.batches()])
                self.maps.append(MapOfHealthy(maps, grid.places))

    def scale(self, num_places: int) -> PixelScale | None:
        return fit_pixel_scale(self.maps, num_places)
