"""What an anomaly map amounts to."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_tensor

from monai_sagan.transforms.slices import find_slice_axis

__all__ = ["AnomalyScore", "AnomalyScored", "volume_score"]


# Of the slices that show something, this share decides.
HIGHEST_SHARE = 0.25


def volume_score(slice_scores: Sequence[float]) -> float:
    """The score of a volume: the mean of the highest quarter of its slices' scores.

    Args:
        slice_scores: one a slice; those of background are 0 and do not count.

    Returns:
        The score; 0 of nothing but background.
    """
    highest = sorted((score for score in slice_scores if score > 0), reverse=True)
    return fmean(highest[: math.ceil(HIGHEST_SHARE * len(highest))]) if highest else 0.0


class AnomalyScore(Transform):
    """The published score, the mean of the anomaly map; of a volume, built from its slices' scores.

    A lesion fills few slices of a volume: the mean over all of them would drown it. The largest alone would be that of
    the slice that is hardest to draw, mostly one of the first or the last. So the score of a volume is the mean of the
    highest quarter of its slices' scores, see :func:`volume_score`; slices without a change, as those of background
    are, do not count.

    Args:
        slice_direction: along which a volume is a stack of slices, see
            :func:`~monai_sagan.transforms.find_slice_axis`.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, slice_direction: str | int = "acquisition") -> None:
        self.slice_direction = slice_direction

    def slice_axis(self, anomaly_map: NdarrayOrTensor) -> int | None:
        """The spatial axis along which a map (C, *spatial) is a stack of slices; None for a 2D image."""
        return find_slice_axis(anomaly_map, self.slice_direction) if len(anomaly_map.shape) == 4 else None

    def slice_scores(self, anomaly_map: NdarrayOrTensor) -> list[float]:
        """The mean of each slice of a volume's map.

        Args:
            anomaly_map: (C, *spatial).

        Returns:
            One number a slice, none for a 2D image.
        """
        axis = self.slice_axis(anomaly_map)
        if axis is None:
            return []
        values = convert_to_tensor(anomaly_map, track_meta=False, dtype=torch.float32)
        return values.mean(dim=[d for d in range(values.dim()) if d != 1 + axis]).tolist()

    def __call__(self, anomaly_map: NdarrayOrTensor) -> float:
        """Scores one map.

        Args:
            anomaly_map: (C, *spatial), never negative.

        Returns:
            The score, in the units of the map.
        """
        if self.slice_axis(anomaly_map) is not None:
            return volume_score(self.slice_scores(anomaly_map))
        return float(convert_to_tensor(anomaly_map, track_meta=False, dtype=torch.float32).mean())


class AnomalyScored(MapTransform):
    """Adds ``anomaly_score``, ``slice_scores`` and ``slice_axis`` to a dictionary with an anomaly map.

    The axis is None for a 2D image.

    Args:
        keys: key of the map, one.
        slice_direction: as in :class:`AnomalyScore`.
        allow_missing_keys: whether an absent key is passed over.
    """

    backend = AnomalyScore.backend

    def __init__(
        self,
        keys: KeysCollection = "anomaly_map",
        slice_direction: str | int = "acquisition",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.score = AnomalyScore(slice_direction)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            d["slice_scores"] = self.score.slice_scores(d[key])
            d["slice_axis"] = self.score.slice_axis(d[key])
            d["anomaly_score"] = self.score(d[key])
        return d
