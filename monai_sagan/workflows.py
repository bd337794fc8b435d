"""What the command line does, for use from Python: each function runs a config of a bundle."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.utils import ensure_tuple

from monai_sagan.bundle_files import EVALUATION, WEIGHTS
from monai_sagan.bundles import find_bundle, read_settings, require_weights, run_bundle
from monai_sagan.calibration import Calibration
from monai_sagan.config_text import without_markers
from monai_sagan.data import list_cases, list_classes, read_data_json, read_labeled_images
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.errors import UserError, causes_of, explain
from monai_sagan.files import read_tensors
from monai_sagan.networks import SAGANGenerator, published_generator_size
from monai_sagan.processes import first_alone, is_first, num_processes
from monai_sagan.progress import ProgressKind

__all__ = ["calibrate", "evaluate", "import_checkpoint", "predict", "train"]

_RESEARCH_USE = "Research only, not for diagnosis."


def train(
    bundle: str | Path,
    data: str | Path,
    output: str | Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: ProgressKind = "bar",
) -> Path:
    """Trains a bundle on a data set; the result is a bundle of its own.

    Processes that torchrun started train together, see docs/how-to/several-gpus.md.

    Args:
        bundle: the bundle to start from, a folder or the name of one that ships.
        data: a folder in the Med-AD layout; of labelled images, for a classifier.
        output: the new bundle's folder.
        overrides: settings of the new bundle.
        resume: whether to go on with the training in ``output``, if there is one.
        device: "auto", "cpu" or a CUDA device.
        progress: how to report progress.

    Returns:
        ``output``.

    Raises:
        UserError: if something that the user gave cannot be used.
    """
    data, output = Path(data), Path(output).resolve()
    going_on = resume and (output / "configs").is_dir()
    settings = {"dataset_dir": str(data.resolve()), "resume": resume, "progress": progress, **_device(device)}

    def prepare() -> None:
        source = find_bundle(bundle)
        found = _settings_from(data, source)  # before a folder is made
        if going_on and overrides:
            raise UserError(
                f"{', '.join(overrides)}: settings cannot change when a training is resumed; use another --output."
            )
        if not going_on:
            if output.is_dir() and any(output.iterdir()):
                raise UserError(
                    f"{output}: exists already and is not empty; add --resume to go on with it, or choose another "
                    "--output."
                )
            _keep_out(source, output)
            description = {"data_source": without_markers(data.resolve().name), "intended_use": _RESEARCH_USE}
            derive_bundle(source, output, found | dict(overrides or {}), description)

    first_alone(prepare)
    try:
        run_bundle(output, "train", **settings)
    except (KeyboardInterrupt, SystemExit):
        raise  # --resume goes on
    except BaseException as error:
        if is_first() and not going_on and not (output / WEIGHTS).is_file():
            # Nothing was trained: the same command works again once the error is resolved. That is what is told, even
            # where somebody looks into the folder, which Windows keeps then.
            shutil.rmtree(output, ignore_errors=True)
        causes = causes_of(error)
        unfit = isinstance(causes[-1], (TypeError, ValueError))
        if overrides and unfit and not any(isinstance(c, UserError) for c in causes):
            raise UserError(
                f"{', '.join(overrides)}: training does not work with these settings: {explain(error)}"
            ) from error
        raise
    return output


def calibrate(
    bundle: str | Path,
    data: str | Path,
    *,
    false_positive_rate: float = 0.05,
    device: str = "auto",
    progress: ProgressKind = "bar",
) -> Calibration:
    """Lets a bundle know the scores of healthy images that it was not trained on.

    From then on its results have p-values, and a threshold.

    Args:
        bundle: a folder; it is written to.
        data: a folder in the Med-AD layout; its healthy training images are taken, but for those that were trained on.
        false_positive_rate: how many of healthy images may lie above the threshold.
        device: "auto", "cpu" or a CUDA device.
        progress: how to report progress.

    Returns:
        What is kept.

    Raises:
        UserError: if something that the user gave cannot be used.
    """
    root = find_bundle(bundle)
    if not Path(bundle).is_dir():
        raise UserError(
            f"{bundle}: this bundle ships with the package and stays as it is; train one of your own and calibrate "
            "that, or a copy of its folder."
        )
    require_weights(root)
    if "classes" in read_settings(root):
        raise UserError(f"{bundle}: a classifier has no anomaly scores to calibrate; evaluate it, or predict with it.")
    if not os.access((root / WEIGHTS).parent, os.W_OK):
        raise UserError(f"{bundle}: this bundle cannot be written to; copy its folder, and calibrate the copy.")
    workflow = run_bundle(
        root,
        "calibrate",
        dataset_dir=str(Path(data).resolve()),
        false_positive_rate=false_positive_rate,
        progress=progress,
        **_device(device),
    )
    return workflow.evaluator.state.metrics["calibration"]


def evaluate(
    bundle: str | Path, data: str | Path, output: str | Path, *, device: str = "auto", progress: ProgressKind = "bar"
) -> dict[str, Any]:
    """Measures a bundle on labelled images that it was not trained on, and writes ``metrics.json``, ``report.html`` and
    a picture.

    Args:
        bundle: a folder or the name of a bundle that ships.
        data: a folder in the Med-AD layout; of labelled images, for a classifier.
        output: where to write.
        device: "auto", "cpu" or a CUDA device.
        progress: how to report progress.

    Returns:
        The metrics, as in ``metrics.json``.

    Raises:
        UserError: if something that the user gave cannot be used.
    """
    root = find_bundle(bundle)
    require_weights(root)
    _keep_out(root, Path(output).resolve())
    workflow = run_bundle(
        root,
        "evaluate",
        dataset_dir=str(Path(data).resolve()),
        output_dir=str(Path(output).resolve()),
        progress=progress,
        **_device(device),
    )
    return workflow.evaluator.state.metrics["evaluation"]


def predict(
    bundle: str | Path,
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    series: Sequence[str] = (),
    slice_direction: str | None = None,
    output_ext: str = ".nii.gz",
    save_restored: bool = False,
    save_dicom: bool = False,
    map_threshold: float | None = None,
    keep_patient_data: bool = False,
    judge_ood: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    progress: ProgressKind = "bar",
) -> dict[str, int] | None:
    """Maps the anomalies of images and volumes.

    Processes that torchrun started share them out, see docs/how-to/several-gpus.md.

    Args:
        bundle: a folder or the name of a bundle that ships.
        inputs: one or several images, DICOM series, or folders of them.
        output: where to write.
        series: numbers or UIDs of the DICOM series to take; all without.
        slice_direction: along which volumes are cut into slices, see
            :func:`~monai_sagan.transforms.find_slice_axis`; by default as the bundle has it.
        output_ext: ending, and so the format, of the maps.
        save_restored: whether to write the restored images too.
        save_dicom: whether to write DICOM objects too.
        map_threshold: what lies above it in the map is the DICOM segmentation; None for none.
        keep_patient_data: whether the JSON tells who the patient of a DICOM image is.
        judge_ood: whether images unlike those that the bundle was made for have p-values all the same.
        overwrite: whether results that are there are made again.
        device: "auto", "cpu" or a CUDA device.
        progress: how to report progress.

    Returns:
        ``num_done``, ``num_skipped`` (those that were done before) and ``num_failed``, of all processes; None in those
        but the first.

    Raises:
        UserError: if something that the user gave cannot be used; a single bad image only counts as failed.
    """
    if map_threshold is not None and not save_dicom:
        raise UserError("--map-threshold is for the DICOM segmentation; add --dicom, or leave it out.")
    root = find_bundle(bundle)
    require_weights(root)
    _keep_out(root, Path(output).resolve())
    workflow = run_bundle(
        root,
        "inference",
        # A tuple: MONAI runs text that begins with $ in lists, and these are names of files.
        datalist=tuple(first_alone(lambda: list_cases(ensure_tuple(inputs), series))),
        output_dir=str(Path(output).resolve()),
        output_ext=output_ext,
        keep_patient_data=keep_patient_data,
        overwrite=overwrite,
        progress=progress,
        **_asked_of(
            root,
            save_restored=save_restored,
            save_dicom=save_dicom,
            map_threshold=map_threshold,
            judge_ood=judge_ood,
            slice_direction=slice_direction,
        ),
        **_device(device),
    )
    if not is_first():
        return None
    return {key: workflow.evaluator.state.metrics[key] for key in ("num_done", "num_skipped", "num_failed")}


def import_checkpoint(checkpoint: str | Path, target: str | Path) -> Path:
    """Makes a bundle from generator weights that the authors of SAGAN published.

    Args:
        checkpoint: their file.
        target: the new bundle's folder.

    Returns:
        ``target``.

    Raises:
        UserError: if the file holds anything but the published generator's tensors, or ``target`` is not empty.
    """
    checkpoint, target = Path(checkpoint), Path(target)
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


def _keep_out(bundle: Path, output: Path) -> None:
    """Raises a UserError if results would lie among a bundle's own files: they could take their place, and what is made
    of the bundle later would have them too. ``eval`` is where a config that is run by MONAI itself writes to."""
    if output == bundle or (bundle in output.parents and bundle / EVALUATION not in (output, *output.parents)):
        raise UserError(
            f"{output}: this folder is the bundle's own; choose another --output, or {bundle / EVALUATION}."
        )


def _asked_of(bundle: Path, **settings: Any) -> dict[str, Any]:
    """What a user asks for that not every bundle has; raises a UserError if this one has it not."""
    asked = {name: value for name, value in settings.items() if value not in (None, False)}
    known = read_settings(bundle)
    for name in asked:
        if name not in known:
            raise UserError(f"the bundle {bundle.name} has no setting '{name}'; leave the option out.")
    return asked


def _settings_from(data: Path, bundle: Path) -> dict[str, Any]:
    """The settings that a data set decides; raises a UserError if a bundle cannot be trained on it."""
    if "classes" in read_settings(bundle):
        return {"classes": list_classes(read_labeled_images(data))}
    read_data_json(data)
    return {}


def _device(name: str) -> dict[str, torch.device]:
    """The override for a device; none where the bundle chooses itself."""
    if name == "auto":
        return {}
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise ValueError("another kind")
    except (RuntimeError, ValueError) as error:
        raise UserError(f"--device {name}: give auto, cpu or a CUDA device such as cuda:0.") from error
    if device.type == "cuda" and num_processes() > 1:
        raise UserError(f"--device {name}: with torchrun each process has a GPU of its own; leave it out, or give cpu.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"--device {name}: this computer has {torch.cuda.device_count()} CUDA devices; use auto or cpu."
        )
    return {"device": device}
