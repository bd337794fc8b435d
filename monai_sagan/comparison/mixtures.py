"""Unlabelled sets of one size with different shares of anomalous images."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_sagan.data import read_data_json
from monai_sagan.data.layout import DATA_JSON, IMAGES, MASKS
from monai_sagan.errors import UserError
from monai_sagan.files import write_json, write_whole_folder

__all__ = ["check_ratios", "make_mixtures", "mixture_name"]


def check_ratios(ratios: Sequence[float]) -> None:
    """Raises a UserError if a ratio lies outside [0, 1] or is given twice."""
    if any(not 0.0 <= ratio <= 1.0 for ratio in ratios) or len(set(ratios)) < len(ratios):
        raise UserError(f"anomaly ratios must lie in [0, 1], each given once, not {', '.join(map(str, ratios))}.")


def mixture_name(ratio: float) -> str:
    """Name of the folder for an anomaly ratio."""
    return f"ratio_{ratio:g}"


def make_mixtures(data: Path, output: Path, ratios: Sequence[float]) -> dict[float, Path]:
    """Makes a data set for each anomaly ratio, all with as many unlabelled images; the images themselves are linked to.

    The unlabelled set has as many images as the healthy one, as published, or as many as the lists allow at every
    ratio: the first ones of either list. Healthy and test images are the same.

    Args:
        data: a folder in the Med-AD layout that says which of the unlabelled images are healthy.
        output: gets a folder for each ratio, unless it is there.
        ratios: shares, in [0, 1], of anomalous images.

    Returns:
        The data set of each ratio.

    Raises:
        UserError: if the data set does not say which unlabelled images are healthy, has none, or the file system has no
            links.
    """
    content = read_data_json(data)
    train = content.get("train", {})
    unlabeled = train.get("unlabeled")
    if not isinstance(unlabeled, dict):
        raise UserError(
            f"{data / DATA_JSON}: anomaly ratios need to know which of the unlabelled images are healthy, as "
            '"unlabeled": {"0": [...], "1": [...]}; compare without --anomaly-ratios.'
        )
    healthy, anomalous = unlabeled.get("0", []), unlabeled.get("1", [])
    size = max(
        (n for n in range(len(train.get("0", [])) + 1) if all(_fits(n, r, healthy, anomalous) for r in ratios)),
        default=0,
    )
    if size == 0:
        raise UserError(f"{data / DATA_JSON}: there are too few unlabelled images for these anomaly ratios.")
    return {
        ratio: _make(data, output / mixture_name(ratio), content, _mixture(size, ratio, healthy, anomalous))
        for ratio in ratios
    }


def _fits(size: int, ratio: float, healthy: Sequence[str], anomalous: Sequence[str]) -> bool:
    num_anomalous = int(size * ratio)
    return num_anomalous <= len(anomalous) and size - num_anomalous <= len(healthy)


def _mixture(size: int, ratio: float, healthy: Sequence[str], anomalous: Sequence[str]) -> list[str]:
    num_anomalous = int(size * ratio)
    return [*anomalous[:num_anomalous], *healthy[: size - num_anomalous]]


def _make(data: Path, target: Path, content: dict[str, Any], mixture: list[str]) -> Path:
    mixed = content | {"train": content["train"] | {"unlabeled": mixture}}
    path = target / DATA_JSON
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) == mixed:
        return target
    shutil.rmtree(target, ignore_errors=True)
    with write_whole_folder(target) as partial:
        for name in (IMAGES, MASKS):
            if (data / name).is_dir():
                _link(data / name, partial / name)
        write_json(partial / DATA_JSON, mixed)
    return target


def _link(source: Path, link: Path) -> None:
    try:
        link.symlink_to(source.resolve(), target_is_directory=True)
    except OSError:  # Windows lets administrators alone make these
        _link_each_file(source, link)


def _link_each_file(source: Path, link: Path) -> None:
    try:
        shutil.copytree(source, link, copy_function=os.link)
    except OSError as error:
        raise UserError(
            f"{link.parent}: images cannot be linked to here, which --anomaly-ratios needs; choose an --output on the "
            f"disk of {source}, or compare without it."
        ) from error
