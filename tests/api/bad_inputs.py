"""The table of bad inputs, counted: `python -m tests.api.bad_inputs`.

Rows 1 to 36 are answers over HTTP (bad_cases): status, type, param and code, in one shape; after each of them a good
request must work. Rows 37, 38 and 40 are refused by the hub, by the reader of characters and by the command line, in
one sentence; row 39 is about a page that imports chats, which there is none.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tests.api.bad_cases import CASES, KEY, KEY_CASES, N_CTX, Case, State, Target, problem, works
from tests.api.conftest import Server
from webui.chat.characters import parse_card
from webui.errors import WebUIError
from webui.hub.reference import parse as parse_reference
from webui.settings import ROOT
from webui.types import LoadSpec

Found = dict[int, list[tuple[str, str, str]]]
"""By row: what was sent, what must come, and what is wrong with what came."""


def load_usual(server: Server) -> None:
    server.load(reply="Fine.", n_ctx=N_CTX, split="bytes")


@contextmanager
def in_state(server: Server, state: State) -> Iterator[None]:
    """No model, one that is being loaded, or one for which too many wait; then the usual one again."""
    if state == "ready":
        yield
        return
    if state == "none":
        server.run(server.services.models.unload())
    elif state == "loading":
        spec = LoadSpec("fake", engine="fake", options={"load_seconds": 60, "load_steps": 600})
        loading = asyncio.run_coroutine_threadsafe(server.services.models.load(spec), server.loop)
        while server.services.models.status().progress == 0:
            assert not loading.done()
    try:
        if state == "full":
            with _crowd(server):
                yield
        else:
            yield
    finally:
        load_usual(server)


@contextmanager
def _crowd(server: Server) -> Iterator[None]:
    """Three clients that ask for 512 choices each, of a model that writes for ever."""
    server.load(reply="word ", end=False, delay=0.05, slots=1, n_ctx=4096)
    body = json.dumps({"prompt": [f"p{n}" for n in range(64)], "n": 8, "max_tokens": 4000}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
    with ExitStack() as open_ones:
        for _ in range(3):
            client = open_ones.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        # Of the last ones some are refused at once: there is no place for all.
        while server.services.models.active < 2 * 64:
            time.sleep(0.01)
        yield


def run_case(server: Server, http: httpx.Client, case: Case) -> str:
    """What is wrong, "" if nothing is."""
    with in_state(server, case.state):
        found = problem(case, case.send(Target(server, http)))
    return found or ("" if works(http) else "a good request no longer works")


# Rows that no route answers: the hub's addresses, cards of characters, the command line.


def refusals() -> Iterator[tuple[int, str, Callable[[], str]]]:
    """Row, what is tried, and what must give one sentence."""
    for text in ("../../x", "http://evil/x", "a/b/../c", "org/repo:@../x", "x" * 300, "/etc/passwd", "a\0/b"):
        yield 37, repr(text)[:60], lambda text=text: sentence(lambda: parse_reference(text))  # type: ignore[misc]
    for what, data in cards():
        yield 38, what, lambda data=data: sentence(lambda: parse_card(data))  # type: ignore[misc]
    for flags in (
        "--port 99999", "--port abc", "--listen-host nonsense", "--n-ctx -1", "--n-ctx 1e12", "--n-gpu-layers x",
        "--data-dir /dev/null", "--foo", "--api-key=", "--listen --nowebui", "--threads 100000",
    ):  # fmt: skip
        yield 40, flags, lambda flags=flags: command_line(flags.split())  # type: ignore[misc]


def cards() -> Iterator[tuple[str, bytes]]:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    png = b"\x89PNG\r\n\x1a\n"
    bomb = zlib.compress(b"x" * (64 << 20), 9)
    yield "PNG without a card", png + chunk(b"IEND", b"")
    yield "zTXt that unpacks to 64 MB", png + chunk(b"zTXt", b"chara\0\0" + bomb) + chunk(b"IEND", b"")
    yield "base64 garbage", png + chunk(b"tEXt", b"chara\0!!!!") + chunk(b"IEND", b"")
    yield "JSON that is no object", png + chunk(b"tEXt", b"chara\0" + base64.b64encode(b"[1]")) + chunk(b"IEND", b"")
    yield "YAML that would run a command", b"name: !!python/object/apply:os.system ['true']\n"
    yield "50 MB", b"{" + b" " * (50 << 20) + b"}"
    yield "an SVG", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


def sentence(call: Callable[[], object]) -> str:
    try:
        call()
    except WebUIError as error:
        return "" if error.message and "\n" not in error.message else f"not a sentence: {error.message!r}"
    return "it was taken"


def command_line(flags: list[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "webui", "--data-dir", folder, *flags],
            cwd=ROOT, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
    said = done.stderr or done.stdout
    return "" if done.returncode == 2 and said.count("\n") == 1 else f"exit code {done.returncode}: {said[:200]}"


def main() -> None:
    found: Found = defaultdict(list)
    with tempfile.TemporaryDirectory() as open_folder, tempfile.TemporaryDirectory() as locked_folder:
        for folder, cases, settings in ((open_folder, CASES, {}), (locked_folder, KEY_CASES, {"api_key": KEY})):
            server = Server(Path(folder), **settings)
            load_usual(server)
            with server.client() as http, server.client(headers={"x-api-key": KEY}) as good:
                for case in cases:
                    wrong = run_case(server, http, case) if cases is CASES else run_locked(server, http, good, case)
                    found[case.row].append((case.what, case.wanted, wrong))
            server.stop()
    for row, what, refuse in refusals():
        found[row].append((what, "exit code 2" if row == 40 else "a sentence", refuse()))
    sys.exit(1 if tell(found) else 0)


def tell(found: Found) -> int:
    """Print the table; returns how many answers were not as they must be."""
    for row, cases in sorted(found.items()):
        wanted = ", ".join(sorted({wanted for _, wanted, _ in cases}))
        print(f"{row:2}  {sum(not wrong for _, _, wrong in cases):2} of {len(cases):2}   {wanted}")
        for what, _, wrong in cases:
            if wrong:
                print(f"      {what}: {wrong}")
    wrongs = [bool(wrong) for cases in found.values() for _, _, wrong in cases]
    print(f"{len(found)} rows, {len(wrongs)} inputs, {wrongs.count(False)} answered as they must be, {sum(wrongs)} not")
    return sum(wrongs)


def run_locked(server: Server, http: httpx.Client, good: httpx.Client, case: Case) -> str:
    found = problem(case, case.send(Target(server, http)))
    return found or ("" if works(good) else "a good request no longer works")


if __name__ == "__main__":
    main()
