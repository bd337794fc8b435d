"""Scores by how healthy images differ from the unlabelled mixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from sklearn.ensemble import ExtraTreesClassifier

from monai_sagan.errors import SettingError, UserError
from monai_sagan.files import save_tensors
from monai_sagan.networks import ContrastNetwork, Forest
from monai_sagan.selection import write_selection
from monai_sagan.transforms import ContrastEnsemble, ContrastScored, image_features, resize, volume_score
from monai_sagan.transforms.contrast import choose_score
from monai_sagan.transforms.contrast_ensemble import forest_log_odds

SIZE = (32, 32)


def small_network() -> ContrastNetwork:
    return ContrastNetwork(base_channels=2)


def some_pictures(count: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, *SIZE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def a_forest() -> Forest:
    features = torch.cat(list(image_features(some_pictures(40)).values()), dim=1).numpy()
    return Forest.from_sklearn(
        ExtraTreesClassifier(10, min_samples_leaf=5, random_state=0).fit(features, np.arange(40) % 2)
    )


@pytest.fixture
def ensemble() -> ContrastEnsemble:
    torch.manual_seed(0)
    made = ContrastEnsemble([small_network(), small_network()], a_forest()).eval()
    made.mean, made.deviation = torch.tensor([0.1, -0.2]), torch.tensor([0.05, 0.5])
    return made


@pytest.fixture
def bundle(tmp_path: Path, ensemble: ContrastEnsemble) -> Path:
    """A folder with an ensemble alone."""
    content = {"networks": 2, "trees": 10, "state": ensemble.state_dict()}
    save_tensors(content, tmp_path / "models" / "contrast.pt")
    return tmp_path


def scored(bundle: Path, image: torch.Tensor, **settings: Any) -> dict[Any, Any]:
    transform = ContrastScored("image", bundle, small_network, SIZE, **settings)
    axis = None if image.dim() == 3 else 2
    return transform({"image": image, "anomaly_score": 0.25, "slice_scores": [], "slice_axis": axis})


class TestEnsemble:
    def test_scores_are_means_of_standardised_ones(self, ensemble: ContrastEnsemble) -> None:
        pictures = some_pictures()
        first, second = ensemble.networks
        logits = [network(turned)[:, 0] for network in (first, second) for turned in (pictures, pictures.flip(3))]
        features = torch.cat(list(image_features(pictures).values()), dim=1)
        probability = ensemble.forest(features).clamp(0.01, 0.99)
        log_odds = (probability / (1 - probability)).log()
        expected = torch.sigmoid(((sum(logits) / 4 - 0.1) / 0.05 + (log_odds + 0.2) / 0.5) / 2)
        torch.testing.assert_close(ensemble(pictures), expected)

    def test_a_mirror_image_is_the_same_to_the_networks(self, ensemble: ContrastEnsemble) -> None:
        alone = ContrastEnsemble(list(ensemble.networks), None).eval()
        pictures = some_pictures()
        torch.testing.assert_close(alone(pictures), alone(pictures.flip(3)))

    def test_one_kind_is_enough_and_none_is_not(self) -> None:
        pictures = some_pictures()
        assert ContrastEnsemble([small_network()], None).eval()(pictures).shape == (4,)
        assert ContrastEnsemble([], a_forest()).eval()(pictures).shape == (4,)
        with pytest.raises(ValueError, match="networks, a forest or both"):
            ContrastEnsemble([], None)


def test_no_tree_is_certain() -> None:
    """What a forest says stays within one in a hundred, as far as a network may go."""
    said = forest_log_odds(lambda features: torch.tensor([0.0, 0.5, 1.0]), torch.zeros(3, 1))
    torch.testing.assert_close(said, torch.tensor([-4.5951, 0.0, 4.5951]), rtol=1e-4, atol=1e-4)


class TestPlaces:
    def test_maps_are_means_of_what_networks_say_of_each_place(self, ensemble: ContrastEnsemble) -> None:
        pictures = some_pictures()
        scores, maps = ensemble.scores_and_maps(pictures)
        both = [
            network.local_logits(pictures) + network.local_logits(pictures.flip(3)).flip(3)
            for network in ensemble.networks
        ]
        torch.testing.assert_close(maps, resize(sum(both) / 4, SIZE))
        torch.testing.assert_close(scores, ensemble(pictures))

    def test_a_place_that_sets_an_image_apart_is_found(self) -> None:
        """A network that has learned that bright spots are of the unlabelled set."""
        network = small_network().eval()
        for module in network.features.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        torch.nn.init.constant_(network.evidence.conv.weight, 1.0)
        picture = torch.full((1, 1, *SIZE), -1.0)
        picture[..., 4:8, 20:24] = 1.0
        _, maps = ContrastEnsemble([network], None).scores_and_maps(picture)
        row, column = np.unravel_index(int(maps.argmax()), SIZE)
        assert abs(row - 5.5) <= 4  # a place is four pixels wide
        assert abs(column - 21.5) <= 4

    def test_networks_that_tell_of_the_whole_alone(self) -> None:
        class Whole(torch.nn.Module):
            def forward(self, images: torch.Tensor) -> torch.Tensor:
                return images[:, :, 0, 0]

        pictures = some_pictures()
        ensemble = ContrastEnsemble([Whole()], None)
        scores, maps = ensemble.scores_and_maps(pictures)
        torch.testing.assert_close(scores, torch.sigmoid((pictures[:, 0, 0, 0] + pictures[:, 0, 0, -1]) / 2))
        assert maps.shape == (4, 0, *SIZE)
        assert ContrastEnsemble([], a_forest()).scores_and_maps(pictures)[1].shape == (4, 0, *SIZE)


class TestPictures:
    def test_the_score_of_a_picture(self, bundle: Path, ensemble: ContrastEnsemble) -> None:
        picture = some_pictures(1)
        result = scored(bundle, picture[0].transpose(1, 2))  # files have x first
        assert result["anomaly_score"] == pytest.approx(float(ensemble(picture)[0]), abs=1e-5)
        assert result["score_kind"] == "contrast"
        assert result["slice_scores"] == []
        torch.testing.assert_close(result["contrast_map"], ensemble.scores_and_maps(picture)[1])

    def test_a_picture_of_another_size_is_resized(self, bundle: Path, ensemble: ContrastEnsemble) -> None:
        picture = resize(some_pictures(1), (50, 40))
        result = scored(bundle, picture[0].transpose(1, 2))
        assert result["anomaly_score"] == pytest.approx(float(ensemble(resize(picture, SIZE))[0]), abs=1e-5)

    def test_a_dark_picture_has_a_score_too(self, bundle: Path) -> None:
        assert scored(bundle, torch.full((1, 40, 40), -1.0))["anomaly_score"] > 0


class TestBatches:
    @pytest.fixture
    def cases(self) -> list[dict[str, Any]]:
        """Four pictures of two sizes, a volume, and two without an image."""
        images = [*some_pictures(3), resize(some_pictures(1), (50, 40))[0], torch.zeros(1, *SIZE, 3)]
        used = [{"image": image.transpose(1, 2), "slice_axis": 2 if image.dim() == 4 else None} for image in images]
        return [used[0], {"path": "x", "error": "x: damaged."}, *used[1:], {"image": None, "is_skipped": True}]

    def test_pictures_are_scored_together_and_as_alone(self, bundle: Path, cases: list[dict[str, Any]]) -> None:
        transform = ContrastScored("image", bundle, small_network, SIZE, batch_size=3)
        assert transform.ensemble is not None
        seen: list[int] = []
        transform.ensemble.forest.register_forward_hook(lambda module, inputs, outputs: seen.append(len(inputs[0])))
        batch = transform.score_batch(cases)
        assert seen == [3, 1]
        pictures = [number for number, case in enumerate(cases) if isinstance(case.get("image"), torch.Tensor)][:4]
        together = {number: transform(batch[number]) for number in pictures}
        assert seen == [3, 1]
        for number, found in together.items():
            expected = transform(cases[number])
            assert found.keys() == expected.keys()
            assert found["anomaly_score"] == pytest.approx(expected["anomaly_score"], abs=1e-5)
            torch.testing.assert_close(found["contrast_map"], expected["contrast_map"])
        others = [number for number in range(len(cases)) if number not in pictures]
        assert [batch[number] for number in others] == [cases[number] for number in others]

    def test_nothing_to_score(self, bundle: Path, cases: list[dict[str, Any]]) -> None:
        transform = ContrastScored("image", bundle, small_network, SIZE)
        assert transform.score_batch(cases[1:2]) == cases[1:2]
        by_map = ContrastScored("image", bundle, small_network, SIZE, score="residual")
        assert [case.keys() for case in by_map.score_batch(cases)] == [case.keys() for case in cases]


class TestVolumes:
    @pytest.fixture
    def volume(self) -> torch.Tensor:
        """(1, x, y, z) with background at either end."""
        slices = torch.full((9, 1, *SIZE), -1.0)
        slices[1:8] = some_pictures(7)
        return slices.permute(1, 3, 2, 0).contiguous()

    def test_slices_have_scores_and_background_has_none(
        self, bundle: Path, ensemble: ContrastEnsemble, volume: torch.Tensor
    ) -> None:
        result = scored(bundle, volume, batch_size=4)
        expected = [0.0, *ensemble(some_pictures(7)).tolist(), 0.0]
        assert result["slice_scores"] == pytest.approx(expected, abs=1e-5)
        assert result["anomaly_score"] == pytest.approx(volume_score(expected), abs=1e-5)
        assert result["contrast_map"].shape == (9, 1, *SIZE)
        torch.testing.assert_close(result["contrast_map"][1:8], ensemble.scores_and_maps(some_pictures(7))[1])
        assert not result["contrast_map"][[0, 8]].any()

    def test_how_voxels_lie_in_the_file_does_not_matter(self, bundle: Path, volume: torch.Tensor) -> None:
        affine = torch.diag(torch.tensor([1.0, 1.0, 2.0, 1.0]))
        as_stored = scored(bundle, MetaTensor(volume, affine=affine))
        turned = MetaTensor(volume.flip(1, 3), affine=torch.diag(torch.tensor([-1.0, 1.0, -2.0, 1.0])))
        result = scored(bundle, turned)
        assert result["slice_scores"][::-1] == pytest.approx(as_stored["slice_scores"], abs=1e-5)
        assert result["anomaly_score"] == pytest.approx(as_stored["anomaly_score"], abs=1e-5)
        torch.testing.assert_close(result["contrast_map"].flip(0), as_stored["contrast_map"])

    def test_the_direction_of_slices(self, bundle: Path, volume: torch.Tensor) -> None:
        assert len(scored(bundle, volume, slice_direction=0)["slice_scores"]) == SIZE[1]

    def test_nothing_but_background_scores_0(self, bundle: Path) -> None:
        result = scored(bundle, torch.full((1, *SIZE, 3), -1.0))
        assert (result["slice_scores"], result["anomaly_score"]) == ([0.0] * 3, 0.0)


class TestChoice:
    def test_the_residual_is_left_alone(self, bundle: Path) -> None:
        result = scored(bundle, some_pictures(1)[0], score="residual")
        assert (result["anomaly_score"], result["score_kind"]) == (0.25, "residual")
        assert "contrast_map" not in result

    def test_a_bundle_without_contrast(self, tmp_path: Path) -> None:
        result = scored(tmp_path, some_pictures(1)[0])
        assert (result["anomaly_score"], result["score_kind"]) == (0.25, "residual")
        with pytest.raises(UserError, match=r"contrast.pt: there is no such file.* choose score=residual"):
            choose_score(tmp_path, "contrast")

    @pytest.mark.parametrize("chosen", ["residual", "contrast"])
    def test_what_was_chosen_is_kept(self, bundle: Path, chosen: str) -> None:
        write_selection(bundle / "models" / "selection.json", score=chosen)
        assert choose_score(bundle) == chosen
        assert choose_score(bundle, "contrast") == "contrast"

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"score": "guess"}'])
    def test_a_damaged_choice_is_named(self, bundle: Path, text: str) -> None:
        (bundle / "models" / "selection.json").write_text(text)
        with pytest.raises(UserError, match=r"selection\.json: .* train"):
            choose_score(bundle)

    def test_there_is_no_such_score(self, bundle: Path) -> None:
        with pytest.raises(SettingError, match="score must be auto, residual or contrast, not 'best'"):
            scored(bundle, some_pictures(1)[0], score="best")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"damaged"), "damaged or holds more than tensors"),
        (lambda path: save_tensors([1, 2], path), "does not fit the networks of the bundle"),
        (lambda path: save_tensors({"networks": 2}, path), "does not fit the networks of the bundle"),
        (
            lambda path: save_tensors(
                {"networks": 1, "trees": 0, "state": ContrastEnsemble([ContrastNetwork()], None).state_dict()}, path
            ),
            "does not fit the networks of the bundle",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(bundle: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(bundle / "models" / "contrast.pt")
    with pytest.raises(UserError, match=rf"contrast\.pt: .*{message}"):
        scored(bundle, some_pictures(1)[0])
