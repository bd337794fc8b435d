"""How far out of distribution a case is: from training to a case."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from PIL import Image

from monai_sagan.bundle_files import FAMILIARITY
from monai_sagan.data import HealthyUnlabeledDataset, digest_of, phantom_volume
from monai_sagan.errors import UserError
from monai_sagan.familiarity import (
    FactsRecorderd,
    Familiarity,
    FamiliarityFitting,
    KnownFacts,
    Likeness,
    OODScored,
    read_familiarity,
    write_familiarity,
)
from monai_sagan.files import read_tensors, save_tensors
from monai_sagan.transforms import NetworkSamples
from monai_sagan.workflows import train

KINDS = ("healthy", "unlabeled")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, phantom: Path, tiny_settings: dict[str, Any]) -> Path:
    """A bundle that was trained on the phantom for a moment."""
    output = tmp_path_factory.mktemp("trained") / "bundle"
    return train("sagan_anomaly_detection", phantom, output, overrides=tiny_settings, device="cpu", progress="none")


@pytest.fixture
def judge(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], dict[str, Any]]:
    """Prepares a file and looks at it, as the bundle's config says."""
    monkeypatch.chdir(trained)
    parser = ConfigParser(ConfigParser.load_config_file("configs/inference.json"))
    prepare, recognise = (parser.get_parsed_content(key) for key in ("preprocessing", "recognising"))
    return lambda path: recognise(prepare({"image": str(path)}))


def test_training_writes_what_it_was_trained_on(trained: Path) -> None:
    familiarity = read_familiarity(trained)
    assert familiarity is not None
    assert familiarity.facts == KnownFacts(has_colour=False, modalities=(), smallest_side=64)
    assert familiarity.likeness is not None


def test_facts_are_of_the_images_of_all_processes(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [(True, "MR", 20)]
    monkeypatch.setattr("monai_sagan.familiarity.fitting.from_all", lambda seen: [seen, others])
    recorder = FactsRecorderd("image")
    recorder({"image": torch.zeros(1, 40, 40)})
    volumes = HealthyUnlabeledDataset({kind: [{"image": torch.zeros(1, 1, 8, 8, 8)}] for kind in KINDS}, dict)
    FamiliarityFitting(volumes, recorder, tmp_path / "familiarity.pt").run()
    content = read_tensors(tmp_path / "familiarity.pt")
    assert content["facts"] == {"has_colour": True, "modalities": (), "smallest_side": 20}


def test_an_image_of_the_kind_has_a_lower_score_than_others(
    judge: Callable, phantom: Path, a_picture: Callable, tmp_path: Path
) -> None:
    heads = [judge(path)["ood_score"] for path in sorted((phantom / "images").iterdir())[:8]]
    assert judge(a_picture(size=(64, 64)))["ood_score"] > max(heads)
    with Image.open(next((phantom / "images").iterdir())) as head:
        inverted = Image.fromarray(255 - np.array(head))
    inverted.save(tmp_path / "inverted.png")
    assert judge(tmp_path / "inverted.png")["ood_score"] > max(heads)


def test_colour_is_told_in_words(judge: Callable, a_picture: Callable) -> None:
    assert judge(a_picture(mode="RGB", size=(64, 64)))["mismatches"] == [
        "This is a colour picture; the bundle was made for grey ones."
    ]
    assert judge(a_picture(size=(64, 64)))["mismatches"] == []


def test_a_volume_has_the_mean_score_of_its_slices(judge: Callable, a_volume: Callable) -> None:
    head, _ = phantom_volume(np.random.default_rng(0), size=(64, 64, 12), lesion=False)
    voxels = np.ascontiguousarray(head.transpose(2, 1, 0))
    noise = np.random.default_rng(0).integers(0, 255, voxels.shape).astype(np.uint8)
    ood_score = [judge(a_volume(f"{index}.nii.gz", one))["ood_score"] for index, one in enumerate((voxels, noise))]
    assert ood_score[0] < ood_score[1]
    turned = a_volume("turned.nii.gz", voxels[::-1, :, ::-1], affine=np.diag([1.0, -1.0, -1.0, 1.0]))
    assert judge(turned)["ood_score"] == pytest.approx(ood_score[0], abs=1e-5)


def test_pictures_of_a_batch_have_the_same_score_alone(trained: Path) -> None:
    judge = OODScored("image", trained, (32, 32))
    noise = torch.rand(3, 1, 50, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1
    cases: list[dict[str, Any]] = [{"image": noise[0]}, {"image": None}, {"image": torch.zeros(1, 40, 40, 8)}]
    cases += [{"path": "x", "error": "x: damaged."}, {"image": noise[1]}, {"image": noise[2][:, :36]}]
    batch = judge.score_batch(cases)
    assert [case.keys() == other.keys() for case, other in zip(batch, cases)] == [False, True, True, True, False, False]
    for number in (0, 4, 5):
        judged = judge(batch[number])
        assert judged.keys() == {"image", "ood_score", "mismatches", "is_trained_on"}
        assert judged["ood_score"] == pytest.approx(judge(cases[number])["ood_score"], abs=1e-5)


@pytest.mark.parametrize("ending", ["bmp", "tif"])
def test_a_copy_of_an_image_of_the_training_is_known(
    judge: Callable, trained: Path, phantom: Path, tmp_path: Path, ending: str
) -> None:
    known = (trained / "models" / "trained_on.txt").read_text().split()
    files = sorted((phantom / "images").iterdir())
    are_known = []
    for file in files:
        copy = tmp_path / f"{file.stem}.{ending}"
        with Image.open(file) as picture:
            picture.save(copy)
        are_known.append(judge(copy)["is_trained_on"])
    assert are_known == [digest_of(file) in known for file in files]
    assert 0 < sum(are_known) < len(files)


def test_a_volume_of_the_training_is_known_however_its_voxels_lie(tmp_path: Path) -> None:
    """Not so one half of which is new."""

    def head(seed: int) -> MetaTensor:
        voxels, _ = phantom_volume(np.random.default_rng(seed), size=(48, 48, 20), lesion=False)
        image = torch.from_numpy(voxels.transpose(2, 1, 0).astype(np.float32))[None] / 127.5 - 1
        return MetaTensor(image, affine=torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0])))

    samples = NetworkSamples((32, 32), slice_direction="axial")
    likeness = Likeness.fit(torch.cat([samples(head(seed)) for seed in range(3)]))
    (tmp_path / FAMILIARITY).parent.mkdir()
    write_familiarity(tmp_path / FAMILIARITY, Familiarity(KnownFacts(False, (), 48), likeness))
    look = OODScored("image", tmp_path, (32, 32), slice_direction="axial")

    def is_known(image: torch.Tensor) -> bool:
        return bool(look({"image": image})["is_trained_on"])

    turned = head(1).flip(3)
    turned.affine[:3, 2:] = torch.tensor([[0, 0], [0, 0], [-1, 19]])
    assert is_known(head(1))
    assert is_known(turned)
    half = head(1)
    half[..., 10:] = head(5)[..., 10:]
    assert not is_known(half)
    assert not is_known(head(5))


def test_a_volume_is_judged_by_the_mean_of_its_slices(judge: Callable, a_volume: Callable, a_picture: Callable) -> None:
    """Half of the slices are a head and half are noise."""
    head, _ = phantom_volume(np.random.default_rng(0), size=(64, 64, 12), lesion=False)
    head = np.ascontiguousarray(head.transpose(2, 1, 0))[..., 6:7]
    noise = np.random.default_rng(0).integers(0, 255, head.shape).astype(np.uint8)
    sizes = (head, noise, np.concatenate([head, noise], axis=2))
    of_head, of_noise, of_both = (
        judge(a_volume(f"{index}.nii.gz", np.repeat(one, 4, axis=2)))["ood_score"] for index, one in enumerate(sizes)
    )
    assert of_both == pytest.approx((of_head + of_noise) / 2, abs=1e-4)


def test_a_volume_of_background_is_not_judged(trained: Path) -> None:
    judge = OODScored("image", trained, (32, 32))
    assert judge({"image": torch.full((1, 20, 20, 8), -1.0)})["ood_score"] is None


def test_without_a_background_every_slice_counts(trained: Path) -> None:
    judge = OODScored("image", trained, (32, 32), background=None)
    assert judge({"image": torch.full((1, 20, 20, 8), -1.0)})["ood_score"] is not None


def test_a_bundle_that_does_not_know(tmp_path: Path, a_picture: Callable) -> None:
    judged = OODScored("image", tmp_path, (32, 32))({"image": torch.zeros(1, 40, 40)})
    assert judged["ood_score"] is None
    assert judged["mismatches"] == []


def test_a_network_in_three_dimensions_knows_facts_alone(tmp_path: Path) -> None:
    write_familiarity(tmp_path / FAMILIARITY, Familiarity(KnownFacts(False, ("MR",), 20), None))
    judged = OODScored("image", tmp_path, (16, 16, 16))({"image": torch.zeros(1, 40, 40, 40)})
    assert judged["ood_score"] is None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    pictures = torch.rand(5, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    written = Familiarity(KnownFacts(True, ("CT", "MR"), 32), Likeness.fit(pictures))
    write_familiarity(tmp_path / FAMILIARITY, written)
    read = read_familiarity(tmp_path)
    assert read is not None
    assert read.facts == written.facts
    assert read.likeness is not None
    assert torch.equal(read.likeness.ood_score(pictures), written.likeness.ood_score(pictures))


_OF_ANOTHER_VERSION = {"version": 1, "facts": asdict(KnownFacts(False, (), 32)), "likeness": None}


@pytest.mark.parametrize(
    "content", [{}, {"version": 2}, [1], {"version": 2, "facts": {}, "likeness": None}, _OF_ANOTHER_VERSION]
)
def test_a_damaged_file_is_named(content: Any, trained: Path, tmp_path: Path) -> None:
    root = tmp_path / "bundle"
    shutil.copytree(trained, root)
    save_tensors(content, root / FAMILIARITY)
    with pytest.raises(UserError, match=r"familiarity\.pt: this file is damaged"):
        OODScored("image", root, (32, 32))
