"""The Med-AD layout: which images are for what, and what is said where it is broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_sagan.data import (
    load_evaluation_set,
    load_healthy_set,
    load_test_set,
    load_training_set,
    read_data_json,
    write_trained_on,
)
from monai_sagan.errors import UserError

Write = Callable[..., Path]


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}_{number}.png" for number in range(count)]


def a_layout(healthy: int = 10, normal: int = 8, abnormal: int = 9, test: tuple[int, int] = (3, 2)) -> dict[str, Any]:
    return {
        "train": {
            "0": names("healthy", healthy),
            "unlabeled": {"0": names("normal", normal), "1": names("abnormal", abnormal)},
        },
        "test": {"0": names("good", test[0]), "1": names("bad", test[1])},
    }


def names_in(layout: Any) -> list[str]:
    if isinstance(layout, dict):
        return [name for part in layout.values() for name in names_in(part)]
    return [name for name in layout if isinstance(name, str)] if isinstance(layout, list) else []


@pytest.fixture
def a_data_set(tmp_path: Path) -> Write:
    """Writes a layout, and an empty file for each image that it names; what is in images is read by nobody here."""

    def write(layout: Any, masks: tuple[str, ...] = ()) -> Path:
        root = tmp_path / "data"
        (root / "images").mkdir(parents=True)
        (root / "masks").mkdir()
        (root / "data.json").write_text(json.dumps(layout), encoding="utf-8")
        for path in [root / "images" / name for name in names_in(layout)] + [root / "masks" / name for name in masks]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return root

    return write


def images_of(cases: list[dict[str, Any]], root: Path) -> list[str]:
    return [Path(case["image"]).relative_to(root / "images").as_posix() for case in cases]


class TestTrainingSet:
    @pytest.mark.parametrize(
        ("ratio", "num_abnormal"),
        [(0.0, 0), (0.2, 2), (0.29, 2), (0.35, 3), (0.6, 6), (0.69, 6), (0.9, 9)],
    )
    def test_anomaly_ratio_as_published(self, a_data_set: Write, ratio: float, num_abnormal: int) -> None:
        """The first ``int(n * ratio)`` of the abnormal list, then the first of the healthy one, in order."""
        root = a_data_set(a_layout(healthy=10, normal=12, abnormal=9))
        data = load_training_set(root, ratio)
        assert images_of(data["healthy"], root) == names("healthy", 10)
        expected = names("abnormal", num_abnormal) + names("normal", 10 - num_abnormal)
        assert images_of(data["unlabeled"], root) == expected

    def test_all_abnormal(self, a_data_set: Write) -> None:
        root = a_data_set(a_layout(healthy=3, normal=0, abnormal=5))
        assert images_of(load_training_set(root, 1.0)["unlabeled"], root) == names("abnormal", 3)

    def test_without_a_ratio_all_are_taken(self, a_data_set: Write) -> None:
        root = a_data_set(a_layout(healthy=3, normal=4, abnormal=5))
        data = load_training_set(root)
        assert images_of(data["unlabeled"], root) == names("abnormal", 5) + names("normal", 4)
        assert len(data["healthy"]) == 3
        assert load_training_set(root) != load_training_set(root, 0.5)

    def test_labels_are_not_passed_on(self, a_data_set: Write) -> None:
        data = load_training_set(a_data_set(a_layout()))
        assert all(set(case) == {"image"} for cases in data.values() for case in cases)

    def test_a_plain_list_is_taken_whole(self, a_data_set: Write) -> None:
        """Where nobody knows the labels."""
        root = a_data_set({"train": {"0": names("healthy", 3), "unlabeled": names("any", 7)}})
        data = load_training_set(root)
        assert images_of(data["unlabeled"], root) == names("any", 7)
        assert images_of(data["healthy"], root) == names("healthy", 3)

    @pytest.mark.parametrize("ratio", [0.0, 0.6, 1.0])
    def test_a_plain_list_has_no_ratio(self, a_data_set: Write, ratio: float) -> None:
        """A setting that cannot be followed is not passed over in silence."""
        root = a_data_set({"train": {"0": names("healthy", 3), "unlabeled": names("any", 7)}})
        with pytest.raises(UserError, match=r"train.unlabeled does not say which .*; leave out anomaly_ratio"):
            load_training_set(root, ratio)

    def test_folders_in_images(self, a_data_set: Write) -> None:
        root = a_data_set({"train": {"0": ["a/b.png"], "unlabeled": ["c/d/e.png"]}})
        assert images_of(load_training_set(root)["unlabeled"], root) == ["c/d/e.png"]

    @pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
    def test_ratio_out_of_range(self, a_data_set: Write, ratio: float) -> None:
        with pytest.raises(UserError, match=r"anomaly_ratio must lie in \[0, 1\], not "):
            load_training_set(a_data_set(a_layout()), ratio)

    @pytest.mark.parametrize(("ratio", "needed", "listed"), [(1.0, 10, 9), (0.0, 10, 8)])
    def test_too_few_images_for_the_ratio(self, a_data_set: Write, ratio: float, needed: int, listed: int) -> None:
        root = a_data_set(a_layout())
        message = f"an anomaly ratio of {ratio} needs {needed} unlabelled images .* only {listed} are listed"
        with pytest.raises(UserError, match=message):
            load_training_set(root, ratio)

    @pytest.mark.parametrize(
        ("train", "named"),
        [
            ({"0": [], "unlabeled": ["a.png"]}, r"train.0 \(healthy\)"),
            ({"unlabeled": ["a.png"]}, r"train.0 \(healthy\)"),
            ({"0": ["a.png"], "unlabeled": []}, "train.unlabeled"),
            ({"0": ["a.png"]}, "train.unlabeled"),
            ({"0": [], "unlabeled": {"0": ["a.png"], "1": ["b.png"]}}, r"train.0 \(healthy\)"),
        ],
    )
    def test_empty_lists(self, a_data_set: Write, train: dict[str, Any], named: str) -> None:
        with pytest.raises(UserError, match=f"data.json: {named} lists no image; "):
            load_training_set(a_data_set({"train": train}))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({}, "'train' is missing or no object"),
            ({"train": ["a.png"]}, "'train' is missing or no object"),
            ({"train": {"0": "a.png", "unlabeled": []}}, "'train.0' must be a list of file names"),
            ({"train": {"0": [1, 2], "unlabeled": []}}, "'train.0' must be a list of file names"),
            ({"train": {"0": ["a.png"], "unlabeled": 3}}, "'train.unlabeled' must be a list of file names"),
            (
                {"train": {"0": ["a.png"], "unlabeled": {"0": ["b.png"], "1": {}}}},
                "'train.unlabeled.1' must be a list of file names",
            ),
        ],
    )
    def test_a_broken_layout(self, a_data_set: Write, content: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError, match=message):
            load_training_set(a_data_set(content))

    def test_healthy_images_alone(self, a_data_set: Write) -> None:
        root = a_data_set({"train": {"0": names("healthy", 10)}})
        for share in (0.0, 0.3):
            assert len(load_healthy_set(root, share)) == 10 * (1 - share)
        with pytest.raises(UserError, match=r"train.unlabeled lists no image; add .* or train reconstruction_anomaly_"):
            load_training_set(root)

    def test_the_same_healthy_images_with_and_without_unlabelled_ones(self, a_data_set: Write) -> None:
        root = a_data_set(a_layout())
        assert load_healthy_set(root, 0.3, seed=2) == load_training_set(root, None, 0.3, seed=2)["healthy"]

    def test_a_test_image_is_not_trained_on(self, a_data_set: Write) -> None:
        layout = a_layout()
        layout["test"]["0"].append(layout["train"]["0"][0])
        with pytest.raises(UserError, match="is listed for training and for the test"):
            load_healthy_set(a_data_set(layout))

    def test_missing_files_are_named(self, a_data_set: Write) -> None:
        root = a_data_set(a_layout())
        (root / "images" / "abnormal_2.png").unlink()
        with pytest.raises(UserError, match=r"names files that are not in .*images: abnormal_2.png\.$"):
            load_training_set(root)

    def test_many_missing_files_are_counted(self, a_data_set: Write) -> None:
        root = a_data_set(a_layout())
        for name in names("healthy", 5):
            (root / "images" / name).unlink()
        with pytest.raises(UserError, match=r"healthy_0.png, healthy_1.png, healthy_2.png and 2 more\.$"):
            load_training_set(root)

    @pytest.mark.parametrize("name", ["../outside.png", "a/../../outside.png", "{root}/outside.png"])
    @pytest.mark.parametrize("group", ["healthy", "unlabeled"])
    def test_a_path_out_of_the_folder(self, a_data_set: Write, tmp_path: Path, name: str, group: str) -> None:
        """Whoever made a data set chooses no files elsewhere on the machine that reads it."""
        root = tmp_path / "data"
        name = name.format(root=root)
        lists = {"healthy": ["a.png"], "unlabeled": ["b.png"]}
        lists[group].append(name)
        a_data_set({"train": {"0": ["a.png"], "unlabeled": ["b.png"]}})
        (root / "outside.png").touch()
        layout = {"train": {"0": lists["healthy"], "unlabeled": lists["unlabeled"]}}
        (root / "data.json").write_text(json.dumps(layout))
        with pytest.raises(UserError, match=r"'outside\.png' lies outside of the folder 'images'"):
            load_training_set(root)

    @pytest.mark.parametrize("share", ["calibration_share", "selection_share"])
    def test_the_seed_decides_which_images_are_set_aside(self, a_data_set: Write, share: str) -> None:
        root = a_data_set(a_layout(healthy=40))
        first, again, other = (
            images_of(load_training_set(root, seed=seed, **{share: 0.5})["healthy"], root) for seed in (1, 1, 2)
        )
        assert first == again
        assert len(first) == len(other) == 20
        assert first != other

    def test_a_test_image_that_is_held_out_to_select_by(self, a_data_set: Write) -> None:
        layout = a_layout()
        root = a_data_set(layout)
        (held_out, *_) = images_of(load_training_set(root, selection_share=0.5)["selection"], root)
        layout["test"]["0"].append(held_out)
        (root / "data.json").write_text(json.dumps(layout))
        with pytest.raises(UserError, match=f"{held_out} is listed for training and for the test; list each image"):
            load_training_set(root, selection_share=0.5)

    @pytest.mark.parametrize("group", ["0", "unlabeled"])
    @pytest.mark.parametrize("name", ["good_0.png", "./good_0.png", "a/../good_0.png"])
    def test_a_test_image_that_is_trained_on(self, a_data_set: Write, name: str, group: str) -> None:
        layout = a_layout()
        root = a_data_set(layout)
        (root / "images" / "a").mkdir()
        (layout["train"]["0"] if group == "0" else layout["train"]["unlabeled"]["1"]).append(name)
        (root / "data.json").write_text(json.dumps(layout))
        with pytest.raises(UserError, match=r"good_0\.png is listed for training and for the test; list each image"):
            load_training_set(root)


class TestTestSet:
    def test_labels(self, a_data_set: Write) -> None:
        root = a_data_set(a_layout(test=(3, 2)))
        cases = load_test_set(root)
        assert images_of(cases, root) == names("good", 3) + names("bad", 2)
        assert [case["label"] for case in cases] == [0, 0, 0, 1, 1]
        assert not any("mask" in case for case in cases)

    def test_masks_where_there_are_some(self, a_data_set: Write) -> None:
        root = a_data_set(a_layout(test=(1, 2)), masks=("bad_1.png",))
        masks = [case.get("mask") for case in load_test_set(root)]
        assert masks == [None, None, str(root / "masks" / "bad_1.png")]

    def test_one_class_only(self, a_data_set: Write) -> None:
        root = a_data_set({"test": {"1": ["a.png"]}})
        assert [case["label"] for case in load_test_set(root)] == [1]

    @pytest.mark.parametrize("test", [{}, {"0": [], "1": []}])
    def test_nothing_listed(self, a_data_set: Write, test: dict[str, list[str]]) -> None:
        with pytest.raises(UserError, match="test lists no image, so there is nothing to evaluate"):
            load_test_set(a_data_set({"test": test}))

    def test_no_test_set(self, a_data_set: Write) -> None:
        with pytest.raises(UserError, match="'test' is missing or no object"):
            load_test_set(a_data_set({"train": {}}))

    def test_a_path_out_of_the_folder(self, a_data_set: Write) -> None:
        with pytest.raises(UserError, match=r"'x\.png' lies outside of the folder 'images'"):
            load_test_set(a_data_set({"test": {"0": ["../x.png"]}}))

    def test_a_missing_file_is_named(self, a_data_set: Write) -> None:
        root = a_data_set(a_layout())
        (root / "images" / "bad_1.png").unlink()
        with pytest.raises(UserError, match=r"bad_1.png\.$"):
            load_test_set(root)


class TestEvaluationSet:
    def test_without_masks_it_is_the_test_set(self, a_data_set: Write) -> None:
        root = a_data_set(a_layout())
        assert load_evaluation_set(root) == load_test_set(root)

    @pytest.mark.parametrize(("num_reference", "expected"), [(0, 0), (4, 4), (32, 10)])
    def test_with_masks_it_has_healthy_images_to_compare_with(
        self, a_data_set: Write, num_reference: int, expected: int
    ) -> None:
        root = a_data_set(a_layout(healthy=10), masks=("bad_0.png",))
        cases = load_evaluation_set(root, num_reference=num_reference)
        test = load_test_set(root)
        assert cases[: len(test)] == test
        reference = cases[len(test) :]
        assert images_of(reference, root) == names("healthy", expected)
        assert all(case["role"] == "reference" and case["label"] == 0 for case in reference)

    def test_they_are_none_that_it_was_trained_on(self, a_data_set: Write, tmp_path: Path) -> None:
        """Unless there are no others; those that it was calibrated with do."""
        root = a_data_set(a_layout(healthy=10), masks=("bad_0.png",))
        for number, name in enumerate(names("healthy", 10)):
            (root / "images" / name).write_bytes(bytes([number]))
        healthy = [{"image": root / "images" / name} for name in names("healthy", 10)]
        known = [tmp_path / "trained.txt", tmp_path / "calibrated.txt"]
        write_trained_on(known[1], healthy[7:])
        for seen, expected in ((7, [7, 8]), (10, [0, 1])):
            write_trained_on(known[0], healthy[:seen])
            cases = load_evaluation_set(root, known, num_reference=2)
            found = [case["name"] for case in cases if case.get("role") == "reference"]
            assert found == [names("healthy", 10)[number] for number in expected]

    def test_what_the_bundle_knows_is_left_out(self, a_data_set: Write, tmp_path: Path) -> None:
        """By content: a copy under another name is no test either."""
        root = a_data_set(a_layout())
        (root / "images" / "bad_0.png").write_bytes(b"seen")
        (tmp_path / "seen.png").write_bytes(b"seen")
        write_trained_on(tmp_path / "known.txt", [{"image": tmp_path / "seen.png"}])
        known = [tmp_path / "known.txt", tmp_path / "missing.txt"]
        cases = load_evaluation_set(root, known)
        listed = load_test_set(root)
        assert cases[:-1] == [case for case in listed if case["name"] != "bad_0.png"]
        assert cases[-1]["warning"].startswith("bad_0.png: left out, since the bundle was trained on this image")
        write_trained_on(tmp_path / "known.txt", listed)
        with pytest.raises(UserError, match=r"data.json: the bundle was trained on, or calibrated with, all of 'test'"):
            load_evaluation_set(root, known)


class TestDataJson:
    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"data.json: there is no such file; make a data set with 'monai-sagan"):
            read_data_json(tmp_path)
        with pytest.raises(UserError, match="there is no such file"):
            load_training_set(tmp_path / "missing")

    @pytest.mark.parametrize("content", [b"{'train': []}", b"", b'{"train": ', b"\xff\xfe\x00 no text"])
    def test_no_json(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "data.json").write_bytes(content)
        with pytest.raises(UserError, match=r"data.json: this is no valid JSON \("):
            read_data_json(tmp_path)

    @pytest.mark.parametrize(("content", "found"), [([], "list"), ("text", "str"), (None, "NoneType")])
    def test_no_object(self, tmp_path: Path, content: Any, found: str) -> None:
        (tmp_path / "data.json").write_text(json.dumps(content))
        with pytest.raises(UserError, match=f"expected an object with 'train' and 'test', found {found}"):
            read_data_json(tmp_path)

    def test_names_in_any_language(self, a_data_set: Write) -> None:
        root = a_data_set({"test": {"0": ["Thorax gesund ä 胸.png"]}})
        assert images_of(load_test_set(root), root) == ["Thorax gesund ä 胸.png"]


class TestRealLayouts:
    @pytest.mark.parametrize(("name", "count", "num_abnormal"), [("chest_xray", 225, 135), ("brain_mri", 150, 90)])
    def test_real_images(self, shared: Path, name: str, count: int, num_abnormal: int) -> None:
        root = shared / "data" / name
        content = json.loads((root / "data.json").read_text())
        data = load_training_set(root, 0.6)
        assert images_of(data["healthy"], root) == content["train"]["0"]
        unlabeled = content["train"]["unlabeled"]
        expected = unlabeled["1"][:num_abnormal] + unlabeled["0"][: count - num_abnormal]
        assert images_of(data["unlabeled"], root) == expected
        assert len(data["healthy"]) == len(data["unlabeled"]) == count

    def test_phantom(self, phantom: Path) -> None:
        data = load_training_set(phantom)
        assert len(data["healthy"]) == len(data["unlabeled"]) == 24
        cases = load_evaluation_set(phantom)
        assert [case["label"] for case in cases] == [0] * 8 + [1] * 8 + [0] * 24
        assert [("mask" in case) for case in cases] == [False] * 8 + [True] * 8 + [False] * 24
