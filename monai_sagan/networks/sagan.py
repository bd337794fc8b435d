"""The generator and the critic of SAGAN (Zhang et al., MICCAI 2024, arXiv 2405.12872)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Optional

import torch
from monai.networks.blocks import Convolution
from monai.utils import ensure_tuple_rep
from torch import nn

import monai_sagan.networks.leaky_relu  # noqa: F401  (makes the activation known to MONAI)
from monai_sagan.errors import SettingError
from monai_sagan.networks.blocks import AttentionGate, FusingBlock, ResidualBlock, conv_norm_act
from monai_sagan.networks.patch_grid import join_patches, patch_codes, split_patches
from monai_sagan.networks.published import load_published_critic, load_published_generator

__all__ = ["SAGANCritic", "SAGANGenerator", "check_image_size"]

# Three down-samplings by two, so that a patch is a whole number of bottleneck pixels.
_DOWN_SAMPLING = 8


def check_image_size(sides: Sequence[int], patch_grid: Sequence[int] | int) -> None:
    """Makes sure that a generator can restore images of a size.

    Args:
        sides: of the images, rows first.
        patch_grid: patches along each side, or along all.

    Raises:
        SettingError: if not; the message says which sizes it can.
    """
    grid = ensure_tuple_rep(patch_grid, len(sides)) if isinstance(patch_grid, int) else tuple(patch_grid)
    steps = [_DOWN_SAMPLING * n for n in grid]
    if any(side % step or side < step for side, step in zip(sides, steps)):
        raise SettingError(
            f"Images of size {_times(sides)} do not fit a grid of {_times(grid)} patches: sides must "
            f"be multiples of {', '.join(map(str, steps))}."
        )
    if all(side == step for side, step in zip(sides, steps)):
        raise SettingError(
            f"Images of size {_times(sides)} leave one pixel of each patch in the bottleneck, which instance "
            "normalisation turns to zero: at least one side must be twice as large."
        )


class _PatchCoding(nn.Module):
    """Joins each patch's code to its features and mixes them by a 1x1 convolution."""

    def __init__(self, spatial_dims: int, channels: int, grid: Sequence[int]) -> None:
        super().__init__()
        codes = patch_codes(grid)
        self.register_buffer("patch_code", codes, persistent=False)
        self.mix = conv_norm_act(spatial_dims, channels + codes.shape[1], channels, kernel_size=1, affine=False)

    def forward(self, features: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Mixes features (N, C, *patch) of patches with the codes of their places (N,); the shape stays."""
        codes: torch.Tensor = self.patch_code.to(features.dtype)[places]  # type: ignore[index]
        sides = [features.shape[2 + axis] for axis in range(codes.dim() - 2)]
        return self.mix(torch.cat([features, codes.expand([-1, -1] + sides)], dim=1))


def _check_generator(
    spatial_dims: int, base_channels: int, num_res_blocks: int, patch_grid: Sequence[int] | int, pass_through: float
) -> tuple[int, ...]:
    """Raises a SettingError if an argument is out of its range; gives the patches along each axis."""
    if spatial_dims not in (2, 3):
        raise SettingError(f"spatial_dims must be 2 or 3, not {spatial_dims}.")
    if base_channels < 2 or base_channels % 2:
        raise SettingError(f"base_channels must be an even number of at least 2, not {base_channels}.")
    if num_res_blocks < 0:
        raise SettingError(f"num_res_blocks must be at least 0, not {num_res_blocks}.")
    if not 0.0 <= pass_through < 1.0:
        raise SettingError(f"pass_through must lie in [0, 1), not {pass_through}.")
    grid = ensure_tuple_rep(patch_grid, spatial_dims) if isinstance(patch_grid, int) else tuple(patch_grid)
    if len(grid) != spatial_dims or min(grid) < 1:
        raise SettingError(f"patch_grid must be {spatial_dims} numbers of at least 1, not {patch_grid}.")
    return grid


class SAGANGenerator(nn.Module):
    """Redraws an image as its healthy self.

    The image is cut into a grid of patches that pass the network as a batch, each with the code of its place. In
    training, a random share of the output's pixels is replaced by the input's; in evaluation mode nothing is random,
    and every image is normalised by its own statistics in both modes.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        base_channels: channels after the first convolution; the bottleneck has eight times as many.
        num_res_blocks: residual blocks in the bottleneck.
        patch_grid: patches along each spatial axis, or one number for all.
        pass_through: share of the pixels, in [0, 1), that training copies from the input.

    Raises:
        SettingError: if an argument is out of its range.

    Source: arXiv 2405.12872, section 2.1 and 2.2, and the authors' code for what the paper leaves open.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        base_channels: int = 64,
        num_res_blocks: int = 6,
        patch_grid: Sequence[int] | int = (2, 2),
        pass_through: float = 0.05,
    ) -> None:
        super().__init__()
        grid = _check_generator(spatial_dims, base_channels, num_res_blocks, patch_grid, pass_through)
        self.patch_grid = [int(n) for n in grid]
        self.num_patches = math.prod(self.patch_grid)
        self.pass_through = float(pass_through)

        dims, width = spatial_dims, base_channels
        self.stem = conv_norm_act(dims, in_channels, width, kernel_size=7)
        self.down1 = conv_norm_act(dims, width, 2 * width, kernel_size=4, strides=2)
        self.code1 = _PatchCoding(dims, 2 * width, grid)
        self.down2 = conv_norm_act(dims, 2 * width, 4 * width, kernel_size=4, strides=2)
        self.code2 = _PatchCoding(dims, 4 * width, grid)
        self.down3 = conv_norm_act(dims, 4 * width, 8 * width, kernel_size=4, strides=2)
        self.code3 = _PatchCoding(dims, 8 * width, grid)
        self.bottleneck = nn.Sequential(*(ResidualBlock(dims, 8 * width) for _ in range(num_res_blocks)))

        def up(in_channels: int) -> Convolution:
            return conv_norm_act(dims, in_channels, in_channels // 2, kernel_size=4, strides=2, is_transposed=True)

        self.gate1 = AttentionGate(dims, 8 * width)
        self.fuse1 = FusingBlock(dims, 16 * width, 8 * width)
        self.up1 = up(8 * width)
        self.side1 = nn.Sequential(up(4 * width), up(2 * width))
        self.gate2 = AttentionGate(dims, 4 * width)
        self.fuse2 = FusingBlock(dims, 8 * width, 4 * width)
        self.up2 = up(4 * width)
        self.side2 = up(2 * width)
        self.gate3 = AttentionGate(dims, 2 * width)
        self.fuse3 = FusingBlock(dims, 4 * width, 2 * width)
        self.up3 = up(2 * width)
        self.fuse_sides = FusingBlock(dims, 3 * width, width)
        self.head = Convolution(dims, width, in_channels, kernel_size=7, bias=False, conv_only=True)

    def forward(self, image: torch.Tensor, background: Optional[float] = None) -> torch.Tensor:  # noqa: UP045
        """Restores images.

        Args:
            image: (B, C, *spatial), in [-1, 1].
            background: patches without a pixel above it are given back as they are, and cost nothing; None to restore
                all, as published.

        Returns:
            The restored images, of the same shape, in [-1, 1].

        Raises:
            ValueError: if the size does not fit the grid of patches; the message says which sizes do.
        """
        if not torch.jit.is_scripting():
            self._check_size(image)
        patches = split_patches(image, self.patch_grid)
        places = torch.arange(self.num_patches, device=image.device).repeat(image.shape[0])
        if background is None:
            return join_patches(self.restore_patches(patches, places), self.patch_grid)
        shown = (patches.flatten(1).amax(dim=1) > background).nonzero()[:, 0]
        restored = patches.clone()
        if shown.shape[0] > 0:
            restored[shown] = self.restore_patches(patches[shown], places[shown])
        return join_patches(restored, self.patch_grid)

    def restore_patches(self, patches: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Restores patches, all that :meth:`forward` does but for cutting and joining.

        Args:
            patches: (N, C, *patch), in [-1, 1].
            places: (N,), where in the grid each of them lies, the last axis fastest.

        Returns:
            The restored patches, of the same shape, in (-1, 1).
        """
        output = self._change(patches, places)
        if self.training and self.pass_through > 0.0:
            kept = torch.bernoulli(torch.full_like(output[:, :1], 1.0 - self.pass_through))
            output = kept * output + (1.0 - kept) * patches
        return torch.tanh(output + patches)

    def _change(self, patches: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """What is added to the patches, before tanh."""
        skip1 = self.code1(self.down1(self.stem(patches)), places)
        skip2 = self.code2(self.down2(skip1), places)
        bottom = self.bottleneck(self.code3(self.down3(skip2), places))
        level1 = self.up1(self.fuse1(torch.cat([bottom, self.gate1(bottom, bottom)], dim=1)))
        level2 = self.up2(self.fuse2(torch.cat([level1, self.gate2(level1, skip2)], dim=1)))
        level3 = self.up3(self.fuse3(torch.cat([level2, self.gate3(level2, skip1)], dim=1)))
        sides = torch.cat([self.side1(level1), self.side2(level2), level3], dim=1)
        return self.head(self.fuse_sides(sides))

    @torch.jit.unused
    def _check_size(self, image: torch.Tensor) -> None:
        if image.dim() - 2 != len(self.patch_grid):
            raise SettingError(
                f"The network takes images (B, C, {len(self.patch_grid)} spatial axes), not {tuple(image.shape)}."
            )
        check_image_size(image.shape[2:], self.patch_grid)

    def load_published_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Loads generator weights as the paper's authors published them.

        Args:
            state: the published names and tensors; running statistics may be in it and are not used.

        Raises:
            ValueError: if names or shapes differ; the message says which.
        """
        load_published_generator(self, state)


class SAGANCritic(nn.Module):
    """Scores how healthy an image looks (a Wasserstein critic without normalisation).

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        base_channels: channels of the first layer; doubled by each further one.
        num_layers: stride-2 convolutions; images need at least ``2 ** num_layers`` pixels a side.

    Raises:
        SettingError: if an argument is out of its range.

    Source: arXiv 2405.12872, section 2.3, and the authors' code.
    """

    def __init__(
        self, spatial_dims: int = 2, in_channels: int = 1, base_channels: int = 64, num_layers: int = 6
    ) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise SettingError(f"spatial_dims must be 2 or 3, not {spatial_dims}.")
        if base_channels < 1 or num_layers < 1:
            raise SettingError(f"A critic needs at least 1 channel and 1 layer, not {base_channels} and {num_layers}.")
        self.smallest_side = 2**num_layers
        channels = [in_channels] + [base_channels * 2**layer for layer in range(num_layers)]
        self.layers = nn.Sequential(
            *(
                Convolution(
                    spatial_dims,
                    channels[layer],
                    channels[layer + 1],
                    kernel_size=4,
                    strides=2,
                    padding=1,
                    norm=None,
                    act=("LEAKY_RELU_TWICE", {"negative_slope": 0.01}),
                )
                for layer in range(num_layers)
            )
        )
        self.head = Convolution(spatial_dims, channels[-1], 1, kernel_size=3, bias=False, conv_only=True)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores images.

        Args:
            image: (B, C, *spatial), in [-1, 1].

        Returns:
            (B, 1, *spatial / 2 ** num_layers), unbounded; higher is healthier.

        Raises:
            ValueError: if an image is too small for the layers.
        """
        if not torch.jit.is_scripting() and min(image.shape[2:]) < self.smallest_side:
            raise SettingError(
                f"Images of size {_times(image.shape[2:])} are too small for the critic: each side must be at least "
                f"{self.smallest_side} (2 to the number of its layers)."
            )
        return self.head(self.layers(image))

    def load_published_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Loads critic weights as the paper's authors published them.

        Args:
            state: the published names and tensors.

        Raises:
            ValueError: if names or shapes differ; the message says which.
        """
        load_published_critic(self, state)


def _times(sides: Sequence[int]) -> str:
    return "x".join(str(side) for side in sides)
