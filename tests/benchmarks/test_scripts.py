"""Each script of the benchmark runs to its end, and what it writes holds what it promises."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ceilings
import contrast
import copies
import freed_memory
import inference
import interval_coverage
import numpy as np
import precision
import pytest
import result_files
import run
import same_quality
import scaling
import shared_cores
import timing
import torch
import training
from bundle_parts import write_images
from ignite.engine import Engine
from memory import PeakMemory, held
from sklearn.metrics import average_precision_score
from spreads import ratios, spread
from timing import in_turn

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Machines for benchmarks need not have ITK; determinism, which bundles switch on, ends with the test."""
    for name in ("itk", "SimpleITK"):
        monkeypatch.setitem(sys.modules, name, None)
    with torch.backends.cudnn.flags(enabled=True):
        yield


def written(path: Path) -> dict[str, Any]:
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["machine"]["torch"] == torch.__version__
    assert result["command"].startswith(f"python benchmarks/{path.stem.rsplit('_', 1)[0]}.py --width 2 ")
    assert str(path.parent) not in result["command"]  # folders of this machine are nobody's business
    return result


def is_spread(values: dict[str, float]) -> bool:
    return 0 < values["least"] <= values["median"] <= values["most"]


def test_things_run_in_turn() -> None:
    order: list[str] = []
    runs = {name: (lambda name=name: order.append(name)) for name in "ab"}
    seconds = in_turn(runs, turns=3, device=CPU, warm_up=2)
    assert order == ["a", "b"] * 5
    assert [len(values) for values in seconds.values()] == [3, 3]
    assert ratios([4.0, 3.0], [2.0, 1.0]) == [2.0, 3.0]
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "least": 1.0, "most": 3.0}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is measured as Linux tells it")
def test_peak_memory_is_that_of_the_block_alone() -> None:
    gigabytes = 0.25
    numbers = int(gigabytes * 1024**3 / 4)
    kept = torch.ones(2 * numbers)  # more than in the block, and gone before it ends
    del kept
    with PeakMemory(CPU) as seen:
        torch.ones(numbers)
    assert seen.process == pytest.approx(gigabytes, rel=0.05)
    assert seen.gpu is None


def test_ceilings() -> None:
    figures = ceilings.measure(CPU, turns=2, sizes=ceilings.Sizes(64, 2, 8, 16, 2**16))
    assert [row["operation"] for row in figures["arithmetic"]] == ["matrix product", "convolution"] * 2
    assert all(is_spread(row) for row in [*figures["arithmetic"], figures["bytes_per_second"]])
    # Two operations for each weight of a convolution and place of its output; a copy of the network has the same.
    assert figures["network"]["generator"] == pytest.approx(10.22e9, rel=1e-3)
    assert ceilings.count_operations(8, 2)["generator"] == pytest.approx(0.1277e9, rel=1e-3)


def test_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "PAIRS", 32)
    monkeypatch.setattr(training, "PICTURES", 8)
    given = ["--width", "2", "--side", "32", "--batch", "4", "--turns", "1", "--block", "2"]
    training.main([*given, "--settings", "learning_rate=1e-3", "--output", str(tmp_path)])
    (row,) = written(tmp_path / "training_cpu.json")["rows"]
    assert row["settings"] == {"learning_rate": 1e-3}
    assert is_spread(row["ratio"])
    for name in ("published", "bundle"):
        assert is_spread(row[name]["steps_per_second"])
    # Of a single turn: how many times as many steps a second the bundle takes.
    rates = [row[name]["steps_per_second"]["median"] for name in ("bundle", "published")]
    assert row["ratio"]["median"] == pytest.approx(rates[0] / rates[1])
    assert {path.name for path in tmp_path.iterdir()} == {"training_cpu.json"}


def test_inference_and_precision(tmp_path: Path) -> None:
    given = ["--width", "2", "--batches", "2", "--count", "4", "--alone", "2", "--files", "2", "--turns", "2"]
    inference.main([*given, "--output", str(tmp_path)])
    rows = written(tmp_path / "inference_cpu.json")["rows"]
    assert [row["what"] for row in rows] == [
        "published test",
        "bundle's inferer and score",
        "network alone",
        "monai-sagan predict",
    ]
    assert all(is_spread(row["images_per_second"]) and is_spread(row["ratio"]) for row in rows)
    assert rows[0]["ratio"] == {"median": 1.0, "least": 1.0, "most": 1.0}

    precision.main(["--width", "2", "--trained-steps", "4", "--test", "4", "--output", str(tmp_path)])
    bundles = written(tmp_path / "precision_cpu.json")["rows"]
    assert [row["bundle"] for row in bundles] == ["as it ships", "width 2, 4 steps"]
    # bfloat16 has eight bits, so a layer rounds by up to 2**-9, and what is restored is a small part of an image.
    assert all(0 < row["mean"] <= row["difference"] < 0.1 for row in bundles)


def test_freed_memory(tmp_path: Path) -> None:
    freed_memory.main(["--width", "2", "--side", "32", "--turns", "2", "--output", str(tmp_path)])
    rows = written(tmp_path / "freed_memory_cpu.json")["rows"]
    assert len({row["what"] for row in rows}) == len(rows) == 5
    assert all(is_spread(row[key]) for row in rows for key in ("given_back", "kept", "ratio"))


def test_contrast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contrast.main(["--batch", "2", "--turns", "2", "--output", str(tmp_path)])
    result = json.loads((tmp_path / "contrast_cpu.json").read_text(encoding="utf-8"))
    assert all(is_spread(result["rows"][0][key]) for key in ("as_trained", "folded", "ratio"))
    assert 0 < result["difference"] < 1e-3  # of logits of some ten, by rounding alone
    assert "| 2 pictures | " in capsys.readouterr().out


def test_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_images(tmp_path / "heads", 12, 64, num_test=4)
    copies.main([str(data), "--output", str(tmp_path)])
    result = json.loads((tmp_path / "copies_cpu.json").read_text(encoding="utf-8"))
    assert result["command"] == "python benchmarks/copies.py heads"
    known = result["known"]["heads"]
    assert known["TIFF"]["known"] == known["TIFF"]["images"] > 0
    assert known["other images (the test set)"] == {"images": 8, "known": 0}
    assert "| TIFF | " in capsys.readouterr().out


def test_interval_coverage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interval_coverage, "SIZES", [(40, 40, 0.8), (5, 5, 0.97)])
    monkeypatch.setattr(interval_coverage, "SPREADS", (1.0,))
    interval_coverage.main(["--repeats", "60", "--resamples", "50", "--output", str(tmp_path)])
    many, few = json.loads((tmp_path / "interval_coverage_cpu.json").read_text(encoding="utf-8"))["rows"]
    # Of 60 test sets, 95% are 57; by chance alone 51 or fewer come about once in a hundred times.
    assert min(many["coverage"].values()) >= 51 / 60
    assert min(few["coverage"]["auc"], few["coverage"]["average_precision"]) >= 51 / 60
    # Most of such small sets are told apart without exception, and then these have no width.
    assert max(few["coverage"][kind] for kind in ("auc_delong", "auc_bootstrap", "average_precision_bootstrap")) < 0.7


def test_a_resampled_average_precision_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    labels, times = np.repeat([0, 1], [30, 12]), random.integers(0, 4, 42)
    scores = random.normal(size=42) + labels
    found = interval_coverage._resampled_precision(labels == 1, scores)(times)
    assert found == pytest.approx(average_precision_score(labels, scores, sample_weight=times), abs=1e-12)


def test_the_average_precision_of_normal_scores() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [60000, 20000])
    scores = np.concatenate([random.normal(size=60000), random.normal(1.0, 2.0, size=20000)])
    # Of as many scores, the standard error is about 0.002.
    assert average_precision_score(labels, scores) == pytest.approx(
        interval_coverage._average_precision(1.0, 2.0, 0.25), abs=0.008
    )


def test_shared_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shared_cores.run_once(1, rest=True, beside=True) > 0
    monkeypatch.setattr(shared_cores, "run_once", lambda passes, rest, beside: 1.0 if rest else 2.0 + beside)
    shared_cores.main(["--turns", "2", "--output", str(tmp_path)])
    rows = json.loads((tmp_path / "shared_cores_cpu.json").read_text(encoding="utf-8"))["rows"]
    assert [(row["what"], row["ratio"]["median"]) for row in rows] == [("alone", 2.0), ("beside another program", 3.0)]


def test_scaling() -> None:
    growth = {"images": [1, 3], "side": [32, 64], "patch_grid": [1, 2], "batch": [1, 2]}
    rows = scaling.measure(CPU, width=2, num_res_blocks=1, turns=1, growth=growth, images=2, patched_side=32)
    assert [(row["grows"], row["value"]) for row in rows] == [(key, value) for key in growth for value in growth[key]]
    assert all(is_spread(row["seconds"]) for row in rows)


def test_same_quality(tmp_path: Path) -> None:
    given = ["--width", "2", "--epochs", "1", "--seeds", "2", "--images", "16", "--test", "4"]
    same_quality.main([*given, "--output", str(tmp_path)])
    result = written(tmp_path / "same_quality_cpu.json")
    assert [run["seed"] for run in result["runs"]] == [0, 1]
    differences = [run["bundle"] - run["published"] for run in result["runs"]]
    assert result["difference"]["mean"] == pytest.approx(sum(differences) / 2)


def test_the_whole_keeps_to_its_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[list[str]] = []

    def main(argv: Any) -> None:
        called.append(list(argv))

    main.__module__ = "training"
    monkeypatch.setitem(
        run.PLANS,
        "cpu",
        [
            run.Part(main, "--width 2", (3, 9), (1, 2)),
            run.Part(main, "--slow", (3, 9), (1000, 2000)),
            run.Part(main, "--whole", None, (None, 5)),
        ],
    )
    given = ["--budget", "500", "--settings", "amp=true", "--output", str(tmp_path)]
    run.main(given)
    common = ["--device", "cpu", "--output", str(tmp_path)]
    assert called == [["--width", "2", "--turns", "3", "--settings", "amp=true", *common]]
    assert "training: left out, it takes about 1000 s" in capsys.readouterr().out
    run.main(["--full", *given])
    assert [argv[0] for argv in called] == ["--width", "--width", "--whole"]


def test_a_script_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []
    monkeypatch.setattr(result_files, "keep_freed_memory", lambda: kept.append(True))
    result_files.parse_arguments(ArgumentParser(), [])
    assert kept == [True]


def test_the_first_turns_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    read = iter(range(1, 10))
    monkeypatch.setattr(timing, "Clock", lambda device: SimpleNamespace(read=lambda: next(read)))
    assert in_turn({"a": int, "b": int}, turns=2, device=CPU, warm_up=1) == {"a": [3, 5], "b": [4, 6]}


def test_a_step_takes_its_share_of_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "Clock", lambda device: SimpleNamespace(read=lambda: 6.0))
    turn = training.InTurn(SimpleNamespace(run=lambda steps: None), 3, 2, 2, CPU)
    turn.hold("published", held(CPU))
    engine = Engine(lambda engine, batch: None)
    turn.attach(engine)
    engine.run(range(3), max_epochs=100)
    assert turn.ours == turn.theirs == [2.0, 2.0]
