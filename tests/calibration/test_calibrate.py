"""From healthy images to p-values in results: the whole way, and what is said where there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binom, kstest

from monai_sagan import workflows
from monai_sagan.bundle_files import CALIBRATED_WITH, CALIBRATION, CALIBRATION_MAPS
from monai_sagan.bundles import describe_bundle, find_bundle, weights_sha256
from monai_sagan.calibration import (
    Calibration,
    PixelScale,
    conformal_p_value,
    conformal_threshold,
    describe_calibration,
    false_positive_rate,
    read_calibration,
    write_calibration,
)
from monai_sagan.data import write_phantom, write_phantom_volumes
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.errors import UserError, causes_of, explain

NAME = "sagan_anomaly_detection"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that no bundle here was trained on."""
    root = tmp_path_factory.mktemp("healthy") / "data"
    write_phantom(root, seed=5, num_healthy=40, num_unlabeled=5, num_test=12, size=(64, 64))
    return root


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("volumes") / "data"
    write_phantom_volumes(root, seed=5, num_healthy=4, num_unlabeled=2, num_test=1)
    return root


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle to calibrate."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture
def predict(bundle: Path, tmp_path: Path) -> Callable[..., dict[str, dict[str, Any]]]:
    """Results by name."""

    def predict(*inputs: Path, **settings: Any) -> dict[str, dict[str, Any]]:
        workflows.predict(bundle, inputs, tmp_path / "out", progress="none", overwrite=True, **settings)
        paths = (tmp_path / "out").glob("*_anomaly.json")
        return {path.name.removesuffix("_anomaly.json"): json.loads(path.read_text()) for path in paths}

    return predict


class TestPictures:
    def test_results_have_p_values(self, bundle: Path, healthy: Path, predict: Callable) -> None:
        before = predict(healthy / "images")
        assert all(result["p_value"] is None and result["warnings"] == [] for result in before.values())
        workflows.calibrate(bundle, healthy, progress="none")
        scores = [result["anomaly_score"] for name, result in before.items() if name.startswith("healthy_")]
        assert len(scores) == 40
        threshold = conformal_threshold(scores, 0.05)
        for name, result in predict(healthy / "images").items():
            assert result["anomaly_score"] == before[name]["anomaly_score"]
            assert result["p_value"] == conformal_p_value(result["anomaly_score"], scores)
            assert (result["threshold"], result["false_positive_rate"]) == (threshold, 0.05)
            assert result["is_anomalous"] is (result["anomaly_score"] > threshold)

    def test_former_results_are_made_again_when_asked(self, bundle: Path, healthy: Path, tmp_path: Path) -> None:
        """A result says which calibration it comes from, so one without is not taken for one with."""
        image = next((healthy / "images").iterdir())
        arguments = (bundle, [image], tmp_path / "out")
        workflows.predict(*arguments, progress="none")
        workflows.calibrate(bundle, healthy, progress="none")
        assert workflows.predict(*arguments, progress="none")["num_failed"] == 1
        assert workflows.predict(*arguments, progress="none", overwrite=True)["num_done"] == 1

    def test_the_evaluation_tells_what_the_threshold_does(self, bundle: Path, healthy: Path, tmp_path: Path) -> None:
        assert workflows.evaluate(bundle, healthy, tmp_path / "1", progress="none")["at_threshold"] is None
        workflows.calibrate(bundle, healthy, progress="none")
        found = workflows.evaluate(bundle, healthy, tmp_path / "2", progress="none")["at_threshold"]
        assert 0.0 <= found["false_positive_rate"]["value"] <= found["false_positive_rate"]["high"] <= 1.0
        assert "At the calibrated threshold" in (tmp_path / "2" / "report.html").read_text()
        assert "At the calibrated threshold" not in (tmp_path / "1" / "report.html").read_text()

    def test_it_is_not_evaluated_on_what_it_was_calibrated_with(
        self, bundle: Path, healthy: Path, tmp_path: Path
    ) -> None:
        workflows.calibrate(bundle, healthy, progress="none")
        data = Path(shutil.copytree(healthy, tmp_path / "data"))
        layout = json.loads((data / "data.json").read_text())
        layout["test"]["0"].append(layout["train"]["0"].pop())
        (data / "data.json").write_text(json.dumps(layout))
        metrics = workflows.evaluate(bundle, data, tmp_path / "page", progress="none")
        assert metrics["num_healthy"] == len(layout["test"]["0"]) - 1
        assert metrics["left_out"][-1].startswith(layout["test"]["0"][-1] + ": left out, since the bundle was trained")

    def test_another_rate(self, bundle: Path, healthy: Path) -> None:
        calibration = workflows.calibrate(bundle, healthy, false_positive_rate=0.2, progress="none")
        assert calibration.rate == 0.2
        assert read_calibration(bundle) == calibration

    def test_a_radiograph_in_a_volume_of_one_slice(
        self, bundle: Path, healthy: Path, predict: Callable, tmp_path: Path
    ) -> None:
        """As DICOM and Slicer have it: it is compared with pictures, and gives what the picture gives."""
        workflows.calibrate(bundle, healthy, progress="none")
        picture = sorted((healthy / "images").glob("test_1_*"))[0]
        pixels = np.asarray(Image.open(picture)).T
        nib.save(nib.Nifti1Image(pixels[..., None], np.diag([-1.0, -1.0, 1.0, 1.0])), tmp_path / "same.nii.gz")
        results = predict(picture, tmp_path / "same.nii.gz")
        alone, same = results[picture.stem], results["same"]
        assert same["warnings"] == []
        assert same["p_value"] == alone["p_value"] is not None
        assert same["is_ood"] == alone["is_ood"]
        assert same["slice_p_values"] == []
        maps = [nib.load(tmp_path / "out" / f"{name}_deviation.nii.gz").get_fdata() for name in (picture.stem, "same")]
        np.testing.assert_allclose(maps[0].reshape(maps[1].shape), maps[1], atol=1e-3)


class TestHonesty:
    """On scores of a network, not of a formula: any function of an image will do, here random weights."""

    @pytest.fixture(scope="class", params=["phantom", "chest_xray"])
    def scores(
        self, request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> np.ndarray:
        root = tmp_path_factory.mktemp("many")
        if request.param == "phantom":
            write_phantom(root / "data", seed=9, num_healthy=300, num_unlabeled=2, num_test=1, size=(32, 32))
            data = root / "data"
        else:
            data = request.getfixturevalue("shared") / "data" / "chest_xray"
        bundle = shutil.copytree(tiny_bundle, root / "bundle")
        return np.array(workflows.calibrate(bundle, data, progress="none").image_scores)

    def test_p_values_of_healthy_images_are_uniform(self, scores: np.ndarray) -> None:
        rejected = 0
        for healthy, new in splits(scores):
            rejected += kstest([conformal_p_value(score, healthy) for score in new], "uniform").pvalue < 0.01
        # Each of 20 splits is rejected with a chance of 1%, a little more as p-values come in steps.
        assert rejected <= 2

    def test_the_false_positive_rate_is_as_promised(self, scores: np.ndarray) -> None:
        inside = 0
        for healthy, new in splits(scores):
            count = int((new > conformal_threshold(healthy, 0.05)).sum())
            # Within what so many images give at the ends of the interval in which the threshold's own rate lies.
            rate = false_positive_rate(len(healthy), 0.05, confidence=0.99)
            inside += binom.ppf(0.005, len(new), rate.low) <= count <= binom.ppf(0.995, len(new), rate.high)
        assert inside >= 19


def splits(scores: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Twenty times, two thirds to calibrate with and the rest as new images."""
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(scores))
        first = 2 * len(scores) // 3
        yield scores[order[:first]], scores[order[first:]]


class TestVolumes:
    def test_slices_too(self, bundle: Path, volumes: Path, predict: Callable) -> None:
        calibration = workflows.calibrate(bundle, volumes, progress="none")
        assert (len(calibration.image_scores), len(calibration.volume_scores)) == (0, 4)
        (name,) = json.loads((volumes / "data.json").read_text())["test"]["1"]
        (result,) = predict(volumes / "images" / name).values()
        assert 0.2 <= result["p_value"] <= 1.0
        # Four healthy volumes are too few for 5%.
        assert (result["threshold"], result["is_anomalous"]) == (None, None)
        assert len(result["slice_p_values"]) == len(result["slice_scores"])
        for p_value, score in zip(result["slice_p_values"], result["slice_scores"]):
            assert (p_value is None) is (score == 0)

    def test_a_flipped_volume_has_the_same_p_values(
        self, bundle: Path, volumes: Path, predict: Callable, tmp_path: Path
    ) -> None:
        import nibabel as nib

        workflows.calibrate(bundle, volumes, progress="none")
        (name,) = json.loads((volumes / "data.json").read_text())["test"]["1"]
        image = nib.load(volumes / "images" / name)
        flip = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt("RAI"))
        nib.save(image.as_reoriented(flip), tmp_path / "flipped.nii.gz")
        one = predict(volumes / "images" / name)[name.split(".")[0]]
        other = predict(tmp_path / "flipped.nii.gz")["flipped"]
        assert other["p_value"] == one["p_value"]
        assert other["slice_p_values"] in (one["slice_p_values"], one["slice_p_values"][::-1])

    def test_pictures_and_volumes_keep_their_own(
        self, bundle: Path, volumes: Path, healthy: Path, predict: Callable
    ) -> None:
        workflows.calibrate(bundle, healthy, progress="none")
        picture, volume = (next((root / "images").iterdir()) for root in (healthy, volumes))
        (result,) = predict(volume).values()
        assert result["p_value"] is None
        assert result["warnings"] == [
            "The bundle was calibrated with pictures alone, so volumes have no p-value and no findings; calibrate it "
            "with some."
        ]
        calibration = workflows.calibrate(bundle, volumes, progress="none")
        assert (len(calibration.image_scores), len(calibration.volume_scores)) == (40, 4)
        assert len((bundle / CALIBRATED_WITH).read_text().split()) == 40 + 4  # none of either is ever a test
        assert all(result["p_value"] is not None for result in predict(picture, volume).values())
        cut_otherwise = predict(volume, slice_direction="coronal")[volume.name.split(".")[0]]
        assert cut_otherwise["p_value"] is None
        assert "no p-value for another direction, and no findings" in cut_otherwise["warnings"][0]


class TestTraining:
    def test_a_share_of_the_healthy_images_is_set_aside(
        self, phantom: Path, tiny_settings: dict[str, Any], tmp_path: Path
    ) -> None:
        settings = {**tiny_settings, "calibration_share": 0.25}
        root = workflows.train(NAME, phantom, tmp_path / "bundle", overrides=settings, progress="none")
        calibration = workflows.calibrate(root, phantom, progress="none")
        assert len(calibration.image_scores) == 6  # of 24
        assert len((root / "models" / "trained_on.txt").read_text().split()) == 18 + 24

    def test_without_a_share_there_is_nothing_to_calibrate_with(
        self, phantom: Path, tiny_settings: dict[str, Any], tmp_path: Path
    ) -> None:
        root = workflows.train(NAME, phantom, tmp_path / "bundle", overrides=tiny_settings, progress="none")
        with pytest.raises(Exception) as caught:  # noqa: PT011  MONAI wraps what a config raises
            workflows.calibrate(root, phantom, progress="none")
        message = explain(caught.value)
        assert "was trained on all healthy images of train.0, perhaps because they are among" in message
        assert "train it with a calibration_share that sets some aside" in message  # it may have had one, of too few
        assert not (root / CALIBRATION).exists()

    def test_a_bundle_that_is_derived_starts_without(self, bundle: Path, healthy: Path, tmp_path: Path) -> None:
        workflows.calibrate(bundle, healthy, progress="none")
        derive_bundle(bundle, tmp_path / "new", {}, {})
        assert read_calibration(tmp_path / "new") is None


class TestBroken:
    def test_other_weights(self, bundle: Path, healthy: Path, predict: Callable) -> None:
        calibration = workflows.calibrate(bundle, healthy, progress="none")
        write_calibration(bundle, Calibration("0" * 64, calibration.slice_direction, 0.05, calibration.image_scores))
        (result,) = predict(next((healthy / "images").iterdir())).values()
        assert result["p_value"] is None
        assert result["warnings"] == [
            "The bundle was calibrated with other weights, so there is no p-value, and no findings; calibrate it again."
        ]
        # Calibrated again, nothing of the other weights' is kept.
        write_calibration(bundle, Calibration("0" * 64, "acquisition", 0.05, (), (0.5,), ((0.5,),)))
        assert workflows.calibrate(bundle, healthy, progress="none").volume_scores == ()

    def test_another_kind_of_score(self, bundle: Path, healthy: Path) -> None:
        """Volumes that were scored by contrast do not stay beside pictures that are scored by the map."""
        known = {"volume_scores": (0.5,), "slice_scores": ((0.5,),), "score_kind": "contrast"}
        write_calibration(bundle, Calibration(weights_sha256(bundle), "acquisition", 0.05, **known))
        assert workflows.calibrate(bundle, healthy, progress="none").volume_scores == ()

    def test_maps_of_another_calibration(self, tmp_path: Path) -> None:
        one, other = (
            PixelScale(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), spread), (1.0,)) for spread in (1.0, 2.0)
        )
        write_calibration(tmp_path, Calibration("0", "axial", 0.05, (0.1,), image_scale=one))
        former = (tmp_path / CALIBRATION_MAPS).read_bytes()
        write_calibration(tmp_path, Calibration("0", "axial", 0.05, (0.1,), image_scale=other))
        assert read_calibration(tmp_path).image_scale.spread.unique().tolist() == [2.0]
        (tmp_path / CALIBRATION_MAPS).write_bytes(former)
        with pytest.raises(UserError, match="this file is damaged or of another version"):
            read_calibration(tmp_path)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 9}', "{"])
    def test_a_damaged_file(self, text: str, bundle: Path, healthy: Path, predict: Callable) -> None:
        (bundle / CALIBRATION).write_text(text)
        with pytest.raises(Exception) as caught:  # noqa: PT011
            predict(next((healthy / "images").iterdir()))
        assert any(isinstance(cause, UserError) for cause in causes_of(caught.value))
        assert explain(caught.value) == (
            f"{bundle / CALIBRATION}: this file is damaged or of another version; run 'monai-sagan calibrate' again."
        )
        workflows.calibrate(bundle, healthy, progress="none")
        assert predict(next((healthy / "images").iterdir()))

    def test_a_rate_out_of_range(self, bundle: Path, healthy: Path) -> None:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            workflows.calibrate(bundle, healthy, false_positive_rate=1.5, progress="none")
        assert "false_positive_rate must lie between 0 and 1, not 1.5" in explain(caught.value)

    def test_one_that_ships_stays_as_it_is(
        self, healthy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        before = (find_bundle(NAME) / CALIBRATION).read_bytes()
        with pytest.raises(UserError, match="this bundle ships with the package and stays as it is; train one of"):
            workflows.calibrate(NAME, healthy, progress="none")
        assert (find_bundle(NAME) / CALIBRATION).read_bytes() == before

    def test_one_bad_image_is_left_out(self, bundle: Path, healthy: Path, tmp_path: Path) -> None:
        data = Path(shutil.copytree(healthy, tmp_path / "data"))
        (data / "images" / "healthy_0000.png").write_bytes(b"no picture")
        assert len(workflows.calibrate(bundle, data, progress="none").image_scores) == 39


class TestWords:
    def test_what_it_rests_on(self) -> None:
        numbers = tuple(number / 100 for number in range(20))
        scale = PixelScale(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2), tuple(5 + number for number in numbers))
        known = {"image_scores": numbers, "image_ood_scores": numbers, "image_scale": scale}
        assert describe_calibration(Calibration("0", "acquisition", 0.05, **known)) == [
            "Calibrated with 20 healthy pictures: no p-value is below 0.048. Threshold 0.19: 4.8% of healthy pictures "
            "lie above it on average, and with this threshold 0.1% to 16.8% (95% interval).",
            "A place is a finding above 5.19 standard deviations from healthy pictures; 5% of them, at most and on "
            "average, have any.",
            "Of pictures like these, 5% are falsely flagged as out of distribution.",
        ]

    def test_too_few(self) -> None:
        known = {"volume_scores": (0.1, 0.2), "slice_scores": ((0.1,), (0.2,)), "volume_ood_scores": (0.1, 0.2)}
        assert describe_calibration(Calibration("0", "acquisition", 0.05, **known)) == [
            "Calibrated with 2 healthy volumes: no p-value is below 0.33. These are too few for a threshold with 5% "
            "false positives, which needs 19.",
            "No findings in maps: they take a network in 2D, and 19 healthy volumes.",
            "Too few healthy volumes to recognise out-of-distribution ones; 19 are needed.",
        ]

    def test_a_bundle_without_an_out_of_distribution_score(self) -> None:
        *_, sentence = describe_calibration(Calibration("0", "acquisition", 0.05, (0.1,)))
        assert sentence == (
            "Out-of-distribution pictures are not recognised by their looks: this bundle has no reference data."
        )


def test_the_description_of_a_bundle_tells_its_calibration(bundle: Path, healthy: Path) -> None:
    assert "calibration_sha256" not in describe_bundle(bundle)
    workflows.calibrate(bundle, healthy, progress="none")
    assert len(describe_bundle(bundle)["calibration_sha256"]) == 64
    assert find_bundle(bundle) == bundle
