"""``monai-sagan train``, ``evaluate`` and ``predict``, when all goes well."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image

from monai_sagan import __version__
from monai_sagan.bundle_files import WEIGHTS
from monai_sagan.bundles import describe_bundle
from monai_sagan.data import phantom_volume
from monai_sagan.report import EvaluatedCase, evaluation_metrics
from monai_sagan.tables import show_detection

NAME = "sagan_anomaly_detection"


def as_arguments(settings: dict[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


@pytest.fixture
def colours(a_picture: Callable[..., Path]) -> list[Path]:
    """Pictures of every kind that people have."""
    return [
        a_picture(f"images/{mode.replace(';', '')}{ending}", mode=mode, seed=5)
        for mode, ending in [
            ("L", ".png"),
            ("RGB", ".png"),
            ("RGBA", ".png"),
            ("LA", ".png"),
            ("P", ".png"),
            ("I;16", ".png"),
            ("RGB", ".jpg"),
            ("CMYK", ".tif"),
        ]
    ]


class TestTrain:
    def test_a_bundle_of_its_own(
        self, phantom: Path, tiny_settings: dict[str, Any], tmp_path: Path, run: Callable
    ) -> None:
        output = tmp_path / "deep" / "mine"
        outcome = run(
            *("train", NAME, *as_arguments({**tiny_settings, "learning_rate": 0.001})),
            *("--data", phantom, "--output", output, "--progress", "none"),
        )
        assert (outcome.code, outcome.out, outcome.err) == (0, f"Trained bundle: {output}\n", "")
        assert describe_bundle(output)["weights_sha256"] is not None
        assert json.loads((output / "configs" / "train.json").read_text())["learning_rate"] == 0.001
        metadata = json.loads((output / "configs" / "metadata.json").read_text())
        assert metadata["data_source"] == "data"
        assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [32, 32]

    def test_the_output_has_a_default(
        self, phantom: Path, tiny_bundle: Path, tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run("train", tiny_bundle, "--data", phantom, "--progress", "none").code == 0
        assert (tmp_path / "runs" / "tiny" / WEIGHTS).is_file()

    def test_json(self, phantom: Path, tiny_bundle: Path, tmp_path: Path, run: Callable) -> None:
        outcome = run(
            *("train", tiny_bundle, "critic_steps=12", "--data", phantom, "--output", tmp_path / "x"),
            "--progress=json",
        )
        assert (outcome.code, outcome.err) == (0, "")
        starts = [number for number, event in enumerate(outcome.events) if event["event"] == "start"]
        preparing, training = outcome.events[: starts[1]], outcome.events[starts[1] :]
        assert preparing[0] == {"event": "start", "total": 48, "task": "Preparing images"}
        assert [event["done"] for event in preparing[1:]] == list(range(1, 49))
        assert [event["event"] for event in training] == ["start", "progress", "progress", "done"]
        assert set(training[1]) == {"event", "done", "total", "critic", "generator"}
        assert training[-1] == {"event": "done", "iterations": 12}

    def test_resume(self, phantom: Path, tiny_bundle: Path, tmp_path: Path, run: Callable) -> None:
        arguments = ("--data", phantom, "--output", tmp_path / "x", "--progress", "json")
        assert run("train", tiny_bundle, *arguments).events[-1] == {"event": "done", "iterations": 6}
        weights = (tmp_path / "x" / WEIGHTS).read_bytes()
        state = torch.load(tmp_path / "x" / "models" / "training_state.pt", weights_only=True)
        assert state["engine"]["epoch"] == 2
        again = run("train", tiny_bundle, *arguments, "--resume")  # it is finished: nothing more to do
        assert (again.code, again.events[-1]) == (0, {"event": "done", "iterations": 6})
        assert (tmp_path / "x" / WEIGHTS).read_bytes() == weights

    def test_resume_where_nothing_began(self, phantom: Path, tiny_bundle: Path, tmp_path: Path, run: Callable) -> None:
        outcome = run("train", tiny_bundle, "--data", phantom, "--output", tmp_path / "x", "--resume")
        assert outcome.code == 0
        assert (tmp_path / "x" / WEIGHTS).is_file()
        assert "Training" in outcome.err  # the bar


class TestEvaluate:
    def test_what_limits_the_figures_is_said(
        self, phantom: Path, tiny_bundle: Path, tmp_path: Path, run: Callable
    ) -> None:
        data = json.loads((phantom / "data.json").read_text())
        data["test"]["1"] = []
        (tmp_path / "data.json").write_text(json.dumps(data))
        (tmp_path / "images").symlink_to(phantom / "images")
        outcome = run("evaluate", tiny_bundle, "--data", tmp_path, "--output", tmp_path / "x", "--progress", "none")
        assert outcome.code == 0
        assert "\nThe test set has no anomalous case, so AUC and average precision" in outcome.out

    def test_a_page_and_figures(self, phantom: Path, tiny_bundle: Path, tmp_path: Path, run: Callable) -> None:
        outcome = run("evaluate", tiny_bundle, "--data", phantom, "--output", tmp_path / "page", "--progress", "none")
        assert (outcome.code, outcome.err) == (0, "")
        assert "8 healthy, 8 anomalous" in outcome.out
        assert outcome.out.endswith(f"Page: {tmp_path / 'page' / 'report.html'}\n")
        metrics = json.loads((tmp_path / "page" / "metrics.json").read_text())
        assert f"{metrics['auc']['value']:.3f}" in outcome.out
        told = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in outcome.out.splitlines()]
        peaks = metrics["peak_inside_share"]
        interval = f"(95% interval {peaks['low']:.3f} to {peaks['high']:.3f})"
        assert ["Peaks inside the lesion", f"{peaks['value']:.3f}  {interval}"] in told
        assert not re.search("finding|distribution", outcome.out)  # the bundle cannot tell
        assert metrics["bundle"] == describe_bundle(tiny_bundle)
        assert metrics["num_failed"] == 0

    def test_json(self, phantom: Path, tiny_bundle: Path, tmp_path: Path, run: Callable) -> None:
        outcome = run("evaluate", tiny_bundle, "--data", phantom, "--output", tmp_path / "page", "--progress", "json")
        assert (outcome.code, outcome.err) == (0, "")
        kinds = [event["event"] for event in outcome.events]
        assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("start", "done", {"progress"})
        # 16 test images, and the 24 healthy training images that tell which values are ordinary.
        assert outcome.events[-1] == {"event": "done", "num_done": 40, "num_skipped": 0, "num_failed": 0}

    def test_what_stands_out_and_what_is_ood(self, capsys: pytest.CaptureFixture) -> None:
        def case(label: int, num_findings: int, is_ood: bool) -> EvaluatedCase:
            nothing = np.zeros((4, 4))
            return EvaluatedCase(
                "x",
                label,
                0.5,
                nothing,
                nothing,
                nothing,
                num_findings=num_findings,
                is_ood=is_ood,
            )

        cases = [case(0, 0, False), case(0, 3, True), case(0, 0, False), case(0, 0, False)]
        show_detection(evaluation_metrics(cases, pixel_threshold=None))
        told = capsys.readouterr().out
        assert re.search(r"Healthy cases with a finding +│ 0.250  \(95% interval 0.006 to 0.806\)", told)
        assert re.search("Healthy cases out of distribution +│ 0.250", told)
        assert "Anomalous" not in told  # there is none


class TestPredict:
    def test_colour_and_alpha(self, tiny_bundle: Path, colours: list[Path], tmp_path: Path, run: Callable) -> None:
        outcome = run("predict", tiny_bundle, *colours, "--output", tmp_path / "maps", "--progress", "none")
        assert (outcome.code, outcome.out, outcome.err) == (0, f"Results: {tmp_path / 'maps'}\n", "")
        scores = {}
        for path in colours:
            # Two pictures are called RGB: they keep their endings.
            name = path.name if path.stem == "RGB" else path.stem
            result = json.loads((tmp_path / "maps" / f"{name}_anomaly.json").read_text())
            assert result["input"] == path.name
            assert sitk.ReadImage(str(tmp_path / "maps" / f"{name}_anomaly.nii.gz")).GetSize() == (40, 30)
            scores[path.name] = result["anomaly_score"]
        assert scores["RGB.png"] == scores["RGBA.png"]  # alpha is left out

    def test_json(self, tiny_bundle: Path, colours: list[Path], tmp_path: Path, run: Callable) -> None:
        outcome = run("predict", tiny_bundle, colours[0].parent, "--output", tmp_path / "maps", "--progress", "json")
        assert (outcome.code, outcome.err) == (0, "")
        events = outcome.events
        assert events[0] == {"event": "start", "total": len(colours), "task": "Images"}
        assert events[-1] == {"event": "done", "num_done": len(colours), "num_skipped": 0, "num_failed": 0}
        assert [event["event"] for event in events[1:-1]] == ["result", "progress"] * len(colours)
        for event in events:
            if event["event"] == "result":
                map_path = Path(event.pop("anomaly_map"))
                # The bundle is not calibrated.
                assert event.pop("deviation_map") is event.pop("findings_map") is None
                event.pop("event")
                assert json.loads(map_path.with_name(map_path.name.replace(".nii.gz", ".json")).read_text()) == event

    def test_folders_keep_their_layout(
        self, tiny_bundle: Path, a_picture: Callable[..., Path], tmp_path: Path, run: Callable
    ) -> None:
        for seed, name in enumerate(["in/a.png", "in/one/a.png", "in/two/a.png"]):
            a_picture(name, seed=seed)
        outcome = run(
            *("predict", tiny_bundle, tmp_path / "in", "--output", tmp_path / "out", "--progress", "none"),
            *("--output-ext", ".nrrd", "--save-restored"),
        )
        assert outcome.code == 0
        names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("a_*"))
        assert names == [
            f"{folder}a_{kind}"
            for folder in ("", "one/", "two/")
            for kind in ("anomaly.json", "anomaly.nrrd", "restored.nrrd")
        ]

    def test_a_volume(self, tiny_bundle: Path, phantom: Path, tmp_path: Path, run: Callable) -> None:
        volume = phantom / "volumes" / "phantom_lesion.nii.gz"
        assert run("predict", tiny_bundle, volume, "--output", tmp_path, "--device", "cpu").code == 0
        image, written = (sitk.ReadImage(str(path)) for path in (volume, tmp_path / "phantom_lesion_anomaly.nii.gz"))
        assert written.GetSize() == image.GetSize()
        assert written.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-6)
        result = json.loads((tmp_path / "phantom_lesion_anomaly.json").read_text())
        assert len(result["slice_scores"]) == image.GetSize()[2]

    def test_a_slice_scores_as_the_picture_it_is(
        self, tiny_bundle: Path, phantom: Path, tmp_path: Path, run: Callable
    ) -> None:
        """A volume's slice and the same pixels as a picture are one image to the network: axes and all."""
        image = sitk.ReadImage(str(phantom / "volumes" / "phantom_lesion.nii.gz"))
        pixels = sitk.GetArrayFromImage(image)[12]
        assert pixels.dtype == np.uint8
        Image.fromarray(pixels).save(tmp_path / "slice.png")
        sitk.WriteImage(image, str(tmp_path / "volume.nii.gz"))
        run("predict", tiny_bundle, tmp_path, "--output", tmp_path / "out", "--progress", "none")
        results = {
            name: json.loads((tmp_path / "out" / f"{name}_anomaly.json").read_text()) for name in ("slice", "volume")
        }
        # The same numbers pass the network in batches of different sizes.
        assert results["volume"]["slice_scores"][12] == pytest.approx(results["slice"]["anomaly_score"], rel=1e-4)


def test_in_a_process_of_its_own(
    tiny_bundle: Path, phantom: Path, a_picture: Callable[..., Path], tmp_path: Path
) -> None:
    """As other programs call it: standard output is JSON, whatever libraries print."""
    bad = a_picture("images/bad.png")
    bad.write_bytes(b"x")
    inputs = [bad, phantom / "volumes" / "phantom_lesion.nii.gz"]
    command = [Path(sys.executable).with_name("monai-sagan"), "predict", tiny_bundle, *inputs]
    command += ["--output", tmp_path / "maps", "--progress", "json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds == ["start", "error", "progress", "progress", "result", "progress", "done"]
    assert 1 < events[3]["done"] < 2  # a volume is told in parts
    assert events[1]["message"].startswith(f"{bad}: ")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1] == "Error: 1 of 2 images could not be used."


def test_version(run: Callable) -> None:
    outcome = run("--version")
    assert (outcome.code, outcome.out) == (0, f"{__version__}\n")


def test_help_names_every_command(run: Callable) -> None:
    outcome = run("--help")
    assert outcome.code == 0
    for command in ("demo", "prepare", "train", "evaluate", "predict", "import-checkpoint"):
        assert command in outcome.out


def test_a_network_in_three_dimensions(tmp_path: Path, run: Callable) -> None:
    """From folders of volumes to maps of volumes, all by settings."""
    groups = (("healthy", 4), ("unlabeled", 4), ("test/healthy", 1), ("test/anomalous", 1))
    for number, (group, count) in enumerate(groups):
        for index in range(count):
            random = np.random.default_rng([number, index])
            volume, _ = phantom_volume(random, size=(32, 32, 20), lesion=group != "healthy")
            path = tmp_path / "scans" / group / f"{index}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(sitk.GetImageFromArray(volume), str(path))
    data, bundle, maps = tmp_path / "data", tmp_path / "bundle", tmp_path / "maps"
    small = ("image_size=[32,32,32]", "batch_size=2", "base_channels=2", "num_res_blocks=0", "critic_base_channels=2")
    assert run("prepare", "folder", tmp_path / "scans", data).code == 0
    outcome = run("train", "sagan_anomaly_detection", "critic_steps=2", *small, "--data", data, "--output", bundle)
    assert outcome.code == 0, outcome.err
    assert run("evaluate", bundle, "--data", data, "--output", tmp_path / "report").code == 0
    assert run("predict", bundle, tmp_path / "scans" / "test", "--output", maps).code == 0
    anomaly_map = sitk.ReadImage(str(maps / "anomalous" / "0_anomaly.nii.gz"))
    assert anomaly_map.GetSize() == (32, 32, 20)
    assert len(json.loads((maps / "anomalous" / "0_anomaly.json").read_text())["slice_scores"]) == 20
