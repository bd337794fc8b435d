"""Where the viewer listens."""

from __future__ import annotations

import errno
import socket
import sys

from monai_sagan.errors import UserError

__all__ = ["check_address", "url_of"]

_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - what users write for them
_ADVICE = {
    errno.EADDRINUSE: "this port is in use already; choose another one by --port, or 0 for any that is free",
    errno.EACCES: "there is no permission to use this port; choose one from 1024 on by --port",
    errno.EADDRNOTAVAIL: "this computer has no such address; choose another one by --host",
}


def check_address(host: str, port: int) -> None:
    """Makes sure that one can listen there, before anything else is done.

    Args:
        host: name or address of this computer.
        port: 0 for any that is free.

    Raises:
        UserError: if not; the sentence says why.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            if sys.platform != "win32":  # as the server does; there it would let two have one port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (socket.gaierror, UnicodeError) as error:
        raise UserError(f"{host}: there is no computer of this name; choose another one by --host.") from error
    except OSError as error:
        raise UserError(f"{host}:{port}: {_ADVICE.get(error.errno or 0, error.strerror)}.") from error


def url_of(host: str, port: int) -> str:
    """What to open in a browser, up to the port; for all addresses of this computer, by its name."""
    name = socket.gethostname() if host in _ALL_ADDRESSES else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"
