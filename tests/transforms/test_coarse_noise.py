"""Coarse noise."""

from __future__ import annotations

import pytest
import torch

from monai_sagan.errors import SettingError
from monai_sagan.transforms import RandCoarseNoise


def noise_of(size: tuple[int, ...], **settings: float) -> torch.Tensor:
    transform = RandCoarseNoise(**settings)
    transform.set_random_state(0)
    images = torch.zeros(50, 1, *size)
    return transform(images) - images


def test_its_size_and_spread() -> None:
    noise = noise_of((64, 64), std=0.4, coarseness=8)
    assert abs(float(noise.mean())) < 0.02  # 50 * 64 independent numbers of spread 0.4: 0.007
    # Between the grid's points several are averaged: the squares of their weights sum to two thirds along each axis.
    assert float(noise.std()) == pytest.approx(0.4 * 2 / 3, rel=0.05)
    assert not torch.equal(noise[0], noise[1])


def test_one_image_is_no_batch() -> None:
    with pytest.raises(ValueError, match=r"a batch is \(N, C, \*spatial\) .*, not \[1, 32, 32\]"):
        RandCoarseNoise()(torch.rand(1, 32, 32))


def test_it_is_coarse() -> None:
    noise = noise_of((64, 64), coarseness=8)
    steps = (noise[..., 1:] - noise[..., :-1]).abs()
    # A step between neighbours is an eighth of that between two points of the grid, whose mean is 1.13 spreads; where
    # the noise was rolled, two ends meet.
    assert float(steps.median()) < 0.4 * 1.13 / 8
    assert float(noise_of((64, 64), coarseness=1).std()) > float(noise.std())


def test_background_stays() -> None:
    transform = RandCoarseNoise(background=-0.9)
    images = torch.full((2, 1, 32, 32), -1.0)
    images[..., 8:16, 8:16] = 0.5
    changed = transform(images) != images
    assert bool(changed[..., 8:16, 8:16].all())
    assert int(changed.sum()) == 2 * 64


def test_volumes_and_repetition() -> None:
    transform = RandCoarseNoise(coarseness=4)
    transform.set_random_state(3)
    images = torch.zeros(2, 1, 8, 16, 12)
    first = transform(images)
    assert first.shape == images.shape
    assert torch.equal(transform(images, randomize=False), first)
    assert not torch.equal(transform(images), first)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"std": -1.0}, "noise_std must not be negative"),
        ({"coarseness": 0}, "noise_coarseness must be at least 1, not 0"),
    ],
)
def test_settings(settings: dict, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        RandCoarseNoise(**settings)
