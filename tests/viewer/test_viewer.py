"""The viewer without a browser: what cannot be shown, who is let in, and how a notebook shows it."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import aiohttp
import msgpack
import numpy as np
import phantoms
import pytest
import scenes
from wslink.chunking import UnChunker, generate_chunks

from monai_sagan.errors import UserError
from monai_sagan.viewer import open_viewer
from monai_sagan.viewer.server import serve

REPOSITORY = Path(__file__).parents[2]


@asynccontextmanager
async def in_a_notebook(volume: Path) -> AsyncIterator[Any]:
    """A viewer as a notebook's cell shows it."""
    viewer = open_viewer(volume, volume.parent / "maps")
    await viewer.ui.ready
    yield viewer
    await viewer.server.stop()


async def say_hello(port: int, secret: str) -> dict[str, Any]:
    """What the socket, by which the page learns everything, answers to a secret."""
    hello = {"wslink": "1.0", "id": "system:c0:0", "method": "wslink.hello", "args": [{"secret": secret}], "kwargs": {}}
    async with aiohttp.ClientSession() as session, session.ws_connect(f"http://localhost:{port}/ws") as socket:
        for chunk in generate_chunks(msgpack.packb(hello), 0):
            await socket.send_bytes(chunk)
        return UnChunker().process_chunk(await socket.receive_bytes())


def test_a_map_of_another_volume(phantom: Path, tmp_path: Path) -> None:
    voxels, anomaly_map = scenes.phantom()
    other = phantoms.write_case(tmp_path, voxels, anomaly_map, np.eye(4))
    with pytest.raises(UserError, match=r"this map does not fit head: its corners lie up to .* mm away"):
        open_viewer(other, phantom.parent / "maps")


def test_a_damaged_volume(phantom: Path, tmp_path: Path) -> None:
    volume = tmp_path / "head.nrrd"
    volume.write_bytes(b"NRRD0004\n")
    with pytest.raises(UserError) as refused:
        open_viewer(volume, phantom.parent / "maps")
    assert str(refused.value) == f"{volume}: this file is damaged or not a volume of grey values."


def test_the_command_says_it_in_one_sentence(phantom: Path, tmp_path: Path) -> None:
    volume = tmp_path / "head.nrrd"
    volume.write_text("no volume")
    command = [sys.executable, "-m", "monai_sagan", "view", volume, phantom.parent / "maps", "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"Error: {volume}: this file is damaged or not a volume of grey values.\n"


def test_knows_neither_torch_nor_monai(phantom: Path) -> None:
    code = "import sys; from monai_sagan.viewer import open_viewer; open_viewer(*sys.argv[1:])"
    code += "; assert 'slicer' in sys.modules; assert not {'torch', 'monai'} & set(sys.modules)"
    command = [sys.executable, "-c", code, phantom, phantom.parent / "maps"]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, check=True)


def test_shows_what_the_slicer_module_shows() -> None:
    import monai_sagan.viewer.AnomalyMapLib.scene as shared

    assert Path(shared.__file__).parent == REPOSITORY / "slicer_extension" / "AnomalyMap" / "AnomalyMapLib"


class TestBrowser:
    """The browser that the command opens."""

    def serve(self, monkeypatch: pytest.MonkeyPatch, open_browser: bool) -> tuple[list[str], list[Any]]:
        """What is told, and which files the browser is given: path, mode and content of each."""
        told: list[str] = []
        opened: list[Any] = []

        def note(address: str) -> None:
            path = Path(url2pathname(urlsplit(address).path))
            opened.append((path, stat.S_IMODE(path.stat().st_mode), path.read_text()))

        monkeypatch.setattr(webbrowser, "open", note)
        ready: list[Any] = []
        server = SimpleNamespace(
            port=8080,
            controller=SimpleNamespace(on_server_ready=SimpleNamespace(add=ready.append)),
            start=lambda **options: ready[0](),
        )
        serve(server, "kSECRET", "127.0.0.1", 0, open_browser, told.append)
        return told, opened

    def test_gets_the_key_by_a_file_of_this_user_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told, opened = self.serve(monkeypatch, open_browser=True)
        ((path, mode, content),) = opened
        assert told == ["http://127.0.0.1:8080/index.html?secret=kSECRET"]
        assert f'content="0; url={told[0]}"' in content
        assert mode == 0o600
        assert "kSECRET" not in str(path)
        assert not path.parent.exists()  # once it has ended

    def test_is_only_opened_when_it_may_be(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told, opened = self.serve(monkeypatch, open_browser=False)
        assert (len(told), opened) == (1, [])


def test_a_notebook_shows_the_page(phantom: Path) -> None:
    async def show() -> None:
        async with in_a_notebook(phantom) as viewer, aiohttp.ClientSession() as session:
            assert f"secret={viewer.key}" in viewer.ui.url
            async with session.get(viewer.ui.url) as answer:
                assert answer.status == 200

    asyncio.run(show())


def test_the_key_opens_the_socket_and_nothing_else_does(phantom: Path) -> None:
    async def try_keys() -> None:
        async with in_a_notebook(phantom) as viewer:
            assert "clientID" in (await say_hello(viewer.server.port, viewer.key))["result"]
            for secret in ("wslink-secret", ""):
                assert "Authentication failed" in str((await say_hello(viewer.server.port, secret))["error"])

    asyncio.run(try_keys())


def test_two_viewers_in_one_notebook_do_not_share_a_key(phantom: Path) -> None:
    async def show() -> None:
        async with in_a_notebook(phantom) as first, in_a_notebook(phantom) as second:
            assert "error" in await say_hello(first.server.port, second.key)
            assert "error" in await say_hello(second.server.port, first.key)

    asyncio.run(show())
