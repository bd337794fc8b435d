"""Real MRML: these tests run in an environment of their own, which has slicer-core (``make test-slicer``)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
EXTENSION = HERE.parents[1] / "slicer_extension" / "AnomalyMap"

# Without slicer-core, as in the main suite, there is nothing here to collect.
HAS_SLICER = importlib.util.find_spec("slicer") is not None
collect_ignore_glob = [] if HAS_SLICER else ["test_*.py"]
if HAS_SLICER:
    sys.path[:0] = [str(EXTENSION), str(HERE)]


@pytest.fixture
def scene() -> Iterator[Any]:
    """A scene with the logics that read each kind of node back, and three slice views."""
    import scenes

    new = scenes.Scene()
    yield new
    new.close()


@pytest.fixture
def result_of() -> Callable[..., Any]:
    """Makes a result, by what the JSON says besides the usual."""
    from AnomalyMapLib.results import result_from_dict

    def make(**values: Any) -> Any:
        usual = {
            "schema_version": "1.1",
            "input": "volume.nrrd",
            "anomaly_score": 0.25,
            "slice_axis": None,
            "slice_scores": [],
            "peak": None,
            "bundle": {"name": "tiny", "version": "1.2.3"},
            "warnings": [],
        }
        return result_from_dict({**usual, **values})

    return make
