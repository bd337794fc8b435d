"""Pixel values to the range that the networks work in."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, ScaleIntensityRange, Transform
from monai.transforms.utils_pytorch_numpy_unification import percentile
from monai.utils import TransformBackends

from monai_sagan.errors import SettingError

__all__ = ["ScaleToNetworkRange", "ScaleToNetworkRangeD", "ScaleToNetworkRangeDict", "ScaleToNetworkRanged"]


class ScaleToNetworkRange(Transform):
    """Scales an image to [-1, 1].

    8-bit images by their type's range, 0 to 255, as published. All others have no range of their own: their
    percentiles become -1 and 1, and what lies outside is clipped. Where both percentiles are the same value, as in a
    plain background with something small on it, the least and the largest value take their place.

    Args:
        lower: percentile that becomes -1, in [0, 100].
        upper: percentile that becomes 1, in [0, 100].

    Raises:
        SettingError: if they do not grow, or lie outside of [0, 100].
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    def __init__(self, lower: float = 0.5, upper: float = 99.5) -> None:
        if not 0.0 <= lower < upper <= 100.0:
            raise SettingError(
                f"intensity_percentiles must be two growing numbers in [0, 100], not {lower} and {upper}."
            )
        self.scale_8_bit = ScaleIntensityRange(0, 255, -1.0, 1.0)
        self.lower = lower
        self.upper = upper

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Scales one image.

        Args:
            img: (C, *spatial), of any type.

        Returns:
            The same shape, 32-bit floating point, in [-1, 1].
        """
        if str(img.dtype).removeprefix("torch.") == "uint8":
            return self.scale_8_bit(img)
        wide = img.float() if isinstance(img, torch.Tensor) else img.astype("float32")
        low, high = (float(percentile(wide, share)) for share in (self.lower, self.upper))
        if low == high:
            low, high = float(wide.min()), float(wide.max())
        return ScaleIntensityRange(low, high, -1.0, 1.0, clip=True)(wide)


class ScaleToNetworkRanged(MapTransform):
    """Dictionary form of :class:`ScaleToNetworkRange`.

    Args:
        keys: keys of the images.
        lower: percentile that becomes -1, in [0, 100].
        upper: percentile that becomes 1, in [0, 100].
        allow_missing_keys: whether absent keys are passed over.
    """

    backend = ScaleToNetworkRange.backend

    def __init__(
        self, keys: KeysCollection, lower: float = 0.5, upper: float = 99.5, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.scale = ScaleToNetworkRange(lower, upper)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.scale(d[key])
        return d


ScaleToNetworkRangeD = ScaleToNetworkRangeDict = ScaleToNetworkRanged
