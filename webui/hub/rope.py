"""Alpha, frequency base and linear scale: three ways to stretch a model's context, and how they hang together.

Pure arithmetic for the model's own base and head size (ModelFacts.rope_base, .rope_dimensions, .context).
- Alpha (NTK scaling, as exllamav2 counts it): base' = base · alpha^(d / (d − 2)), d = rotated size of a head.
- Linear scale: positions are divided by it. llama.cpp's `rope_scale` option is its reciprocal (0.5 doubles).
Knows nothing of engines; `Rope.options()` gives what LoadSpec.options takes.

To call from the page:
- `own = RopeModel.of(facts)`, then `own.base_of(alpha)` and `own.alpha_of(base)` for fields that follow each other;
- `own.stretch_to(tokens)`: the Rope that is proposed for "stretch to N tokens";
- `own.reach(rope)`: how many tokens such a setting is good for;
- `own.warning(tokens, rope)`: None or a RopeWarning with `.code`, `.sentence`, `.values`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from webui.errors import BadValue
from webui.hub.facts import ModelFacts

# Alpha for a stretch of r times, fitted by exllamav2's author on perplexity: alpha = A + B·r + C·r².
_A, _B, _C = -0.13436, 0.80541, 0.28833
RISKY, TOO_FAR = 2.0, 3.0
MOST_ALPHA = 1e4


@dataclass(frozen=True, slots=True)
class Rope:
    """A setting. `base` 0 means the model's own; `scale` 1 means not scaled, 2 means positions are halved."""

    base: float = 0.0
    scale: float = 1.0

    def options(self) -> dict[str, float]:
        """The load options of this setting; 0 leaves a value to the model."""
        return {"rope_base": self.base, "rope_scale": 0.0 if self.scale == 1.0 else 1.0 / self.scale}


@dataclass(frozen=True, slots=True)
class RopeWarning:
    code: Literal["rope_not_stretched", "rope_risky", "rope_too_far", "rope_needless"]
    sentence: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RopeModel:
    """What stretching depends on: the model's own base, the rotated size of a head, the trained context."""

    base: float = 10_000.0
    head_size: int = 128
    trained: int = 4096

    @classmethod
    def of(cls, facts: ModelFacts) -> RopeModel:
        return cls(facts.rope_base or 10_000.0, facts.rope_dimensions or facts.key_length or 128, facts.context)

    @property
    def _power(self) -> float:
        # A head of two numbers turns at one speed only: its base changes nothing, any relation will do.
        return self.head_size / (self.head_size - 2) if self.head_size > 2 else 1.0

    def base_of(self, alpha: float) -> float:
        """The frequency base that this alpha stands for."""
        if not 0 < alpha <= MOST_ALPHA or not math.isfinite(alpha):
            raise BadValue(f"alpha must be above 0 and at most {MOST_ALPHA:g}, not {alpha!r}.", param="alpha")
        return float(self.base * alpha**self._power)

    def alpha_of(self, base: float) -> float:
        """The alpha that this frequency base stands for; 0 (the model's own base) is alpha 1."""
        if base == 0:
            return 1.0
        if not 0 < base <= 1e9 or not math.isfinite(base):
            raise BadValue(f"the frequency base must be from 0 to 1e9, not {base!r}.", param="rope_base")
        return float((base / self.base) ** (1 / self._power))

    def alpha_for(self, tokens: int) -> float:
        """The alpha proposed for a context of so many tokens; 1 up to what the model was trained for."""
        if not self.trained or tokens <= self.trained:
            return 1.0
        ratio = tokens / self.trained
        return max(1.0, _A + _B * ratio + _C * ratio * ratio)

    def stretch_to(self, tokens: int) -> Rope:
        """The setting proposed for a context of so many tokens: by alpha, which costs less quality than scaling."""
        if tokens < 1:
            raise BadValue(f"a context has at least 1 token, not {tokens}.", param="n_ctx")
        alpha = self.alpha_for(tokens)
        return Rope() if alpha == 1.0 else Rope(round(self.base_of(alpha)))

    def reach(self, rope: Rope) -> int:
        """About how many tokens this setting is good for: the stretch of its alpha times its linear scale."""
        alpha = self.alpha_of(rope.base)
        stretch = 1.0 if alpha <= 1.0 else max(1.0, (-_B + math.sqrt(_B * _B - 4 * _C * (_A - alpha))) / (2 * _C))
        return int(self.trained * stretch * max(1.0, rope.scale))

    def warning(self, tokens: int, rope: Rope) -> RopeWarning | None:
        """What a person should know before loading with this context and this setting."""
        if not self.trained:
            return None
        values = {"tokens": tokens, "trained": self.trained, "times": round(tokens / self.trained, 1)}
        times = f"{values['times']:g}"
        if tokens <= self.trained:
            if self.alpha_of(rope.base) > 1.02 or rope.scale > 1.0:
                sentence = f"The model reads {self.trained} tokens without stretching: set alpha and scale back to 1."
                return RopeWarning("rope_needless", sentence, values)
            return None
        reach = self.reach(rope)
        if tokens > TOO_FAR * self.trained:
            sentence = f"{tokens} tokens are {times} times what the model was trained for: expect it to lose the thread"
            return RopeWarning("rope_too_far", f"{sentence}; choose a model made for long texts.", values)
        if reach < 0.98 * tokens:
            sentence = f"The model was trained for {self.trained} tokens; past about {reach} it will write nonsense: "
            return RopeWarning("rope_not_stretched", f"{sentence}stretch it to {tokens}.", {**values, "reach": reach})
        if tokens > RISKY * self.trained:
            sentence = f"{tokens} tokens are {times} times what the model was trained for: expect weaker answers."
            return RopeWarning("rope_risky", sentence, values)
        return None
