"""How healthy images differ from the unlabelled mixture: networks and a forest that were taught it, as one score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from monai_sagan.errors import SettingError, UserError
from monai_sagan.files import read_tensors
from monai_sagan.networks import Forest
from monai_sagan.transforms.image_features import image_features
from monai_sagan.transforms.resizing import resize

__all__ = ["ContrastEnsemble", "forest_features", "forest_log_odds", "make_network", "network_logits", "read_contrast"]

# A forest of hundreds of trees may be of one mind; its log odds stay finite.
_LEAST_PROBABILITY = 0.01


class ContrastEnsemble(nn.Module):
    """Scores pictures by networks and a forest of trees.

    The networks look at the picture itself, the forest at its classical features
    (:func:`~monai_sagan.transforms.image_features`). The logits of each of the two are standardised, by
    those of training images that it had not seen, before their mean is taken.

    Args:
        networks: each maps (B, 1, rows, columns) in [-1, 1] to logits (B, 1) of "is from the unlabelled set"; may be
            none.
        forest: gives the probability of the same by the features; None for none.

    Raises:
        ValueError: if there is neither.

    Attributes:
        mean: of the networks' logits and of the forest's log odds, (number of the two,).
        deviation: the standard deviation of the same.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, networks: Sequence[nn.Module], forest: Forest | None) -> None:
        super().__init__()
        if not networks and forest is None:
            raise ValueError("an ensemble needs networks, a forest or both.")
        self.networks = nn.ModuleList(networks)
        self.forest = forest
        members = int(bool(networks)) + int(forest is not None)
        self.register_buffer("mean", torch.zeros(members))
        self.register_buffer("deviation", torch.ones(members))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Scores pictures.

        Args:
            pictures: (B, 1, rows, columns) in [-1, 1].

        Returns:
            (B,) in (0, 1); the larger, the less the picture looks like the healthy ones.
        """
        return self.scores_and_maps(pictures)[0]

    @property
    def num_maps(self) -> int:
        """Channels of the maps: 1 if every network has ``local_logits``, else 0."""
        return int(bool(self.networks) and all(hasattr(network, "local_logits") for network in self.networks))

    def scores_and_maps(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores pictures, and maps the networks' logits.

        Args:
            pictures: (B, 1, rows, columns) in [-1, 1].

        Returns:
            The scores (B,), as :meth:`forward` gives them, and maps (B, num_maps, rows, columns): the mean of the
            networks' logits at each place.
        """
        logits, maps = [], pictures[:, :0]
        if self.networks:
            local = torch.stack([_local_logits(network, pictures) for network in self.networks]).mean(dim=0)
            logits.append(local.flatten(1).mean(dim=1))
            if self.num_maps:
                maps = resize(local, pictures.shape[2:])
        if self.forest is not None:
            logits.append(forest_log_odds(self.forest, forest_features(pictures)))
        return self.combine(torch.stack(logits, dim=1)), maps

    def combine(self, logits: torch.Tensor) -> torch.Tensor:
        """Scores pictures by what networks and forest gave.

        Args:
            logits: (B, number of the two).

        Returns:
            (B,) in (0, 1).
        """
        return torch.sigmoid(((logits - self.mean) / self.deviation).mean(dim=1))


def network_logits(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """A network's logits, each the mean over a picture and its mirror image.

    Args:
        network: as :class:`ContrastEnsemble` takes them.
        pictures: (B, 1, rows, columns) in [-1, 1].

    Returns:
        (B,).
    """
    return _local_logits(network, pictures).flatten(1).mean(dim=1)


def _local_logits(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """As :func:`network_logits`, of each place, (B, 1, *places); one place for a network without ``local_logits``."""
    local = getattr(network, "local_logits", lambda images: network(images)[..., None, None])
    return (local(pictures) + local(pictures.flip(3)).flip(3)) / 2


def forest_features(pictures: torch.Tensor) -> torch.Tensor:
    """The features (B, F) that a forest takes of pictures (B, 1, rows, columns)."""
    return torch.cat(list(image_features(pictures).values()), dim=1)


def forest_log_odds(forest: Forest, features: torch.Tensor) -> torch.Tensor:
    """The log odds (B,) that a forest gives features (B, F)."""
    return torch.logit(forest(features), eps=_LEAST_PROBABILITY)


def read_contrast(path: Path, network: Callable[[], nn.Module]) -> ContrastEnsemble:
    """Reads what :class:`~monai_sagan.engines.ContrastTraining` wrote.

    Args:
        path: the file.
        network: makes a network such as those that were trained.

    Returns:
        The ensemble, ready to score.

    Raises:
        UserError: if the file is damaged, or its networks are others.
    """
    content = read_tensors(path)
    try:
        networks = [make_network(network) for _ in range(content["networks"])]
        ensemble = ContrastEnsemble(networks, Forest() if content["trees"] else None)
        ensemble.load_state_dict(content["state"])
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{path}: this file does not fit the networks of the bundle (contrast_def); put the file and the settings "
            "that belong together back in place, or train again."
        ) from error
    return ensemble.eval()


def make_network(network: Callable[[], nn.Module]) -> nn.Module:
    """A new network.

    Args:
        network: makes one; in a config a component with ``"_mode_": "callable"``.

    Raises:
        SettingError: if it is a network itself, of which there cannot be several.
    """
    if isinstance(network, nn.Module):
        raise SettingError('contrast_def: add "_mode_": "callable" to it, since several such networks are made.')
    return network()
