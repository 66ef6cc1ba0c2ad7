"""The Logits tab's answer to a moved slider, at 49k and 262k tokens: the funnel alone, and the whole answer as JSON.

    python -m benchmarks.funnel

Budget: 20 ms at 49k and 60 ms at 262k for the full funnel, without a model call. Beside it, as a yardstick of the
machine it runs on, one softmax with a full sort of the same row in plain numpy.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson

from webui.lab.draws import draw_many
from webui.lab.funnel import Situation, funnel
from webui.lab.picture import picture
from webui.lab.rows import KeptRow
from webui.samplers import BALANCED, Chain
from webui.tabs.logits_answers import tell_position

BUDGETS: Mapping[int, float] = MappingProxyType({49_152: 20.0, 262_144: 60.0})
ROUNDS = 15
EVERYTHING: tuple[tuple[str, dict[str, Any]], ...] = (
    ("repetition_penalty", {"repetition_penalty": 1.1}),
    ("dry", {}),
    ("top_n_sigma", {"top_n_sigma": 3.0}),
    ("typical_p", {"typical_p": 0.99}),
    ("top_p", {"top_p": 0.99}),
    ("min_p", {"min_p": 0.01}),
    ("top_a", {"top_a": 0.01}),
    ("eta_cutoff", {}),
    ("xtc", {}),
    ("temperature", {"temperature": 0.8}),
)
WHOLE_ROW: tuple[tuple[str, dict[str, Any]], ...] = (
    ("temperature", {"temperature": 1.5}),
    ("quadratic", {"smoothing_factor": 0.2}),
    ("typical_p", {"typical_p": 0.999}),
    ("tfs", {"tfs": 0.999}),
)
CHAINS: Mapping[str, Any] = MappingProxyType({"Balanced": BALANCED, "ten on": EVERYTHING, "never cut": WHOLE_ROW})


def example_row(size: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Like a model's in the middle of a sentence: a few dozen good tokens on a wide tail."""
    random = np.random.default_rng(1)
    row = random.normal(-8.0, 2.2, size)
    row[random.choice(size, 80, replace=False)] += np.linspace(15.0, 5.0, 80)
    return row.astype(np.float32)


def median_ms(action: Callable[[], Any]) -> float:
    action()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def yardstick(row: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    weights = np.exp(row - row.max())
    order = np.argsort(-weights, kind="stable")
    np.cumsum(weights[order] / weights.sum())


def measure(size: int) -> None:
    row = example_row(size)
    tokens = np.random.default_rng(2).integers(0, size, 600).tolist()
    kept = KeptRow.of("benchmark", tokens, row)
    texts = [f" token{n}" for n in range(size)]
    plain = median_ms(lambda: yardstick(row))
    print(f"\n{size} tokens   budget {BUDGETS[size]:.0f} ms   softmax and full sort {plain:.1f} ms")
    print(f"{'':12}{'funnel':>9}{'answer':>9}{'10 000 draws':>15}{'answer size':>14}")
    for name, steps in CHAINS.items():
        chain = Chain.parse(steps)
        situation = Situation(seed=3)

        def answer(chain: Chain = chain, situation: Situation = situation) -> bytes:
            seen = funnel(kept, chain, situation)
            return orjson.dumps(tell_position(seen, picture(seen, shown=40, focus=len(chain.stages) - 1), texts, "en"))

        one = median_ms(lambda chain=chain, situation=situation: funnel(kept, chain, situation))  # type: ignore[misc]
        whole = median_ms(answer)
        many = median_ms(lambda chain=chain, situation=situation: draw_many(kept, chain, situation, 10_000))  # type: ignore[misc]
        verdict = "" if one <= BUDGETS[size] else "   over the budget"
        print(f"{name:12}{one:7.1f}ms{whole:7.1f}ms{many:13.1f}ms{len(answer()) / 1024:11.1f} kB{verdict}")
    print(f"{'keeping a row':24}{median_ms(lambda: KeptRow.of('benchmark', tokens, row)):.1f} ms")


def main() -> None:
    for size in BUDGETS:
        measure(size)


if __name__ == "__main__":
    main()
