"""What is found among files and folders, and how it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_sagan.data import CaseReader, find_images, list_cases
from monai_sagan.errors import ImageError, UserError

PDF = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1", "Rows": None, "Columns": None, "PixelData": None}
STRUCTURES = {**PDF, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.3"}
NOWHERE = {"ImagePositionPatient": None, "ImageOrientationPatient": None}


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Path]:
    """Makes files that nobody will read, in a folder `in`."""

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "in"

    return make


def names(cases: Sequence[dict[str, Any]]) -> list[str]:
    return [case["name"] for case in cases if "image" in case]


def refusal(inputs: Sequence[Path], **arguments: Any) -> str:
    with pytest.raises(UserError) as error:
        list_cases(inputs, **arguments)
    return str(error.value)


class TestFiles:
    def test_a_file(self, files: Callable[..., Path]) -> None:
        path = files("a.nii.gz") / "a.nii.gz"
        assert list_cases([path]) == [{"image": str(path), "path": str(path), "name": "a"}]

    def test_text_for_paths(self, files: Callable[..., Path]) -> None:
        assert list_cases([str(files("a.png"))]) == list_cases([files("a.png")])

    def test_folders_are_kept(self, files: Callable[..., Path]) -> None:
        folder = files("z.dcm", "b/d/E.JPG", "a.png", "b/c.nii.gz")
        cases = list_cases([folder])
        assert names(cases) == ["a", "b/c", "b/d/E", "z"]
        assert [case["image"] for case in cases] == [
            str(folder / name) for name in ("a.png", "b/c.nii.gz", "b/d/E.JPG", "z.dcm")
        ]

    def test_what_is_no_image_or_hidden(self, files: Callable[..., Path]) -> None:
        folder = files("a.png", "notes.txt", "data", ".b.png", "._a.png", ".cache/c.png", "d/.e/f.png")
        assert names(list_cases([folder])) == ["a"]

    def test_a_file_that_is_given_is_an_image(self, files: Callable[..., Path]) -> None:
        assert names(list_cases([files("notes.txt") / "notes.txt"])) == ["notes"]

    def test_endings_where_names_would_be_the_same(self, files: Callable[..., Path]) -> None:
        assert names(list_cases([files("a.png", "a.nii.gz", "b.png", "c/a.png")])) == ["a.nii.gz", "a.png", "b", "c/a"]

    def test_each_only_once(self, files: Callable[..., Path]) -> None:
        folder = files("a.png", "b/c.png")
        assert names(list_cases([folder, folder / "a.png", folder / "b"])) == ["a", "b/c"]

    def test_one_name_twice(self, files: Callable[..., Path]) -> None:
        folder = files("one/a.png", "two/a.png")
        assert refusal([folder / "one", folder / "two"]) == (
            "a.png: two of the images given have this name; give them to two runs with two outputs."
        )

    def test_capitals_where_they_make_no_difference(
        self, files: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On Windows and macOS one result would take the place of the other."""
        folder = files("A.png", "a.nii.gz", "b/c.png")
        assert names(list_cases([folder])) == ["A", "a", "b/c"]
        monkeypatch.setattr(sys, "platform", "darwin")
        assert names(list_cases([folder])) == ["A.png", "a.nii.gz", "b/c"]
        folder = files("one/D.png", "two/d.PNG")
        assert refusal([folder / "one", folder / "two"]).startswith("D.png: two of the images given have this name;")

    def test_nothing_given(self) -> None:
        assert refusal([]) == "no image was given; name at least one, or a folder of them."

    def test_nothing_there(self, files: Callable[..., Path], tmp_path: Path) -> None:
        assert refusal([tmp_path / "x"]) == f"{tmp_path / 'x'}: there is no such file or folder."
        folder = files("notes.txt")
        assert refusal([folder]).startswith(f"{folder}: this folder holds no image (.png, ")

    def test_find_images(self, files: Callable[..., Path], tmp_path: Path) -> None:
        folder = files("a.png", "b/c.nii.gz", "b/d/E.JPG", "z.dcm", "notes.txt", ".f.png", ".cache/g.png")
        (folder / "folder.png").mkdir()
        assert find_images(folder) == [folder / name for name in ("a.png", "b/c.nii.gz", "b/d/E.JPG", "z.dcm")]
        assert find_images(tmp_path / "missing") == []

    def test_find_images_in_a_hidden_folder(self, tmp_path: Path) -> None:
        """Only what is hidden inside of the folder is left out."""
        (tmp_path / ".study").mkdir()
        (tmp_path / ".study" / "a.png").touch()
        assert find_images(tmp_path / ".study") == [tmp_path / ".study" / "a.png"]


class TestLinks:
    def test_to_folders_and_files(self, files: Callable[..., Path], tmp_path: Path) -> None:
        folder = files("a.png")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "b.png").touch()
        (folder / "there").symlink_to(elsewhere)
        (folder / "c.png").symlink_to(elsewhere / "b.png")
        (folder / "d.png").symlink_to(elsewhere / "d.png")
        (elsewhere / "d.png").touch()
        assert names(list_cases([folder])) == ["a", "c", "d"]  # what is linked to twice is one image

    def test_a_folder_within_itself(self, files: Callable[..., Path]) -> None:
        folder = files("a/b.png")
        (folder / "a" / "loop").symlink_to(folder)
        (folder / "a" / "again").symlink_to(folder / "a")
        assert names(list_cases([folder])) == ["a/b"]

    @pytest.mark.parametrize("target", ["missing.png", "loop.png"])
    def test_that_lead_nowhere(self, files: Callable[..., Path], target: str) -> None:
        """They stay in the list, and are refused one by one."""
        folder = files("a.png")
        (folder / "loop.png").symlink_to(folder / target)
        cases = list_cases([folder])
        assert names(cases) == ["a", "loop"]
        assert names(list_cases([folder / "loop.png"])) == ["loop"]
        with pytest.raises(ImageError, match=r"loop\.png: this is a symbolic link that leads nowhere; repair it"):
            CaseReader().get_data(Path(cases[1]["image"]))

    def test_a_pipe_is_passed_over(self, files: Callable[..., Path]) -> None:
        """Opening it would wait for ever."""
        folder = files("a.png")
        os.mkfifo(folder / "pipe.dcm")
        assert names(list_cases([folder])) == ["a"]


class TestSeries:
    def test_a_folder_alone(self, a_series: Callable[..., Path]) -> None:
        folder = a_series("T1")
        (case,) = list_cases([folder])
        assert case == {"image": sorted(map(str, folder.iterdir())), "path": str(folder), "name": "T1"}

    def test_folders_of_patients(self, a_series: Callable[..., Path], tmp_path: Path) -> None:
        for folder in ("in/b/T1", "in/a/T1", "in/a/T2"):
            a_series(folder)
        assert names(list_cases([tmp_path / "in"])) == ["a/T1", "a/T2", "b/T1"]

    def test_several_in_a_folder(self, a_series: Callable[..., Path], tmp_path: Path) -> None:
        """Told apart by their numbers, of which some may be the same and some absent; never by their UIDs."""
        for index, number in enumerate([2, 3, 3, None]):
            folder = a_series(f"{index}", SeriesInstanceUID=f"1.2.9.{index}", SeriesNumber=number)
            for path in folder.iterdir():
                path.rename(tmp_path / f"{index}{path.name}")
            folder.rmdir()
        folder = tmp_path
        expected = [f"{folder.name}/series_{number}" for number in ("2", "3", "3_2", "without_number")]
        cases = list_cases([folder])
        assert sorted(names(cases)) == expected
        assert {len(case["image"]) for case in cases} == {8}

    def test_files_without_endings(self, a_series: Callable[..., Path], tmp_path: Path) -> None:
        folder = a_series("T1")
        for path in sorted(folder.iterdir()):
            path.rename(path.with_name(f"1.2.840.{path.stem}"))
        (case,) = list_cases([folder])
        assert len(case["image"]) == 8

    def test_images_without_a_place_are_single(self, a_dicom: Callable[..., Path], tmp_path: Path) -> None:
        """Radiographs of one examination; and the only slice of a series."""
        for number in range(3):
            a_dicom(f"in/chest/{number}.dcm", number=number, Modality="DX", **NOWHERE)
        a_dicom("in/slice/IM1", SeriesInstanceUID="1.2.3.9")
        cases = list_cases([tmp_path / "in"])
        assert names(cases) == ["chest/0", "chest/1", "chest/2", "slice/IM1"]
        assert all(isinstance(case["image"], str) for case in cases)

    def test_files_of_frames_are_single(self, a_dicom: Callable[..., Path], tmp_path: Path) -> None:
        for number in range(2):
            frames = np.zeros((4, 5, 6), "<u2")
            a_dicom(f"in/{number}.dcm", frames, number, NumberOfFrames=4)
        assert names(list_cases([tmp_path / "in"])) == ["0", "1"]

    def test_among_other_images(
        self, a_series: Callable[..., Path], a_picture: Callable[..., Path], tmp_path: Path
    ) -> None:
        folder = a_series("in/T1")
        a_picture("in/T1/photo.png")
        (folder / "letter.dcm").write_text("Dear colleague")  # fails by itself, later
        assert names(list_cases([tmp_path / "in"])) == ["T1", "T1/letter", "T1/photo"]

    def test_names_say_nothing_of_the_patient(self, a_series: Callable[..., Path]) -> None:
        folder = a_series("T1", SeriesDescription="Doe")
        text = str(list_cases([folder])).replace(str(folder), "")
        for private in ("Doe", "4711", "1.2.3"):
            assert private not in text


class TestChoice:
    @pytest.fixture
    def folder(self, a_series: Callable[..., Path], a_dicom: Callable[..., Path], tmp_path: Path) -> Path:
        """Two series and a radiograph."""
        a_series("in/mr", SeriesInstanceUID="1.2.9.1", SeriesNumber=2, Modality="MR")
        a_series("in/ct", SeriesInstanceUID="1.2.9.2", SeriesNumber=3)
        a_dicom("in/x.dcm", SeriesInstanceUID="1.2.9.3", SeriesNumber=4, Modality="DX", **NOWHERE)
        return tmp_path / "in"

    @pytest.mark.parametrize(
        ("series", "expected"),
        [
            (["2"], ["mr"]),
            (["1.2.9.2"], ["ct"]),
            (["4", "2"], ["mr", "x"]),
            ([], ["ct", "mr", "x"]),
        ],
    )
    def test_by_number_or_uid(self, folder: Path, series: list[str], expected: list[str]) -> None:
        assert names(list_cases([folder], series)) == expected

    def test_other_images_are_of_no_series(self, folder: Path, a_picture: Callable[..., Path]) -> None:
        a_picture("in/a.png")
        assert names(list_cases([folder], ["2"])) == ["mr"]

    def test_a_file_that_is_given(self, folder: Path) -> None:
        assert names(list_cases([folder / "x.dcm"], ["4"])) == ["x"]

    @pytest.mark.parametrize(("series", "called"), [("9", "series 9"), ("1.2.9.9", "such series")])
    def test_one_that_is_not_there(self, folder: Path, series: str, called: str) -> None:
        """UIDs are not repeated: they tell whose image it is."""
        assert refusal([folder], series=["2", series]) == (
            f"there is no {called} in {folder}; it holds 3 (CT, 8 images), 2 (MR, 8 images) and 4 (DX, 1 image)."
        )

    def test_where_there_is_none(self, a_picture: Callable[..., Path]) -> None:
        folder = a_picture("in/a.png").parent
        assert refusal([folder], series=["2"]) == f"there is no series 2 in {folder}; it holds no DICOM series."


class TestWithoutImage:
    def test_is_left_out_and_told(self, a_series: Callable[..., Path], a_dicom: Callable[..., Path]) -> None:
        folder = a_series("T1")
        a_dicom("T1/report.dcm", **PDF)
        a_dicom("T1/plan", **STRUCTURES)
        case, warning = list_cases([folder])
        assert len(case["image"]) == 8
        assert warning == {
            "path": str(folder),
            "warning": f"{folder}: 2 DICOM files hold no image (Encapsulated PDF Storage, RT Structure Set Storage) "
            "and were left out.",
        }

    def test_nothing_else(self, a_dicom: Callable[..., Path]) -> None:
        folder = a_dicom("in/report.dcm", **PDF).parent
        assert refusal([folder]) == (
            f"{folder}: 1 DICOM file holds no image (Encapsulated PDF Storage) and was left out."
        )

    def test_a_file_that_is_given_is_tried(self, a_dicom: Callable[..., Path]) -> None:
        assert names(list_cases([a_dicom("report.dcm", **PDF)])) == ["report"]

    def test_the_contents_of_a_disc(self, a_series: Callable[..., Path], a_dicom: Callable[..., Path]) -> None:
        """Every disc has it, and nobody misses it."""
        folder = a_series("disc")
        a_dicom("disc/DICOMDIR", **{**PDF, "SOPClassUID": "1.2.840.10008.1.3.10"})
        assert len(list_cases([folder])) == 1


class TestOtherFormats:
    def test_are_left_out_and_told(self, files: Callable[..., Path]) -> None:
        folder = files("a.png", "b.GIF", "in/c.mgz", "in/d.gif", "f.hdr", "f.img", "x.txt", ".hidden.gif")
        case, warning = list_cases([folder])
        assert case["name"] == "a"
        assert warning == {
            "path": str(folder),
            "warning": f"{folder}: 5 files were left out, since this format is not read (.gif, .hdr, .img, .mgz); "
            "convert to PNG or NIfTI.",
        }

    def test_nothing_else(self, files: Callable[..., Path]) -> None:
        folder = files("a.gif")
        assert refusal([folder]) == (
            f"{folder}: 1 file was left out, since this format is not read (.gif); convert to PNG or NIfTI."
        )

    def test_beside_what_holds_no_image(self, a_series: Callable[..., Path], a_dicom: Callable[..., Path]) -> None:
        folder = a_series("T1")
        a_dicom("T1/report.dcm", **PDF)
        (folder / "shown.gif").write_bytes(b"GIF89a")
        _, warning = list_cases([folder])
        assert "holds no image" in warning["warning"]
        assert warning["warning"].endswith("since this format is not read (.gif); convert to PNG or NIfTI.")


class TestResultsOfFormerRuns:
    def test_are_no_images(self, files: Callable[..., Path]) -> None:
        made = [f"maps/a_{kind}" for kind in ("anomaly.json", "anomaly.nii.gz", "restored.nii.gz")]
        assert names(list_cases([files("a.png", *made)])) == ["a"]

    def test_names_like_theirs_alone_are_nothing(self, files: Callable[..., Path]) -> None:
        assert names(list_cases([files("my_anomaly.png", "my_restored.png")])) == ["my_anomaly", "my_restored"]

    def test_as_dicom(self, a_series: Callable[..., Path], a_dicom: Callable[..., Path]) -> None:
        """A volume of captures, as the overlay is."""
        folder = a_series("T1")
        for number in range(3):
            a_dicom(f"T1/overlay/{number}.dcm", number=number, Manufacturer="monai-sagan", SeriesInstanceUID="1.2.9")
        assert names(list_cases([folder])) == ["T1"]
        assert refusal([folder / "overlay"]).startswith(f"{folder / 'overlay'}: this folder holds no image (")
