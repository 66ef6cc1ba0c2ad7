"""A request on its way through the worker: checked, cut into tokens, and one `Sequence` for each of its choices.

Knows the chain and the text rules of a request; nothing of slots' contents, batches or sockets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from webui.engines.base import Row
from webui.samplers.chain import Chain
from webui.samplers.state import History, State, Vocabulary
from webui.samplers.trace import CompactTrace
from webui.types import GenerationRequest
from webui.worker.slots import Slot, Tokens
from webui.worker.text import StopMatcher, Utf8Joiner


@dataclass(slots=True, eq=False)
class Job:
    """Something that wants a prompt read: a generation, or (with `on_row`) just the row of logits after it."""

    id: Any
    prompt: Tokens
    request: GenerationRequest | None = None
    chain: Chain | None = None
    limit: int = 0
    seed: int = -1
    stop_tokens: frozenset[int] = frozenset()
    arrived: float = field(default_factory=time.monotonic)
    sequences: list[Sequence] = field(default_factory=list)
    row: Row | None = None
    """The logits after the prompt, once it was read: all choices begin with it."""
    on_row: Callable[[Job, Row], None] | None = None
    """For a job that only wants this row."""
    place: int = 0
    """The place in the queue that was last told."""

    @property
    def exact(self) -> bool:
        return self.request is not None and self.request.deterministic


@dataclass(slots=True, eq=False)
class Sequence:
    """One choice of a job while it is worked on."""

    job: Job
    index: int
    slot: Slot | None = None
    read: int = 0
    """How much of the prompt the slot holds."""
    cached: int = 0
    state: State = field(default_factory=State)
    history: History = field(default_factory=History)
    joiner: Utf8Joiner = field(default_factory=Utf8Joiner)
    stops: StopMatcher = field(default_factory=lambda: StopMatcher(()))
    trace: CompactTrace = field(default_factory=lambda: CompactTrace(0))
    token: int = -1
    """Chosen, but not yet decoded."""
    ending: int = -1
    """The token that ended the reply."""
    count: int = 0
    started: float = 0.0
    prompt_done: float = 0.0
    first_token: float = 0.0

    @property
    def running(self) -> bool:
        return self.token >= 0

    @property
    def position(self) -> int:
        """Where the chosen token stands."""
        return len(self.history) - 1


def make_sequences(job: Job, vocabulary: Vocabulary) -> None:
    """A sequence for each choice: choice i has seed + i, also if the first seed was drawn."""
    request = job.request
    if request is None:
        job.sequences = [Sequence(job, 0, history=History(job.prompt))]
        return
    first = State(request.seed, vocabulary)
    job.seed = first.seed
    for index in range(request.n):
        state = first if index == 0 else State(job.seed + index, vocabulary)
        job.sequences.append(
            Sequence(
                job,
                index,
                state=state,
                history=History(job.prompt),
                stops=StopMatcher(request.stop),
                trace=CompactTrace(request.alternatives),
            )
        )
