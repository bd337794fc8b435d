"""Networks that classify images, by the names that MONAI and torchvision give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import monai.networks.nets
import torch
from torch import nn

from monai_sagan.errors import SettingError, UserError

__all__ = ["make_backbone"]

# MONAI's families of networks that classify, by how their names begin, and what they call channels and classes.
_MONAI_FAMILIES = {
    "resnet": ("n_input_channels", "num_classes"),
    "densenet": ("in_channels", "out_channels"),
    "senet": ("in_channels", "num_classes"),
    "seresn": ("in_channels", "num_classes"),
}
_EFFICIENTNET = "efficientnet-"
# They have outputs besides the one that classifies, for training alone.
_WITH_AUXILIARY_OUTPUTS = ("googlenet", "inception_v3")
_TORCHVISION = "torchvision."
_TORCHVISION_CHANNELS = 3


def make_backbone(
    name: str,
    spatial_dims: int = 2,
    in_channels: int = 1,
    num_classes: int = 2,
    pretrained: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Makes a network that classifies images.

    Args:
        name: as MONAI has it (``resnet18``, ``densenet121``, ``seresnet50``, ``efficientnet-b0``, ...), or else as
            torchvision has it (``googlenet``, ``vgg16``, ``convnext_tiny``, ...), which is for images in 2D. Where both
            have it, ``torchvision.resnet18`` is torchvision's.
        spatial_dims: 2 or 3.
        in_channels: channels of an image; a single one is repeated for torchvision's networks, which take three.
        num_classes: outputs.
        pretrained: whether to begin with torchvision's weights of ImageNet, which are downloaded once; only the last
            layer is new then.
        settings: further arguments of the network itself, such as ``widen_factor`` of MONAI's ResNets.

    Returns:
        A network from (B, in_channels, *spatial) to logits (B, num_classes).

    Raises:
        SettingError: if there is no such network, or not for such images, or it has no such setting.
        UserError: if it is torchvision's, which is not installed or does not fit the installed torch, or its weights
            cannot be downloaded.
    """
    try:
        network = _monai_network(name, spatial_dims, in_channels, num_classes, settings or {})
        if network is not None:
            if pretrained:
                raise SettingError(
                    f"there are weights of ImageNet for torchvision's networks, and {name} is MONAI's; choose "
                    f"torchvision.{name} or leave out pretrained."
                )
            return network
        name = name.removeprefix(_TORCHVISION)
        if spatial_dims != 2:
            raise SettingError(
                f"the network {name} is not one of MONAI's, and torchvision's are for images in 2D, not "
                f"{spatial_dims}D; choose another one, such as resnet18."
            )
        if in_channels not in (1, _TORCHVISION_CHANNELS):
            raise SettingError(f"torchvision's network {name} takes images of 1 or 3 channels, not {in_channels}.")
        network = _torchvision_network(name, num_classes, pretrained, settings or {})
    except TypeError as error:  # what Python says of an argument that a function does not have
        raise SettingError(f"the network {name} does not work with {dict(settings or {})}: {error}.") from error
    return network if in_channels == _TORCHVISION_CHANNELS else nn.Sequential(_RepeatChannel(), network)


class _RepeatChannel(nn.Module):
    """A grey image as a coloured one."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.repeat(1, 3, 1, 1)


def _monai_network(
    name: str, spatial_dims: int, in_channels: int, num_classes: int, settings: Mapping[str, Any]
) -> nn.Module | None:
    """MONAI's network of a name; None if it has none."""
    if name.startswith(_EFFICIENTNET):
        try:
            return monai.networks.nets.EfficientNetBN(
                name,
                pretrained=False,
                spatial_dims=spatial_dims,
                in_channels=in_channels,
                num_classes=num_classes,
                **settings,
            )
        except ValueError:
            return None
    family = next((family for family in _MONAI_FAMILIES if name.startswith(family)), None)
    make = getattr(monai.networks.nets, name, None)
    if family is None or not callable(make):
        return None
    channels, classes = _MONAI_FAMILIES[family]
    network: nn.Module = make(**{"spatial_dims": spatial_dims, channels: in_channels, classes: num_classes}, **settings)
    return network


def _torchvision_network(name: str, num_classes: int, pretrained: bool, settings: Mapping[str, Any]) -> nn.Module:
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:  # it is missing, or was built for another torch
        raise UserError(
            f"the network {name} is torchvision's, which is not installed or does not fit the installed torch; "
            "'pip install torchvision' for this torch, or choose one that MONAI has, such as resnet18 or densenet121."
        ) from error
    if name not in models.list_models(module=models):
        raise SettingError(
            f"there is no network {name} that classifies images, neither in MONAI nor in torchvision; choose one such "
            "as resnet18, densenet121, googlenet or vgg16."
        )
    if not pretrained:
        # Written out, since torchvision warns of a default that may change.
        plain = {"aux_logits": False, "init_weights": True} if name in _WITH_AUXILIARY_OUTPUTS else {}
        network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **plain | dict(settings))
        return network
    try:
        network = models.get_model(name, weights="DEFAULT", **settings)
    except OSError as error:
        raise UserError(
            f"the weights of {name} cannot be downloaded ({error}); connect to the internet, or leave out pretrained."
        ) from error
    if name == "inception_v3":  # whose weights torchvision takes with the auxiliary output alone
        network.aux_logits, network.AuxLogits = False, None  # type: ignore[assignment]
    _replace_last_layer(network, num_classes)
    return network


def _replace_last_layer(network: nn.Module, num_classes: int) -> None:
    """Gives a network that was trained for other classes a new last layer."""
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise SettingError(f"the network {type(network).__name__} has no last layer that could be replaced.")
    name, last = layers[-1]
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, nn.Linear(last.in_features, num_classes))
