"""A result in the browser: the overlay of the 3D Slicer module, for those who work on a server or in a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from monai_sagan.errors import UserError

if TYPE_CHECKING:
    from monai_sagan.viewer.app import Viewer

__all__ = ["open_viewer"]

# AnomalyMapLib, which the Slicer module and the viewer share: a wheel carries it in this folder, a checkout has it
# in the extension.
__path__.append(str(Path(__file__).resolve().parents[2] / "slicer_extension" / "AnomalyMap"))


def open_viewer(volume: str | Path, result: str | Path | None = None) -> Viewer:
    """A volume with its anomaly map, ready to be shown.

    In a notebook, ``await viewer.ui.ready`` and then ``viewer.ui`` show it.

    Args:
        volume: NIfTI, NRRD, or a picture; what the map was computed of.
        result: ``NAME_anomaly.json``, the map beside it, or the folder that holds them; by default, the volume's own.

    Raises:
        UserError: if there is no such result, it is of another volume, or what the viewer needs is not installed.
    """
    from monai_sagan.viewer.AnomalyMapLib.results import ResultError
    from monai_sagan.viewer.case import find_case

    try:
        case = find_case(Path(volume), None if result is None else Path(result))
    except ResultError as error:
        raise UserError(str(error)) from error
    try:
        from monai_sagan.viewer.AnomalyMapLib.volumes import VolumeError
        from monai_sagan.viewer.app import Viewer
    except ImportError as error:
        raise UserError(
            f"The viewer lacks something ({error}); install it by 'pip install \".[viewer]\"' in the folder of "
            "monai-sagan and then 'pip install --no-deps slicer-layer-dm'."
        ) from error
    try:
        return Viewer(case)
    except VolumeError as error:
        raise UserError(str(error)) from error
