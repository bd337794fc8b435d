"""Pairs to train with, and cases of which some cannot be read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged
from torch.utils.data import DataLoader

from monai_sagan.data import CaseDataset, CaseReader, HealthyUnlabeledDataset, LabeledDataset, batch_cases
from monai_sagan.errors import UserError, explain
from monai_sagan.transforms import Greyscaled


def some_numbers(first: int, count: int) -> list[dict[str, Any]]:
    return [{"image": number} for number in range(first, first + count)]


def to_tensor(case: dict[str, Any]) -> dict[str, Any]:
    """One sample, of one pixel."""
    return {"image": torch.tensor([[float(case["image"])]])}


def preprocessing() -> Compose:
    return Compose(
        [LoadImaged("image", reader=CaseReader(), dtype=None), EnsureChannelFirstd("image"), Greyscaled("image")]
    )


class TestHealthyUnlabeled:
    @pytest.mark.parametrize(
        ("healthy", "unlabeled", "pairs"),
        [
            (3, 3, [(0, 10), (1, 11), (2, 12)]),
            (2, 5, [(0, 10), (1, 11), (0, 12), (1, 13), (0, 14)]),
            (4, 1, [(0, 10), (1, 10), (2, 10), (3, 10)]),
        ],
    )
    def test_the_shorter_list_comes_around_again(
        self, healthy: int, unlabeled: int, pairs: list[tuple[int, int]]
    ) -> None:
        data = {"healthy": some_numbers(0, healthy), "unlabeled": some_numbers(10, unlabeled)}
        dataset = HealthyUnlabeledDataset(data, to_tensor)
        assert len(dataset) == len(pairs)
        items = [dataset[index] for index in range(len(dataset))]
        assert [(int(item["image"]), int(item["unlabeled"])) for item in items] == pairs
        assert all(set(item) == {"image", "unlabeled"} for item in items)

    def test_images_are_prepared_once(self) -> None:
        seen: Counter[int] = Counter()

        def counting(case: dict[str, Any]) -> dict[str, Any]:
            seen[case["image"]] += 1
            return to_tensor(case)

        data = {"healthy": some_numbers(0, 3), "unlabeled": some_numbers(10, 5)}
        dataset = HealthyUnlabeledDataset(data, counting)
        for _ in range(3):
            for index in range(len(dataset)):
                dataset[index]
        assert seen == Counter([0, 1, 2, 10, 11, 12, 13, 14])

    def test_it_tells_how_far_it_is(self, capsys: pytest.CaptureFixture[str]) -> None:
        data = {"healthy": some_numbers(0, 2), "unlabeled": some_numbers(10, 1)}
        HealthyUnlabeledDataset(data, to_tensor, progress="json")
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert events[0] == {"event": "start", "total": 3, "task": "Preparing images"}
        assert [event["done"] for event in events[1:]] == [1, 2, 3]

    def test_samples_of_a_volume_follow_each_other(self) -> None:
        def slices(case: dict[str, Any]) -> dict[str, Any]:
            return {"image": case["image"] + torch.arange(case["count"]).float().reshape(-1, 1)}

        volumes = [{"image": 10, "count": 3}, {"image": 20, "count": 1}, {"image": 30, "count": 2}]
        dataset = HealthyUnlabeledDataset({"healthy": volumes, "unlabeled": volumes[:1]}, slices)
        items = [dataset[index] for index in range(len(dataset))]
        pairs = [(int(item["image"]), int(item["unlabeled"])) for item in items]
        assert pairs == [(10, 10), (11, 11), (12, 12), (20, 10), (30, 11), (31, 12)]

    def test_batches(self) -> None:
        data = {"healthy": some_numbers(0, 4), "unlabeled": some_numbers(10, 4)}
        batch = next(iter(DataLoader(HealthyUnlabeledDataset(data, to_tensor), batch_size=3)))
        assert batch["image"].tolist() == [[0], [1], [2]]
        assert batch["unlabeled"].tolist() == [[10], [11], [12]]

    @pytest.mark.parametrize("kind", ["healthy", "unlabeled"])
    def test_an_image_that_cannot_be_read_is_named(
        self, a_picture: Callable[..., Path], tmp_path: Path, kind: str
    ) -> None:
        data = {name: [{"image": str(a_picture(f"{name}.png"))}] for name in ("healthy", "unlabeled")}
        broken = tmp_path / "broken.png"
        broken.write_text("no image")
        data[kind].append({"image": str(broken)})
        with pytest.raises(Exception) as error:  # noqa: PT011 - which one is MONAI's affair
            HealthyUnlabeledDataset(data, preprocessing())
        assert explain(error.value).startswith(f"{broken}: the file is damaged")


class TestCases:
    def test_good_and_bad_ones(self, a_picture: Callable[..., Path], tmp_path: Path) -> None:
        good, broken, missing = a_picture("good.png"), tmp_path / "broken.png", tmp_path / "missing.png"
        broken.write_text("no image")
        dataset = CaseDataset([{"image": str(path)} for path in (broken, good, missing)], preprocessing())
        assert len(dataset) == 3
        cases = [dataset[index] for index in range(3)]
        assert [case["path"] for case in cases] == [str(broken), str(good), str(missing)]
        assert cases[0] == {
            "path": str(broken),
            "error": f"{broken}: the file is damaged or not an image; copy it again or leave it out.",
        }
        assert cases[1]["image"].shape == (1, 40, 30)
        assert "error" not in cases[1]
        assert cases[2]["error"] == f"{missing}: there is no such file."

    def test_paths_may_be_path_objects(self, a_picture: Callable[..., Path]) -> None:
        path = a_picture()
        case = CaseDataset([{"image": path}], preprocessing())[0]
        assert case["path"] == str(path)
        assert "error" not in case

    def test_what_else_is_known_of_a_case_stays(self, a_picture: Callable[..., Path]) -> None:
        case = CaseDataset([{"image": str(a_picture()), "label": 1, "name": "x"}], preprocessing())[0]
        assert case["label"] == 1
        assert case["name"] == "x"

    def test_an_error_of_a_transform_names_the_file_too(self, a_volume: Callable[..., Path]) -> None:
        """Transforms know nothing of files."""

        def fail(case: dict[str, Any]) -> dict[str, Any]:
            raise ValueError("the number of channels is odd.\nSecond line.")

        path = str(a_volume())
        assert CaseDataset([{"image": path}], fail)[0] == {
            "path": path,
            "error": f"{path}: the number of channels is odd.",
        }
        wrapped = Compose([fail])
        assert CaseDataset([{"image": path}], wrapped)[0]["error"] == f"{path}: the number of channels is odd."

    def test_another_spelling_of_the_path_is_not_named_twice(
        self, a_picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(a_picture().parent)
        case = CaseDataset([{"image": "./missing.png"}], preprocessing())[0]
        assert case["error"] == "missing.png: there is no such file."

    def test_the_list_of_cases_is_not_changed(self, a_picture: Callable[..., Path]) -> None:
        data = [{"image": str(a_picture())}]
        CaseDataset(data, preprocessing())[0]
        assert set(data[0]) == {"image"}
        assert isinstance(data[0]["image"], str)


class TestWhatIsNotRead:
    def test_a_finished_case(self, a_picture: Callable[..., Path]) -> None:
        paths = [str(a_picture(f"{name}.png")) for name in "ab"]

        def find_result(case: dict[str, Any]) -> dict[str, Any] | None:
            assert case["files"] == [case["path"]]
            return {"anomaly_score": 0.5} if case["path"] == paths[0] else None

        dataset = CaseDataset([{"image": path} for path in paths], preprocessing(), find_result)
        assert dataset[0]["result"] == {"anomaly_score": 0.5}
        assert dataset[0]["is_skipped"] is True
        assert dataset[0]["image"] is None
        assert "result" not in dataset[1]
        assert dataset[1]["image"].shape == (1, 40, 30)

    def test_a_result_that_would_be_lost(self, a_picture: Callable[..., Path]) -> None:
        def find_result(case: dict[str, Any]) -> None:
            raise UserError(f"{case['path']}: there is another result.")

        path = str(a_picture())
        assert CaseDataset([{"image": path}], preprocessing(), find_result)[0] == {
            "path": path,
            "error": f"{path}: there is another result.",
        }

    def test_a_warning(self) -> None:
        entry = {"path": "scans", "warning": "scans: a report was left out."}
        assert CaseDataset([entry], preprocessing())[0] == entry

    def test_a_series_is_called_by_its_folder(self, tmp_path: Path) -> None:
        files = [str(tmp_path / "scan" / name) for name in ("1.dcm", "2.dcm")]
        case = CaseDataset([{"image": files, "path": str(tmp_path / "scan"), "name": "scan"}], lambda case: case)[0]
        assert case["path"] == str(tmp_path / "scan")
        assert case["files"] == files


def test_pictures_are_read_together_and_volumes_one_by_one() -> None:
    names = ["a.png", "b.JPG", "c.png", "d.nii.gz", "e.nrrd", "f.tif", "g.dcm", "h.png"]
    data: list[dict[str, Any]] = [{"image": name} for name in names]
    data += [{"image": ["1.dcm", "2.dcm"], "path": "scan"}, {"path": "scans", "warning": "left out"}]
    assert batch_cases(data, 2) == [[0, 1], [2], [3], [4], [5], [6], [7], [8], [9]]
    assert batch_cases(data, 16) == [[0, 1, 2], [3], [4], [5], [6], [7], [8], [9]]
    assert batch_cases([], 16) == []


class TestLabeledDataset:
    @staticmethod
    def of(images: list[torch.Tensor], **arguments: Any) -> LabeledDataset:
        data = [{"image": f"{number}.png", "label": number % 2} for number in range(len(images))]
        return LabeledDataset(data, lambda case: {"image": images[int(case["image"][0])]}, **arguments)

    def test_images_and_labels(self) -> None:
        images = [torch.full((1, 4, 4), float(number)) for number in range(3)]
        dataset = self.of(images)
        assert len(dataset) == 3
        assert torch.equal(dataset[2]["image"], images[2])
        assert [int(dataset[number]["label"]) for number in range(3)] == [0, 1, 0]

    def test_augmented_anew_each_time_and_never_for_good(self) -> None:
        images = [torch.full((1, 4, 4), float(number)) for number in range(3)]
        added = iter(range(10, 20))
        dataset = self.of(images, augment=lambda image: MetaTensor(image + next(added)))
        assert [float(dataset[1]["image"].mean()) for _ in range(2)] == [11.0, 12.0]
        assert type(dataset[1]["image"]) is torch.Tensor
        assert torch.equal(dataset.images, torch.stack(images))

    def test_images_of_different_sizes(self) -> None:
        with pytest.raises(
            UserError, match=r"^1.png: this image has the shape \[1, 4, 5\], and the first one \[1, 4, 4\]"
        ):
            self.of([torch.zeros(1, 4, 4), torch.zeros(1, 4, 5)])
