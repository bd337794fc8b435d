"""Adds to a case how far out of distribution it is for the bundle, or whether the bundle was made from it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.utils import TransformBackends

from monai_sagan.familiarity.facts import ImageFacts
from monai_sagan.familiarity.store import read_familiarity
from monai_sagan.transforms import NetworkSamples
from monai_sagan.transforms.picture_batches import PictureScoring, is_picture

__all__ = ["OODScored"]

_DARKER_THAN_ALL = -2.0
_MOST = 0.5  # of a volume's slices


class OODScored(PictureScoring[tuple[float, bool]]):
    """Adds ``ood_score``, ``mismatches`` and ``is_trained_on``.

    ``ood_score`` is how unlike the training images an image looks, larger for what is more unusual
    (:class:`~monai_sagan.familiarity.Likeness`); of a volume, the mean of up to 16 slices, evenly over the anatomy. It
    is None where the bundle does not know (no models/familiarity.pt), for a network in 3D, and for a volume that shows
    nothing but background. ``mismatches`` are sentences on what speaks against the image without any statistics:
    colour, another modality in DICOM, far fewer pixels. ``is_trained_on`` says whether an image looks the same as one
    that the bundle was trained on, also out of another file than there: of a volume, more than half of those slices. Of
    more than 4096 pictures or slices it knows so many.

    Args:
        keys: key of the image, one, (1, *spatial) in [-1, 1].
        bundle_root: the bundle's folder.
        image_size: the network's size, rows first.
        slice_direction: along which volumes are cut into slices.
        background: in volumes, the largest value that counts as background; None for none.
        device: where to compute.

    Raises:
        UserError: if the bundle's file is damaged.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection,
        bundle_root: str | Path,
        image_size: Sequence[int],
        slice_direction: str | int = "acquisition",
        background: float | None = -0.9,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(keys)
        self.device = torch.device(device)
        self.familiarity = read_familiarity(bundle_root)
        self.likeness = None
        if self.familiarity is not None and self.familiarity.likeness is not None:
            self.likeness = self.familiarity.likeness.to(self.device)
        self.slice_direction = slice_direction
        darker = _DARKER_THAN_ALL if background is None else background
        self.samples = NetworkSamples(image_size, slice_direction, background=darker)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        d["ood_score"], d["mismatches"], d["is_trained_on"] = None, [], False
        if self.familiarity is None:
            return d
        for key in self.key_iterator(d):
            facts = ImageFacts.of(d[key], self.slice_direction)
            d["mismatches"] = self.familiarity.facts.mismatches(facts, self.samples.image_size)
            found = self.take_score(d) if is_picture(d[key]) else self._of_volume(d[key])
            if found is not None:
                d["ood_score"], d["is_trained_on"] = found
        return d

    def score_pictures(self, pictures: Sequence[torch.Tensor]) -> list[tuple[float, bool]] | None:
        """Of pictures (1, columns, rows) in [-1, 1] the ood_score, and whether they are trained on; None where the
        bundle does not know."""
        if self.likeness is None:
            return None
        samples = torch.cat([self.samples(picture.to(self.device)) for picture in pictures])
        with torch.inference_mode():
            ood_scores, are_known = self.likeness.compare(samples)
        return list(zip(ood_scores.tolist(), are_known.tolist()))

    def _of_volume(self, volume: torch.Tensor) -> tuple[float, bool] | None:
        if self.likeness is None:
            return None
        try:
            samples = self.samples(volume)
        except ValueError:  # it shows nothing but background
            return None
        with torch.inference_mode():
            ood_scores, are_known = self.likeness.compare(samples.to(self.device))
        return float(ood_scores.mean()), bool(are_known.float().mean() > _MOST)
