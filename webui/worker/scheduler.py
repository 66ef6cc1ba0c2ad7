"""Continuous batching: one thread owns the engine and gives every sequence its turn.

Each turn: take what is new, one batch with a token of every running sequence, one chunk of a waiting prompt, then the
chain, the text and the events for each row. Knows nothing of sockets: events leave through `emit`, requests come in
through `add` and `cancel` (the only two that other threads may call, besides `busy`).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from webui.engines.base import Aborted, AbortFlag, Chunk, Engine, EngineError, Row
from webui.errors import Overloaded, WebUIError
from webui.samplers.state import Vocabulary
from webui.worker.jobs import Job, Sequence, make_sequences
from webui.worker.output import Writer, failed, finished, queued
from webui.worker.slots import COPYING, Content, Slot, as_tokens, choose, cut_down, next_cut

Emit = Callable[[list[Any]], None]
Call = Callable[[], None]

MAX_WAITING = 1024
OLDEST_FIRST = 4
"""Every so many prompt chunks go to the prompt that waits longest; the others to the one that has least left."""
SLOW_STEP = 0.3
"""A step that takes longer is broken off for a cancel, though others must then decode their token again."""


class Scheduler:
    def __init__(self, engine: Engine, abort: AbortFlag, emit: Emit) -> None:
        self._engine = engine
        self._abort = abort
        self._emit = emit
        info = engine.info
        self._vocabulary = make_vocabulary(engine)
        self._writer = Writer(engine)
        self._slots = [Slot(index) for index in range(info.slots)]
        self._inbox: queue.SimpleQueue[Job | Call] = queue.SimpleQueue()
        self._jobs: dict[Any, Job] = {}
        self._waiting: list[Sequence] = []
        self._reading: list[Sequence] = []
        self._running: list[Sequence] = []
        self._cancelled: list[Any] = []
        self._events: list[Any] = []
        self._chunks = 0
        self._step_seconds = 0.0
        self._lock = threading.Lock()
        self._current: frozenset[Any] = frozenset()
        self._since = 0.0

    # Called by other threads

    def add(self, job: Job) -> None:
        self._inbox.put(job)
        self._break_off_idle_work()

    def call(self, function: Call) -> None:
        """Run something between two batches, in the thread that owns the engine."""
        self._inbox.put(function)
        self._break_off_idle_work()

    def cancel(self, id: Any) -> None:
        self._inbox.put(lambda: self._cancelled.append(id))
        with self._lock:
            if id in self._current and (len(self._current) == 1 or self._step_seconds > SLOW_STEP):
                self._abort.set()

    def _break_off_idle_work(self) -> None:
        with self._lock:
            if self._current == _IDLE:
                self._abort.set()

    @property
    def busy(self) -> float:
        """Seconds the engine call that is running has taken so far."""
        since = self._since
        return time.monotonic() - since if since else 0.0

    # The loop

    def run(self) -> None:
        """Work for ever."""
        while True:
            self.turn()

    def turn(self, *, wait: bool = True) -> bool:
        """One round; False if there was nothing to do."""
        idle = not (self._running or self._reading or self._waiting)
        self._take(wait=wait and idle and not self._unsettled())
        self._drop_cancelled()
        self._admit()
        worked = self._step() | self._read()
        self._flush()
        return worked or self._settle()

    def _take(self, *, wait: bool) -> None:
        try:
            while True:
                item = self._inbox.get(block=wait)
                wait = False
                if isinstance(item, Job):
                    self._welcome(item)
                else:
                    item()
        except queue.Empty:
            return

    def _welcome(self, job: Job) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._events.append([job.id, failed(Overloaded("Too many requests are waiting; try again in a moment."))])
            return
        make_sequences(job, self._vocabulary)
        self._jobs[job.id] = job
        self._waiting += job.sequences

    def _drop_cancelled(self) -> None:
        for id in self._cancelled:
            if job := self._jobs.get(id):
                for sequence in list(job.sequences):
                    self._finish(sequence, "cancelled")
        self._cancelled.clear()

    # Slots

    def _admit(self) -> None:
        """Give free slots to those who wait, first come first served."""
        free = sum(slot.owner is None for slot in self._slots)
        if not self._waiting:
            return
        # Further choices of a prompt begin once the first has read it for all.
        ready = [s for s in self._waiting if not s.index or s.job.row is not None or s.job.sequences[0] is s]
        for sequence in ready[:free]:
            self._waiting.remove(sequence)
            self._place(sequence)
        place = 0
        for sequence in self._waiting:
            job = sequence.job
            if sequence.index == 0 and job.request is not None:
                place += 1
                if job.place != place:
                    job.place = place
                    self._events.append([job.id, queued(place)])

    def _place(self, sequence: Sequence) -> None:
        job = sequence.job
        grid = self._engine.grid
        place = choose(self._slots, job.prompt, grid, 0 if sequence.index else COPYING)
        assert place is not None, "a slot is free"
        slot, cached = place.slot, 0 if job.exact and sequence.index == 0 else place.cached
        slot.owner = sequence
        sequence.slot, sequence.started = slot, time.monotonic()
        if place.source is not None and cached:
            self._engine.copy(place.source.index, slot.index, cached)
            origin = place.source.content
            slot.content = Content(origin.tokens, origin.solid, origin.row, origin.row_at)
        if sequence.index and job.row is not None:
            slot.content.row, slot.content.row_at = job.row, len(job.prompt)
            cached = slot.content.usable(job.prompt, grid)
        self._engine.keep(slot.index, cached)
        slot.content.cut(cached)
        sequence.cached = sequence.read = cached
        self._writer.progress(self._events, sequence)
        self._reading.append(sequence)

    def forget_all(self) -> None:
        """What idle slots hold is of no use any more (the model's weights were changed)."""
        for slot in self._slots:
            if slot.owner is None:
                self._engine.keep(slot.index, 0)
            slot.content = Content()

    def _release(self, sequence: Sequence) -> None:
        """The slot keeps what it holds for whoever comes with the same beginning.

        Its tokens are those a follow-up would begin with, the one that ended the reply included; how many of them the
        engine really holds does not matter, since only the solid ones are used.
        """
        slot = sequence.slot
        if slot is None:
            return
        if sequence in self._reading:
            tokens = sequence.job.prompt[: sequence.read]
        else:
            tokens = as_tokens([*sequence.history.tokens, *([sequence.ending] if sequence.ending >= 0 else [])])
        slot.content.tokens = tokens
        slot.owner, slot.used = None, time.monotonic()
        sequence.slot = None

    # Batches

    def _decode(self, chunks: list[Chunk], ids: frozenset[Any]) -> list[Row] | None:
        """One engine call; None if it was broken off."""
        with self._lock:
            self._abort.clear()
            self._current = ids
        self._since = start = time.monotonic()
        try:
            return self._engine.decode(chunks)
        except Aborted:
            for chunk in chunks:
                self._engine.keep(chunk.slot, chunk.position)
            return None
        finally:
            self._since = 0.0
            self._step_seconds = time.monotonic() - start
            with self._lock:
                self._current = frozenset()

    def _step(self) -> bool:
        """A token for every running sequence. Those that must be repeatable are decoded alone."""
        together = [sequence for sequence in self._running if not sequence.job.exact]
        batches = [together] if together else []
        batches += [[sequence] for sequence in self._running if sequence.job.exact]
        for batch in batches:
            chunks = [Chunk(s.slot.index, s.position, (s.token,)) for s in batch if s.slot is not None]
            try:
                rows = self._decode(chunks, frozenset(sequence.job.id for sequence in batch))
            except EngineError as error:
                self._refuse(batch, error)
                continue
            for sequence, row in zip(batch, rows or (), strict=False):
                if sequence.slot is not None:
                    self._advance(sequence, row)
        return bool(batches)

    def _read(self) -> bool:
        """The next chunk of one prompt."""
        if not self._reading:
            return False
        self._chunks += 1
        sequence = self._reading[0]
        if self._chunks % OLDEST_FIRST:
            sequence = min(self._reading, key=lambda s: len(s.job.prompt) - s.read)
        job, slot = sequence.job, sequence.slot
        assert slot is not None, "who reads has a slot"
        length = len(job.prompt)
        if sequence.read == length:
            self._begin(sequence, slot.content.row)
            return True
        end = next_cut(sequence.read, length, self._engine.chunk, self._engine.grid)
        tokens = job.prompt[sequence.read : end]
        chunk = Chunk(slot.index, sequence.read, tokens.tolist(), "last" if end == length else "none", prompt=True)
        try:
            rows = self._decode([chunk], frozenset([job.id]))
        except EngineError as error:
            self._refuse([sequence], error)
            return True
        if rows is None:
            return True
        sequence.read = end
        slot.content.tokens, slot.content.solid = job.prompt[:end], end
        self._writer.progress(self._events, sequence)
        if rows:
            slot.content.row, slot.content.row_at = rows[0].copy(), length
            self._begin(sequence, slot.content.row)
        return True

    def _begin(self, sequence: Sequence, row: Row | None) -> None:
        """The prompt is read: the first token comes from the row after it."""
        assert row is not None, "a prompt that is read has its row"
        job = sequence.job
        job.row = row
        sequence.prompt_done = time.monotonic()
        self._reading.remove(sequence)
        if job.on_row is not None:
            job.on_row(job, row)
            self._forget(sequence)
        elif job.limit == 0:
            self._finish(sequence, "length")
        else:
            self._advance(sequence, row)

    def _advance(self, sequence: Sequence, row: Row) -> None:
        """Choose the next token, tell it, and go on or stop."""
        chain = sequence.job.chain
        assert chain is not None, "a generation has a chain"
        try:
            pick = chain.run(row, sequence.history, sequence.state, trace=sequence.trace)
        except WebUIError as error:
            self._fail(sequence.job, error)
            return
        sequence.state.accept(pick)
        token = pick.token
        if sequence.token < 0:
            self._running.append(sequence)
            sequence.first_token = time.monotonic()
        if self._writer.ends(sequence, token):
            sequence.ending = token
            self._finish(sequence, "stop")
            return
        sequence.history.append(token)
        sequence.token = token
        sequence.count += 1
        self._writer.token(self._events, sequence, pick)
        if sequence.stops.stop_string is not None:
            self._finish(sequence, "stop_string")
        elif sequence.count >= sequence.job.limit:
            self._finish(sequence, "length")

    # Endings

    def _finish(self, sequence: Sequence, reason: str) -> None:
        self._events.append([sequence.job.id, finished(sequence, reason)])
        self._forget(sequence)

    def _forget(self, sequence: Sequence) -> None:
        self._release(sequence)
        for group in (self._running, self._reading, self._waiting, sequence.job.sequences):
            if sequence in group:
                group.remove(sequence)
        if not sequence.job.sequences:
            self._jobs.pop(sequence.job.id, None)

    def _refuse(self, batch: list[Sequence], error: EngineError) -> None:
        """The engine did not take a batch: what its slots hold is no longer known."""
        slots = [sequence.slot for sequence in batch if sequence.slot is not None]
        for job in {sequence.job for sequence in batch}:
            self._fail(job, WebUIError(f"The engine refused the batch: {error}.", code="engine_refused"))
        for slot in slots:
            self._engine.keep(slot.index, 0)
            slot.content = Content()

    def _fail(self, job: Job, error: WebUIError) -> None:
        self._events.append([job.id, failed(error)])
        for sequence in list(job.sequences):
            self._forget(sequence)

    def _flush(self) -> None:
        if self._events:
            events, self._events = self._events, []
            self._emit(events)

    # Idle work

    def _unsettled(self) -> Slot | None:
        """A free slot whose last tokens were generated, not read: used again they would give slightly other numbers."""
        grid = self._engine.grid
        for slot in self._slots:
            held = len(slot.content.tokens)
            if slot.owner is None and cut_down(held, held + grid, grid) > slot.content.solid:
                return slot
        return None

    def _settle(self) -> bool:
        """While nobody waits, read generated text again as a prompt, so that the next message pays only for itself."""
        slot = self._unsettled()
        if slot is None or not self._inbox.empty():
            return False
        content, grid = slot.content, self._engine.grid
        held = len(content.tokens)
        start = cut_down(content.solid, held, grid)
        end = next_cut(start, held, self._engine.chunk, grid)
        self._engine.keep(slot.index, start)
        chunk = Chunk(slot.index, start, content.tokens[start:end].tolist(), "none", prompt=True)
        try:
            done = self._decode([chunk], _IDLE) is not None
        except EngineError:
            self._engine.keep(slot.index, 0)
            slot.content = Content()
            return True
        reached = end if done else start
        content.solid = reached
        if content.row_at > reached:
            content.row, content.row_at = None, -1
        return True


_IDLE: frozenset[Any] = frozenset(["idle"])


def make_vocabulary(engine: Engine) -> Vocabulary:
    info = engine.info
    newline = engine.tokenize("\n", add_bos=False, special=False)
    return Vocabulary(
        size=info.n_vocab,
        end_ids=info.end_ids,
        newline_ids=tuple(np.unique(newline[-1:]).tolist()),
        pieces=lambda token: engine.piece(token),
        tokenize=lambda text: engine.tokenize(text, add_bos=False, special=False),
    )
