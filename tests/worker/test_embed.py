"""Vectors of texts: pooled exactly whatever pieces they are read in, and generations never stand still for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from webui.engines.base import AbortFlag, Pooling
from webui.engines.fake import FakeEmbedder, FakeEngine, open_fake
from webui.errors import WebUIError
from webui.types import LoadSpec
from webui.worker.embed import Embeddings, Pool
from webui.worker.slots import as_tokens


def engine() -> FakeEngine:
    return open_fake(LoadSpec("x", engine="fake", n_ctx=1024), lambda done: True, AbortFlag())


class EngineThread:
    """Runs what is asked for, one thing after another, in one thread, as the scheduler does; counts the turns."""

    def __init__(self) -> None:
        self.turns = 0
        self.threads: set[int] = set()
        self._lock = threading.Lock()

    def call(self, function: Callable[[], None], ids: frozenset[Any]) -> None:
        def run() -> None:
            with self._lock:
                self.turns += 1
                function()

        threading.Thread(target=run).start()


def ask(embeddings: Embeddings, tokens: list[int]) -> Any:
    answers: list[Any] = []
    arrived = threading.Event()

    def done(found: Any) -> None:
        answers.append(found)
        arrived.set()

    embeddings.add(len(tokens), as_tokens(tokens), done)
    assert arrived.wait(10)
    return answers[0]


@pytest.mark.parametrize("pieces", [[5], [2, 3], [1, 1, 1, 1, 1]])
def test_pooling_does_not_depend_on_the_pieces(pieces: list[int]) -> None:
    rows = np.random.Generator(np.random.PCG64(1)).standard_normal((5, 8)).astype(np.float32)
    wanted: dict[Pooling, Any] = {"mean": rows.mean(axis=0, dtype=np.float64), "first": rows[0], "last": rows[-1]}
    for pooling, expected in wanted.items():
        pool = Pool(pooling, 8)
        start = 0
        for size in pieces:
            pool.add(rows[start : start + size])
            start += size
        assert np.allclose(pool.vector(), expected / np.linalg.norm(expected), atol=1e-6)
        assert abs(float(np.linalg.norm(pool.vector())) - 1) < 1e-6


def test_a_vector_of_nothing_stays_nothing() -> None:
    pool = Pool("mean", 4)
    pool.add(np.zeros((2, 4), np.float32))
    assert pool.vector().tolist() == [0, 0, 0, 0]


def test_a_long_text_is_read_a_piece_at_a_time() -> None:
    thread = EngineThread()
    embeddings = Embeddings(engine(), thread.call)
    tokens = list(range(100))
    vector = ask(embeddings, tokens)
    assert thread.turns == -(-100 // FakeEmbedder.chunk)
    whole = FakeEmbedder(1000)
    whole.chunk = 1000
    mean = whole.read(tokens, 0).mean(axis=0, dtype=np.float64)
    assert np.allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)
    assert np.array_equal(ask(embeddings, tokens), vector)


def test_its_context_is_only_as_large_as_the_texts_and_goes_when_nobody_asks() -> None:
    made: list[FakeEmbedder] = []
    fake = engine()
    freed = threading.Event()

    class Watched(FakeEmbedder):
        def close(self) -> None:
            super().close()
            freed.set()

    def embedder(n_ctx: int) -> FakeEmbedder:
        made.append(Watched(n_ctx))
        return made[-1]

    fake.embedder = embedder  # type: ignore[method-assign]
    embeddings = Embeddings(fake, EngineThread().call, idle_seconds=0.05)
    ask(embeddings, [1, 2, 3])
    assert [one.n_ctx for one in made] in ([512], [0])
    assert freed.wait(10) and made[0].n_ctx == 0
    ask(embeddings, [1] * 600)
    assert made[-1].n_ctx in (1024, 0) and len(made) == 2


def test_what_the_engine_refuses_is_told() -> None:
    fake = engine()

    def embedder(n_ctx: int) -> FakeEmbedder:
        raise WebUIError("It cannot.", code="embeddings_not_supported")

    fake.embedder = embedder  # type: ignore[method-assign]
    embeddings = Embeddings(fake, EngineThread().call)
    found = ask(embeddings, [1])
    assert isinstance(found, WebUIError) and found.code == "embeddings_not_supported"
    fake.embedder = lambda n_ctx: FakeEmbedder(1)  # type: ignore[method-assign]
    found = ask(embeddings, [1, 2])
    assert isinstance(found, WebUIError) and found.code == "engine_refused"
    del fake.embedder
    embeddings.forget()
    assert len(ask(embeddings, [1])) == 64
