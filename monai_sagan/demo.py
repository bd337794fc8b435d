"""The whole way on a synthetic phantom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monai_sagan.data import write_phantom, write_phantom_volumes
from monai_sagan.progress import ProgressKind
from monai_sagan.report import draw_volume
from monai_sagan.workflows import calibrate, evaluate, predict, train

__all__ = ["DEMO_SETTINGS", "run_demo"]

# A fifth of them is set aside to calibrate with.
_NUM_HEALTHY = 200
# To calibrate with. Of fewer, the one that the network draws worst would decide what a finding is.
_NUM_HEALTHY_VOLUMES = 80

# Chosen on the phantom with another seed. The critic has to be strong from the first steps on, since there are few.
DEMO_SETTINGS = {
    "critic_steps": 400,
    "critic_base_channels": 24,
    "contrast_steps": 80,
    "learning_rate": 2e-4,
    "identity_weight": 10.0,
    "restoration_weight": 10.0,
}


def run_demo(output: Path, *, device: str = "auto", progress: ProgressKind = "bar") -> dict[str, Any]:
    """Makes phantoms, trains on images, calibrates, evaluates on images and on volumes, and maps a volume.

    Run again, it keeps the phantoms, goes on with a training that was interrupted, and makes the results again.

    Args:
        output: folder for everything: ``data``, ``data_volumes``, ``bundle``, ``evaluation``, ``evaluation_volumes``,
            ``volume`` and ``volume.png``.
        device: "auto", "cpu" or a CUDA device.
        progress: how to report progress.

    Returns:
        The metrics of the evaluation on images, and, as ``volumes``, on volumes.
    """
    data, volumes, bundle = output / "data", output / "data_volumes", output / "bundle"
    write_phantom(data, num_healthy=_NUM_HEALTHY)
    write_phantom_volumes(volumes, num_healthy=_NUM_HEALTHY_VOLUMES)
    settings = {} if (bundle / "configs").is_dir() else DEMO_SETTINGS
    train("sagan_anomaly_detection", data, bundle, overrides=settings, resume=True, device=device, progress=progress)
    for healthy in (data, volumes):
        calibrate(bundle, healthy, device=device, progress=progress)
    metrics = evaluate(bundle, data, output / "evaluation", device=device, progress=progress)
    of_volumes = evaluate(bundle, volumes, output / "evaluation_volumes", device=device, progress=progress)
    volume = data / "volumes" / "phantom_lesion.nii.gz"
    maps = output / "volume"
    predict(bundle, [volume], maps, save_restored=True, overwrite=True, device=device, progress=progress)
    result = json.loads((maps / "phantom_lesion_anomaly.json").read_text(encoding="utf-8"))
    draw_volume(
        volume,
        maps / "phantom_lesion_deviation.nii.gz",
        maps / "phantom_lesion_restored.nii.gz",
        result["slice_scores"],
        output / "volume.png",
        slice_axis=result["slice_axis"],
        is_deviation=True,
    )
    return {**metrics, "volumes": of_volumes}
