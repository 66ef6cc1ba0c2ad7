"""The filters, tests and methods a template may use, each with its cost paid beforehand.

A list of what is allowed, not of what is forbidden: a filter of a later Jinja does nothing here until somebody has
thought about what it costs. Knows the budget, nothing of chats.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import jinja2
from jinja2.nodes import EvalContext
from jinja2.runtime import Context

from webui.chat.sandbox_budget import ITEM, Budget, Counted, TemplateFailed, nesting
from webui.chat.sandbox_syntax import AS_TEXT, COMPARED, COUNTED, MADE, SEARCHED

METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(
        (
            *("strip", "lstrip", "rstrip", "removeprefix", "removesuffix", "replace", "join", "format", "format_map"),
            *("split", "rsplit", "splitlines", "partition", "rpartition", "startswith", "endswith"),
            *("upper", "lower", "title", "capitalize", "swapcase", "casefold", "find", "rfind", "index", "rindex"),
            *("count", "isalpha", "isalnum", "isdigit", "isdecimal", "isnumeric", "isspace", "isupper", "islower"),
        )
    ),
    dict: frozenset(("items", "keys", "values", "get", "copy")),
    list: frozenset(("index", "count", "copy")),
    tuple: frozenset(("index", "count")),
    bytes: frozenset(),
    int: frozenset(),
    float: frozenset(),
}
"""What may be called on Python's own values; nothing that changes them, pads to a width or shows their insides."""

CHEAP = ("length", "count", "first", "last", "default", "d", "abs", "int", "float", "round")
TEXT = ("string", "trim", "upper", "lower", "title", "capitalize", "escape", "e", "safe", "truncate", "wordcount")
LAZY = ("map", "select", "reject", "selectattr", "rejectattr")
ITEMS = ("list", "reverse", "batch", "slice", "items")
DEEP = ("sort", "unique", "groupby", "min", "max", "dictsort")
COMPARING = frozenset(
    ("eq", "equalto", "==", "ne", "!=", "gt", "greaterthan", ">", "ge", ">=", "lt", "lessthan", "<", "le", "<=", "in")
)
WIDE = ("batch", "slice", "round", "truncate")
"""Filters that make as many things as a number says."""
MAX_NAME = 200
MAX_INDENT = 16
MAX_DEPTH = 64

_INNER = (Context, jinja2.Environment, EvalContext)
F = TypeVar("F", bound=Callable[..., Any])


class Filters:
    def __init__(self, budget: Budget, environment: jinja2.Environment) -> None:
        self._budget = budget
        self._environment = environment

    def filters(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {name: self._before(plain[name], self._cheap) for name in CHEAP}
        found |= {name: self._before(plain[name], self._text) for name in TEXT}
        found |= {name: self._before(plain[name], self._lazy) for name in LAZY}
        found |= {name: self._after(self._before(plain[name], self._lazy)) for name in ITEMS}
        found |= {name: self._after(self._before(plain[name], self._deep)) for name in DEEP}
        found |= {name: self._narrow(found[name]) for name in WIDE}
        found["replace"] = self._before(plain["replace"], self._replacing)
        found["format"] = self._before(plain["format"], self._formatting)
        found["indent"] = self._narrow(self._before(plain["indent"], self._indenting))
        found |= {"join": self._join, "sum": self._sum, "tojson": self._to_json}
        return found | {
            COUNTED: self._counted,
            MADE: self._made,
            AS_TEXT: self._as_text,
            COMPARED: self._compared,
            SEARCHED: self._searched,
        }

    def tests(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self._before(test, self._text if name in COMPARING else self._cheap) for name, test in plain.items()
        }

    # how each kind pays; what comes back are the arguments the filter is called with

    def _before(self, function: F, pay: Callable[[list[Any]], list[Any]]) -> F:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            self._budget.tick()
            inner = 1 if args and isinstance(args[0], _INNER) else 0
            self._budget.weigh(kwargs)
            given = pay([*args[inner:], *kwargs.values()])
            return function(*args[:inner], *given[: len(args) - inner], **kwargs)

        return checked  # type: ignore[return-value]

    def _after(self, function: F) -> F:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            self._budget.pay_for_items(result)
            return result

        return checked  # type: ignore[return-value]

    def _narrow(self, function: F) -> F:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            self._budget.check_number(*args[1:], *kwargs.values())
            return function(*args, **kwargs)

        return checked  # type: ignore[return-value]

    def _cheap(self, values: list[Any]) -> list[Any]:
        return [self._stepwise(values[0]), *values[1:]] if values else values

    def _text(self, values: list[Any]) -> list[Any]:
        self._budget.weigh(*values)
        return values

    def _lazy(self, values: list[Any]) -> list[Any]:
        """Only steps are paid: what is done at each of them pays for itself."""
        if any(isinstance(v, str) and len(v) > MAX_NAME for v in values[1:]):
            raise TemplateFailed(f"The prompt template uses a name of more than {MAX_NAME} characters.")
        if values and isinstance(values[0], str):
            self._budget.pay(ITEM * len(values[0]))
        return [self._stepwise(values[0]), *values[1:]] if values else values

    def _deep(self, values: list[Any]) -> list[Any]:
        values = self._lazy(values)
        if values and isinstance(values[0], Iterator):
            values[0] = list(values[0])
        self._budget.weigh(*values)
        return values

    def _stepwise(self, items: Any) -> Any:
        return iter(Counted(items, self._budget)) if isinstance(items, Iterator) else items

    def _replacing(self, values: list[Any]) -> list[Any]:
        self._budget.weigh(*values)
        texts = [str(v) for v in values[:3]]
        if len(texts) > 2:
            self._budget.pay(texts[0].count(texts[1]) * len(texts[2]))
        return values

    def _formatting(self, values: list[Any]) -> list[Any]:
        self._budget.weigh(*values)
        if values:
            self._budget.pay_for_percent(str(values[0]), tuple(values[1:]))
        return values

    def _indenting(self, values: list[Any]) -> list[Any]:
        self._budget.weigh(*values)
        width = next((v for v in values[1:] if isinstance(v, int | str) and not isinstance(v, bool)), 4)
        if values:
            self._budget.pay((width if isinstance(width, int) else len(width)) * (1 + str(values[0]).count("\n")))
        return values

    # filters of our own

    def _join(self, items: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
        parts: list[str] = []
        for item in Counted(items, self._budget):
            value = item if attribute is None else self._environment.getitem(item, attribute)
            self._budget.weigh(value, d)
            parts.append(str(value))
        return str(d).join(parts)

    def _sum(self, items: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
        total = start
        for item in Counted(items, self._budget):
            value = item if attribute is None else self._environment.getitem(item, attribute)
            if not isinstance(value, int | float) or not isinstance(total, int | float):
                raise TemplateFailed("The prompt template sums up what is not a number.")
            total += value
        return total

    def _to_json(
        self,
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        self._budget.tick()
        size = self._budget.weigh(value, separators)
        depth = nesting(value, MAX_DEPTH)
        if indent is not None:
            self._budget.pay(size * min(MAX_INDENT, int(indent)) * depth // ITEM)
            indent = min(MAX_INDENT, int(indent))
        longest = max((len(part) for part in separators or ()), default=1)
        self._budget.pay(size * longest)
        text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
        self._budget.pay(len(text))
        return text

    # what sandbox_syntax puts into templates

    def _counted(self, items: Any) -> Any:
        self._budget.tick()
        return items if isinstance(items, jinja2.Undefined) else Counted(items, self._budget)

    def _made(self, value: Any) -> Any:
        self._budget.pay_for_items(value)
        return value

    def _as_text(self, value: Any) -> Any:
        self._budget.tick()
        self._budget.weigh(value)
        return value

    def _compared(self, value: Any) -> Any:
        self._budget.weigh_unless_plain(value)
        return value

    def _searched(self, value: Any) -> Any:
        """A text or dict is searched without looking into its parts."""
        if not isinstance(value, str | dict):
            self._budget.weigh_unless_plain(value)
        return value
