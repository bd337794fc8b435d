"""From an image of any size to what a network is trained with.

Files are read with the axes of their geometry, x first. A network sees pictures as the published code does, rows
first, at one size. Slices of a volume are turned as :class:`~monai_sagan.transforms.SliceLayout` has it, so that
training and inference see the same.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data.utils import dense_patch_slices
from monai.transforms import MapTransform, SpatialPad, Transform
from monai.utils import TransformBackends, convert_to_tensor

from monai_sagan.errors import SettingError
from monai_sagan.transforms.foreground import has_foreground
from monai_sagan.transforms.resizing import resize
from monai_sagan.transforms.slices import SliceLayout, check_slice_direction

__all__ = ["NetworkSamples", "NetworkSamplesd"]


class NetworkSamples(Transform):
    """Takes samples of an image at the network's size and axes.

    Of a picture, one: the whole, resized. Of a volume, for a network in 2D, slices that show more than background,
    evenly over the anatomy, resized; for a network in 3D, patches at the volume's own resolution, evenly over what is
    no background. The same image always gives the same samples.

    Args:
        image_size: the network's size, rows first; its length says whether the network works in 2D or 3D.
        slice_direction: as in :func:`~monai_sagan.transforms.find_slice_axis`.
        per_volume: most samples of a volume.
        background: the largest value that counts as background.

    Raises:
        SettingError: if ``per_volume`` is not positive, or there is no such slice direction.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        image_size: Sequence[int],
        slice_direction: str | int = "acquisition",
        per_volume: int = 16,
        background: float = -0.9,
    ) -> None:
        if per_volume < 1:
            raise SettingError(f"samples_per_volume must be at least 1, not {per_volume}.")
        check_slice_direction(slice_direction)
        self.image_size = [int(side) for side in image_size]
        self.slice_direction = slice_direction
        self.per_volume = per_volume
        self.background = background

    def __call__(self, img: NdarrayOrTensor) -> torch.Tensor:
        """Samples one image.

        Args:
            img: (C, *spatial) in [-1, 1], x first; a MetaTensor where its geometry matters.

        Returns:
            (N, C, *image_size), rows first, without metadata.

        Raises:
            ValueError: if the image has more or fewer axes than suit the network, or nothing but background.
        """
        image = convert_to_tensor(img, track_meta=False, dtype=torch.float32)
        dims, axes = len(self.image_size), image.dim() - 1
        if axes == dims == 2:
            return resize(image.transpose(1, 2)[None], self.image_size)
        if axes == 3 and dims == 2:
            layout = SliceLayout.of(img, self.slice_direction)
            slices = layout.view(image)
            chosen = slices[self._choose(has_foreground(slices, self.background))]
            return resize(layout.turn(chosen).contiguous(), self.image_size)
        if axes == dims == 3:
            return self._patches(SliceLayout.of(img, "axial").upright(image))
        raise ValueError(f"An image with {axes} axes does not suit a network that works in {dims}D.")

    def _patches(self, volume: torch.Tensor) -> torch.Tensor:
        """Patches of a volume on a grid on which they half overlap; what lies outside the volume is background."""
        padded = convert_to_tensor(SpatialPad(self.image_size, mode="constant", value=-1.0)(volume), track_meta=False)
        places = dense_patch_slices(padded.shape[1:], self.image_size, [max(1, side // 2) for side in self.image_size])
        patches = [padded[:, slices, rows, columns] for slices, rows, columns in places]
        shown = torch.cat([has_foreground(patch[None], self.background) for patch in patches])
        return torch.stack([patches[index] for index in self._choose(shown)])

    def _choose(self, shown: torch.Tensor) -> torch.Tensor:
        """Evenly spaced ones of the samples that show something; a single one is taken as it is."""
        candidates = shown.nonzero()[:, 0] if len(shown) > 1 else torch.zeros(1, dtype=torch.long)
        if not len(candidates):
            raise ValueError("the volume shows nothing but background; leave it out.")
        count = min(self.per_volume, len(candidates))
        # The middles of equal parts of the list.
        return candidates[((torch.arange(count) + 0.5) * len(candidates) / count).long()]


class NetworkSamplesd(MapTransform):
    """Dictionary form of :class:`NetworkSamples`.

    Args:
        keys: keys of the images.
        image_size: the network's size, rows first.
        slice_direction: as in :func:`~monai_sagan.transforms.find_slice_axis`.
        per_volume: most samples of a volume.
        background: the largest value that counts as background.
        allow_missing_keys: whether absent keys are passed over.
    """

    backend = NetworkSamples.backend

    def __init__(
        self,
        keys: KeysCollection,
        image_size: Sequence[int],
        slice_direction: str | int = "acquisition",
        per_volume: int = 16,
        background: float = -0.9,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.samples = NetworkSamples(image_size, slice_direction, per_volume, background)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.samples(d[key])
        return d
