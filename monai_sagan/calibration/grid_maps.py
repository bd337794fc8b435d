"""Anomaly maps on the network's grid, where those of different images can be compared pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.layers import GaussianFilter
from monai.utils import convert_to_tensor

from monai_sagan.transforms import SliceLayout, resize

__all__ = ["GridMaps"]

# Standard deviation of the smoothing, as a share of the image's side. Edges that the network redraws a little beside
# their place, and noise, are narrower than what a reader calls a lesion.
_SMOOTHING = 0.03
# This many slices are at the network's size at once.
_AT_ONCE = 32


class GridMaps:
    """The maps of a picture, or of each slice of a volume, on the network's grid.

    These are the anomaly map, smoothed, and what contrast says of each place, where a bundle scores by it.

    Args:
        anomaly_map: (1, *spatial), x first; a MetaTensor where its geometry matters.
        image_size: of the network, rows and columns.
        slice_axis: along which a volume is a stack of slices; None for a picture.
        contrast_map: (slices, M, *image_size) as :class:`~monai_sagan.transforms.ContrastScored` gives it; None where
            there is none.

    Attributes:
        shape: of the anomaly map.
        layout: how the slices lie in the volume; a picture counts as one of a single slice.
        shown: numbers of the slices that show more than background, in the order of the file.
        places: (N,) of each of these, its place along the body, from 0 to 1.
    """

    def __init__(
        self,
        anomaly_map: torch.Tensor,
        image_size: Sequence[int],
        slice_axis: int | None,
        contrast_map: torch.Tensor | None = None,
    ) -> None:
        self.image_size = list(image_size)
        self.shape = anomaly_map.shape
        self.volume = convert_to_tensor(anomaly_map, track_meta=False, dtype=torch.float32)
        if slice_axis is None:
            self.volume = self.volume[..., None]
            self.layout = SliceLayout(2, 1, 0)
        else:
            self.layout = SliceLayout.of(anomaly_map, slice_axis)
        slices = self.layout.view(self.volume)
        self.contrast_map = slices.new_zeros(len(slices), 0, *self.image_size) if contrast_map is None else contrast_map
        self.shown = [number for number, image in enumerate(slices) if slice_axis is None or bool(image.any())]
        order = torch.tensor(self.shown, dtype=torch.float32)
        if self.layout.flips[0]:
            order = -order
        span = float(order.max() - order.min()) if self.shown else 0.0
        self.places = (order - order.min()) / span if span else torch.zeros(len(order))
        self._smooth = GaussianFilter(2, [_SMOOTHING * side for side in self.image_size])

    def batches(self) -> list[list[int]]:
        """The slices that show more than background, as places in ``shown``, a few at a time."""
        places = list(range(len(self.shown)))
        return [places[start : start + _AT_ONCE] for start in range(0, len(places), _AT_ONCE)]

    def take(self, batch: Sequence[int]) -> torch.Tensor:
        """Some of the maps.

        Args:
            batch: places in ``shown``.

        Returns:
            (N, 1 + M, rows, columns), as slices are seen.
        """
        numbers = [self.shown[place] for place in batch]
        slices = self.layout.turn(self.layout.view(self.volume)[numbers]).contiguous()
        return torch.cat([self._smooth(resize(slices, self.image_size)), self.contrast_map[numbers]], dim=1)

    def put(self, target: torch.Tensor, batch: Sequence[int], maps: torch.Tensor) -> None:
        """Brings maps on the network's grid to the image's own.

        Args:
            target: (1, *spatial) of the image; it is written to.
            batch: places in ``shown``.
            maps: (N, rows, columns), as slices are seen.
        """
        slices = self.layout.view(target.view(self.volume.shape))
        own = self.layout.turn(resize(maps[:, None], slices.shape[2:]))
        for place, image in zip(batch, own):
            slices[self.shown[place]] = image
