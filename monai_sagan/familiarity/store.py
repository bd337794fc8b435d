"""What a bundle was made for, kept beside its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from monai_sagan.bundle_files import FAMILIARITY
from monai_sagan.errors import UserError
from monai_sagan.familiarity.facts import KnownFacts
from monai_sagan.familiarity.likeness import Likeness
from monai_sagan.files import read_tensors, save_tensors

__all__ = ["Familiarity", "read_familiarity", "write_familiarity"]

_VERSION = 2


@dataclass(frozen=True)
class Familiarity:
    """What a bundle was made for.

    Args:
        facts: what is known of its training images.
        likeness: what they look like; None for a network in 3D, whose windows are no pictures.
    """

    facts: KnownFacts
    likeness: Likeness | None


def write_familiarity(path: str | Path, familiarity: Familiarity) -> None:
    """Writes what a bundle was made for, as tensors and plain numbers, whole or not at all.

    Args:
        path: the file.
        familiarity: what is written.

    Raises:
        OSError: if it cannot be written.
    """
    likeness = familiarity.likeness
    content = {
        "version": _VERSION,
        "facts": asdict(familiarity.facts),
        "likeness": None if likeness is None else likeness.state(),
    }
    save_tensors(content, Path(path))


def read_familiarity(bundle_root: str | Path) -> Familiarity | None:
    """Reads what a bundle was made for; None where it does not know.

    Args:
        bundle_root: the bundle's folder.

    Raises:
        UserError: if the file is damaged.
    """
    path = Path(bundle_root) / FAMILIARITY
    if not path.is_file():
        return None
    content = read_tensors(path)
    try:
        if content["version"] != _VERSION:
            raise ValueError("another version")
        facts = KnownFacts(**(content["facts"] | {"modalities": tuple(content["facts"]["modalities"])}))
        likeness = None if content["likeness"] is None else Likeness(content["likeness"])
        return Familiarity(facts, likeness)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: this file is damaged or of another version; train the bundle again, get the file again from "
            "where it came, or remove it: out-of-distribution images are not recognised then."
        ) from error
