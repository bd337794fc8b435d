"""Which volume is shown, and which result belongs to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from monai_sagan.errors import UserError
from monai_sagan.viewer.AnomalyMapLib.results import JSON_ENDING, MAP_ENDINGS, AnomalyResult, read_result

__all__ = ["Case", "find_case"]


@dataclass(frozen=True)
class Case:
    """What is shown.

    Attributes:
        volume: the file that was examined.
        result: what was found in it.
        anomaly_map: the map's file; None if the result has none, as those of some classifiers.
    """

    volume: Path
    result: AnomalyResult
    anomaly_map: Path | None


def find_case(volume: Path, result: Path | None) -> Case:
    """A volume and its result.

    Args:
        volume: a file.
        result: ``NAME_anomaly.json``, a map beside it, or a folder with results, in which the volume's is looked
            for; by default the volume's own folder.

    Raises:
        UserError: if one of them is not there.
        ResultError: if the result cannot be read.
    """
    if volume.is_dir():
        raise UserError(
            f"{volume}: the viewer shows single files; make a NIfTI file of a DICOM series, by 'monai-sagan prepare "
            "folder' for example, and predict from that."
        )
    if not volume.is_file():
        raise UserError(f"{volume}: there is no such file.")
    json_path = _find_json(volume, result)
    found = read_result(json_path)
    if found.has_map and found.anomaly_map is None:
        raise UserError(f"{json_path}: the map that belongs beside it is missing; run 'monai-sagan predict' again.")
    return Case(volume, found, found.anomaly_map)


def _find_json(volume: Path, result: Path | None) -> Path:
    if result is None:
        return _only(volume, volume.parent, volume.parent.glob(f"*{JSON_ENDING}"))
    if result.is_dir():
        return _only(volume, result, result.rglob(f"*{JSON_ENDING}"))
    if not result.exists():
        raise UserError(f"{result}: there is no such file or folder.")
    if result.name.endswith(JSON_ENDING):
        return result
    endings = (f"_{kind}{ending}" for kind in ("anomaly", "deviation", "findings") for ending in MAP_ENDINGS)
    ending = next((ending for ending in endings if result.name.endswith(ending)), None)
    if ending is None:
        raise UserError(
            f"{result}: this is no result; give a file that ends in {JSON_ENDING}, the map beside it, or their folder."
        )
    beside = result.with_name(result.name.removesuffix(ending) + JSON_ENDING)
    if not beside.is_file():
        raise UserError(f"{beside}: this file belongs beside the map and is missing; run 'monai-sagan predict' again.")
    return beside


def _only(volume: Path, folder: Path, paths: Iterable[Path]) -> Path:
    """Of some results, the only one that is of a volume, by the name that it was read by."""
    # As predict names results: without the ending, of one or two parts, or with it.
    names = {volume.name, volume.stem, Path(volume.stem).stem}
    of_that_name = sorted(path for path in paths if path.name.removesuffix(JSON_ENDING) in names)
    found = [path for path in of_that_name if read_result(path).input == volume.name]
    if not found:
        raise UserError(
            f"{folder}: there is no result of {volume.name} here; make one by 'monai-sagan predict BUNDLE {volume} "
            f"--output maps', and give its folder: 'monai-sagan view {volume} maps'."
        )
    if len(found) > 1:
        raise UserError(
            f"{folder}: there are {len(found)} results of {volume.name}; give one of them, such as {found[0]}."
        )
    return found[0]
