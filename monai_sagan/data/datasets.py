"""Data sets on MONAI's caches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from monai.data import CacheDataset
from monai.transforms import Transform
from monai.utils import convert_to_tensor, ensure_tuple
from torch.utils.data import Dataset

from monai_sagan.errors import UserError, explain
from monai_sagan.image_names import is_picture
from monai_sagan.processes import join_shares, share_of
from monai_sagan.progress import ProgressKind, Reporter, make_reporter

__all__ = ["CaseDataset", "HealthyUnlabeledDataset", "LabeledDataset", "batch_cases", "prepare_samples"]

# What a training set consists of.
_KINDS = ("healthy", "unlabeled", "selection")


class HealthyUnlabeledDataset(Dataset):
    """Pairs of a healthy and an unlabelled sample, prepared once and kept in memory.

    Nothing relates the two of a pair. Where one kind is fewer, its samples come around again.

    Args:
        data: lists of dictionaries under ``healthy`` and ``unlabeled``, and under ``selection`` further healthy images
            where some are held out from the pairs, as :func:`~monai_sagan.data.load_training_set` gives them.
        transform: deterministic preparation, the same for all; its result holds the samples of an image, (N, C,
            *spatial), as ``image``.
        num_workers: threads that prepare.
        progress: how to report progress.
        in_shares: whether each of the processes that train together prepares its share for all.

    Attributes:
        healthy: samples, (N, C, *spatial).
        unlabeled: samples.
        selection: samples; none where ``data`` has no such list.
        counts: of each of these three, how many samples each image has, in their order; a picture has one.
    """

    def __init__(
        self,
        data: Mapping[str, Sequence[Any]],
        transform: Callable,
        num_workers: int = 2,
        progress: ProgressKind = "none",
        in_shares: bool = False,
    ) -> None:
        lists = {kind: data.get(kind, []) for kind in _KINDS}
        samples = prepare_samples(lists, transform, num_workers, progress, in_shares)
        self.healthy, self.unlabeled = torch.cat(samples["healthy"]), torch.cat(samples["unlabeled"])
        self.selection = torch.cat(samples["selection"]) if samples["selection"] else self.healthy[:0]
        self.counts = {kind: [len(image) for image in images] for kind, images in samples.items()}

    def __len__(self) -> int:
        return max(len(self.healthy), len(self.unlabeled))

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"There are {len(self)} pairs, so none has number {index}.")
        return {
            "image": self.healthy[index % len(self.healthy)],
            "unlabeled": self.unlabeled[index % len(self.unlabeled)],
        }


class LabeledDataset(Dataset):
    """Images of one size with the numbers of their classes, prepared once and kept in memory.

    Args:
        data: dictionaries with ``image`` and ``label``, as
            :func:`~monai_sagan.data.load_labeled_training_set` gives them.
        transform: deterministic preparation; its result holds the image, (C, *spatial), as ``image``.
        augment: changes an image (C, *spatial) at random, each time that it is asked for.
        num_workers: threads that prepare.
        progress: how to report progress.
        in_shares: as for :class:`HealthyUnlabeledDataset`.

    Raises:
        UserError: if an image cannot be prepared, or has another size than the first one.

    Attributes:
        images: as prepared, (N, C, *spatial).
        labels: (N,).
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable,
        augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
        num_workers: int = 2,
        progress: ProgressKind = "none",
        in_shares: bool = False,
    ) -> None:
        images = prepare_samples({"labeled": data}, transform, num_workers, progress, in_shares)["labeled"]
        for case, image in zip(data, images, strict=True):
            if image.shape != images[0].shape:
                raise UserError(
                    f"{_path(case)}: this image has the shape {list(image.shape)}, and the first one "
                    f"{list(images[0].shape)}; resize all images to one size (WholeImaged)."
                )
        self.images = torch.stack(images)
        self.labels = torch.tensor([case["label"] for case in data])
        self.augment = augment

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        image = self.images[index]
        if self.augment is not None:
            image = convert_to_tensor(self.augment(image), track_meta=False)
        return {"image": image, "label": self.labels[index]}


def prepare_samples(
    data: Mapping[str, Sequence[Any]],
    transform: Callable,
    num_workers: int,
    progress: ProgressKind,
    in_shares: bool = False,
) -> dict[str, list[torch.Tensor]]:
    """The prepared image of each case of several lists, by the name of the list.

    Args:
        data: lists of cases by name.
        transform: its result holds the prepared image as ``image``.
        num_workers: threads that prepare.
        progress: how to report progress.
        in_shares: as for :class:`HealthyUnlabeledDataset`.

    Raises:
        UserError: if an image cannot be prepared.
    """
    own = {name: share_of(cases) for name, cases in data.items()} if in_shares else data
    reporter = make_reporter(progress)
    reporter.start(sum(map(len, own.values())), "Preparing images")
    prepare = _Preparation(transform, reporter)
    try:
        samples = {name: _samples(cases, prepare, num_workers) for name, cases in own.items()}
    finally:
        reporter.stop()
    return {name: join_shares(images) for name, images in samples.items()} if in_shares else samples


def _samples(cases: Sequence[Any], prepare: Transform, num_workers: int) -> list[torch.Tensor]:
    cache = CacheDataset(list(cases), prepare, num_workers=num_workers, progress=False)
    return [cache[index]["image"] for index in range(len(cache))]


class _Preparation(Transform):
    """Applies a transform, keeps its image alone, tells that it is done, and lets whatever it raises name the file."""

    def __init__(self, transform: Callable, reporter: Reporter) -> None:
        self.transform = transform
        self.reporter = reporter
        self.lock = Lock()
        self.done = 0

    def __call__(self, data: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        try:
            image = self.transform(data)["image"]
        except Exception as error:
            raise UserError(_sentence(data, error)) from error
        with self.lock:
            self.done += 1
            self.reporter.progress(self.done)
        return {"image": image}


def _path(case: Mapping[str, Any]) -> str:
    """What to call a case: its file, or the folder of its DICOM series."""
    return str(case.get("path", case["image"]))


def _sentence(case: Mapping[str, Any], error: Exception) -> str:
    path, text = _path(case), explain(error)
    return text if str(Path(path)) in text else f"{path}: {text}"


class CaseDataset(Dataset):
    """Cases that are read one by one; what cannot be read becomes a message instead of the end of the run.

    Args:
        data: a dictionary for each case: ``image``, a path or the paths of a DICOM series, and ``path``, what to call
            it, where that is not the image's. One with a ``warning`` instead of an image is passed on as it is.
        transform: what reads and prepares a case.
        find_result: gives the result of a case that is finished already, or None; such a case is not read.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable,
        find_result: Callable[[Mapping[str, Any]], dict[str, Any] | None] | None = None,
    ) -> None:
        self.data = list(data)
        self.transform = transform
        self.find_result = find_result

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One case.

        Args:
            index: its place in the list.

        Returns:
            The prepared case with its ``path``; or without an image: its ``path`` and an ``error``, a sentence that
            names the file; or the ``result`` found, and ``is_skipped``; or a ``warning``.
        """
        case = dict(self.data[index])
        if "warning" in case:
            return case
        case["path"], case["files"] = _path(case), [str(file) for file in ensure_tuple(case["image"])]
        try:
            result = None if self.find_result is None else self.find_result(case)
            if result is not None:
                return {**case, "image": None, "result": result, "is_skipped": True}
            return self.transform(case)
        except Exception as error:  # whatever a reader or transform raises concerns this case alone
            return {key: case[key] for key in ("path", "name") if key in case} | {"error": _sentence(case, error)}


def batch_cases(data: Sequence[Mapping[str, Any]], batch_size: int) -> list[list[int]]:
    """Numbers of the cases that are read at once: pictures together, volumes one by one, for their memory.

    Args:
        data: as for :class:`CaseDataset`.
        batch_size: most pictures at once.

    Returns:
        Lists of numbers, all of them in order.
    """
    batches: list[list[int]] = []
    for are_pictures, group in groupby(range(len(data)), key=lambda number: _is_picture(data[number])):
        numbers = list(group)
        size = batch_size if are_pictures else 1
        batches += [numbers[first : first + size] for first in range(0, len(numbers), size)]
    return batches


def _is_picture(case: Mapping[str, Any]) -> bool:
    image = case.get("image")
    return isinstance(image, (str, Path)) and is_picture(Path(image))
