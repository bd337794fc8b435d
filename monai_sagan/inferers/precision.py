"""Which numbers to compute with."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["gains_by_bfloat16"]

# Of a network with fewer parameters, the processor's share in the time for an image is too small to gain anything.
_LARGE = 10_000_000


def gains_by_bfloat16(network: Any, device: torch.device) -> bool:
    """Whether a network should compute in bfloat16 there, as far as autocast allows it.

    Args:
        network: what is run.
        device: where.

    Returns:
        True on CUDA devices; on processors that have instructions for it (AVX-512 BF16 or AMX), for large networks,
        which then take less than half the time.
    """
    if device.type != "cpu":
        return device.type == "cuda"
    if not isinstance(network, torch.nn.Module):
        return False
    return _processor_has_bfloat16() and sum(parameter.numel() for parameter in network.parameters()) >= _LARGE


def _processor_has_bfloat16() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
