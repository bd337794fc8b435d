"""What an anomaly map amounts to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_tensor

__all__ = ["AnomalyScore", "AnomalyScoreD", "AnomalyScoreDict", "AnomalyScored"]


class AnomalyScore(Transform):
    """The published score, the mean of the anomaly map; of a volume, the largest of its slices' scores.

    A lesion fills few slices of a volume: the mean over all of them would drown it.

    Args:
        slice_axis: spatial axis along which a volume is a stack of slices, or None to take the mean over everything.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, slice_axis: int | None = -1) -> None:
        self.slice_axis = slice_axis

    def slice_scores(self, anomaly_map: NdarrayOrTensor) -> list[float]:
        """The mean of each slice of a volume's map.

        Args:
            anomaly_map: (C, *spatial).

        Returns:
            One number a slice, none for a 2D image or where ``slice_axis`` is None.
        """
        values = convert_to_tensor(anomaly_map, track_meta=False, dtype=torch.float32)
        if self.slice_axis is None or values.dim() < 4:
            return []
        axis = 1 + self.slice_axis % (values.dim() - 1)
        return values.mean(dim=[d for d in range(values.dim()) if d != axis]).tolist()

    def __call__(self, anomaly_map: NdarrayOrTensor) -> float:
        """Scores one map.

        Args:
            anomaly_map: (C, *spatial), never negative.

        Returns:
            The score, in the units of the map.
        """
        slices = self.slice_scores(anomaly_map)
        if slices:
            return max(slices)
        return float(convert_to_tensor(anomaly_map, track_meta=False, dtype=torch.float32).mean())


class AnomalyScored(MapTransform):
    """Adds ``anomaly_score``, ``slice_scores`` and ``slice_axis`` to a dictionary with an anomaly map.

    The axis is None for an image that is no stack of slices.

    Args:
        keys: key of the map, one.
        slice_axis: as in :class:`AnomalyScore`.
        allow_missing_keys: whether an absent key is passed over.
    """

    backend = AnomalyScore.backend

    def __init__(
        self, keys: KeysCollection = "anomaly_map", slice_axis: int | None = -1, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.score = AnomalyScore(slice_axis)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            d["slice_scores"] = self.score.slice_scores(d[key])
            axis = self.score.slice_axis
            d["slice_axis"] = axis % (len(d[key].shape) - 1) if axis is not None and d["slice_scores"] else None
            d["anomaly_score"] = self.score(d[key])
        return d


AnomalyScoreD = AnomalyScoreDict = AnomalyScored
