"""Volumes from folders to evaluated maps, by commands alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from monai_sagan.data import CaseReader, load_evaluation_set, phantom_volume, write_phantom_volumes

SIZE = (32, 32, 12)


@pytest.fixture
def scans(tmp_path: Path, a_series: Callable[..., Path], oblique: np.ndarray) -> Path:
    """Healthy and other volumes, some of them DICOM series, and outlined lesions in another format."""
    groups = (("healthy", 2), ("unlabeled", 2), ("test/healthy", 1), ("test/anomalous", 1))
    for number, (group, count) in enumerate(groups):
        for index in range(count):
            random = np.random.default_rng([number, index])
            volume, mask = phantom_volume(random, size=SIZE, lesion=group == "test/anomalous")
            image = sitk.GetImageFromArray(volume.astype(np.int16) * 7)
            image.SetSpacing((1.0, 1.0, 3.0))
            (tmp_path / "scans" / group).mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(image, str(tmp_path / "scans" / group / f"{index}.nii.gz"))
            if mask.any():
                outlined = sitk.GetImageFromArray(mask.astype(np.uint8))
                outlined.CopyInformation(image)
                (tmp_path / "scans" / "masks").mkdir()
                sitk.WriteImage(outlined, str(tmp_path / "scans" / "masks" / f"{index}.nrrd"))
    for group in ("healthy", "unlabeled"):
        volume, _ = phantom_volume(np.random.default_rng(7), size=SIZE, lesion=False)
        a_series(f"scans/{group}/more/series", volume.T.astype("<u2") * 16, oblique)
    return tmp_path / "scans"


@pytest.fixture
def data(scans: Path, tmp_path: Path, run: Callable) -> Path:
    outcome = run("prepare", "folder", scans, tmp_path / "data")
    few = "only 3 healthy images; p-values down to 0.05 take 19 besides those to train on."
    assert (outcome.code, outcome.err) == (0, f"{scans / 'healthy'}: {few}\n")
    return tmp_path / "data"


def test_prepare(scans: Path, data: Path) -> None:
    """Files as they are; a series as one NIfTI file with its voxels and its geometry."""
    assert json.loads((data / "data.json").read_text())["train"] == {
        "0": ["healthy/0.nii.gz", "healthy/1.nii.gz", "healthy/more/series.nii.gz"],
        "unlabeled": ["unlabeled/0.nii.gz", "unlabeled/1.nii.gz", "unlabeled/more/series.nii.gz"],
    }
    reader = CaseReader()
    expected, meta = reader.get_data(reader.read(scans / "healthy" / "more" / "series"))
    written = nib.load(data / "images" / "healthy" / "more" / "series.nii.gz")
    assert np.array_equal(np.asarray(written.dataobj), expected)
    assert np.issubdtype(written.get_data_dtype(), np.integer)
    # NIfTI keeps 32 bits, at some 100 mm.
    assert np.allclose(written.affine, meta["affine"], rtol=0, atol=1e-5)


def test_masks_may_be_in_another_format(data: Path) -> None:
    (case,) = (case for case in load_evaluation_set(data) if case["label"] == 1)
    assert case["name"] == "test/anomalous/0.nii.gz"
    assert Path(case["mask"]) == data / "masks" / "test" / "anomalous" / "0.nrrd"


def test_from_data_to_maps(data: Path, scans: Path, tmp_path: Path, run: Callable) -> None:
    bundle, maps = tmp_path / "bundle", tmp_path / "maps"
    settings = ("critic_steps=2", "image_size=[32,32]", "base_channels=2", "num_res_blocks=0", "critic_base_channels=2")
    volumes = ("samples_per_volume=4", "slice_direction=axial", "intensity_window=[0,1700]", "batch_size=4")
    outcome = run("train", "sagan_anomaly_detection", *settings, *volumes, "--data", data, "--output", bundle)
    assert outcome.code == 0, outcome.err
    config = json.loads((bundle / "configs" / "inference.json").read_text())
    assert (config["slice_direction"], config["intensity_window"]) == ("axial", [0, 1700])

    assert run("evaluate", bundle, "--data", data, "--output", tmp_path / "report").code == 0
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert (metrics["num_healthy"], metrics["num_anomalous"], metrics["num_outlined"]) == (1, 1, 1)
    voxels = np.asarray(nib.load(scans / "test" / "anomalous" / "0.nii.gz").dataobj).size
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(scans / "masks" / "0.nrrd")))
    assert metrics["lesion_pixel_share"] == pytest.approx(mask.sum() / (2 * voxels))

    assert run("predict", bundle, scans / "unlabeled", "--output", maps).code == 0
    result = json.loads((maps / "more" / "series_anomaly.json").read_text())
    assert len(result["slice_scores"]) == SIZE[2]
    assert result["settings"]["slice_direction"] == "axial"


def test_so_many_slices_of_each_volume(data: Path, tiny_bundle: Path, tmp_path: Path, run: Callable) -> None:
    """Three healthy volumes of which five slices each are used fill 3 batches of 5."""
    settings = ("samples_per_volume=5", "batch_size=5", "critic_steps=3")
    outcome = run(
        *("train", tiny_bundle, *settings, "--data", data, "--output", tmp_path / "out", "--progress", "json")
    )
    starts = [(event["task"], event["total"]) for event in outcome.events if event["event"] == "start"]
    assert starts == [("Preparing images", 6), ("Training", 3)]


def test_a_volume_on_both_sides_of_the_split(
    data: Path, tiny_bundle: Path, tmp_path: Path, run: Callable, change_data_json: Callable
) -> None:
    change_data_json(data, lambda content: content["test"]["0"].append("healthy/./1.nii.gz"))
    outcome = run("train", tiny_bundle, "--data", data, "--output", tmp_path / "out", "--progress", "none")
    assert outcome.sentence == (
        f"{data / 'data.json'}: healthy/1.nii.gz is listed for training and for the test; list each image once."
    )
    assert not (tmp_path / "out").exists()


def test_a_volume_of_air(data: Path, tiny_bundle: Path, tmp_path: Path, run: Callable) -> None:
    """A window in which nothing is shown."""
    outcome = run(
        *("train", tiny_bundle, "intensity_window=[90000,90001]", "--data", data),
        *("--output", tmp_path / "out", "--progress", "none"),
    )
    assert outcome.sentence.endswith(".nii.gz: the volume shows nothing but background; leave it out.")


def test_a_phantom_of_volumes(tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "monai_sagan.data.write_phantom_volumes",
        lambda root, seed: write_phantom_volumes(
            root, seed=seed, num_healthy=1, num_unlabeled=1, num_test=1, size=SIZE
        ),
    )
    outcome = run("prepare", "phantom", tmp_path / "target", "--seed", 3, "--volumes")
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'target'}: a phantom data set of volumes, seed 3\n")
    assert json.loads((tmp_path / "target" / "phantom.json").read_text())["kind"] == "volumes"
