"""Tensors on their way to a device and back, while the device and the processor work on others."""

from __future__ import annotations

from collections.abc import Mapping

import torch

__all__ = ["Download", "upload"]


def upload(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Brings a tensor to a device; to a CUDA device without waiting for what that does at the time.

    Args:
        tensor: anywhere.
        device: where to.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class Download:
    """Tensors that are brought from a device, behind what it has to do until then.

    Args:
        tensors: by name.
        device: where to.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor], device: torch.device) -> None:
        self.tensors = {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}
        source = next(iter(tensors.values())).device
        self.arrival = torch.cuda.current_stream(source).record_event() if source.type == "cuda" else None

    def wait(self) -> dict[str, torch.Tensor]:
        """The tensors, when they are there."""
        if self.arrival is not None:
            self.arrival.synchronize()
        return self.tensors
