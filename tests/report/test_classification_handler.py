"""The handler: from a classifying evaluator's cases to figures, page and picture."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from PIL import Image

from monai_sagan.engines import AnomalyEvaluator
from monai_sagan.errors import UserError
from monai_sagan.inferers import ClassificationInferer
from monai_sagan.metrics import classification
from monai_sagan.report import ClassificationReport, WeightMap, draw_mean_weight_maps, weight_map
from monai_sagan.transforms import WholeImage

CLASSES = ["healthy", "ill"]
SIZE = (12, 16)  # rows, columns


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The bootstrap and the picture take most of the time, and have their tests elsewhere."""
    monkeypatch.setattr(classification, "RESAMPLES", 30)
    monkeypatch.setattr(weight_map, "_DOTS_PER_INCH", 20)


class ANetwork(torch.nn.Module):
    """All that the report asks of a network."""

    def __init__(self, weight_map: torch.Tensor | None) -> None:
        super().__init__()
        self.weight_map = weight_map


def a_map(*size: int) -> torch.Tensor:
    return torch.linspace(0, 1, int(np.prod(size))).reshape(1, 1, *size)


def a_case(name: str, label: int, found: int | None = None, image: torch.Tensor | None = None, **more: Any):
    """A case as the evaluator gives it: (1, *spatial), x first."""
    image = torch.zeros(1, 20, 14) if image is None else image
    probabilities = torch.full((2,), 0.25)
    probabilities[label if found is None else found] = 0.75
    case = {"path": f"folder/{name}.png", "label": label, "image": MetaTensor(image), "probabilities": probabilities}
    return case | {"anomaly_map": torch.ones_like(image)} | more


def report_on(cases, folder, network=None, image_size=SIZE, **settings) -> tuple[ClassificationReport, dict[str, Any]]:
    """Runs an evaluator over batches of two cases; returns the handler and the metrics."""
    engine = Engine(lambda engine, batch: batch)
    network = network or ANetwork(a_map(*image_size))
    bundle = {"name": "bundle", "version": "1.2.3"}
    handler = ClassificationReport(folder, "A title", bundle, CLASSES, network, image_size, **settings)
    handler.attach(engine)
    engine.run([cases[start : start + 2] for start in range(0, len(cases), 2)])
    return handler, engine.state.metrics["evaluation"]


def test_figures_are_there_once_all_else_is(tmp_path, monkeypatch):
    """A comparison takes them to mean that the evaluation is done, and reads the map."""

    def fail(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(WeightMap, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        report_on([a_case("a", 0), a_case("b", 1)], tmp_path)
    assert not (tmp_path / "metrics.json").exists()


def test_figures_page_and_picture_are_written(tmp_path):
    cases = [a_case("a", 0), a_case("b", 0, found=1), a_case("c", 1), a_case("d", 1)]
    _, metrics = report_on(cases, tmp_path / "out", split="All images.")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "metrics.json",
        "report.html",
        "weight_map.npz",
        "weight_map.png",
    ]
    facts = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))
    assert facts == facts | metrics
    assert (facts["title"], facts["split"], facts["bundle"]["version"]) == ("A title", "All images.", "1.2.3")
    assert metrics["accuracy"]["value"] == 0.75
    assert metrics["confusion_matrix"] == [[1, 1], [0, 2]]
    assert metrics["num_failed"] == 0
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "b.png" in page
    assert "All images." in page


def test_without_attention_there_is_no_picture_and_no_former_one(tmp_path):
    report_on([a_case("a", 0), a_case("b", 1)], tmp_path)
    assert (tmp_path / "weight_map.png").exists()
    report_on([a_case("a", 0), a_case("b", 1)], tmp_path, ANetwork(None))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "report.html"]


def test_the_map_is_there_in_numbers(tmp_path):
    handler, _ = report_on([a_case("a", 0), a_case("b", 1)], tmp_path)
    found = WeightMap.load(tmp_path / "weight_map.npz")
    np.testing.assert_allclose(found.weights, handler.network.weight_map[0, 0])
    np.testing.assert_allclose(found.image, handler.sum_of_images / 2)


def test_maps_of_several_trainings_are_drawn_side_by_side(tmp_path):
    for number in range(2):
        report_on([a_case("a", 0), a_case("b", 1)], tmp_path / str(number))
    files = [tmp_path / str(number) / "weight_map.npz" for number in range(2)]
    draw_mean_weight_maps({"one": files[:1], "both": files}, tmp_path / "maps.png")
    with Image.open(tmp_path / "maps.png") as picture, Image.open(tmp_path / "0" / "weight_map.png") as single:
        assert picture.width > 1.5 * single.width


def test_failed_cases_are_counted_and_named(tmp_path):
    failed = [{"path": f"{name}.png", "error": f"{name}.png: the file is empty."} for name in ("bad", "worse")]
    _, metrics = report_on([a_case("a", 0), failed[0], a_case("b", 1), failed[1]], tmp_path)
    assert (metrics["num_cases"], metrics["num_failed"]) == (2, 2)
    assert metrics["left_out"] == [f"Left out: {case['error']}" for case in failed]
    assert "Left out: worse.png: the file is empty." in (tmp_path / "report.html").read_text("utf-8")


def test_nothing_usable_is_said_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match="none of the test images could be used"):
        report_on([{"path": "bad.png", "error": "bad.png: damaged."}], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_are_those_of_the_data_set(tmp_path):
    handler, _ = report_on([a_case("a", 0) | {"name": "ward 7/a.png"}, a_case("b", 1)], tmp_path)
    assert [case.name for case in handler.cases] == ["ward 7/a.png", "b.png"]
    assert "folder" not in (tmp_path / "report.html").read_text("utf-8")


def test_the_mean_image_is_that_of_all_images_on_the_networks_grid(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(weight_map.WeightMap, "views", lambda self: shown.append(self) or [])
    monkeypatch.setattr("monai_sagan.report.classification_handler.draw_weight_map", lambda views, path: None)
    generator = torch.Generator().manual_seed(0)
    sizes = [(20, 14), (9, 30), (16, 12)]
    images = [torch.rand(1, *size, generator=generator) * 2 - 1 for size in sizes]
    handler, _ = report_on([a_case(str(n), n % 2, image=image) for n, image in enumerate(images)], tmp_path)
    expected = torch.stack([WholeImage(SIZE)(image)[0] for image in images]).mean(0)
    assert np.abs(shown[0].image - expected.numpy()).max() < 1e-6  # of 32-bit images, summed in 64 bits
    assert np.array_equal(shown[0].weights, handler.network.weight_map[0, 0].numpy())


def test_of_an_image_a_thumbnail_is_kept(tmp_path):
    image = torch.full((1, 200, 100), -1.0)
    image[:, 100:] = 1.0  # x first: the right half
    handler, _ = report_on([a_case("large", 0, image=image), a_case("small", 1)], tmp_path)
    large, small = (case.thumbnail for case in handler.cases)
    assert (large.shape, large.dtype) == ((32, 64), np.uint8)
    assert (large[:, 0] == 0).all()
    assert (large[:, -1] == 255).all()
    assert small.shape == (14, 20)
    assert not any(isinstance(value, torch.Tensor) for case in handler.cases for value in vars(case).values())


def test_of_a_volume_the_middle_slice_is_the_thumbnail(tmp_path):
    volume = torch.full((1, 10, 12, 7), -1.0)
    volume[0, 1, 2, 3] = 1.0  # left and front, in the middle slice
    affine = torch.diag(torch.tensor([1.0, -1.0, 4.0, 1.0]))  # in RAS: x runs to the right, y to the back
    image = MetaTensor(volume, affine=affine)
    handler, metrics = report_on(
        [a_case("v", 0, image=image), a_case("w", 1, image=image)], tmp_path, image_size=(6, 12, 10)
    )
    assert handler.cases[0].thumbnail.shape == (12, 10)
    # Seen with the patient's left on the right, and front on top.
    assert np.argwhere(handler.cases[0].thumbnail == 255).tolist() == [[2, 8]]
    assert metrics["num_cases"] == 2
    assert "Axial slice" in (tmp_path / "report.html").read_text("utf-8")


def test_a_map_that_is_learned_is_read_when_the_evaluator_is_done(tmp_path):
    """Weights are loaded when it starts, after the handler was made."""
    network = ANetwork(torch.zeros(1, 1, *SIZE))
    engine = Engine(lambda engine, batch: setattr(network, "weight_map", torch.full((1, 1, *SIZE), 0.375)) or batch)
    ClassificationReport(tmp_path, "x", {}, CLASSES, network, SIZE).attach(engine)
    engine.run([[a_case("a", 0), a_case("b", 1)]])
    assert "weights lie between 0.38 and 0.38" in (tmp_path / "report.html").read_text("utf-8")


def test_it_reports_what_the_evaluator_and_the_inferer_make(tmp_path):
    """A network that compares the upper with the lower half, as seen through its map."""

    class HalvesNetwork(ANetwork):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            upper, lower = (images * self.weight_map).flatten(2).chunk(2, dim=2)
            return torch.cat([upper.mean(2), lower.mean(2)], dim=1)

    def bright(half: int) -> torch.Tensor:
        image = torch.full((1, 20, 14), -1.0)
        image[:, :, 7 * half : 7 * half + 7] = 1.0  # x first
        return image

    network = HalvesNetwork(torch.full((1, 1, *SIZE), 0.5))
    cases = [
        {"path": f"{half}-{n}.png", "label": half, "image": MetaTensor(bright(half))} for half in (0, 1) for n in (0, 1)
    ]
    loader = torch.utils.data.DataLoader(cases, batch_size=3, collate_fn=list)
    report = ClassificationReport(tmp_path, "A title", {}, CLASSES, network, SIZE)
    evaluator = AnomalyEvaluator(
        torch.device("cpu"), loader, network, ClassificationInferer(SIZE), val_handlers=[report]
    )
    evaluator.run()
    metrics = evaluator.state.metrics["evaluation"]
    assert (metrics["confusion_matrix"], metrics["num_failed"]) == ([[2, 0], [0, 2]], 0)
    assert (tmp_path / "weight_map.png").exists()
