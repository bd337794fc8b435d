"""How many copies of training images a bundle knows again by how they look, and how many others it takes for some.

    python benchmarks/copies.py DATA...

learns what the training images of each data set (in the Med-AD layout) look like, as a training does, and looks at
copies of up to 300 of them, in other formats and sizes, and at the test images. Writes
benchmarks/results/copies_cpu.json and prints the table in docs/results/out_of_distribution.md.
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from bundle_parts import parse_config
from PIL import Image
from result_files import parse_arguments, write_result

from monai_sagan.data import load_test_set
from monai_sagan.familiarity import Likeness
from monai_sagan.markdown import markdown_table
from monai_sagan.transforms import NetworkSamples

__all__ = ["COPIES", "measure"]

MOST = 300  # copies of a kind

Save = Callable[[Image.Image, Path], None]


def save_as(ending: str, share: float = 1.0, **options: Any) -> tuple[str, Save]:
    """The ending of a copy, and what writes it at a share of the picture's pixels a side."""

    def save(picture: Image.Image, path: Path) -> None:
        size = [max(1, round(share * side)) for side in picture.size]
        picture.resize(size, Image.Resampling.BICUBIC).save(path, **options)

    return ending, save


COPIES = {
    "the same file": None,
    "TIFF": save_as(".tif"),
    "JPEG, quality 95": save_as(".jpg", quality=95),
    "JPEG, quality 75": save_as(".jpg", quality=75),
    "half the pixels a side": save_as(".png", 0.5),
}
OTHERS = "other images (the test set)"


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    arguments = parse_arguments(parser, argv, is_of_cpu=True)
    found = {folder.name: measure(folder) for folder in arguments.data}
    arguments.given = [folder.name for folder in arguments.data]  # where they lie is nobody's business
    arguments.data = arguments.given
    write_result("copies", arguments, {"known": found})
    rows = [
        [kind, *(f"{known[kind]['known']} of {known[kind]['images']}" for known in found.values())]
        for kind in (*COPIES, OTHERS)
    ]
    print(markdown_table(["known again, of", *found], rows))


def measure(folder: Path) -> dict[str, dict[str, int]]:
    """For each kind of images how many there are, and how many are ``known``.

    Args:
        folder: of the data set.
    """
    parser = parse_config("train", dataset_dir=str(folder), image_size=[64, 64], progress="none")
    trained = parser.get_parsed_content("train#dataset")
    likeness = Likeness.fit(torch.cat([trained.healthy, trained.selection, trained.unlabeled]))
    prepare, samples = parser.get_parsed_content("preprocessing"), NetworkSamples([64, 64])

    def look(files: Sequence[Path]) -> dict[str, int]:
        pictures = torch.cat([samples(prepare({"image": str(file)})["image"]) for file in files])
        return {"images": len(files), "known": int(likeness.compare(pictures)[1].sum())}

    lists = parser.get_parsed_content("train#data")
    known = [Path(case["image"]) for kind in ("healthy", "selection", "unlabeled") for case in lists[kind]]
    chosen = known[:: -(-len(known) // MOST)]
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        for kind, copying in COPIES.items():
            files = chosen
            if copying is not None:
                ending, save = copying
                files = [Path(temporary) / f"{number}{ending}" for number in range(len(chosen))]
                for source, file in zip(chosen, files):
                    with Image.open(source) as picture:
                        save(picture.convert("L"), file)
            found[kind] = look(files)
    found[OTHERS] = look([Path(case["image"]) for case in load_test_set(folder)])
    return found


if __name__ == "__main__":
    main()
