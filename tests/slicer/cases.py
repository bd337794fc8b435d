"""A volume with the files of its result, for tests of whole results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scenes
from AnomalyMapLib import slice_scores
from AnomalyMapLib.scene import ROLES, ResultScene

# The nodes that are only there when a user asks for them.
ON_DEMAND = {"segmentation", "peakMarker", "volumeProperty", "volumeRendering"}


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
            "peak": {"voxel": scenes.PEAK, "lps_mm": (self.peak_ras * (-1, -1, 1)).tolist(), "value": 0.8},
            "settings": {"map_threshold": 0.3},
        }
        return self.result_of(**{**usual, **values})

    def lay(self, factor: float = 1.0, **values: Any) -> Any:
        path = scenes.write_map(self.folder / "map.nrrd", self.voxels * np.float32(factor), self.matrix)
        result = self.result(**values)
        self.results.lay(result, path, self.input_node)
        path.unlink()  # as the child's folder is removed
        return result

    def lay_all(self) -> Any:
        """A result with everything that a user can ask for."""
        result = self.lay()
        self.results.make_segment()
        self.results.mark_peak()
        self.results.set_rendering(True)
        self.scene.fit()
        slice_scores.jump(self.scene.mrml, self.peak_ras)
        return result


def roles_of(results: ResultScene) -> set[str]:
    return {role for role in ROLES if results.node(role) is not None}
