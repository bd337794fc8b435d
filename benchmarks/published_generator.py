"""The generator of SAGAN in plain torch, module by module as its authors published it, to compare with.

Names, shapes and what is computed are those of the published weights (arXiv 2405.12872); torch is all it needs.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["PublishedGenerator"]

_GRID = 2  # patches along each side


class PublishedGenerator(nn.Module):
    """Restores images (B, 1, 64, 64) in [-1, 1]; in training mode a random 5% of the change is not made.

    Args:
        width: channels after the first convolution.
        depth: residual blocks in the bottleneck.
    """

    def __init__(self, width: int = 64, depth: int = 6) -> None:
        super().__init__()
        bits = (_GRID**2).bit_length()
        codes = [[number >> bit & 1 for bit in range(bits - 1, -1, -1)] for number in range(_GRID**2)]
        self.register_buffer("codes", torch.tensor(codes).float()[:, :, None, None], persistent=False)
        self.layer1 = _layer(nn.Conv2d(1, width, 7, 1, 3, bias=False))
        self.enc_layer1 = _layer(nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False))
        self.p_bn1 = _mixed(2 * width, bits)
        self.enc_layer2 = _layer(nn.Conv2d(2 * width, 4 * width, 4, 2, 1, bias=False))
        self.p_bn2 = _mixed(4 * width, bits)
        self.enc_layer3 = _layer(nn.Conv2d(4 * width, 8 * width, 4, 2, 1, bias=False))
        self.bn2 = nn.Sequential(*_mixed(8 * width, bits), *(_Residual(8 * width) for _ in range(depth)))
        self.gate1, self.dec_bn1, self.dec_layer1 = _Gate(8 * width), _Fuse(16 * width), _layer(_up(8 * width))
        self.up_conv1 = nn.Sequential(*_layer(_up(4 * width)), *_layer(_up(2 * width)))
        self.gate2, self.dec_bn2, self.dec_layer2 = _Gate(4 * width), _Fuse(8 * width), _layer(_up(4 * width))
        self.up_conv2 = _layer(_up(2 * width))
        self.gate3, self.dec_bn3, self.dec_layer3 = _Gate(2 * width), _Fuse(4 * width), _layer(_up(2 * width))
        self.bn3 = _Fuse(3 * width, width)
        self.conv = nn.Conv2d(width, 1, 7, 1, 3, bias=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        count, side = len(image), image.shape[-1] // _GRID
        patches = image.unfold(2, side, side).unfold(3, side, side).reshape(-1, 1, side, side)
        codes = self.codes.repeat(count, 1, 1, 1)
        skip1 = self.p_bn1(_with(self.enc_layer1(self.layer1(patches)), codes))
        skip2 = self.p_bn2(_with(self.enc_layer2(skip1), codes))
        bottom = self.bn2(_with(self.enc_layer3(skip2), codes))
        level1 = self.dec_layer1(self.dec_bn1(torch.cat([bottom, self.gate1(bottom, bottom)], 1)))
        level2 = self.dec_layer2(self.dec_bn2(torch.cat([level1, self.gate2(level1, skip2)], 1)))
        level3 = self.dec_layer3(self.dec_bn3(torch.cat([level2, self.gate3(level2, skip1)], 1)))
        change = self.conv(self.bn3(torch.cat([self.up_conv1(level1), self.up_conv2(level2), level3], 1)))
        if self.training:
            kept = (torch.rand_like(change) >= 0.05).float()
            change = kept * change + (1 - kept) * patches
        restored = torch.tanh(change + patches).reshape(count, _GRID, _GRID, 1, side, side)
        return restored.permute(0, 3, 1, 4, 2, 5).reshape(image.shape)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *_layer(nn.Conv2d(channels, channels, 3, 1, 1, bias=False)),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            _norm(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.main(x)


class _Fuse(nn.Module):
    def __init__(self, channels: int, out: int | None = None) -> None:
        super().__init__()
        out = out or channels // 2
        self.main = _layer(nn.Conv2d(channels, out, 3, 1, 1, bias=False))
        self.sc = nn.Sequential(nn.Conv2d(out, out, 3, 1, 1, bias=False), _norm(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.main(x)
        return x + self.sc(x)


class _Gate(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.W_gate = nn.Sequential(nn.Conv2d(channels, channels // 2, 1), nn.InstanceNorm2d(channels // 2))
        self.W_x = nn.Sequential(nn.Conv2d(channels, channels // 2, 1), nn.InstanceNorm2d(channels // 2))
        self.psi = nn.Sequential(nn.Conv2d(channels // 2, 1, 1), nn.InstanceNorm2d(1), nn.Sigmoid())

    def forward(self, gate: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return skip * self.psi(torch.relu(self.W_gate(gate) + self.W_x(skip)))


def _layer(convolution: nn.Module) -> nn.Sequential:
    return nn.Sequential(convolution, _norm(convolution.out_channels), nn.ReLU(inplace=True))  # type: ignore[arg-type]


def _norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=True)


def _up(channels: int) -> nn.Module:
    return nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False)


def _mixed(channels: int, bits: int) -> nn.Sequential:
    """Mixes the patches' codes in."""
    return nn.Sequential(nn.Conv2d(channels + bits, channels, 1), nn.InstanceNorm2d(channels), nn.ReLU(inplace=True))


def _with(features: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    return torch.cat([features, codes.expand(-1, -1, *features.shape[2:])], 1)
