"""Writes a case's results as DICOM objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import convert_to_numpy, convert_to_tensor
from pydicom import Dataset
from pydicom.config import disable_value_validation

from monai_sagan.data.geometry import LPS_TO_RAS
from monai_sagan.dicom_results.overlay import OverlayContent, add_band, blend, make_overlay
from monai_sagan.dicom_results.parametric_map import make_parametric_map
from monai_sagan.dicom_results.segmentation import make_segmentation
from monai_sagan.dicom_results.source import Source, read_source
from monai_sagan.errors import UserError
from monai_sagan.files import write_whole_folder
from monai_sagan.report.pictures import map_scale

__all__ = ["require_highdicom", "write_dicom_results"]

_LARGEST_NUMBER = 9_999  # of a source's series, after which those of its results are numbered
_SAME_SLICE = 0.5  # slices by which the ends of map and images may differ
_LONGEST_TEXT = 64  # letters in one line of DICOM
# What pydicom and highdicom raise for headers that contradict the standard.
_REFUSALS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


def require_highdicom() -> None:
    """Checks that results can be written as DICOM.

    Raises:
        UserError: if the package that writes them is not installed.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise UserError(
            'DICOM results need the package highdicom, which is not installed; run pip install "monai-sagan[dicom]".'
        ) from error


def write_dicom_results(
    files: Sequence[Path],
    image: torch.Tensor,
    anomaly_map: torch.Tensor,
    target: Path,
    *,
    map_threshold: float | None,
    bundle: Mapping[str, Any],
    software_version: str,
    overlay: OverlayContent | None = None,
) -> list[str]:
    """Writes a case's map as DICOM objects of the study that it comes from, each kind in a series of its own.

    ``parametric_map.dcm``: the map as it is. ``segmentation.dcm``: what lies above a threshold. ``overlay/NNNN.dcm``:
    of each slice NNNN, counted from 1, in which the map is not zero everywhere, the image with the map over it in
    colour. They carry patient and study of the source.

    Args:
        files: the DICOM images of the case, one for each slice; or a single one, which may have several frames. They
            are put in the map's order by their positions, where it has an affine, and must be in that order elsewhere.
        image: (1, x, y) or (1, x, y, z), in [-1, 1], x first; the overlay's grey.
        anomaly_map: as the image, float32 in [0, 1]; the affine of a MetaTensor tells the slices' order.
        target: the folder to make, whole or not at all.
        map_threshold: what lies above it is segmented; None for no segmentation.
        bundle: the bundle's ``name``, ``version`` and ``weights_sha256`` (None if unknown).
        software_version: of this package.
        overlay: what is shown in colour; by default the map.

    Returns:
        A sentence for each object that could not be written, or had nothing to show.

    Raises:
        UserError: if highdicom is absent, a file is no DICOM image, or the images are not what the map was made of.
        OSError: if something cannot be read or written.
    """
    require_highdicom()
    # pydicom's warnings of unusual values tell the values, which may be a patient's.
    with disable_value_validation(), write_whole_folder(target) as folder:
        affine = _affine_of(anomaly_map)
        source = _read(files, None if affine is None else affine[:3, 2])
        values = _planes_of(anomaly_map)
        _check_planes(source, values, affine)
        scale = map_scale(list(values))
        equipment = _equipment(bundle, software_version)
        sentences = _write_map(source, values, scale, folder, equipment)
        if map_threshold is not None:
            sentences += _write_segmentation(source, values, map_threshold, folder, equipment, bundle)
        overlay = OverlayContent(anomaly_map) if overlay is None else overlay
        return sentences + _write_overlay(source, _planes_of(image), overlay, folder, equipment)


def _write_map(
    source: Source, values: np.ndarray, scale: float, folder: Path, equipment: Mapping[str, Any]
) -> list[str]:
    if not source.has_frame_of_reference:
        return ["The DICOM images have no frame of reference, which a parametric map needs, so none was written."]
    series = _series(source, 1, "Anomaly map (research use only)", equipment)
    try:
        result = make_parametric_map(source, values[source.frame_order], scale, series)
    except _REFUSALS:
        return ["The headers of the DICOM images lack what a parametric map needs, so none was written."]
    _save(result, source, folder / "parametric_map.dcm")
    return []


def _write_segmentation(
    source: Source,
    values: np.ndarray,
    threshold: float,
    folder: Path,
    equipment: Mapping[str, Any],
    bundle: Mapping[str, Any],
) -> list[str]:
    mask = values > threshold
    if not mask.any():
        return [f"The map lies nowhere above the threshold of {threshold:.4g}, so no DICOM segmentation was written."]
    series = _series(source, 2, "Anomaly segmentation (research use only)", equipment)
    try:
        result = make_segmentation(source, mask[source.frame_order], threshold, bundle, series)
    except _REFUSALS:
        return ["The headers of the DICOM images lack what a segmentation needs, so none was written."]
    _save(result, source, folder / "segmentation.dcm")
    return []


def _write_overlay(
    source: Source, grey: np.ndarray, overlay: OverlayContent, folder: Path, equipment: Mapping[str, Any]
) -> list[str]:
    values = _planes_of(overlay.shown_map)
    scale = overlay.scale or map_scale(list(values))
    shown = [index for index, plane in enumerate(values) if plane.any()]
    if not shown:
        return ["The map is zero everywhere, so no DICOM overlay was written."]
    series = _series(source, 3, "Anomaly overlay (research use only)", equipment)
    (folder / "overlay").mkdir()
    for index in shown:
        pixels = add_band(blend(grey[index], values[index], scale), scale, overlay.meaning, overlay.statement)
        result = make_overlay(source, source.planes[index], pixels, index + 1, series, overlay.statement)
        _save(result, source, folder / "overlay" / f"{index + 1:04d}.dcm")
    return []


def _read(files: Sequence[Path], direction: np.ndarray | None) -> Source:
    try:
        return read_source(files, direction)
    except _REFUSALS as error:
        raise UserError(
            f"{files[0].parent}: the headers of these DICOM images contradict the standard, so DICOM results cannot "
            "refer to them; write results without DICOM."
        ) from error


def _planes_of(image: torch.Tensor) -> np.ndarray:
    """The planes of an image (1, x, y) or (1, x, y, z), as (planes, rows, columns)."""
    array = convert_to_numpy(convert_to_tensor(image, track_meta=False))[0]
    return array.reshape(*array.shape[:2], -1).transpose(2, 1, 0)


def _affine_of(anomaly_map: torch.Tensor) -> np.ndarray | None:
    """From the map's voxels to millimetres, LPS as DICOM has it; None where it has no place in space."""
    if not isinstance(anomaly_map, MetaTensor) or anomaly_map.affine.shape != LPS_TO_RAS.shape:
        return None
    return LPS_TO_RAS @ convert_to_numpy(anomaly_map.affine).astype(np.float64)


def _check_planes(source: Source, values: np.ndarray, affine: np.ndarray | None) -> None:
    """Raises an error if the files are not the map's planes: a lesion would be shown elsewhere."""
    header = source.headers[0]
    fits = values.shape == (len(source.planes), header.Rows, header.Columns)
    fits = fits and all(other.SeriesInstanceUID == header.SeriesInstanceUID for other in source.headers)
    if fits and len(values) > 1 and affine is not None and source.positions is not None:
        numbers = (np.linalg.inv(affine) @ np.pad(source.positions, ((0, 0), (0, 1)), constant_values=1).T)[2]
        ends = (numbers[0], numbers[-1] - (len(numbers) - 1))
        fits = bool((np.diff(numbers) > 0).all()) and bool((np.abs(ends) < _SAME_SLICE).all())
    if not fits:
        raise UserError(
            f"{source.folder}: these DICOM images are not the slices of the map; give the images of one series, which "
            "the map was made of."
        )


def _equipment(bundle: Mapping[str, Any], software_version: str) -> dict[str, Any]:
    """What made the results, in the words of highdicom's classes."""
    weights = bundle["weights_sha256"]
    return {
        "manufacturer": "monai-sagan",
        "manufacturer_model_name": bundle["name"].replace("\\", "/")[:_LONGEST_TEXT],
        "software_versions": software_version,
        "device_serial_number": weights[:16] if weights else "research",
    }


def _series(source: Source, kind: int, description: str, equipment: Mapping[str, Any]) -> dict[str, Any]:
    """A new series, in the words of highdicom's classes."""
    import highdicom as hd

    after = min(max(source.series_number, 0), _LARGEST_NUMBER)
    return {
        "series_instance_uid": hd.UID(),
        "series_number": 100 * after + kind,
        "series_description": description,
        "specific_character_set": hd.SpecificCharacterSetValues.UNICODE_IN_UTF8,
        **equipment,
    }


def _save(result: Dataset, source: Source, path: Path) -> None:
    result.update(source.owner)
    result.save_as(path)
