"""A whole image on a network's grid, and what the network says of its pixels back on the image's own."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_tensor

from monai_sagan.transforms.resizing import resize
from monai_sagan.transforms.slices import SliceLayout

__all__ = ["WholeImage", "WholeImaged"]


class WholeImage(Transform):
    """Resizes a whole image to a network's size and axes.

    A picture, or a volume of a single slice, for a network in 2D; a volume, turned to how it lies in the patient, for
    one in 3D. Images of one anatomy then lie over each other, whichever way their files have them.

    Args:
        image_size: the network's size, rows first; its length says whether the network works in 2D or 3D.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, image_size: Sequence[int]) -> None:
        self.image_size = [int(side) for side in image_size]

    def __call__(self, img: NdarrayOrTensor) -> torch.Tensor:
        """Resizes one image.

        Args:
            img: (C, *spatial), x first; a MetaTensor where its geometry matters.

        Returns:
            (C, *image_size), rows first, without metadata.

        Raises:
            ValueError: if the image has more or fewer axes, or more slices, than suit the network.
        """
        return resize(self._upright(img)[None], self.image_size)[0]

    def inverse(self, weight_map: torch.Tensor, img: NdarrayOrTensor) -> torch.Tensor:
        """Brings a map from the network's grid to that of an image.

        Args:
            weight_map: (C, *image_size).
            img: (C, *spatial), as it was given before.

        Returns:
            (C, *spatial), without metadata.

        Raises:
            ValueError: as above.
        """
        upright = self._upright(img)
        resized = resize(weight_map[None], upright.shape[1:])[0]
        if img.ndim == 3:
            return resized.transpose(1, 2)
        layout = SliceLayout.of(img)
        if len(self.image_size) == 2:
            result = resized.new_empty(len(resized), *img.shape[1:])
            layout.view(result)[:] = layout.turn(resized[None])
            return result
        return SliceLayout.of(img, "axial").undo_upright(resized)

    def _upright(self, img: NdarrayOrTensor) -> torch.Tensor:
        """The image as the network sees it, at its own size."""
        image = convert_to_tensor(img, track_meta=False, dtype=torch.float32)
        dims, axes = len(self.image_size), image.dim() - 1
        if axes == dims == 2:
            return image.transpose(1, 2)
        if axes == dims == 3:
            return SliceLayout.of(img, "axial").upright(image)
        if axes == 3:
            layout = SliceLayout.of(img)
            slices = layout.view(image)
            if len(slices) == 1:
                return layout.turn(slices)[0]
            raise ValueError(
                f"a volume of {len(slices)} slices does not suit a network that takes one picture; give single slices, "
                "or train with an image_size of three numbers."
            )
        raise ValueError(f"an image with {axes} axes does not suit a network that works in {dims}D.")


class WholeImaged(MapTransform):
    """Dictionary form of :class:`WholeImage`.

    Args:
        keys: keys of the images.
        image_size: the network's size, rows first.
        allow_missing_keys: whether absent keys are passed over.
    """

    backend = WholeImage.backend

    def __init__(self, keys: KeysCollection, image_size: Sequence[int], allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.whole_image = WholeImage(image_size)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.whole_image(d[key])
        return d
