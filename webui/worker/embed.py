"""Vectors of texts beside generations: each text is read in pieces, and between two of them others get their tokens.

A thread of its own asks the engine's thread for one piece at a time. What is read with lives in a context of its own,
as large as the texts need, which is freed as soon as nobody has wanted one for a while.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from webui.engines.base import Aborted, Embedder, Engine, EngineError, Pooling
from webui.errors import WebUIError
from webui.worker.slots import Tokens

T = TypeVar("T")
Vector = NDArray[np.float32]
Done = Callable[[Vector | WebUIError], None]
Call = Callable[[Callable[[], None], frozenset[Any]], None]

IDLE_SECONDS = 10.0
_STEP = 512


class Pool:
    """The vectors of a text's tokens as one of length 1, whatever pieces they come in."""

    def __init__(self, pooling: Pooling, size: int) -> None:
        self._pooling = pooling
        self._sum = np.zeros(size, np.float64)
        self._empty = True

    def add(self, rows: NDArray[np.float32]) -> None:
        if self._pooling == "mean":
            self._sum += rows.sum(axis=0, dtype=np.float64)
        elif self._pooling == "last" or self._empty:
            self._sum = rows[-1 if self._pooling == "last" else 0].astype(np.float64)
        self._empty = False

    def vector(self) -> Vector:
        # Dividing by the count first would change nothing once the length is 1.
        length = float(np.linalg.norm(self._sum))
        return (self._sum / length if length > 0 else self._sum).astype(np.float32)


class Embeddings:
    """`call` runs a function in the engine's thread, between two batches, and is told for whom."""

    def __init__(self, engine: Engine, call: Call, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._engine = engine
        self._call = call
        self._idle_seconds = idle_seconds
        self._inbox: queue.SimpleQueue[tuple[Any, Tokens]] = queue.SimpleQueue()
        self._wanted: dict[Any, Done] = {}
        self._embedder: Embedder | None = None
        threading.Thread(target=self._run, name="embeddings", daemon=True).start()

    def add(self, id: Any, tokens: Tokens, done: Done) -> None:
        """`done` is called once with the vector, or with what went wrong, from another thread."""
        self._wanted[id] = done
        self._inbox.put((id, tokens))

    def cancel(self, id: Any) -> None:
        """Nobody wants it any more: no further piece is read (the caller breaks off the one that is being read)."""
        self._tell(id, WebUIError("The question was cancelled.", code="cancelled"))

    def _tell(self, id: Any, found: Vector | WebUIError) -> None:
        done = self._wanted.pop(id, None)
        if done is not None:
            done(found)

    def forget(self) -> None:
        """The weights were changed: vectors come from a new context. Called in the engine's thread."""
        if self._embedder is not None:
            self._embedder.close()
            self._embedder = None

    def _run(self) -> None:
        while True:
            try:
                id, tokens = self._inbox.get(timeout=self._idle_seconds if self._embedder else None)
            except queue.Empty:
                self._in_engine(self.forget, frozenset())
                continue
            try:
                found: Vector | WebUIError = self._embed(id, tokens)
            except WebUIError as error:
                found = error
            except EngineError as error:
                found = WebUIError(f"The engine refused the text: {error}.", code="engine_refused")
            self._tell(id, found)

    def _embed(self, id: Any, tokens: Tokens) -> Vector:
        pool: Pool | None = None
        position = 0
        while position < len(tokens):
            embedder, rows = self._in_engine(partial(self._read, id, tokens, position), frozenset([id]))
            if pool is None:
                pool = Pool(embedder.pooling, embedder.size)
            pool.add(rows)
            position += len(rows)
        assert pool is not None, "a text has tokens"
        return pool.vector()

    def _read(self, id: Any, tokens: Tokens, position: int) -> tuple[Embedder, NDArray[np.float32]]:
        """One piece, in the engine's thread."""
        if id not in self._wanted:
            raise Aborted("nobody waits for it any more")
        embedder = self._embedder
        if embedder is None or embedder.n_ctx < len(tokens):
            if position:
                raise EngineError("the model was changed meanwhile")
            self.forget()
            room = min(-(-len(tokens) // _STEP) * _STEP, self._engine.info.n_ctx)
            embedder = self._embedder = self._engine.embedder(room)
        return embedder, embedder.read(tokens[position : position + embedder.chunk].tolist(), position)

    def _in_engine(self, function: Callable[[], T], ids: frozenset[Any]) -> T:
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(function())
            except (WebUIError, EngineError) as error:
                future.set_exception(error)

        self._call(work, ids)
        return future.result()
