"""What is ordinary at each pixel of a map: so that a map can be read in standard deviations from healthy images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

__all__ = ["NUM_PLACES", "MapOfHealthy", "PixelScale", "fit_pixel_scale"]

# A volume's slices are compared with those in the same one of so many parts of the body.
NUM_PLACES = 16
# Added to the spread of each pixel, as a share of the mean spread: where few images ever change, as in air, a change
# that nobody would see would otherwise be many standard deviations.
_LEAST_SPREAD = 0.5
# Fewer images have no spread once one of them is left out.
_FEWEST = 3


@dataclass(frozen=True)
class MapOfHealthy:
    """The maps of one healthy image.

    Args:
        maps: (N, M, rows, columns) on the network's grid, as many kinds as there are: of a picture once, of a volume
            for each slice.
        places: (N,) of each, its place along the body, from 0 to 1.
    """

    maps: torch.Tensor
    places: torch.Tensor


@dataclass(frozen=True)
class PixelScale:
    """Mean and spread of healthy images' maps at each pixel of the network's grid.

    Args:
        mean: (K, M, rows, columns), of M kinds of maps for each of K parts of the body; one for pictures.
        spread: (K, M, rows, columns), above 0.
        peaks: of each healthy image, the highest deviation, by a scale that was made without it; sorted.
    """

    mean: torch.Tensor
    spread: torch.Tensor
    peaks: tuple[float, ...]

    def deviations(self, maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Maps in standard deviations from healthy.

        Those of several kinds become one, the harmonic mean of what each deviates, all counted from 1: a place stands
        out as far as it does in all of them, and hardly at all where it does so in a single one, however much.

        Args:
            maps: (N, M, rows, columns) on the network's grid.
            places: (N,) of each, its place along the body, from 0 to 1.

        Returns:
            (N, rows, columns); 0 where no kind is above the mean of healthy images.

        Raises:
            ValueError: if there are more or fewer kinds.
        """
        if maps.shape[1] != self.mean.shape[1]:
            raise ValueError(f"the scale is of {self.mean.shape[1]} kinds of maps, not of {maps.shape[1]}.")
        part = _parts(places, len(self.mean))
        from_one = 1 + ((maps - self.mean[part]) / self.spread[part]).clamp_min(0)
        return from_one.reciprocal().mean(dim=1).reciprocal() - 1


def fit_pixel_scale(healthy: Sequence[MapOfHealthy], num_places: int = NUM_PLACES) -> PixelScale | None:
    """Makes the scale of healthy images that were not trained on.

    What is ordinary is found by leaving each image out of the scale that it is measured with, as a new image is.

    Args:
        healthy: their maps, all of one size.
        num_places: parts of the body that have a scale of their own; 1 for pictures.

    Returns:
        The scale; None for fewer than three images.
    """
    if len(healthy) < _FEWEST:
        return None
    total = _sums(healthy[0], num_places)
    for image in healthy[1:]:
        total += _sums(image, num_places)
    peaks = []
    for image in healthy:  # whose sums are made again, since those of all would take the memory of many maps
        mean, spread = _mean_and_spread(total - _sums(image, num_places))
        others = PixelScale(mean, spread, ())
        peaks.append(float(others.deviations(image.maps.float(), image.places).max()))
    mean, spread = _mean_and_spread(total)
    return PixelScale(mean, spread, tuple(sorted(peaks)))


def _sums(image: MapOfHealthy, num_places: int) -> torch.Tensor:
    """Number, sum and sum of squares of an image's maps in each part of the body, (3, K, M, rows, columns)."""
    size = image.maps.shape[1:]
    sums = torch.zeros(3, num_places, *size, dtype=torch.float64)
    maps, part = image.maps.double(), _parts(image.places, num_places)
    for row, values in zip(sums, (torch.ones_like(maps), maps, maps**2)):
        row.index_add_(0, part, values)
    return sums


def _mean_and_spread(sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(K, M, rows, columns) each; parts of the body with fewer than two slices take those of the nearest with more."""
    count = sums[0, :, 0, 0, 0]
    known = (count >= 2).nonzero()[:, 0]
    distances = (torch.arange(len(count))[:, None] - known).abs()
    number, total, squares = sums[:, known[distances.argmin(1)]]
    mean = total / number
    spread = ((squares / number - mean**2).clamp_min(0) * number / (number - 1)).sqrt()
    # Against a scale of nothing but zeros, which a network that changes nothing gives.
    least = (_LEAST_SPREAD * spread.mean(dim=(0, 2, 3), keepdim=True)).clamp_min(1e-6)
    return mean.float(), (spread + least).float()


def _parts(places: torch.Tensor, num_places: int) -> torch.Tensor:
    return (places * (num_places - 1)).round().long()
