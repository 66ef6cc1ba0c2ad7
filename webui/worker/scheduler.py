"""Continuous batching: one thread owns the engine and gives every sequence its turn.

Each turn: take what is new, one batch with a token of every running sequence, a chunk's worth of waiting prompts; then
the chain, the text and the events for each row. Knows nothing of sockets: events leave through `emit`; `add`, `call`,
`change`, `cancel` and `calls.busy` are the only things other threads may use.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any

from webui.engines.base import NEVER, AbortFlag, Chunk, Engine, EngineError, Row, Wanted
from webui.errors import Overloaded, WebUIError
from webui.worker.calls import IDLE, Calls
from webui.worker.jobs import Job, Sequence, make_sequences
from webui.worker.limits import guess, next_guesses
from webui.worker.output import Emit, Outbox, Writer, failed, finished, queued
from webui.worker.picking import Picker, make_vocabulary
from webui.worker.reading import ReadingOrder
from webui.worker.shelf import Shelf
from webui.worker.slots import COPYING, Slot, as_tokens
from webui.worker.store import Store

Call = Callable[[], None]

MAX_WAITING = 1024


class Scheduler:
    def __init__(self, engine: Engine, abort: AbortFlag, emit: Emit, store: Store | None = None) -> None:
        self._engine = engine
        self.calls = Calls(engine, abort)
        self._vocabulary = make_vocabulary(engine)
        self._writer = Writer(engine)
        self._picker = Picker(self._writer, engine.info.n_vocab)
        self._shelf = Shelf(engine, Store(0) if store is None else store)
        self._inbox: queue.SimpleQueue[Job | Call] = queue.SimpleQueue()
        self._jobs: dict[Any, Job] = {}
        self._waiting: list[Sequence] = []
        self._reading: list[Sequence] = []
        self._running: list[Sequence] = []
        self._cancelled: list[Any] = []
        self._changes: list[Call] = []
        self._events = Outbox(emit, patient=engine.fills_cores)
        self._order = ReadingOrder(engine)

    # Used by other threads

    def add(self, job: Job) -> None:
        self._inbox.put(job)
        self.calls.break_off_idle()

    def call(self, function: Call) -> None:
        """Run something between two batches, in the thread that owns the engine."""
        self._inbox.put(function)
        self.calls.break_off_idle()

    def change(self, weights: Call) -> None:
        """Do this once nothing is being read or written, and forget what was read before; who comes meanwhile waits."""
        self.call(lambda: self._changes.append(weights))

    def cancel(self, id: Any) -> None:
        self._inbox.put(lambda: self._cancelled.append(id))
        self.calls.break_off(id)

    # The loop

    def run(self) -> None:
        """Work for ever."""
        while True:
            self.turn()

    def turn(self, *, wait: bool = True) -> bool:
        """One round; False if there was nothing to do."""
        self._take(self._patience() if wait else 0.0)
        self._drop_cancelled()
        self._admit()
        while self._changes and not (self._reading or self._running):
            self._changes.pop(0)()
            self._shelf.forget_all()
            self._admit()
        worked = self._step() | self._read()
        if not self._may_tell_later():
            self._events.flush()
        return worked or self._settle()

    def _patience(self) -> float | None:
        """How long to wait for something new: not at all while there is work, for ever without any."""
        if self._reading or (self._waiting and self._shelf.free):
            return 0.0
        if self._running:
            return max(0.0, min(sequence.not_before for sequence in self._running) - time.monotonic())
        return None if self._shelf.unsettled() is None else 0.0

    def _take(self, seconds: float | None) -> None:
        try:
            while True:
                item = self._inbox.get(seconds is None or seconds > 0, seconds)
                seconds = 0.0
                if isinstance(item, Job):
                    self._welcome(item)
                else:
                    item()
        except queue.Empty:
            return

    def _welcome(self, job: Job) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._fail(job, Overloaded("Too many requests are waiting; try again in a moment."))
            return
        make_sequences(job, self._vocabulary, self._writer.special_tokens)
        self._jobs[job.id] = job
        self._waiting += job.sequences

    def _drop_cancelled(self) -> None:
        for id in self._cancelled:
            if (job := self._jobs.get(id)) is not None and job.request is None:
                self._fail(job, WebUIError("The question was cancelled.", code="cancelled"))
            elif job is not None:
                for sequence in list(job.sequences):
                    self._finish(sequence, "cancelled")
        self._cancelled.clear()

    # Slots

    def _admit(self) -> None:
        """Give free slots to those who wait, first come first served."""
        if not self._waiting:
            return
        # Further choices of a prompt begin once the first has read it for all.
        for sequence in [s for s in self._waiting if (s.job.row is not None if s.index else not self._changes)]:
            if self._shelf.free < (1 if sequence.twin is None else 2):
                break
            self._waiting.remove(sequence)
            self._place(sequence)
            if sequence.twin is not None:
                self._place(sequence.twin)
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
        fresh = (job.exact and sequence.index == 0) or job.on_rows is not None
        copying = 0 if sequence.index else COPYING
        sequence.started = time.monotonic()
        if job.written and (resumed := self._shelf.resume(sequence.prompt, as_tokens(job.written), sequence)):
            sequence.slot, held = resumed
            for sequence.token in job.written[: held + 1]:
                sequence.history.append(sequence.token)
            self._running.append(sequence)
            return
        sequence.slot, sequence.read = self._shelf.place(sequence.prompt, sequence, fresh=fresh, copying=copying)
        sequence.cached = sequence.read
        self._writer.progress(self._events, sequence)
        self._reading.append(sequence)

    def _release(self, sequence: Sequence) -> None:
        if (slot := sequence.slot) is None:
            return
        tokens = sequence.prompt[: 0 if sequence.job.on_rows is not None else sequence.read]
        if sequence not in self._reading:
            tokens = as_tokens([*sequence.history.tokens, *([sequence.ending] if sequence.ending >= 0 else [])])
        followed = len(tokens) - len(sequence.prompt) - 1  # the last may have been broken off before it was decoded
        self._shelf.release(slot, tokens, written=max(0, followed) if sequence.job.on_row is not None else 0)
        sequence.slot = None

    # Batches

    def _step(self) -> bool:
        """A token for every running sequence; those that must be repeatable or have a twin in their own batches."""
        now = time.monotonic()
        ready = [sequence for sequence in self._running if sequence.not_before <= now]
        together: list[Sequence] = []
        batches = [together]
        drafts: dict[Sequence, list[int]] = {}
        for sequence in ready:
            if draft := self._draft(sequence):
                drafts[sequence] = draft
            if draft or sequence.alone:
                batches.append([sequence])
            else:
                together.append(sequence)
        for batch in batches:
            if batch:
                self._run_batch(batch, drafts)
        return bool(ready)

    def _draft(self, sequence: Sequence) -> list[int]:
        """What may come next, if the request wants guesses and nothing it asks for forbids them."""
        request = sequence.job.request
        if request is None or sequence.alone or sequence.reply.watches or self._engine.grid == NEVER:
            return []
        room = min(sequence.job.limit - sequence.count, self._engine.max_rows) - 1
        left = min(request.lookup, sequence.guesses, room)
        return guess(sequence.history.tokens, left) if left > 0 else []

    def _run_batch(self, batch: list[Sequence], drafts: dict[Sequence, list[int]]) -> None:
        chunks: list[Chunk] = []
        for sequence in batch:
            draft = drafts.get(sequence)
            for one in (sequence, sequence.twin):
                if one is not None and one.slot is not None:
                    tokens = (sequence.token, *draft) if draft else (sequence.token,)
                    chunks.append(Chunk(one.slot.index, one.position, tokens, "all" if draft else "last"))
        try:
            rows = self.calls.decode(chunks, frozenset(sequence.job.id for sequence in batch))
        except EngineError as error:
            self._refuse(batch, error)
            return
        if rows is None:
            return
        self._events.flush_due()
        if drafts and batch[0] in drafts:
            self._verify(batch[0], drafts[batch[0]], rows)
            return
        found = iter(rows)
        for sequence in batch:
            row = next(found)
            negative = next(found) if sequence.twin is not None else None
            if sequence.slot is not None:
                self._advance(sequence, row, negative)

    def _verify(self, sequence: Sequence, draft: list[int], rows: list[Row]) -> None:
        """Rows after a token and after each of the guesses that followed it: as long as the chain chooses what was
        guessed, the next row is the true one, so that guessing never changes what is chosen."""
        for right, (row, guessed) in enumerate(zip(rows, [*draft, -1], strict=True)):
            self._advance(sequence, row, None)
            if sequence.slot is None:
                return
            if sequence.token != guessed:
                sequence.guesses = next_guesses(len(draft), right)
                break
        if sequence.slot is not None:
            self._engine.keep(sequence.slot.index, sequence.position)

    def _read(self) -> bool:
        """Chunks of waiting prompts, each a batch of its own."""
        worked = False
        self._order.begin_turn()
        while (found := self._order.next(self._reading)) is not None and self._read_chunk(*found):
            self._events.flush()
            worked = True
        return worked or found is not None

    def _read_chunk(self, sequence: Sequence, end: int) -> bool:
        """False if it was broken off."""
        job, slot = sequence.job, sequence.slot
        assert slot is not None, "who reads has a slot"
        start, length = sequence.read, len(sequence.prompt)
        if start == length:
            self._prompt_read(sequence, slot.content.row)
            return True
        wanted: Wanted = "all" if job.on_rows is not None else "last" if end == length else "none"
        tokens = sequence.prompt[start:end].tolist()
        try:
            rows = self.calls.decode([Chunk(slot.index, start, tokens, wanted, prompt=True)], frozenset([job.id]))
        except EngineError as error:
            self._refuse([sequence], error)
            return False
        if rows is None:
            return False
        sequence.read = end
        if job.on_rows is not None:
            job.on_rows(job, start, rows)
            if end == length:
                self._forget(sequence)
            return True
        row = rows[0].copy() if rows else None
        self._shelf.read(slot, sequence.prompt, end, row)
        self._writer.progress(self._events, sequence)
        if row is not None:
            self._prompt_read(sequence, row)
        return True

    def _prompt_read(self, sequence: Sequence, row: Row | None) -> None:
        """The first token comes from the row after the prompt, once the twin has read its own as well."""
        assert row is not None, "a prompt that is read has its row"
        self._reading.remove(sequence)
        sequence.row = row
        leader = sequence.leader or sequence
        if leader.row is None or (leader.twin is not None and leader.twin.row is None):
            return
        job = leader.job
        job.row = leader.row
        leader.prompt_done = time.monotonic()
        if job.request is not None and job.limit == 0:
            self._finish(leader, "length")
        else:
            self._running.append(leader)
            self._events.urgent = True
            self._advance(leader, leader.row, leader.twin.row if leader.twin is not None else None)

    def _advance(self, sequence: Sequence, row: Row, negative: Row | None) -> None:
        """Choose the next token, tell it, and go on, go back or stop."""
        if sequence.job.on_row is not None:
            self._follow(sequence, row)
            return
        try:
            outcome = self._picker.advance(sequence, row, negative)
        except WebUIError as error:
            self._fail(sequence.job, error)
            return
        if sequence.reply.out:
            self._events += [[sequence.job.id, event] for event in sequence.reply.out]
            sequence.reply.out.clear()
        if outcome == "go_back":
            self._go_back(sequence)
        elif outcome != "go_on":
            self._finish(sequence, outcome)
        elif sequence.twin is not None:
            sequence.twin.history.append(sequence.token)

    def _follow(self, sequence: Sequence, row: Row) -> None:
        """A job that only wants a row: what was written is decoded as when it was generated, then the row is told."""
        job = sequence.job
        place = len(sequence.history) - len(sequence.prompt)
        if place < len(job.written):
            sequence.token = job.written[place]
            sequence.history.append(sequence.token)
        elif job.on_row is not None:
            job.on_row(job, row)
            self._forget(sequence)

    def _go_back(self, sequence: Sequence) -> None:
        """The history was cut before a banned string: decode its last token again to choose another way."""
        generated = len(sequence.history) - len(sequence.prompt)
        if twin := sequence.twin:
            twin.history.truncate(len(twin.prompt) + generated)
        if generated == 0:
            assert sequence.row is not None, "the row after the prompt is kept"
            for one in (sequence, twin):
                if one is not None and one.slot is not None:
                    self._engine.keep(one.slot.index, len(one.prompt))
            self._advance(sequence, sequence.row, twin.row if twin is not None else None)
            return
        sequence.token = int(sequence.history.tokens[-1])
        for one in (sequence, twin):
            if one is not None and one.slot is not None:
                self._engine.keep(one.slot.index, one.position)

    # Endings

    def _finish(self, sequence: Sequence, reason: str) -> None:
        self._events += [[sequence.job.id, event] for event in finished(sequence, reason)]
        self._forget(sequence)

    def _forget(self, sequence: Sequence) -> None:
        for one in (sequence.twin, sequence):
            if one is not None:
                self._release(one)
                for group in (self._running, self._reading, self._waiting, sequence.job.sequences):
                    if one in group:
                        group.remove(one)
        if not sequence.job.sequences:
            self._jobs.pop(sequence.job.id, None)

    def _refuse(self, batch: list[Sequence], error: EngineError) -> None:
        """The engine did not take a batch: what its slots hold is no longer known."""
        slots: list[Slot] = [
            one.slot for s in batch for one in (s, s.twin, s.leader) if one is not None and one.slot is not None
        ]
        for job in {sequence.job for sequence in batch}:
            self._fail(job, WebUIError(f"The engine refused the batch: {error}.", code="engine_refused"))
        for slot in slots:
            self._shelf.spoil(slot)

    def _fail(self, job: Job, error: WebUIError) -> None:
        if job.on_error is not None:
            job.on_error(error)
        else:
            self._events.append([job.id, failed(error)])
        for sequence in list(job.sequences):
            self._forget(sequence)

    def _may_tell_later(self) -> bool:
        """Whether the news can wait for the end of a later batch: the engine's other threads then pause, and the page's
        process has a core for itself, which it would take from them during a batch."""
        next_is_brief = self._running and not self._reading and self.calls.was_brief
        return bool(next_is_brief) and self._events.may_wait and self._patience() == 0.0

    def _settle(self) -> bool:
        """While nobody waits, read generated text again as a prompt, so that the next message pays only for itself."""
        slot = self._shelf.unsettled()
        if slot is None or self._running or not self._inbox.empty():
            return False
        work = self._shelf.settling(slot)
        try:
            self._shelf.settled(work, done=self.calls.decode([work.chunk], IDLE) is not None)
        except EngineError:
            self._shelf.spoil(slot)
        return True
