"""``monai-sagan predict`` from DICOM to results, as images and as DICOM."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation

PDF = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1", "Rows": None, "Columns": None, "PixelData": None}
STRUCTURES = PDF | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.3"}
RADIOGRAPH = {"Modality": "DX", "ImagePositionPatient": None, "ImageOrientationPatient": None}
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
FRAME_OF_REFERENCE = "1.2.3.300"


@pytest.fixture
def voxels() -> np.ndarray:
    """Of so many slices that the names of their files are in another order."""
    return np.random.default_rng(0).integers(0, 4096, (20, 24, 16)).astype("<u2")


@pytest.fixture
def a_scan(a_series: Callable[..., Path], voxels: np.ndarray) -> Callable[..., Path]:
    """Writes a series that has all that results need, or with other attributes."""
    return lambda folder="T1", **attributes: a_series(
        folder, attributes.pop("voxels", voxels), **{"FrameOfReferenceUID": FRAME_OF_REFERENCE, **attributes}
    )


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    return tmp_path / "maps"


@pytest.fixture
def predict(tiny_bundle: Path, maps: Path, run: Callable) -> Callable[..., Any]:
    def predict(*arguments: str | Path) -> Any:
        return run("predict", tiny_bundle, "--output", maps, "--progress", "none", *arguments)

    return predict


@pytest.fixture
def results(maps: Path) -> Callable[[], list[str]]:
    """The names of the cases that have a result."""
    return lambda: sorted(
        path.relative_to(maps).as_posix().removesuffix("_anomaly.json") for path in maps.rglob("*_anomaly.json")
    )


class TestSeries:
    def test_one(self, predict: Callable, a_scan: Callable, maps: Path, results: Callable, oblique: np.ndarray) -> None:
        outcome = predict(a_scan())
        assert (outcome.code, outcome.out, outcome.err) == (0, f"Results: {maps}\n", "")
        assert results() == ["T1"]
        found = nib.load(maps / "T1_anomaly.nii.gz")
        assert found.shape == (20, 24, 16)
        np.testing.assert_allclose(found.affine, oblique, rtol=0, atol=1e-4)
        assert json.loads((maps / "T1_anomaly.json").read_text())["input"] == "T1"

    def test_the_map_is_that_of_the_same_voxels_as_nifti(
        self, predict: Callable, a_scan: Callable, a_volume: Callable, maps: Path, oblique: np.ndarray
    ) -> None:
        voxels = np.random.default_rng(1).integers(0, 4096, (20, 24, 16)).astype(np.int16)
        assert predict(a_scan(voxels=voxels.astype("<u2")), a_volume("same.nii.gz", voxels, affine=oblique)).code == 0
        series, volume = (nib.load(maps / f"{name}_anomaly.nii.gz").get_fdata() for name in ("T1", "same"))
        np.testing.assert_allclose(series, volume, rtol=0, atol=1e-6)

    def test_nested_folders(self, predict: Callable, a_scan: Callable, results: Callable, tmp_path: Path) -> None:
        for folder in ("in/b/T1", "in/a/T1", "in/a/T2"):
            a_scan(folder)
        assert predict(tmp_path / "in").code == 0
        assert results() == ["a/T1", "a/T2", "b/T1"]

    def test_several_in_a_folder_and_some_without_endings(
        self, predict: Callable, a_scan: Callable, results: Callable, tmp_path: Path
    ) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        for number in (2, 3):
            scan = a_scan(f"{number}", SeriesInstanceUID=f"1.2.9.{number}", SeriesNumber=number)
            for path in scan.iterdir():
                path.rename(folder / f"IM{number}{path.stem if number == 2 else path.name}")
        assert predict(folder).code == 0
        assert results() == ["in/series_2", "in/series_3"]

    def test_beside_other_images(
        self,
        predict: Callable,
        a_scan: Callable,
        a_dicom: Callable,
        a_picture: Callable,
        a_volume: Callable,
        results: Callable,
        tmp_path: Path,
    ) -> None:
        a_scan("in/T1")
        a_picture("in/photo.png")
        a_volume("in/T2.nii.gz")
        for number in range(2):  # of one series, and still each by itself
            a_dicom(f"in/chest/{number}.dcm", number=number, **RADIOGRAPH)
        assert predict(tmp_path / "in").code == 0
        assert results() == ["T1", "T2", "chest/0", "chest/1", "photo"]

    def test_beside_what_holds_no_image(
        self, predict: Callable, a_scan: Callable, a_dicom: Callable, results: Callable
    ) -> None:
        folder = a_scan()
        a_dicom("T1/report.dcm", **PDF)
        a_dicom("T1/plan", **STRUCTURES)
        warning = (
            f"{folder}: 2 DICOM files hold no image (Encapsulated PDF Storage, RT Structure Set Storage) and were left "
            "out."
        )
        outcome = predict(folder)
        assert (outcome.code, outcome.err) == (0, f"Warning: {warning}\n")
        assert results() == ["T1"]
        events = predict(folder, "--overwrite", "--progress", "json").events
        assert {"event": "warning", "message": warning} in events
        assert events[-1] == {"event": "done", "num_done": 1, "num_skipped": 0, "num_failed": 0}

    def test_what_is_done_is_skipped(self, predict: Callable, a_scan: Callable, maps: Path) -> None:
        folder = a_scan()
        predict(folder, "--dicom")
        before = (maps / "T1_anomaly.json").stat().st_mtime_ns
        assert predict(folder, "--dicom").out == f"Results: {maps} (1 were there already)\n"
        assert (maps / "T1_anomaly.json").stat().st_mtime_ns == before
        assert predict(folder, "--dicom", "--overwrite").out == f"Results: {maps}\n"
        assert (maps / "T1_anomaly.json").stat().st_mtime_ns > before


class TestChoice:
    @pytest.fixture
    def folder(self, a_scan: Callable, a_picture: Callable, tmp_path: Path) -> Path:
        """Two series and a picture."""
        a_scan("in/ct", SeriesInstanceUID="1.2.9.3", SeriesNumber=3)
        a_scan("in/mr", SeriesInstanceUID="1.2.9.5", SeriesNumber=5, Modality="MR")
        return a_picture("in/photo.png").parent

    @pytest.mark.parametrize(("series", "found"), [("3", "ct"), ("1.2.9.5", "mr")])
    def test_by_number_or_uid(
        self, predict: Callable, folder: Path, results: Callable, series: str, found: str
    ) -> None:
        assert predict(folder, "--series", series).code == 0
        assert results() == [found]

    @pytest.mark.parametrize(("series", "called"), [("9", "series 9"), ("1.2.9.9", "such series")])
    def test_one_that_is_not_there(self, predict: Callable, folder: Path, maps: Path, series: str, called: str) -> None:
        assert predict(folder, "--series", series).sentence == (
            f"there is no {called} in {folder}; it holds 3 (CT, 16 images) and 5 (MR, 16 images)."
        )
        assert not maps.exists()


class TestDicomResults:
    def test_what_there_is(self, predict: Callable, a_scan: Callable, maps: Path, listing: Callable) -> None:
        assert predict(a_scan(), "--dicom", "--map-threshold", "0.05").code == 0
        overlay = [f"overlay/{number:04d}.dcm" for number in range(1, 17)]
        assert sorted(listing(maps / "T1_dicom")) == [*overlay, "parametric_map.dcm", "segmentation.dcm"]
        numbers = set()
        for path in (maps / "T1_dicom").rglob("*.dcm"):
            written = dcmread(path)
            assert (written.StudyInstanceUID, written.PatientName) == ("1.2.3.200", "Doe^Jane")
            assert written.FrameOfReferenceUID == FRAME_OF_REFERENCE
            assert "research use only" in written.SeriesDescription
            numbers.add(int(written.SeriesNumber))
        assert numbers == {301, 302, 303}

    def test_each_slice_lies_on_its_image(self, predict: Callable, a_scan: Callable, maps: Path) -> None:
        """Whatever the order of the files is."""
        folder = a_scan()
        predict(folder, "--dicom")
        sources = {image.SOPInstanceUID: image for image in map(dcmread, folder.iterdir())}
        values = nib.load(maps / "T1_anomaly.nii.gz").get_fdata(dtype=np.float32)
        written = dcmread(maps / "T1_dicom" / "parametric_map.dcm")
        assert len(written.PerFrameFunctionalGroupsSequence) == 16
        for pixels, group in zip(written.pixel_array, written.PerFrameFunctionalGroupsSequence):
            (reference,) = group.DerivationImageSequence[0].SourceImageSequence
            source = sources[reference.ReferencedSOPInstanceUID]
            assert group.PlanePositionSequence[0].ImagePositionPatient == source.ImagePositionPatient
            np.testing.assert_array_equal(pixels, values[..., int(source.InstanceNumber) - 1].T)
        for path in (maps / "T1_dicom" / "overlay").iterdir():
            capture = dcmread(path)
            source = sources[capture.SourceImageSequence[0].ReferencedSOPInstanceUID]
            assert capture.ImagePositionPatient == source.ImagePositionPatient
            assert int(path.stem) == source.InstanceNumber

    def test_the_segmentation_is_what_lies_above(self, predict: Callable, a_scan: Callable, maps: Path) -> None:
        predict(a_scan(), "--dicom", "--map-threshold", "0.2")
        above = nib.load(maps / "T1_anomaly.nii.gz")
        segmented = hd.seg.segread(maps / "T1_dicom" / "segmentation.dcm").get_volume(combine_segments=True)
        to_map = np.linalg.inv(TO_LPS @ above.affine) @ segmented.affine
        found = (to_map @ np.pad(np.argwhere(segmented.array), ((0, 0), (0, 1)), constant_values=1).T)[:3]
        expected = np.argwhere(above.get_fdata(dtype=np.float32) > np.float32(0.2))
        assert 0 < len(expected) < above.get_fdata().size
        assert set(map(tuple, found.round().astype(int).T.tolist())) == set(map(tuple, expected.tolist()))

    def test_a_file_of_frames(
        self, predict: Callable, an_enhanced_file: Callable, maps: Path, voxels: np.ndarray, oblique: np.ndarray
    ) -> None:
        """From the last to the first, as many scanners write them."""
        path = an_enhanced_file(voxels, oblique, list(range(16))[::-1])
        image = dcmread(path)
        image.FrameOfReferenceUID = FRAME_OF_REFERENCE
        image.save_as(path)
        assert predict(path, "--dicom").code == 0
        values = nib.load(maps / "enhanced_anomaly.nii.gz").get_fdata(dtype=np.float32)
        for path in (maps / "enhanced_dicom" / "overlay").iterdir():
            reference = dcmread(path).SourceImageSequence[0]
            assert int(path.stem) + int(reference.ReferencedFrameNumber) == 17
        assert values.shape == (20, 24, 16)

    def test_a_radiograph(self, predict: Callable, a_dicom: Callable, maps: Path, listing: Callable) -> None:
        """It lies nowhere in space, so nothing can be laid on it by its place."""
        path = a_dicom("chest.dcm", SOPClassUID=DigitalXRayImageStorageForPresentation, **RADIOGRAPH)
        outcome = predict(path, "--dicom", "--map-threshold", "0.05")
        sentence = "The DICOM images have no frame of reference, which a parametric map needs, so none was written."
        assert (outcome.code, outcome.err) == (0, f"Warning: {path}: {sentence}\n")
        assert sorted(listing(maps / "chest_dicom")) == ["overlay/0001.dcm", "segmentation.dcm"]
        assert json.loads((maps / "chest_anomaly.json").read_text())["warnings"] == [sentence]

    def test_without_highdicom(
        self, predict: Callable, a_scan: Callable, maps: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Said before anything is computed."""
        monkeypatch.setitem(sys.modules, "highdicom", None)
        assert predict(a_scan(), "--dicom").sentence == (
            'DICOM results need the package highdicom, which is not installed; run pip install "monai-sagan[dicom]".'
        )
        assert not maps.exists()

    def test_images_that_are_no_dicom(
        self, predict: Callable, a_scan: Callable, a_volume: Callable, results: Callable, maps: Path, tmp_path: Path
    ) -> None:
        a_scan("in/T1")
        volume = a_volume("in/T2.nii.gz")
        outcome = predict(tmp_path / "in", "--dicom")
        assert outcome.code == 1
        assert outcome.err.splitlines() == [
            f"Error: {volume}: DICOM results need DICOM images, and this file is none; write results without DICOM.",
            "Error: 1 of 2 images could not be used.",
        ]
        assert results() == ["T1"]
        assert not list(maps.glob("T2*"))

    def test_results_among_the_images_are_no_cases(
        self, predict: Callable, a_scan: Callable, listing: Callable
    ) -> None:
        folder = a_scan()
        options = ("--dicom", "--map-threshold", "0.05", "--save-restored")
        predict(folder, "--output", folder / "maps", *options)
        before = listing(folder)
        outcome = predict(folder, "--output", folder / "maps", *options)
        assert (outcome.out, outcome.err) == (f"Results: {folder / 'maps'} (1 were there already)\n", "")
        assert listing(folder) == before

    def test_a_result_that_is_given_as_image(self, predict: Callable, a_scan: Callable, maps: Path) -> None:
        predict(a_scan(), "--dicom")
        capture = maps / "T1_dicom" / "overlay" / "0001.dcm"
        assert predict(capture).sentence == (
            f"{capture}: the file holds no image but: a result of monai-sagan; leave it out."
        )


def test_from_nifti_to_dicom_and_back(
    predict: Callable, a_volume: Callable, a_scan: Callable, maps: Path, oblique: np.ndarray
) -> None:
    """Maps, as NIfTI and as DICOM, lie where the volume lay that the series was made of."""
    nifti = nib.load(a_volume("first.nii.gz", size=(20, 24, 16), affine=oblique))
    series = a_scan("series", voxels=np.asarray(nifti.dataobj).astype("<u2"), affine=nifti.affine)
    assert predict(series, "--dicom").code == 0
    found = nib.load(maps / "series_anomaly.nii.gz")
    volume = hd.imread(maps / "series_dicom" / "parametric_map.dcm").get_volume(dtype=np.float32)
    to_first = np.linalg.inv(TO_LPS @ nifti.affine) @ volume.affine
    spacing = np.linalg.norm(nifti.affine[:3, :3], axis=0)
    for corner in np.ndindex(2, 2, 2):
        index = np.array(corner) * (np.array(nifti.shape) - 1)
        moved = found.affine @ (*index, 1) - nifti.affine @ (*index, 1)
        np.testing.assert_allclose(moved, 0, rtol=0, atol=1e-4)  # millimetres
        index = np.array(corner) * (np.array(volume.spatial_shape) - 1)
        place = (to_first @ (*index, 1))[:3]
        np.testing.assert_allclose((place - place.round()) * spacing, 0, rtol=0, atol=1e-4)
        assert volume.array[tuple(index)] == np.float32(found.dataobj[tuple(place.round().astype(int))])
