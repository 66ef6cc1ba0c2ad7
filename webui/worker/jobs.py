"""A request on its way through the worker: checked, cut into tokens, and one `Sequence` for each of its choices.

Knows the chain and the text rules of a request; nothing of slots' contents, batches or sockets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from webui.engines.base import Row
from webui.errors import WebUIError
from webui.samplers.chain import Chain
from webui.samplers.state import History, State, Vocabulary
from webui.samplers.trace import CompactTrace
from webui.types import GenerationRequest
from webui.worker.channels import make_splitter
from webui.worker.constraint import Constraint
from webui.worker.reply import Reply
from webui.worker.slots import Slot, Tokens


@dataclass(slots=True, eq=False)
class Job:
    """Something that wants a prompt read: a generation, or just rows of logits."""

    id: Any
    prompt: Tokens
    request: GenerationRequest | None = None
    chain: Chain | None = None
    limit: int = 0
    seed: int = -1
    stop_tokens: frozenset[int] = frozenset()
    negative: Tokens | None = None
    """The prompt to steer away from; every choice then has a twin that reads it."""
    constraint: Constraint | None = None
    prompt_tail: str = ""
    written: tuple[int, ...] = ()
    """For `on_row`: tokens after the prompt that are decoded one by one, as a generation decodes what it wrote."""
    on_row: Callable[[Job, Row], None] | None = None
    """For a job that only wants the row after the prompt (and what was written after it)."""
    on_rows: Callable[[Job, int, list[Row]], None] | None = None
    """For a job that wants the rows after each token, a few at a time, with the place of the first. Its slot is empty
    afterwards: nothing can go on from what was read that way."""
    on_error: Callable[[WebUIError], None] | None = None
    """For a job that wants rows: they will not come. Whoever asks for text is told by a `failed` event."""
    arrived: float = field(default_factory=time.monotonic)
    sequences: list[Sequence] = field(default_factory=list)
    row: Row | None = None
    """The logits after the prompt, once it was read: all choices begin with it."""
    place: int = 0
    """The place in the queue that was last told."""

    @property
    def exact(self) -> bool:
        return self.request is not None and self.request.deterministic


@dataclass(slots=True, eq=False)
class Sequence:
    """One choice of a job while it is worked on, or the twin that follows it after the negative prompt."""

    job: Job
    index: int
    prompt: Tokens
    history: History
    state: State = field(default_factory=State)
    reply: Reply = field(default_factory=Reply)
    trace: CompactTrace | None = None
    constraint: Constraint | None = None
    twin: Sequence | None = None
    leader: Sequence | None = None
    """Whose twin this is."""
    slot: Slot | None = None
    read: int = 0
    """How much of the prompt the slot holds."""
    cached: int = 0
    row: Row | None = None
    """The logits after the prompt, while the twin is still reading."""
    barred: dict[int, set[int]] = field(default_factory=dict)
    """Tokens that must not stand at a place, because they began a banned string there."""
    token: int = -1
    """Chosen, but not yet decoded."""
    ending: int = -1
    """The token that ended the reply."""
    count: int = 0
    guesses: int = 1 << 16
    """How many tokens may be guessed at most, after what the last guesses were worth."""
    not_before: float = 0.0
    started: float = 0.0
    prompt_done: float = 0.0
    first_token: float = 0.0

    @property
    def position(self) -> int:
        """Where the chosen token stands."""
        return len(self.history) - 1

    @property
    def alone(self) -> bool:
        """Whether it must be decoded in a batch of its own."""
        return self.job.exact or self.twin is not None


def make_sequences(job: Job, vocabulary: Vocabulary, special_tokens: tuple[str, ...]) -> None:
    """A sequence for each choice: choice i has seed + i, also if the first seed was drawn."""
    request = job.request
    if request is None:
        job.sequences = [Sequence(job, 0, job.prompt, History(job.prompt))]
        return
    first = State(request.seed, vocabulary)
    job.seed = first.seed
    for index in range(request.n):
        splitter = make_splitter(request.reasoning, job.prompt_tail, special_tokens)
        sequence = Sequence(
            job,
            index,
            job.prompt,
            History(job.prompt),
            state=first if index == 0 else State(job.seed + index, vocabulary),
            reply=Reply(index, request.stop, request.banned_strings, splitter, request.min_tokens),
            trace=None if request.alternatives is None else CompactTrace(request.alternatives),
            constraint=job.constraint.copy() if job.constraint is not None else None,
        )
        if job.negative is not None:
            sequence.twin = Sequence(job, index, job.negative, History(job.negative), leader=sequence)
        job.sequences.append(sequence)
