"""A browser without a screen, and the viewer in it."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import BrowserContext, Page, sync_playwright

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds, until what does not happen has failed: many times what it takes on two busy cores
SIZE = {"width": 1280, "height": 860}
VIEWS = ("axial", "3d", "coronal", "sagittal")  # in the order of the page

_COMMANDS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """The browser's program; None if there is none."""
    return next(filter(None, map(shutil.which, _COMMANDS)), None)


@contextmanager
def chromium(profile: Path) -> Iterator[BrowserContext]:
    """A browser that knows nothing but what it learns from now on.

    Args:
        profile: an empty folder.
    """
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=find_chromium(), args=list(_FLAGS), viewport=SIZE
        )
        try:
            yield context
        finally:
            context.close()


class Served:
    """``monai-sagan view`` as a user runs it, with its page open."""

    def __init__(self, browser: BrowserContext, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monai_sagan", "view", *map(str, arguments), "--port", "0", "--no-browser"],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.line = self.process.stdout.readline()
        self.address = self.line.split()[-1] if self.line else ""
        assert self.address.startswith("http://127.0.0.1:"), self.line
        self.page: Page = browser.new_page()
        self.page.goto(self.address)
        # The views' first pictures are black; once they have their size, they show something.
        wait_until(lambda: self.views() and all(self.pixels(view).std() > 3 for view in self.views()), "pictures")

    def close(self) -> int:
        """Ends it as Ctrl-C does; gives the exit code."""
        self.page.close()
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout=PATIENCE)
        finally:
            self.process.kill()
            self.process.stdout.close()

    def views(self) -> tuple[str, ...]:
        """The views that there are."""
        return VIEWS[: self.page.locator(".layout-grid-item").count()]

    def pixels(self, view: str) -> np.ndarray:
        """What a view shows, without the slider and the axes at its bottom: (rows, columns, RGB), integers."""
        shot = self.page.locator(".layout-grid-item").nth(VIEWS.index(view)).screenshot()
        pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
        return pixels[: int(0.85 * len(pixels))]

    def colour(self, view: str) -> int:
        """How many pixels of a view have a colour; JPEG's blur gives grey ones a trace of it."""
        return int((np.ptp(self.pixels(view), axis=-1) > 40).sum())

    def screenshot(self, path: Path) -> None:
        """Writes the page as a PNG, once its views have got their final pictures: the first ones are coarse."""
        shot = b""
        # Views that nobody points at get a picture every tenth of a second, and after five of these the final one.
        while (latest := self.page.screenshot()) != shot:
            shot = latest
            time.sleep(2)
        path.write_bytes(shot)

    def slice_text(self) -> str:
        return self.page.locator("#slice").inner_text()

    def press(self, slider: str, key: str) -> None:
        """Presses a key on a slider: ``Home`` and ``End`` are its ends."""
        self.page.locator(f".v-slider:has(#{slider}) [role=slider]").press(key)


def wait_until(condition: Callable[[], Any], told: str) -> None:
    """Waits for a condition.

    Raises:
        AssertionError: if it does not come about; tells ``told``.
    """
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"did not happen within {PATIENCE:.0f} s: {told}"
        time.sleep(0.1)
