"""A peer for the supervisor that misbehaves in ways the real worker never would: it acts out a script.

The steps of `options["script"]` answer a `generate`, those of `options["load"]` a `load`: ["events", [...]],
["raw", hex], ["words", text] (to stderr), ["exit", code], ["signal", name], ["silent"] (no more heartbeats), ["close"]
(the socket, but not the process).
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from webui.worker.wire import Unpacker, pack


class Peer:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.options: dict[str, Any] = {}
        self.beating = True
        self.cancels: list[int] = []

    def send(self, header: dict[str, Any]) -> None:
        self.connection.sendall(pack(header))

    def beat(self) -> None:
        while True:
            if self.beating:
                self.send({"type": "heartbeat", "busy": 0.0})
            time.sleep(0.2)

    def run(self) -> None:
        self.send({"type": "hello", "pid": os.getpid(), "version": "0"})
        threading.Thread(target=self.beat, daemon=True).start()
        unpacker = Unpacker()
        while data := self.connection.recv(65536):
            for header, _ in unpacker.feed(data):
                getattr(self, "on_" + header["type"])(header)

    def on_load(self, header: dict[str, Any]) -> None:
        self.options = header["spec"]["options"]
        self.act(self.options.get("load", []), 0)
        info = {"name": "peer", "path": "p", "engine": "fake", "architecture": "x", "n_vocab": 100, "n_ctx": 64}
        self.send({"type": "ready", "info": {**info, "n_ctx_train": 64, "slots": 1}})

    def on_generate(self, header: dict[str, Any]) -> None:
        self.act(self.options.get("script", []), header["id"])

    def on_cancel(self, header: dict[str, Any]) -> None:
        self.cancels.append(header["id"])
        done = {"kind": "finished", "choice": 0, "reason": "cancelled", "seed": 1, "tokens": len(self.cancels)}
        self.send({"type": "events", "items": [[header["id"], done]]})

    def on_tokenize(self, header: dict[str, Any]) -> None:
        if header["text"] == "bad":
            error = {"message": "no", "code": "bad_value", "param": "text"}
            self.send({"type": "reply", "id": header["id"], "error": error})
        elif header["text"] != "never":
            self.send({"type": "reply", "id": header["id"], "tokens": [len(header["text"])]})

    def on_quit(self, header: dict[str, Any]) -> None:
        if not self.options.get("deaf"):
            os._exit(0)

    def act(self, steps: list[list[Any]], number: int) -> None:
        for kind, *rest in steps:
            if kind == "events":
                self.send({"type": "events", "items": [[number, event] for event in rest[0]]})
            elif kind == "raw":
                self.connection.sendall(bytes.fromhex(rest[0]))
            elif kind == "exit":
                os._exit(rest[0])
            elif kind == "words":
                print(rest[0], file=sys.stderr, flush=True)
            elif kind == "signal":
                os.kill(os.getpid(), signal.Signals[rest[0]])
            elif kind == "silent":
                self.beating = False
            elif kind == "close":
                self.connection.shutdown(socket.SHUT_RDWR)
                time.sleep(60)


if __name__ == "__main__":
    Peer(socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))).run()
