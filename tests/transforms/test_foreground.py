"""Which slices show the patient."""

from __future__ import annotations

import torch

from monai_sagan.transforms import has_foreground


def test_a_hundredth_of_the_pixels_is_enough() -> None:
    images = torch.full((3, 1, 20, 20), -1.0)
    images[1, 0, 0, :3] = 0.0
    images[2, 0, 0, :4] = -0.89
    assert has_foreground(images, -0.9).tolist() == [False, False, True]


def test_the_background_itself_does_not_count() -> None:
    assert has_foreground(torch.full((1, 1, 8, 8), -0.9), -0.9).tolist() == [False]


def test_many_images() -> None:
    """More than are compared at once."""
    images = torch.full((130, 1, 4, 4), -1.0)
    images[[0, 64, 129]] = 0.5
    assert has_foreground(images, -0.9).nonzero()[:, 0].tolist() == [0, 64, 129]
