"""From an image at its own size to its restoration and anomaly map at that size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type, convert_to_tensor

from monai_sagan.transforms import resize

__all__ = ["RestorationInferer"]


class RestorationInferer(Inferer):
    """Restores images of any size by a network that works at one size.

    Images are brought to the network's grid, restored there in batches, and compared there: the map is half the
    absolute difference, as published. Map and difference are then brought back to the image's own grid; the restored
    image is the image with the difference put on, so that what the network left alone keeps its detail.

    A volume is worked through slice by slice by a network in 2D, and as a whole by one in 3D.

    Args:
        image_size: the network's size, rows first; its length says whether the network works in 2D or 3D.
        slice_axis: spatial axis along which a volume is a stack of slices.
        batch_size: images, or slices, that pass the network at once.
        amp: whether CUDA devices compute in bfloat16; others always compute in 32 bits, where it is faster.
        device: where to compute; by default where the network is.
    """

    def __init__(
        self,
        image_size: Sequence[int],
        slice_axis: int = -1,
        batch_size: int = 16,
        amp: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.image_size = [int(side) for side in image_size]
        self.slice_axis = slice_axis
        self.batch_size = batch_size
        self.amp = amp
        self.device = device

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Restores a batch.

        Args:
            inputs: (B, C, *spatial) in [-1, 1], x first, with one axis more than the network's or as many.
            network: maps (N, C, *image_size), rows first, to restorations of the same shape.
            *args: passed to the network.
            **kwargs: passed to the network.

        Returns:
            ``pred``, the restored images, in [-1, 1], and ``anomaly_map``, in [0, 1]: both (B, C, *spatial), 32-bit,
            where ``inputs`` is and with its metadata.

        Raises:
            ValueError: if the number of axes does not suit the network, or an image is smaller than 16 pixels along
                an axis that the network sees.
        """
        images = convert_to_tensor(inputs, track_meta=False, dtype=torch.float32)
        planes, restack = self._planes(images)
        smallest = min(planes.shape[2:])
        if smallest < _SMALLEST_SIDE:
            raise ValueError(
                f"the image has only {smallest} pixels along one side; at least {_SMALLEST_SIDE} are needed."
            )
        with torch.inference_mode():
            pairs = [
                self._restore(chunk, network, *args, **kwargs) for chunk in planes.split(max(1, int(self.batch_size)))
            ]
        restored, anomaly_map = (restack(torch.cat(parts)) for parts in zip(*pairs))
        return {
            "pred": convert_to_dst_type(restored, inputs, dtype=torch.float32)[0],
            "anomaly_map": convert_to_dst_type(anomaly_map, inputs, dtype=torch.float32)[0],
        }

    def _planes(self, images: torch.Tensor) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
        """Images as the network sees them, axes reversed, and how to undo it."""
        dims, spatial = len(self.image_size), images.dim() - 2
        reverse = [0, 1, *range(dims + 1, 1, -1)]
        if spatial == dims:
            return images.permute(reverse), lambda planes: planes.permute(reverse)
        if spatial != dims + 1 or dims != 2:
            raise ValueError(f"an image with {spatial} axes does not suit a network that works in {dims}D.")
        axis = 2 + self.slice_axis % spatial
        stack = images.movedim(axis, 1)
        count = stack.shape[:2]

        def restack(planes: torch.Tensor) -> torch.Tensor:
            return planes.permute(reverse).unflatten(0, count).movedim(1, axis)

        return stack.flatten(0, 1).permute(reverse), restack

    def _restore(
        self, planes: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        home = planes.device
        device = torch.device(self.device) if self.device is not None else _device_of(network, home)
        planes = planes.to(device)
        small = resize(planes, self.image_size)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.amp and device.type == "cuda"):
            restored = network(small, *args, **kwargs)
        change = restored.float() - small
        anomaly_map = change.abs() / 2
        size = list(planes.shape[2:])
        if size != self.image_size:
            change, anomaly_map = resize(change, size), resize(anomaly_map, size)
        return (planes + change).clamp(-1, 1).to(home), anomaly_map.to(home)


# Below the patches' own grid there is no detail left to judge.
_SMALLEST_SIDE = 16


def _device_of(network: Any, default: torch.device) -> torch.device:
    parameters = network.parameters() if isinstance(network, torch.nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), default)
