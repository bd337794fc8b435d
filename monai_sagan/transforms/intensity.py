"""Pixel values to the range that the networks work in."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Sized

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_numpy, convert_to_tensor

from monai_sagan.errors import SettingError

__all__ = ["ScaleToNetworkRange", "ScaleToNetworkRanged"]

# What lies below this share of the range of an image is air, and the noise in it.
_AIR = 0.05

# Whole numbers within such a range are counted instead of sorted: ten times as fast, and no copy.
_MOST_COUNTED = 2**16
_COUNTED_AT_ONCE = 2**22
_SLICES_AT_ONCE = 16


class ScaleToNetworkRange(Transform):
    """Scales an image to [-1, 1]; what lies beyond is clipped.

    With a window, by that window, as is usual for Hounsfield units. Without, 8-bit images by their type's range, 0 to
    255, as published. All others have no range of their own: percentiles of their foreground become -1 and 1, so that
    neither the amount of air around the patient nor a few hot pixels decide. Foreground is what lies above 5% of the
    range between the same percentiles of the whole image. Where both percentiles are one value, as in a plain
    background with something small on it, the least and the largest value take their place.

    Args:
        lower: percentile that becomes -1, in [0, 100].
        upper: percentile that becomes 1, in [0, 100].
        window: the values that become -1 and 1, in the image's units; None to find them by percentiles.

    Raises:
        SettingError: if percentiles do not grow or lie outside of [0, 100], or the window is no two growing numbers.
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    def __init__(self, lower: float = 0.5, upper: float = 99.5, window: Sequence[float] | None = None) -> None:
        if not 0.0 <= lower < upper <= 100.0:
            raise SettingError(
                f"intensity_percentiles must be two growing numbers in [0, 100], not {lower} and {upper}."
            )
        if window is not None and not (isinstance(window, Sized) and len(window) == 2 and window[0] < window[1]):
            raise SettingError(f"intensity_window must be two growing numbers such as [-1000, 400], not {window}.")
        self.percentiles = (lower, upper)
        self.window = None if window is None else (float(window[0]), float(window[1]))

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Scales one image.

        Args:
            img: (C, *spatial), of any type.

        Returns:
            The same shape, 32-bit floating point, in [-1, 1].
        """
        low, high = self._limits(img)
        scaled = _copy_in_file_order(convert_to_tensor(img, track_meta=False))
        # In place: a volume is large.
        scaled.sub_(low).mul_(2.0 / (high - low) if high > low else 0.0).sub_(1.0).clamp_(-1.0, 1.0)
        return convert_to_dst_type(scaled, img, dtype=torch.float32)[0]

    def _limits(self, img: NdarrayOrTensor) -> tuple[float, float]:
        """The values that become -1 and 1."""
        if self.window is not None:
            return self.window
        array = convert_to_numpy(convert_to_tensor(img, track_meta=False))
        if array.dtype == np.uint8:
            return 0.0, 255.0
        values, counts = _count(array)
        low, high = _percentiles(values, counts, self.percentiles)
        if low < high:
            inside = values > low + _AIR * (high - low)
            low, high = _percentiles(values[inside], None if counts is None else counts[inside], self.percentiles)
        return (low, high) if low < high else (float(values.min()), float(values.max()))


def _copy_in_file_order(img: torch.Tensor) -> torch.Tensor:
    """A 32-bit copy (C, *spatial), in memory as files have it, with x fastest: slices along z lie in one piece."""
    channels, *sides = img.shape
    copy = torch.empty(channels, *reversed(sides), dtype=torch.float32, device=img.device)
    copy = copy.permute(0, *range(len(sides), 0, -1))
    # A few slices at a time, which a processor's cache can hold.
    for part, source in zip(copy.split(_SLICES_AT_ONCE, -1), img.split(_SLICES_AT_ONCE, -1)):
        part.copy_(source)
    return copy


def _count(array: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The values of an image in order and how often each occurs; or all of them, if they are too many to count."""
    flat = array.ravel(order="K")
    least, largest = flat.min(), flat.max()
    if array.dtype.kind not in "iu" or int(largest) - int(least) >= _MOST_COUNTED:
        return flat.astype(np.float32, copy=False), None
    counts = np.zeros(int(largest) - int(least) + 1, dtype=np.int64)
    for start in range(0, flat.size, _COUNTED_AT_ONCE):
        part = flat[start : start + _COUNTED_AT_ONCE].astype(np.int64)
        counts += np.bincount(part - int(least), minlength=counts.size)
    present = counts.nonzero()[0]
    return (present + int(least)).astype(np.float64), counts[present]


def _percentiles(values: np.ndarray, counts: np.ndarray | None, shares: tuple[float, float]) -> tuple[float, float]:
    """Two percentiles of values that occur so often; the nearest value that occurs."""
    if counts is None:
        low, high = np.percentile(values, shares, method="inverted_cdf")
    else:
        ranks = np.ceil(np.asarray(shares) / 100 * counts.sum()).clip(1)
        low, high = values[np.searchsorted(counts.cumsum(), ranks)]
    return float(low), float(high)


class ScaleToNetworkRanged(MapTransform):
    """Dictionary form of :class:`ScaleToNetworkRange`.

    Args:
        keys: keys of the images.
        lower: percentile that becomes -1, in [0, 100].
        upper: percentile that becomes 1, in [0, 100].
        window: the values that become -1 and 1, in the image's units; None to find them by percentiles.
        allow_missing_keys: whether absent keys are passed over.
    """

    backend = ScaleToNetworkRange.backend

    def __init__(
        self,
        keys: KeysCollection,
        lower: float = 0.5,
        upper: float = 99.5,
        window: Sequence[float] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.scale = ScaleToNetworkRange(lower, upper, window)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.scale(d[key])
        return d
