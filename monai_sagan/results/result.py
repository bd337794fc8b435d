"""What is said of a case in JSON."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from monai.utils import convert_to_numpy, convert_to_tensor

__all__ = ["RESULT_SCHEMA_VERSION", "peak_of", "summarize"]

RESULT_SCHEMA_VERSION = "2.0"


def summarize(case: Mapping[Hashable, Any]) -> dict[str, Any]:
    """What is said of a case, without the bundle.

    Args:
        case: with ``path``, ``anomaly_score``, ``slice_scores`` and ``slice_axis``; ``anomaly_map`` (C, *spatial), but
            for a classifier that has none; ``deviation_map`` and ``findings`` where the bundle is calibrated for them;
            and ``classes``, if it is a classifier's.

    Returns:
        The fields that docs/reference/results.md names; what needs a calibrated bundle is None.
    """
    summary = {
        "schema_version": RESULT_SCHEMA_VERSION,
        "input": Path(case["path"]).name,
        "anomaly_score": case["anomaly_score"],
        "score_kind": case.get("score_kind", "residual") if case["anomaly_score"] is not None else None,
        "p_value": case.get("p_value"),
        "threshold": case.get("threshold"),
        "false_positive_rate": case.get("false_positive_rate"),
        "is_anomalous": case.get("is_anomalous"),
        "slice_axis": case["slice_axis"],
        "slice_scores": case["slice_scores"],
        "slice_p_values": case.get("slice_p_values", []),
        "peak": _peak(case),
        "findings": _findings(case),
        "finding_threshold": case.get("finding_threshold"),
        "is_ood": case.get("is_ood"),
        "ood_p_value": case.get("ood_p_value"),
        "ood_reasons": list(case.get("ood_reasons", [])),
        "warnings": list(case.get("warnings", [])),
    }
    return summary | ({"classes": case["classes"]} if "classes" in case else {})


def peak_of(anomaly_map: torch.Tensor) -> dict[str, Any]:
    """Where a map is highest.

    Args:
        anomaly_map: (C, *spatial), with an affine (voxels to millimetres, RAS) if it is a MetaTensor.

    Returns:
        ``voxel``, the index in the order of the file's axes, of several highest the first one, x fastest; ``lps_mm``,
        its place in millimetres, three numbers (None without geometry); ``value``, the map there.
    """
    # In the order of files, x fastest, which is also that of large maps in memory: a copy would take its time.
    values = convert_to_tensor(anomaly_map, track_meta=False).permute(*reversed(range(anomaly_map.dim())))
    flat = values.reshape(-1)
    place = int(flat.argmax())
    *reversed_voxel, _ = np.unravel_index(place, values.shape)  # the channel comes last
    voxel = [int(i) for i in reversed(reversed_voxel)]
    return {"voxel": voxel, "lps_mm": _in_millimetres(voxel, anomaly_map), "value": float(flat[place])}


def _peak(case: Mapping[Hashable, Any]) -> dict[str, Any] | None:
    """Where a case deviates most from healthy ones; where that is not known, where its map is highest."""
    if "anomaly_map" not in case:
        return None
    if "deviation_map" not in case:
        return peak_of(case["anomaly_map"]) | {"deviation": None}
    peak = peak_of(case["deviation_map"])
    value = float(case["anomaly_map"][0][tuple(peak["voxel"])])
    return peak | {"value": value, "deviation": peak["value"]}


def _findings(case: Mapping[Hashable, Any]) -> list[dict[str, Any]] | None:
    """What stands out, with places in millimetres."""
    findings = case.get("findings")
    if findings is None:
        return None
    return [{**found, "lps_mm": _in_millimetres(found["voxel"], case["anomaly_map"])} for found in findings]


def _in_millimetres(voxel: list[int], image: torch.Tensor) -> list[float] | None:
    """The place of a voxel towards left, back and head; None without geometry."""
    if not isinstance(image, MetaTensor):
        return None
    affine = to_affine_nd(3, convert_to_numpy(image.affine).astype(np.float64))  # a picture lies at z = 0
    index = np.zeros(3)
    index[: len(voxel)] = voxel
    right, anterior, superior = (affine[:3, :3] @ index + affine[:3, 3]).tolist()
    return [0.0 - right, 0.0 - anterior, 0.0 + superior]
