"""What is known of an image without any statistics: colour, modality, size."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from monai_sagan.transforms import SliceLayout

__all__ = ["FactsRecorderd", "ImageFacts", "KnownFacts"]

# Radiographs are called by how they were taken.
_RADIOGRAPHS = ("CR", "DX", "RG")
# They tell how a file was made and not what it shows.
_SAY_NOTHING = ("", "OT", "SC")
_NAMES = {
    "CR": "a radiograph",
    "MG": "a mammogram",
    "NM": "nuclear medicine",
    "OP": "an ophthalmic photograph",
    "OPT": "ophthalmic tomography",
    "PT": "PET",
    "US": "ultrasound",
    "XA": "angiography",
}
# With less than this share of the fewest pixels that were trained with, detail is missing.
_FAR_FEWER = 0.5


@dataclass(frozen=True)
class ImageFacts:
    """What is known of one image.

    Args:
        is_colour: whether its channels really differed.
        modality: as DICOM calls it, all kinds of radiographs ``CR``; None where the file did not say.
        side: pixels along the shorter side of the picture, or of the slices of the volume.
    """

    is_colour: bool
    modality: str | None
    side: int

    @classmethod
    def of(cls, image: torch.Tensor, slice_direction: str | int = "acquisition") -> ImageFacts:
        """The facts of an image.

        Args:
            image: (C, *spatial), x first; what the reader and the conversion to grey found is in its metadata.
            slice_direction: along which a volume is cut into slices.
        """
        meta: Mapping[str, Any] = image.meta if isinstance(image, MetaTensor) else {}
        sides = list(image.shape[1:])
        if len(sides) > 2:
            del sides[SliceLayout.of(image, slice_direction).slices]
        return cls(bool(meta.get("is_colour", False)), _kind(meta.get("modality")), min(sides))


@dataclass(frozen=True)
class KnownFacts:
    """What is known of all images that a bundle was trained on.

    Args:
        has_colour: whether one of them had colour.
        modalities: theirs; empty if a file did not say.
        smallest_side: the smallest of their shorter sides, in pixels.
    """

    has_colour: bool
    modalities: tuple[str, ...]
    smallest_side: int

    @classmethod
    def of(cls, images: Sequence[ImageFacts]) -> KnownFacts:
        """The facts of images, one at least."""
        modalities = [facts.modality for facts in images if facts.modality]
        known = tuple(sorted(set(modalities))) if len(modalities) == len(images) else ()
        return cls(any(facts.is_colour for facts in images), known, min(facts.side for facts in images))

    def mismatches(self, image: ImageFacts, image_size: Sequence[int]) -> list[str]:
        """Why an image is none of the kind, in sentences; none if nothing speaks against it.

        Args:
            image: what is known of it.
            image_size: the network's size; an image with as many pixels has all the detail that the network sees.
                Nothing is said of sizes for a network in 3D, which takes volumes as they are.
        """
        found = []
        if image.is_colour and not self.has_colour:
            found.append("This is a colour picture; the bundle was made for grey ones.")
        if image.modality and self.modalities and image.modality not in self.modalities:
            made_for = " or ".join(map(_name, self.modalities))
            found.append(f"This is {_name(image.modality)}; the bundle was made for {made_for}.")
        lacks_detail = image.side < _FAR_FEWER * self.smallest_side and image.side < min(image_size)
        if lacks_detail and len(image_size) == 2:
            found.append(
                f"This has only {image.side} pixels along one side; the bundle was made for images of at least "
                f"{self.smallest_side}."
            )
        return found


class FactsRecorderd(MapTransform):
    """Writes down the facts of the images that pass, and leaves them as they are.

    Args:
        keys: keys of the images.
        slice_direction: along which volumes are cut into slices.

    Attributes:
        seen: the facts of each.
    """

    def __init__(self, keys: KeysCollection, slice_direction: str | int = "acquisition") -> None:
        super().__init__(keys)
        self.slice_direction = slice_direction
        self.seen: list[ImageFacts] = []
        self._lock = Lock()  # images are prepared by several threads

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            facts = ImageFacts.of(d[key], self.slice_direction)
            with self._lock:
                self.seen.append(facts)
        return d


def _kind(modality: Any) -> str | None:
    word = str(modality or "").strip().upper()
    if word in _SAY_NOTHING:
        return None
    return "CR" if word in _RADIOGRAPHS else word


def _name(modality: str) -> str:
    return _NAMES.get(modality, modality)
