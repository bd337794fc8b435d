"""The phantom in the module Sample Data."""

from __future__ import annotations

import hashlib
from pathlib import Path

from slicer.i18n import tr as _

__all__ = ["SAMPLE", "register_sample_data"]

SAMPLE = "AnomalyMapPhantom"


def register_sample_data(module_folder: Path) -> None:
    """Adds a phantom with a lesion to the module Sample Data; it comes with the extension.

    Args:
        module_folder: the folder of ``AnomalyMap.py``.
    """
    import SampleData

    path = module_folder / "Resources" / "SampleData" / "phantom_lesion.nrrd"
    logic = SampleData.SampleDataLogic
    logic.registerCustomSampleDataCategory("AnomalyMap", title=_("Anomaly Map"))
    logic.registerCustomSampleDataSource(
        category="AnomalyMap",
        sampleName=SAMPLE,
        thumbnailFileName=str(module_folder / "Resources" / "Icons" / f"{SAMPLE}.png"),
        uris=path.as_uri(),
        fileNames=f"{SAMPLE}.nrrd",
        # Sample Data keeps a copy, which would stay what it is when the extension is updated.
        checksums=f"SHA256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
        nodeNames=SAMPLE,
    )
