"""Writing the images of a data set, several at a time."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image

from monai_sagan.data import CaseReader
from monai_sagan.errors import ImageError, such_as
from monai_sagan.progress import Reporter
from monai_sagan.transforms import ScaleToNetworkRange, resize

__all__ = ["Written", "copy_image", "note_repeated", "write_images", "write_png"]


@dataclass
class Written:
    """What became of images.

    Args:
        errors: a sentence for each image that could not be used.
        repeated: images that are the very same as one before, and that one.
    """

    errors: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, str] = field(default_factory=dict)


def write_images(targets: Mapping[str, Path], write: Callable[[str, Path], None], reporter: Reporter) -> Written:
    """Writes images by a few threads; the result does not depend on how many there are.

    Args:
        targets: the file to make of each image.
        write: writes an image to a file, or raises an :class:`ImageError`.
        reporter: told how far it is; it has started.

    Returns:
        What became of them; of one that could not be used, no file is left.
    """

    def write_one(name: str) -> str | ImageError:
        target = targets[name]
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(name, target)
        except ImageError as error:
            target.unlink(missing_ok=True)
            return error
        return hashlib.sha256(target.read_bytes()).hexdigest()

    written = Written()
    first: dict[str, str] = {}
    with closing(_first_alone(write_one, targets)) as outcomes:
        for done, (name, outcome) in enumerate(zip(targets, outcomes), start=1):
            if isinstance(outcome, ImageError):
                written.errors[name] = str(outcome)
            elif first.setdefault(outcome, name) != name:
                written.repeated[name] = first[outcome]
            reporter.progress(done)
    return written


def _first_alone(
    write_one: Callable[[str], str | ImageError], names: Iterable[str]
) -> Generator[str | ImageError, None, None]:
    """Writes images up to the first usable one alone, and the others by threads.

    When ITK reads its first file it loads parts of itself, and meanwhile works in a folder of its own: no other thread
    could follow a relative path.
    """
    rest = iter(names)
    for name in rest:
        outcome = write_one(name)
        yield outcome
        if not isinstance(outcome, ImageError):
            break
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        yield from pool.map(write_one, rest)
    finally:
        pool.shutdown(cancel_futures=True)


def note_repeated(written: Written) -> list[str]:
    """Sentences about images that are the same: one in training and one in the test set would flatter a result."""
    pairs = [f"{name} = {first}" for name, first in written.repeated.items()]
    return [f"The very same image under two names: {such_as(pairs)}."] if pairs else []


def copy_image(path: Path, target: Path) -> None:
    """Copies an image as it is.

    Args:
        path: the image.
        target: the file to make.

    Raises:
        ImageError: if it cannot be used.
    """
    CaseReader().get_data(path)
    shutil.copyfile(path, target)


def write_png(path: Path, target: Path, size: int) -> None:
    """Writes a greyscale image as 8-bit PNG, of which only the pixels are left.

    8-bit values stay as they are, others are scaled as :class:`monai_sagan.transforms.ScaleToNetworkRange` does. A
    larger image is shrunk, and keeps its proportions.

    Args:
        path: the image.
        target: the file to make.
        size: pixels of the longer side, at most.

    Raises:
        ImageError: if it cannot be used.
    """
    array, _ = CaseReader().get_data(path)
    plane = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if plane.ndim != 2:
        raise ImageError(path, "this is no greyscale image of one plane, as a radiograph is; leave it out.")
    image = torch.as_tensor(ScaleToNetworkRange()(plane.T[None, None]))  # files are read x first
    longer = max(plane.shape)
    if longer > size:
        image = resize(image, [max(1, round(side * size / longer)) for side in image.shape[2:]])
    grey = ((image[0, 0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    Image.fromarray(grey.numpy()).save(target)
