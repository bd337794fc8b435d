"""Chooses the score of a bundle without a label."""

from __future__ import annotations

import math
from pathlib import Path

import ignite.distributed as idist

from monai_sagan.files import read_tensors
from monai_sagan.metrics import Interval, delong_auc
from monai_sagan.selection import read_selection, write_selection

__all__ = ["ScoreSelection"]

# Standard errors from the middle to an end of a 95% interval.
_NORMAL = 1.96


class ScoreSelection:
    """Chooses between the published score and that by contrast, when both are trained.

    The criterion is how well each tells healthy images that it has not learned from from the unlabelled ones (AUCp).
    Contrast is taken unless the published score is better by more than a standard error of the difference: it learned
    from what is asked, and its criterion rests on all images instead of the few that were held out.

    Args:
        contrast_path: what :class:`~monai_sagan.engines.ContrastTraining` wrote.
        selection_path: the JSON file that says what was chosen; it has the published score's AUC from
            :class:`~monai_sagan.handlers.CheckpointSelection`, unless no image was held out.
    """

    def __init__(self, contrast_path: str | Path, selection_path: str | Path) -> None:
        self.contrast_path = Path(contrast_path)
        self.selection_path = Path(selection_path)

    def run(self) -> None:
        """Chooses, and writes it down.

        Raises:
            UserError: if a file is damaged.
        """
        if idist.get_rank() != 0 or not self.contrast_path.is_file():
            return
        found = read_tensors(self.contrast_path)["out_of_fold"]
        healthy = [score for kind in ("healthy", "selection") for score in found[kind].tolist()]
        unlabeled = found["unlabeled"].tolist()
        contrast = delong_auc([0] * len(healthy) + [1] * len(unlabeled), healthy + unlabeled)
        selection = read_selection(self.selection_path)
        taken = [it for it in selection.get("candidates", []) if it["step"] == selection["chosen_step"]]
        residual = Interval(taken[0]["value"], taken[0]["low"], taken[0]["high"]) if taken else None
        score, reason = better_score(residual, contrast)
        aucs = {"contrast": contrast.as_dict()} | ({} if residual is None else {"residual": residual.as_dict()})
        write_selection(self.selection_path, scores=aucs, score=score, score_reason=reason)


def better_score(residual: Interval | None, contrast: Interval) -> tuple[str, str]:
    """Which of two scores is taken.

    Args:
        residual: AUC of healthy images against unlabelled ones by the published score, with its 95% interval; None
            where it is not known.
        contrast: the same by contrast.

    Returns:
        "contrast" or "residual", and why.
    """
    if residual is None:
        return "contrast", "No image was held out to judge the published score by."
    errors = [(auc.value - auc.low) / _NORMAL for auc in (residual, contrast)]
    if residual.value - contrast.value > math.hypot(*errors):
        return "residual", "The published score tells healthy from unlabelled images better, by over a standard error."
    return "contrast", "The published score does not tell healthy from unlabelled images better by a standard error."
