"""Adds to a scored case what its score means beside those of healthy images."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_sagan.calibration.conformal import conformal_p_value, conformal_threshold
from monai_sagan.calibration.slices import slice_p_values
from monai_sagan.calibration.store import read_calibration
from monai_sagan.transforms import SliceLayout

__all__ = ["CompareWithHealthyD", "CompareWithHealthyDict", "CompareWithHealthyd", "anatomical_slice_scores"]


class CompareWithHealthyd(MapTransform):
    """Adds ``p_value``, ``threshold``, ``is_anomalous`` and ``slice_p_values``, and sentences to ``warnings``.

    They are None, and the last of them empty, where the bundle was not calibrated, or not for such images: with other
    weights, pictures where a volume is, or volumes taken apart along another direction. A sentence says so, but where
    it was not calibrated at all.

    Args:
        keys: key of the map, one.
        bundle_root: the bundle's folder.
        weights_sha256: of the bundle's weights.
        slice_direction: along which volumes are taken apart.

    Raises:
        UserError: if the calibration's file is damaged.
    """

    def __init__(
        self, keys: KeysCollection, bundle_root: str | Path, weights_sha256: str | None, slice_direction: str | int
    ) -> None:
        super().__init__(keys)
        self.calibration = read_calibration(bundle_root)
        self.weights_sha256 = weights_sha256
        self.slice_direction = str(slice_direction)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        d |= {"p_value": None, "threshold": None, "is_anomalous": None, "slice_p_values": []}
        d["warnings"] = list(d.get("warnings", []))
        calibration = self.calibration
        if calibration is None:
            return d
        is_volume = d["slice_axis"] is not None
        if problem := self._problem(is_volume):
            d["warnings"].append(problem)
            return d
        healthy = calibration.scores(of_volumes=is_volume)
        d["p_value"] = conformal_p_value(d["anomaly_score"], healthy)
        d["threshold"] = conformal_threshold(healthy, calibration.rate)
        if d["threshold"] is not None:
            d["is_anomalous"] = d["anomaly_score"] > d["threshold"]
        if is_volume:
            (key,) = self.key_iterator(d)
            p_values = slice_p_values(anatomical_slice_scores(d, key), calibration.slice_scores)
            d["slice_p_values"] = p_values[::-1] if _runs_backwards(d, key) else p_values
        return d

    def _problem(self, is_volume: bool) -> str:
        """Why a case cannot be compared, in a sentence; empty if it can."""
        calibration = self.calibration
        if calibration is None or calibration.weights_sha256 != self.weights_sha256:
            return "The bundle was calibrated with other weights, so there is no p-value; calibrate it again."
        if not calibration.scores(of_volumes=is_volume):
            kind, other = ("volumes", "pictures") if is_volume else ("pictures", "volumes")
            return f"The bundle was calibrated with {other} alone, so {kind} have no p-value; calibrate it with some."
        if is_volume and calibration.slice_direction != self.slice_direction:
            return (
                f"The bundle was calibrated with volumes cut into slices by '{calibration.slice_direction}', so there "
                "is no p-value for another direction."
            )
        return ""


def anatomical_slice_scores(case: Mapping[Hashable, Any], key: str = "anomaly_map") -> list[float]:
    """The scores of a volume's slices, in the order of the patient and not of the file.

    Args:
        case: with ``slice_scores`` and ``slice_axis``, and the map.
        key: of the map, (C, *spatial).
    """
    scores = list(case["slice_scores"])
    return scores[::-1] if _runs_backwards(case, key) else scores


def _runs_backwards(case: Mapping[Hashable, Any], key: Hashable) -> bool:
    return SliceLayout.of(case[key], case["slice_axis"]).flips[0]


CompareWithHealthyD = CompareWithHealthyDict = CompareWithHealthyd
