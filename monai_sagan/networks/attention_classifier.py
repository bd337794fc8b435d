"""A classifier of images that share an anatomy, which knows the pixels that matter (Xu et al., arXiv 2007.15897)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from monai_sagan.errors import SettingError
from monai_sagan.networks.global_spatial_attention import GlobalSpatialAttention, frozen_map_in

__all__ = ["GlobalAttentionClassifier"]


class _WeighedLayer(nn.Module):
    """A layer whose output is multiplied by a constant map (1, 1, *spatial)."""

    def __init__(self, layer: nn.Module, weight_map: torch.Tensor) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("weight_map", weight_map)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layer(inputs) * self.weight_map


class GlobalAttentionClassifier(nn.Module):
    """Classifies images that are weighed by one map, which is learned with the classifier.

    Args:
        backbone: maps (B, C, *spatial) to logits (B, classes), see :func:`~monai_sagan.networks.make_backbone`.
        attention: makes the map; without it, this is the backbone.
        layer: name of the backbone's layer (as in ``backbone.named_modules()``) whose output is weighed, by the map
            resized to it; without it, the image is, as published.

    Raises:
        SettingError: if the backbone has no such layer, or a layer is named without attention.

    Source: arXiv 2007.15897; weighing a layer is this project's.
    """

    __constants__ = ["weighs_layer"]
    __jit_unused_properties__ = ["weight_map"]

    def __init__(
        self, backbone: nn.Module, attention: GlobalSpatialAttention | None = None, layer: str | None = None
    ) -> None:
        super().__init__()
        if layer is not None and attention is None:
            raise SettingError(f"attention_layer {layer}: there is no attention that could weigh it.")
        if layer is not None and layer not in dict(backbone.named_modules()):
            raise SettingError(
                f"attention_layer {layer}: the network has no such layer; choose one such as "
                f"{', '.join(name for name, _ in backbone.named_children())}, or of those within them."
            )
        self.backbone = backbone
        self.attention = attention
        self.layer = layer or ""
        # Once the map is frozen, the layer weighs by itself.
        self.weighs_layer = layer is not None
        if attention is not None and attention.is_frozen:
            self._fix_layer(attention, attention.weight_map)

    @property
    def weight_map(self) -> torch.Tensor | None:
        """The map, (1, 1, *spatial) in [0, 1]; None without attention."""
        return None if self.attention is None else self.attention.weight_map

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Classifies images.

        Args:
            images: (B, C, *spatial).

        Returns:
            Logits, (B, classes).

        Raises:
            ValueError: if the images are of another size than the attention's, or a batch is.
        """
        if self.weighs_layer:
            return self._weigh_layer(images)
        if self.attention is not None and not self.layer:
            images = self.attention(images)
        return self.backbone(images)

    @torch.jit.unused
    def gather(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Takes from the training images what the map is made of, see :meth:`GlobalSpatialAttention.gather`."""
        if self.attention is not None:
            self.attention.gather(batches)

    @torch.jit.unused
    def freeze(self) -> None:
        """Makes the map a constant, see :meth:`GlobalSpatialAttention.freeze`."""
        if self.attention is None or self.attention.is_frozen:
            return
        self.attention.freeze()
        self._fix_layer(self.attention, self.attention.weight_map)

    @torch.jit.unused
    def frozen_state_dict(self) -> dict[str, torch.Tensor]:
        """The weights of a frozen copy, which is what is used after training."""
        frozen = deepcopy(self)
        frozen.freeze()
        return frozen.state_dict()

    @torch.jit.unused
    def _weigh_layer(self, images: torch.Tensor) -> torch.Tensor:
        weights = self.attention.weights_of(images)  # type: ignore[union-attr]

        def weigh(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            return output * _resize(weights, output.shape[2:])

        hook = self.backbone.get_submodule(self.layer).register_forward_hook(weigh)
        try:
            return self.backbone(images)
        finally:
            hook.remove()

    def _layer_size(self, image: torch.Tensor) -> torch.Size:
        """The spatial size of the layer's output for an image."""
        sizes: list[torch.Size] = []
        hook = self.backbone.get_submodule(self.layer).register_forward_hook(
            lambda module, inputs, output: sizes.append(output.shape[2:])
        )
        was_training = self.backbone.training
        self.backbone.eval()  # one image has no statistics of a batch
        try:
            with torch.no_grad():
                self.backbone(image)
        finally:
            hook.remove()
            self.backbone.train(was_training)
        return sizes[-1]

    def _fix_layer(self, attention: GlobalSpatialAttention, weight_map: torch.Tensor) -> None:
        """Lets the layer, if one is weighed, do it by itself, by a map that is a constant."""
        if not self.weighs_layer:
            return
        size = self._layer_size(weight_map.new_zeros(1, *attention.image_shape))
        parent, _, name = self.layer.rpartition(".")
        holder = self.backbone.get_submodule(parent)
        setattr(holder, name, _WeighedLayer(getattr(holder, name), _resize(weight_map, size)))
        self.weighs_layer = False

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        # A frozen classifier's weights make this one frozen, before the weights of its parts are loaded.
        frozen = frozen_map_in(state_dict, f"{prefix}attention.")
        if self.attention is not None and frozen is not None:
            self._fix_layer(self.attention, torch.empty_like(frozen, device=next(self.parameters()).device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _resize(weight_map: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """A map at the size of a layer's output: each value the mean of what lies below it."""
    return F.interpolate(weight_map, size=list(size), mode="area")
