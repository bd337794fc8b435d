"""Tables and curves are those of the results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from speed_page import PAGE, RESULTS, TABLES, draw_growth, fill

CPU = {"cpu": "Some CPU", "gpu": None, "threads": 2, "python": "3.12.1", "torch": "2.11.0", "monai": "1.6.1"}
GPU = {**CPU, "gpu": "Some GPU"}


def spread(median: float) -> dict[str, float]:
    return {"median": median, "least": median / 2, "most": 2 * median}


def memory(process: float, gpu: float | None = None) -> dict[str, float | None]:
    return {"process": process, "gpu": gpu}


RESULT_FILES: dict[str, dict[str, Any]] = {
    "ceilings_cuda": {
        "machine": GPU,
        "command": "python benchmarks/ceilings.py --device cuda:0",
        "arithmetic": [{"operation": "matrix product", "precision": "bfloat16", **spread(600e12)}],
        "bytes_per_second": spread(3e12),
    },
    "ceilings_cpu": {
        "machine": CPU,
        "command": "python benchmarks/ceilings.py",
        "arithmetic": [{"operation": "matrix product", "precision": "float32", **spread(0.1e12)}],
        "bytes_per_second": spread(20e9),
    },
    "training_cpu": {
        "machine": CPU,
        "command": "python benchmarks/training.py",
        "rows": [
            {
                "width": 8,
                "side": 64,
                "batch": 32,
                "settings": {"amp": True},
                "published": {"steps_per_second": spread(2.0), **memory(0.5)},
                "bundle": {"steps_per_second": spread(3.0), **memory(0.25)},
                "ratio": spread(1.5),
            }
        ],
    },
    "inference_cuda": {
        "machine": GPU,
        "command": "python benchmarks/inference.py --device cuda:0",
        "operations": 10e9,
        "precision": "bfloat16",
        "rows": [
            {"what": "published test", "batch": None, "images_per_second": spread(100.0),
             "ratio": {"median": 1.0, "least": 1.0, "most": 1.0}, "memory": memory(0.1, 0.2)},
            {"what": "network alone", "batch": 256, "images_per_second": spread(15000.0), "ratio": spread(150.0),
             "memory": memory(0.1, 0.4)},
        ],
    },
    "same_quality_cpu": {
        "machine": CPU,
        "command": "python benchmarks/same_quality.py",
        "runs": [{"seed": 0, "published": 0.9, "bundle": 0.8}, {"seed": 1, "published": 0.9, "bundle": 1.0}],
        "published": {"mean": 0.9, "deviation": 0.0},
        "bundle": {"mean": 0.9, "deviation": 0.1},
        "difference": {"mean": 0.0, "deviation": 0.1},
    },
    "precision_cuda": {
        "machine": GPU,
        "command": "python benchmarks/precision.py --device cuda:0",
        "rows": [{"bundle": "as it ships", "difference": 0.004, "auc_32_bits": 0.95, "auc_bfloat16": 0.949}],
    },
    "scaling_cuda": {
        "machine": GPU,
        "command": "python benchmarks/scaling.py --device cuda:0",
        "rows": [
            {"grows": grows, "value": value, "images": 16, "seconds": spread(float(value)), **memory(1.0, value / 10)}
            for grows in ("images", "side", "patch_grid", "batch")
            for value in (1, 2, 4)
        ],
    },
}  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name, content in RESULT_FILES.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("ceilings", "| Some GPU | matrix product | bfloat16 | 600 (300 to 1200) TFLOP/s |"),
        ("ceilings", "| Some CPU, 2 threads | copy |  | 20 (10 to 40) GB/s |"),
        (
            "training",
            "| Some CPU, 2 threads | 8 channels, 64x64, 32 | amp=true | 2 (1 to 4) | 3 (1.5 to 6) "
            "| **1.5 (0.75 to 3)** | 0.50, 0.25 |",
        ),
        ("inference", "| Some GPU | published test |  | 100 (50 to 200) | 1 |  | 0.20 |"),
        # 15000 images a second of 10 GFLOP each, of 600 TFLOP a second.
        ("inference", "| Some GPU | network alone | 256 | 15000 (7500 to 30000) | 150 (75 to 300) | 25% | 0.40 |"),
        ("precision", "| Some GPU | as it ships | 0.40% | 0.9500 | 0.9490 | -0.0010 |"),
        ("same_quality", "| Some CPU, 2 threads | 0 | 0.900 | 0.800 | -0.100 |"),
        ("same_quality", "| Some CPU, 2 threads | all | 0.900 ± 0.000 | 0.900 ± 0.100 | 0.000 ± 0.100 |"),
        ("growth", "| Some GPU | images in a folder | 1 to 4 | 1 to 4 | 4 | 0.10 to 0.40 |"),
        ("growth", "![Time and memory as work grows](../images/growth_cuda.svg)"),
        (
            "machines",
            "| [training](../../benchmarks/results/training_cpu.json) | Some CPU, 2 threads | 3.12.1, 2.11.0, 1.6.1 "
            "| `python benchmarks/training.py` |",
        ),
    ],
)
def test_tables(results: Path, table: str, line: str) -> None:
    assert line in TABLES[table](results).splitlines()


def test_the_page_keeps_its_words(results: Path) -> None:
    page = "# Title\n\n<!-- training -->\nold\n<!-- end -->\n\nWords.\n\n<!-- precision -->\n<!-- end -->\nEnd.\n"
    filled = fill(page, results)
    assert filled.startswith("# Title\n\n<!-- training -->\n| machine |")
    assert "old" not in filled
    assert "<!-- end -->\n\nWords.\n\n<!-- precision -->\n| machine | bundle |" in filled
    assert filled.endswith("<!-- end -->\nEnd.\n")
    assert fill(filled, results) == filled


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    assert {table(tmp_path) for name, table in TABLES.items()} == {"Not measured yet."}


def test_curves(results: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    for path in (first, second):
        draw_growth(json.loads((results / "scaling_cuda.json").read_text(encoding="utf-8")), path)
    assert first.read_bytes() == second.read_bytes()
    assert ElementTree.parse(first).getroot().tag.endswith("svg")  # noqa: S314  our own


def test_the_documentation_shows_the_results_that_are_kept() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert fill(page, RESULTS) == page
