"""Whatever users give that cannot be used: one sentence that names it, an exit code, and nothing half made."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_sagan.bundle_files import WEIGHTS


class TestWeights:
    @pytest.fixture
    def bundle(self, tiny_bundle: Path, tmp_path: Path) -> Path:
        """A bundle to spoil."""
        return Path(shutil.copytree(tiny_bundle, tmp_path / "spoilt"))

    @pytest.fixture(params=["predict", "evaluate"])
    def use(
        self,
        request: pytest.FixtureRequest,
        bundle: Path,
        phantom: Path,
        predict: Callable,
        evaluate: Callable,
        a_picture: Callable,
    ) -> Callable[[], str]:
        """Both commands that take a bundle with weights."""
        if request.param == "predict":
            return lambda: predict(a_picture(), bundle=bundle).sentence
        return lambda: evaluate(phantom, bundle=bundle).sentence

    def test_none(self, bundle: Path, use: Callable[[], str]) -> None:
        (bundle / WEIGHTS).unlink()
        assert use() == (
            f"{bundle / WEIGHTS}: this bundle has no weights; train it ('monai-sagan train') or import some "
            "('monai-sagan import-checkpoint')."
        )

    @pytest.mark.parametrize("change", ["shape", "missing", "kind"])
    def test_of_another_network(self, change: str, bundle: Path, use: Callable[[], str]) -> None:
        state: Any = torch.load(bundle / WEIGHTS, weights_only=True)
        if change == "shape":
            state["stem.conv.weight"] = torch.zeros(4, 1, 7, 7)
        elif change == "missing":
            del state["stem.conv.weight"]
        else:
            state = [1, 2]
        torch.save(state, bundle / WEIGHTS)
        assert use() == (
            f"{bundle / WEIGHTS}: these weights do not fit the network of the bundle; put the weights and the settings "
            "that belong together back in place."
        )

    @pytest.mark.parametrize("share", [0.0, 0.5])
    def test_a_truncated_file(self, share: float, bundle: Path, use: Callable[[], str]) -> None:
        content = (bundle / WEIGHTS).read_bytes()
        (bundle / WEIGHTS).write_bytes(content[: int(share * len(content))])
        assert use().startswith(f"{bundle / WEIGHTS}: this file is damaged or holds more than tensors")

    def test_code_is_not_run(
        self, bundle: Path, use: Callable[[], str], a_pickle_with_code: Callable[[Path], Path]
    ) -> None:
        path = a_pickle_with_code(bundle / WEIGHTS)
        assert use().startswith(f"{path}: this file is damaged or holds more than tensors, and was not opened")
        assert not path.with_name("canary").exists()

    def test_no_bundle(self, predict: Callable, a_picture: Callable, tmp_path: Path) -> None:
        assert predict(a_picture(), bundle=tmp_path / "x").sentence.startswith(
            f"{tmp_path / 'x'}: there is no such bundle; give a bundle's folder or one of "
        )


class TestSettings:
    @pytest.mark.parametrize(
        ("setting", "sentence"),
        [
            ("epochs=3", "epochs: the bundle tiny has no such setting; it has "),
            ("epochs", "epochs: settings have the form KEY=VALUE."),
            ("num_res_blocks=-1", "num_res_blocks must be at least 0, not -1."),
            ("critic_base_channels=0", "critic_base_channels must be at least 1, not 0."),
            ("critic_layers=many", "critic_layers must lie in [1, 10], not 'many'."),
            (
                "intensity_percentiles=[90,10]",
                "intensity_percentiles must be two growing numbers in [0, 100], not [90, ",
            ),
            ("=3", "=3: settings have the form KEY=VALUE."),
            ("base_channels=many", "base_channels: 'many' cannot take the place of 2; give a value like it."),
            ("image_size=32", "image_size: 32 cannot take the place of [32, 32]; give a value like it."),
            ("base_channels=3", "base_channels must be an even number of at least 2, not 3."),
            ("image_size=[40,40]", "Images of size 40x40 do not fit a grid of 2x2 patches: sides must be multiples of"),
            ("batch_size=25", "batch_size: 24 training images do not fill a batch of 25; choose a smaller one."),
            ("batch_size=1", "batch_size 1: each process needs 2 images in a batch; give at least 2."),
            ("anomaly_ratio=1.5", "anomaly_ratio must lie in [0, 1], not 1.5."),
            ("checkpoint_interval=0", "checkpoint_interval must be at least 1, not 0."),
            ("batch_size=0", "batch_size must be at least 1, not 0."),
            ("critic_steps=-5", "critic_steps must be at least 1, not -5."),
            ("critic_steps=1.5", "critic_steps: 1.5 cannot take the place of "),
            ("seed=0.5", "seed: 0.5 cannot take the place of 0; give a value like it."),
            ("critic_steps=true", "critic_steps: True cannot take the place of "),
            ("compile=1", "compile: 1 cannot take the place of false; give a value like it."),
            ('image_size=[32,"a"]', "image_size: [32, 'a'] cannot take the place of [32, 32]; give a value like it."),
            ("intensity_window=5", "intensity_window must be two growing numbers such as [-1000, 400], not 5."),
            ("anomaly_ratio=half", "anomaly_ratio must lie in [0, 1], not 'half'."),
            ("amp=maybe", "amp must be true or false, not 'maybe'."),
            ("slice_direction=up", "slice_direction must be acquisition, sagittal, coronal, axial or an axis from 0 "),
            ("score=residul", "score must be auto, residual or contrast, not 'residul'."),
            ("learning_rate=-1", "learning_rate must lie in (0, 1], not -1."),
            ("critic_layers=4.5", "critic_layers: training does not work with these settings: "),
        ],
    )
    def test_train(self, setting: str, sentence: str, train: Callable) -> None:
        assert train(setting).sentence.startswith(sentence)

    @pytest.mark.parametrize("setting", ["contrast_networks=1", "critic_steps=-5", "image_size=[0,0]"])
    def test_a_range_is_checked_before_anything_is_made(
        self, setting: str, train: Callable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("monai_sagan.workflows.run_bundle", None)
        assert f"{setting.split('=')[0]} must be " in train(setting).sentence

    @pytest.mark.parametrize(
        ("device", "advice"),
        [
            ("nonsense", "give auto, cpu or a CUDA device such as cuda:0."),
            ("meta", "give auto, cpu or a CUDA device such as cuda:0."),
            ("cuda:99", f"this computer has {torch.cuda.device_count()} CUDA devices; use auto or cpu."),
        ],
    )
    @pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
    def test_device(
        self,
        command: str,
        device: str,
        advice: str,
        tiny_bundle: Path,
        phantom: Path,
        a_picture: Callable,
        output: Path,
        run: Callable,
    ) -> None:
        given = (a_picture(),) if command == "predict" else ("--data", phantom)
        outcome = run(command, tiny_bundle, *given, "--output", output, "--device", device)
        assert outcome.sentence == f"--device {device}: {advice}"

    def test_format_of_the_maps(self, tiny_bundle: Path, a_picture: Callable, output: Path, run: Callable) -> None:
        outcome = run("predict", tiny_bundle, a_picture(), "--output", output, "--output-ext", ".png")
        assert outcome.sentence == (
            "output_ext .png: maps cannot be written so; choose one of .nii.gz, .nii, .nrrd, .mha."
        )

    def test_a_size_is_refused_before_images_are_read(self, train: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monai_sagan.data.HealthyUnlabeledDataset.__init__", None)
        assert "Images of size 40x40 do not fit a grid of 2x2 patches" in train("image_size=[40,40]").sentence

    def test_an_empty_argument(self, tiny_bundle: Path, output: Path, run: Callable) -> None:
        outcome = run("predict", tiny_bundle, "", "--output", output)
        assert outcome.sentence == "one of the arguments is empty; is it a variable that was not set?"

    def test_a_threshold_without_dicom(
        self, tiny_bundle: Path, a_picture: Callable, output: Path, run: Callable
    ) -> None:
        outcome = run("predict", tiny_bundle, a_picture(), "--output", output, "--map-threshold", "0.2")
        assert outcome.sentence == "--map-threshold is for the DICOM segmentation; add --dicom, or leave it out."

    @pytest.mark.parametrize(
        ("file", "content", "sentence"),
        [
            ("inference.json", "{", "this config is damaged (Expecting property name enclosed in double quotes: "),
            ("inference.json", "{}", "this config does not say what to run; get the bundle again, or repair it."),
            ("metadata.json", "[", "this config is damaged ("),
            ("metadata.json", "{}", "this file has no version; get the bundle again, or repair it."),
        ],
    )
    def test_a_damaged_config(
        self,
        file: str,
        content: str,
        sentence: str,
        tiny_bundle: Path,
        a_picture: Callable,
        tmp_path: Path,
        run: Callable,
    ) -> None:
        bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
        path = bundle / "configs" / file
        path.write_text(content)
        outcome = run("predict", bundle, a_picture(), "--output", tmp_path / "maps")
        assert outcome.sentence.startswith(f"{path}: {sentence}")

    def test_errors_are_events_for_programs(self, tiny_bundle: Path, output: Path, run: Callable) -> None:
        outcome = run("predict", tiny_bundle, "x.png", "--output", output, "--progress", "json")
        message = "x.png: there is no such file or folder."
        assert outcome.code == 1
        assert outcome.events == [{"event": "error", "message": message}]
        assert outcome.err == f"Error: {message}\n"

    def test_an_error_of_this_software_keeps_its_traceback(
        self, tiny_bundle: Path, a_picture: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Such an error is to be reported, not explained away."""
        from monai_sagan import cli

        def fail(*_: Any, **__: Any) -> None:
            raise AttributeError("no such thing")

        monkeypatch.setattr("monai_sagan.workflows.run_bundle", fail)
        arguments = ["monai-sagan", "predict", tiny_bundle, a_picture(), "--output", tmp_path / "x"]
        monkeypatch.setattr(sys, "argv", [str(argument) for argument in arguments])
        with pytest.raises(AttributeError, match="no such thing"):
            cli.main()
