"""One weight map for all images that share an anatomy (Xu et al., arXiv 2007.15897)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from monai_sagan.errors import SettingError
from monai_sagan.networks.pixel_statistics import PixelStatistics

__all__ = ["TRAINED_SOURCES", "AttentionSource", "GlobalSpatialAttention", "frozen_map_in"]

AttentionSource = Literal["batch", "bank", "statistics", "frozen"]
# Those that a map is learned from.
TRAINED_SOURCES = ("batch", "bank", "statistics")


class _PixelClassifier(nn.Sequential):
    """Weighs each pixel by its features (1, F, *spatial), and those of the pixels around it."""

    def __init__(self, spatial_dims: int, num_features: int, hidden_channels: int) -> None:
        conv = Conv[Conv.CONV, spatial_dims]
        super().__init__(
            # Borders are repeated: zeros around an image would be something to see there.
            conv(num_features, hidden_channels, kernel_size=3, padding=1, padding_mode="replicate"),
            nn.ReLU(),
            conv(hidden_channels, 1, kernel_size=1),
            nn.Sigmoid(),
        )


class _BatchMap(nn.Module):
    """The map of the images that are weighed."""

    weight_map: torch.Tensor

    def __init__(self, classifier: _PixelClassifier, num_images: int, image_size: Sequence[int]) -> None:
        super().__init__()
        self.classifier = classifier
        self.num_images = num_images
        self.register_buffer("weight_map", torch.full((1, 1, *image_size), 0.5))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) != self.num_images:
            raise ValueError(
                f"a batch has {len(images)} images, and this attention was made for {self.num_images}: with the source "
                "'batch', the batch size is part of the model. Give batches of that size, or freeze it."
            )
        weights: torch.Tensor = self.classifier(images.flatten(0, 1)[None])
        if self.training:
            self.weight_map = weights.detach()
        return weights


class _GatheredMap(nn.Module):
    """The map of features (F, *spatial) that were gathered before, and stay what they are."""

    features: torch.Tensor
    is_gathered: torch.Tensor

    def __init__(self, classifier: _PixelClassifier, num_features: int, image_size: Sequence[int]) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("features", torch.zeros(num_features, *image_size))
        self.register_buffer("is_gathered", torch.tensor(False))

    def keep(self, features: torch.Tensor) -> None:
        self.features.copy_(features)
        self.is_gathered.fill_(True)

    @property
    def weight_map(self) -> torch.Tensor:
        if not self.is_gathered:
            raise RuntimeError("This attention has no features yet; gather() them from the training images first.")
        weights: torch.Tensor = self.classifier(self.features[None])
        return weights

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.weight_map


class _FrozenMap(nn.Module):
    """A map that is a constant."""

    def __init__(self, weight_map: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight_map", weight_map)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.weight_map  # type: ignore[return-value]


class GlobalSpatialAttention(nn.Module):
    """Weighs images by one map, the same for all of them, that says which pixels matter.

    A small pixel classifier (3x3 convolution, ReLU, 1x1 convolution, sigmoid) makes the map, and is trained with the
    network that the weighed images go to. What it knows of a pixel is what a collection of images has there:

    - ``batch``: the images of the mini-batch, as published. The batch size is then part of the model, and the map
      depends on which images are together, and on their order.
    - ``bank``: a fixed set of training images, the same number of each class, which is kept in the model.
    - ``statistics``: mean, spread and quantiles of all training images of each class, see
      :class:`~monai_sagan.networks.PixelStatistics`.
    - ``frozen``: nothing any more; the map is a constant that comes with the weights, and 1 everywhere without.

    With ``bank`` and ``statistics`` the features are gathered by :meth:`gather` before training, and the map does not
    depend on who else is in a batch. :meth:`freeze` makes the map a constant. Loading the weights of a frozen attention
    freezes this one.

    Args:
        spatial_dims: 2 or 3.
        image_size: the size of all images.
        source: where features come from.
        in_channels: channels of an image.
        num_classes: classes of the training images; not used by ``batch``.
        num_images: with ``batch``, the batch size of one process; with ``bank``, the images of the bank, as many of
            each class; not used by ``statistics``.
        hidden_channels: between the two convolutions.

    Attributes:
        last_weights: the map of the last batch in training, with its gradient; None where it had none. Copies of the
            attention begin without.

    Raises:
        SettingError: if an argument is out of its range.

    Source: arXiv 2007.15897; the sources ``bank`` and ``statistics`` are this project's.
    """

    __jit_unused_properties__ = ["is_frozen", "weight_map"]

    def __init__(
        self,
        spatial_dims: int,
        image_size: Sequence[int],
        source: AttentionSource = "statistics",
        in_channels: int = 1,
        num_classes: int = 2,
        num_images: int = 32,
        hidden_channels: int = 32,
    ) -> None:
        super().__init__()
        self.last_weights: torch.Tensor | None = None
        if spatial_dims not in (2, 3):
            raise SettingError(f"spatial_dims must be 2 or 3, not {spatial_dims}.")
        if num_classes < 1:
            raise SettingError(f"num_classes must be at least 1, not {num_classes}.")
        if len(image_size) != spatial_dims or min(image_size) < 1:
            raise SettingError(f"image_size must be {spatial_dims} positive numbers, not {list(image_size)}.")
        if source not in get_args(AttentionSource):
            raise SettingError(f"the source {source} is unknown; choose one of {', '.join(get_args(AttentionSource))}.")
        if num_images < 1:
            raise SettingError(f"num_images must be at least 1, not {num_images}.")
        if source == "bank" and num_images % num_classes:
            raise SettingError(
                f"the bank of {num_images} images cannot have as many of each of {num_classes} classes; choose a "
                f"multiple of {num_classes}."
            )
        self.num_classes = num_classes
        self.num_images = num_images
        self.image_shape = [in_channels, *image_size]
        self.features_from = source
        self.source: _BatchMap | _GatheredMap | _FrozenMap
        if source == "frozen":
            self.source = _FrozenMap(torch.ones(1, 1, *image_size))
            return
        num_features = num_images * in_channels
        if source == "statistics":
            num_features = PixelStatistics(num_classes, self.image_shape).num_features
        classifier = _PixelClassifier(spatial_dims, num_features, hidden_channels)
        if source == "batch":
            self.source = _BatchMap(classifier, num_images, image_size)
        else:
            self.source = _GatheredMap(classifier, num_features, image_size)

    @property
    def is_frozen(self) -> bool:
        """Whether the map is a constant."""
        return isinstance(self.source, _FrozenMap)

    @property
    def weight_map(self) -> torch.Tensor:
        """The map, (1, 1, *spatial) in [0, 1], without gradient; with ``batch`` that of the last training batch.

        Raises:
            RuntimeError: if features are missing that :meth:`gather` brings.
        """
        weight_map: torch.Tensor = self.source.weight_map  # type: ignore[assignment]
        return weight_map.detach()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Weighs images.

        Args:
            images: (B, C, *spatial).

        Returns:
            The images times the map.

        Raises:
            ValueError: if the images are of another size, or, with ``batch``, the batch is.
            RuntimeError: if features are missing that :meth:`gather` brings.
        """
        return images * self.weights_of(images)

    def weights_of(self, images: torch.Tensor) -> torch.Tensor:
        """The map (1, 1, *spatial) that images (B, C, *spatial) are weighed by; raises as :meth:`forward`."""
        if list(images.shape[1:]) != self.image_shape:
            raise ValueError(
                f"an image has the shape {list(images.shape[1:])}, and this attention was made for {self.image_shape}; "
                "resize images to that size."
            )
        weights: torch.Tensor = self.source(images)
        if not torch.jit.is_scripting() and self.training:
            self.last_weights = weights if weights.requires_grad else None
        return weights

    @torch.jit.unused
    def gather(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Takes from the training images what the map is made of; with ``batch``, nothing.

        In a distributed run, every process takes part: with ``bank`` each is given the same images, with
        ``statistics`` each its share of them.

        Args:
            batches: images (B, C, *spatial) and the numbers of their classes (B,). A bank holds the first ones of each
                class, and stops to read when it is full.

        Raises:
            ValueError: if an image is of another size, there is no such class or too few images of one, or the map is
                frozen.
        """
        if self.is_frozen:
            raise ValueError("the map is frozen, so it cannot be made from other images.")
        if not isinstance(self.source, _GatheredMap):
            return
        if self.features_from == "bank":
            images_of_class = self.num_images // self.num_classes
            bank = _first_of_each_class(batches, self.num_classes, images_of_class, self.image_shape)
            self.source.keep(bank.flatten(0, 1))
            return
        statistics = PixelStatistics(self.num_classes, self.image_shape)
        for images, labels in batches:
            statistics.update(images, labels)
        statistics.gather_processes(self.source.features.device)
        self.source.keep(statistics.features())

    @torch.jit.unused
    def freeze(self) -> None:
        """Makes the map a constant, which costs one multiplication and suits any batch size.

        With ``batch``, it is the map of the last training batch.

        Raises:
            RuntimeError: if features are missing that :meth:`gather` brings.
        """
        if not self.is_frozen:
            self._fix(self.weight_map.clone())

    def _fix(self, weight_map: torch.Tensor) -> None:
        self.source, self.features_from, self.last_weights = _FrozenMap(weight_map), "frozen", None

    def __getstate__(self) -> dict[str, Any]:
        # A tensor with a gradient can neither be copied nor pickled.
        return {**self.__dict__, "last_weights": None}

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        frozen = frozen_map_in(state_dict, prefix)
        if frozen is not None:
            # Of this network's size: a map of another one is then refused.
            self._fix(frozen.new_empty(1, 1, *self.image_shape[1:], device=next(self.buffers()).device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def frozen_map_in(state_dict: Mapping[str, torch.Tensor], prefix: str) -> torch.Tensor | None:
    """The map in the weights of an attention, whose names begin with a prefix; None if it is not frozen there."""
    if any(key.startswith(f"{prefix}source.classifier.") for key in state_dict):
        return None
    return state_dict.get(f"{prefix}source.weight_map")


def _first_of_each_class(
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]], num_classes: int, count: int, image_shape: Sequence[int]
) -> torch.Tensor:
    """The first images of each class, (num_classes * count, C, *spatial), class by class."""
    found: list[list[torch.Tensor]] = [[] for _ in range(num_classes)]
    for images, labels in batches:
        for image, label in zip(images, labels.tolist(), strict=True):
            if not 0 <= label < num_classes:
                raise ValueError(f"there is no class {label}; there are {num_classes}, counted from 0.")
            if list(image.shape) != list(image_shape):
                raise ValueError(f"an image has the shape {list(image.shape)}, and not {list(image_shape)}.")
            if len(found[label]) < count:
                found[label].append(image)
        if all(len(of_class) == count for of_class in found):
            break
    for label, of_class in enumerate(found):
        if len(of_class) < count:
            raise ValueError(
                f"the bank needs {count} images of each class, and there are {len(of_class)} of class {label}; choose "
                "a smaller bank."
            )
    return torch.stack([image for of_class in found for image in of_class])
