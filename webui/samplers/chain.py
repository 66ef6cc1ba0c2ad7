"""The chain: an ordered list of stages that turns a row of logits into a token.

Pure numpy over a row; knows nothing of engines, text or requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from webui.errors import BadValue
from webui.samplers.candidates import Candidates, Mask
from webui.samplers.declare import Sampler, Text, Values
from webui.samplers.registry import SAMPLERS, sampler_names
from webui.samplers.state import Context, Figures, History, Pick, Row, State
from webui.types import Step

MAX_STEPS = 64


@dataclass(frozen=True, slots=True)
class Stage:
    """A step that is checked: its place in the chain, its sampler, all its values."""

    index: int
    sampler: Sampler
    values: Values
    off: bool


@dataclass(frozen=True, slots=True)
class Draw:
    """The last act: where the uniform number landed among the survivors."""

    uniform: float
    position: int
    low: float
    high: float
    candidates: Candidates


class Tracer(Protocol):
    """What run() tells while it works. Never touches the candidates or the random numbers."""

    def begin(self, row: Row, candidates: Candidates) -> None: ...

    def before(self, stage: Stage, candidates: Candidates) -> None: ...

    def after(self, stage: Stage, candidates: Candidates, notes: Mapping[str, Any]) -> None: ...

    def end(self, token: int, probability: float, draw: Draw) -> Figures | None: ...


class Chain:
    """Checked steps and the plan made of those that are not off. Immutable; one can serve any number of generations."""

    __slots__ = ("plan", "stages", "steps")

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        self.stages = stages
        self.steps = tuple(Step(stage.sampler.name, stage.values) for stage in stages)
        self.plan = tuple(stage for stage in stages if not stage.off)

    @classmethod
    def parse(cls, steps: Iterable[Any], *, flavour: str | None = None) -> Chain:
        """A chain out of Steps or [name, {values}] pairs; BadValue names the parameter and its range.

        `flavour` is used by the samplers that have it, unless their own values say otherwise.
        """
        if isinstance(steps, (str, bytes, Mapping)) or not isinstance(steps, Iterable):
            raise BadValue("chain must be a list of [name, {parameter: value}].", param="chain")
        names = sampler_names()
        stages: list[Stage] = []
        for index, step in enumerate(steps):
            name, given = _name_and_values(step)
            if name not in names:
                raise BadValue(f"There is no sampler called {name!r}; there are {', '.join(SAMPLERS)}.", param=name)
            sampler = SAMPLERS[names[name]]
            if flavour in sampler.flavours and "flavour" in sampler.by_name and "flavour" not in given:
                given = {**given, "flavour": flavour}
            values = sampler.fill(given)
            stages.append(Stage(index, sampler, values, sampler.is_off(values)))
        if len(stages) > MAX_STEPS:
            raise BadValue(f"chain may have at most {MAX_STEPS} stages, not {len(stages)}.", param="chain")
        return cls(tuple(stages))

    @property
    def needs_guidance(self) -> bool:
        """Whether a second row, of the negative prompt, has a say."""
        return any(stage.sampler.name == "guidance" for stage in self.plan)

    def warnings(self) -> list[tuple[int, Text]]:
        """What is odd about the values and the order, by place."""
        found: list[tuple[int, Text]] = []
        for place, stage in enumerate(self.plan):
            warnings = (
                stage.sampler.warning(stage.values),
                _misplaced(stage, self.plan[:place], self.plan[place + 1 :]),
            )
            found += [(stage.index, text) for text in warnings if text is not None]
        return found

    def run(
        self,
        logits: Row,
        history: History,
        state: State,
        allowed: Mask | None = None,
        trace: Tracer | None = None,
        guidance_row: Row | None = None,
    ) -> Pick:
        """Choose a token. Looks only (but draws from the state's generator): `state.accept` commits the pick."""
        candidates = Candidates.of(logits, allowed)
        if trace is not None:
            trace.begin(logits, candidates)
        commits = self.apply(candidates, history, state, trace, guidance_row)
        draw = draw_from(candidates, float(state.random.random()))
        token = int(candidates.ids[draw.position]) if not candidates.is_whole else draw.position
        probability = draw.high - draw.low
        figures = trace.end(token, probability, draw) if trace is not None else None
        return Pick(token, probability, commits, figures)

    def apply(
        self,
        candidates: Candidates,
        history: History,
        state: State,
        trace: Tracer | None = None,
        guidance_row: Row | None = None,
    ) -> tuple[tuple[int, Callable[[int], Any]], ...]:
        """All stages, without the draw: the candidates are then the final distribution."""
        context = Context(history, state, guidance_row, trace is not None)
        commits: list[tuple[int, Callable[[int], Any]]] = []
        for stage in self.plan:
            context.memory = state.memory.get(stage.index)
            if trace is not None:
                context.notes = {}
                trace.before(stage, candidates)
            commit = stage.sampler.apply(candidates, stage.values, context)
            if commit is not None:
                commits.append((stage.index, commit))
            if trace is not None:
                trace.after(stage, candidates, context.notes or {})
        return tuple(commits)


def _misplaced(stage: Stage, before: tuple[Stage, ...], after: tuple[Stage, ...]) -> Text | None:
    if stage.sampler.family == "select" and any(later.sampler.family != "select" for later in after):
        return Text(
            "It decides on the pick itself and should come last: what follows distorts it.",
            "Он сам решает, что выбрать, и должен стоять последним: то, что после него, искажает выбор.",
        )
    whole = not any(earlier.sampler.family == "cut" for earlier in before)
    if stage.sampler.name == "xtc" and whole:
        return Text(
            "Nothing has cut the tail before it: where it strikes, very unlikely tokens gain.",
            "До него никто не отсёк хвост: когда он срабатывает, выигрывают и совсем маловероятные токены.",
        )
    if stage.sampler.name == "adaptive_p" and whole:
        return Text(
            "Nothing has cut the tail before it: thousands of senseless tokens gain. Put Min-p before it.",
            "До него никто не отсёк хвост: выигрывают тысячи бессмысленных токенов. Поставьте перед ним Min-p.",
        )
    return None


def draw_from(candidates: Candidates, uniform: float) -> Draw:
    """The candidate on which a number from [0, 1) lands when their probabilities are laid side by side."""
    if len(candidates) == 1:
        return Draw(uniform, 0, 0.0, 1.0, candidates)
    cumulative = np.cumsum(candidates.weights(), dtype=np.float64)
    total = float(cumulative[-1])
    position = int(np.searchsorted(cumulative, uniform * total, side="right"))
    # The last of equal sums, so that rounding never lands on a token of no weight at the end.
    position = min(position, int(np.searchsorted(cumulative, total, side="left")))
    low = float(cumulative[position - 1]) / total if position else 0.0
    return Draw(uniform, position, low, float(cumulative[position]) / total, candidates)


def _name_and_values(step: Any) -> tuple[str, Values]:
    if isinstance(step, Step):
        name, values = step.sampler, step.values
    elif isinstance(step, str):
        name, values = step, {}
    elif isinstance(step, Mapping) and "sampler" in step:
        name, values = step["sampler"], step.get("values") or {}
    elif isinstance(step, (list, tuple)) and 1 <= len(step) <= 2:
        name, values = step[0], (step[1] if len(step) == 2 else {})
    else:
        name, values = None, {}
    if not isinstance(name, str) or not isinstance(values, Mapping):
        raise BadValue("Each stage of chain must be [name, {parameter: value}].", param="chain")
    return name, values
