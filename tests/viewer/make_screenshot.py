"""Writes the picture of the viewer that the documentation shows: ``make screenshots-viewer``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SAMPLE = HERE.parents[1] / "slicer_extension" / "AnomalyMap" / "Resources" / "SampleData" / "phantom_lesion.nrrd"
BUNDLE = "sagan_anomaly_detection"


def main() -> None:
    sys.path.insert(0, str(HERE))
    from browsers import Served, chromium, wait_until

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", help="a Python that has monai-sagan, to make the map with")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        predict = [arguments.library, "-m", "monai_sagan", "predict", BUNDLE, SAMPLE, "--output", folder]
        subprocess.run([*predict, "--progress", "none"], check=True)
        with chromium(Path(folder) / "profile") as browser:
            viewer = Served(browser, SAMPLE, folder)
            try:
                viewer.page.locator("#peak").click()
                wait_until(lambda: all(viewer.colour(name) > 200 for name in viewer.views()), "the overlay")
                viewer.page.mouse.move(0, 0)
                viewer.screenshot(arguments.picture)
            finally:
                viewer.close()


if __name__ == "__main__":
    main()
