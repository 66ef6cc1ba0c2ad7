"""Divergence of two models' predictions: figures that can be worked out by hand, and what cannot be compared."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from webui.engines.base import AbortFlag, Progress
from webui.engines.fake import FakeEngine, open_fake
from webui.errors import BadValue
from webui.types import LoadSpec
from webui.worker.compare import Divergence, compare


def row(*shares: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.array(shares, np.float64)).astype(np.float32)


def test_divergence_by_hand() -> None:
    figures = Divergence()
    figures.add(row(0.5, 0.25, 0.25), row(0.25, 0.5, 0.25), 0)
    figures.add(row(0.5, 0.5, 0.0), row(0.5, 0.5, 0.0), 1)
    found = figures.figures()
    first = 0.5 * math.log(2) - 0.25 * math.log(2)
    assert found["tokens"] == 2
    assert found["largest"] == pytest.approx(first, rel=1e-6)
    assert found["mean"] == found["median"] == pytest.approx(first / 2, rel=1e-6)
    assert found["p99"] == pytest.approx(0.99 * first, rel=1e-6)
    assert found["same_top"] == 0.5
    assert found["perplexity"] == pytest.approx([2.0, math.sqrt(8)], rel=1e-6)
    assert found["shift_rms"] == pytest.approx(math.sqrt(0.25**2 / 2), rel=1e-6)


def test_adding_a_constant_to_logits_changes_nothing() -> None:
    figures = Divergence()
    values = np.random.default_rng(1).normal(size=1000).astype(np.float32)
    figures.add(values, values + np.float32(7), 3)
    assert figures.figures()["mean"] == pytest.approx(0, abs=1e-9)


def spec(name: str, **options: object) -> LoadSpec:
    return LoadSpec(name, "fake", n_ctx=512, slots=1, options={"n_vocab": 2048, **options})


def open_flatter(spec: LoadSpec, progress: Progress, abort: AbortFlag) -> FakeEngine:
    """The fake engine; for the model called "flat" it halves all logits."""
    engine = open_fake(spec, progress, abort)
    if spec.path == "flat":
        decode = engine.decode
        engine.decode = lambda chunks: [one * np.float32(0.5) for one in decode(chunks)]  # type: ignore[method-assign]
    return engine


TEXT = " ".join(f"word{n}" for n in range(40))


def test_two_engines_over_one_text(tmp_path: Path) -> None:
    told: list[float] = []
    scratch = tmp_path / "rows"
    found = compare((spec("a"), spec("flat")), TEXT, 64, scratch, open_flatter, told.append)
    assert 0 < found["median"] <= found["p99"] <= found["largest"]
    # Halved logits keep their order.
    assert found["same_top"] == 1.0 and found["perplexity"][0] != found["perplexity"][1]
    assert told == sorted(told) and told[-1] == 1.0
    assert not scratch.exists()
    same = compare((spec("a"), spec("a")), TEXT, 64, scratch, open_flatter, print)
    assert (same["mean"], same["same_top"]) == (0.0, 1.0)


def test_other_vocabularies_and_short_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="vocabular"):
        compare((spec("a"), spec("b", n_vocab=4096)), TEXT, 64, tmp_path / "rows", open_fake, print)
    with pytest.raises(BadValue, match="other tokens"):
        compare((spec("a"), spec("b", split="bytes")), TEXT, 64, tmp_path / "rows", open_fake, print)
    with pytest.raises(BadValue, match="at least 16"):
        compare((spec("a"), spec("b")), "Short.", 64, tmp_path / "rows", open_fake, print)
    assert not (tmp_path / "rows").exists()
