"""What became of the images that a data set is made from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from monai_sagan.progress import ProgressKind, Reporter, make_reporter

__all__ = ["PrepareReport", "reporting"]

# So many sentences about images that were left out are shown; the rest is counted.
_SENTENCES_SHOWN = 10


@dataclass
class PrepareReport:
    """What became of the images.

    Args:
        counts: images used of each group.
        left_out: a sentence for each that was not.
        notes: what else should be known of the images.
        is_incomplete: whether the source held fewer images than the data set should have.
    """

    counts: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_incomplete: bool = False

    def tell(self, reporter: Reporter) -> None:
        """Tells all but the counts as warnings: every note, the first of the images left out, and how many more.

        Args:
            reporter: where the news goes.
        """
        for note in self.notes:
            reporter.warning(note)
        for sentence in self.left_out[:_SENTENCES_SHOWN]:
            reporter.warning(f"Left out: {sentence}")
        if len(self.left_out) > _SENTENCES_SHOWN:
            reporter.warning(f"Left out: {len(self.left_out) - _SENTENCES_SHOWN} more.")


@contextmanager
def reporting(progress: ProgressKind, total: int) -> Iterator[Reporter]:
    """A reporter that has started, and stops when the block ends with an error.

    Args:
        progress: how to report progress.
        total: images to write.
    """
    reporter = make_reporter(progress)
    reporter.start(total, "Writing images")
    try:
        yield reporter
    except BaseException:
        reporter.stop()
        raise
