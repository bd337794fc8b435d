"""What lies above a threshold as a DICOM Segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydicom import Dataset

from monai_sagan.dicom_results.source import Source

__all__ = ["make_segmentation"]

_COLOUR = (255, 120, 0)  # red, green and blue; orange is seen on grey, and is no colour of tissue


def make_segmentation(
    source: Source, mask: np.ndarray, threshold: float, bundle: Mapping[str, Any], series: dict[str, Any]
) -> Dataset:
    """Makes a binary Segmentation with one segment, of the planes where it is.

    Args:
        source: the images that the map comes from.
        mask: (planes, rows, columns), bool, true somewhere.
        threshold: what the map is above where the mask is true.
        bundle: the bundle's ``name`` and ``version``.
        series: what highdicom's classes are told of the series and of what made it.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    # Nobody knows what it is: the property is as general as its category.
    abnormal = codes.SCT.MorphologicallyAbnormalStructure
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="Anomaly",
        segmented_property_category=abnormal,
        segmented_property_type=abnormal,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=series["manufacturer_model_name"],
            family=codes.DCM.ArtificialIntelligence,
            version=str(bundle["version"]),
            source="monai-sagan",
            parameters={"threshold": f"{threshold:g}"},
        ),
        display_color=hd.color.CIELabColor.from_rgb(*_COLOUR),
    )
    result = hd.seg.Segmentation(
        source_images=source.headers,
        pixel_array=mask,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        sop_instance_uid=hd.UID(),
        instance_number=1,
        content_label="ANOMALY",
        content_description="Anomaly map above a threshold (research use only)",
        **series,
    )
    if not source.is_placed:
        result.PatientOrientation = source.headers[0].get("PatientOrientation")
    return result
