"""A bundle that scores by contrast: what the generator changes and what contrast sees, from calibration to findings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from monai_sagan.calibration import CalibrationWriter, DeviationMapd, read_calibration

SIZE = (32, 32)
SHA = "0" * 64
PLACE, OTHER = (slice(8, 12), slice(20, 24)), (slice(24, 28), slice(4, 8))  # rows and columns


def maps(random: torch.Generator, count: int) -> torch.Tensor:
    """Of a healthy image: (count, 2, rows, columns), what the generator changes and what contrast says."""
    return torch.rand(count, 2, *SIZE, generator=random) * torch.tensor([0.05, 1.0])[:, None, None]


def a_case(both: torch.Tensor, slice_axis: int | None) -> dict[str, Any]:
    """A case with maps (N, 2, rows, columns): a picture, x first, or a volume whose slices lie along an axis."""
    changed = both[:, :1].transpose(2, 3)  # (N, 1, columns, rows)
    if slice_axis is None:
        anomaly_map = changed[0]
    else:
        anomaly_map = changed[:, 0].movedim(0, slice_axis)[None]
        # x to the left, y to the back: axial slices are seen as they lie, others are turned.
        anomaly_map = MetaTensor(anomaly_map, affine=torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0])))
    return {
        "path": "x",
        "files": ["x"],
        "anomaly_map": anomaly_map,
        "contrast_map": both[:, 1:],
        "anomaly_score": 0.5,
        "score_kind": "contrast",
        "slice_axis": slice_axis,
        "slice_scores": [] if slice_axis is None else [0.5] * len(both),
    }


@pytest.fixture(params=[None, 2])
def calibrated(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Any]:
    """A bundle that was calibrated with 30 healthy cases, pictures or volumes of four slices."""
    monkeypatch.setattr("monai_sagan.calibration.handler.write_trained_on", lambda *args, **kwargs: None)
    random, count = torch.Generator().manual_seed(0), 1 if request.param is None else 4
    engine = Engine(lambda engine, batch: batch)
    CalibrationWriter(tmp_path, SHA, SIZE, "axial").attach(engine)
    engine.run([[a_case(maps(random, count), request.param)] for _ in range(30)])
    return tmp_path, request.param


def found_in(calibrated: tuple[Path, Any], **high: tuple[slice, slice]) -> dict[Any, Any]:
    """A new case in whose first slice one of the maps is high, or both, at a place, and the other as low as can be."""
    root, slice_axis = calibrated
    both = maps(torch.Generator().manual_seed(1), 1 if slice_axis is None else 4)
    kinds = ("changed", "seen")
    for rows, columns in high.values():
        around = slice(rows.start - 4, rows.stop + 4), slice(columns.start - 4, columns.stop + 4)
        for number, kind in enumerate(kinds):
            if high.get(kind) != (rows, columns):
                both[0, number][around] = 0.0
    for kind, (rows, columns) in high.items():
        both[0, kinds.index(kind), rows, columns] += 1.0 if kind == "changed" else 20.0
    return DeviationMapd("anomaly_map", root, SHA, SIZE, "axial")(a_case(both, slice_axis))


def test_both_have_a_scale(calibrated: tuple[Path, Any]) -> None:
    calibration = read_calibration(calibrated[0])
    assert calibration is not None
    scale = calibration.scale(of_volumes=calibrated[1] is not None)
    assert scale is not None
    assert scale.mean.shape[1:] == (2, *SIZE)
    assert scale.mean[:, 1].mean() == pytest.approx(0.5, abs=0.05)


def test_a_place_that_both_know_is_a_finding(calibrated: tuple[Path, Any]) -> None:
    result = found_in(calibrated, changed=PLACE, seen=PLACE)
    (finding,) = result["findings"]
    column, row, *number = finding["voxel"]
    assert (row in range(8, 12), column in range(20, 24), number in ([], [0])) == (True, True, True)
    assert finding["deviation"] > 2 * result["finding_threshold"]


def test_a_place_that_one_knows_is_none(calibrated: tuple[Path, Any]) -> None:
    assert found_in(calibrated)["findings"] == []
    assert found_in(calibrated, changed=PLACE)["findings"] == []
    assert found_in(calibrated, seen=PLACE)["findings"] == []
    assert found_in(calibrated, changed=PLACE, seen=OTHER)["findings"] == []


def test_surroundings_are_left_out(calibrated: tuple[Path, Any]) -> None:
    """Contrast sees far around the place, and the generator changes something there."""
    root, slice_axis = calibrated
    both = maps(torch.Generator().manual_seed(1), 1 if slice_axis is None else 4)
    rows, columns = PLACE
    both[0, 1, 4:16, 16:28] += 20.0
    both[0, 0, 4:16, 16:28] += 0.15
    both[0, 0, rows, columns] += 2.0
    result = DeviationMapd("anomaly_map", root, SHA, SIZE, "axial")(a_case(both, slice_axis))
    above = int((result["deviation_map"] > result["finding_threshold"]).sum())
    assert 16 <= result["findings"][0]["num_voxels"] < above / 2


def test_other_slices_are_no_surroundings(calibrated: tuple[Path, Any]) -> None:
    root, slice_axis = calibrated
    if slice_axis is None:
        pytest.skip("a picture has one slice")
    both = maps(torch.Generator().manual_seed(1), 4)
    rows, columns = PLACE
    for number, strength in enumerate((1.0, 0.2)):
        both[number, :, rows, columns] += strength * torch.tensor([1.0, 20.0])[:, None, None]
    result = DeviationMapd("anomaly_map", root, SHA, SIZE, "axial")(a_case(both, slice_axis))
    highest = result["deviation_map"].flatten(0, 2).amax(dim=0)
    assert highest[0] > 2 * highest[1] > 2 * result["finding_threshold"]
    assert result["findings_map"].flatten(0, 2).amax(dim=0).tolist() == [1, 1, 0, 0]


def test_scores_of_another_kind_have_no_map(calibrated: tuple[Path, Any]) -> None:
    root, slice_axis = calibrated
    case = a_case(maps(torch.Generator().manual_seed(1), 1 if slice_axis is None else 4), slice_axis)
    del case["contrast_map"]
    result = DeviationMapd("anomaly_map", root, SHA, SIZE, "axial")(case | {"score_kind": "residual"})
    assert result["findings"] is None
    assert "deviation_map" not in result
