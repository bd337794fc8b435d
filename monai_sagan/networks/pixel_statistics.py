"""What all images of a class say at each pixel, gathered in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist

from monai_sagan.errors import SettingError

__all__ = ["PixelStatistics"]


class PixelStatistics:
    """Mean, spread and quantiles of each class at each pixel, of any number of images.

    Images are counted into sums and, for the quantiles, into a histogram at each pixel, so the memory does not grow
    with their number, and neither their order nor how they are divided among processes matters. A quantile is where
    the histogram's cumulative share reaches it, images of one level taken as evenly spread over the level.

    Args:
        num_classes: classes, each of which has features of its own.
        image_shape: (C, *spatial), as all images have it.
        levels: of the histogram; quantiles are as exact as a level is wide.
        quantiles: each in (0, 1).
        value_range: of the images; what lies outside counts into the first or last level.

    Raises:
        SettingError: if an argument is out of its range.
    """

    def __init__(
        self,
        num_classes: int,
        image_shape: Sequence[int],
        levels: int = 64,
        quantiles: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 0.9),
        value_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        if num_classes < 1:
            raise SettingError(f"num_classes must be at least 1, not {num_classes}.")
        if levels < 2:
            raise SettingError(f"levels must be at least 2, not {levels}.")
        if not all(0.0 < quantile < 1.0 for quantile in quantiles):
            raise SettingError(f"quantiles must lie in (0, 1), not {list(quantiles)}.")
        if not value_range[0] < value_range[1]:
            raise SettingError(f"value_range must go from the lower value to the higher one, not {value_range}.")
        self.quantiles = tuple(quantiles)
        self.value_range = value_range
        self.counts = torch.zeros(num_classes, dtype=torch.int64)
        # In 64 bits, so that the order of the images is not seen in what is kept in 32.
        self.sums = torch.zeros(num_classes, *image_shape, dtype=torch.float64)
        self.squares = torch.zeros_like(self.sums)
        self.histogram = torch.zeros(num_classes, levels, *image_shape, dtype=torch.int32)

    @property
    def num_features(self) -> int:
        """Features that a pixel has."""
        num_classes, channels = self.sums.shape[:2]
        return num_classes * channels * (2 + len(self.quantiles))

    def update(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Counts images in.

        Args:
            images: (B, C, *spatial).
            labels: (B,), the number of each image's class.

        Raises:
            ValueError: if the images have another shape, or a label is no class's number.
        """
        if images.shape[1:] != self.sums.shape[1:]:
            raise ValueError(
                f"an image has the shape {tuple(images.shape[1:])}, and {tuple(self.sums.shape[1:])} is expected; "
                "resize images to one size."
            )
        low, high = self.value_range
        levels = self.histogram.shape[1]
        values = images.detach().to("cpu", torch.float64)
        places = ((values - low) * (levels / (high - low))).floor().clamp(0, levels - 1).long()
        one = torch.ones(1, dtype=torch.int32).expand(self.sums.shape[1:])[None]
        for value, place, label in zip(values, places, labels.tolist(), strict=True):
            if not 0 <= label < len(self.counts):
                raise ValueError(f"there is no class {label}; there are {len(self.counts)}, counted from 0.")
            self.counts[label] += 1
            self.sums[label] += value
            self.squares[label] += value.square()
            self.histogram[label].scatter_add_(0, place[None], one)

    def gather_processes(self, device: torch.device) -> None:
        """Adds up what the processes of a distributed run have counted; alone, does nothing.

        Args:
            device: on which the processes can talk: the process's own with NCCL.
        """
        if not (dist.is_available() and dist.is_initialized()):
            return
        for name in ("counts", "sums", "squares", "histogram"):
            total = getattr(self, name).to(device)
            dist.all_reduce(total)
            setattr(self, name, total.cpu())

    def features(self) -> torch.Tensor:
        """What was gathered.

        Returns:
            (num_features, *spatial), 32-bit: class by class the mean, the spread (standard deviation) and the quantiles
            of each channel.

        Raises:
            ValueError: if a class has no image.
        """
        missing = [str(label) for label, count in enumerate(self.counts.tolist()) if count == 0]
        if missing:
            raise ValueError(f"there is no image of class {', '.join(missing)}; every class needs at least one.")
        features = []
        for count, total, squares, histogram in zip(self.counts, self.sums, self.squares, self.histogram):
            mean = total / count
            spread = (squares / count - mean.square()).clamp(min=0).sqrt()
            features += [mean, spread, *(self._quantile(histogram, quantile) for quantile in self.quantiles)]
        return torch.cat(features).float()

    def _quantile(self, histogram: torch.Tensor, quantile: float) -> torch.Tensor:
        """A quantile (C, *spatial) of a histogram (levels, C, *spatial)."""
        low, high = self.value_range
        counts = histogram.double()
        reached = counts.cumsum(0)
        wanted = quantile * reached[-1]
        level = (reached < wanted).sum(0, keepdim=True)
        within = (wanted - (reached - counts).gather(0, level)[0]) / counts.gather(0, level)[0]
        return low + (level[0] + within) * ((high - low) / len(histogram))
