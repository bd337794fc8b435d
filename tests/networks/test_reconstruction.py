"""The networks of the reference methods."""

from __future__ import annotations

import pytest
import torch

from monai_sagan.errors import SettingError
from monai_sagan.networks import make_reconstruction_network
from monai_sagan.networks.reconstruction import METHODS

SIZE = {"base_channels": 2, "latent_size": 8}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("image_size", [(32, 48), (16, 32, 16)])
def test_from_images_to_images(method: str, image_size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = make_reconstruction_network(method, image_size, **SIZE).eval()
    images = torch.rand(3, 1, *image_size) * 2 - 1
    with torch.no_grad():
        restored = network(images, background=-0.9)
        assert restored.shape == images.shape
        assert float(restored.abs().max()) < 1.0
        # What is made of an image is its own affair, and nothing is random.
        assert torch.allclose(network(images[1:2]), restored[1:2], atol=1e-5)


def test_in_training_the_variational_one_tells_of_its_code() -> None:
    torch.manual_seed(0)
    network = make_reconstruction_network("variational", (32, 32), **SIZE)
    image = torch.rand(2, 1, 32, 32)
    (restored, mean, log_variance), (again, *_) = network(image), network(image)
    assert restored.shape == image.shape
    assert mean.shape == log_variance.shape == (2, 8)
    assert not torch.equal(restored, again)  # the code is drawn


@pytest.mark.parametrize(("side", "numbers"), [(32, 4 * 2), (64, 16 * 1)])
def test_the_bottleneck_of_the_autoencoder(side: int, numbers: int) -> None:
    """As many numbers as asked for, and one a place at least."""
    network = make_reconstruction_network("autoencoder", (side, side), **SIZE)
    assert network.network[0](torch.rand(2, 1, side, side))[0].numel() == numbers


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "gan"}, "method must be one of autoencoder, variational, denoising, not gan"),
        ({"image_size": (40, 32)}, "image_size must be multiples of 16, not 40x32"),
        ({"image_size": (0, 32)}, "image_size must be multiples of 16, not 0x32"),
        ({"base_channels": 0}, "base_channels and latent_size must be at least 1, not 0 and 8"),
    ],
)
def test_settings(change: dict, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make_reconstruction_network(**{"method": "denoising", "image_size": (32, 32), **SIZE, **change})
