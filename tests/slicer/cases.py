"""A volume with the files of its result, for tests of whole results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scenes
from AnomalyMapLib import slice_scores
from AnomalyMapLib.nodes import ROLES
from AnomalyMapLib.scene import ResultScene

# The nodes that are only there when a user asks for them, or something was found.
ON_DEMAND = {"findingTable", "segmentation", "peakMarker", "volumeProperty", "volumeRendering"}

OTHER = (11, 7, 4)  # (i, j, k) of the second finding


class Case:
    """The phantom in a geometry, and the files of its result."""

    def __init__(self, scene: Any, folder: Path, result_of: Callable[..., Any], geometry: str = "right-handed") -> None:
        self.scene = scene
        self.folder = folder
        self.result_of = result_of
        self.matrix = scenes.GEOMETRIES[geometry]
        volume, self.voxels = scenes.phantom()
        self.input_node = scene.add_volume(volume, self.matrix, "head")
        self.results = ResultScene(scene.holder)

    @property
    def peak_ras(self) -> np.ndarray:
        return (self.matrix @ [*scenes.PEAK, 1])[:3]

    def result(self, **values: Any) -> Any:
        usual = {
            "slice_axis": 2,
            "slice_scores": self.voxels.mean(axis=(1, 2)).tolist(),
            "peak": self.peak(),
            "settings": {"map_threshold": 0.3},
        }
        return self.result_of(**{**usual, **values})

    def lay(self, factor: float = 1.0, **values: Any) -> Any:
        return self.lay_files(self.result(**values), anomaly_map=self.voxels * np.float32(factor))

    def lay_deviation(self, *, take_views: bool = True, **values: Any) -> Any:
        """A result of a calibrated bundle: the map in standard deviations, and two findings, their labels reversed."""
        findings = [self.finding(2, scenes.PEAK, 8.0), self.finding(1, OTHER, 4.0)]
        maps = {"anomaly_map": self.voxels, "deviation_map": 10 * self.voxels, "findings_map": self.labels}
        result = self.result(**{"peak": self.peak(8.0), "findings": findings, "finding_threshold": 2.0, **values})
        return self.lay_files(result, take_views=take_views, **maps)

    def lay_files(self, result: Any, *, take_views: bool = True, **maps: np.ndarray) -> Any:
        """Lays a result with the files of some maps."""
        paths = {
            name: scenes.write_map(self.folder / f"{name}.nrrd", voxels, self.matrix) for name, voxels in maps.items()
        }
        self.results.lay(dataclasses.replace(result, **paths), self.input_node, take_views=take_views)
        for path in paths.values():
            path.unlink()  # as the child's folder is removed
        return result

    @property
    def labels(self) -> np.ndarray:
        """The voxels of the findings, (k, j, i)."""
        labels = np.zeros(scenes.SHAPE, np.int16)
        labels[self.voxels > 0.4] = 2
        labels[3:5, 6:9, 10:14] = 1
        return labels

    def finding(self, label: int, voxel: tuple[int, ...], deviation: float, **values: Any) -> dict[str, Any]:
        lps = ((self.matrix @ [*voxel, 1])[:3] * (-1, -1, 1)).tolist()
        usual = {"label": label, "voxel": voxel, "lps_mm": lps, "deviation": deviation, "num_voxels": 9}
        return {**usual, "p_value": 0.02, **values}

    def peak(self, deviation: float | None = None) -> dict[str, Any]:
        lps = (self.peak_ras * (-1, -1, 1)).tolist()
        return {"voxel": scenes.PEAK, "lps_mm": lps, "value": 0.8, "deviation": deviation}

    def lay_all(self) -> Any:
        """A result with a finding, and everything that a user can ask for."""
        result = self.lay(findings=[self.finding(1, OTHER, 4.0)])
        self.results.make_segment()
        self.results.mark_peak()
        self.results.set_rendering(True)
        self.scene.fit()
        slice_scores.jump(self.scene.slice_nodes(), self.peak_ras)
        return result


def roles_of(results: ResultScene) -> set[str]:
    return {role for role in ROLES if results.node(role) is not None}
