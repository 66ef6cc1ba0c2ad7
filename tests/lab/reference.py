"""The same figures worked out with plain numpy over the whole row, in another way than the product does it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def example_row(size: int = 5000, seed: int = 3) -> NDArray[np.float32]:
    """A peaked head on a long tail, like a model's."""
    random = np.random.default_rng(seed)
    row = random.normal(-6.0, 2.0, size)
    best = random.choice(size, 60, replace=False)
    row[best] += np.linspace(14.0, 4.0, 60)
    return row.astype(np.float32)


def softmax(logits: Any) -> Floats:
    logits = np.asarray(logits, dtype=np.float64)
    weights = np.exp(logits - logits[np.isfinite(logits)].max())
    return np.asarray(weights / weights.sum())


def bits(p: Floats) -> float:
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def after_min_p(p: Floats, share: float) -> Floats:
    kept = np.where(p >= share * p.max(), p, 0.0)
    return np.asarray(kept / kept.sum())


def after_top_k(p: Floats, k: int) -> Floats:
    kept = np.zeros_like(p)
    best = np.argsort(-p, kind="stable")[:k]
    kept[best] = p[best]
    return np.asarray(kept / kept.sum())


def after_top_p(p: Floats, mass: float) -> Floats:
    order = np.argsort(-p, kind="stable")
    count = int(np.argmax(np.cumsum(p[order]) >= mass)) + 1
    return after_top_k(p, count)


def after_temperature(p: Floats, t: float) -> Floats:
    warm = np.where(p > 0, p ** (1 / t), 0.0)
    return np.asarray(warm / warm.sum())
