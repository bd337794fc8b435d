"""From an image's own grid to the network's.

Files are read with the axes of their geometry, x first. The network sees pictures as the published code does, rows
first, at one size. Both differences are bridged here and nowhere else: training and inference share it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_tensor
from torch.nn import functional as F

__all__ = ["ToNetworkGrid", "ToNetworkGridD", "ToNetworkGridDict", "ToNetworkGridd", "resize"]


def resize(images: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Resizes by a linear filter that is widened when shrinking, so that nothing aliases.

    In 2D this is PIL's bilinear ``Image.resize`` without its rounding to whole grey levels. MONAI's ``Resize`` has no
    such filter. The filter is separable, so more axes are taken two at a time.

    Args:
        images: (B, C, *spatial), floating point.
        size: the new size, one number a spatial axis.

    Returns:
        (B, C, *size).
    """
    dims = images.dim() - 2
    if dims == 2:
        return _resize_planes(images, size)
    # The last two axes of a volume first, then the remaining one, beside an axis that has its size already.
    shape = list(images.shape)
    planes = _resize_planes(images.reshape(-1, 1, *shape[-2:]), size[1:]).reshape(-1, 1, shape[2], size[1] * size[2])
    return _resize_planes(planes, [size[0], size[1] * size[2]]).reshape(*shape[:2], *size)


def _resize_planes(planes: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    return F.interpolate(planes, size=list(size), mode="bilinear", align_corners=False, antialias=True)


class ToNetworkGrid(Transform):
    """Brings an image to the network's axes and size.

    Args:
        image_size: the network's size, rows first; its length says whether the network works in 2D or 3D.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, image_size: Sequence[int]) -> None:
        self.image_size = [int(side) for side in image_size]

    def __call__(self, img: NdarrayOrTensor) -> torch.Tensor:
        """Converts one image.

        Args:
            img: (C, *spatial), x first. A 2D network takes a volume of one slice too.

        Returns:
            (C, *image_size), rows first, without metadata.

        Raises:
            ValueError: if the image has more or fewer axes than the network.
        """
        image = convert_to_tensor(img, track_meta=False, dtype=torch.float32)
        dims = len(self.image_size)
        if image.dim() == dims + 2 and image.shape[-1] == 1:
            image = image[..., 0]
        if image.dim() != dims + 1:
            raise ValueError(f"An image with {image.dim() - 1} axes does not suit a network that works in {dims}D.")
        return resize(image.permute(0, *range(dims, 0, -1))[None], self.image_size)[0]


class ToNetworkGridd(MapTransform):
    """Dictionary form of :class:`ToNetworkGrid`.

    Args:
        keys: keys of the images.
        image_size: the network's size, rows first.
        allow_missing_keys: whether absent keys are passed over.
    """

    backend = ToNetworkGrid.backend

    def __init__(self, keys: KeysCollection, image_size: Sequence[int], allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.to_network_grid = ToNetworkGrid(image_size)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.to_network_grid(d[key])
        return d


ToNetworkGridD = ToNetworkGridDict = ToNetworkGridd
