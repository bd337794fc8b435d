"""The experiment of the paper on global spatial attention: networks with and without it, over seeds.

Source: Xu et al., arXiv 2007.15897; the division into repetitions and the test are this project's.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from monai_sagan.bundle_files import TRAINED_ON
from monai_sagan.comparison.attention_table import comparison_table
from monai_sagan.comparison.trials import Trial, keep_settings, run_share, spread
from monai_sagan.data import read_labeled_images
from monai_sagan.errors import UserError
from monai_sagan.files import write_json, write_whole
from monai_sagan.metrics import paired_difference
from monai_sagan.networks.global_spatial_attention import TRAINED_SOURCES, AttentionSource
from monai_sagan.processes import own_device
from monai_sagan.progress import ProgressKind
from monai_sagan.report import draw_mean_weight_maps
from monai_sagan.workflows import evaluate, train

__all__ = ["compare_attention"]

_BUNDLE = "global_attention_classification"
_MEASURES = ("accuracy", "macro_auc")


@dataclass(frozen=True)
class _Trial(Trial):
    """One training; its seed is also that of the division into training and test.

    Args:
        backbone: name of the network.
        attention: where the attention's features come from; "none" without.
    """

    backbone: str
    attention: str

    def num_trained_on(self) -> int:
        return len((self.bundle / TRAINED_ON).read_text(encoding="utf-8").split())


def compare_attention(
    data: Path,
    output: Path,
    backbones: Sequence[str],
    *,
    num_seeds: int = 5,
    source: AttentionSource = "statistics",
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: ProgressKind = "bar",
) -> dict[str, Any] | None:
    """Trains each network with and without attention, and compares how well they classify.

    A seed decides how the images are divided into training and test, unless the data set says so itself, and the
    training; with and without attention share it. Interrupted, it goes on where it was. Started by torchrun, the
    processes share the trainings out, each on a GPU of its own, and the last one to be done makes the table.

    Args:
        data: a folder of labelled images, see :func:`~monai_sagan.data.read_labeled_images`.
        output: where the trainings, ``comparison.json``, ``comparison.md`` and ``weight_maps.png`` go.
        backbones: names of networks, see :func:`~monai_sagan.networks.make_backbone`.
        num_seeds: repetitions.
        source: where the attention's features come from.
        overrides: settings of the bundle, for all trainings.
        device: "auto", "cpu" or a CUDA device; with torchrun, "auto" gives each process its own GPU.
        progress: how to tell how many trainings are done.

    Returns:
        What is in ``comparison.json``; None where other processes are not done yet.

    Raises:
        UserError: if something that the user gave cannot be used, or the folder holds a comparison with other settings.
    """
    if num_seeds < 1:
        raise UserError(f"seeds must be at least 1, not {num_seeds}.")
    if not backbones or len(set(backbones)) < len(backbones):
        raise UserError("backbones must be names of networks, each given once.")
    if source not in TRAINED_SOURCES:
        raise UserError(f"the attention's source must be one of {', '.join(TRAINED_SOURCES)}, not {source}.")
    images = read_labeled_images(data)
    settings: dict[str, Any] = {"source": source, "overrides": dict(overrides or {}), "data": data.resolve().name}
    keep_settings(output, settings)
    trials = [
        _Trial(
            output / name / ("plain" if attention == "none" else "attention") / f"seed_{seed}", seed, name, attention
        )
        for name, seed, attention in itertools.product(backbones, range(num_seeds), ("none", source))
    ]
    device = str(own_device()) if device == "auto" else device
    run_share(trials, lambda trial: _run(trial, data, settings["overrides"], device), progress)
    if not all(trial.is_done for trial in trials):
        return None
    is_divided_anew = not any(image.part for image in images)
    return _write(trials, output, settings, is_divided_anew)


def _run(trial: _Trial, data: Path, overrides: Mapping[str, Any], device: str) -> None:
    settings = {
        "backbone_settings": {},
        **overrides,
        "backbone": trial.backbone,
        "attention": trial.attention,
        "seed": trial.seed,
        "split_seed": trial.seed,
    }
    is_begun = (trial.bundle / "configs").is_dir()
    overrides = {} if is_begun else settings
    train(_BUNDLE, data, trial.bundle, overrides=overrides, resume=True, device=device, progress="none")
    evaluate(trial.bundle, data, trial.evaluation, device=device, progress="none")
    gc.collect()  # engines and their handlers refer to each other, and so keep a training's network in memory


def _write(
    trials: Sequence[_Trial], output: Path, settings: Mapping[str, Any], is_divided_anew: bool
) -> dict[str, Any]:
    by_backbone = {name: list(group) for name, group in itertools.groupby(trials, key=lambda trial: trial.backbone)}
    comparison = {
        **settings,
        "num_seeds": len({trial.seed for trial in trials}),
        "is_divided_anew": is_divided_anew,
        "backbones": {name: _summary(group, is_divided_anew) for name, group in by_backbone.items()},
    }
    write_json(output / "comparison.json", comparison)
    with write_whole(output / "comparison.md") as partial:
        partial.write_text(comparison_table(comparison), encoding="utf-8")
    maps = {
        name: [trial.evaluation / "weight_map.npz" for trial in group if trial.attention != "none"]
        for name, group in by_backbone.items()
    }
    draw_mean_weight_maps(maps, output / "weight_maps.png")
    return comparison


def _summary(trials: Sequence[_Trial], is_divided_anew: bool) -> dict[str, Any]:
    """What one network reached, with and without attention."""
    metrics = {trial: trial.metrics() for trial in trials}
    test_to_train = 0.0
    if is_divided_anew:
        test_to_train = fmean(metrics[trial]["num_cases"] / trial.num_trained_on() for trial in trials)
    summary: dict[str, Any] = {}
    for measure in _MEASURES:
        if any(metrics[trial][measure] is None for trial in trials):
            continue  # a test set without one of the classes has no AUC
        values = {
            kind: [metrics[trial][measure]["value"] for trial in trials if (trial.attention != "none") == is_with]
            for kind, is_with in (("with", True), ("without", False))
        }
        summary[measure] = {kind: spread(found) for kind, found in values.items()}
        summary[measure]["difference"] = asdict(paired_difference(values["with"], values["without"], test_to_train))
    return summary
