"""The unlabelled images of a training, in the order of how they score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_sagan.calibration.conformal import conformal_p_value
from monai_sagan.engines import out_of_fold_scores
from monai_sagan.files import write_table
from monai_sagan.processes import is_first

__all__ = ["UnlabeledRanking"]


class UnlabeledRanking:
    """Writes a table of the unlabelled images that were trained on, those that score highest first.

    A trained bundle knows these images, so its own score of one says little. But each was scored by contrast once by
    networks and trees that had not seen it, and so was each healthy image. ``p_value`` is the share of the healthy ones
    that score as high, the image counted among them. That is near to a cross-conformal p-value (Vovk, "Cross-conformal
    predictors", 2015), which would compare within each part that was held out; it promises nothing exactly.

    Args:
        contrast_path: what :class:`~monai_sagan.engines.ContrastTraining` wrote; without it there is no table.
        data: the unlabelled images, ``image`` of each its file, in the order of the training.
        images: the folder that their names start from.
        path: the CSV file to write, with the columns ``name``, ``score`` and ``p_value``.
    """

    def __init__(
        self, contrast_path: str | Path, data: Sequence[Mapping[str, Any]], images: str | Path, path: str | Path
    ) -> None:
        self.contrast_path = Path(contrast_path)
        self.data = data
        self.images = Path(images)
        self.path = Path(path)

    def run(self) -> None:
        """Writes it.

        Raises:
            UserError: if a file is damaged.
        """
        if not is_first() or not self.contrast_path.is_file():
            return
        healthy, scores = out_of_fold_scores(self.contrast_path)
        names = [Path(case["image"]).relative_to(self.images).as_posix() for case in self.data]
        rows = [(name, score, conformal_p_value(score, healthy)) for name, score in zip(names, scores)]
        rows.sort(key=lambda row: (-row[1], row[0]))
        write_table(self.path, ("name", "score", "p_value"), rows)
