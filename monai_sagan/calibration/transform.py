"""Adds to a scored case what its score means beside those of healthy images."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_sagan.bundle_files import TRAINED_ON
from monai_sagan.calibration.conformal import conformal_p_value, conformal_threshold, smallest_p_value
from monai_sagan.calibration.slices import slice_p_values
from monai_sagan.calibration.store import Calibration, is_of_several_slices, read_calibration
from monai_sagan.data import digest_of, read_trained_on
from monai_sagan.transforms import SliceLayout

__all__ = ["OOD_RATE", "CompareWithHealthyd", "anatomical_slice_scores"]

# As many images like those that a bundle was made for are flagged falsely, on average.
OOD_RATE = 0.05

_TRAINED_ON = (
    "The bundle was trained on this image or a copy of it, so its score does not compare with those of other images; "
    "its p-value is withheld."
)
_WITHHELD = "its p-value is withheld"
_NOT_WITHHELD = "its p-value was requested all the same, and is not valid"


class CompareWithHealthyd(MapTransform):
    """Says of a score what it is among those of healthy images.

    Adds ``p_value``, ``threshold``, ``false_positive_rate``, ``is_anomalous`` and ``slice_p_values``, and sentences to
    ``warnings``.

    They are None, and the last of them empty, where the bundle was not calibrated, or not for such images: with other
    weights, another kind of score, pictures where a volume is, or volumes cut into slices along another direction. A
    sentence says so, but where it was not calibrated at all.

    It also flags images that are out of distribution, of something else than what the bundle was made for, by their
    ``ood_score`` and ``mismatches``: ``is_ood`` (None where it cannot be determined), ``ood_p_value``, the share of
    healthy images that are as unusual, and ``ood_reasons``. A p-value promises nothing of them, so that and the
    findings are withheld; with a sentence, also of an image that the bundle was trained on: known by its file, or by
    how it looks (``is_trained_on``).

    Args:
        keys: key of the map, one.
        bundle_root: the bundle's folder.
        weights_sha256: of the bundle's weights.
        slice_direction: along which volumes are cut into slices.
        judge_ood: whether such images have p-values and findings all the same.

    Raises:
        UserError: if the calibration is damaged.
    """

    def __init__(
        self,
        keys: KeysCollection,
        bundle_root: str | Path,
        weights_sha256: str | None,
        slice_direction: str | int,
        judge_ood: bool = False,
    ) -> None:
        super().__init__(keys)
        self.calibration = read_calibration(bundle_root)
        self.weights_sha256 = weights_sha256
        self.slice_direction = str(slice_direction)
        self.judge_ood = judge_ood
        self.trained_on = read_trained_on(Path(bundle_root) / TRAINED_ON)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        d |= {"p_value": None, "threshold": None, "false_positive_rate": None, "is_anomalous": None}
        d["slice_p_values"] = []
        d["warnings"] = list(d.get("warnings", []))
        calibration, is_volume = self.calibration, is_of_several_slices(d)
        problem = "" if calibration is None else calibration.problem(d, self.weights_sha256, self.slice_direction)
        comparable = None if problem else calibration
        d |= _ood(d, comparable, is_volume)
        if problem:
            d["warnings"].append(problem)
        is_known = d.get("is_trained_on", False) or (self.trained_on and digest_of(d["files"]) in self.trained_on)
        if is_known:
            d["warnings"].append(_TRAINED_ON)
        if d["is_ood"]:
            d["warnings"].append(_ood_warning(d, self.judge_ood))
        if is_known or (d["is_ood"] and not self.judge_ood):
            d["findings"] = d["finding_threshold"] = None
            d.pop("findings_map", None)
        elif comparable is not None:
            d |= self._compare(d, comparable, is_volume)
        return d

    def _compare(self, d: Mapping[Hashable, Any], calibration: Calibration, is_volume: bool) -> dict[Hashable, Any]:
        healthy, score = calibration.scores(of_volumes=is_volume), d["anomaly_score"]
        threshold = conformal_threshold(healthy, calibration.rate)
        found: dict[Hashable, Any] = {
            "p_value": conformal_p_value(score, healthy),
            "threshold": threshold,
            "false_positive_rate": None if threshold is None else calibration.rate,
            "is_anomalous": None if threshold is None else score > threshold,
        }
        if is_volume:
            (key,) = self.key_iterator(d)
            p_values = slice_p_values(anatomical_slice_scores(d, key), calibration.slice_scores)
            found["slice_p_values"] = p_values[::-1] if _runs_backwards(d, key) else p_values
        return found


def _ood(d: Mapping[Hashable, Any], calibration: Calibration | None, is_volume: bool) -> dict[Hashable, Any]:
    """Whether a case is something else than what the bundle was made for."""
    reasons, p_value = list(d.get("mismatches", [])), None
    known = () if calibration is None else calibration.ood_scores(of_volumes=is_volume)
    if d.get("ood_score") is not None and smallest_p_value(len(known)) <= OOD_RATE:  # or none could be flagged
        p_value = conformal_p_value(d["ood_score"], known)
        if p_value <= OOD_RATE:
            reasons.append(
                f"It looks unlike the images that the bundle was made for, more so than {1 - p_value:.0%} of them."
            )
    is_ood = None if p_value is None and not reasons else bool(reasons)
    return {"is_ood": is_ood, "ood_p_value": p_value, "ood_reasons": reasons}


def _ood_warning(d: Mapping[Hashable, Any], is_judged: bool) -> str:
    withheld = _NOT_WITHHELD if is_judged else _WITHHELD
    return f"Do not rely on this result; {withheld}. {' '.join(d['ood_reasons'])}"


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
