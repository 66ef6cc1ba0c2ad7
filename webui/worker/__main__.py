"""`python -m webui.worker --fd N`: the child process that owns an engine. N is its end of a socketpair (-1: Windows,
the socket itself arrives through stdin)."""

from __future__ import annotations

import argparse
import os
import socket
import sys

from webui import __version__
from webui.worker.connection import Connection
from webui.worker.process import harden
from webui.worker.service import Service


def open_socket(descriptor: int) -> socket.socket:
    if descriptor >= 0:
        return socket.socket(fileno=descriptor)
    from_share = getattr(socket, "fromshare")  # noqa: B009  (exists on Windows only)
    connection: socket.socket = from_share(sys.stdin.buffer.read())
    return connection


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m webui.worker", description="The engine's process.")
    parser.add_argument("--fd", type=int, required=True, help="file descriptor of the socket to the parent")
    descriptor = parser.parse_args().fd
    harden()
    connection = Connection(open_socket(descriptor))
    connection.send({"type": "hello", "pid": os.getpid(), "version": __version__})
    service = Service(connection)
    connection.beat(service.busy)
    connection.listen(service.handle)
    service.run()


if __name__ == "__main__":
    main()
