"""How far each place of an image stands out, in standard deviations from healthy images."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type

from monai_sagan.calibration.conformal import conformal_threshold
from monai_sagan.calibration.findings import find_regions, leave_out_surroundings
from monai_sagan.calibration.grid_maps import GridMaps
from monai_sagan.calibration.pixel_scale import PixelScale
from monai_sagan.calibration.store import is_of_several_slices, read_calibration

__all__ = ["DeviationMapd"]


class DeviationMapd(MapTransform):
    """Adds ``deviation_map``, ``findings_map``, ``findings`` and ``finding_threshold`` of a calibrated bundle.

    The deviation map says pixel by pixel how far the smoothed anomaly map, and what contrast says of each place where a
    bundle scores by it, are above those of healthy images, in their standard deviations
    (:meth:`~monai_sagan.calibration.PixelScale.deviations`); 0 where they are below the mean.

    A finding is a region of it that is higher than healthy images are anywhere. As in the test of a highest value
    (Westfall and Young, "Resampling-Based Multiple Testing", 1993, section 2.5), at most the calibration's share of
    healthy images has any. In an image with a lesion the same holds for places that are as they are in healthy images;
    what the network changes elsewhere because of the lesion is no such place. Contrast sees a lesion from some way off;
    so places that are less than half as high as one near them count as its surroundings, and not as a finding.

    ``findings`` is a list, the most extraordinary one first, of dictionaries: ``label``, the finding's number in
    ``findings_map``; ``voxel`` where it is highest; ``deviation`` there; ``num_voxels``; ``p_value``, the share of
    healthy images that show as much anywhere. It is None, as is the threshold, where nothing can be said: the bundle
    was not calibrated with such images, or with too few. Without a scale the two maps are not added.

    Args:
        keys: key of the anomaly map, one.
        bundle_root: the bundle's folder.
        weights_sha256: of the bundle's weights.
        image_size: of the network; with three numbers there is no grid that all images share, and so no scale.
        slice_direction: along which volumes are cut into slices.

    Raises:
        UserError: if the calibration is damaged.
    """

    def __init__(
        self,
        keys: KeysCollection,
        bundle_root: str | Path,
        weights_sha256: str | None,
        image_size: Sequence[int],
        slice_direction: str | int,
    ) -> None:
        super().__init__(keys)
        self.calibration = read_calibration(bundle_root)
        self.weights_sha256 = weights_sha256
        self.image_size = list(image_size)
        self.slice_direction = str(slice_direction)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        d["findings"] = d["finding_threshold"] = None
        calibration = self.calibration
        if calibration is None or calibration.problem(d, self.weights_sha256, self.slice_direction):
            return d
        scale = calibration.scale(of_volumes=is_of_several_slices(d))
        if scale is None:
            return d
        (key,) = self.key_iterator(d)
        grid = GridMaps(d[key], self.image_size, d["slice_axis"], d.get("contrast_map"))
        deviation = deviation_map(grid, scale)
        d["deviation_map"] = convert_to_dst_type(deviation, d[key])[0]
        threshold = conformal_threshold(scale.peaks, calibration.rate)
        if threshold is not None:
            d["finding_threshold"] = threshold
            values = deviation[0].numpy()
            stands_out = values > threshold
            if grid.contrast_map.shape[1]:
                leave_out_surroundings(values, stands_out, d["slice_axis"])
            labels, d["findings"] = find_regions(values, stands_out, scale.peaks)
            d["findings_map"] = convert_to_dst_type(torch.from_numpy(labels)[None], d[key], dtype=torch.int16)[0]
        return d


def deviation_map(grid: GridMaps, scale: PixelScale) -> torch.Tensor:
    """Maps of an image in standard deviations from healthy images, on the image's own grid.

    Args:
        grid: the maps.
        scale: of such images.

    Returns:
        (1, *spatial), at least 0, without metadata.
    """
    deviation = torch.zeros(grid.shape, dtype=torch.float32)
    for batch in grid.batches():
        grid.put(deviation, batch, scale.deviations(grid.take(batch), grid.places[batch]))
    return deviation
