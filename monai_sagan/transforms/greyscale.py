"""Colour to grey, as the published preprocessing does it (PIL's mode "L")."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

__all__ = ["Greyscale", "Greyscaled"]

# Luma of ITU-R BT.601, which PIL's mode "L" is.
_LUMA = (0.299, 0.587, 0.114)
# What a picture needs to have colour: channels that differ by this share of its range, in this share of its pixels. A
# grey picture that was saved as colour with losses has less, and so has one with a coloured mark on it.
_DIFFERENCE = 0.1
_COLOURED = 0.1


class Greyscale(Transform):
    """Turns a channel-first image with one (grey), two (grey, alpha), three (RGB) or four (RGBA) channels to one.

    Alpha is left out, as PIL does. What is 8-bit stays so, rounded. The metadata of an image with metadata tell whether
    it really had colour (``is_colour``), and not the same in three channels.

    Raises:
        ValueError: if the image has another number of channels.
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Converts one image.

        Args:
            img: (C, *spatial), C from 1 to 4.

        Returns:
            (1, *spatial), of the same kind and type.
        """
        channels = len(img)
        if channels not in (1, 2, 3, 4):
            raise ValueError(
                f"An image has 1 or 2 (grey, with alpha) or 3 or 4 (colour, with alpha) channels, not {channels}."
            )
        if channels <= 2:
            return img[:1]
        colour = convert_to_tensor(img[:3], track_meta=False)
        luma = torch.tensor(_LUMA, dtype=torch.float64, device=colour.device).reshape(3, *(1 for _ in colour.shape[1:]))
        grey = (colour.double() * luma).sum(dim=0, keepdim=True)
        if not colour.dtype.is_floating_point:
            grey = grey.round()
        converted = convert_to_dst_type(grey.to(colour.dtype), img[:1])[0]
        if isinstance(converted, MetaTensor):
            converted.meta["is_colour"] = _has_colour(colour)
        return converted


def _has_colour(colour: torch.Tensor) -> bool:
    """Whether channels (3, *spatial) show more than grey."""
    values = colour.double()
    full = 255.0 if colour.dtype == torch.uint8 else float(values.max() - values.min())
    differences = values.amax(dim=0) - values.amin(dim=0)
    return bool((differences > _DIFFERENCE * full).double().mean() > _COLOURED)


class Greyscaled(MapTransform):
    """Dictionary form of :class:`Greyscale`.

    Args:
        keys: keys of the images.
        allow_missing_keys: whether absent keys are passed over.
    """

    backend = Greyscale.backend

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.greyscale = Greyscale()

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.greyscale(d[key])
        return d
