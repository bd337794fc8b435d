"""Serving the viewer, to those who know its key."""

from __future__ import annotations

import html
import os
import secrets
import tempfile
import webbrowser
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from trame.app import get_server
from trame_server import Server

from monai_sagan.viewer.address import url_of

__all__ = ["make_server", "new_key", "serve"]

# What trame calls the key in addresses, and what the key's cookie is called before the port's number.
_KEY = "secret"
_COOKIE = "monai_sagan_"


def new_key() -> str:
    """What nobody guesses: without it, all who have an account on this computer could look at the images."""
    return "k" + secrets.token_urlsafe(18)  # a letter first: the page would take digits for a number


def make_server(key: str) -> Server:
    """A server of its own, which lets a page in by its key.

    Args:
        key: in the page's address, or from then on in the browser's cookie: trame takes it out of the address once
            the page is open, and a page that is loaded again would have lost it.
    """
    server = get_server(new_key())
    server.cli.set_defaults(authKey=key)

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # The page only: no other file tells of the images, and the socket that does asks for the key itself.
        if request.path not in ("/", "/index.html"):
            return await handler(request)
        cookie = f"{_COOKIE}{request.url.port}"
        if _KEY not in request.query and request.cookies.get(cookie) == key:
            raise web.HTTPFound(f"index.html?{urlencode({**request.query, _KEY: key})}")
        if request.query.get(_KEY) != key:
            return web.Response(status=403, text="The key is missing or wrong; open the address that the viewer told.")
        response = await handler(request)
        response.set_cookie(cookie, key, httponly=True, samesite="Lax")
        return response

    server.controller.on_server_bind.add(lambda web_server: web_server.app.middlewares.append(guard))
    return server


def serve(server: Server, key: str, host: str, port: int, open_browser: bool, say: Callable[[str], Any]) -> None:
    """Serves until Ctrl-C.

    Args:
        server: from :func:`make_server`.
        key: its key.
        host: name or address to listen on.
        port: 0 for any that is free.
        open_browser: whether a browser is opened on the page.
        say: gets the page's address once it can be opened.
    """

    os.environ["WSLINK_READY_MSG"] = ""  # a line for programs, which it would print among ours
    with tempfile.TemporaryDirectory(prefix="monai-sagan-view-") as folder:

        def announce(**_: Any) -> None:
            address = f"{url_of(host, server.port)}/index.html?{_KEY}={key}"
            say(address)
            if open_browser:
                webbrowser.open(_write_redirect(Path(folder), address).as_uri())

        server.controller.on_server_ready.add(announce)
        server.start(host=host, port=port, open_browser=False, show_connection_info=False, timeout=0)


def _write_redirect(folder: Path, address: str) -> Path:
    """Writes a page that leads to an address and that only this user may read.

    A browser gets what it opens on its command line, and command lines are seen by all who have an account here.
    """
    path = folder / "open.html"
    path.touch(mode=0o600)
    target = html.escape(address)
    path.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={target}">'
        f'<title>monai-sagan</title><a href="{target}">Open the viewer</a>\n',
        encoding="utf-8",
    )
    return path
