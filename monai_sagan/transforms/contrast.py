"""Scores a case by how healthy images differ from the unlabelled mixture."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.utils import TransformBackends, convert_to_tensor
from torch import nn

from monai_sagan.bundle_files import CONTRAST, SELECTION
from monai_sagan.errors import SettingError, UserError
from monai_sagan.networks import fold_batch_norm
from monai_sagan.selection import read_selection
from monai_sagan.transforms.anomaly import volume_score
from monai_sagan.transforms.contrast_ensemble import ContrastEnsemble, read_contrast
from monai_sagan.transforms.foreground import has_foreground
from monai_sagan.transforms.network_samples import NetworkSamples
from monai_sagan.transforms.picture_batches import PictureScoring
from monai_sagan.transforms.resizing import resize
from monai_sagan.transforms.slices import SliceLayout, check_slice_direction

__all__ = ["SCORES", "ContrastScored", "check_score", "choose_score"]

# What the score of a case can be.
SCORES = ("residual", "contrast")


# Of a picture, with the map as in ContrastScored, (1, M, *image_size).
_ScoreAndMap = tuple[float, torch.Tensor]


class ContrastScored(PictureScoring[_ScoreAndMap]):
    """Replaces ``anomaly_score`` and ``slice_scores`` where a bundle scores by contrast, and says so in ``score_kind``.

    The score of a picture is that of a :class:`~monai_sagan.transforms.ContrastEnsemble`, in (0, 1). In a volume each
    slice that shows more than background has one, others 0; they are turned as
    :class:`~monai_sagan.transforms.SliceLayout` has it, and the volume's own is their :func:`volume_score`.

    Adds ``contrast_map`` there, what the networks say of each place: (N, M, *image_size), logits, of a picture one, of
    a volume one a slice, turned as slices are seen, and 0 of background. M is 1, or 0 where networks tell nothing of
    places.

    Args:
        keys: key of the image, one.
        bundle_root: the bundle's folder.
        network: makes a network such as those that were trained (``contrast_def``).
        image_size: the networks' size, rows first.
        slice_direction: along which volumes are cut into slices.
        background: in volumes, slices with nothing above this value are not scored.
        score: ``residual`` leaves the scores of the map as they are, ``contrast`` replaces them, ``auto`` does what
            was chosen for the bundle, see :func:`choose_score`.
        batch_size: slices, or pictures of a batch, that pass the networks at once.
        device: where to compute.

    Raises:
        SettingError: if there is no such score or slice direction.
        UserError: if the bundle cannot score so, or a file of it is damaged.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection,
        bundle_root: str | Path,
        network: Callable[[], nn.Module],
        image_size: Sequence[int],
        slice_direction: str | int = "acquisition",
        background: float = -0.9,
        score: str = "auto",
        batch_size: int = 16,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(keys)
        check_slice_direction(slice_direction)
        self.samples = NetworkSamples(image_size)
        self.slice_direction = slice_direction
        self.background = background
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.score_kind = choose_score(bundle_root, score)
        self.ensemble: ContrastEnsemble | None = None
        if self.score_kind == "contrast":
            ensemble = fold_batch_norm(read_contrast(Path(bundle_root) / CONTRAST, network))
            # Convolutions are faster so on processors.
            self.ensemble = ensemble.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        d["score_kind"] = self.score_kind
        if self.ensemble is None:
            return d
        for key in self.key_iterator(d):
            if (found := self.take_score(d)) is not None:
                d["anomaly_score"], d["contrast_map"] = found
            else:
                d["slice_scores"], d["contrast_map"] = self._score_slices(self.ensemble, d[key])
                d["anomaly_score"] = volume_score(d["slice_scores"])
        return d

    def score_pictures(self, pictures: Sequence[torch.Tensor]) -> list[_ScoreAndMap] | None:
        """Scores and maps of pictures (1, columns, rows) in [-1, 1]; None unless the bundle scores by contrast."""
        if self.ensemble is None:
            return None
        samples = torch.cat([self.samples(picture.to(self.device)) for picture in pictures])
        found = [self._scores_and_maps(self.ensemble, some) for some in samples.split(self.batch_size)]
        return [each for scores, maps in found for each in zip(scores.tolist(), maps.split(1))]

    def _score_slices(self, ensemble: ContrastEnsemble, image: torch.Tensor) -> tuple[list[float], torch.Tensor]:
        """Scores and maps of the slices of a volume (C, *spatial), 0 of background."""
        volume = convert_to_tensor(image, track_meta=False, dtype=torch.float32)
        layout = SliceLayout.of(image, self.slice_direction)
        count, size = len(layout.view(volume)), self.samples.image_size
        scores, maps = torch.zeros(count), torch.zeros(count, ensemble.num_maps, *size)
        for start in range(0, count, self.batch_size):
            slices = layout.take(volume, start, min(start + self.batch_size, count))
            shown = has_foreground(slices, self.background).nonzero()[:, 0]
            if len(shown):
                samples = resize(slices[shown].to(self.device), size)
                scores[start + shown], maps[start + shown] = self._scores_and_maps(ensemble, samples)
        return scores.tolist(), maps

    def _scores_and_maps(self, ensemble: ContrastEnsemble, samples: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.inference_mode():
            scores, maps = ensemble.scores_and_maps(samples)
            return scores.cpu(), maps.cpu()


def check_score(score: str) -> None:
    """Refuses what is no score; before a training, which would be for nothing.

    Args:
        score: ``auto`` or one of ``SCORES``.

    Raises:
        SettingError: if it is none of them.
    """
    if score not in ("auto", *SCORES):
        raise SettingError(f"score must be auto, {' or '.join(SCORES)}, not {score!r}.")


def choose_score(bundle_root: str | Path, score: str = "auto") -> str:
    """Which score a bundle gives.

    Args:
        bundle_root: the bundle's folder.
        score: one of ``SCORES``, or ``auto``: what ``models/selection.json`` names; where it names none,
            ``contrast`` if the bundle was trained for it, else ``residual``.

    Returns:
        One of ``SCORES``.

    Raises:
        SettingError: if there is no such score.
        UserError: if the bundle was not trained for the score, or the file of what was chosen is damaged.
    """
    check_score(score)
    contrast, selection = Path(bundle_root) / CONTRAST, Path(bundle_root) / SELECTION
    if score == "auto":
        score = read_selection(selection).get("score") or ("contrast" if contrast.is_file() else "residual")
        if score not in SCORES:
            raise UserError(
                f"{selection}: the score must be {' or '.join(SCORES)}, not {score!r}; train the bundle again."
            )
    if score == "contrast" and not contrast.is_file():
        raise UserError(
            f"{contrast}: there is no such file, so the bundle cannot score by contrast; train it with "
            "contrast_networks or contrast_trees above 0, or choose score=residual."
        )
    return score
