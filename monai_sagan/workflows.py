"""What the command line does, for use from Python: each function runs a config of a bundle."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from monai_sagan.bundles import WEIGHTS, derive_bundle, find_bundle, require_weights, run_bundle
from monai_sagan.data import IMAGE_SUFFIXES, find_images, read_data_json, stem
from monai_sagan.errors import UserError, causes_of, explain
from monai_sagan.files import read_tensors
from monai_sagan.networks import SAGANGenerator, published_generator_size
from monai_sagan.progress import ProgressKind

__all__ = ["evaluate", "import_checkpoint", "list_cases", "predict", "train"]

_RESEARCH_USE = "Research only, not for diagnosis."


def train(
    bundle: str | Path,
    data: Path,
    output: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: ProgressKind = "bar",
) -> Path:
    """Trains a bundle on a data set; the result is a bundle of its own.

    Args:
        bundle: the bundle to start from, a folder or the name of one that ships.
        data: a folder in the Med-AD layout.
        output: the new bundle's folder.
        overrides: settings of the new bundle.
        resume: whether to go on with the training in ``output``, if there is one.
        device: "auto", "cpu" or a CUDA device.
        progress: how to tell how far the training is.

    Returns:
        ``output``.

    Raises:
        UserError: if something that the user gave cannot be used.
    """
    read_data_json(data)  # before a folder is made
    settings = {"dataset_dir": str(data.resolve()), "resume": resume, "progress": progress, **_device(device)}
    output = output.resolve()
    going_on = resume and (output / "configs").is_dir()
    if going_on and overrides:
        raise UserError(
            f"{', '.join(overrides)}: settings cannot change when a training is resumed; use another --output."
        )
    if not going_on:
        if output.is_dir() and any(output.iterdir()):
            raise UserError(
                f"{output}: exists already and is not empty; add --resume to go on with it, or choose another --output."
            )
        description = {"data_source": data.resolve().name, "intended_use": _RESEARCH_USE}
        derive_bundle(find_bundle(bundle), output, overrides or {}, description)
    try:
        run_bundle(output, "train", **settings)
    except BaseException as error:
        if not going_on and not (output / WEIGHTS).is_file():
            shutil.rmtree(output)  # nothing was trained: the same command works again once the error is mended
        causes = causes_of(error)
        if overrides and isinstance(causes[-1], ValueError) and not any(isinstance(c, UserError) for c in causes):
            raise UserError(
                f"{', '.join(overrides)}: training does not work with these settings: {explain(error)}"
            ) from error
        raise
    return output


def evaluate(
    bundle: str | Path, data: Path, output: Path, *, device: str = "auto", progress: ProgressKind = "bar"
) -> dict[str, Any]:
    """Measures a bundle on the test set of a data set, and writes ``metrics.json``, ``report.html`` and
    ``examples.png``.

    Args:
        bundle: a folder or the name of a bundle that ships.
        data: a folder in the Med-AD layout.
        output: where to write.
        device: "auto", "cpu" or a CUDA device.
        progress: how to tell how far it is.

    Returns:
        The metrics, as in ``metrics.json``.

    Raises:
        UserError: if something that the user gave cannot be used.
    """
    root = find_bundle(bundle)
    require_weights(root)
    workflow = run_bundle(
        root,
        "evaluate",
        dataset_dir=str(data.resolve()),
        output_dir=str(output.resolve()),
        progress=progress,
        **_device(device),
    )
    return workflow.evaluator.state.metrics["evaluation"]


def predict(
    bundle: str | Path,
    inputs: Sequence[Path],
    output: Path,
    *,
    output_ext: str = ".nii.gz",
    save_restored: bool = False,
    device: str = "auto",
    progress: ProgressKind = "bar",
) -> dict[str, int]:
    """Maps the anomalies of images and volumes.

    Args:
        bundle: a folder or the name of a bundle that ships.
        inputs: images, or folders of them.
        output: where to write.
        output_ext: ending, and so the format, of the maps.
        save_restored: whether to write the restored images too.
        device: "auto", "cpu" or a CUDA device.
        progress: how to tell how far it is.

    Returns:
        ``num_done`` and ``num_failed``.

    Raises:
        UserError: if something that the user gave cannot be used; a single bad image only counts as failed.
    """
    root = find_bundle(bundle)
    require_weights(root)
    workflow = run_bundle(
        root,
        "inference",
        datalist=list_cases(inputs),
        output_dir=str(output.resolve()),
        output_ext=output_ext,
        save_restored=save_restored,
        progress=progress,
        **_device(device),
    )
    return {key: workflow.evaluator.state.metrics[key] for key in ("num_done", "num_failed")}


def list_cases(inputs: Sequence[Path]) -> list[dict[str, str]]:
    """The images among files and folders, each with a name of its own for its results.

    Args:
        inputs: files, and folders that are searched with all that is in them.

    Returns:
        ``{"image": path, "name": name}``; the name repeats the folders below the one that was given, and keeps the
        file's ending only where names would be the same without.

    Raises:
        UserError: if an input does not exist, or a folder holds no image.
    """
    found: dict[Path, Path] = {}
    for given in inputs:
        if not given.exists():
            raise UserError(f"{given}: there is no such file or folder.")
        images = find_images(given) if given.is_dir() else [given]
        if not images:
            raise UserError(f"{given}: this folder holds no image ({', '.join(IMAGE_SUFFIXES)}).")
        home = given if given.is_dir() else given.parent
        found |= {path.resolve(): path.relative_to(home) for path in images}
    short = {path: str(relative.with_name(stem(relative))) for path, relative in found.items()}
    times = Counter(short.values())
    full = {path: name if times[name] == 1 else str(found[path]) for path, name in short.items()}
    repeated = [name for name, count in Counter(full.values()).items() if count > 1]
    if repeated:
        raise UserError(
            f"{repeated[0]}: two of the images given have this name; give them to two runs with two outputs."
        )
    return [{"image": str(path), "name": name} for path, name in full.items()]


def import_checkpoint(checkpoint: Path, target: Path) -> Path:
    """Makes a bundle from generator weights that the authors of SAGAN published.

    Args:
        checkpoint: their file.
        target: the new bundle's folder.

    Returns:
        ``target``.

    Raises:
        UserError: if the file holds anything but the published generator's tensors, or ``target`` is not empty.
    """
    state = read_tensors(checkpoint)
    try:
        if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
            raise ValueError("This is no dictionary of tensors; give the generator's weights as they were published.")
        size = published_generator_size(state)
        generator = SAGANGenerator(**size)
        generator.load_published_state_dict(state)
    except ValueError as error:
        raise UserError(f"{checkpoint}: {error}") from error
    description = {
        "data_source": f"weights published by the authors of SAGAN, {checkpoint.name}",
        "intended_use": _RESEARCH_USE,
    }
    overrides = {"image_size": [64, 64], "patch_grid": 2, **size}
    derive_bundle(
        find_bundle("sagan_anomaly_detection"), target.resolve(), overrides, description, generator.state_dict()
    )
    return target


def _device(name: str) -> dict[str, torch.device]:
    """The override for a device; none where the bundle chooses itself."""
    if name == "auto":
        return {}
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"--device {name}: give auto, cpu or a CUDA device such as cuda:0.") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"--device {name}: give auto, cpu or a CUDA device such as cuda:0.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"--device {name}: this computer has {torch.cuda.device_count()} CUDA devices; use auto or cpu."
        )
    return {"device": device}
