"""Which numbers to compute with."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["gains_by_bfloat16"]

# With fewer parameters, arithmetic has too small a share in the time for an image to gain anything.
_LARGE = 10_000_000


def gains_by_bfloat16(network: Any, device: torch.device) -> bool:
    """Whether a network should compute in bfloat16 there, as far as autocast allows it.

    Args:
        network: what is run.
        device: where.

    Returns:
        True for large networks, on CUDA devices and processors that have instructions for it: from Ampere on; AVX-512
        BF16 or AMX.
    """
    if not isinstance(network, torch.nn.Module):
        return False
    is_large = sum(parameter.numel() for parameter in network.parameters()) >= _LARGE
    return is_large and _has_bfloat16(device)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and _processor_has_bfloat16()


def _processor_has_bfloat16() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
