"""How many images of something else a bundle tells from those that it was made for.

    python benchmarks/out_of_distribution.py DATA

DATA holds folders in the Med-AD layout (with a data.json) and folders of classes. For each data set, and for each class
of the others, over several splits: a bundle learns what its images look like, is calibrated with the healthy images set
aside, and judges test images of its own and of other kinds, all by the entries of the bundle's config. Of a class, 195
images are healthy, 25 unlabelled and 30 the test. Writes benchmarks/results/out_of_distribution_cpu.json and prints
the table of docs/results/out_of_distribution.md: the share flagged, mean over the splits and, in brackets, the worst.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from PIL import Image
from result_files import parse_arguments, write_result
from scipy.stats import betabinom
from sklearn.datasets import load_sample_images

from monai_sagan.bundles import find_bundle
from monai_sagan.calibration import conformal_p_value
from monai_sagan.data import load_calibration_set, load_test_set, phantom_image, write_trained_on
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.markdown import markdown_table

RATE = 0.05
TRAINED, UNLABELED = 195, 25  # of a class; the rest is the test
BLOCKS = 8  # a side
OWN, ANOMALOUS = "own, healthy", "own, anomalous"

Pixels = np.ndarray  # (rows, columns) or (rows, columns, 3), uint8


def shuffle_blocks(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    rows, columns = (side // BLOCKS for side in pixels.shape)
    whole = pixels[: rows * BLOCKS, : columns * BLOCKS]
    parts = whole.reshape(BLOCKS, rows, BLOCKS, columns).transpose(0, 2, 1, 3).reshape(-1, rows, columns)
    mixed = rng.permutation(parts).reshape(BLOCKS, BLOCKS, rows, columns)
    return mixed.transpose(0, 2, 1, 3).reshape(whole.shape)


def resized(pixels: Pixels, factor: float) -> Pixels:
    size = [round(factor * side) for side in pixels.shape[::-1]]
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


# What is made of the test images of a bundle's own kind.
MADE_UP: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "inverted": lambda pixels, rng: 255 - pixels,
    "pixels shuffled": lambda pixels, rng: rng.permutation(pixels.ravel()).reshape(pixels.shape),
    "blocks shuffled": shuffle_blocks,
    "upside down": lambda pixels, rng: pixels[::-1],
    "turned by 90 degrees": lambda pixels, rng: pixels.T,
}
HARMLESS: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "twice the pixels": lambda pixels, rng: resized(pixels, 2),
    "three quarters of the pixels": lambda pixels, rng: resized(pixels, 0.75),
    "shifted by 1.6%": lambda pixels, rng: np.roll(pixels, round(len(pixels) / 64), axis=(0, 1)),
    "10% brighter": lambda pixels, rng: (1.1 * pixels).clip(0, 255).astype(np.uint8),
    "gamma 1.2": lambda pixels, rng: (255 * (pixels / 255) ** 1.2).round().astype(np.uint8),
}


def other_images() -> dict[str, list[Pixels]]:
    """Pictures that are of none of the kinds."""
    rng = np.random.default_rng(0)
    photos = [photo[y : y + 128, x : x + 128] for photo in load_sample_images().images for y in (0, 128, 256)
              for x in range(0, 512, 128)]  # fmt: skip
    return {
        "noise": [rng.integers(0, 256, (128, 128)).astype(np.uint8) for _ in range(24)],
        "plain grey, one level of noise": [rng.integers(127, 129, (128, 128)).astype(np.uint8) for _ in range(24)],
        "photographs, grey": [photo.mean(axis=2).astype(np.uint8) for photo in photos],
        "photographs, colour": photos,
        "the phantom": [phantom_image(np.random.default_rng(n), size=(128, 128), lesion=False)[0] for n in range(24)],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--splits", type=int, default=5)
    arguments = parse_arguments(parser, argv, is_of_cpu=True)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.data.resolve())
        rows = [row for kind in bench.kinds for split in range(arguments.splits) for row in bench.run(kind, split)]
    times = bench.times()
    arguments.given = [text.removeprefix(f"{arguments.data.parent}/") for text in arguments.given]
    arguments.data = arguments.data.name  # where it lies is nobody's business
    write_result("out_of_distribution", arguments, {"rows": rows, **times})
    print(make_table(rows))
    print(f"\nmilliseconds an image: {times['milliseconds']:.2f}, seconds to learn: {times['seconds']:.1f}")


class Bench:
    """Bundles, images and what they are judged by.

    Args:
        folder: to work in.
        data: the data sets.
    """

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder = folder
        self.sets = {path.name: path for path in sorted(data.iterdir()) if (path / "data.json").is_file()}
        others = [path for path in sorted(data.iterdir()) if path.is_dir() and path.name not in self.sets]
        classes = [one for path in others for one in sorted(path.iterdir()) if any(one.glob("*.jp*g"))]
        self.classes = {path.name: sorted(path.iterdir()) for path in classes}
        self.kinds = [*self.sets, *self.classes]
        self.root = folder / "bundle"
        derive_bundle(find_bundle("sagan_anomaly_detection"), self.root, {}, {})
        os.chdir(self.root)  # macros in configs name files from there
        self.prepare = self._config("inference").get_parsed_content("preprocessing")
        self.prepared: dict[Path, dict[str, Any]] = {}
        self.fixed = {name: self._write(name, pictures) for name, pictures in other_images().items()}
        self.seconds: list[float] = []
        self.milliseconds: list[float] = []

    def times(self) -> dict[str, float]:
        """Medians."""
        return {"seconds": statistics.median(self.seconds), "milliseconds": statistics.median(self.milliseconds)}

    def run(self, kind: str, split: int) -> list[dict[str, Any]]:
        """One split of one kind: rows with the share of each group of images that is flagged."""
        data = self.sets.get(kind) or self._layout(kind, split)
        train = self._config("train", dataset_dir=str(data), calibration_seed=split, seed=split, progress="none")
        listed = train.get_parsed_content("train#data")
        train.get_parsed_content("train#dataset")
        begin = time.perf_counter()
        train.get_parsed_content("familiarity").run()
        self.seconds.append(time.perf_counter() - begin)
        recognise = self._config("inference").get_parsed_content("recognising")
        trained_on = self.folder / "trained_on.txt"
        write_trained_on(trained_on, [case for part in listed.values() for case in part])
        aside = [Path(case["image"]) for case in load_calibration_set(data, trained_on)]
        healthy = [self._judge(path, recognise)["ood_score"] for path in aside]
        rows = []
        for group, paths in self._groups(kind, data).items():
            flags = []
            for path in paths:
                case = self._judge(path, recognise)
                flags.append(bool(case["mismatches"]) or conformal_p_value(case["ood_score"], healthy) <= RATE)
            row = {"made_for": kind, "split": split, "images": group, "count": len(flags), "flagged": sum(flags)}
            rows.append(row | {"calibrated_with": len(healthy)})
        return rows

    def _groups(self, kind: str, data: Path) -> dict[str, list[Path]]:
        tested = load_test_set(data)
        own = [Path(case["image"]) for case in tested if case["label"] == 0]
        groups = {OWN: own, ANOMALOUS: [Path(case["image"]) for case in tested if case["label"] == 1]}
        for name, change in (HARMLESS | MADE_UP).items():
            groups[name] = [self._changed(path, name, change) for path in own]
        groups |= {name: paths for name, paths in self.classes.items() if name != kind}
        for name, path in self.sets.items():
            if name != kind:
                groups[name] = [Path(case["image"]) for case in load_test_set(path) if case["label"] == 0]
        return {name: paths for name, paths in (groups | self.fixed).items() if paths}

    def _judge(self, path: Path, recognise: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        if path not in self.prepared:
            self.prepared[path] = self.prepare({"image": str(path)})
        begin = time.perf_counter()
        judged = recognise(self.prepared[path])
        self.milliseconds.append(1000 * (time.perf_counter() - begin))
        return judged

    def _changed(self, path: Path, name: str, change: Callable[[Pixels, np.random.Generator], Pixels]) -> Path:
        target = self.folder / "changed" / name / f"{path.parent.name}_{path.stem}.png"
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(path) as image:
                pixels = np.array(image.convert("L"))
            Image.fromarray(np.ascontiguousarray(change(pixels, np.random.default_rng(0)))).save(target)
        return target

    def _write(self, name: str, pictures: list[Pixels]) -> list[Path]:
        folder = self.folder / "fixed" / name
        folder.mkdir(parents=True)
        for number, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(folder / f"{number}.png")
        return sorted(folder.iterdir())

    def _layout(self, kind: str, split: int) -> Path:
        """A class as a data set."""
        root = self.folder / f"{kind}_{split}"
        (root / "images").mkdir(parents=True)
        names = []
        for path in self.classes[kind]:
            (root / "images" / path.name).symlink_to(path)
            names.append(path.name)
        random.Random(split).shuffle(names)  # noqa: S311  no secret
        train = {"0": names[:TRAINED], "unlabeled": names[TRAINED : TRAINED + UNLABELED]}
        content = {"train": train, "test": {"0": names[TRAINED + UNLABELED :], "1": []}}
        (root / "data.json").write_text(json.dumps(content), encoding="utf-8")
        return root

    def _config(self, name: str, **overrides: Any) -> ConfigParser:
        parser = ConfigParser(ConfigParser.load_config_file(f"configs/{name}.json"))
        parser.read_meta("configs/metadata.json")
        parser.update({"bundle_root": str(self.root), **overrides})
        return parser


def make_table(rows: list[dict[str, Any]]) -> str:
    """Shares flagged, as Markdown."""
    kinds = list(dict.fromkeys(row["made_for"] for row in rows))
    groups = [OWN, ANOMALOUS, *HARMLESS, *MADE_UP]
    groups += [one for one in dict.fromkeys(row["images"] for row in rows) if one not in groups]
    cells = [[group, *(_cell(rows, kind, group) for kind in kinds)] for group in groups]
    cells.append(["splits with more false alarms than chance", *(_alarms(rows, kind) for kind in kinds)])
    return markdown_table(["flagged of", *kinds], cells)


def _of(rows: list[dict[str, Any]], kind: str, group: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["made_for"] == kind and row["images"] == group]


def _cell(rows: list[dict[str, Any]], kind: str, group: str) -> str:
    shares = [row["flagged"] / row["count"] for row in _of(rows, kind, group)]
    if not shares:
        return ""
    end = max(shares) if group in (OWN, ANOMALOUS, *HARMLESS) else min(shares)
    return f"{statistics.mean(shares):.2f} ({end:.2f})"


def _alarms(rows: list[dict[str, Any]], kind: str) -> str:
    """Of the splits, in how many more are flagged than the 95% interval of what is promised allows."""
    found = _of(rows, kind, OWN)
    over = 0
    for row in found:
        places = int(RATE * (row["calibrated_with"] + 1) + 1e-9)
        over += row["flagged"] > betabinom(row["count"], places, row["calibrated_with"] + 1 - places).ppf(0.975)
    return f"{over} of {len(found)}"


if __name__ == "__main__":
    main()
