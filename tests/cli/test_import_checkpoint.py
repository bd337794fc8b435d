"""``monai-sagan import-checkpoint``: the weights that the authors published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from monai_sagan.transforms import AnomalyScore


@pytest.fixture
def checkpoint(published_weights: dict[str, dict[str, torch.Tensor]], tmp_path: Path) -> Path:
    torch.save(published_weights["generator"], tmp_path / "published.ckpt")
    return tmp_path / "published.ckpt"


def test_scores_are_the_published_ones(
    checkpoint: Path, reference: dict[str, torch.Tensor], tmp_path: Path, run: Callable
) -> None:
    bundle = tmp_path / "imported"
    outcome = run("import-checkpoint", checkpoint, bundle)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"Bundle: {bundle}\n", "")

    parser = ConfigParser(ConfigParser.load_config_file(str(bundle / "configs" / "inference.json")))
    parser.update({"bundle_root": str(bundle), "device": torch.device("cpu"), "datalist": [], "save_restored": True})
    parser.get_parsed_content("checkpointloader")(parser.get_parsed_content("evaluator"))
    network, inferer = parser.get_parsed_content("network").eval(), parser.get_parsed_content("inferer")
    # The pipeline's images have x first; the reference has rows first.
    results = inferer(reference["unlabeled"].transpose(2, 3), network)
    scores = [AnomalyScore()(anomaly_map) for anomaly_map in results["anomaly_map"]]
    # Restored images agree to some 1e-6 in 32 bits; the score is a mean of them.
    assert scores == pytest.approx(reference["anomaly_score"].tolist(), abs=1e-5)
    restored = results["pred"].transpose(2, 3)
    assert torch.allclose(restored, reference["restored_unlabeled"], rtol=0, atol=1e-4)


def test_the_bundle_runs(checkpoint: Path, tmp_path: Path, run: Callable, a_picture: Callable[..., Path]) -> None:
    run("import-checkpoint", checkpoint, tmp_path / "imported")
    outcome = run("predict", tmp_path / "imported", a_picture(), "--output", tmp_path / "maps", "--progress", "none")
    assert (outcome.code, outcome.err) == (0, "")
    result = json.loads((tmp_path / "maps" / "picture_anomaly.json").read_text())
    assert result["bundle"]["name"] == "imported"
    assert 0 < result["anomaly_score"] < 1


def test_its_settings_are_those_of_the_weights(checkpoint: Path, tmp_path: Path, run: Callable) -> None:
    run("import-checkpoint", checkpoint, tmp_path / "imported")
    inference, metadata = (
        json.loads((tmp_path / "imported" / "configs" / f"{name}.json").read_text())
        for name in ("inference", "metadata")
    )
    assert inference["image_size"] == [64, 64]
    assert (inference["base_channels"], inference["num_res_blocks"], inference["patch_grid"]) == (8, 2, 2)
    assert metadata["data_source"] == "weights published by the authors of SAGAN, published.ckpt"
    assert "Research only" in metadata["intended_use"]


def test_running_statistics_do_not_matter(checkpoint: Path, tmp_path: Path, run: Callable) -> None:
    """They are in the authors' files, and take no part in what their code computes."""
    state = torch.load(checkpoint, weights_only=True)
    state |= {"layer1.1.running_mean": torch.full((8,), 9.0), "layer1.1.num_batches_tracked": torch.tensor(3)}
    torch.save(state, tmp_path / "longer.ckpt")
    for name in ("published", "longer"):
        assert run("import-checkpoint", tmp_path / f"{name}.ckpt", tmp_path / name).code == 0
    first, second = (
        torch.load(tmp_path / name / "models" / "model.pt", weights_only=True) for name in ("published", "longer")
    )
    assert list(first) == list(second)
    assert all(torch.equal(first[key], second[key]) for key in first)


class TestRefusals:
    """One sentence, and no bundle."""

    @pytest.fixture
    def refused(self, tmp_path: Path, run: Callable) -> Callable[[Path], str]:
        def refused(checkpoint: Path) -> str:
            before = sorted(tmp_path.iterdir())
            outcome = run("import-checkpoint", checkpoint, tmp_path / "imported")
            assert sorted(tmp_path.iterdir()) == before
            return outcome.sentence

        return refused

    def test_a_missing_file(self, refused: Callable[[Path], str], tmp_path: Path) -> None:
        assert refused(tmp_path / "x.ckpt") == f"{tmp_path / 'x.ckpt'}: there is no such file."

    @pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
    def test_a_damaged_file(
        self, content: bytes | None, refused: Callable[[Path], str], tiny_bundle: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "x.ckpt"
        path.write_bytes((tiny_bundle / "models" / "model.pt").read_bytes()[:1000] if content is None else content)
        assert refused(path) == (
            f"{path}: this file is damaged or holds more than tensors, and was not opened, because it could run code; "
            "get it again from where it came."
        )

    @pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.zeros(3)])
    def test_no_dictionary_of_tensors(self, content: object, refused: Callable[[Path], str], tmp_path: Path) -> None:
        torch.save(content, tmp_path / "x.ckpt")
        assert refused(tmp_path / "x.ckpt") == (
            f"{tmp_path / 'x.ckpt'}: This is no dictionary of tensors; give the generator's weights as they were "
            "published."
        )

    def test_weights_of_something_else(self, refused: Callable[[Path], str], tiny_bundle: Path) -> None:
        path = tiny_bundle / "models" / "model.pt"
        assert refused(path).startswith(f"{path}: These are not weights of the published SAGAN generator")

    def test_a_tensor_is_missing(self, checkpoint: Path, refused: Callable[[Path], str]) -> None:
        state = torch.load(checkpoint, weights_only=True)
        del state["conv.0.weight" if "conv.0.weight" in state else "conv.weight"]
        torch.save(state, checkpoint)
        assert "is missing" in refused(checkpoint)

    def test_code(self, refused: Callable[[Path], str], a_pickle_with_code: Callable[[Path], Path]) -> None:
        path = a_pickle_with_code(Path("x.ckpt"))
        assert "it could run code" in refused(path)
        assert not path.with_name("canary").exists()

    def test_a_target_that_exists(self, checkpoint: Path, tmp_path: Path, run: Callable, listing: Callable) -> None:
        (tmp_path / "imported").mkdir()
        (tmp_path / "imported" / "mine").write_text("x")
        outcome = run("import-checkpoint", checkpoint, tmp_path / "imported")
        assert outcome.sentence == (
            f"{tmp_path / 'imported'}: exists already and is not empty; choose another folder or remove it."
        )
        assert listing(tmp_path / "imported") == {"mine": b"x"}

    def test_a_disk_that_fills_up(
        self, checkpoint: Path, refused: Callable[[Path], str], limited_file_size: Callable, tmp_path: Path
    ) -> None:
        with limited_file_size(40_000):  # enough for the configs, not for the weights
            sentence = refused(checkpoint)
        assert sentence == (
            f"{tmp_path / 'imported'}: it could not be written, perhaps because the disk is full; free some space or "
            "choose another folder."
        )
