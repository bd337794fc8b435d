"""What is asked for on the command line gets to the function that does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from monai_sagan import cli, export
from monai_sagan.calibration import Calibration
from monai_sagan.transforms import SLICE_DIRECTIONS

COMMON = ("--device", "cuda:7", "--progress", "json")
GIVEN = {"device": "cuda:7", "progress": "json"}
PREDICT = {
    "series": ["4", "5"],
    "slice_direction": "coronal",
    "output_ext": ".nrrd",
    "save_restored": True,
    "save_dicom": True,
    "map_threshold": 0.25,
    "keep_patient_data": True,
    "judge_ood": True,
    "overwrite": True,
}


@pytest.mark.parametrize(
    ("function", "result", "command", "positional", "named"),
    [
        (
            "workflows.train",
            None,
            ("train", "B", "learning_rate=1e-3", "--data", "D", "--output", "O", "--resume"),
            ("B", Path("D"), Path("O")),
            {"overrides": {"learning_rate": 1e-3}, "resume": True},
        ),
        (
            "workflows.calibrate",
            Calibration("0", "axial", 0.2, (0.1,)),
            ("calibrate", "B", "--data", "D", "--false-positive-rate", "0.2"),
            ("B", Path("D")),
            {"false_positive_rate": 0.2},
        ),
        (
            "workflows.evaluate",
            {"num_failed": 0},
            ("evaluate", "B", "--data", "D", "--output", "O"),
            ("B", Path("D"), Path("O")),
            {},
        ),
        (
            "workflows.predict",
            None,
            (
                *("predict", "B", "a.png", "b", "--output", "O", "--series", "4", "--series", "5"),
                *("--slice-direction", "coronal", "--output-ext", ".nrrd", "--save-restored", "--dicom"),
                *("--map-threshold", "0.25", "--keep-patient-data", "--judge-ood", "--overwrite"),
            ),
            ("B", [Path("a.png"), Path("b")], Path("O")),
            PREDICT,
        ),
        (
            "comparison.compare_detection",
            None,
            (
                *("compare", "batch_size=4", "--data", "D", "--output", "O", "--methods", "sagan, residual"),
                *("--seeds", "2", "--minutes", "0.5", "--anomaly-ratios", "0,0.5"),
            ),
            (Path("D"), Path("O"), ["sagan", "residual"]),
            {"num_seeds": 2, "minutes": 0.5, "anomaly_ratios": [0.0, 0.5], "overrides": {"batch_size": 4}},
        ),
        (
            "comparison.compare_attention",
            None,
            (
                *("compare-attention", "epochs=2", "--data", "D", "--output", "O", "--backbones", "resnet10,resnet18"),
                *("--seeds", "2", "--source", "bank"),
            ),
            (Path("D"), Path("O"), ["resnet10", "resnet18"]),
            {"num_seeds": 2, "source": "bank", "overrides": {"epochs": 2}},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_all_of_it(
    function: str,
    result: Any,
    command: tuple[str, ...],
    positional: tuple[Any, ...],
    named: dict[str, Any],
    run: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def do(*args: Any, **kwargs: Any) -> Any:
        called.append((args, kwargs))
        return result

    monkeypatch.setattr(f"monai_sagan.{function}", do)
    assert run(*command, *COMMON).code == 0
    assert called == [(positional, {**named, **GIVEN})]


def test_choices_are_those_of_the_library() -> None:
    assert set(get_args(cli.SliceDirection)) == set(SLICE_DIRECTIONS)
    assert get_args(cli.ExportFormat) == get_args(export.ExportFormat)
