"""What is written of a case: complete, where the image is, or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from PIL import Image

from monai_sagan import files, workflows
from monai_sagan.errors import UserError, explain
from monai_sagan.results import RESULT_SCHEMA_VERSION, SaveResultd, peak_of, write_image

BUNDLE = {"name": "tiny", "version": "1.2.3", "weights_sha256": None}
SPACING = (0.7, 1.3, 4.1)
ORIGIN = (-101.3, 57.25, 12.9)
PEAK = (5, 17, 2)
IN_THREADS = 65  # slices of 64 x 64, just more than what one thread compresses at once


def oblique() -> np.ndarray:
    """Direction cosines that turn about two axes, so that nothing is parallel to anything."""
    a, b = math.radians(20), math.radians(-35)
    about_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    about_z = np.array([[math.cos(b), -math.sin(b), 0], [math.sin(b), math.cos(b), 0], [0, 0, 1]])
    return about_z @ about_x


def write_volume(path: Path, slices: int = 4) -> sitk.Image:
    """A volume of 24 x 20 voxels a slice, oblique and anisotropic."""
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 1000, (slices, 20, 24)).astype(np.int16))
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(oblique().ravel().tolist())
    sitk.WriteImage(image, str(path))
    return image


def ras_affine() -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = oblique() @ np.diag(SPACING)
    affine[:3, 3] = ORIGIN
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def a_case(name: str = "case", affine: np.ndarray | None = None) -> dict[str, Any]:
    """A finished case, its map highest at `PEAK`."""
    values = torch.zeros(1, 24, 20, 4)
    values[0][PEAK] = 0.75
    anomaly_map = MetaTensor(values, affine=ras_affine() if affine is None else affine)
    return {
        "path": f"/images/{name}.nii.gz",
        "files": [],
        "image": anomaly_map,
        "pred": anomaly_map - 1,
        "anomaly_map": anomaly_map,
        "anomaly_score": 0.25,
        "slice_scores": [0.0, 0.0, 0.25, 0.0],
        "slice_axis": 2,
    }


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


class TestPeak:
    def test_place_in_an_oblique_volume(self, tmp_path: Path) -> None:
        image = write_volume(tmp_path / "volume.nrrd")
        peak = peak_of(a_case()["anomaly_map"])
        assert peak["voxel"] == list(PEAK)
        assert peak["value"] == 0.75
        # Both compute in 64 bits.
        assert peak["lps_mm"] == pytest.approx(image.TransformIndexToPhysicalPoint(PEAK), abs=1e-9)

    def test_without_geometry(self) -> None:
        assert peak_of(a_case()["anomaly_map"].as_tensor())["lps_mm"] is None

    def test_first_of_equals(self) -> None:
        assert peak_of(torch.ones(1, 3, 4))["voxel"] == [0, 0]
        values = torch.zeros(1, 3, 4)
        values[0, 2, 1] = values[0, 1, 2] = 1.0  # x is fastest, so the one in the lower row comes first
        assert peak_of(values)["voxel"] == [2, 1]


class TestGeometry:
    """Through the whole pipeline: what was read, and where the map says it is."""

    @pytest.fixture(scope="class")
    def results(self, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("geometry")
        write_volume(folder / "oblique.nii.gz")
        write_volume(folder / "other.nrrd")
        write_volume(folder / "single.nii.gz", slices=1)
        pixels = np.random.default_rng(0).integers(0, 256, (36, 52), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "picture.png")
        workflows.predict(tiny_bundle, [folder], folder / "out", save_restored=True, progress="none")
        return folder

    @pytest.mark.parametrize(("name", "slices"), [("oblique", 4), ("single", 1)])
    @pytest.mark.parametrize("kind", ["anomaly", "restored"])
    def test_nifti(self, results: Path, kind: str, name: str, slices: int) -> None:
        image, written = (nib.load(results / path) for path in (f"{name}.nii.gz", f"out/{name}_{kind}.nii.gz"))
        assert written.shape == image.shape == (24, 20, slices)
        # NIfTI keeps 32 bits: at 100 mm that is 4e-6 mm.
        assert np.allclose(written.affine, image.affine, rtol=0, atol=1e-5)
        assert np.allclose(written.affine, ras_affine(), rtol=0, atol=1e-5)
        assert written.get_data_dtype() == np.float32
        assert written.header.get_xyzt_units()[0] == "mm"

    @pytest.mark.parametrize("name", ["oblique.nii.gz", "other.nrrd"])
    def test_peak(self, results: Path, name: str) -> None:
        image = sitk.ReadImage(str(results / name))
        written = sitk.ReadImage(str(results / "out" / f"{name.split('.')[0]}_anomaly.nii.gz"))
        values = sitk.GetArrayFromImage(written)
        voxel = [int(i) for i in np.unravel_index(values.argmax(), values.shape)[::-1]]
        peak = json.loads((results / "out" / f"{name.split('.')[0]}_anomaly.json").read_text())["peak"]
        assert peak["voxel"] == voxel
        assert peak["value"] == pytest.approx(values.max(), rel=1e-6)
        for geometry in (image, written):
            # Rounded by NIfTI in origin, direction and spacing, times 24 voxels.
            assert peak["lps_mm"] == pytest.approx(geometry.TransformIndexToPhysicalPoint(voxel), abs=1e-4)

    def test_picture(self, results: Path) -> None:
        image = sitk.ReadImage(str(results / "picture.png"))
        written = sitk.ReadImage(str(results / "out" / "picture_anomaly.nii.gz"))
        assert written.GetSize() == image.GetSize() == (52, 36)
        assert written.GetDirection() == image.GetDirection()
        assert written.GetOrigin() == image.GetOrigin()
        values = sitk.GetArrayFromImage(written)
        peak = json.loads((results / "out" / "picture_anomaly.json").read_text())["peak"]
        row, column = np.unravel_index(values.argmax(), values.shape)
        assert peak["voxel"] == [column, row]
        assert peak["lps_mm"] == [column, row, 0.0]

    def test_scores_are_those_of_the_map(self, results: Path) -> None:
        values = nib.load(results / "out" / "oblique_anomaly.nii.gz").get_fdata()
        result = json.loads((results / "out" / "oblique_anomaly.json").read_text())
        # Means of 480 numbers in 32 bits.
        assert result["slice_scores"] == pytest.approx(values.mean(axis=(0, 1)), rel=1e-5)
        assert result["slice_axis"] == 2
        assert result["anomaly_score"] == max(result["slice_scores"])


class TestSave:
    def test_content(self, tmp_path: Path) -> None:
        case = SaveResultd(tmp_path, BUNDLE, settings={"slice_direction": "axial"})(a_case())
        result = json.loads((tmp_path / "case_anomaly.json").read_text())
        assert result == {
            "schema_version": RESULT_SCHEMA_VERSION,
            "input": "case.nii.gz",
            "anomaly_score": 0.25,
            "score_kind": "residual",
            "p_value": None,
            "threshold": None,
            "false_positive_rate": None,
            "is_anomalous": None,
            "slice_axis": 2,
            "slice_scores": [0.0, 0.0, 0.25, 0.0],
            "slice_p_values": [],
            "peak": peak_of(a_case()["anomaly_map"]) | {"deviation": None},
            "findings": None,
            "finding_threshold": None,
            "is_ood": None,
            "ood_p_value": None,
            "ood_reasons": [],
            "warnings": [],
            "input_fingerprint": hashlib.sha256().hexdigest(),
            "bundle": BUNDLE,
            "settings": {"map_threshold": None, "slice_direction": "axial"},
        }
        paths = {"anomaly_map": str(tmp_path / "case_anomaly.nii.gz"), "deviation_map": None, "findings_map": None}
        assert case["result"] == result | paths

    def test_a_calibrated_case(self, tmp_path: Path) -> None:
        known = {"p_value": 0.02, "threshold": 0.2, "is_anomalous": True, "slice_p_values": [None, None, 0.02, None]}
        case = SaveResultd(tmp_path, BUNDLE)({**a_case(), **known, "warnings": ["A sentence."]})
        assert {key: case["result"][key] for key in known} == known
        assert case["result"]["warnings"] == ["A sentence."]

    def test_what_stands_out(self, tmp_path: Path) -> None:
        """The peak is that of the deviation from healthy images, and findings have places in millimetres."""
        case = a_case()
        deviation, labels = torch.zeros_like(case["anomaly_map"]), torch.zeros_like(case["anomaly_map"]).short()
        deviation[0, 3, 2, 1], labels[0, 3, 2, 1] = 7.0, 1
        found = {"label": 1, "voxel": [3, 2, 1], "deviation": 7.0, "num_voxels": 1, "p_value": 0.02}
        maps = {"deviation_map": deviation, "findings_map": labels, "findings": [found]}
        result = SaveResultd(tmp_path, BUNDLE)(case | maps)["result"]
        place = write_volume(tmp_path / "volume.nrrd").TransformIndexToPhysicalPoint((3, 2, 1))
        assert result["peak"]["voxel"] == [3, 2, 1]
        assert (result["peak"]["value"], result["peak"]["deviation"]) == (float(case["anomaly_map"][0, 3, 2, 1]), 7.0)
        for lps in (result["peak"]["lps_mm"], result["findings"][0]["lps_mm"]):
            assert lps == pytest.approx(place, abs=1e-9)  # both compute in 64 bits
        assert sitk.GetArrayFromImage(sitk.ReadImage(result["deviation_map"]))[1, 2, 3] == 7.0
        written = sitk.ReadImage(result["findings_map"])
        assert written.GetPixelIDTypeAsString() == "16-bit signed integer"
        assert sitk.GetArrayFromImage(written).sum() == 1

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's device that is always full")
    @pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
    @pytest.mark.parametrize("slices", [1, IN_THREADS])
    def test_a_write_fails_in_any_thread(self, ending: str, slices: int, tmp_path: Path) -> None:
        path = tmp_path / f"map{ending}"
        path.symlink_to("/dev/full")
        with pytest.raises(OSError) as caught:  # noqa: PT011
            write_image(torch.rand(1, 64, 64, slices), path)
        assert caught.value.errno == errno.ENOSPC

    @pytest.mark.parametrize("size", [(64, 64), (64, 64, 1), (64, 64, IN_THREADS)])
    def test_equal_maps_are_equal_files(self, size: tuple[int, ...], tmp_path: Path) -> None:
        values = torch.rand(1, *size, generator=torch.Generator().manual_seed(0))
        paths = [tmp_path / name for name in ("one.nii.gz", "other.nii.gz")]
        for path in paths:
            write_image(values, path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
        assert paths[0].read_bytes()[3:8] == bytes(5)  # neither a name nor a time
        assert np.array_equal(nib.load(paths[0]).get_fdata(dtype=np.float32), values[0].numpy())

    @pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
    def test_formats_keep_values_and_geometry(self, ending: str, tmp_path: Path) -> None:
        case = a_case()
        SaveResultd(tmp_path, BUNDLE, output_ext=ending, save_restored=True)(case)
        assert listing(tmp_path) == sorted([f"case_anomaly{ending}", f"case_restored{ending}", "case_anomaly.json"])
        for name, key in (("anomaly", "anomaly_map"), ("restored", "pred")):
            written = sitk.ReadImage(str(tmp_path / f"case_{name}{ending}"))
            expected = case[key].as_tensor()[0].numpy()
            assert np.array_equal(sitk.GetArrayFromImage(written), expected.transpose(2, 1, 0))
            assert written.GetSpacing() == pytest.approx(SPACING, abs=1e-6)
            assert written.GetOrigin() == pytest.approx(ORIGIN, abs=1e-5)
            assert written.GetDirection() == pytest.approx(oblique().ravel(), abs=1e-6)

    def test_other_formats_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"^output_ext .png: maps cannot be written so; choose one of .nii.gz, "):
            SaveResultd(tmp_path, BUNDLE, output_ext=".png")

    def test_names_may_begin_with_folders(self, tmp_path: Path) -> None:
        SaveResultd(tmp_path / "out", BUNDLE)({**a_case(), "name": "patient/scan.v2"})
        assert listing(tmp_path) == ["out/patient/scan.v2_anomaly.json", "out/patient/scan.v2_anomaly.nii.gz"]

    def test_results_of_a_former_run_are_replaced(self, tmp_path: Path) -> None:
        for score in (0.25, 0.5):
            SaveResultd(tmp_path, BUNDLE)({**a_case(), "anomaly_score": score})
        assert json.loads((tmp_path / "case_anomaly.json").read_text())["anomaly_score"] == 0.5
        assert listing(tmp_path) == ["case_anomaly.json", "case_anomaly.nii.gz"]


class TestWholeOrNotAtAll:
    """Whatever fails, a file that is there is whole, and a JSON file stands only beside its map."""

    @pytest.fixture
    def save(self, tmp_path: Path) -> SaveResultd:
        return SaveResultd(tmp_path / "out", BUNDLE)

    @pytest.mark.parametrize(("failing", "left"), [(1, []), (2, ["case_anomaly.nii.gz"])])
    def test_renaming_fails(
        self, save: SaveResultd, failing: int, left: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        replace, calls = os.replace, []

        def fail(source: Path, target: Path) -> None:
            calls.append(target)
            if len(calls) == failing:
                raise OSError(errno.ENOSPC, "No space left on device", str(source))
            replace(source, target)

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError) as caught:  # noqa: PT011  its text is checked below
            save(a_case())
        assert explain(caught.value) == f"{calls[-1]}: the disk is full; free some space or choose another folder."
        assert listing(save.output_dir) == left

    def test_a_former_result_survives(self, save: SaveResultd, monkeypatch: pytest.MonkeyPatch) -> None:
        save(a_case())
        before = {name: (save.output_dir / name).read_bytes() for name in listing(save.output_dir)}

        def fail(*_: Any, **__: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_text", fail)
        with pytest.raises(OSError) as caught:  # noqa: PT011
            save({**a_case(), "anomaly_score": 0.5})
        # A write names no file; ours does.
        assert explain(caught.value).startswith(f"{save.output_dir / 'case_anomaly.json'}: the disk is full;")
        assert {name: (save.output_dir / name).read_bytes() for name in listing(save.output_dir)} == before

    @pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
    def test_a_disk_that_fills_up_while_a_map_is_written(
        self, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image = MetaTensor(torch.rand(1, 24, 20, 4, generator=torch.Generator().manual_seed(0)), affine=ras_affine())
        case = {**a_case(), "anomaly_map": image}
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            with pytest.raises(OSError) as caught:  # noqa: PT011
                SaveResultd(tmp_path, BUNDLE, output_ext=ending)(case)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        reason = "a file may not be as large as this here; raise the limit or choose another folder"
        if ending in (".nrrd", ".mha"):  # ITK does not tell
            reason = (
                "it could not be written, perhaps because the disk is full; free some space or choose another folder"
            )
        assert explain(caught.value) == f"{tmp_path / 'case_anomaly'}{ending}: {reason}."
        assert listing(tmp_path) == []

    def test_no_permission(self, save: SaveResultd, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(self: Path, *_: Any, **__: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))

        monkeypatch.setattr(Path, "mkdir", refuse)
        with pytest.raises(PermissionError) as caught:
            save(a_case())
        assert explain(caught.value) == (
            f"{save.output_dir}: there is no permission to use it; change its permissions or choose another folder."
        )

    def test_a_folder_is_whole_or_absent(self, tmp_path: Path) -> None:
        def write() -> None:
            with files.write_whole_folder(tmp_path / "folder") as partial:
                (partial / "first").write_text("x")
                raise OSError(errno.ENOSPC, "No space left on device", str(partial / "second"))

        with pytest.raises(OSError, match="No space left") as caught:
            write()
        assert explain(caught.value).startswith(f"{tmp_path / 'folder'}: the disk is full;")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_holds_something_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "mine").write_text("x")
        with pytest.raises(FileExistsError), files.write_whole_folder(tmp_path / "folder"):
            pass
        assert listing(tmp_path) == ["folder/mine"]


@pytest.mark.parametrize("size", [(6, 4), (6, 4, 2)])
def test_an_image_without_geometry(size: tuple[int, ...], tmp_path: Path) -> None:
    write_image(torch.ones(1, *size), tmp_path / "x.nrrd")
    written, expected = sitk.ReadImage(str(tmp_path / "x.nrrd")), sitk.Image(size, sitk.sitkFloat32)
    assert written.GetSize() == size
    assert written.GetDirection() == expected.GetDirection()
    assert written.GetSpacing() == expected.GetSpacing()
    assert written.GetOrigin() == expected.GetOrigin()


def test_a_result_with_patient_data_is_none_without_and_the_other_way_round(
    tmp_path: Path, a_dicom: Callable[..., Path]
) -> None:
    """So that a second run takes them away, or adds them."""
    case = a_case() | {"files": [str(a_dicom("scan.dcm", PatientName="Doe^Jane"))], "name": "scan"}
    saves = [SaveResultd(tmp_path / "out", BUNDLE, keep_patient_data=keep) for keep in (True, False)]
    for save, other in (saves, saves[::-1]):
        save(dict(case))
        assert ("Doe" in (tmp_path / "out" / "scan_anomaly.json").read_text()) == save.keep_patient_data
        assert save.find_result(case) is not None
        assert other.find_result(case) is None


def test_a_result_of_another_version_is_not_taken_for_one_of_this(tmp_path: Path) -> None:
    save, case = SaveResultd(tmp_path, BUNDLE), a_case() | {"name": "scan"}
    save(dict(case))
    path = tmp_path / "scan_anomaly.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": "1.2"}))
    with pytest.raises(UserError, match="is there already, but of another version of this software"):
        save.find_result(case)
