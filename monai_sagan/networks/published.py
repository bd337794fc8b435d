"""Weights under the names that the authors of SAGAN published them.

The names come from the authors' checkpoints; a prefix in them stands for a module here. Running statistics of the
instance normalisation are in the checkpoints but take no part in what the published procedure computes: it normalises
every image by its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

__all__ = ["load_published_critic", "load_published_generator", "published_generator_size"]

_UNUSED = ("running_mean", "running_var", "num_batches_tracked")

# Modules that are one convolution with its normalisation: published Sequential -> ours.
_CONVOLUTIONS = {
    "layer1": "stem",
    "enc_layer1": "down1",
    "enc_layer2": "down2",
    "enc_layer3": "down3",
    "p_bn1": "code1.mix",
    "p_bn2": "code2.mix",
    "bn2": "code3.mix",
    "dec_layer1": "up1",
    "dec_layer2": "up2",
    "dec_layer3": "up3",
    "up_conv2": "side2",
}
# The bottleneck is one published Sequential: its first three entries mix in the code, residual blocks follow.
_FIRST_RESIDUAL = 3


def _generator_prefixes(num_res_blocks: int) -> dict[str, str]:
    """Published name of each convolution and affine norm (without ``.weight``) to ours."""
    pairs = {f"{theirs}.0": f"{ours}.conv" for theirs, ours in _CONVOLUTIONS.items()}
    pairs |= {f"{theirs}.1": f"{ours}.adn.N" for theirs, ours in _CONVOLUTIONS.items()}
    for index in range(2):
        pairs[f"up_conv1.{3 * index}"] = f"side1.{index}.conv"
        pairs[f"up_conv1.{3 * index + 1}"] = f"side1.{index}.adn.N"
    blocks = {f"bn2.{_FIRST_RESIDUAL + n}": f"bottleneck.{n}" for n in range(num_res_blocks)}
    for theirs, ours in blocks.items():
        for index, conv in ((0, "conv1"), (3, "conv2")):
            pairs[f"{theirs}.main.{index}"] = f"{ours}.{conv}.conv"
            pairs[f"{theirs}.main.{index + 1}"] = f"{ours}.{conv}.adn.N"
    fusing = {"dec_bn1": "fuse1", "dec_bn2": "fuse2", "dec_bn3": "fuse3", "bn3": "fuse_sides"}
    for theirs, ours in fusing.items():
        for part, conv in (("main", "conv1"), ("sc", "conv2")):
            pairs[f"{theirs}.{part}.0"] = f"{ours}.{conv}.conv"
            pairs[f"{theirs}.{part}.1"] = f"{ours}.{conv}.adn.N"
    for level in (1, 2, 3):
        for theirs, ours in (("W_gate", "gate"), ("W_x", "skip"), ("psi", "weight")):
            pairs[f"gate{level}.{theirs}.0"] = f"gate{level}.{ours}.conv"
    pairs["conv"] = "head.conv"
    return pairs


def _critic_prefixes(num_layers: int) -> dict[str, str]:
    pairs = {f"main.{2 * layer}": f"layers.{layer}.conv" for layer in range(num_layers)}
    pairs["conv1"] = "head.conv"
    return pairs


def load_published_generator(generator: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Loads the authors' generator weights.

    Args:
        generator: a :class:`~monai_sagan.networks.SAGANGenerator` of the same size; it is changed.
        state: the published names and tensors; running statistics may be in it and are not used.

    Raises:
        ValueError: if names or shapes differ; the message says which.
    """
    _load(generator, state, _generator_prefixes(len(generator.bottleneck)))  # type: ignore[arg-type]


def load_published_critic(critic: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Loads the authors' critic weights.

    Args:
        critic: a :class:`~monai_sagan.networks.SAGANCritic` of the same size; it is changed.
        state: the published names and tensors.

    Raises:
        ValueError: if names or shapes differ; the message says which.
    """
    _load(critic, state, _critic_prefixes(len(critic.layers)))  # type: ignore[arg-type]


def published_generator_size(state: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """Reads from a published generator's weights how it was built.

    Args:
        state: the published names and tensors.

    Returns:
        ``base_channels`` and ``num_res_blocks``, as :class:`~monai_sagan.networks.SAGANGenerator` takes them.

    Raises:
        ValueError: if this is no published generator.
    """
    first = state.get("layer1.0.weight")
    if first is None:
        found = ", ".join(list(state)[:3]) or "nothing"
        raise ValueError(
            f"These are not weights of the published SAGAN generator: 'layer1.0.weight' is missing ({found}, ...)."
        )
    blocks = {name.split(".")[1] for name in state if name.startswith("bn2.") and ".main." in name}
    return {"base_channels": int(first.shape[0]), "num_res_blocks": len(blocks)}


def _load(network: nn.Module, state: Mapping[str, torch.Tensor], prefixes: Mapping[str, str]) -> None:
    expected = {
        f"{theirs}.{suffix}": (f"{ours}.{suffix}", network.state_dict()[f"{ours}.{suffix}"])
        for theirs, ours in prefixes.items()
        for suffix in ("weight", "bias")
        if f"{ours}.{suffix}" in network.state_dict()
    }
    given = {name: tensor for name, tensor in state.items() if not name.endswith(_UNUSED)}
    differences = [f"{name} is missing" for name in expected if name not in given]
    differences += [f"{name} is not known" for name in given if name not in expected]
    differences += [
        f"{name} is {tuple(given[name].shape)} and should be {tuple(tensor.shape)}"
        for name, (_, tensor) in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if differences:
        shown = "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
        raise ValueError(f"The weights do not fit the network: {shown}.")
    network.load_state_dict({ours: given[name] for name, (ours, _) in expected.items()})
