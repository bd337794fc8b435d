"""A case's result on disk: its anomaly map, and what it amounts to in JSON."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import ITKWriter, MetaTensor
from monai.data.utils import to_affine_nd
from monai.transforms import MapTransform
from monai.utils import convert_to_numpy, convert_to_tensor

from monai_sagan.data import CaseReader, stem
from monai_sagan.errors import ImageError, UserError
from monai_sagan.files import not_written, write_whole

__all__ = ["RESULT_SCHEMA_VERSION", "SaveResultd", "peak_of", "summarize", "write_image"]

RESULT_SCHEMA_VERSION = "1.0"

# What holds 32-bit floating point numbers and the geometry of an image.
_FORMATS = (".nii.gz", ".nii", ".nrrd", ".mha")


class SaveResultd(MapTransform):
    """Writes a case's map and JSON, and adds the JSON's content as ``result``.

    Files are named after ``name`` in the dictionary, which may begin with folders, or else after the image's file. The
    JSON file appears last, so that it says that the case is complete.

    Args:
        output_dir: folder of the results; it is made if need be.
        bundle: the bundle's ``name``, ``version`` and ``weights_sha256``.
        output_ext: ending, and so the format, of written images: ``.nii.gz``, ``.nii``, ``.nrrd`` or ``.mha``.
        save_restored: whether to write the restored image too, in the network's range of [-1, 1].

    Raises:
        UserError: if ``output_ext`` is another one.
    """

    def __init__(
        self,
        output_dir: str | Path,
        bundle: Mapping[str, Any],
        output_ext: str = ".nii.gz",
        save_restored: bool = False,
    ) -> None:
        super().__init__("anomaly_map")
        if output_ext not in _FORMATS:
            raise UserError(f"output_ext {output_ext}: maps cannot be written so; choose one of {', '.join(_FORMATS)}.")
        self.output_dir = Path(output_dir)
        self.bundle = dict(bundle)
        self.output_ext = output_ext
        self.save_restored = save_restored

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        name = d.get("name") or stem(Path(d["path"]))
        result = summarize(d) | {"bundle": self.bundle}
        map_path = self.output_dir / f"{name}_anomaly{self.output_ext}"
        images = {map_path: d["anomaly_map"]}
        if self.save_restored:
            images[self.output_dir / f"{name}_restored{self.output_ext}"] = d["pred"]
        with ExitStack() as files:  # they get their names when all are written, the first one last
            partial = files.enter_context(write_whole(self.output_dir / f"{name}_anomaly.json"))
            partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            for path, image in images.items():
                write_image(image, files.enter_context(write_whole(path)))
        d["result"] = result | {"anomaly_map": str(map_path)}
        return d


def summarize(case: Mapping[Hashable, Any]) -> dict[str, Any]:
    """What is said of a case in JSON, without the bundle.

    Args:
        case: with ``path``, ``anomaly_map`` (C, *spatial), ``anomaly_score``, ``slice_scores`` and ``slice_axis``.

    Returns:
        The fields that docs/reference/results.md names; what needs a calibrated bundle is None.
    """
    return {
        "schema_version": RESULT_SCHEMA_VERSION,
        "input": Path(case["path"]).name,
        "anomaly_score": case["anomaly_score"],
        "p_value": None,
        "threshold": None,
        "is_anomalous": None,
        "slice_axis": case["slice_axis"],
        "slice_scores": case["slice_scores"],
        "peak": peak_of(case["anomaly_map"]),
        "warnings": [],
    }


def peak_of(anomaly_map: torch.Tensor) -> dict[str, Any]:
    """Where a map is highest.

    Args:
        anomaly_map: (C, *spatial), with an affine (voxels to millimetres, RAS) if it is a MetaTensor.

    Returns:
        ``voxel``, the index in the order of the file's axes; ``lps_mm``, its place in millimetres, three numbers (None
        without geometry); ``value``, the map there.
    """
    values = convert_to_numpy(convert_to_tensor(anomaly_map, track_meta=False)).max(axis=0)
    voxel = np.unravel_index(int(values.argmax()), values.shape)
    peak: dict[str, Any] = {"voxel": [int(i) for i in voxel], "lps_mm": None, "value": float(values[voxel])}
    if isinstance(anomaly_map, MetaTensor):
        affine = to_affine_nd(3, convert_to_numpy(anomaly_map.affine).astype(np.float64))  # a picture lies at z = 0
        index = np.zeros(3)
        index[: len(voxel)] = voxel
        right, anterior, superior = (affine[:3, :3] @ index + affine[:3, 3]).tolist()
        peak["lps_mm"] = [0.0 - right, 0.0 - anterior, 0.0 + superior]
    return peak


def write_image(image: torch.Tensor, path: Path) -> None:
    """Writes an image as 32-bit floating point with its geometry, in the format that the name says.

    Args:
        image: (1, *spatial), a MetaTensor for its affine; other tensors get ITK's default, 1 mm and no rotation.
        path: the file.

    Raises:
        OSError: if it cannot be written.
    """
    import itk  # takes seconds, and is needed here only

    affine = image.affine if isinstance(image, MetaTensor) else np.diag([-1.0, -1.0] + [1.0] * (image.dim() - 2))
    array = convert_to_numpy(convert_to_tensor(image, track_meta=False))[0]
    # Not by the writer's own methods for data and metadata: they drop the last axis of a volume of one slice.
    picture = ITKWriter.create_backend_obj(array, channel_dim=None, affine=affine, dtype=np.float32)
    try:
        itk.imwrite(picture, str(path))
        CaseReader(allow_constant=True).get_data(path)  # ITK says nothing when a NIfTI file ends too early
    except (ImageError, RuntimeError) as error:
        raise not_written(path) from error
