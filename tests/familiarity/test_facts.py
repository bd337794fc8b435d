"""What is known of an image without any statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged
from PIL import Image

from monai_sagan.data import CaseReader
from monai_sagan.familiarity import FactsRecorderd, ImageFacts, KnownFacts
from monai_sagan.transforms import Greyscaled, ScaleToNetworkRanged


@pytest.fixture
def facts_of() -> Callable[[Any], ImageFacts]:
    """The facts of a file, as a bundle prepares it."""
    recorder = FactsRecorderd("image")
    prepare = Compose(
        [
            LoadImaged("image", reader=CaseReader(), dtype=None),
            EnsureChannelFirstd("image"),
            Greyscaled("image"),
            ScaleToNetworkRanged("image"),
            recorder,
        ]
    )

    def facts(path: Any) -> ImageFacts:
        prepare({"image": str(path)})
        return recorder.seen[-1]

    return facts


class TestFiles:
    @pytest.mark.parametrize(
        ("mode", "is_colour"), [("L", False), ("RGB", True), ("RGBA", True), ("I;16", False), ("P", True)]
    )
    def test_pictures(self, mode: str, is_colour: bool, facts_of: Callable, a_picture: Callable) -> None:
        assert facts_of(a_picture(mode=mode)) == ImageFacts(is_colour, None, 30)

    @pytest.mark.parametrize("ending", ["png", "jpg"])
    def test_grey_saved_as_colour_is_grey(self, ending: str, facts_of: Callable, a_picture: Callable) -> None:
        path = a_picture()
        with Image.open(path) as grey:
            grey.convert("RGB").save(path.with_name(f"grey.{ending}"))
        assert not facts_of(path.with_name(f"grey.{ending}")).is_colour

    def test_a_coloured_mark_is_no_colour_picture(self, facts_of: Callable, a_picture: Callable) -> None:
        path = a_picture()
        with Image.open(path) as grey:
            pixels = np.array(grey.convert("RGB"))
        pixels[:8, :8] = (255, 0, 0)
        Image.fromarray(pixels).save(path)
        assert not facts_of(path).is_colour

    @pytest.mark.parametrize(("modality", "known"), [("CT", "CT"), ("DX", "CR"), ("CR", "CR"), ("OT", None)])
    def test_dicom(self, modality: str, known: str | None, facts_of: Callable, a_dicom: Callable) -> None:
        assert facts_of(a_dicom(Modality=modality)) == ImageFacts(False, known, 20)

    def test_dicom_without_a_modality(self, facts_of: Callable, a_dicom: Callable) -> None:
        assert facts_of(a_dicom(Modality=None)).modality is None

    def test_dicom_series(self, facts_of: Callable, a_series: Callable) -> None:
        assert facts_of(a_series()) == ImageFacts(False, "CT", 5)

    def test_volumes(self, facts_of: Callable, a_volume: Callable) -> None:
        assert facts_of(a_volume(size=(20, 24, 6))) == ImageFacts(False, None, 20)


def test_a_tensor_says_nothing_but_its_size() -> None:
    assert ImageFacts.of(torch.zeros(1, 40, 30)) == ImageFacts(False, None, 30)
    assert ImageFacts.of(MetaTensor(torch.zeros(1, 40, 30))) == ImageFacts(False, None, 30)


class TestMismatches:
    def _of(self, image: ImageFacts, *known: ImageFacts, image_size: tuple[int, ...] = (64, 64)) -> list[str]:
        return KnownFacts.of(known).mismatches(image, image_size)

    def test_none_among_its_like(self) -> None:
        mr = ImageFacts(False, "MR", 256)
        assert self._of(mr, mr, mr) == []

    def test_colour(self) -> None:
        grey, colour = ImageFacts(False, None, 256), ImageFacts(True, None, 256)
        assert self._of(colour, grey, grey) == ["This is a colour picture; the bundle was made for grey ones."]
        assert self._of(colour, grey, colour) == []
        assert self._of(grey, colour) == []

    def test_modality(self) -> None:
        mr, ct, cr = (ImageFacts(False, modality, 256) for modality in ("MR", "CT", "CR"))
        assert self._of(ct, mr, mr) == ["This is CT; the bundle was made for MR."]
        assert self._of(cr, mr, ct) == ["This is a radiograph; the bundle was made for CT or MR."]
        assert self._of(mr, mr, ct) == []

    def test_a_modality_that_is_not_known_is_no_mismatch(self) -> None:
        mr, unknown = ImageFacts(False, "MR", 256), ImageFacts(False, None, 256)
        assert self._of(unknown, mr) == []
        assert self._of(ImageFacts(False, "CT", 256), mr, unknown) == []

    def test_far_fewer_pixels(self) -> None:
        large, small = ImageFacts(False, None, 256), ImageFacts(False, None, 40)
        assert self._of(small, large) == [
            "This has only 40 pixels along one side; the bundle was made for images of at least 256."
        ]
        assert self._of(small, large, image_size=(32, 32)) == []  # the network sees no more
        assert self._of(small, large, image_size=(64, 64, 64)) == []
        assert self._of(ImageFacts(False, None, 130), large, image_size=(256, 256)) == []
