"""Which score a bundle takes, and how well it does without a label."""

from __future__ import annotations

from pathlib import Path

from monai_sagan.engines.contrast_training import out_of_fold_scores
from monai_sagan.metrics import delong_auc
from monai_sagan.processes import is_first
from monai_sagan.selection import write_selection

__all__ = ["ScoreSelection"]

_REASON = (
    "Contrast was trained, and judges each image by what has not learned from it. The published score cannot be "
    "measured so: its generator has learned from all unlabelled images."
)


class ScoreSelection:
    """Lets a bundle score by contrast where that was trained, and writes down how well that tells the two sets apart.

    There is no choice between the two scores by AUCp: the generator changes the unlabelled images that it has learned
    from more than others, and so its score tells them from healthy images that were held out better than it can tell
    new ones (docs/decisions/0014).

    Args:
        contrast_path: what :class:`~monai_sagan.engines.ContrastTraining` wrote.
        selection_path: the JSON file that says what was chosen.
    """

    def __init__(self, contrast_path: str | Path, selection_path: str | Path) -> None:
        self.contrast_path = Path(contrast_path)
        self.selection_path = Path(selection_path)

    def run(self) -> None:
        """Writes it down.

        Raises:
            UserError: if a file is damaged.
        """
        if not is_first() or not self.contrast_path.is_file():
            return
        healthy, unlabeled = out_of_fold_scores(self.contrast_path)
        auc = delong_auc([0] * len(healthy) + [1] * len(unlabeled), healthy + unlabeled)
        write_selection(self.selection_path, scores={"contrast": auc.as_dict()}, score="contrast", score_reason=_REASON)
