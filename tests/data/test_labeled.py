"""Labelled images: folders of classes, tables, splits, and what is said of broken ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_sagan.data import (
    LabeledImage,
    leave_out_trained,
    list_classes,
    load_labeled_test_set,
    load_labeled_training_set,
    read_labeled_images,
    split_for_training,
    write_trained_on,
)
from monai_sagan.errors import SettingError, UserError


def write_image(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, len(path.name)]).integers(0, 255, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_folders(root: Path, *parts: str, count: int = 6) -> Path:
    for part in parts or ("",):
        for number, name in enumerate(("cat", "dog eared")):
            for index in range(count):
                write_image(root / part / name / f"{index}.png", seed=100 * number + index + 1000 * len(part))
    return root


def write_table(root: Path, text: str, *files: str, folder: str = "images") -> Path:
    for seed, file in enumerate(files):
        write_image(root / folder / file, seed=seed)
    root.mkdir(exist_ok=True)
    (root / "labels.csv").write_text(text, encoding="utf-8")
    return root


def some_images(*counts: int, patients: Callable[[int], str] = lambda index: "") -> list[LabeledImage]:
    return [
        LabeledImage(f"{label}{index}.png", f"{label}{index}.png", f"{label}{index}.png", label, "", patients(index))
        for label, count in zip("abc", counts)
        for index in range(count)
    ]


class TestFolders:
    def test_a_folder_a_class(self, tmp_path: Path) -> None:
        images = read_labeled_images(write_folders(tmp_path))
        assert Counter(image.label for image in images) == {"cat": 6, "dog eared": 6}
        assert images[0].name == "cat/0"
        assert images[0].part == ""
        assert Path(images[0].path) == tmp_path / "cat" / "0.png"

    def test_train_and_test(self, tmp_path: Path) -> None:
        images = read_labeled_images(write_folders(tmp_path, "train", "test"))
        assert Counter((image.part, image.label) for image in images) == dict.fromkeys(
            ((part, label) for part in ("train", "test") for label in ("cat", "dog eared")), 6
        )
        assert {image.name for image in images if image.part == "test"} >= {"test/cat/0"}

    def test_hidden_folders_are_none(self, tmp_path: Path) -> None:
        write_folders(tmp_path)
        (tmp_path / ".cache").mkdir()
        assert list_classes(read_labeled_images(tmp_path)) == ["cat", "dog eared"]


class TestTable:
    def test_files_beside_it_or_in_a_folder(self, tmp_path: Path) -> None:
        for folder in ("images", ""):
            root = write_table(
                tmp_path / f"set{folder}", "file,label\na.png,x\nsub/b.png,y\n", "a.png", "sub/b.png", folder=folder
            )
            images = read_labeled_images(root)
            assert [(image.name, image.label) for image in images] == [("a.png", "x"), ("sub/b.png", "y")]
            assert all(Path(image.path).is_file() for image in images)

    def test_parts_and_patients(self, tmp_path: Path) -> None:
        root = write_table(
            tmp_path / "set",
            "\ufefffile,label,part,patient\na.png,x,train,1\nb.png,y,test,2\n",
            "a.png",
            "b.png",
        )
        assert [(image.part, image.patient) for image in read_labeled_images(root)] == [("train", "1"), ("test", "2")]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("name,label\na.png,x\n", "labels.csv: the column 'file' is missing"),
            ("file,class\na.png,x\n", "labels.csv: the column 'label' is missing"),
            ("", "labels.csv: the column 'file' is missing"),
            ("file,label\na.png,x\nb.png,\n", "labels.csv: line 3 has no label"),
            ("file,label\n,x\n", "labels.csv: line 2 has no file"),
            ("file,label\na.png,x\n../secret.png,y\n", "labels.csv: line 3 names a file outside of"),
            ("file,label\na.png,x\n/etc/passwd,y\n", "labels.csv: line 3 names a file outside of"),
            ("file,label\na.png,x\na.png,y\n", r"labels.csv: a.png stands on 2 lines; list each image once"),
            (
                "file,label\na.png,x\nb.png,y\nc.png,y\n",
                r"labels.csv: names files that are not in .*images: b.png, c.png",
            ),
            ("file,label,part\na.png,x,val\n", "labels.csv: line 2 has the part 'val'; it must be train or test"),
            ("file,label,part\na.png,x,train\nb.png,y,\n", "labels.csv: some lines have a part and some have none"),
            (
                "file,label,part,patient\na.png,x,train,7\nb.png,y,test,7\n",
                "labels.csv: a patient's images are both for training and for the test, as b.png is",
            ),
        ],
    )
    def test_broken_ones(self, text: str, message: str, tmp_path: Path) -> None:
        root = write_table(tmp_path / "set", text, "a.png")
        with pytest.raises(UserError, match=message):
            read_labeled_images(root)

    def test_one_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "labels.csv").write_bytes(b"file,label\n\xff\xfe,x\n")
        with pytest.raises(UserError, match=r"labels.csv: this is no table in UTF-8"):
            read_labeled_images(tmp_path)


class TestMedAD:
    def test_what_is_known_of_an_image_is_its_label(self, phantom: Path) -> None:
        images = read_labeled_images(phantom)
        content = json.loads((phantom / "data.json").read_text())
        train, test = content["train"], content["test"]
        assert Counter((image.part, image.label) for image in images) == {
            ("train", "healthy"): len(train["0"]) + len(train["unlabeled"]["0"]),
            ("train", "anomalous"): len(train["unlabeled"]["1"]),
            ("test", "healthy"): len(test["0"]),
            ("test", "anomalous"): len(test["1"]),
        }
        assert all(Path(image.path).is_file() for image in images)

    def test_what_is_not_known_is_left_out(self, phantom: Path, tmp_path: Path) -> None:
        content = json.loads((phantom / "data.json").read_text())
        content["train"]["unlabeled"] = content["train"]["unlabeled"]["1"]
        (tmp_path / "images").symlink_to(phantom / "images")
        (tmp_path / "data.json").write_text(json.dumps(content))
        with pytest.raises(UserError, match="no image of the class anomalous to train with"):
            load_labeled_training_set(tmp_path, ["anomalous", "healthy"])


class TestClasses:
    def test_one_class_only(self, tmp_path: Path) -> None:
        write_image(tmp_path / "cat" / "0.png")
        with pytest.raises(UserError, match="two classes or more are needed, and there is only cat; make a folder for"):
            read_labeled_images(tmp_path)

    @pytest.mark.parametrize("part", ["train", "test"])
    def test_a_part_is_no_class(self, part: str, tmp_path: Path) -> None:
        """As in a folder that was sorted for the detection of anomalies."""
        for name in ("healthy", "unlabeled", f"{part}/healthy"):
            write_image(tmp_path / name / "0.png")
        with pytest.raises(UserError, match=rf"{part}: this folder would be a class; give a folder that holds nothing"):
            read_labeled_images(tmp_path)

    def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="two classes or more are needed, and there is none"):
            read_labeled_images(tmp_path)
        with pytest.raises(UserError, match="there is no such folder; give one with a folder for each class"):
            read_labeled_images(tmp_path / "missing")

    def test_a_class_without_images(self, tmp_path: Path) -> None:
        write_folders(tmp_path)
        (tmp_path / "empty").mkdir()
        with pytest.raises(UserError, match="empty: this folder holds no image"):
            read_labeled_images(tmp_path)

    @pytest.mark.parametrize("name", ["$__import__('os').abort()", "@device", "%configs", "a@##b"])
    def test_a_name_that_a_config_would_run(self, name: str, tmp_path: Path) -> None:
        root = write_table(tmp_path / "set", f"file,label\na.png,x\nb.png,{name}\n", "a.png", "b.png")
        with pytest.raises(UserError, match=r"a class cannot be called .*; choose another name, without"):
            read_labeled_images(root)


class TestSplit:
    def test_folds_hold_every_image_once_in_equal_shares(self) -> None:
        images = some_images(20, 10, 5)
        kept_out = [set(images) - set(split_for_training(images, 5, fold)) for fold in range(5)]
        assert sorted(image.name for part in kept_out for image in part) == sorted(image.name for image in images)
        for part in kept_out:
            assert Counter(image.label for image in part) == {"a": 4, "b": 2, "c": 1}

    def test_the_seed_decides(self) -> None:
        images = some_images(20, 20)
        assert split_for_training(images, seed=1) == split_for_training(images, seed=1)
        assert split_for_training(images, seed=1) != split_for_training(images, seed=2)

    def test_patients_stay_together(self) -> None:
        images = some_images(40, 40, patients=lambda index: str(index // 4))
        for fold in range(5):
            trained_on = {image.patient for image in split_for_training(images, 5, fold)}
            kept_out = {image.patient for image in set(images) - set(split_for_training(images, 5, fold))}
            assert kept_out
            assert not trained_on & kept_out

    def test_images_without_a_patient_are_of_nobody_else(self) -> None:
        images = some_images(20, 20, patients=lambda index: "one" if index < 2 else "")
        for fold in range(5):
            kept_out = set(images) - set(split_for_training(images, 5, fold))
            assert 4 <= len(kept_out) <= 12  # about a fifth of 40, and not all of whom nothing is known together

    def test_with_one_fold_everything_is_trained_on(self) -> None:
        images = some_images(3, 1)
        assert split_for_training(images, num_folds=1) == images

    def test_what_the_data_set_says_counts(self) -> None:
        images = [LabeledImage(f"{n}", f"{n}", f"{n}", "ab"[n % 2], "train" if n < 6 else "test") for n in range(10)]
        assert split_for_training(images, fold=3) == images[:6]

    def test_errors(self) -> None:
        with pytest.raises(
            UserError, match=r"the class b has 1 image, which cannot be .* 5 folds; .* num_folds=1 to train with all"
        ):
            split_for_training(some_images(9, 1))
        with pytest.raises(UserError, match=r"the class b has 3 images, .* 5 folds; add some, or choose num_folds=3"):
            split_for_training(some_images(9, 3))
        with pytest.raises(SettingError, match="num_folds must be at least 1, not 0"):
            split_for_training(some_images(9, 9), num_folds=0)
        with pytest.raises(SettingError, match="fold must be from 0 to 4, not 5"):
            split_for_training(some_images(9, 9), fold=5)
        only_tested = [LabeledImage("1", "1", "1", "a", "train"), LabeledImage("2", "2", "2", "b", "test")]
        with pytest.raises(UserError, match="no image of the class b to train with"):
            split_for_training(only_tested)


class TestSets:
    def test_nothing_that_was_trained_on_is_tested(self, tmp_path: Path) -> None:
        root = write_folders(tmp_path / "set", count=10)
        trained = load_labeled_training_set(root, ["cat", "dog eared"], 5, 1)
        assert Counter(case["label"] for case in trained) == {0: 8, 1: 8}
        write_trained_on(tmp_path / "trained_on.txt", trained)
        tested = load_labeled_test_set(root, ["cat", "dog eared"], tmp_path / "trained_on.txt")
        assert Counter(case["label"] for case in tested) == {0: 2, 1: 2}
        assert not {case["path"] for case in trained} & {case["path"] for case in tested}

    def test_nor_a_copy_of_it(self, tmp_path: Path) -> None:
        root = write_folders(tmp_path / "set")
        trained = load_labeled_training_set(root, ["cat", "dog eared"])
        write_trained_on(tmp_path / "trained_on.txt", trained)
        text = (tmp_path / "trained_on.txt").read_text()
        assert "cat" not in text
        assert "png" not in text
        (root / "cat" / "0.png").rename(root / "cat" / "renamed.png")
        names = {
            case["name"] for case in load_labeled_test_set(root, ["cat", "dog eared"], tmp_path / "trained_on.txt")
        }
        was_trained_on = any(case["name"] == "cat/0" for case in trained)
        assert ("cat/renamed" in names) is not was_trained_on

    def test_only_what_is_for_the_test(self, tmp_path: Path) -> None:
        root = write_folders(tmp_path / "set", "train", "test")
        tested = load_labeled_test_set(root, ["cat", "dog eared"], tmp_path / "none.txt")
        assert {case["name"].split("/")[0] for case in tested} == {"test"}

    def test_all_of_it_was_trained_on(self, tmp_path: Path) -> None:
        root = write_folders(tmp_path / "set")
        write_trained_on(
            tmp_path / "trained_on.txt", load_labeled_training_set(root, ["cat", "dog eared"], num_folds=1)
        )
        with pytest.raises(UserError, match="the bundle was trained on all 12 images, so they say nothing about it"):
            load_labeled_test_set(root, ["cat", "dog eared"], tmp_path / "trained_on.txt")

    def test_other_classes_than_the_bundles(self, tmp_path: Path) -> None:
        root = write_folders(tmp_path / "set")
        with pytest.raises(UserError, match="the data set has a class dog eared, and the bundle knows cat, horse"):
            load_labeled_test_set(root, ["cat", "horse"], tmp_path / "none.txt")
        with pytest.raises(UserError, match="there is no image of the class horse, one of the bundle's classes"):
            load_labeled_training_set(root, ["cat", "dog eared", "horse"])

    def test_a_series_is_known_by_all_its_files(self, tmp_path: Path) -> None:
        for name in ("1", "2", "3"):
            write_image(tmp_path / f"{name}.png", seed=int(name))
        files = [str(tmp_path / f"{name}.png") for name in ("1", "2", "3")]
        write_trained_on(tmp_path / "known.txt", [{"image": files[:2]}])
        others = leave_out_trained(tmp_path / "known.txt", [{"image": files[:2]}, {"image": files[1:]}])
        assert others == [{"image": files[1:]}]
