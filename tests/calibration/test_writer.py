"""What a calibration keeps of the cases that it is given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from monai_sagan.calibration import Calibration, CalibrationWriter, read_calibration, write_calibration
from monai_sagan.errors import UserError

SIZE = [32, 32]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path


def a_volume(folder: Path, number: int, **more: Any) -> dict[str, Any]:
    """A case of four axial slices."""
    path = folder / f"{number}.bin"
    path.write_bytes(bytes([number]))
    random = torch.Generator().manual_seed(number)
    volume = MetaTensor(torch.rand(1, 32, 32, 4, generator=random))
    scores = {"anomaly_score": number / 10, "slice_axis": 2, "slice_scores": [0.1] * 4}
    return {"path": str(path), "files": [str(path)], "anomaly_map": volume, **scores, **more}


def calibrate(bundle: Path, cases: list[dict[str, Any]], **settings: Any) -> Calibration:
    writer = CalibrationWriter(bundle, "w", SIZE, "acquisition", **settings)
    engine = SimpleNamespace(state=SimpleNamespace(output=cases, metrics={}))
    writer._collect(engine)
    writer._write(engine)
    found = read_calibration(bundle)
    assert found is not None
    return found


def test_volumes_have_a_scale_for_each_part_of_the_body(bundle: Path) -> None:
    found = calibrate(bundle, [a_volume(bundle, number) for number in range(4)])
    assert found.volume_scale is not None
    assert len(found.volume_scale.mean) == 16


def test_the_rate_is_that_of_the_last_calibration(bundle: Path) -> None:
    write_calibration(bundle, Calibration("w", "acquisition", 0.05, image_scores=(0.1, 0.2)))
    found = calibrate(bundle, [a_volume(bundle, number) for number in range(4)], rate=0.2)
    assert (found.rate, found.image_scores) == (0.2, (0.1, 0.2))


def test_copies_of_images_of_the_training_are_left_out(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = calibrate(bundle, [a_volume(bundle, number, is_trained_on=number < 2) for number in range(5)])
    assert found.volume_scores == (0.2, 0.3, 0.4)
    assert capsys.readouterr().err == (
        "Warning: 2 of the healthy images look the same as images that the bundle was trained on, and are left out: "
        "0.bin, 1.bin.\n"
    )


def test_copies_alone_are_refused(bundle: Path) -> None:
    with pytest.raises(UserError, match="the bundle was trained on all healthy images; calibrate it with others"):
        calibrate(bundle, [a_volume(bundle, 0, is_trained_on=True)])
    assert read_calibration(bundle) is None


def test_slices_that_lie_another_way_in_the_body_are_not_compared(bundle: Path) -> None:
    known = calibrate(bundle, [a_volume(bundle, number) for number in range(4)])
    assert known.stacked_along == ("axial",)
    assert known.problem(a_volume(bundle, 5), "w", "acquisition") == ""
    sagittal = a_volume(bundle, 6)
    # As a scanner stores slices from right to left: its third axis points to the patient's left.
    sagittal["anomaly_map"].affine = torch.tensor(
        [[0.0, 0.0, -1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    assert known.problem(sagittal, "w", "acquisition") == (
        "The bundle was calibrated with axial slices, and these are sagittal, so there is no p-value, and no findings; "
        "calibrate it with such volumes."
    )
