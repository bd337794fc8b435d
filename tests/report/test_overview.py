"""The pictures: what they show, and that they are written whole."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import SimpleITK
from matplotlib.figure import Figure
from PIL import Image

from monai_sagan.errors import UserError
from monai_sagan.report import EvaluatedCase, draw_cases, draw_volume
from monai_sagan.report.overview import _choose_slices, _Sheet

SIZE = (20, 24)  # rows, columns


def a_case(name: str, label: int, score: float, *, lesion: bool = False, size: tuple[int, int] = SIZE) -> EvaluatedCase:
    image = np.full(size, -1.0, dtype=np.float32)
    mask = np.zeros(size, dtype=bool)
    mask[4:8, 10:18] = lesion
    image[mask] = 1.0
    restored = np.full(size, -1.0, dtype=np.float32)
    return EvaluatedCase(name, label, score, image, restored, np.abs(image - restored) / 2, mask if lesion else None)


def a_test_set(healthy: int = 11, anomalous: int = 11) -> list[EvaluatedCase]:
    """Healthy cases score 0, 1, 2, ..., anomalous ones 100, 101, ...; the highest comes first."""
    cases = [a_case(f"h{number}", 0, float(number)) for number in range(healthy)]
    return [*cases, *(a_case(f"a{number}", 1, 100.0 + number, lesion=True) for number in range(anomalous))][::-1]


@pytest.fixture
def shown(monkeypatch):
    """The columns that are drawn, in order, as they are collected."""
    columns = []
    draw = _Sheet.draw_columns

    def spy(self, group, left, scale):
        columns.extend(group)
        draw(self, group, left, scale)

    monkeypatch.setattr(_Sheet, "draw_columns", spy)
    return columns


@pytest.fixture
def a_full_disk(monkeypatch):
    def fail(self, path, **kwargs):
        Path(path).write_bytes(b"half a picture")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)


class AVolume:
    """Files of a volume, its map and its restored image: (z, y, x) = (14, 20, 24), spacing (1, 1, 3)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        random = np.random.default_rng(0)
        self.array = random.integers(0, 256, (14, 20, 24), dtype=np.uint8)
        self.map = random.random((14, 20, 24), dtype=np.float32)
        self.restored = random.uniform(-1, 1, (14, 20, 24)).astype(np.float32)
        self.scores = [float(number % 5) for number in range(14)]
        self.scores[11] = 7.0
        self.files = [self.write(name, getattr(self, name), folder) for name in ("array", "map", "restored")]

    @staticmethod
    def write(name: str, array: np.ndarray, folder: Path) -> Path:
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.0, 3.0)[: array.ndim])
        path = folder / f"{name}.nii.gz"
        SimpleITK.WriteImage(image, str(path))
        return path


@pytest.fixture
def a_volume(tmp_path):
    return AVolume(tmp_path)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def has_cyan(path: Path) -> bool:
    red, green, blue = np.moveaxis(pixels(path), -1, 0)
    return bool(((red < 20) & (green > 220) & (blue > 220)).any())


class TestCases:
    def test_one_picture_and_nothing_else_is_written(self, tmp_path):
        draw_cases(a_test_set(), tmp_path / "new" / "examples.png")
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["examples.png"]
        picture = pixels(tmp_path / "new" / "examples.png")
        height, width = picture.shape[:2]
        assert 1000 <= width <= 1400
        assert 500 <= height <= width
        for corner in (picture[0, 0], picture[0, -1], picture[-1, 0], picture[-1, -1]):
            assert corner.tolist() == [255, 255, 255]

    def test_cases_are_chosen_by_percentile(self, shown, tmp_path):
        draw_cases(a_test_set(), tmp_path / "examples.png")
        assert [(column.title, column.score) for column in shown] == [
            ("90th percentile", 109.0),
            ("50th percentile", 105.0),
            ("10th percentile", 101.0),
            ("50th percentile", 5.0),
            ("90th percentile", 9.0),
        ]

    @pytest.mark.parametrize(
        ("healthy", "anomalous", "scores"),
        [
            (1, 1, [100.0, 0.0]),
            (2, 2, [101.0, 100.0, 0.0, 1.0]),
            (3, 0, [1.0, 2.0]),
            (0, 3, [102.0, 101.0, 100.0]),
        ],
    )
    def test_no_case_is_shown_twice(self, shown, tmp_path, healthy, anomalous, scores):
        draw_cases(a_test_set(healthy, anomalous), tmp_path / "examples.png")
        assert [column.score for column in shown] == scores

    def test_the_lesion_is_outlined_where_there_is_one(self, tmp_path):
        draw_cases(a_test_set(), tmp_path / "outlined.png")
        draw_cases([a_case("a", 0, 0.0), a_case("b", 1, 1.0)], tmp_path / "not.png")
        assert has_cyan(tmp_path / "outlined.png")
        assert not has_cyan(tmp_path / "not.png")

    def test_pictures_stand_upright(self, tmp_path):
        """In the upper left picture the lesion, in rows 4 to 7 of 20 and columns 10 to 17 of 24, is white."""
        draw_cases(a_test_set(), tmp_path / "examples.png")
        dark = pixels(tmp_path / "examples.png")[:, :, 0] < 5
        left = int(np.argmax(dark.sum(axis=0) > 250))
        top = int(np.argmax(dark[:, left]))
        width = int(np.argmin(dark[top, left:]))
        height = int(np.argmin(dark[top:, left]))
        assert height / width == pytest.approx(20 / 24, abs=0.02)
        for row, column, white in ((6, 14, True), (14, 14, False), (6, 6, False), (14, 6, False)):
            pixel = dark[top + int((row + 0.5) / 20 * height), left + int((column + 0.5) / 24 * width)]
            assert pixel != white

    def test_pictures_of_several_forms(self, tmp_path):
        cases = [a_case("wide", 1, 1.0, lesion=True, size=(20, 400)), a_case("tall", 0, 0.0, size=(400, 20))]
        draw_cases(cases, tmp_path / "examples.png")
        height, width = pixels(tmp_path / "examples.png").shape[:2]
        assert max(height, width) < 2000

    def test_a_picture_is_the_same_from_run_to_run_and_whatever_the_user_set(self, tmp_path):
        draw_cases(a_test_set(), tmp_path / "a.png")
        with matplotlib.rc_context({"font.size": 30, "savefig.bbox": "tight", "axes.facecolor": "red"}):
            draw_cases(a_test_set(), tmp_path / "b.png")
            assert matplotlib.rcParams["font.size"] == 30
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

    def test_no_case_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="no case to draw"):
            draw_cases([], tmp_path / "examples.png")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.usefixtures("a_full_disk")
    def test_nothing_half_written_is_left(self, tmp_path):
        (tmp_path / "examples.png").write_text("the former one")
        with pytest.raises(OSError, match="No space left"):
            draw_cases(a_test_set(2, 2), tmp_path / "examples.png")
        assert [path.name for path in tmp_path.iterdir()] == ["examples.png"]
        assert (tmp_path / "examples.png").read_text() == "the former one"


class TestVolume:
    def test_the_highest_slice_takes_the_place_of_its_neighbour(self, a_volume, shown, tmp_path):
        draw_volume(*a_volume.files, a_volume.scores, tmp_path / "out" / "volume.png")
        assert [column.title for column in shown] == [f"Slice {index + 1}" for index in (1, 3, 5, 8, 11, 12)]
        assert [column.score for column in shown] == [a_volume.scores[index] for index in (1, 3, 5, 8, 11, 12)]
        assert [column.colour == shown[0].colour for column in shown] == [True, True, True, True, False, True]
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["volume.png"]
        height, width = pixels(tmp_path / "out" / "volume.png").shape[:2]
        assert 1000 <= width <= 1400
        assert 500 <= height <= width

    def test_slices_are_shown_rows_first(self, a_volume, shown, tmp_path):
        draw_volume(*a_volume.files, a_volume.scores, tmp_path / "volume.png")
        assert np.allclose(shown[4].image, a_volume.array[11] / 127.5 - 1, atol=1e-6)
        assert np.array_equal(shown[4].anomaly_map, a_volume.map[11])
        assert np.array_equal(shown[4].restored, a_volume.restored[11])

    def test_slices_along_another_axis_have_their_true_form(self, a_volume, shown, tmp_path):
        draw_volume(*a_volume.files, list(range(20)), tmp_path / "coronal.png", slice_axis=1)
        assert np.array_equal(shown[-1].anomaly_map, a_volume.map[::-1, 19])  # the head at the top
        draw_volume(*a_volume.files, a_volume.scores, tmp_path / "axial.png")
        # 14 slices of 3 mm by 24 columns of 1 mm, against 20 rows by 24 columns of 1 mm: three rows of pictures.
        coronal, axial = (pixels(tmp_path / f"{name}.png").shape for name in ("coronal", "axial"))
        assert coronal[1] == axial[1]
        assert coronal[0] - axial[0] == pytest.approx(3 * 1.85 * 110 * (14 * 3 - 20) / 24, abs=3)

    def test_the_restored_image_can_be_left_out(self, a_volume, shown, tmp_path):
        image, anomaly_map, restored = a_volume.files
        draw_volume(image, anomaly_map, None, a_volume.scores, tmp_path / "two.png")
        draw_volume(image, anomaly_map, restored, a_volume.scores, tmp_path / "three.png")
        assert list(shown[0].rows) == ["Image", "Anomaly map"]
        assert list(shown[-1].rows) == ["Image", "Restored", "Anomaly map"]
        assert pixels(tmp_path / "two.png").shape[0] < pixels(tmp_path / "three.png").shape[0]

    @pytest.mark.parametrize("total", [1, 2, 5, 6, 7, 13, 24, 155])
    def test_chosen_slices(self, total):
        for highest in range(total):
            chosen = _choose_slices(total, highest)
            assert len(chosen) == min(6, total)
            assert highest in chosen
            assert chosen == sorted(set(chosen))
            assert set(chosen) <= set(range(total))

    def test_one_slice(self, tmp_path, shown):
        path = AVolume.write("one", np.eye(20, dtype=np.float32)[None], tmp_path)
        draw_volume(path, path, None, [0.5], tmp_path / "volume.png")
        assert [column.title for column in shown] == ["Slice 1"]

    def test_files_that_do_not_belong_together_are_refused(self, a_volume, tmp_path):
        image, anomaly_map, restored = a_volume.files
        other = AVolume.write("other", a_volume.map[:, :-1], tmp_path)
        flat = AVolume.write("flat", a_volume.map[0], tmp_path)
        target = tmp_path / "volume.png"
        with pytest.raises(ValueError, match="must be volumes of one size"):
            draw_volume(image, other, restored, a_volume.scores, target)
        with pytest.raises(ValueError, match="has 14 slices, but there are 13 scores"):
            draw_volume(image, anomaly_map, restored, a_volume.scores[1:], target)
        with pytest.raises(ValueError, match="is no volume"):
            draw_volume(flat, flat, None, [1.0], target)
        with pytest.raises(UserError, match="no such file"):
            draw_volume(tmp_path / "absent.nii.gz", anomaly_map, None, a_volume.scores, target)
        assert not target.exists()

    @pytest.mark.usefixtures("a_full_disk")
    def test_nothing_half_written_is_left(self, a_volume, tmp_path):
        with pytest.raises(OSError, match="No space left"):
            draw_volume(*a_volume.files, a_volume.scores, tmp_path / "out" / "volume.png")
        assert list((tmp_path / "out").iterdir()) == []
