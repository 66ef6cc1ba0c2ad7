"""What reading weights ahead gains: llama.cpp as start.sh compiles it beside the same one without weights_ahead.h.

    pip install --no-deps --no-cache-dir --target plain llama-cpp-python
    python benchmarks/ahead.py plain/llama_cpp/lib [--model FILE ...] [--repeat 10]

Both are loaded, each in a process of its own, and are asked in turn: so what else the machine does hits both. Printed
are medians, the median of the rounds' own ratios, and whether the numbers that came out are the same bit by bit.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from webui.runtime.process import worker_environment  # noqa: E402

LIBRARY = "LLAMA_CPP_LIB_PATH"
PROMPT = 128
KINDS = ("one stream", "eight streams", "prompt of 512")


class Engine:
    """In the child: the loaded model, and the three things it is asked for."""

    def __init__(self, model: str, threads: int) -> None:
        from webui.engines.base import AbortFlag
        from webui.engines.llamacpp import open_llamacpp
        from webui.types import LoadSpec

        spec = LoadSpec(model, n_ctx=1024, slots=8, threads=threads, options={"mmap": "off"})
        self._engine = open_llamacpp(spec, lambda done: True, AbortFlag())
        self._digest = hashlib.sha256()
        for slot in range(8):
            self._read(slot, PROMPT)

    def _read(self, slot: int, length: int) -> None:
        from webui.engines.base import Chunk

        for start in range(0, length, PROMPT):
            tokens = range(300 + slot + start, 300 + slot + start + PROMPT)
            (row,) = self._engine.decode([Chunk(slot, start, list(tokens), prompt=True)])
            self._digest.update(row.tobytes())

    def write(self, streams: int, steps: int) -> float:
        """Tokens a second, each the likeliest."""
        from webui.engines.base import Chunk

        for slot in range(streams):
            self._engine.keep(slot, PROMPT)
        following = [5] * streams
        start = time.perf_counter()
        for step in range(steps):
            rows = self._engine.decode([Chunk(n, PROMPT + step, (token,)) for n, token in enumerate(following)])
            following = [int(row.argmax()) for row in rows]
        seconds = time.perf_counter() - start
        self._digest.update(b"".join(row.tobytes() for row in rows))
        return streams * steps / seconds

    def read(self, length: int) -> float:
        self._engine.keep(0, 0)
        start = time.perf_counter()
        self._read(0, length)
        seconds = time.perf_counter() - start
        self._engine.keep(0, PROMPT)
        return length / seconds

    def run(self, kind: str) -> float:
        if kind == "prompt of 512":
            return self.read(512)
        return self.write(1, 48) if kind == "one stream" else self.write(8, 12)

    def answer(self) -> None:
        """A line for each question until there are no more."""
        print("ready", flush=True)
        for line in sys.stdin:
            print(self.run(line.strip()), self._digest.hexdigest(), flush=True)


class Contender:
    """In the parent: a child with one of the libraries."""

    def __init__(self, library: str, model: str, threads: int) -> None:
        environment = {**worker_environment(), **({LIBRARY: library} if library else {})}
        command = [sys.executable, __file__, "--child", "--model", model, "--threads", str(threads)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        if self._line() != "ready":
            raise SystemExit(f"the model cannot be loaded with {library or 'the installed library'}: {model}")

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, kind: str) -> tuple[float, str]:
        assert self._process.stdin is not None
        self._process.stdin.write(kind + "\n")
        self._process.stdin.flush()
        speed, digest = self._line().split()
        return float(speed), digest

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def contenders(plain: Path, model: str, threads: int) -> Iterator[tuple[Contender, Contender]]:
    both = Contender("", model, threads), Contender(str(plain.resolve()), model, threads)
    try:
        yield both
    finally:
        for contender in both:
            contender.close()


def compare(plain: Path, model: str, repeat: int, threads: int) -> None:
    speeds: dict[str, tuple[list[float], list[float]]] = {kind: ([], []) for kind in KINDS}
    same = True
    with contenders(plain, model, threads) as both:
        for number in range(repeat):
            for kind in KINDS:
                digests = ["", ""]
                for place in (0, 1) if number % 2 == 0 else (1, 0):
                    speed, digests[place] = both[place].ask(kind)
                    speeds[kind][place].append(speed)
                same = same and digests[0] == digests[1]
    print(f"{model}\n{'':16}{'ahead':>10}{'plain':>10}{'ratio':>8}   rounds")
    for kind, (ahead, other) in speeds.items():
        ratios = [one / two for one, two in zip(ahead, other, strict=True)]
        middles = f"{statistics.median(ahead):10.1f}{statistics.median(other):10.1f}{statistics.median(ratios):8.2f}"
        print(f"{kind:16}{middles}   {' '.join(f'{ratio:.2f}' for ratio in ratios)}")
    print(f"the numbers are {'the same, bit by bit' if same else 'NOT THE SAME'}", flush=True)


def main() -> None:
    from webui.hub.library import starter_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plain", type=Path, nargs="?", help="folder of the other libllama.so")
    parser.add_argument("--model", action="append", default=[], help="a GGUF file (the starter model), several times")
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    models = options.model or [str(starter_model())]
    if options.child:
        Engine(models[0], options.threads).answer()
        return
    if options.plain is None:
        parser.error("name the folder of the library to compare with")
    for model in models:
        compare(options.plain, model, options.repeat, options.threads)


if __name__ == "__main__":
    main()
