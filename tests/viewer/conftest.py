"""The viewer in a browser: these tests run in an environment of their own, without torch (``make test-viewer``)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]

# Without trame-slicer, as in the main suite, there is nothing here to collect.
HAS_VIEWER = importlib.util.find_spec("trame_slicer") is not None
collect_ignore_glob = [] if HAS_VIEWER else ["test_*.py"]
if HAS_VIEWER:
    sys.path[:0] = [str(REPOSITORY), str(HERE), str(HERE.parent / "slicer")]  # the last for its scenes


@pytest.fixture(scope="module")  # no longer: as long as it is open, no other event loop can run
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, or whatever is made of it."""
    import browsers

    if browsers.find_chromium() is None:
        pytest.skip("there is no Chromium on this computer")
    with browsers.chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume with its result in the folder ``maps`` beside it; nobody writes to it."""
    import phantoms

    return phantoms.write_phantom(tmp_path_factory.mktemp("phantom"))


@pytest.fixture
def view(browser: Any) -> Iterator[Callable[..., Any]]:
    """Runs ``monai-sagan view`` with arguments, and opens the page that it tells."""
    import browsers

    served: list[browsers.Served] = []

    def open_page(*arguments: str | Path) -> Any:
        served.append(browsers.Served(browser, *arguments))
        return served[-1]

    yield open_page
    for viewer in served:
        viewer.close()
