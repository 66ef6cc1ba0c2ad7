"""Sockets for the page and the API, bound before anything heavy is imported, so that a busy port is known at once."""

from __future__ import annotations

import errno
import socket
import sys

import psutil

from webui.errors import BadValue
from webui.settings import HIGHEST_PORT

BACKLOG = 256


def bind(host: str, port: int, flag: str) -> socket.socket:
    """A listening socket; BadValue that names flag, port and, if it is known, who has it."""
    server = _socket()
    try:
        server.bind((host, port))
        server.listen(BACKLOG)
    except OSError as error:
        server.close()
        if error.errno == errno.EACCES and port < 1024:
            raise BadValue(f"{flag} {port}: this needs rights you do not have; ports from 1024 are free.") from error
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise BadValue(f"{flag} {port}: the port is in use{_user_of(port)}; {_advice(host, port)}.") from error
        raise BadValue(f"{flag} {port}: {error.strerror}.") from error
    server.setblocking(False)
    return server


def _socket() -> socket.socket:
    # With the protocol left at 0 asyncio does not know TCP when it sees it and leaves Nagle's algorithm on, which holds
    # back the second packet of an answer for 40 ms.
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform == "win32":
        server.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return server


def _user_of(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid:
                    return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
                return ""
    except (psutil.Error, OSError):
        return ""
    return ""


def _advice(host: str, port: int) -> str:
    for free in range(port + 1, min(port + 50, HIGHEST_PORT) + 1):
        with _socket() as server:
            try:
                server.bind((host, free))
            except OSError:
                continue
            return f"{free} is free"
    return "choose another"
