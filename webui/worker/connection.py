"""The worker's end of the socket: a thread that reads frames, one that writes them, one that sends the heartbeat.

`send` never blocks: a parent that reads slowly costs memory, not tokens per second, and one that stops reading for good
ends the worker. So does the end of the socket, even while the engine is deep inside a native call.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from webui.worker.wire import BadFrame, Unpacker, pack

LIMIT = 256 << 20
"""Unread bytes after which the parent counts as dead."""
_BLOCK = 1 << 18
_AT_ONCE: int = getattr(socket, "MSG_DONTWAIT", 0)
PARENT_GONE = 0
BAD_PARENT = 3

Handle = Callable[[dict[str, Any]], None]


def end_process(code: int, words: str = "") -> None:
    """Leave at once, whatever other threads are doing; nothing of the worker's needs to be saved."""
    if words:
        print(words, file=sys.stderr, flush=True)
    os._exit(code)


class Connection:
    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.setblocking(True)
        self._unsent: deque[bytes] = deque()
        self._size = 0
        self._wake = threading.Condition()
        self._start(self._write, "writer")

    def _start(self, target: Callable[..., None], name: str, *arguments: Any) -> None:
        threading.Thread(target=target, args=arguments, name=name, daemon=True).start()

    def send(self, header: dict[str, Any], blob: bytes = b"") -> None:
        data = pack(header, blob)
        with self._wake:
            if not self._size:
                # Nobody waits before it: no need to wake another thread, which would take a core from the engine's.
                data = data[self._send_now(data) :]
                if not data:
                    return
            self._unsent.append(data)
            self._size += len(data)
            if self._size > LIMIT:
                end_process(BAD_PARENT, "The parent process does not read what the engine tells it.")
            self._wake.notify()

    def _send_now(self, data: bytes) -> int:
        """How much the socket takes without waiting. Errors are left for the writer to find."""
        if not _AT_ONCE:
            return 0
        try:
            return self._socket.send(data, _AT_ONCE)
        except OSError:
            return 0

    def _write(self) -> None:
        while True:
            with self._wake:
                while not self._unsent:
                    self._wake.wait()
                data = b"".join(self._unsent) if len(self._unsent) > 1 else self._unsent[0]
                self._unsent.clear()
            try:
                self._socket.sendall(data)
            except OSError:
                end_process(PARENT_GONE)
            with self._wake:
                self._size -= len(data)
                self._wake.notify_all()

    def drain(self) -> None:
        """Wait until everything was handed to the socket."""
        with self._wake:
            self._wake.wait_for(lambda: self._size == 0, timeout=2)

    def listen(self, handle: Handle) -> None:
        """Give every frame to `handle`, in a thread of its own, until the socket ends."""
        self._start(self._read, "reader", handle)

    def _read(self, handle: Handle) -> None:
        unpacker = Unpacker()
        try:
            while data := self._socket.recv(_BLOCK):
                for header, _ in unpacker.feed(data):
                    handle(header)
        except OSError:
            pass  # the parent was killed: the same as an orderly end
        except BadFrame as error:
            end_process(BAD_PARENT, f"The parent sent a frame that is not understood: {error}")
        end_process(PARENT_GONE)

    def beat(self, busy: Callable[[], float], seconds: float = 1.0) -> None:
        """Tell each second that the process lives, and how long the engine has been at its present call."""

        def run() -> None:
            pause = threading.Event()
            while True:
                self.send({"type": "heartbeat", "busy": round(busy(), 3)})
                pause.wait(seconds)

        self._start(run, "heartbeat")
