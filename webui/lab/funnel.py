"""The chain over one kept row, as a funnel: what each stage was given, what it left, and how sure that is.

The very same stages that generate; nothing is worked out in another way. Knows nothing of pages or words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np

from webui.lab.rows import KeptRow
from webui.samplers.candidates import Candidates, Doubles, Ints
from webui.samplers.chain import Chain, Draw, Stage
from webui.samplers.declare import Text, Values
from webui.samplers.state import Figures, History, Row, State, Vocabulary
from webui.samplers.trace import bits, removed

Coin = Literal["dice", "strike", "spare"]
"""What XTC's coin does: as the seed has it, or shown as if it always, or never, struck."""


@dataclass(frozen=True, slots=True, eq=False)
class StageView:
    """One stage. Counts are of tokens that can still be drawn; entropies are in bits; `cut_mass` is the share of the
    probability it was given. A stage that is off has equal candidates before and after.
    """

    index: int
    sampler: str
    values: Values
    off: bool
    notes: Mapping[str, Any]
    tokens_in: int
    tokens_out: int
    cut_mass: float
    entropy_before: float
    entropy_after: float
    before: Candidates
    after: Candidates
    warning: Text | None = None

    @property
    def choices_before(self) -> float:
        """Effective number of choices: how many equally likely tokens would be as uncertain."""
        return float(2.0**self.entropy_before)

    @property
    def choices_after(self) -> float:
        return float(2.0**self.entropy_after)


@dataclass(frozen=True, slots=True, eq=False)
class Funnel:
    """A row, the chain over it, and what is left in the end."""

    row: KeptRow
    chain: Chain
    stages: tuple[StageView, ...]
    final: Candidates
    start_count: int
    start_entropy: float

    @property
    def final_entropy(self) -> float:
        return self.stages[-1].entropy_after if self.stages else self.start_entropy

    @property
    def final_count(self) -> int:
        return self.stages[-1].tokens_out if self.stages else self.start_count

    def final_probabilities(self, tokens: Ints) -> Doubles:
        """0 for those that are out."""
        return share_of(self.final, tokens)

    def cut_by(self, tokens: Ints) -> Ints:
        """The place of the stage that took each token out, or -1."""
        places = np.full(len(tokens), -1, dtype=np.int64)
        for stage in self.stages:
            if stage.tokens_out < stage.tokens_in:
                gone = ~in_race(stage.after, tokens) & (places < 0)
                places[gone & in_race(stage.before, tokens)] = stage.index
        return places


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """What beside the row decides: seed, how much of the tokens is prompt, what stages learned on the way here.

    `passed` tokens were already drawn with this seed; `memory` is what stages learned, by place in the chain.
    """

    seed: int = 0
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    prompt_length: int = 0
    passed: int = 0
    memory: Mapping[int, Any] = field(default_factory=dict)
    coin: Coin = "dice"
    guidance: Row | None = None

    def state(self, chain: Chain) -> State:
        """As a generation with this seed would have it here."""
        state = State(self.seed, self.vocabulary)
        if self.passed:
            state.random.bit_generator.advance(self.passed * (coins(chain) + 1))  # type: ignore[attr-defined]
        state.memory.update(self.memory)
        return state

    def history(self, tokens: Sequence[int]) -> History:
        history = History(tokens)
        history.prompt_length = min(self.prompt_length or len(tokens), len(tokens))
        return history


class Scripted:
    """Stands in for the generator where the random numbers are given."""

    def __init__(self, numbers: Sequence[float]) -> None:
        self._numbers = list(numbers)

    def random(self) -> float:
        return self._numbers.pop(0) if self._numbers else 0.0


def script(state: State, numbers: Sequence[float]) -> None:
    """Let the state give out these numbers."""
    state.random = cast(np.random.Generator, Scripted(numbers))


def tosses_coin(stage: Stage) -> bool:
    """Whether the stage takes a random number of its own: only XTC does, where it is not its expectation."""
    return stage.sampler.name == "xtc" and stage.values["flavour"] != "exllama"


def coins(chain: Chain) -> int:
    """How many random numbers a run takes before the draw."""
    return sum(tosses_coin(stage) for stage in chain.plan)


class _Watch:
    """Collects what each stage was given and left."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[Candidates, Candidates, Mapping[str, Any]]] = {}
        self._before: Candidates | None = None

    def begin(self, row: Row, candidates: Candidates) -> None:
        pass

    def before(self, stage: Stage, candidates: Candidates) -> None:
        self._before = candidates.copy()

    def after(self, stage: Stage, candidates: Candidates, notes: Mapping[str, Any]) -> None:
        assert self._before is not None, "before() comes first"
        self.seen[stage.index] = (self._before, candidates.copy(), notes)

    def end(self, token: int, probability: float, draw: Draw) -> Figures | None:
        return None


def funnel(kept: KeptRow, chain: Chain, situation: Situation) -> Funnel:
    """Run all stages, without a draw, and look at each."""
    state = situation.state(chain)
    if situation.coin != "dice":
        script(state, [0.0 if situation.coin == "strike" else 1.0] * coins(chain))
    candidates = Candidates.of(kept.row)
    start = candidates.copy()
    watch = _Watch()
    chain.apply(candidates, situation.history(kept.tokens), state, watch, situation.guidance)
    return Funnel(kept, chain, _views(chain, watch, start, kept.entropy), candidates, start.alive(), kept.entropy)


def _views(chain: Chain, watch: _Watch, start: Candidates, entropy: float) -> tuple[StageView, ...]:
    warnings = dict(chain.warnings())
    views: list[StageView] = []
    last, count = start, start.alive()
    for stage in chain.stages:
        before, after, notes = watch.seen.get(stage.index, (last, last, {}))
        tokens_in, entropy_before = count, entropy
        if stage.index in watch.seen:
            count, entropy = after.alive(), bits(after.entropy())
        views.append(
            StageView(
                index=stage.index,
                sampler=stage.sampler.name,
                values=stage.values,
                off=stage.off,
                notes=notes,
                tokens_in=tokens_in,
                tokens_out=count,
                cut_mass=_cut_mass(before, after) if count < tokens_in else 0.0,
                entropy_before=entropy_before,
                entropy_after=entropy,
                before=before,
                after=after,
                warning=warnings.get(stage.index),
            )
        )
        last = after
    return tuple(views)


def _cut_mass(before: Candidates, after: Candidates) -> float:
    """The share of the probability before that belonged to those that cannot be drawn any more."""
    gone = before.weights()[removed(before, after)]
    return min(1.0, float(gone.sum(dtype=np.float64)) / before.total)


def in_race(candidates: Candidates, tokens: Ints) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of these tokens can still be drawn."""
    positions, there = candidates.find(tokens)
    return np.asarray(there & (candidates.logits[positions] > -np.inf))


def share_of(candidates: Candidates, tokens: Ints) -> Doubles:
    """Probabilities of these tokens among the candidates; 0 for those that are out."""
    positions, there = candidates.find(tokens)
    weights = candidates.weights()[positions].astype(np.float64)
    return np.where(there, weights / candidates.total, 0.0)
