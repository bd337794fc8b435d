"""One image of a test set, with all that is known of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["EvaluatedCase"]


# Compared by identity: arrays have no single answer to "are these equal?".
@dataclass(frozen=True, eq=False)
class EvaluatedCase:
    """One image of a test set, with what the model made of it. Arrays are (H, W), rows first, all of one shape.

    Of a volume these are one slice, and pixel measures are made of all of them.

    Args:
        name: shown to the reader, most often the file's name.
        label: 0 for healthy, 1 for anomalous.
        score: the image's anomaly score, higher for more anomalous.
        image: the image as the network saw it, in [-1, 1].
        restored: the healthy image that the network made of it, in [-1, 1].
        anomaly_map: half the absolute difference of the two, or how far each place stands out from healthy images; at
            least 0.
        mask: true where the lesion is; None where nobody outlined it. May be None for a healthy image, which has none.
        stack_map: of a volume, the maps of all slices, (N, H, W).
        stack_mask: of a volume, the masks of all slices, (N, H, W); None as for `mask`.
        p_value: of the score among those of healthy images; None where the bundle is not calibrated.
        is_anomalous: whether the score lies above the calibrated threshold; None without one.
        is_ood: whether it is something else than what the bundle was made for; None where that cannot be told.
        is_trained_on: whether it looks the same as an image that the model was trained on.
        num_findings: how many regions stand out; None where that cannot be told.
        findings: true where they are, (H, W), of a volume (N, H, W); None likewise.

    Raises:
        ValueError: if the label is neither 0 nor 1, the score or an array is not finite, arrays are not (H, W) of one
            shape, the map is negative somewhere, or a healthy image's mask marks a lesion.
    """

    name: str
    label: int
    score: float
    image: np.ndarray
    restored: np.ndarray
    anomaly_map: np.ndarray
    mask: np.ndarray | None = None
    stack_map: np.ndarray | None = None
    stack_mask: np.ndarray | None = None
    p_value: float | None = None
    is_anomalous: bool | None = None
    is_ood: bool | None = None
    is_trained_on: bool = False
    num_findings: int | None = None
    findings: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.label not in (0, 1):
            raise ValueError(f"The label of case {self.name!r} must be 0 (healthy) or 1 (anomalous), not {self.label}.")
        if not np.isfinite(self.score):
            raise ValueError(f"The score of case {self.name!r} must be a finite number, not {self.score}.")
        if self.image.ndim != 2:
            raise ValueError(f"The image of case {self.name!r} must be (H, W), not of shape {self.image.shape}.")
        for part in ("image", "restored", "anomaly_map", "mask"):
            array = getattr(self, part)
            if array is None:
                continue
            if array.shape != self.image.shape:
                raise ValueError(
                    f"{part} of case {self.name!r} has the shape {array.shape}, but the image has {self.image.shape}."
                )
            if not np.isfinite(array).all():
                raise ValueError(f"{part} of case {self.name!r} has values that are not finite.")
        if self.findings is not None and self.findings.shape != self.measured_map.shape:
            raise ValueError(
                f"findings of case {self.name!r} have the shape {self.findings.shape}, but the map has "
                f"{self.measured_map.shape}."
            )
        if (self.anomaly_map < 0).any():
            raise ValueError(f"The anomaly map of case {self.name!r} is negative somewhere.")
        if self.label == 0 and self.has_lesion:
            raise ValueError(f"Case {self.name!r} is labelled healthy, but its mask marks a lesion.")

    @property
    def has_lesion(self) -> bool:
        """Whether a lesion is outlined."""
        return self.measured_mask is not None and bool(np.any(self.measured_mask))

    @property
    def measured_map(self) -> np.ndarray:
        """The map that pixel measures are made of: the whole volume's, where it is one."""
        return self.anomaly_map if self.stack_map is None else self.stack_map

    @property
    def measured_mask(self) -> np.ndarray | None:
        """The mask that goes with `measured_map`."""
        return self.mask if self.stack_map is None else self.stack_mask
