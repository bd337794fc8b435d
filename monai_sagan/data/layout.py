"""The Med-AD layout: names of its folders and its ``data.json``, the groups that this lists, and writing it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_sagan.errors import UserError
from monai_sagan.files import write_json

__all__ = ["DATA_JSON", "IMAGES", "LABELS", "MASKS", "Split", "listed_twice", "parse_split", "write_data_json"]

# In the data set's folder: what each image is for, the images, and outlined lesions under the images' names.
DATA_JSON = "data.json"
IMAGES = "images"
MASKS = "masks"

# Names of images, by group.
Split = dict[str, list[str]]

# The groups and the label of what is in them: 0 is healthy, 1 is not. A plain list of unlabelled images has none.
LABELS: dict[str, int | None] = {
    "healthy": 0,
    "unlabeled": None,
    "unlabeled/healthy": 0,
    "unlabeled/anomalous": 1,
    "test/healthy": 0,
    "test/anomalous": 1,
}


def parse_split(text: bytes, where: str) -> Split:
    """Reads the content of a ``data.json``.

    Args:
        text: the content.
        where: its file, for messages.

    Returns:
        The names in each group; either ``unlabeled`` or both ``unlabeled/...``.

    Raises:
        UserError: if it is no ``data.json``.
    """
    try:
        content = json.loads(text)
        train, test = content["train"], content["test"]
        mixture = train["unlabeled"]
        if isinstance(mixture, list):
            unlabeled = {"unlabeled": mixture}
        else:
            unlabeled = {"unlabeled/healthy": mixture["0"], "unlabeled/anomalous": mixture["1"]}
        split = {"healthy": train["0"], **unlabeled, "test/healthy": test["0"], "test/anomalous": test["1"]}
    except (ValueError, KeyError, TypeError) as error:
        raise _no_split(where) from error
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in split.values()):
        raise _no_split(where)
    return split


def _no_split(where: str) -> UserError:
    return UserError(
        f'{where}: this is no data.json of the Med-AD layout, {{"train": {{"0": [names], "unlabeled": {{"0": [names], '
        '"1": [names]}}, "test": {"0": [names], "1": [names]}}; use one that is.'
    )


def listed_twice(split: Split) -> list[str]:
    """The names that are listed more than once, in one group or in several."""
    counts = Counter(name for names in split.values() for name in names)
    return [name for name, count in counts.items() if count > 1]


def write_data_json(folder: Path, split: Mapping[str, list[str]]) -> None:
    """Writes ``data.json``.

    Args:
        folder: the data set's folder.
        split: names of images in each group, relative to ``images/``; either ``unlabeled`` or both ``unlabeled/...``.
    """
    if "unlabeled" in split:
        unlabeled: Any = split["unlabeled"]
    else:
        unlabeled = {"0": split["unlabeled/healthy"], "1": split["unlabeled/anomalous"]}
    layout = {
        "train": {"0": split["healthy"], "unlabeled": unlabeled},
        "test": {"0": split["test/healthy"], "1": split["test/anomalous"]},
    }
    write_json(folder / DATA_JSON, layout)
