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
    """Scores pictures by what networks and a forest of trees say of them.

    The networks look at the picture itself, the forest at its classical features
    (:func:`~monai_sagan.transforms.image_features`). Each of the two is standardised, by what it said of training
    images that it had not seen, before their mean is taken.

    Args:
        networks: each maps (B, 1, rows, columns) in [-1, 1] to logits (B, 1) of "is from the unlabelled set"; may be
            none.
        forest: gives the probability of the same by the features; None for none.

    Raises:
        ValueError: if there is neither.

    Attributes:
        mean: of what the networks say and of what the forest says, (number of the two,).
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
        return self.judge(pictures)[0]

    @property
    def num_maps(self) -> int:
        """1 if the networks tell of each place, 0 if they tell of a picture as a whole alone, or there are none."""
        return int(bool(self.networks) and all(hasattr(network, "places") for network in self.networks))

    def judge(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores pictures, and tells what the networks say of each place.

        Args:
            pictures: (B, 1, rows, columns) in [-1, 1].

        Returns:
            The scores (B,), as :meth:`forward` gives them, and maps (B, num_maps, rows, columns): the mean of the
            networks' logits at each place.
        """
        said, maps = [], pictures[:, :0]
        if self.networks:
            places = torch.stack([network_places(network, pictures) for network in self.networks]).mean(dim=0)
            said.append(_whole(places))
            if self.num_maps:
                maps = resize(places, pictures.shape[2:])
        if self.forest is not None:
            said.append(forest_log_odds(self.forest, forest_features(pictures)))
        return self.combine(torch.stack(said, dim=1)), maps

    def combine(self, said: torch.Tensor) -> torch.Tensor:
        """The scores (B,) of pictures of which networks and forest said (B, number of the two)."""
        return torch.sigmoid(((said - self.mean) / self.deviation).mean(dim=1))


def network_logits(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """What a network says of pictures (B, 1, rows, columns), as the mean over each and its mirror image, (B,)."""
    return _whole(network_places(network, pictures))


def network_places(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """The same of each place, (B, 1, *places); a network without ``places`` has a single one, the whole picture."""
    tell = getattr(network, "places", lambda images: network(images)[..., None, None])
    return (tell(pictures) + tell(pictures.flip(3)).flip(3)) / 2


def _whole(places: torch.Tensor) -> torch.Tensor:
    """What is said of pictures, (B,), where it is known of their places (B, 1, *places)."""
    return places.flatten(1).mean(dim=1)


def forest_features(pictures: torch.Tensor) -> torch.Tensor:
    """The features (B, F) by which a forest judges pictures (B, 1, rows, columns)."""
    return torch.cat(list(image_features(pictures).values()), dim=1)


def forest_log_odds(forest: Forest, features: torch.Tensor) -> torch.Tensor:
    """What a forest says of pictures with features (B, F), in the units of logits, (B,)."""
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
