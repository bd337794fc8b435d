"""What a classifier's probabilities say of a case."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

__all__ = ["ClassProbabilitiesd"]


class ClassProbabilitiesd(MapTransform):
    """Adds ``classes``, a list of ``{"name", "probability"}``, the most probable one first.

    A classifier gives no anomaly score: ``anomaly_score`` and ``slice_axis`` become None, ``slice_scores`` empty.

    Args:
        keys: key of the probabilities, (classes,), one.
        classes: their names, in the same order.
        allow_missing_keys: whether an absent key is passed over.
    """

    def __init__(self, keys: KeysCollection, classes: Sequence[str], allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.classes = tuple(classes)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            named = zip(self.classes, d[key].tolist(), strict=True)
            d["classes"] = [
                {"name": name, "probability": probability}
                for name, probability in sorted(named, key=lambda one: -one[1])
            ]
        return d | {"anomaly_score": None, "slice_axis": None, "slice_scores": []}
