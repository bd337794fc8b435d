"""What was chosen for a bundle without a label, and why: a JSON file beside its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monai_sagan.errors import UserError
from monai_sagan.files import write_json

__all__ = ["read_selection", "write_selection"]

_SCHEMA_VERSION = 1
_CRITERION = (
    "AUC of unlabelled images against healthy ones that were held out (AUCp). No label was used, and no test image. Of "
    "checkpoints it is too high, since the generator has learned from the unlabelled images; compare them with each "
    "other alone."
)


def read_selection(path: str | Path) -> dict[str, Any]:
    """Reads what was chosen.

    Args:
        path: the file.

    Returns:
        Its content; empty where there is no such file.

    Raises:
        UserError: if it is damaged.
    """
    file = Path(path)
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["schema_version"] != _SCHEMA_VERSION:
            raise ValueError("another version")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: this file is damaged or of another version; train the bundle again.") from error
    return content


def write_selection(path: str | Path, **chosen: Any) -> None:
    """Adds to what was chosen.

    Args:
        path: the file.
        **chosen: ready for JSON; what the file says else stays.
    """
    content = {"schema_version": _SCHEMA_VERSION, "criterion": _CRITERION} | read_selection(path) | chosen
    write_json(Path(path), content)
