"""From an image at its own size to the probabilities of its classes, and the map of weights at that size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type, convert_to_tensor

from monai_sagan.inferers.batches import device_of, dtype_of, with_affine
from monai_sagan.inferers.precision import gains_by_bfloat16
from monai_sagan.transforms import WholeImage

__all__ = ["ClassificationInferer"]


class ClassificationInferer(Inferer):
    """Classifies whole images of any size by a network that works at one size.

    Images are resized as in training, see :class:`~monai_sagan.transforms.WholeImage`. The map of weights, where the
    network has one, is the same for all images; it is brought to the grid of each.

    Args:
        image_size: the network's size, rows first; its length says whether the network works in 2D or 3D.
        amp: whether to compute in bfloat16 on CUDA devices where that is faster, see
            :func:`~monai_sagan.inferers.precision.gains_by_bfloat16`; elsewhere it is always 32 bits.
        device: where to compute; by default where the network is.

    Attributes:
        on_progress: as of :class:`~monai_sagan.inferers.RestorationInferer`; an image is one step here, so it is never
            called.
    """

    def __init__(self, image_size: Sequence[int], amp: bool = True, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.whole_image = WholeImage(image_size)
        self.amp = amp
        self.device = device
        self.on_progress: Callable[[float], None] | None = None

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Classifies a batch.

        Args:
            inputs: (B, C, *spatial) in [-1, 1], x first. A MetaTensor's affine says how volumes are turned.
            network: maps (B, C, *image_size) to logits (B, classes); its ``weight_map``, if it has one, is (1, 1,
                *image_size).
            *args: passed to the network.
            **kwargs: passed to the network.

        Returns:
            ``probabilities``, (B, classes), and, where the network has a map, ``anomaly_map``, (B, 1, *spatial) in [0,
            1] with the metadata of ``inputs``: the weight of each pixel, under the key under which maps are written.

        Raises:
            ValueError: if an image has more or fewer axes, or more slices, than suit the network.
        """
        plain = convert_to_tensor(inputs, track_meta=False, dtype=torch.float32)
        images = [with_affine(image, inputs, item) for item, image in enumerate(plain)]
        device = device_of(network, plain.device) if self.device is None else torch.device(self.device)
        with torch.inference_mode():
            batch = torch.stack([self.whole_image(image) for image in images]).to(device, dtype_of(network))
            amp = self.amp and device.type == "cuda" and gains_by_bfloat16(network, device)
            with torch.autocast(device.type, torch.bfloat16, enabled=amp):
                logits = network(batch, *args, **kwargs)
            outputs = {"probabilities": logits.float().softmax(1).to(plain.device)}
            weight_map = getattr(network, "weight_map", None)
            if weight_map is not None:
                weights = weight_map[0].float().to(plain.device)
                maps = torch.stack([self.whole_image.inverse(weights, image) for image in images])
                outputs["anomaly_map"] = convert_to_dst_type(maps, inputs, dtype=torch.float32)[0]
        return outputs
