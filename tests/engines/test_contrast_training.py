"""Teaching a bundle how healthy images differ from the unlabelled mixture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.nets import Classifier
from sklearn.metrics import roc_auc_score

from monai_sagan.data import HealthyUnlabeledDataset, write_phantom_volumes
from monai_sagan.engines import ContrastTraining, contrast_training
from monai_sagan.errors import SettingError, UserError
from monai_sagan.files import read_tensors
from monai_sagan.networks import ContrastNetwork
from monai_sagan.transforms import read_contrast
from monai_sagan.workflows import train

SIDE = 16


def small_network() -> ContrastNetwork:
    return ContrastNetwork(base_channels=2)


def another_network() -> Classifier:
    return Classifier((1, SIDE, SIDE), 1, channels=(2, 4), strides=(2, 2))


def some_pictures(count: int, seed: int, samples: int = 1) -> list[torch.Tensor]:
    """Noise about a level that is each image's own, with as many samples of each."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.rand(count, 1, 1, 1, 1, generator=generator) - 0.5
    return list(levels + 0.1 * torch.randn(count, samples, 1, SIDE, SIDE, generator=generator))


def with_a_square(pictures: list[torch.Tensor]) -> list[torch.Tensor]:
    marked = [picture.clone() for picture in pictures]
    for picture in marked:
        picture[..., 4:10, 4:10] += 0.8
    return marked


def a_dataset(
    healthy: list[torch.Tensor], unlabeled: list[torch.Tensor], selection: list[torch.Tensor] | None = None
) -> HealthyUnlabeledDataset:
    lists = {"healthy": healthy, "unlabeled": unlabeled} | ({} if selection is None else {"selection": selection})
    data = {kind: [{"image": picture} for picture in pictures] for kind, pictures in lists.items()}
    return HealthyUnlabeledDataset(data, lambda case: case)


@pytest.fixture(scope="module")
def dataset() -> HealthyUnlabeledDataset:
    """Half of the unlabelled images have a square that no healthy one has."""
    healthy, unlabeled = some_pictures(16, seed=0), some_pictures(20, seed=1)
    return a_dataset(healthy[:12], with_a_square(unlabeled[:10]) + unlabeled[10:], healthy[12:])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "contrast.pt"


def contrast(dataset: HealthyUnlabeledDataset, path: Path, **settings: Any) -> dict[str, Any]:
    defaults = {"network": small_network, "networks": 2, "trees": 10, "steps": 2}
    ContrastTraining(dataset, path, **defaults | settings).run()
    return read_tensors(path) if path.is_file() else {}


def test_the_file_makes_an_ensemble(dataset: HealthyUnlabeledDataset, path: Path) -> None:
    content = contrast(dataset, path)
    assert (content["networks"], content["trees"]) == (2, 10)
    scores = read_contrast(path, small_network)(dataset.unlabeled)
    assert scores.shape == (20,)
    assert ((scores > 0) & (scores < 1)).all()


def test_each_image_of_each_list_is_scored_by_what_has_not_seen_it(
    dataset: HealthyUnlabeledDataset, path: Path
) -> None:
    found = contrast(dataset, path)["out_of_fold"]
    assert {name: len(scores) for name, scores in found.items()} == {"healthy": 12, "selection": 4, "unlabeled": 20}
    scores = torch.cat(list(found.values()))
    assert ((scores > 0) & (scores < 1)).all()
    # Scores are standardised, so half of them lie about the middle.
    assert 0.3 < scores.median() < 0.7


@pytest.mark.parametrize("parts", [{"trees": 0, "steps": 100}, {"networks": 0, "trees": 100}])
def test_it_finds_what_healthy_images_lack(dataset: HealthyUnlabeledDataset, path: Path, parts: dict[str, int]) -> None:
    found = contrast(dataset, path, **parts)["out_of_fold"]
    with_square, without = found["unlabeled"][:10], torch.cat([found["healthy"], found["selection"]])
    labels = [1] * 10 + [0] * len(without)
    assert roc_auc_score(labels, torch.cat([with_square, without])) > 0.9
    new = some_pictures(10, seed=2)
    ensemble = read_contrast(path, small_network)
    scores = ensemble(torch.cat(with_a_square(new) + new))
    assert roc_auc_score([1] * 10 + [0] * 10, scores.detach()) > 0.9


def test_slices_of_a_volume_are_not_judged_by_what_saw_its_others(path: Path) -> None:
    """Two sets of the same kind: only who knows a volume's other slices, which have its level, can tell them apart."""
    volumes = a_dataset(some_pictures(20, seed=3, samples=4), some_pictures(20, seed=4, samples=4))
    found = contrast(volumes, path, networks=0, trees=50)["out_of_fold"]
    assert [len(found[name]) for name in ("healthy", "unlabeled")] == [20, 20]
    assert roc_auc_score([0] * 20 + [1] * 20, torch.cat([found["healthy"], found["unlabeled"]])) < 0.75


def test_slices_of_a_volume_stay_together() -> None:
    """Both in what is learned from and in what is judged; each is judged once."""
    volumes = a_dataset(some_pictures(10, seed=3, samples=4), some_pictures(10, seed=4, samples=3))
    pictures = contrast_training._Pictures(volumes)
    judged = []
    for seen, unseen in pictures.divide(5, seed=0):
        assert not set(pictures.owners[seen].tolist()) & set(pictures.owners[unseen].tolist())
        assert sorted(torch.cat([seen, unseen]).tolist()) == list(range(70))
        judged += unseen.tolist()
    assert sorted(judged) == list(range(70))


def test_no_network_judges_what_it_has_learned_from(
    dataset: HealthyUnlabeledDataset, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And all learn that those held out to select by are healthy."""
    learned: list[tuple[torch.Tensor, torch.Tensor]] = []
    judged: list[torch.Tensor] = []

    def train_network(network: Any, images: torch.Tensor, labels: torch.Tensor, *others: Any) -> Any:
        learned.append((images, labels))
        return network.eval()

    def judge(network: Any, images: torch.Tensor, device: Any) -> torch.Tensor:
        judged.append(images)
        return torch.arange(float(len(images)))

    monkeypatch.setattr(contrast_training, "train_network", train_network)
    monkeypatch.setattr(contrast_training, "_judge", judge)
    contrast(dataset, path, networks=4, trees=0)

    def keys(images: torch.Tensor) -> list[bytes]:
        return [image.numpy().tobytes() for image in images]

    everything = keys(torch.cat([dataset.healthy, dataset.selection, dataset.unlabeled]))
    unlabeled = set(keys(dataset.unlabeled))
    assert len(learned) == 4
    for (seen, labels), unseen in zip(learned, judged, strict=True):
        assert sorted(keys(seen) + keys(unseen)) == sorted(everything)
        assert labels.tolist() == [int(key in unlabeled) for key in keys(seen)]
    assert sorted(key for unseen in judged for key in keys(unseen)) == sorted(everything)


@pytest.mark.parametrize("steps", [1, 4, 6])
def test_weights_are_averaged_over_the_last_steps(steps: int) -> None:
    images, labels = torch.cat(some_pictures(8, seed=6)), torch.arange(8) % 2
    network = small_network()

    def weights_of(one: torch.nn.Module) -> torch.Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in one.parameters()])

    seen: list[torch.Tensor] = []
    random = torch.Generator().manual_seed(0)
    found = contrast_training.train_network(
        network, images, labels, steps, random, lambda *_: seen.append(weights_of(network))
    )
    expected = seen[0]
    for count, weights in enumerate(seen[1:], start=1):
        expected = torch.lerp(expected, weights, 1 - count / (count + 10))
    assert not found.training
    assert torch.allclose(weights_of(found), expected, rtol=0, atol=1e-6)
    assert torch.equal(weights_of(found), seen[-1]) == (steps == 1)


def test_what_comes_in_from_outside_is_black() -> None:
    black = torch.full((32, 1, SIDE, SIDE), -1.0)
    assert torch.equal(contrast_training.move_about(black, torch.Generator().manual_seed(0)), black)


def test_the_seed_decides(dataset: HealthyUnlabeledDataset, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    first, again, other = (
        contrast(dataset, tmp_path / f"{number}.pt", seed=seed) for number, seed in enumerate((5, 5, 6))
    )
    assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in first["state"].items():
        assert torch.equal(tensor, again["state"][name])
    assert not torch.equal(first["out_of_fold"]["healthy"], other["out_of_fold"]["healthy"])


def test_each_network_sees_its_images_moved_otherwise(
    dataset: HealthyUnlabeledDataset, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = []

    def look(network: Any, images: Any, labels: Any, steps: int, random: torch.Generator, tell: Any) -> Any:
        seeds.append(random.initial_seed())
        return network.eval()

    monkeypatch.setattr(contrast_training, "train_network", look)
    contrast(dataset, path, networks=3, seed=2)
    assert seeds == [6, 7, 8]


def test_another_network_takes_its_place(dataset: HealthyUnlabeledDataset, path: Path) -> None:
    contrast(dataset, path, network=another_network, trees=0)
    assert read_contrast(path, another_network)(dataset.healthy).shape == (12,)


def test_a_resumed_training_keeps_what_it_made(dataset: HealthyUnlabeledDataset, path: Path) -> None:
    contrast(dataset, path)
    written = path.stat().st_mtime_ns
    contrast(dataset, path, resume=True)
    assert path.stat().st_mtime_ns == written
    fewer = a_dataset(list(dataset.healthy[:, None]), list(dataset.unlabeled[1:, None]))
    moved = a_dataset(  # the same pictures, but one is said to be healthy
        list(dataset.healthy[:, None]), list(dataset.unlabeled[1:, None]), list(dataset.selection[:, None])
    )
    moved.counts["selection"], moved.selection = [1] * 5, torch.cat([dataset.selection, dataset.unlabeled[:1]])
    for other, change in (
        (dataset, {"seed": 1}),
        (dataset, {"trees": 11}),
        (dataset, {"network": another_network}),
        (fewer, {}),
        (moved, {}),
    ):
        with pytest.raises(UserError, match=r"contrast.pt: this was made of other images or with other settings"):
            contrast(other, path, resume=True, **change)
        assert path.stat().st_mtime_ns == written
    path.write_bytes(b"damaged")
    assert contrast(dataset, path, resume=True)


def test_without_networks_and_trees_there_is_nothing(dataset: HealthyUnlabeledDataset, path: Path) -> None:
    assert contrast(dataset, path, networks=0, trees=0) == {}


def test_too_few_images_are_told(
    dataset: HealthyUnlabeledDataset, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert contrast(dataset, path, networks=17, progress="json") == {}
    (event,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert event["event"] == "warning"
    assert "17 healthy and as many unlabelled images are needed" in event["message"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"networks": 1}, "contrast_networks must be 0 or at least 2, not 1"),
        ({"networks": -2}, "contrast_networks must be 0 or at least 2, not -2"),
        ({"trees": -1}, "contrast_trees must not be negative"),
        ({"steps": 0}, "contrast_steps at least 1"),
        ({"network": small_network()}, '"_mode_": "callable"'),
    ],
)
def test_settings_that_nothing_can_work_with(
    dataset: HealthyUnlabeledDataset, path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        contrast(dataset, path, **settings)


def test_a_training_that_breaks_off_leaves_nothing(dataset: HealthyUnlabeledDataset, path: Path) -> None:
    made: list[ContrastNetwork] = []

    def break_off() -> ContrastNetwork:
        if made:
            raise KeyboardInterrupt
        made.append(small_network())
        return made[-1]

    with pytest.raises(KeyboardInterrupt):
        contrast(dataset, path, network=break_off)
    assert list(path.parent.iterdir()) == []


def test_it_tells_how_far_it_is(
    dataset: HealthyUnlabeledDataset, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contrast(dataset, path, steps=20, progress="json")
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0] == {"event": "start", "total": 40, "task": "Contrast"}
    assert [event["done"] for event in events[1:]] == [10, 20, 30, 40]
    assert all(event["loss"] > 0 for event in events[1:])


def test_one_process_of_several_trains(
    dataset: HealthyUnlabeledDataset, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_to_the_first: list[Any] = []
    monkeypatch.setattr(contrast_training, "first_alone", left_to_the_first.append)
    assert contrast(dataset, path) == {}
    assert len(left_to_the_first) == 1


def test_a_bundle_is_trained_with_it(phantom: Path, tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    small = {"contrast_networks": 2, "contrast_steps": 1, "contrast_trees": 3, "contrast_def#base_channels": 2}
    bundle = train(
        "sagan_anomaly_detection", phantom, tmp_path / "bundle", overrides=tiny_settings | small, progress="none"
    )
    content = read_tensors(bundle / "models" / "contrast.pt")
    assert (content["networks"], content["trees"]) == (2, 3)


def test_a_bundle_in_3d_has_none(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    write_phantom_volumes(tmp_path / "data", num_healthy=2, num_unlabeled=2, num_test=1, size=(32, 32, 16))
    settings = tiny_settings | {"image_size": [16, 16, 16], "patch_grid": 1, "contrast_networks": 2}
    bundle = train(
        "sagan_anomaly_detection", tmp_path / "data", tmp_path / "bundle", overrides=settings, progress="none"
    )
    assert (bundle / "models" / "model.pt").is_file()
    assert not (bundle / "models" / "contrast.pt").is_file()
