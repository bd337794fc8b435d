"""Runs in Slicer, by ctest: the module as it was built, with what it carries."""

# ruff: noqa: PT009 (ctest runs it by unittest)
from __future__ import annotations

import unittest
from pathlib import Path

import AnomalyMap  # not its test class: what bears a name here would be run once more
import slicer
from AnomalyMapLib.bundles import shipped_bundles
from AnomalyMapLib.environment import find_library


class AnomalyMapModuleTest(unittest.TestCase):
    """What ctest runs."""

    def test_library_and_bundles_are_there(self) -> None:
        folder = Path(slicer.util.modulePath("AnomalyMap")).resolve().parent
        self.assertEqual(find_library(folder), folder / "Resources" / "python")
        ready = [bundle for bundle in shipped_bundles(folder) if not bundle.problem]
        self.assertTrue(ready)
        for bundle in ready:
            self.assertTrue(bundle.path.is_relative_to(folder), bundle.path)

    def test_self_test(self) -> None:
        AnomalyMap.AnomalyMapTest().runTest()
