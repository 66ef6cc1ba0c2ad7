"""How a sampler is declared: its parameters, their ranges and texts, its formula and its function.

Knows nothing of chains, presets or other tools beyond the names those use for a parameter (`aliases`).
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from webui.errors import BadValue

if TYPE_CHECKING:
    from webui.samplers.candidates import Candidates
    from webui.samplers.state import Context

Values = Mapping[str, Any]
Accept = Callable[[int], Any]
"""Given the token that was chosen, the stage's next memory."""
Apply = Callable[["Candidates", Values, "Context"], "Accept | None"]
Kind = Literal["float", "int", "bool", "text", "choice", "biases", "sequences", "tokens", "texts"]
Family = Literal["penalty", "shape", "cut", "select"]


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence in both languages of the page."""

    en: str
    ru: str

    def __getitem__(self, language: str) -> str:
        return self.ru if language == "ru" else self.en


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One value of a sampler. `slider` is what the page offers, `legal` what is accepted at all.

    `name` and `aliases` are also fields of requests, where one unit is worth `field_unit` here; `short` names are
    understood in a chain only. The page shows what is `advanced` only on request.
    """

    name: str
    label: Text
    help: Text
    default: Any
    kind: Kind = "float"
    slider: tuple[float, float] | None = None
    legal: tuple[float, float] | None = None
    step: float = 0.01
    neutral: Any = None
    aliases: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    field_unit: float = 1.0
    choices: tuple[str, ...] = ()
    advanced: bool = False

    @property
    def allowed(self) -> str:
        """What is legal, in words."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.legal is not None:
            noun = "a whole number" if self.kind == "int" else "a number"
            return f"{noun} from {self.legal[0]:g} to {self.legal[1]:g}"
        return {
            "bool": "true or false",
            "text": "text",
            "biases": "{token id: number} with numbers from -1000 to 1000 or -inf",
            "sequences": "a list of [[token ids], number] with numbers from -1000 to 1000",
            "tokens": "a list of token ids",
            "texts": "a list of texts",
        }.get(self.kind, "a number")

    def check(self, value: Any) -> Any:
        """The value in its canonical form; BadValue names the parameter and its range otherwise."""
        checked = _CHECKS[self.kind](self, value)
        if checked is None:
            raise BadValue(f"{self.name} must be {self.allowed}, not {_shown(value)}.", param=self.name)
        return checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """One kind of stage. `apply` works on the candidates in place; a stage that is `off` is never called.

    `formula` may name parameters in braces ({top_p}): the page puts the present numbers there. The first of `flavours`
    is the ordinary one; a sampler with several has a `flavour` value that picks one.
    """

    name: str
    title: Text
    summary: Text
    formula: str
    family: Family
    params: tuple[Param, ...]
    apply: Apply
    off: Callable[[Values], bool] | None = None
    warn: Callable[[Values], Text | None] | None = None
    flavours: tuple[str, ...] = ("generic",)
    aliases: tuple[str, ...] = ()
    order: int = 100
    by_name: Mapping[str, Param] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        params = self.params
        if len(self.flavours) > 1:
            params = (*params, _flavour(self.flavours))
            object.__setattr__(self, "params", params)
        names = {alias: p for p in reversed(params) for alias in (*p.aliases, *p.short)}
        object.__setattr__(self, "by_name", {**names, **{p.name: p for p in params}})

    @property
    def main(self) -> Param:
        """The parameter that says how strongly it works: what a preset's bare number means."""
        return self.params[0]

    def fill(self, given: Values) -> dict[str, Any]:
        """All values: those given, checked, and the defaults of the others."""
        values = {p.name: p.default for p in self.params}
        for name, value in given.items():
            param = self.by_name.get(name)
            if param is None:
                known = ", ".join(p.name for p in self.params) or "none"
                raise BadValue(f"{self.name} has no value called {_shown(name)}; it has {known}.", param=str(name))
            values[param.name] = param.check(value)
        return values

    def neutral(self) -> dict[str, Any]:
        """All values, such that the stage is off."""
        return {p.name: p.default if p.neutral is None else p.neutral for p in self.params}

    def is_off(self, values: Values) -> bool:
        if self.off is not None:
            return self.off(values)
        neutrals = [p for p in self.params if p.neutral is not None]
        return bool(neutrals) and all(values[p.name] == p.neutral for p in neutrals)

    def warning(self, values: Values) -> Text | None:
        return self.warn(values) if self.warn is not None else None


def _flavour(flavours: tuple[str, ...]) -> Param:
    return Param(
        name="flavour",
        kind="choice",
        default=flavours[0],
        choices=flavours,
        advanced=True,
        label=Text("Flavour", "Вариант"),
        help=Text(
            "Programs disagree about details of this sampler; this picks whose rule to follow.",
            "Программы расходятся в деталях этого сэмплера; здесь выбирается, чьему правилу следовать.",
        ),
    )


def _shown(value: Any) -> str:
    text = reprlib.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _number(param: Param, value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    low, high = param.legal or (-math.inf, math.inf)
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and low <= number <= high else None


def _whole(param: Param, value: Any) -> int | None:
    number = _number(param, value)
    return None if number is None or number != int(number) else int(number)


def _flag(param: Param, value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(param: Param, value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= 10_000 else None


def _choice(param: Param, value: Any) -> str | None:
    return value if isinstance(value, str) and value in param.choices else None


def _texts(param: Param, value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, (list, tuple)) or len(value) > 256:
        return None
    good = all(isinstance(item, str) and 0 < len(item) <= 200 for item in value)
    return tuple(value) if good else None


def _token(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31
    return value if good else None


def _tokens(param: Param, value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, (list, tuple)) or len(value) > 100_000:
        return None
    tokens = [_token(item) for item in value]
    return None if None in tokens else tuple(t for t in tokens if t is not None)


def _biases(param: Param, value: Any) -> dict[int, float] | None:
    """Token ids with what is added to their logits. JSON has no infinity, so "-inf" is written as text there."""
    if not isinstance(value, Mapping) or len(value) > 100_000:
        return None
    biases: dict[int, float] = {}
    for key, bias in value.items():
        token = _token(key)
        number = -math.inf if bias in ("-inf", -math.inf) else bias
        if token is None or isinstance(number, bool) or not isinstance(number, (int, float)):
            return None
        if not (number == -math.inf or -1000 <= number <= 1000):
            return None
        biases[token] = float(number)
    return biases


def _sequences(param: Param, value: Any) -> tuple[tuple[tuple[int, ...], float], ...] | None:
    if not isinstance(value, (list, tuple)) or len(value) > 10_000:
        return None
    checked: list[tuple[tuple[int, ...], float]] = []
    for item in value:
        if not isinstance(item, (list, tuple)) or len(item) != 2:
            return None
        tokens, bias = _tokens(param, item[0]), item[1]
        if not tokens or isinstance(bias, bool) or not isinstance(bias, (int, float)) or not -1000 <= bias <= 1000:
            return None
        checked.append((tokens, float(bias)))
    return tuple(checked)


_CHECKS: Mapping[Kind, Callable[[Param, Any], Any]] = {
    "float": _number,
    "int": _whole,
    "bool": _flag,
    "text": _text,
    "choice": _choice,
    "texts": _texts,
    "tokens": _tokens,
    "biases": _biases,
    "sequences": _sequences,
}
