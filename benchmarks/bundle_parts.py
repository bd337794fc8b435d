"""Parts of the bundle as its configs define them, and a data set to run them on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from PIL import Image

from monai_sagan.bundles import find_bundle, working_directory
from monai_sagan.data import HealthyUnlabeledDataset, phantom_image
from monai_sagan.inferers.precision import gains_by_bfloat16

__all__ = ["BUNDLE", "Restorer", "parse_config", "phantom_images", "training_pairs", "write_images"]

BUNDLE = find_bundle("sagan_anomaly_detection")


def parse_config(config: str, root: Path = BUNDLE, **overrides: Any) -> ConfigParser:
    """A bundle's config, parsed; its parts are made when they are asked for.

    Args:
        config: the name of the config, without ending.
        root: the bundle's folder.
        **overrides: config ids and their values.
    """
    parser = ConfigParser()
    with working_directory(root):
        parser.read_config(str(root / "configs" / f"{config}.json"))
        parser.update({"bundle_root": str(root), **overrides})
        parser.parse()
    return parser


class Restorer:
    """A bundle's network and inferer as ``monai-sagan predict`` sets them up, with the bundle's weights.

    Args:
        root: the bundle's folder.
        device: where to compute.
        image_size: the network's.
        **overrides: config ids and their values.

    Attributes:
        flags: of cuDNN, as the bundle sets them.
        reduced: whether the inferer computes in bfloat16.
    """

    def __init__(self, root: Path, device: torch.device, image_size: list[int], **overrides: Any) -> None:
        parser = parse_config("inference", root, device=device, image_size=image_size, datalist=[], **overrides)
        with torch.backends.cudnn.flags(enabled=True):
            parser.get_parsed_content("initialize")
            cudnn = torch.backends.cudnn
            # The bundle sets them for a whole process; here they hold in its own turns.
            self.flags = {key: getattr(cudnn, key) for key in ("benchmark", "deterministic", "allow_tf32")}
        self.network = parser.get_parsed_content("network").eval()
        self.inferer = parser.get_parsed_content("inferer")
        self.device = device
        self.reduced = self.inferer.amp and gains_by_bfloat16(self.network, device)
        # What the inferer makes of it to run fast on a GPU, with its precision.
        self.fast = self.inferer.prepare(self.network, self.reduced) if device.type == "cuda" else None

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """Anomaly maps of images (N, 1, rows, columns), by the inferer."""
        with torch.backends.cudnn.flags(enabled=True, **self.flags):
            return self.inferer(images, self.network)["anomaly_map"]

    def restore(self, images: torch.Tensor) -> torch.Tensor:
        """Restorations of images on the device, by the network alone, as the inferer runs it."""
        with torch.backends.cudnn.flags(enabled=True, **self.flags), torch.inference_mode():
            if self.fast is not None:
                return self.fast(images)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.reduced):
                return self.network(images)


def phantom_images(count: int, side: int, lesion: bool, seed: int = 0) -> list[np.ndarray]:
    """Pictures of the synthetic phantom, (side, side) of 8 bits; other seeds and kinds give other subjects."""
    rngs = (np.random.default_rng([seed, int(lesion), number]) for number in range(count))
    return [phantom_image(rng, size=(side, side), lesion=lesion)[0] for rng in rngs]


def write_images(folder: Path, count: int, side: int, num_test: int = 0, seed: int = 0) -> Path:
    """Writes a data set in the Med-AD layout: phantoms as PNG, 60% of the unlabelled ones with lesions as published.

    Args:
        folder: the data set's.
        count: of the healthy images to train with, and of the unlabelled ones.
        side: pixels.
        num_test: test images of each class.
        seed: of the phantom.

    Returns:
        ``folder``.
    """
    (folder / "images").mkdir(parents=True)
    num_anomalous = int(0.6 * count)
    healthy = phantom_images(2 * count - num_anomalous + num_test, side, lesion=False, seed=seed)
    anomalous = phantom_images(num_anomalous + num_test, side, lesion=True, seed=seed)
    names: dict[str, list[str]] = {"healthy": [], "anomalous": []}
    for kind, images in (("healthy", healthy), ("anomalous", anomalous)):
        for number, image in enumerate(images):
            names[kind].append(f"{kind}_{number:05d}.png")
            Image.fromarray(image).save(folder / "images" / names[kind][-1])
    unlabeled = {"0": names["healthy"][count : 2 * count - num_anomalous], "1": names["anomalous"][:num_anomalous]}
    test = {
        "0": names["healthy"][2 * count - num_anomalous :],
        "1": names["anomalous"][num_anomalous:],
    }
    content = {"train": {"0": names["healthy"][:count], "unlabeled": unlabeled}, "test": test}
    (folder / "data.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def training_pairs(data: Path, size: list[int], repeat: int = 1) -> HealthyUnlabeledDataset:
    """The training images of a data set, prepared as the bundle does, all of them to train with.

    Args:
        data: in the Med-AD layout.
        size: the network's.
        repeat: how often each is in the set, for one of a usual size from few pictures.
    """
    parser = parse_config(
        "train", dataset_dir=str(data), image_size=size, calibration_share=0.0, selection_share=0.0, progress="none"
    )
    pairs: HealthyUnlabeledDataset = parser.get_parsed_content("train#dataset")
    pairs.healthy, pairs.unlabeled = (images.repeat(repeat, 1, 1, 1) for images in (pairs.healthy, pairs.unlabeled))
    pairs.counts = {kind: counts * repeat for kind, counts in pairs.counts.items()}
    return pairs
