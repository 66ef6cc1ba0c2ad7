"""Scores of a text: figures by hand, the same numbers as the `logits` frame gives, and no more rows held than are
looked at."""

from __future__ import annotations

import gc
import math
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.worker.bench import Bench
from tests.worker.harness import worker
from webui.errors import BadValue
from webui.worker.jobs import Job
from webui.worker.score import Score, check_top
from webui.worker.slots import as_tokens


class Row(np.ndarray[Any, Any]):
    """An array that can be watched going away."""


def softmax(row: NDArray[np.float32]) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.exp(row.astype(np.float64) - float(row.max()))
    chances: NDArray[np.float64] = weights / weights.sum()
    return chances


def test_figures_are_those_of_the_row_before_each_token() -> None:
    rows = [np.log(np.array(p, np.float32)) for p in ([0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [1.0, 1.0, 1.0])]
    score = Score(as_tokens([0, 1, 2]), 2)
    score.add(0, [rows[0]])
    assert not score.complete
    score.add(1, rows[1:])
    assert score.complete
    figures = score.figures()
    assert figures["logprobs"] == [None, pytest.approx(math.log(0.25)), pytest.approx(math.log(0.75))]
    assert figures["ranks"] == [None, 2, 1]
    entropy = -(0.25 * math.log2(0.125) + 0.75 * math.log2(0.75))
    assert figures["entropies"] == [None, pytest.approx(1.5, abs=1e-6), pytest.approx(entropy, abs=1e-6)]
    assert [[id for id, _ in top] for top in figures["top"]] == [[], [0, 1], [2, 0]]
    assert figures["top"][2][0][1] == pytest.approx(math.log(0.75))


@pytest.mark.parametrize("top", [-1, 201, 2.0, True, "3"])
def test_how_many_others_is_checked(top: Any) -> None:
    with pytest.raises(BadValue):
        check_top(top)


def test_no_row_is_held_once_it_was_looked_at() -> None:
    score = Score(as_tokens(list(range(100))), 5)
    watched: list[weakref.ref[Row]] = []
    for place in range(99):
        row = np.random.default_rng(place).standard_normal(500).astype(np.float32).view(Row)
        watched.append(weakref.ref(row))
        score.add(place, [row])
        del row
    gc.collect()
    assert not any(reference() is not None for reference in watched)


def test_an_engine_is_never_asked_for_more_rows_than_a_batch_gives() -> None:
    bench = Bench(n_ctx=2048)
    seen: list[int] = []
    bench.scheduler.add(
        Job(
            "score",
            as_tokens([65] * 1500),
            on_rows=lambda job, start, rows: seen.extend(range(start, start + len(rows))),
        )
    )
    bench.run()
    asked = [sum(len(chunk.tokens) for chunk in batch if chunk.rows == "all") for batch in bench.engine.batches]
    assert max(asked) <= bench.engine.max_rows
    assert seen == list(range(1500))


TEXT = "The capital of France is Paris. It lies on the Seine; the Eiffel Tower was built there in 1889. " * 2


def peak(process: int, *, reset: bool = False) -> int:
    """The most bytes a process held since the last reset."""
    if reset:
        Path(f"/proc/{process}/clear_refs").write_text("5")
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


@pytest.mark.model
def test_every_token_has_the_chance_the_model_gives_it(starter_path: Path) -> None:
    """On a CPU the model's rows do not depend on how many are asked for at once, so the numbers agree to the bit: a
    row that is shifted, or a sum that is wrong, cannot hide."""
    with worker() as w:
        w.load(path=str(starter_path), engine="llamacpp", n_ctx=1536, slots=1, threads=1)
        score, _ = w.ask("score", prompt=TEXT, top=3)
        tokens = score["tokens"]
        assert len(tokens) > 40
        for place in [1, 2, 5, 30, 31, 32, 33, 34, len(tokens) - 1]:
            _, blob = w.ask("logits", id=f"place {place}", prompt=tokens[:place])
            row = np.frombuffer(blob, np.float32)
            p = softmax(row)
            tolerance = 1e-9 if place > 1 else 0.5  # a single token is read by other code than several
            assert score["logprobs"][place] == pytest.approx(math.log(p[tokens[place]]), abs=tolerance)
            if place > 1:
                assert score["ranks"][place] == int((row > row[tokens[place]]).sum()) + 1
                assert score["entropies"][place] == pytest.approx(-(p[p > 0] * np.log2(p[p > 0])).sum(), abs=1e-6)
                assert [id for id, _ in score["top"][place]] == np.argsort(-row, kind="stable")[:3].tolist()
        long, _ = w.ask("tokenize", text="The sea was wide and the ship was old. " * 90)
        w.ask("score", id="warm", prompt=long["tokens"][:100])
        before = peak(w.popen.pid, reset=True)
        w.send("score", id="long", prompt=long["tokens"][:800])
        w.wait_for("reply", id="long", seconds=300)
        # All rows together would be 157 MB; what else grows is the cache of the conversation.
        assert peak(w.popen.pid) - before < 60 << 20


@pytest.mark.long
@pytest.mark.model
def test_a_quantisation_whose_rows_depend_on_the_batch_still_agrees(gemma_path: Path) -> None:
    """K-quants use other code for one row than for many: chances differ by some hundredths, never by a place."""
    with worker() as w:
        w.load(path=str(gemma_path), engine="llamacpp", n_ctx=1024, slots=1)
        score, _ = w.ask("score", prompt=TEXT)
        tokens = score["tokens"]
        exact = []
        for place in range(2, len(tokens)):
            _, blob = w.ask("logits", id=f"place {place}", prompt=tokens[:place])
            exact.append(math.log(softmax(np.frombuffer(blob, np.float32))[tokens[place]]))
    told = np.array(score["logprobs"][2:])
    differences = np.abs(told - exact)
    assert differences.mean() < 0.08 and differences.max() < 0.6
    assert np.corrcoef(told, exact)[0, 1] > 0.995 > np.corrcoef(told[1:], exact[:-1])[0, 1] + 0.2
