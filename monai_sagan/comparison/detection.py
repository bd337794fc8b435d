"""Methods of anomaly detection side by side: one budget, several seeds, one test set that nothing is chosen on."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_sagan.bundles import find_bundle, read_config
from monai_sagan.comparison.budget import plan_steps, seconds_per_step
from monai_sagan.comparison.child import run_child
from monai_sagan.comparison.detection_figure import draw_areas
from monai_sagan.comparison.detection_table import detection_table
from monai_sagan.comparison.methods import METHODS, Method
from monai_sagan.comparison.mixtures import check_ratios, make_mixtures, mixture_name
from monai_sagan.comparison.trials import Trial, keep_settings, require_settings, run_share, spread
from monai_sagan.data import load_test_set, load_training_set
from monai_sagan.data.layout import DATA_JSON
from monai_sagan.errors import UserError
from monai_sagan.files import write_json, write_whole
from monai_sagan.metrics import delong_difference, image_auc
from monai_sagan.processes import first_alone, own_device
from monai_sagan.progress import ProgressKind

__all__ = ["DEFAULT_METHODS", "compare_detection"]

DEFAULT_METHODS = ("sagan", "sagan-published", "classifier", "autoencoder", "variational", "denoising")
# A variance needs so many images of each class.
_FEWEST = 2
_COSTS = ("seconds", "images_per_second", "peak_memory_mib", "peak_gpu_memory_mib")


@dataclass(frozen=True)
class _Trial(Trial):
    """One training.

    Args:
        name: of the method.
        data: the data set.
    """

    name: str
    data: Path

    @property
    def method(self) -> Method:
        return METHODS[self.name]

    @property
    def is_done(self) -> bool:
        return (self.folder / "measured.json").is_file()

    def measured(self) -> dict[str, Any]:
        return json.loads((self.folder / "measured.json").read_text(encoding="utf-8"))

    def scores(self) -> dict[str, tuple[int, float]]:
        """Label and score of each test image by its name."""
        with (self.evaluation / "scores.csv").open(encoding="utf-8", newline="") as file:
            return {row["name"]: (int(row["label"]), float(row["anomaly_score"])) for row in csv.DictReader(file)}


def compare_detection(
    data: Path,
    output: Path,
    methods: Sequence[str] = DEFAULT_METHODS,
    *,
    num_seeds: int = 5,
    minutes: float = 4.0,
    anomaly_ratios: Sequence[float] = (),
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: ProgressKind = "bar",
) -> dict[str, Any] | None:
    """Trains each method with each seed for the same time, and compares how well they find anomalies.

    How long a step of a method takes is measured once; the number of steps follows, is written to ``budget.json``, and
    is the same for all seeds. Interrupted, it goes on with the trainings that are not done. Started by torchrun, the
    processes share the trainings out, each on a GPU of its own, and the last one to be done makes the table.

    Args:
        data: a folder in the Med-AD layout, with labelled test images.
        output: where the trainings, ``budget.json``, ``comparison.json``, ``comparison.md`` and ``comparison.png`` go.
        methods: names of ``METHODS``; the first is compared with each of the others.
        num_seeds: repetitions.
        minutes: of training, for each method and seed.
        anomaly_ratios: shares of anomalous images in the unlabelled set to repeat everything with; none for the data
            set as it is, with the ratio that the bundles have by themselves.
        overrides: settings for the methods whose bundles have them.
        device: "auto", "cpu" or a CUDA device; with torchrun, "auto" gives each process its own GPU.
        progress: how to tell how many trainings are done.

    Returns:
        What is in ``comparison.json``; None where other processes are not done yet.

    Raises:
        UserError: if something that the user gave cannot be used, or the folder holds a comparison with other settings.
    """
    chosen, given = _checked_methods(methods), dict(overrides or {})
    if num_seeds < 1:
        raise UserError(f"seeds must be at least 1, not {num_seeds}.")
    if not minutes > 0:
        raise UserError(f"minutes must be above 0, not {minutes}.")
    _check_overrides(given, chosen)
    check_ratios(anomaly_ratios)
    labels = [case["label"] for case in load_test_set(data)]
    if min(labels.count(0), labels.count(1)) < _FEWEST:
        raise UserError(
            f"{data / DATA_JSON}: test must list {_FEWEST} healthy and {_FEWEST} anomalous images at least."
        )
    if any(METHODS[name].learns_from_unlabeled for name in chosen) and not anomaly_ratios:
        load_training_set(data, given.get("anomaly_ratio"))
    settings = {
        "data": data.resolve().name,
        "minutes": minutes,
        "anomaly_ratios": list(anomaly_ratios),
        "overrides": given,
    }
    sets: dict[float | None, Path] = {ratio: output / "data" / mixture_name(ratio) for ratio in anomaly_ratios}
    sets = sets or {None: data}
    device = str(own_device()) if device == "auto" else device

    def prepare() -> None:
        require_settings(output, settings)
        if anomaly_ratios:
            make_mixtures(data, output / "data", anomaly_ratios)
        keep_settings(output, settings)
        _keep_budget(chosen, next(iter(sets.values())), output, settings, device)

    first_alone(prepare)
    trials = _all_trials(chosen, num_seeds, sets, output)
    budget = _read_budget(output)
    unique = list({trial.folder: trial for trial in trials.values()}.values())
    run_share(unique, partial(_run, budget=budget, overrides=given, device=device), progress)
    if not all(trial.is_done for trial in unique):
        return None
    return _write(trials, output, settings, {name: budget[name] for name in chosen})


def _checked_methods(methods: Sequence[str]) -> list[str]:
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods or len(set(methods)) < len(methods):
        raise UserError(f"methods must be among {', '.join(METHODS)}, each given once, not {', '.join(methods)}.")
    return list(methods)


def _check_overrides(overrides: Mapping[str, Any], methods: Sequence[str]) -> None:
    own = {"seed", *(part.setting for method in METHODS.values() for part in method.parts)}
    for key in overrides:
        if key in own:
            raise UserError(f"{key}: the comparison sets this itself; give --seeds and --minutes.")
        if not any(_has_setting(METHODS[name], key) for name in methods):
            raise UserError(f"{key}: none of the methods' bundles has such a setting.")


def _has_setting(method: Method, key: str) -> bool:
    return any(key in read_config(find_bundle(method.bundle), name) for name in ("train", "inference"))


def _overrides_of(method: Method, overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in overrides.items() if _has_setting(method, key)}


def _read_budget(output: Path) -> dict[str, Any]:
    path = output / "budget.json"
    return json.loads(path.read_text(encoding="utf-8"))["methods"] if path.is_file() else {}


def _keep_budget(methods: Sequence[str], data: Path, output: Path, settings: Mapping[str, Any], device: str) -> None:
    """Writes down how many steps each method has, measured where that is not known yet."""
    budget = _read_budget(output)
    for name in methods:
        if name not in budget:
            method = METHODS[name]
            overrides = _overrides_of(method, settings["overrides"])
            seconds = seconds_per_step(method, data, output / "budget" / name, overrides, device)
            steps = plan_steps(method, seconds, settings["minutes"])
            budget[name] = {"seconds_per_step": seconds, "steps": steps}
            content = {"minutes": settings["minutes"], "threads": torch.get_num_threads(), "methods": budget}
            write_json(output / "budget.json", content)
    shutil.rmtree(output / "budget", ignore_errors=True)


def _all_trials(
    methods: Sequence[str], num_seeds: int, sets: Mapping[float | None, Path], output: Path
) -> dict[tuple[float | None, str, int], _Trial]:
    """The training for each anomaly ratio, method and seed; one for all ratios where they make no difference."""
    trials = {}
    for ratio, seed, name in itertools.product(sets, range(num_seeds), methods):
        folder, data = output / "trainings" / name, sets[ratio]
        if ratio is not None and METHODS[name].learns_from_unlabeled:
            folder = folder / mixture_name(ratio)
        elif ratio is not None:
            data = next(iter(sets.values()))
        trials[ratio, name, seed] = _Trial(folder / f"seed_{seed}", seed, name, data)
    return trials


def _run(trial: _Trial, budget: Mapping[str, Any], overrides: Mapping[str, Any], device: str) -> None:
    """Trains and evaluates; what an interrupted training left is no measure of time, so it begins anew."""
    shutil.rmtree(trial.folder, ignore_errors=True)
    settings = trial.method.all_settings(_overrides_of(trial.method, overrides))
    settings |= budget[trial.name]["steps"] | {"seed": trial.seed}
    run_child(trial.method.bundle, trial.data, trial.folder, settings, device=device)


def _write(
    trials: Mapping[tuple[float | None, str, int], _Trial],
    output: Path,
    settings: Mapping[str, Any],
    budget: Mapping[str, Any],
) -> dict[str, Any]:
    results = []
    for ratio, group in itertools.groupby(trials, key=lambda key: key[0]):
        by_method: dict[str, list[_Trial]] = {}
        for key in group:
            by_method.setdefault(key[1], []).append(trials[key])
        results.append({"anomaly_ratio": ratio, "methods": _compared(by_method)})
    metrics = next(iter(trials.values())).metrics()
    comparison = {
        **settings,
        "num_seeds": len({seed for _, _, seed in trials}),
        "num_healthy": metrics["num_healthy"],
        "num_anomalous": metrics["num_anomalous"],
        "budget": budget,
        "results": results,
    }
    write_json(output / "comparison.json", comparison)
    with write_whole(output / "comparison.md") as whole:
        whole.write_text(detection_table(comparison), encoding="utf-8")
    draw_areas(comparison, output / "comparison.png")
    return comparison


def _compared(by_method: Mapping[str, Sequence[_Trial]]) -> dict[str, Any]:
    """What each method reached, and how far the first is above it."""
    labels, scores = _common_scores(by_method)
    (first, of_first), *_ = scores.items()
    return {
        name: {
            "auc": spread([image_auc(labels, one).value for one in found]) | _interval(labels, found),
            "difference": None if name == first else asdict(delong_difference(labels, of_first, found)),
            **_of_maps(by_method[name]),
            **_costs(by_method[name]),
        }
        for name, found in scores.items()
    }


def _interval(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    interval = image_auc(labels, scores)
    return {"low": interval.low, "high": interval.high}


def _common_scores(by_method: Mapping[str, Sequence[_Trial]]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels (N,) and each method's scores (seeds, N) of the test images that all could use."""
    found = {name: [trial.scores() for trial in trials] for name, trials in by_method.items()}
    tables = [table for of_method in found.values() for table in of_method]
    names = [name for name in tables[0] if all(name in table for table in tables)]
    labels = np.array([tables[0][name][0] for name in names])
    return labels, {
        method: np.array([[table[name][1] for name in names] for table in of_method])
        for method, of_method in found.items()
    }


def _of_maps(trials: Sequence[_Trial]) -> dict[str, Any]:
    """How well maps find the lesions; None where none is outlined, or the method has no map of its own."""
    metrics = [trial.metrics() for trial in trials]
    if not trials[0].method.has_map or metrics[0]["pixel_average_precision"] is None:
        return {"pixel_average_precision": None, "peak_inside_share": None}
    return {
        "pixel_average_precision": spread([each["pixel_average_precision"] for each in metrics]),
        "peak_inside_share": spread([each["peak_inside_share"]["value"] for each in metrics]),
    }


def _costs(trials: Sequence[_Trial]) -> dict[str, Any]:
    measured = [trial.measured() for trial in trials]
    return {key: None if measured[0][key] is None else spread([each[key] for each in measured]) for key in _COSTS}
