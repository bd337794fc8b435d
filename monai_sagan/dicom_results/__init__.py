"""Results as DICOM objects that lie on the images they come from: parametric map, segmentation, coloured overlay."""

from __future__ import annotations

from monai_sagan.dicom_results.overlay import OverlayContent
from monai_sagan.dicom_results.writer import require_highdicom, write_dicom_results

__all__ = ["OverlayContent", "require_highdicom", "write_dicom_results"]
