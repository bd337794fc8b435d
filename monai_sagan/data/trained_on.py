"""Which images a bundle was trained on, so that it is never evaluated on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.utils import ensure_tuple

from monai_sagan.errors import UserError
from monai_sagan.files import write_whole

__all__ = ["digest_of", "leave_out_trained", "read_trained_on", "untrained_cases", "write_trained_on"]


def write_trained_on(path: str | Path, cases: Sequence[Mapping[str, Any]], *, keep_former: bool = False) -> None:
    """Writes what tells the images of a training from others: a digest of each one's content, and no name.

    Args:
        path: the text file to write, one digest a line.
        cases: the images, ``image`` of each a file or the files of a series.
        keep_former: whether those that the file names already stay.
    """
    digests = {digest_of(case["image"]) for case in cases} | (read_trained_on(path) if keep_former else set())
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
    known = set().union(*(read_trained_on(path) for path in ensure_tuple(paths)))
    return (case for case in cases if not known or digest_of(case["image"]) not in known)


def read_trained_on(path: str | Path) -> set[str]:
    """What :func:`write_trained_on` wrote, see :func:`digest_of`; nothing where there is no such file."""
    return set(Path(path).read_text(encoding="utf-8").split()) if Path(path).is_file() else set()


def digest_of(files: str | Path | Sequence[str | Path]) -> str:
    """What tells the content of an image from that of others.

    Args:
        files: one, or those of a series.

    Raises:
        UserError: if one is not there.
    """
    digest = hashlib.sha256()
    for file in ensure_tuple(files):
        try:
            digest.update(Path(file).read_bytes())
        except FileNotFoundError as error:
            raise UserError(f"{file}: there is no such file.") from error
    return digest.hexdigest()
