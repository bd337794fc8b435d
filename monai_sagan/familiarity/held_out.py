"""How unusual the images of a training set are among each other."""

from __future__ import annotations

import torch

from monai_sagan.familiarity.likeness import Likeness, chosen_pictures, known_features

__all__ = ["held_out_ood_scores"]

_PARTS = 10


def held_out_ood_scores(pictures: torch.Tensor, images: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """The ood_score of each picture to what was learnt without its image.

    Args:
        pictures: (N, 1, rows, columns) in [-1, 1].
        images: (N,), the number of the image that each picture is of: slices of one volume stay together.
        seed: as in :meth:`~monai_sagan.familiarity.Likeness.fit`.

    Returns:
        (N,); of a single image, minus infinity.
    """
    ood_scores = torch.full((len(pictures),), -torch.inf)
    chosen = chosen_pictures(len(pictures))
    known = known_features(pictures[chosen], seed)
    for part in range(_PARTS):
        held_out = images % _PARTS == part
        if bool(held_out.any()) and not bool(held_out.all()):
            ood_scores[held_out] = Likeness.of(known[:, ~held_out[chosen]]).ood_score(pictures[held_out])
    return ood_scores
