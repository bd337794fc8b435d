"""The network that tells healthy images from the unlabelled mixture."""

from __future__ import annotations

import pytest
import torch

from monai_sagan.networks import ContrastNetwork


def some_images(count: int = 3, dims: int = 2, channels: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, *[32] * dims, generator=generator) * 2 - 1


@pytest.fixture
def network() -> ContrastNetwork:
    torch.manual_seed(0)
    return ContrastNetwork(base_channels=4).eval()


@pytest.mark.parametrize("dims", [2, 3])
def test_one_logit_an_image(dims: int) -> None:
    network = ContrastNetwork(spatial_dims=dims, in_channels=2, base_channels=2).eval()
    images = some_images(dims=dims, channels=2)
    assert network(images).shape == (3, 1)
    assert network.local_logits(images).shape == (3, 1, *[8] * dims)


def test_an_image_is_what_its_places_are_on_average(network: ContrastNetwork) -> None:
    images = some_images()
    torch.testing.assert_close(network(images)[:, 0], network.local_logits(images).mean(dim=(1, 2, 3)))


def test_images_are_judged_one_by_one(network: ContrastNetwork) -> None:
    images = some_images()
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]))


def test_exposure_does_not_decide(network: ContrastNetwork) -> None:
    images = some_images()
    # The spread of these images is 0.6, to which 0.04 is added, whatever the contrast.
    torch.testing.assert_close(network(images * 0.8 + 0.1), network(images), rtol=0.1, atol=0.02)
    torch.testing.assert_close(network(images - 0.3), network(images), rtol=1e-3, atol=1e-4)


def test_an_image_without_contrast_is_judged_too(network: ContrastNetwork) -> None:
    assert network(torch.zeros(1, 1, 32, 32)).isfinite().all()


def test_dropout_is_of_training_alone() -> None:
    torch.manual_seed(0)
    network = ContrastNetwork(base_channels=4, dropout=0.5)
    images = some_images()
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))
