"""How far one model's predictions are from another's over one text: Kullback-Leibler divergence, same top token.

Two GGUFs of one model (a precise and a quantised one) are run one after the other, so that only one is in memory; the
first's rows wait in a file. Knows engines and numpy, nothing of sockets or pages.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webui.engines.base import AbortFlag, Chunk, Engine, Opener
from webui.errors import BadValue
from webui.types import LoadSpec

FEWEST, MOST = 16, 4096
Say = Callable[[float], None]
Rows = NDArray[np.float32]


class Divergence:
    """Collects the figures of each place. Rows are raw logits of the same place by both models."""

    def __init__(self) -> None:
        self._divergences: list[float] = []
        self._same_top = 0
        self._losses: tuple[list[float], list[float]] = ([], [])
        self._shifts: list[float] = []

    def add(self, reference: Rows, other: Rows, token: int) -> None:
        """`token` is the one that really comes next."""
        p_log, q_log = _log_softmax(reference), _log_softmax(other)
        p = np.exp(p_log)
        # Tokens that the reference excludes add nothing.
        possible = p > 0
        found = float(np.dot(p[possible], p_log[possible] - q_log[possible]))
        self._divergences.append(max(0.0, found))
        self._same_top += int(np.argmax(reference) == np.argmax(other))
        self._losses[0].append(-float(p_log[token]))
        self._losses[1].append(-float(q_log[token]))
        self._shifts.append(float(np.exp(q_log[token]) - p[token]))

    def figures(self) -> dict[str, Any]:
        """Divergences in nats; `same_top` a share; perplexities of both; `shift_rms`: the right token's probability."""
        found = np.array(self._divergences)
        return {
            "tokens": len(found),
            "mean": float(found.mean()),
            "median": float(np.median(found)),
            "p99": float(np.quantile(found, 0.99)),
            "largest": float(found.max()),
            "same_top": self._same_top / len(found),
            "perplexity": [math.exp(float(np.mean(losses))) for losses in self._losses],
            "shift_rms": float(np.sqrt(np.mean(np.square(self._shifts)))),
        }


def _log_softmax(row: Rows) -> NDArray[np.float64]:
    shifted = row.astype(np.float64) - float(row.max())
    result: NDArray[np.float64] = shifted - math.log(float(np.exp(shifted).sum()))
    return result


def compare(
    specs: tuple[LoadSpec, LoadSpec], text: str, most: int, scratch: Path, opener: Opener, say: Say
) -> dict[str, Any]:
    """Figures of the second model against the first. `scratch` is a file that may be written and is left empty."""
    tokens: list[int] = []
    figures = Divergence()
    try:
        for turn, spec in enumerate(specs):
            engine = opener(spec, partial(_loading, say, turn), AbortFlag())
            try:
                found = engine.tokenize(text, add_bos=engine.info.add_bos, special=False)[: min(most, MOST)]
                if turn == 0:
                    tokens = found
                _check(engine, tokens, found)
                _run(engine, tokens, scratch, turn, figures, say)
            finally:
                engine.close()
    finally:
        scratch.unlink(missing_ok=True)
    return figures.figures()


def _loading(say: Say, turn: int, done: float) -> bool:
    say((turn + 0.1 * done) / 2)
    return True


def _check(engine: Engine, tokens: list[int], found: list[int]) -> None:
    if len(tokens) < FEWEST:
        raise BadValue(
            f"The text has {len(tokens)} tokens and at least {FEWEST} are needed: take a longer one.",
            code="compare_short",
            values={"tokens": len(tokens), "fewest": FEWEST},
        )
    if found != tokens:
        raise BadValue(
            "The two models cut the text into other tokens: only versions of one model can be compared.",
            code="compare_other_model",
        )
    if engine.info.n_ctx < len(tokens):
        raise BadValue(
            f"The model takes {engine.info.n_ctx} tokens and the text has {len(tokens)}: take a shorter one.",
            code="compare_long",
            values={"tokens": len(tokens), "most": engine.info.n_ctx},
        )


def _run(engine: Engine, tokens: list[int], scratch: Path, turn: int, figures: Divergence, say: Say) -> None:
    """Read the text in small steps, all rows wanted. The first turn keeps them, the second compares."""
    shape, step = (len(tokens), engine.info.n_vocab), min(engine.max_rows, engine.chunk)
    if turn and scratch.stat().st_size != shape[0] * shape[1] * 4:
        raise BadValue(
            "The two models have different vocabularies: only versions of one model can be compared.",
            code="compare_other_model",
        )
    kept = np.memmap(scratch, np.float32, "r" if turn else "w+", shape=shape)
    for start in range(0, len(tokens), step):
        piece = tokens[start : start + step]
        rows = engine.decode([Chunk(0, start, piece, "all", prompt=True)])
        for place, row in enumerate(rows, start):
            if turn == 0:
                kept[place] = row
            elif place + 1 < len(tokens):
                figures.add(np.asarray(kept[place]), row, tokens[place + 1])
        say((turn + 0.1 + 0.9 * (start + len(piece)) / len(tokens)) / 2)
    del kept
