"""Which bundles there are, and what they say of themselves.

A bundle's config is a program; only its metadata is read here, and nothing of it is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .i18n import tr as _

__all__ = ["Bundle", "BundleError", "read_bundle", "shipped_bundles"]

_METADATA = Path("configs") / "metadata.json"
_INFERENCE = Path("configs") / "inference.json"
_WEIGHTS = Path("models") / "model.pt"


class BundleError(ValueError):
    """A folder that cannot be used as a bundle; the sentence says why."""


@dataclass(frozen=True)
class Bundle:
    """What a bundle says of itself.

    Attributes:
        path: its folder, absolute.
        name: for people to read.
        version: empty if it tells none.
        purpose: what it does and what it may be used for; empty if it does not tell.
        has_weights: whether it was trained and the weights are there.
        settings: names of what its inference config sets; of the options for a run it knows only those.
    """

    path: Path
    name: str
    version: str
    purpose: str
    has_weights: bool
    settings: frozenset[str]

    @property
    def problem(self) -> str:
        """Why it cannot be run, in a sentence; empty if it can."""
        if self.has_weights:
            return ""
        return _("{path}: this bundle has no weights ({file}); train it, or choose another bundle.").format(
            path=self.path, file=_WEIGHTS.as_posix()
        )


def shipped_bundles(module_folder: Path) -> list[Bundle]:
    """The bundles that come with the extension, or lie in the checkout that the module is part of.

    Args:
        module_folder: the folder of ``AnomalyMap.py``.

    Returns:
        Those that can be read, in the order of their folders' names.
    """
    folder = module_folder.resolve()
    homes = [folder / "Resources" / "bundles", *(parent / "bundles" for parent in folder.parents[1:2])]
    home = next((home for home in homes if home.is_dir()), None)
    if home is None:
        return []
    found = []
    for path in sorted(home.iterdir()):
        try:
            found.append(read_bundle(path))
        except BundleError:  # what lies beside them: a note, or a folder that is being made
            continue
    return found


def read_bundle(folder: Path) -> Bundle:
    """What the bundle in a folder says of itself.

    Args:
        folder: as the user named it.

    Raises:
        BundleError: if it is no bundle, or its metadata cannot be read; the sentence names the folder or the file.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise BundleError(_("{path}: there is no such folder; choose the folder of a bundle.").format(path=folder))
    path = folder / _METADATA
    if not path.is_file():
        raise BundleError(
            _("{path}: this folder is not a bundle, it has no {file}; choose another one.").format(
                path=folder, file=_METADATA.as_posix()
            )
        )
    metadata = _read_metadata(path)
    sentences = [_text(metadata, key) for key in ("description", "intended_use")]
    return Bundle(
        path=folder,
        name=_text(metadata, "name") or folder.name,
        version=_text(metadata, "version"),
        purpose=" ".join(sentence for sentence in sentences if sentence),
        has_weights=(folder / _WEIGHTS).is_file(),
        settings=_settings(folder / _INFERENCE),
    )


def _read_metadata(path: Path) -> Mapping[str, Any]:
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(
            _("{path}: {reason}; make it readable, or choose another bundle.").format(path=path, reason=error.strerror)
        ) from error
    except (ValueError, RecursionError) as error:
        raise BundleError(
            _("{path}: this file is damaged or no JSON; get the bundle again.").format(path=path)
        ) from error
    if not isinstance(metadata, dict):
        raise BundleError(_("{path}: this file does not describe a bundle; get the bundle again.").format(path=path))
    return metadata


def _settings(path: Path) -> frozenset[str]:
    """What a config sets; nothing if it cannot be read, and the child says what is wrong."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return frozenset()
    return frozenset(config) if isinstance(config, dict) else frozenset()


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    return value.strip() if isinstance(value, str) else ""
