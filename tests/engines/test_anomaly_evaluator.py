"""Cases of any size, good and bad, through one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged
from torch import nn
from torch.utils.data import DataLoader

from monai_sagan.data import CaseDataset, CaseReader
from monai_sagan.engines import AnomalyEvaluator
from monai_sagan.engines.anomaly_evaluator import BatchScoring
from monai_sagan.inferers import RestorationInferer
from monai_sagan.transforms import AnomalyScored, Greyscaled, ScaleToNetworkRanged

SIDE = 32


class Darker(nn.Module):
    """A network that finds every bright pixel anomalous; remembers how many images it was given at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.given.append(len(images))
        return images.clamp(max=0.0)


class Broken(nn.Module):
    """A network whose training went wrong: it gives no number for images that are bright on average."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bright = images.mean(dim=(1, 2, 3), keepdim=True) > 0
        return torch.where(bright, torch.nan, images)


def evaluate(
    paths: list[Path],
    batch_size: int = 16,
    network: nn.Module | None = None,
    postprocessing: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    batch_scoring: BatchScoring | Sequence[BatchScoring] = (),
) -> list[dict[str, Any]]:
    """The finished cases, in the order of the run."""
    prepare = Compose(
        [
            LoadImaged("image", reader=CaseReader(), dtype=None),
            EnsureChannelFirstd("image"),
            Greyscaled("image"),
            ScaleToNetworkRanged("image"),
        ]
    )
    evaluator = AnomalyEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(
            CaseDataset([{"image": str(path)} for path in paths], prepare), batch_size=batch_size, collate_fn=list
        ),
        network=Darker() if network is None else network,
        inferer=RestorationInferer([SIDE, SIDE]),
        postprocessing=AnomalyScored() if postprocessing is None else postprocessing,
        batch_scoring=batch_scoring,
    )
    finished: list[dict[str, Any]] = []
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: finished.extend(engine.state.output))
    evaluator.run()
    return finished


@pytest.fixture
def mixed(a_picture: Callable[..., Path], a_volume: Callable[..., Path]) -> list[Path]:
    """Pictures and volumes of several sizes, neighbours alike and not."""
    return [
        a_picture("a.png", size=(40, 30), seed=1),
        a_picture("b.png", size=(40, 30), seed=2),
        a_picture("c.png", size=(30, 40), seed=3),
        a_volume("d.nii.gz", size=(20, 24, 6)),
        a_picture("e.png", size=(40, 30), seed=4),
        a_picture("f.png", mode="RGBA", size=(SIDE, SIDE), seed=5),
        a_volume("g.nii.gz", size=(20, 24, 6)),
    ]


def test_a_batch_is_scored_before_its_cases_are_finished(mixed: list[Path]) -> None:
    def number(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [case | {"place": [place, len(cases)]} for place, case in enumerate(cases)]

    def copy(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [case | {"copied": case["place"]} for case in cases]

    finished = evaluate(mixed, batch_size=5, batch_scoring=[number, copy], postprocessing=lambda case: case)
    assert all(case["copied"] == case["place"] for case in finished)
    assert [case["place"] for case in finished] == [[0, 5], [1, 5], [2, 5], [3, 5], [4, 5], [0, 2], [1, 2]]
    assert all("anomaly_map" in case for case in finished)
    assert [case["place"] for case in evaluate(mixed, batch_size=7, batch_scoring=number)] == [[n, 7] for n in range(7)]


def test_a_bad_case_among_good_ones(a_picture: Callable[..., Path], tmp_path: Path) -> None:
    good = [a_picture(f"good{number}.png", seed=number) for number in range(3)]
    truncated = a_picture("truncated.png")
    truncated.write_bytes(truncated.read_bytes()[:100])
    small = a_picture("small.png", size=(40, 12))
    missing = tmp_path / "missing.png"

    finished = evaluate([good[0], truncated, good[1], small, missing, good[2]])

    assert [Path(case["path"]) for case in finished] == [good[0], truncated, good[1], small, missing, good[2]]
    assert [case.get("error") for case in finished] == [
        None,
        f"{truncated}: the file is damaged or not an image; copy it again or leave it out.",
        None,
        f"{small}: the image has only 12 pixels along one side; at least 16 are needed.",
        f"{missing}: there is no such file.",
        None,
    ]
    for case in finished:
        assert ("anomaly_score" in case) == ("error" not in case)


def test_sizes_mixed_in_a_batch_give_what_each_gives_alone(mixed: list[Path]) -> None:
    together = evaluate(mixed, batch_size=len(mixed))
    alone = evaluate(mixed, batch_size=1)
    for path, case, other in zip(mixed, together, alone, strict=True):
        assert Path(case["path"]) == path
        assert case["anomaly_map"].shape == case["image"].shape
        # The same sums of 32-bit numbers in [0, 1], in another order where resizing works on a batch.
        assert torch.allclose(case["anomaly_map"], other["anomaly_map"], rtol=0, atol=1e-6)
        assert case["anomaly_score"] == pytest.approx(other["anomaly_score"], abs=1e-6)
    assert together[0]["anomaly_score"] != together[1]["anomaly_score"]


def test_neighbours_of_one_size_pass_the_network_together(mixed: list[Path]) -> None:
    network = Darker()
    evaluate(mixed, network=network)
    assert network.given == [2, 1, 6, 1, 1, 6]  # a and b; c; the slices of d; e; f; the slices of g


def test_results_keep_each_image_s_own_geometry(a_volume: Callable[..., Path], a_picture: Callable[..., Path]) -> None:
    affines = [np.diag([2.0, -3.0, 4.0, 1.0]), np.diag([-1.5, 1.0, 5.0, 1.0])]
    affines[1][:3, 3] = (10, 20, 30)
    paths = [a_volume(f"{number}.nii.gz", affine=affine) for number, affine in enumerate(affines)]
    finished = evaluate(paths)  # of one size, so they pass the network together
    for case, affine in zip(finished, affines):
        for key in ("anomaly_map", "pred"):
            assert isinstance(case[key], MetaTensor)
            assert np.allclose(case[key].affine, affine, rtol=0, atol=1e-5)  # NIfTI keeps 32 bits
            assert case[key].dtype == torch.float32


def test_the_map_lies_over_the_image(a_volume: Callable[..., Path]) -> None:
    voxels = np.zeros((32, 32, 4), dtype=np.uint8)
    voxels[20:24, 8:12, 2] = 255
    (case,) = evaluate([a_volume(voxels=voxels)])
    bright = torch.from_numpy(voxels[None] == 255)
    assert torch.equal(case["anomaly_map"].as_tensor() > 0, bright)  # of the network's size: nothing is resized
    assert case["anomaly_map"].as_tensor()[bright].unique().tolist() == [0.5]


def test_what_is_no_number_is_an_error_of_that_case(a_picture: Callable[..., Path]) -> None:
    from PIL import Image

    dark, bright = a_picture("dark.png"), a_picture("bright.png")
    for path, shade in ((dark, 0), (bright, 200)):
        pixels = np.full((SIDE, SIDE), shade, dtype=np.uint8)
        pixels[0, 0] = 100
        Image.fromarray(pixels).save(path)
    finished = evaluate([dark, bright], network=Broken())
    assert "error" not in finished[0]
    assert finished[1]["error"] == (
        f"{bright}: the network's output is NaN or infinite, so its weights cannot be used; train it again."
    )


def test_results_that_cannot_be_written_end_the_run(a_picture: Callable[..., Path]) -> None:
    def full(case: dict[str, Any]) -> dict[str, Any]:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        evaluate([a_picture()], postprocessing=full)


def test_the_network_is_used_as_it_is_after_training(a_picture: Callable[..., Path]) -> None:
    network = Darker().train()
    evaluate([a_picture()], network=network)
    assert not network.training
