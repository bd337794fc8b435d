"""Networks of MONAI that redraw an image from what they know of healthy ones: the reference methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional

import torch
from monai.networks.nets import AutoEncoder, BasicUNet, VarAutoEncoder
from torch import nn

from monai_sagan.errors import SettingError

__all__ = ["METHODS", "ReconstructionNetwork", "VariationalNetwork", "make_reconstruction_network"]

METHODS = ("autoencoder", "variational", "denoising")

# Four down-samplings by two.
_DOWN_SAMPLING = 16
_WIDTHS = (1, 2, 4, 8)
_MOST_GROUPS = 8


def make_reconstruction_network(
    method: str, image_size: Sequence[int], in_channels: int = 1, base_channels: int = 16, latent_size: int = 128
) -> nn.Module:
    """Makes the network of a reference method.

    - ``autoencoder``: a convolutional one whose bottleneck keeps its places ("spatial" in the comparative study of
      Baur et al., Medical Image Analysis 69, 2021).
    - ``variational``: the same layers around a dense bottleneck with a mean and a variance (Kingma and Welling, ICLR
      2014).
    - ``denoising``: a U-Net, which nothing keeps from copying but the noise that it has to remove (Kascenas et al.,
      "Denoising autoencoders for unsupervised anomaly detection in brain MRI", MIDL 2022).

    Args:
        method: one of the three.
        image_size: spatial size; multiples of 16.
        in_channels: channels of an image.
        base_channels: channels at the images' own resolution or, in the autoencoders, half of it.
        latent_size: numbers in the bottleneck of the autoencoders, about.

    Returns:
        A network from (B, in_channels, *image_size) in [-1, 1] to restored images of the same shape, in (-1, 1).

    Raises:
        SettingError: if there is no such method, or a size is out of its range.
    """
    if method not in METHODS:
        raise SettingError(f"method must be one of {', '.join(METHODS)}, not {method}.")
    if min(image_size) < _DOWN_SAMPLING or any(side % _DOWN_SAMPLING for side in image_size):
        sides = "x".join(map(str, image_size))
        raise SettingError(f"image_size must be multiples of {_DOWN_SAMPLING}, not {sides}.")
    if base_channels < 1 or latent_size < 1:
        raise SettingError(f"base_channels and latent_size must be at least 1, not {base_channels} and {latent_size}.")
    dims, widths = len(image_size), [base_channels * width for width in _WIDTHS]
    if method == "denoising":
        # Group norm, as in the authors' code.
        norm = ("group", {"num_groups": math.gcd(base_channels, _MOST_GROUPS)})
        features = (base_channels, *widths, base_channels)
        return ReconstructionNetwork(BasicUNet(dims, in_channels, in_channels, features, norm=norm))
    if method == "variational":
        shape = (in_channels, *image_size)
        return VariationalNetwork(
            VarAutoEncoder(
                dims, shape, in_channels, latent_size, widths, (2, 2, 2, 2), norm="batch", use_mean_at_inference=True
            )
        )
    places = math.prod(side // _DOWN_SAMPLING for side in image_size)
    channels = [*widths, max(1, latent_size // places)]
    layers = AutoEncoder(dims, in_channels, in_channels, channels, (2, 2, 2, 2, 1), norm="batch")
    # One after the other, as its own forward has them, which TorchScript does not take.
    return ReconstructionNetwork(nn.Sequential(layers.encode, layers.intermediate, layers.decode))


class ReconstructionNetwork(nn.Module):
    """A network whose output becomes an image by the hyperbolic tangent.

    Args:
        network: from (B, C, *spatial) to the same shape, unbounded.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor, background: Optional[float] = None) -> torch.Tensor:  # noqa: UP045
        """Restores images.

        Args:
            image: (B, C, *spatial), in [-1, 1].
            background: for callers that give it to every network; a patch alone is nothing to this one.

        Returns:
            The restored images, of the same shape, in (-1, 1).
        """
        return torch.tanh(self.network(image))


class VariationalNetwork(nn.Module):
    """A variational autoencoder, which gives an image in evaluation mode, and in training what its objective asks for.

    Args:
        network: MONAI's variational autoencoder, whose code is the mean in evaluation mode.
    """

    def __init__(self, network: VarAutoEncoder) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, image: torch.Tensor, background: float | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Restores images.

        Args:
            image: (B, C, *spatial), in [-1, 1].
            background: as in :class:`ReconstructionNetwork`.

        Returns:
            The restored images, of the same shape, in (-1, 1); in training mode with the mean and the logarithm of the
            variance of their codes, (B, latent_size) each.
        """
        mean, log_variance = self.network.encode_forward(image)
        code = self.network.reparameterize(mean, log_variance)
        restored = torch.tanh(self.network.decode_forward(code, use_sigmoid=False))
        if self.training:  # no conditional expression: its sides have different types, which TorchScript refuses
            return restored, mean, log_variance
        return restored
