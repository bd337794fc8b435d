"""Which images a bundle was trained on, so that it is never evaluated on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.utils import ensure_tuple

from monai_sagan.errors import UserError
from monai_sagan.files import write_whole

__all__ = ["leave_out_trained", "write_trained_on"]


def write_trained_on(path: str | Path, cases: Sequence[Mapping[str, Any]], *, keep_former: bool = False) -> None:
    """Writes what tells the images of a training from others: a digest of each one's content, and no name.

    Args:
        path: the text file to write, one digest a line.
        cases: the images, ``image`` of each a file or the files of a series.
        keep_former: whether those that the file names already stay.
    """
    digests = {_digest(case) for case in cases} | (_known(Path(path)) if keep_former else set())
    with write_whole(Path(path)) as partial:
        partial.write_text("".join(f"{digest}\n" for digest in sorted(digests)), encoding="utf-8")


def leave_out_trained(
    paths: str | Path | Sequence[str | Path], cases: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Leaves out the images that a bundle was trained on.

    They are known by their content, so neither a copy under another name nor a data set that grew since brings one of
    them into a test.

    Args:
        paths: one or several files as :func:`write_trained_on` writes them; a bundle without one was trained on none
            of the images.
        cases: as there.

    Returns:
        The other ones.
    """
    return list(untrained_cases(paths, cases))


def untrained_cases(
    paths: str | Path | Sequence[str | Path], cases: Iterable[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The same one by one: no more of the images are read than are taken, and none where nothing is known."""
    known = set().union(*(_known(Path(path)) for path in ensure_tuple(paths)))
    return (case for case in cases if not known or _digest(case) not in known)


def _known(path: Path) -> set[str]:
    return set(path.read_text(encoding="utf-8").split()) if path.is_file() else set()


def _digest(case: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for file in ensure_tuple(case["image"]):
        try:
            digest.update(Path(file).read_bytes())
        except FileNotFoundError as error:
            raise UserError(f"{file}: there is no such file.") from error
    return digest.hexdigest()
