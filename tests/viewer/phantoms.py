"""Volumes with results, as ``monai-sagan predict`` writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import scenes

VOLUME = "head.nrrd"
PEAK_ROW = scenes.PEAK[2]


def write_phantom(folder: Path) -> Path:
    """A volume of 20 slices that is parallel to nothing, and in ``maps`` its result.

    Returns:
        The volume.
    """
    voxels, anomaly_map = scenes.phantom()
    return write_case(folder, voxels, anomaly_map, scenes.GEOMETRIES["oblique left-handed"])


def write_case(folder: Path, voxels: np.ndarray, anomaly_map: np.ndarray, matrix: np.ndarray) -> Path:
    """A volume, and in ``maps`` its result; both (k, j, i), where a single slice stands for a picture."""
    maps = folder / "maps"
    maps.mkdir(parents=True)
    scenes.write_map(folder / VOLUME, voxels, matrix)
    scenes.write_map(maps / "head_anomaly.nrrd", anomaly_map, matrix)
    peak = np.unravel_index(anomaly_map.argmax(), anomaly_map.shape)
    is_volume = len(voxels) > 1
    result = {
        "schema_version": "1.1",
        "input": VOLUME,
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
    }
    (maps / "head_anomaly.json").write_text(json.dumps(result), encoding="utf-8")
    return folder / VOLUME
