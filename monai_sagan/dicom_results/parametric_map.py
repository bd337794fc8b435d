"""The anomaly map as a DICOM Parametric Map."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom import Dataset

from monai_sagan.dicom_results.source import Source

__all__ = ["make_parametric_map"]

# No code of the standard names what the map shows, so it is one of ours; 99 marks such schemes.
_SCHEME = "99MONAI_SAGAN"


def make_parametric_map(source: Source, values: np.ndarray, scale: float, series: dict[str, Any]) -> Dataset:
    """Makes a Parametric Map of 32-bit floating point, one frame a plane of the source.

    Args:
        source: the images that the map comes from.
        values: the map, (planes, rows, columns), float32 in [0, 1].
        scale: the value that a viewer should show as the brightest, above 0.
        series: what highdicom's classes are told of the series and of what made it.
    """
    import highdicom as hd
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from pydicom.sr.codedict import codes

    quantity = hd.sr.CodedConcept("anomaly_map", _SCHEME, "Anomaly map: change by a model of healthy images")
    mapping = hd.pm.RealWorldValueMapping(
        lut_label="ANOMALY_MAP",
        lut_explanation="Anomaly map, from 0 (as a healthy image) to 1",
        unit=codes.UCUM.NoUnits,
        value_range=(0.0, 1.0),
        quantity_definition=quantity,
    )
    # The exact function, as the plain one takes windows for whole numbers and allows no width below 1.
    window = hd.VOILUTTransformation(
        window_center=scale / 2, window_width=scale, voi_lut_function=hd.VOILUTFunctionValues.LINEAR_EXACT
    )
    return hd.pm.ParametricMap(
        source_images=source.headers,
        pixel_array=values,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        # The map of a head has its outline: what may show a face is not said to show none.
        contains_recognizable_visual_features=source.headers[0].get("RecognizableVisualFeatures") != "NO",
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[window],
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        content_label="ANOMALY_MAP",
        content_description="Anomaly map (research use only)",
        coding_schemes=[CodingSchemeIdentificationItem(designator=_SCHEME, name="monai-sagan")],
        **series,
    )
