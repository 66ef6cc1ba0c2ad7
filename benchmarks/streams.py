"""Many clients at once on the scripted engine: what the way from the engine to the clients adds, and what it loses.

    python -m benchmarks.streams [--streams 64] [--speed 100] [--seconds 60] [--requests 500]

First so many streams run together, each at so many tokens a second and with a text of its own, so that anything lost,
doubled or mixed shows. Then so many requests are sent at once; each must be answered or refused cleanly. The server is
a process of its own, its worker another; the clients only note when bytes came and read them when all is over.

Added latency: the time from the engine's step to the token's arrival at the client, by the engine's own list of when
its steps were; so a machine that slows the engine down does not count, but everything behind the engine does.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.serve import free_port, served

LIMIT_MS = 20.0
GREEDY = [["temperature", {"temperature": 0}]]
"""The shortest chain: what is measured is the way of the tokens, not how they are chosen."""


def text_of(number: int, tokens: int) -> str:
    """What stream `number` must say, one token a character; no two streams and no two places are alike."""
    words = "".join(f"s{number}w{place} " for place in range(tokens // 4))
    return words[:tokens].rstrip() + "."


async def serve(port: int, streams: int, speed: float, tokens: int, folder: Path, steps_file: Path) -> None:
    """The API as the program serves it, with the scripted engine behind it."""
    import uvicorn

    from webui.api import OriginGuard, build_api
    from webui.building import build_services
    from webui.hub.library import Library
    from webui.settings import Settings
    from webui.types import LoadSpec

    settings = replace(Settings(), model_dir=(folder,), data_dir=folder, api=True)
    services = build_services(settings, Library(settings.model_dir, added_file=folder / "added.json"))
    rules = [{"contains": f"question {n} ", "reply": text_of(n, tokens)} for n in range(streams)]
    options = {"split": "bytes", "n_vocab": 512, "delay": 1 / speed, "rules": rules, "reply": "Yes."}
    options["steps_file"] = str(steps_file)
    spec = LoadSpec("scripted", engine="fake", name="scripted", n_ctx=tokens + 256, slots=streams, options=options)
    await services.models.load(spec)
    app = OriginGuard(build_api(services))
    config = uvicorn.Config(app, port=port, log_level="warning", access_log=False, lifespan="off", server_header=False)
    await uvicorn.Server(config).serve()


@dataclass
class Answer(asyncio.Protocol):
    """One request; its answer is kept as it came, with the time of each piece."""

    request: bytes
    over: asyncio.Future[None]
    sent: float = 0.0
    pieces: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.sent = time.monotonic()
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.times.append(time.monotonic())
        self.pieces.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)

    @property
    def status(self) -> int:
        return int(self.pieces[0].split(b" ", 2)[1]) if self.pieces else 0

    def events(self) -> list[tuple[float, dict[str, Any]]]:
        """The server-sent events with the time they were complete."""
        whole = b"".join(self.pieces)
        ends: list[int] = []
        for piece in self.pieces:
            ends.append((ends[-1] if ends else 0) + len(piece))
        found = []
        place = whole.find(b"data: {")
        while place >= 0:
            end = whole.find(b"\n\n", place)
            if end < 0:
                break
            found.append((self.times[bisect.bisect_left(ends, end + 2)], json.loads(whole[place + 6 : end])))
            place = whole.find(b"data: {", end)
        return found


def request_of(port: int, fields: dict[str, Any]) -> bytes:
    body = json.dumps(fields).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


async def ask_all(port: int, bodies: list[dict[str, Any]]) -> list[Answer]:
    """All requests at once; returns when the last answer is complete."""
    loop = asyncio.get_running_loop()

    async def one(fields: dict[str, Any]) -> Answer:
        answer = Answer(request_of(port, fields), loop.create_future())
        await loop.create_connection(lambda: answer, "127.0.0.1", port)
        await answer.over
        return answer

    return list(await asyncio.gather(*(one(fields) for fields in bodies)))


@dataclass(frozen=True)
class Figures:
    """What one stream's events tell."""

    text: str
    late: list[float]
    end_lag: float
    speed: float


def figures(answer: Answer, steps: NDArray[np.float64]) -> Figures:
    """Lateness of every token but the first (the prompt's), and how long after the engine was done the end came."""
    events = answer.events()
    tokens = [(at, data["choices"][0]["text"]) for at, data in events if data["choices"][0].get("text")]
    end_at, end = events[-1]
    timings = end["timings"]
    came = np.array([at for at, _ in tokens[1:]])
    # The latest step that its first token can be of, such that none came before it was made.
    first = min(int(np.searchsorted(steps, came[0])) - 1, len(steps) - len(came))
    while (late := came - steps[first : first + len(came)]).min() < 0:
        first -= 1
    engine_seconds = (timings["first_token_ms"] + timings["predicted_ms"]) / 1000
    return Figures(
        "".join(text for _, text in tokens),
        late.tolist(),
        end_at - answer.sent - engine_seconds,
        timings["predicted_per_second"],
    )


def part(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def cpu_seconds(server: psutil.Process) -> tuple[float, float]:
    """What the server and its worker have computed so far."""
    (worker,) = server.children()
    used = [process.cpu_times() for process in (server, worker)]
    return used[0].user + used[0].system, used[1].user + used[1].system


async def measure_streams(port: int, server: psutil.Process, streams: int, tokens: int, steps_file: Path) -> bool:
    bodies: list[dict[str, Any]] = [
        {"prompt": f"question {n} please", "max_tokens": tokens + 8, "stream": True, "chain": GREEDY}
        for n in range(streams)
    ]
    before = cpu_seconds(server)
    started = time.monotonic()
    answers = await ask_all(port, bodies)
    seconds = time.monotonic() - started
    cpu = [later - sooner for later, sooner in zip(cpu_seconds(server), before, strict=True)]
    steps = np.fromfile(steps_file, "<f8")
    found = [figures(answer, steps) for answer in answers]
    wrong = [n for n, one in enumerate(found) if one.text != text_of(n, tokens)]
    late = [value * 1000 for one in found for value in one.late]
    lags = [one.end_lag * 1000 for one in found]
    pace = sum(one.speed for one in found) / streams
    print(f"{streams} streams: {len(late)} tokens in {seconds:.1f} s, the engine gave each {pace:.1f} tokens/s")
    print(f"  texts lost, doubled or mixed: {len(wrong)} {wrong[:10] or ''}")
    print(f"  added latency: p50 {part(late, 0.5):.1f} ms, p99 {part(late, 0.99):.1f} ms, most {max(late):.1f} ms")
    print(f"  the end came {part(lags, 0.5):.1f} ms (p50), {max(lags):.1f} ms (most) after the engine's own figures")
    for name, used in zip(("server", "worker"), cpu, strict=True):
        print(f"  the {name}'s time: {used / len(late) * 1e6:.0f} us a token, {used / seconds * 100:.0f} % of a core")
    return not wrong and part(late, 0.99) < LIMIT_MS


async def measure_requests(port: int, count: int) -> bool:
    answers = await ask_all(port, [{"prompt": f"q{n}"} for n in range(count)])
    times = {200: [], 503: []}  # type: dict[int, list[float]]
    unclean = 0
    for answer in answers:
        body = b"".join(answer.pieces)
        clean = b'"text":"Yes."' in body if answer.status == 200 else b'"server_overloaded"' in body
        if answer.status not in times or not clean:
            unclean += 1
            continue
        times[answer.status].append((answer.times[-1] - answer.sent) * 1000)
    print(f"{count} requests at once: {len(times[200])} answered, {len(times[503])} refused (503), {unclean} unclean")
    for status, found in times.items():
        if found:
            print(
                f"  {status}: p50 {part(found, 0.5):.0f} ms, p99 {part(found, 0.99):.0f} ms, most {max(found):.0f} ms"
            )
    return not unclean


async def run(arguments: argparse.Namespace, folder: Path) -> bool:
    port = arguments.port or free_port()
    steps = folder / "steps"
    own = ["--port", str(port), "--steps-file", str(steps)]
    command = [sys.executable, "-m", "benchmarks.streams", "--serve", *sys.argv[1:], *own]
    tokens = int(arguments.speed * arguments.seconds)
    async with served(command, port, folder) as process:
        steady = await measure_streams(port, psutil.Process(process.pid), arguments.streams, tokens, steps)
        clean = await measure_requests(port, arguments.requests)
    return steady and clean


def main() -> None:
    parser = argparse.ArgumentParser(description="Many streams and many requests at once, on the scripted engine.")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--speed", type=float, default=100.0, help="tokens a second of each stream")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--steps-file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    tokens = int(arguments.speed * arguments.seconds)
    if arguments.serve:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(
                serve(arguments.port, arguments.streams, arguments.speed, tokens, Path(folder), arguments.steps_file)
            )
        return
    with tempfile.TemporaryDirectory() as folder:
        good = asyncio.run(run(arguments, Path(folder)))
    print(f"within the limits (nothing lost, p99 under {LIMIT_MS:.0f} ms, each 200 or a clean 503): {good}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
