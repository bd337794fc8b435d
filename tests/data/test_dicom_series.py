"""The DICOM files of a series: one volume with the geometry of its headers, or a sentence that says what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from monai.data import MetaTensor
from monai.transforms import LoadImage

from monai_sagan.data import CaseReader
from monai_sagan.errors import ImageError

ONE_VOLUME_ONLY = "give those of one volume only."


def load(case: Path | list[Path]) -> MetaTensor:
    return LoadImage(reader=CaseReader(), dtype=None)(case)


def refusal(case: Path | list[Path], named: Path | None = None) -> str:
    """The reason for which a case is refused, without the name of the folder or file, which comes first."""
    with pytest.raises(ImageError) as error:
        CaseReader().get_data(case)
    start, text = f"{named or case}: ", str(error.value)
    assert text.startswith(start)
    return text.removeprefix(start)


def straight(*spacing: float) -> np.ndarray:
    return np.diag([*spacing, 1.0])


class TestVolume:
    @pytest.fixture
    def voxels(self) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 4096, (6, 5, 8)).astype("<u2")

    @pytest.mark.parametrize("flipped", [(), (0,), (1,), (2,), (0, 1), (0, 1, 2)], ids=str)
    def test_lies_where_it_was_written(
        self, a_series: Callable[..., Path], voxels: np.ndarray, oblique: np.ndarray, flipped: tuple[int, ...]
    ) -> None:
        """An array that is left-handed is read in the other order of slices, at the same place in the patient."""
        affine = oblique @ np.diag([-1.0 if axis in flipped else 1.0 for axis in range(4)])
        volume = load(a_series(voxels=voxels, affine=affine))
        is_left_handed = len(flipped) % 2 == 1
        assert np.array_equal(volume.numpy(), voxels[..., ::-1] if is_left_handed else voxels)
        assert np.linalg.det(volume.affine.numpy()[:3, :3]) > 0
        if is_left_handed:
            affine = affine @ np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, voxels.shape[2] - 1], [0, 0, 0, 1]])
        assert volume.affine.numpy() == pytest.approx(affine, abs=1e-5)
        assert volume.meta["original_affine"] == pytest.approx(affine, abs=1e-5)

    def test_simpleitk_agrees(self, a_series: Callable[..., Path], voxels: np.ndarray) -> None:
        folder = a_series(voxels=voxels)
        image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
        lps = np.eye(4)
        lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
        lps[:3, 3] = image.GetOrigin()
        volume = load(folder)
        assert volume.affine.numpy() == pytest.approx(np.diag([-1, -1, 1, 1]) @ lps, abs=1e-5)
        assert np.array_equal(volume.numpy(), sitk.GetArrayFromImage(image).T)

    def test_distance_of_slices_not_thickness(self, a_series: Callable[..., Path], voxels: np.ndarray) -> None:
        """Thick slices overlap, thin ones leave gaps."""
        volume = load(a_series(voxels=voxels, affine=straight(1, 1, 2.5), SliceThickness=5, SpacingBetweenSlices=7))
        assert float(volume.affine[2, 2]) == pytest.approx(2.5, abs=1e-9)

    def test_files_in_any_order(self, a_series: Callable[..., Path], voxels: np.ndarray) -> None:
        folder = a_series(voxels=voxels)
        files = sorted(folder.iterdir())
        for order in (files, files[::-1], files[3:] + files[:3]):
            volume = load(order)
            assert np.array_equal(volume.numpy(), voxels)
        assert "Doe" not in str(volume.meta)

    def test_rounded_positions(self, a_series: Callable[..., Path], voxels: np.ndarray) -> None:
        """Some scanners write tenths of a millimetre."""
        heights = [0, 1.3, 2.5, 3.8, 5, 6.3, 7.5, 8.8]  # 1.25 mm apart
        changes = {number: {"ImagePositionPatient": [0, 0, height]} for number, height in enumerate(heights)}
        volume = load(a_series(voxels=voxels, affine=straight(-1, -1, 1), changes=changes))
        assert np.array_equal(volume.numpy(), voxels)
        assert float(volume.affine[2, 2]) == pytest.approx(8.8 / 7)

    def test_rounded_directions(
        self, a_series: Callable[..., Path], a_dicom: Callable[..., Path], voxels: np.ndarray, oblique: np.ndarray
    ) -> None:
        """They are perpendicular all the same, in a series and in a single slice."""
        lps = np.diag([-1.0, -1.0, 1.0]) @ oblique[:3, :2]
        rounded = np.round(lps / np.linalg.norm(lps, axis=0), 3).T.ravel().tolist()
        folder = a_series(voxels=voxels, ImageOrientationPatient=rounded)
        for case in (folder, sorted(folder.iterdir())[0]):
            affine = load(case).affine.numpy()
            axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
            assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-12)
            assert affine[:3, :2] == pytest.approx(oblique[:3, :2], abs=1e-3)

    def test_slices_scaled_by_factors_of_their_own(self, a_series: Callable[..., Path], voxels: np.ndarray) -> None:
        """As those of PET are; some of the factors are whole numbers."""
        slopes = [1, 0.5, 2, 0.25, 1, 3, 0.125, 1]
        changes = {number: {"RescaleSlope": slope} for number, slope in enumerate(slopes)}
        assert np.array_equal(load(a_series(voxels=voxels, changes=changes)).numpy(), voxels * np.array(slopes))

    def test_windows_are_for_radiographs(self, a_series: Callable[..., Path], voxels: np.ndarray) -> None:
        assert np.array_equal(load(a_series(voxels=voxels, WindowCenter=40, WindowWidth=80)).numpy(), voxels)

    def test_files_that_hold_no_image_are_no_part_of_it(
        self, a_series: Callable[..., Path], a_dicom: Callable[..., Path], voxels: np.ndarray
    ) -> None:
        folder = a_series(voxels=voxels)
        a_dicom("series/report", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Rows=None, PixelData=None)
        (folder / "notes.txt").write_text("x")
        (folder / ".hidden.dcm").write_text("x")
        assert np.array_equal(load(folder).numpy(), voxels)

    def test_nothing_on_the_terminal(self, a_series: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
        load(a_series())
        captured = capfd.readouterr()
        assert captured.out + captured.err == ""


class TestRefused:
    @pytest.mark.parametrize(
        ("missing", "reason"),
        [
            ([2], "1 slice is missing between 3.0 and 9.0 mm"),
            ([3, 4], "2 slices are missing between 6.0 and 15.0 mm"),
            ([1, 4, 5], "3 slices are missing, the first between 0.0 and 6.0 mm"),
        ],
    )
    def test_missing_slices(self, a_series: Callable[..., Path], missing: list[int], reason: str) -> None:
        folder = a_series(affine=straight(-1, -1, 3))
        for number in missing:
            (folder / f"{number * 7 % 101:03d}.dcm").unlink()
        assert refusal(folder) == f"{reason}; copy the series again, or export it whole."

    def test_most_of_them_missing(self, a_series: Callable[..., Path]) -> None:
        """A gap that is many times the others does not make these nothing."""
        voxels = np.random.default_rng(0).integers(0, 4096, (6, 5, 24)).astype("<u2")
        folder = a_series(voxels=voxels, affine=straight(-1, -1, 1))
        for number in range(4, 20):
            (folder / f"{number * 7 % 101:03d}.dcm").unlink()
        assert refusal(folder).startswith("16 slices are missing between 3.0 and 20.0 mm;")

    def test_the_middle_one_of_three(self, a_series: Callable[..., Path]) -> None:
        """There is no usual gap: the smaller one is taken for it."""
        voxels = np.random.default_rng(0).integers(0, 4096, (6, 5, 4)).astype("<u2")
        folder = a_series(voxels=voxels, affine=straight(-1, -1, 3))
        (folder / "014.dcm").unlink()
        assert refusal(folder).startswith("1 slice is missing between 3.0 and 9.0 mm;")

    def test_uneven_slices(self, a_series: Callable[..., Path]) -> None:
        folder = a_series(affine=straight(-1, -1, 3), changes={7: {"ImagePositionPatient": [0, 0, 22.3]}})
        assert refusal(folder) == (
            "the slices are unevenly spaced: 3.00 mm apart, but 4.30 mm between 18.0 and 22.3 mm; resample the "
            "volume to even slices."
        )

    def test_several_at_one_position(self, a_series: Callable[..., Path], a_dicom: Callable[..., Path]) -> None:
        folder = a_series(affine=straight(-1, -1, 3))
        for number in (2, 5):
            shutil.copy(folder / f"{number * 7 % 101:03d}.dcm", folder / f"echo{number}.dcm")
        assert refusal(folder) == (
            "2 of the 10 images lie where another one does, perhaps because they are several time points or echoes; "
            + ONE_VOLUME_ONLY
        )

    def test_all_at_one_position(self, a_series: Callable[..., Path]) -> None:
        folder = a_series(affine=straight(-1, -1, 0))
        assert refusal(folder).startswith("7 of the 8 images lie where another one does")

    def test_a_localizer_among_them(self, a_series: Callable[..., Path]) -> None:
        sagittal = {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}
        folder = a_series(affine=straight(-1, -1, 3), changes={0: sagittal, 5: sagittal})
        assert refusal(folder) == (
            "the images lie in different orientations (2 of 8 unlike the others), perhaps because a localizer is among "
            "them; give those of one orientation only."
        )

    def test_sizes(self, a_series: Callable[..., Path], a_dicom: Callable[..., Path]) -> None:
        folder = a_series(affine=straight(-1, -1, 3))
        a_dicom("series/large.dcm", np.zeros((20, 30), "<u2"), number=8)
        assert refusal(folder) == f"the images differ in size (6x5 and 30x20 pixels); {ONE_VOLUME_ONLY}"

    def test_pixel_spacings(self, a_series: Callable[..., Path]) -> None:
        folder = a_series(affine=straight(-1, -1, 3), changes={4: {"PixelSpacing": [1.1, 1.1]}})
        assert refusal(folder) == f"the images differ in pixel spacing; {ONE_VOLUME_ONLY}"

    def test_a_tilted_gantry(self, a_series: Callable[..., Path]) -> None:
        affine = straight(-1, -1, 3)
        affine[1, 2] = 3 * np.tan(np.deg2rad(15))
        assert refusal(a_series(affine=affine)) == (
            "the slices are shifted against each other as those of a gantry tilted by 15.0 degrees; resample the "
            "volume to a regular grid."
        )

    def test_several_series(self, a_series: Callable[..., Path], a_dicom: Callable[..., Path]) -> None:
        folder = a_series(affine=straight(-1, -1, 3))
        a_dicom("series/other.dcm", number=9, SeriesInstanceUID="1.2.3.101", SeriesNumber=12)
        a_dicom("series/another.dcm", number=10, SeriesInstanceUID="1.2.3.102", SeriesNumber=None)
        assert refusal(folder) == "the files are of 3 series (3, 12, without number); choose one by --series."

    @pytest.mark.parametrize(
        "change",
        [
            {"ImagePositionPatient": None},
            {"ImagePositionPatient": [1, 2]},
            {"PixelSpacing": None},
            {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
            {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
        ],
        ids=str,
    )
    def test_files_without_a_place(
        self, a_series: Callable[..., Path], a_dicom: Callable[..., Path], change: dict[str, Any]
    ) -> None:
        folder = a_series(affine=straight(-1, -1, 3))
        path = a_dicom("series/x.dcm", **change)
        assert refusal(folder, path) == "the header does not tell where the slice lies; leave it out."

    @pytest.mark.parametrize("kept", [0, 100, 400, -20])
    def test_a_file_cut_short(self, a_series: Callable[..., Path], kept: int) -> None:
        """Named alone: the others are good."""
        folder = a_series(affine=straight(-1, -1, 3))
        path = sorted(folder.iterdir())[3]
        path.write_bytes(path.read_bytes()[:kept])
        for case in (folder, sorted(folder.iterdir())):
            assert "copy it again or leave it out" in refusal(case, path)

    def test_a_file_of_frames(self, a_series: Callable[..., Path], a_dicom: Callable[..., Path]) -> None:
        folder = a_series(affine=straight(-1, -1, 3))
        path = a_dicom("series/frames.dcm", np.zeros((4, 5, 6), "<u2"), NumberOfFrames=4)
        assert refusal(folder, path) == "the file holds 4 frames; give it alone."

    def test_a_folder_without_dicom(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("x")
        assert refusal(tmp_path) == (
            "this folder holds no DICOM series; give it a series, or give its images one by one."
        )
