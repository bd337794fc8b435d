"""What is said is in the language of Slicer, where there is one."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from AnomalyMapLib import failures, i18n, process, time_left
from AnomalyMapLib.process import PredictProcess


def test_without_slicer_it_is_english() -> None:
    assert i18n.tr("Done.") == "Done."


class TestInSlicer:
    @pytest.fixture
    def slicers(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        """A Slicer that speaks in capitals."""
        module = types.ModuleType("slicer.i18n")
        module.tr = str.upper
        monkeypatch.setitem(sys.modules, "slicer", types.ModuleType("slicer"))
        monkeypatch.setitem(sys.modules, "slicer.i18n", module)
        importlib.reload(i18n)
        yield module
        monkeypatch.undo()
        importlib.reload(i18n)

    def test_it_is_slicers_own_function(self, slicers: Any) -> None:
        assert i18n.tr is slicers.tr


def test_what_is_said_of_a_run_is_translated(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {
        "Cancelled.": "Abgebrochen.",
        "The program stopped with exit code {code} (the log has the rest).": "Mit {code} beendet.",
        "{number} min": "{number} Minuten",
    }
    for module in (process, failures, time_left):
        monkeypatch.setattr(module, "_", lambda text: words.get(text, text))
    cancelled = PredictProcess()
    cancelled.cancel()
    assert cancelled.status == "Abgebrochen."
    assert failures.explain_end(3, "", [], "", Path("python")) == "Mit 3 beendet."
    assert time_left.words_for_seconds(120) == "2 Minuten"
