"""The synthetic phantom: what it draws, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from monai_sagan.data import load_training_set, phantom_image, phantom_volume, write_phantom, write_phantom_volumes
from monai_sagan.data.phantom_dataset import _PICTURES, _case_rng

COUNTS = {"num_healthy": 3, "num_unlabeled": 5, "num_test": 2, "size": (48, 48)}


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def inside_the_rim(image: np.ndarray) -> np.ndarray:
    """Pixels that have the bright rim on their left and on their right."""
    rim = image > 150
    from_left = np.maximum.accumulate(rim, axis=-1)
    from_right = np.maximum.accumulate(rim[..., ::-1], axis=-1)[..., ::-1]
    return from_left & from_right


def grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The mask and whatever lies within so many pixels of it."""
    for _ in range(pixels):
        padded = np.pad(mask, 1)
        mask = mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return mask


def auc(negatives: list[float], positives: list[float]) -> float:
    difference = np.subtract.outer(np.array(positives), np.array(negatives))
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


@pytest.fixture(scope="module")
def a_written_phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "data"
    write_phantom(root, **COUNTS)
    return root


class TestImage:
    def test_shapes_and_types(self):
        image, mask = phantom_image(np.random.default_rng(0), size=(40, 56), lesion=True)
        assert image.shape == mask.shape == (40, 56)
        assert image.dtype == np.uint8
        assert mask.dtype == bool

    def test_same_state_same_image_other_state_other_image(self):
        first, same, other = (phantom_image(np.random.default_rng(seed), lesion=True)[0] for seed in (1, 1, 2))
        assert np.array_equal(first, same)
        assert not np.array_equal(first, other)

    def test_a_healthy_subject_has_an_empty_mask(self):
        assert not phantom_image(np.random.default_rng(0), lesion=False)[1].any()

    def test_healthy_subjects_resemble_each_other(self):
        images = np.stack([phantom_image(np.random.default_rng(seed), lesion=False)[0] for seed in range(8)])
        # Coarse, since a thin bright rim that is off by a pixel outweighs all that is alike.
        coarse = images.reshape(8, 16, 6, 16, 6).mean(axis=(2, 4))
        correlations = np.corrcoef(coarse.reshape(8, -1))[np.triu_indices(8, 1)]
        assert correlations.min() > 0.85
        assert correlations.max() < 0.999

    @pytest.mark.parametrize("seed", range(40))
    def test_a_lesion_is_all_that_differs_and_shows_inside_its_mask(self, seed):
        image, mask = phantom_image(np.random.default_rng(seed), lesion=True)
        healthy, _ = phantom_image(np.random.default_rng(seed), lesion=False)
        change = np.abs(image.astype(int) - healthy)

        assert 0.015 < mask.mean() < 0.15
        assert inside_the_rim(healthy)[mask].all()
        assert change[mask].mean() > 0.12 * 255
        assert change[~grown(mask, 6)].max() == 0

    @pytest.mark.parametrize("size", [(96,), (96, 96, 96), (0, 96)])
    def test_a_wrong_size_is_refused(self, size):
        with pytest.raises(ValueError, match="size must be 2 positive numbers"):
            phantom_image(np.random.default_rng(0), size=size, lesion=False)

    def test_mean_intensity_does_not_tell_the_classes_apart(self):
        """Over the test set of `write_phantom`'s defaults, at a smaller size."""
        means = {}
        for group, lesion in (("test_0", False), ("test_1", True)):
            rngs = (_case_rng(_PICTURES, 0, group, index) for index in range(50))
            means[group] = [phantom_image(rng, size=(64, 64), lesion=lesion)[0].mean() for rng in rngs]
        assert 0.4 < auc(means["test_0"], means["test_1"]) < 0.65


class TestVolume:
    def test_shape_is_the_size_reversed(self):
        volume, mask = phantom_volume(np.random.default_rng(0), size=(40, 32, 10), lesion=True)
        assert volume.shape == mask.shape == (10, 32, 40)
        assert volume.dtype == np.uint8
        assert mask.dtype == bool

    @pytest.mark.parametrize("seed", range(10))
    def test_the_lesion_lies_inside_the_stack_and_is_all_that_differs(self, seed):
        volume, mask = phantom_volume(np.random.default_rng(seed), lesion=True)
        healthy, _ = phantom_volume(np.random.default_rng(seed), lesion=False)
        assert mask.any()
        assert not mask[[0, -1]].any()
        assert inside_the_rim(healthy)[mask].all()
        assert np.abs(volume.astype(int) - healthy)[mask].mean() > 0.12 * 255
        assert np.array_equal(volume[0], healthy[0])

    @pytest.mark.parametrize("seed", range(5))
    def test_an_image_is_a_plane_of_the_volume(self, seed):
        """The subject is drawn first in both: some slice is the image but for noise and the gap between slices."""
        image, _ = phantom_image(np.random.default_rng(seed), size=(64, 64), lesion=False)
        volume, _ = phantom_volume(np.random.default_rng(seed), size=(64, 64, 48), lesion=False)

        def best_difference(picture: np.ndarray) -> float:
            return np.abs(volume.astype(int) - picture).mean(axis=(1, 2)).min()

        assert best_difference(image) < 6
        for wrong in (image.T, image[::-1], np.roll(image, 4, axis=1)):
            assert best_difference(wrong) > 2 * best_difference(image)


class TestWrite:
    def test_layout_and_counts(self, a_written_phantom):
        splits = json.loads((a_written_phantom / "data.json").read_text())
        unlabeled = splits["train"]["unlabeled"]
        assert len(splits["train"]["0"]) == 3
        assert (len(unlabeled["0"]), len(unlabeled["1"])) == (2, 3)
        assert (len(splits["test"]["0"]), len(splits["test"]["1"])) == (2, 2)

        listed = splits["train"]["0"] + unlabeled["0"] + unlabeled["1"] + splits["test"]["0"] + splits["test"]["1"]
        assert sorted(listed) == sorted(path.name for path in (a_written_phantom / "images").iterdir())
        assert sorted(splits["test"]["1"]) == sorted(path.name for path in (a_written_phantom / "masks").iterdir())
        assert list(a_written_phantom.parent.iterdir()) == [a_written_phantom]

    def test_pictures_are_what_is_drawn(self, a_written_phantom):
        image, mask = phantom_image(_case_rng(_PICTURES, 0, "test_1", 1), size=(48, 48), lesion=True)
        written = Image.open(a_written_phantom / "images" / "test_1_0001.png")
        assert written.mode == "L"
        assert np.array_equal(np.asarray(written), image)
        assert np.array_equal(np.asarray(Image.open(a_written_phantom / "masks" / "test_1_0001.png")), mask * 255)

    def test_volumes_share_one_geometry(self, a_written_phantom):
        names = ("phantom_lesion", "phantom_lesion_mask", "phantom_healthy")
        lesion, mask, healthy = (sitk.ReadImage(str(a_written_phantom / "volumes" / f"{n}.nii.gz")) for n in names)
        for image in (lesion, mask, healthy):
            assert image.GetSize() == (64, 64, 20)
            assert image.GetSpacing() == pytest.approx((3.0, 3.0, 3.84), abs=1e-5)
            assert image.GetOrigin() == pytest.approx((-91.5, -103.25, 17.0), abs=1e-4)
            assert image.GetDirection() == pytest.approx(lesion.GetDirection())
        direction = np.reshape(lesion.GetDirection(), (3, 3))
        assert np.allclose(direction @ direction.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(direction) == pytest.approx(1, abs=1e-5)
        assert 0.9 < np.diag(direction).min() < np.diag(direction).max() < 0.999  # oblique, but slightly

        mask_array = sitk.GetArrayFromImage(mask)
        assert set(np.unique(mask_array)) == {0, 1}
        changed = sitk.GetArrayFromImage(lesion) != sitk.GetArrayFromImage(healthy)
        assert changed[mask_array == 1].mean() > 0.9

    def test_same_seed_same_data_other_seed_other_images(self, a_written_phantom, tmp_path):
        write_phantom(tmp_path / "same", **COUNTS)
        write_phantom(tmp_path / "other", seed=1, **COUNTS)
        written, same, other = (files_of(root) for root in (a_written_phantom, tmp_path / "same", tmp_path / "other"))
        assert same == written
        assert other.keys() == written.keys()
        assert all(other[name] != written[name] for name in written if name.startswith("images/"))

    def test_another_count_leaves_the_other_images_as_they_are(self, a_written_phantom, tmp_path):
        write_phantom(tmp_path / "more", **COUNTS | {"num_healthy": 4, "num_unlabeled": 10})
        fewer, more = (files_of(root) for root in (a_written_phantom, tmp_path / "more"))
        pictures = {name for name in fewer if name.endswith(".png")}
        assert all(more[name] == fewer[name] for name in pictures)

    def test_a_second_call_leaves_it_untouched(self, a_written_phantom):
        before = {path: path.stat().st_mtime_ns for path in a_written_phantom.rglob("*")}
        write_phantom(a_written_phantom, **COUNTS)
        assert {path: path.stat().st_mtime_ns for path in a_written_phantom.rglob("*")} == before

    def test_an_empty_folder_is_filled(self, tmp_path):
        write_phantom(tmp_path, **COUNTS)
        assert (tmp_path / "data.json").is_file()

    def test_another_phantom_is_not_overwritten(self, a_written_phantom):
        before = files_of(a_written_phantom)
        with pytest.raises(FileExistsError, match="holds something other than this phantom"):
            write_phantom(a_written_phantom, seed=7, **COUNTS)
        assert files_of(a_written_phantom) == before

    def test_other_files_are_not_overwritten(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(FileExistsError, match="holds something other than this phantom"):
            write_phantom(tmp_path, **COUNTS)
        assert files_of(tmp_path) == {"notes.txt": b"mine"}

    def test_nothing_is_left_where_writing_fails(self, tmp_path, monkeypatch):
        def disk_full(*args, **kwargs):
            raise OSError("no space left on device")

        monkeypatch.setattr("itk.imwrite", disk_full)
        with pytest.raises(OSError, match="no space left"):
            write_phantom(tmp_path / "data", **COUNTS)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"num_test": -1}, "must not be negative"),
            ({"seed": -1}, "must not be negative"),
            ({"anomaly_ratio": 1.5}, "anomaly_ratio must be between 0 and 1"),
            ({"size": (0, 48)}, "size must be 2 positive numbers"),
        ],
    )
    def test_wrong_arguments_are_refused(self, tmp_path, wrong, message):
        with pytest.raises(ValueError, match=message):
            write_phantom(tmp_path / "data", **COUNTS | wrong)


class TestVolumes:
    """A data set of volumes."""

    COUNTS = {"num_healthy": 5, "num_unlabeled": 5, "num_test": 2, "size": (24, 20, 6)}

    @pytest.fixture(scope="class")
    def written(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        root = tmp_path_factory.mktemp("volumes") / "data"
        write_phantom_volumes(root, **self.COUNTS)
        return root

    def test_can_be_trained_on(self, written):
        data = load_training_set(written)
        assert (len(data["healthy"]), len(data["unlabeled"])) == (5, 5)

    def test_volumes_and_masks(self, written):
        splits = json.loads((written / "data.json").read_text())
        assert [len(splits["test"][label]) for label in "01"] == [2, 2]
        for name in splits["test"]["1"]:
            image, mask = (sitk.ReadImage(str(written / folder / name)) for folder in ("images", "masks"))
            assert image.GetSize() == mask.GetSize() == (24, 20, 6)
            assert image.GetDirection() == pytest.approx(mask.GetDirection())
            assert sitk.GetArrayFromImage(mask).any()
        assert sorted(path.name for path in (written / "masks").iterdir()) == sorted(splits["test"]["1"])

    def test_no_volume_is_drawn_twice(self, written):
        volumes = [sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (written / "images").iterdir()]
        assert len(volumes) == 14
        assert len({volume.tobytes() for volume in volumes}) == 14

    def test_the_same_again_and_nothing_else(self, written, tmp_path):
        before = files_of(written)
        write_phantom_volumes(written, **self.COUNTS)
        assert files_of(written) == before
        write_phantom_volumes(tmp_path / "again", **self.COUNTS)
        assert files_of(tmp_path / "again") == before
        with pytest.raises(FileExistsError):
            write_phantom_volumes(written, **(self.COUNTS | {"seed": 1}))
        with pytest.raises(FileExistsError):
            write_phantom(written, num_healthy=5, num_unlabeled=5, num_test=2, size=(24, 20))
