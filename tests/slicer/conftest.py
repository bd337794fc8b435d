"""Real MRML: these tests run in an environment of their own, which has slicer-core (``make test-slicer``)."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import tempfile
import time
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
            "schema_version": "2.0",
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


@pytest.fixture(scope="session")
def qt_world(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Slicer's Qt, with settings of its own."""
    import headless

    headless.start(tmp_path_factory.mktemp("settings"))
    return headless


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which all temporary ones are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def open_panel(
    qt_world: Any, scene: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Any]]:
    """Opens the module in the scene, and closes it at the end. What fails where only Qt hears it fails the test."""
    import qt

    unheard: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, traceback: unheard.append(error))
    qt_world.use_scene(scene)
    qt.QSettings().clear()
    opened = []

    def open_it() -> Any:
        import AnomalyMap

        opened.append(qt_world.open_panel(AnomalyMap))
        return opened[-1]

    yield open_it
    for widget in opened:
        widget.cleanup()
    assert unheard == []


@pytest.fixture
def case(scene: Any, tmp_path: Path, result_of: Callable[..., Any]) -> Any:
    """A volume in the scene, and the result that it will have."""
    import cases

    return cases.Case(scene, tmp_path, result_of)


@pytest.fixture
def panel(case: Any, open_panel: Callable[[], Any]) -> Any:
    """The module's widget, opened where a volume is loaded."""
    return open_panel()


@pytest.fixture
def show(panel: Any, case: Any) -> Callable[..., Any]:
    """Lays a result over the volume, by what its JSON says besides the usual, and gives the result."""
    import numpy as np
    import scenes

    def show_it(factor: float = 1.0, **values: Any) -> Any:
        path = scenes.write_map(case.folder / "map.nrrd", case.voxels * np.float32(factor), case.matrix)
        result = dataclasses.replace(case.result(**values), anomaly_map=path)
        panel.logic.show(result, case.input_node)
        return result

    return show_it


@pytest.fixture
def shown(panel: Any, show: Callable[..., Any]) -> Any:
    """The module's widget with a result."""
    show()
    return panel


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Lets Qt work until a condition comes true, and fails if it does not in time."""
    import slicer

    def wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "this did not happen in time"
            slicer.app.processEvents()
            time.sleep(0.005)

    return wait


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what the child does the next time."""
    from child_stand_ins import stand_in

    def set_child(*parts: str) -> None:
        python = stand_in(tmp_path, *parts)
        monkeypatch.setattr("AnomalyMapLib.widget_apply.child_python", lambda module_folder, folder: python)

    return set_child


@pytest.fixture
def apply(panel: Any, wait_until: Callable[..., None]) -> Callable[[], None]:
    """Presses Apply and waits for the end."""

    def apply_it() -> None:
        panel.ui.applyButton.click()
        wait_until(lambda: not panel.apply.run.is_running)

    return apply_it
