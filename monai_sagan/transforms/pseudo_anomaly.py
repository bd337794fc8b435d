"""Pseudo anomalies: a square of another healthy image, blended in (arXiv 2405.12872, section 2.3)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from monai_sagan.transfers import upload

__all__ = ["RandPseudoAnomaly", "RandPseudoAnomalyd"]


class RandPseudoAnomaly(RandomizableTransform):
    """Blends a random square (in 3D: cube) of a source image into an image.

    Choosing the squares (:meth:`randomize`) is apart from blending them (:meth:`blend`), so that a whole batch is
    blended at once on its device, and a choice can be repeated. The random numbers come from ``self.R``, one choice
    an image, whatever the device or the batch.

    Args:
        half_width: the least and the largest half width, as shares of the image's second spatial axis, in (0, 1]; the
            largest is not reached, as in the authors' code.
        core: the middle part of each axis, as a share in (0, 1], in which the centre lies.

    Raises:
        ValueError: if an argument is out of its range.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, half_width: tuple[float, float] = (0.05, 0.2), core: float = 0.6) -> None:
        super().__init__(prob=1.0)
        if not 0.0 < half_width[0] <= half_width[1] <= 1.0:
            raise ValueError(f"half_width must be two growing shares in (0, 1], not {half_width}.")
        if not 0.0 < core <= 1.0:
            raise ValueError(f"core must lie in (0, 1], not {core}.")
        self.half_width = half_width
        self.core = core
        self.centers = np.zeros((0, 0), dtype=np.int64)
        self.half_widths = np.zeros(0, dtype=np.int64)
        self.alphas = np.zeros(0)

    def randomize(self, data: Sequence[int], count: int = 1) -> None:
        """Chooses centre, half width and weight of squares.

        Args:
            data: the images' spatial size.
            count: number of images, each with a square of its own.
        """
        sides = np.asarray(data, dtype=np.float64)
        offset = (1.0 - self.core) * sides / 2.0
        narrow, wide = (int(np.round(share * sides[min(1, len(sides) - 1)])) for share in self.half_width)
        low, high = (
            offset.astype(np.int64),
            np.maximum((offset + self.core * sides).astype(np.int64), offset.astype(np.int64) + 1),
        )
        choices = [
            (self.R.randint(low, high), self.R.randint(narrow, max(wide, narrow + 1)), self.R.random_sample())
            for _ in range(count)
        ]
        self.centers = np.stack([center for center, _, _ in choices])
        self.half_widths = np.array([half_width for _, half_width, _ in choices])
        self.alphas = np.array([alpha for _, _, alpha in choices])

    def weights(self, images: torch.Tensor) -> torch.Tensor:
        """What share of each pixel the chosen squares take from the source.

        Args:
            images: (N, C, *spatial), one for each choice; they say where, in which size and kind.

        Returns:
            (N, 1, *spatial), in [0, 1]; zero outside the squares.
        """
        dims = images.dim() - 2
        weights = upload(torch.as_tensor(self.alphas, dtype=images.dtype), images.device)
        weights = weights.reshape(-1, *(1 for _ in range(dims)))
        half_widths = upload(torch.as_tensor(self.half_widths), images.device)[:, None]
        centers = upload(torch.as_tensor(self.centers), images.device)
        for axis in range(dims):
            places = torch.arange(images.shape[2 + axis], device=images.device)
            from_center = places - centers[:, axis, None]
            inside = (from_center >= -half_widths) & (from_center < half_widths)
            weights = weights * inside.reshape(len(images), *(-1 if other == axis else 1 for other in range(dims)))
        return weights[:, None]

    def blend(self, images: torch.Tensor, sources: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Blends the chosen squares.

        Args:
            images: (N, C, *spatial), one for each choice.
            sources: images of the same shape that the squares are taken from.
            weights: what :meth:`weights` gives of the images, if it was asked before.

        Returns:
            (N, C, *spatial).
        """
        return torch.lerp(images, sources, self.weights(images) if weights is None else weights)

    def __call__(  # type: ignore[override]
        self, img: NdarrayOrTensor, source: NdarrayOrTensor, randomize: bool = True
    ) -> NdarrayOrTensor:
        """Puts a pseudo anomaly in one image.

        Args:
            img: a healthy image, (C, *spatial).
            source: another healthy image of the same shape.
            randomize: whether to choose a new square, or use the last one again.

        Returns:
            The image with the pseudo anomaly, of the same kind.
        """
        if randomize:
            self.randomize(img.shape[1:])
        image, other = (convert_to_tensor(x, track_meta=False, dtype=torch.float32)[None] for x in (img, source))
        return convert_to_dst_type(self.blend(image, other)[0], img)[0]


class RandPseudoAnomalyd(RandomizableTransform, MapTransform):
    """Dictionary form of :class:`RandPseudoAnomaly`; all keys get the same square.

    Args:
        keys: keys of the healthy images.
        source_key: key of the image that the square is taken from.
        half_width: as in :class:`RandPseudoAnomaly`.
        core: as in :class:`RandPseudoAnomaly`.
        allow_missing_keys: whether absent keys are passed over.
    """

    backend = RandPseudoAnomaly.backend

    def __init__(
        self,
        keys: KeysCollection,
        source_key: str,
        half_width: tuple[float, float] = (0.05, 0.2),
        core: float = 0.6,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.source_key = source_key
        self.pseudo_anomaly = RandPseudoAnomaly(half_width, core)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandPseudoAnomalyd:
        super().set_random_state(seed, state)
        self.pseudo_anomaly.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        d = dict(data)
        first = self.first_key(d)
        if first in d:
            self.pseudo_anomaly.randomize(d[first].shape[1:])
        for key in self.key_iterator(d):
            d[key] = self.pseudo_anomaly(d[key], d[self.source_key], randomize=False)
        return d
