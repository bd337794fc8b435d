"""``monai-sagan prepare``."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from monai_sagan.bundles import read_config, shipped_bundles
from monai_sagan.data import CaseReader, load_evaluation_set, load_test_set, load_training_set

FEW = "healthy images; p-values down to 0.05 take 19 besides those to train on, which should be 16 or more.\n"


@pytest.fixture
def source(tmp_path: Path, a_picture: Callable[..., Path], a_volume: Callable[..., Path]) -> Path:
    """Folders of images, one deeper than the other, one name twice, with a mask."""
    for seed, name in enumerate(
        [
            "source/healthy/a.png",
            "source/healthy/a/b.png",
            "source/healthy/a_b.png",
            "source/unlabeled/b.png",
            "source/unlabeled/c.jpg",
            "source/test/healthy/d.png",
            "source/test/anomalous/e.png",
        ]
    ):
        a_picture(name, seed=seed)
    a_volume("source/unlabeled/f.nii.gz")
    mask = np.zeros((30, 40), dtype=np.uint8)
    mask[4:9, 5:12] = 255
    (tmp_path / "source" / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "source" / "masks" / "e.png")
    (tmp_path / "source" / "healthy" / "notes.txt").write_text("no image")
    (tmp_path / "source" / "healthy" / ".hidden.png").write_bytes(b"x")
    return tmp_path / "source"


def test_folders(source: Path, tmp_path: Path, run: Callable, listing: Callable) -> None:
    target = tmp_path / "target"
    outcome = run("prepare", "folder", source, target)
    assert (outcome.code, outcome.err) == (0, f"{source / 'healthy'}: only 3 {FEW}")
    assert outcome.out == f"{target}: 3 healthy, 3 unlabeled, 1 test/healthy, 1 test/anomalous, 1 masks\n"
    before, after = listing(source), listing(target)
    for name, original in {
        "images/healthy/a.png": "healthy/a.png",
        "images/healthy/a/b.png": "healthy/a/b.png",
        "images/healthy/a_b.png": "healthy/a_b.png",
        "images/unlabeled/b.png": "unlabeled/b.png",
        "images/unlabeled/c.jpg": "unlabeled/c.jpg",
        "images/unlabeled/f.nii.gz": "unlabeled/f.nii.gz",
        "images/test/healthy/d.png": "test/healthy/d.png",
        "images/test/anomalous/e.png": "test/anomalous/e.png",
        "masks/test/anomalous/e.png": "masks/e.png",
    }.items():
        assert after.pop(name) == before[original]
    assert list(after) == ["data.json"]


@pytest.mark.parametrize("ending", ["mhd", "nhdr"])
def test_an_image_in_two_files_becomes_one(ending: str, tmp_path: Path, run: Callable) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    places = {
        "healthy": "images/healthy",
        "unlabeled": "images/unlabeled",
        "test/anomalous": "images/test/anomalous",
        "masks": "masks/test/anomalous",
    }
    for number, folder in enumerate(places):
        image = sitk.GetImageFromArray(np.random.default_rng(number).integers(0, 9, (4, 5, 6)).astype(np.int16))
        image.SetSpacing((0.5, 0.75, 3.0))
        (source / folder).mkdir(parents=True)
        sitk.WriteImage(image, str(source / folder / f"a.{ending}"))
    assert run("prepare", "folder", source, target).code == 0
    for given, made in places.items():
        voxels, meta = CaseReader().get_data(source / given / f"a.{ending}")
        copied, meta_of_copy = CaseReader().get_data(target / made / "a.nii.gz")
        assert np.array_equal(copied, voxels)
        np.testing.assert_allclose(meta_of_copy["affine"], meta["affine"], atol=1e-6)
    assert load_test_set(target)[0]["mask"] == str(target / places["masks"] / "a.nii.gz")


def test_a_coloured_dicom_becomes_the_grey_that_a_bundle_sees(
    tmp_path: Path, a_dicom: Callable[..., Path], run: Callable
) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    for name in ("source/healthy/a.dcm", "source/unlabeled/a.dcm"):
        a_dicom(name, pixels=colours)
    assert run("prepare", "folder", tmp_path / "source", tmp_path / "target").code == 0
    found, _ = CaseReader().get_data(tmp_path / "target" / "images" / "healthy" / "a.nii.gz")
    grey = np.asarray(Image.fromarray(colours).convert("L")).T
    assert np.abs(found.squeeze().astype(int) - grey).max() <= 1  # PIL rounds otherwise


@pytest.mark.parametrize(
    ("name", "misspelt"),
    [
        ("unlabeled", "unlabelled"),
        ("healthy", "Healthy"),
        ("test", "tests"),
        ("test/anomalous", "test/abnormal"),
        ("masks", "mask"),
    ],
)
def test_a_misspelt_folder(name: str, misspelt: str, source: Path, tmp_path: Path, run: Callable) -> None:
    """Not left out in silence."""
    (source / name).rename(source / misspelt)
    outcome = run("prepare", "folder", source, tmp_path / "target")
    assert outcome.sentence == (
        f"{source / misspelt}: a folder of this name is not used; rename it to '{Path(name).name}', or move it "
        "elsewhere."
    )
    assert not (tmp_path / "target").exists()


def test_a_folder_that_is_not_used(source: Path, tmp_path: Path, run: Callable) -> None:
    (source / "notes").mkdir()
    (source / "earlier").mkdir()
    (source / "earlier" / "data.json").write_text("{}")  # a data set that was made here before
    outcome = run("prepare", "folder", source, tmp_path / "target")
    assert outcome.code == 0
    assert outcome.err.splitlines()[0] == (
        f"{source / 'notes'}: this folder is not used; those that are used are healthy, unlabeled, test/healthy, "
        "test/anomalous and masks."
    )
    assert "earlier" not in outcome.err


@pytest.mark.parametrize("count", [34, 35, 60, 94, 95])
def test_how_many_to_set_aside(count: int, tmp_path: Path, a_picture: Callable[..., Path], run: Callable) -> None:
    """A fifth, which training sets aside, is too few of less than 95."""
    for number in range(count):
        a_picture(f"source/healthy/{number}.png", size=(8, 8), seed=number)
    a_picture("source/unlabeled/a.png", seed=1)
    told = run("prepare", "folder", tmp_path / "source", tmp_path / "target").err
    if count == 34:
        assert told.endswith("only 34 " + FEW)
    elif count == 95:
        assert told == ""
    else:
        share = re.search(r"train with calibration_share=(0\.\d+)\.\n", told)
        assert share is not None
        left = load_training_set(tmp_path / "target", calibration_share=float(share[1]))["healthy"]
        assert 16 <= len(left) <= count - 19


def test_training_sets_a_fifth_aside() -> None:
    """What the note on few images takes for granted."""
    shares = {read_config(root, "train").get("calibration_share") for root in shipped_bundles().values()}
    assert shares == {0.2, None}  # classifiers are not calibrated


def test_what_was_prepared_can_be_used(source: Path, tmp_path: Path, run: Callable) -> None:
    run("prepare", "folder", source, tmp_path / "target")
    training = load_training_set(tmp_path / "target")
    images = tmp_path / "target" / "images"
    assert [Path(item["image"]).relative_to(images).as_posix() for item in training["healthy"]] == [
        "healthy/a/b.png",
        "healthy/a.png",
        "healthy/a_b.png",
    ]
    assert len(training["unlabeled"]) == 3
    evaluation = load_evaluation_set(tmp_path / "target", num_reference=1)
    assert [(case["name"], case["label"], "mask" in case, case.get("role")) for case in evaluation] == [
        ("test/healthy/d.png", 0, False, None),
        ("test/anomalous/e.png", 1, True, None),
        ("healthy/a/b.png", 0, False, "reference"),
    ]


def test_bad_images_are_left_out_and_named(source: Path, tmp_path: Path, run: Callable) -> None:
    bad = source / "healthy" / "bad.png"
    bad.write_bytes(b"no png")
    stray = source / "masks" / "z.png"
    shutil.copy(source / "masks" / "e.png", stray)
    (source / "masks" / "e.png").write_bytes(b"")
    target = tmp_path / "target"
    outcome = run("prepare", "folder", source, target)
    assert outcome.code == 1
    assert outcome.err.splitlines()[1:] == [
        f"Left out: {bad}: the file is damaged or not an image; copy it again or leave it out.",
        f"Left out: {source / 'masks' / 'e.png'}: the file is empty; copy it again or leave it out.",
        f"Left out: {stray}: no image in {source / 'test' / 'anomalous'} has this name.",
        "Error: The data set was made without 3 of the files, which could not be used.",
    ]
    assert json.loads((target / "data.json").read_text())["train"]["0"] == [
        "healthy/a/b.png",
        "healthy/a.png",
        "healthy/a_b.png",
    ]


@pytest.mark.parametrize("folder", ["healthy", "test/anomalous", "masks"])
def test_a_target_among_the_images(folder: str, source: Path, run: Callable, listing: Callable) -> None:
    before = listing(source)
    target = source / folder / "set"
    assert run("prepare", "folder", source, target).sentence == (
        f"{target}: this lies among the images of {source / folder}; choose a folder beside them."
    )
    assert listing(source) == before


def test_no_test_images(source: Path, tmp_path: Path, run: Callable) -> None:
    shutil.rmtree(source / "test")
    shutil.rmtree(source / "masks")
    assert run("prepare", "folder", source, tmp_path / "target").code == 0
    assert json.loads((tmp_path / "target" / "data.json").read_text())["test"] == {"0": [], "1": []}


def test_there_is_no_source(tmp_path: Path, run: Callable) -> None:
    outcome = run("prepare", "folder", tmp_path / "nosuch", tmp_path / "target")
    assert outcome.sentence == (
        f"{tmp_path / 'nosuch'}: there is no such folder; give the one that holds 'healthy' and 'unlabeled'."
    )


def test_a_needed_folder_is_missing(source: Path, tmp_path: Path, run: Callable) -> None:
    shutil.rmtree(source / "healthy")
    outcome = run("prepare", "folder", source, tmp_path / "target")
    assert outcome.sentence == (
        f"{source / 'healthy'}: there is no such folder; put healthy images in 'healthy' and unlabelled ones in "
        "'unlabeled'."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_healthy_images_alone(source: Path, tmp_path: Path, run: Callable) -> None:
    """What learns from them alone can be trained on the data set; what does not says so."""
    shutil.rmtree(source / "unlabeled")
    target = tmp_path / "target"
    outcome = run("prepare", "folder", source, target)
    assert outcome.code == 0
    assert "the data set has healthy images alone; reconstruction_anomaly_detection can be trained" in outcome.err
    settings = ("image_size=[32,32]", "base_channels=2", "training_steps=2", "batch_size=2", "calibration_share=0")
    bundle = tmp_path / "bundle"
    outcome = run("train", "reconstruction_anomaly_detection", "--data", target, "--output", bundle, *settings)
    assert outcome.code == 0
    outcome = run("train", "sagan_anomaly_detection", "--data", target, "--output", tmp_path / "other")
    assert outcome.sentence == (
        f"{target / 'data.json'}: train.unlabeled lists no image; add unlabelled ones, or train "
        "reconstruction_anomaly_detection, which learns from healthy images alone."
    )


def test_a_needed_folder_holds_no_usable_image(source: Path, tmp_path: Path, run: Callable) -> None:
    for path in (source / "unlabeled").iterdir():
        path.write_bytes(b"x")
    outcome = run("prepare", "folder", source, tmp_path / "target")
    assert outcome.sentence == f"{source / 'unlabeled'}: this folder holds no image that can be used."
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_target_that_exists(source: Path, tmp_path: Path, run: Callable, listing: Callable) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine").write_text("x")
    outcome = run("prepare", "folder", source, target)
    assert outcome.sentence == f"{target}: exists already and is not empty; choose another folder or remove it."
    assert listing(target) == {"mine": b"x"}


def test_a_phantom(tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[Path, int]] = []  # a whole one takes ten seconds; tests/data has smaller ones
    monkeypatch.setattr("monai_sagan.data.write_phantom", lambda root, seed: written.append((root, seed)))
    outcome = run("prepare", "phantom", tmp_path / "target", "--seed", 3)
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'target'}: a phantom data set, seed 3\n")
    assert written == [(tmp_path / "target", 3)]


def test_a_phantom_where_something_else_is(tmp_path: Path, run: Callable, listing: Callable) -> None:
    (tmp_path / "mine").write_text("x")
    outcome = run("prepare", "phantom", tmp_path)
    assert outcome.sentence.startswith(f"{tmp_path} holds something other than this phantom")
    assert listing(tmp_path) == {"mine": b"x"}
