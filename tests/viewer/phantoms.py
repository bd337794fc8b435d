"""Volumes with results, as ``monai-sagan predict`` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import scenes
from PIL import Image

VOLUME = "head.nrrd"
PEAK_ROW = scenes.PEAK[2]


def write_phantom(folder: Path) -> Path:
    """A volume of 20 slices that is parallel to nothing, and in ``maps`` its result.

    Returns:
        The volume.
    """
    voxels, anomaly_map = scenes.phantom()
    return write_case(folder, voxels, anomaly_map, scenes.GEOMETRIES["oblique left-handed"])


def write_case(folder: Path, voxels: np.ndarray, anomaly_map: np.ndarray, matrix: np.ndarray, **changes: Any) -> Path:
    """A volume, and in ``maps`` its result; both (k, j, i), where a single slice stands for a picture."""
    (folder / "maps").mkdir(parents=True)
    scenes.write_map(folder / VOLUME, voxels, matrix)
    write_result(folder, VOLUME, anomaly_map, matrix, **changes)
    return folder / VOLUME


def write_picture(folder: Path, **changes: Any) -> Path:
    """A PNG of 36 x 32 pixels, and in ``maps`` its result.

    Args:
        folder: where they go.
        changes: what the result's JSON says otherwise; with None as ``peak``, there is no map.

    Returns:
        The picture.
    """
    voxels, anomaly_map = (array[[PEAK_ROW]] for array in scenes.phantom())
    (folder / "maps").mkdir(parents=True)
    Image.fromarray(voxels[0].astype(np.uint8)).save(folder / "head.png")
    write_result(folder, "head.png", anomaly_map, np.diag([-1.0, -1.0, 1.0, 1.0]), **changes)
    return folder / "head.png"


def write_findings(folder: Path, factor: float = 10.0) -> Path:
    """A PNG, and in ``maps`` a calibrated bundle's result with one finding, at its peak.

    Args:
        folder: where they go.
        factor: from the map to standard deviations.

    Returns:
        The picture.
    """
    anomaly_map = scenes.phantom()[1][[PEAK_ROW]]
    place = {"voxel": list(scenes.PEAK[:2]), "lps_mm": [*map(float, scenes.PEAK[:2]), 0.0]}
    finding = {**place, "label": 1, "deviation": 8.0, "num_voxels": 9, "p_value": 0.02}
    picture = write_picture(folder, peak={**place, "value": 0.8, "deviation": 8.0}, findings=[finding])
    for kind, voxels in (
        ("deviation", np.float32(factor) * anomaly_map),
        ("findings", (anomaly_map > 0.4).astype(np.int16)),
    ):
        scenes.write_map(folder / "maps" / f"head_{kind}.nrrd", voxels, np.diag([-1.0, -1.0, 1.0, 1.0]))
    return picture


def write_result(folder: Path, name: str, anomaly_map: np.ndarray, matrix: np.ndarray, **changes: Any) -> None:
    """The result of an image of a name, in the folder ``maps``; what ``changes`` say takes the place of the usual."""
    peak = np.unravel_index(anomaly_map.argmax(), anomaly_map.shape)
    is_volume = len(anomaly_map) > 1
    result = {
        "schema_version": "2.0",
        "input": name,
        "anomaly_score": 0.123,
        "p_value": 0.015,
        "threshold": 0.1,
        "is_anomalous": True,
        "slice_axis": 2 if is_volume else None,
        "slice_scores": anomaly_map.mean(axis=(1, 2)).tolist() if is_volume else [],
        "peak": {
            "voxel": [int(index) for index in peak[::-1]],
            "lps_mm": (np.diag([-1, -1, 1, 1]) @ matrix @ [*peak[::-1], 1])[:3].tolist(),
            "value": float(anomaly_map.max()),
        },
        "bundle": {"name": "tiny", "version": "1.2.3"},
        "warnings": [],
        **changes,
    }
    (folder / "maps" / "head_anomaly.json").write_text(json.dumps(result), encoding="utf-8")
    if result["peak"] is not None:
        scenes.write_map(folder / "maps" / "head_anomaly.nrrd", anomaly_map, matrix)
