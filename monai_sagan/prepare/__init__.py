"""Data sets in the Med-AD layout: from folders of images, and from public data sets as they are downloaded."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai_sagan.prepare.folder import prepare_folder
    from monai_sagan.prepare.lag import prepare_lag
    from monai_sagan.prepare.med_ad import prepare_med_ad
    from monai_sagan.prepare.report import PrepareReport
    from monai_sagan.prepare.rsna import prepare_rsna
    from monai_sagan.prepare.split import SplitCounts
    from monai_sagan.prepare.vindr_cxr import prepare_vindr_cxr

__all__ = [
    "PNG_SIZE",
    "PrepareReport",
    "SplitCounts",
    "prepare_folder",
    "prepare_lag",
    "prepare_med_ad",
    "prepare_rsna",
    "prepare_vindr_cxr",
]

# Pixels of the longer side of a radiograph, as published. The networks work at 64 to 256; at full size, images would
# take five times as much space and time.
PNG_SIZE = 512

_MODULES = {
    "PrepareReport": "report",
    "SplitCounts": "split",
    "prepare_folder": "folder",
    "prepare_lag": "lag",
    "prepare_med_ad": "med_ad",
    "prepare_rsna": "rsna",
    "prepare_vindr_cxr": "vindr_cxr",
}


def __getattr__(name: str) -> Any:
    # On first use only: the commands live in this package, and their help should not wait for torch and MONAI.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
