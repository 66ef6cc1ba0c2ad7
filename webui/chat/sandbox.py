"""A Jinja environment for templates that came out of somebody's file: they may read what they are given and build text.

Jinja's immutable sandbox keeps them away from Python's insides; on top of it every loop, call, filter and operation is
counted here, so that time and memory stay bounded whatever the template does. Knows nothing of chats or models.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from types import CodeType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from webui.errors import BadValue

MAX_SECONDS = 1.0
MAX_SOURCE = 1 << 20
MAX_NUMBER = 1000
"""Largest whole number a filter or a method may be given: widths and counts, which turn into that many characters."""

_ITERATE = "_counted"
_MEASURE = "_measured"
_WIDE_FORMAT = re.compile(r"\d{5,}")
_REFUSED_FILTERS = ("random", "urlize", "xmlattr", "wordwrap", "center", "filesizeformat", "forceescape")


class TemplateFailed(BadValue):
    """The prompt template cannot be used with these messages; the message says why."""

    code = "template_failed"


class TemplateRaised(TemplateFailed):
    """The template itself refused, by raise_exception."""

    code = "template_refused"


class TemplateLimit(TemplateFailed):
    """The template costs more time or memory than any honest one; trying it again would not help."""


TOO_MUCH = "The prompt template makes too much text: choose another template."


class _Budget:
    """What one rendering may cost."""

    def __init__(self, seconds: float, characters: int) -> None:
        self.end = time.monotonic() + seconds
        self.characters = characters

    def tick(self) -> None:
        if time.monotonic() > self.end:
            raise TemplateLimit("The prompt template takes too long: choose another template.")

    def weigh(self, *values: Any) -> int:
        """Characters these values would make as text, shared parts counted as often as they appear."""
        total = 0
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if isinstance(value, str | bytes):
                total += len(value)
            elif isinstance(value, Mapping):
                waiting += [*value.keys(), *value.values()]
            elif isinstance(value, list | tuple | set):
                waiting += value
            else:
                total += 8
            total += 1
            if total + len(waiting) > self.characters:
                raise TemplateLimit(TOO_MUCH)
        return total


class _Counted:
    """An iterable that looks at the clock at every step; keeps its length, which `loop.length` asks for."""

    def __init__(self, items: Iterable[Any], budget: _Budget) -> None:
        self._items = items
        self._budget = budget

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            self._budget.tick()
            yield item

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]


class _Generation(Extension):
    """`{% generation %}` marks the model's own words for training; for us it is only a pair of brackets."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, budget: _Budget) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[LoopControlExtension, _Generation],
            finalize=self._output,
        )
        self._budget = budget
        kept = {name: self._watch(name, f) for name, f in self.filters.items() if name not in _REFUSED_FILTERS}
        self.filters = {**kept, "tojson": self._watch("tojson", _to_json), "join": self._watch("join", self._join)}
        self.filters |= {_ITERATE: self._count, _MEASURE: self._measure}
        del self.globals["lipsum"]
        self.globals |= {"raise_exception": _raise, "strftime_now": _now}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _instrument(super()._parse(source, name, filename))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        self._budget.tick()
        size = self._budget.weigh(left, right)
        if operator == "**" and not _small_power(left, right):
            raise TemplateLimit("The prompt template computes too large a number: choose another template.")
        if operator == "*":
            times = [n for n in (left, right) if isinstance(n, int)]
            if len(times) == 1 and not isinstance(left, float) and not isinstance(right, float):
                self._limit(size * abs(times[0]))
        if operator == "%" and isinstance(left, str):
            self._narrow(left)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._budget.tick()
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str):
            self._check_text_method(obj.__name__, owner, args, kwargs)
        result = super().call(context, obj, *args, **kwargs)
        if isinstance(result, str | list | tuple):
            self._budget.weigh(result)
        return result

    def _check_text_method(self, name: str, owner: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._budget.weigh(owner, *args, *kwargs.values())
        self._small(args, kwargs)
        if name == "replace" and len(args) > 1 and isinstance(args[1], str):
            self._limit(owner.count(str(args[0])) * len(args[1]))
        elif name == "join" and args and isinstance(args[0], list | tuple):
            self._limit(len(owner) * len(args[0]))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is not None and isinstance(value.__self__, str):
            self._narrow(value.__self__)
        return wrapped

    def _watch(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._budget.tick()
            values = [a for a in args if not isinstance(a, Context | jinja2.Environment | jinja2.nodes.EvalContext)]
            values += kwargs.values()
            self._budget.weigh(*values)
            self._small(values, {})
            texts = [v for v in values if isinstance(v, str)]
            if name == "replace" and len(texts) > 2:
                self._limit(texts[0].count(texts[1]) * len(texts[2]))
            if name == "format" and texts:
                self._narrow(texts[0])
            return function(*args, **kwargs)

        return watched

    def _count(self, items: Any) -> Any:
        self._budget.tick()
        return items if isinstance(items, jinja2.Undefined) else _Counted(items, self._budget)

    def _join(self, items: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
        parts: list[str] = []
        size = 0
        for item in items:
            self._budget.tick()
            parts.append(str(item if attribute is None else self.getitem(item, attribute)))
            size += len(parts[-1]) + len(d)
            self._limit(size)
        return d.join(parts)

    def _measure(self, text: Any) -> Any:
        self._budget.tick()
        self._budget.weigh(text)
        return text

    def _output(self, value: Any) -> Any:
        self._budget.tick()
        if not isinstance(value, str):
            self._budget.weigh(value)
        return value

    def _limit(self, size: int) -> None:
        if size > self._budget.characters:
            raise TemplateLimit(TOO_MUCH)

    def _narrow(self, text: str) -> None:
        if _WIDE_FORMAT.search(text):
            raise TemplateLimit(TOO_MUCH)

    @staticmethod
    def _small(args: Iterable[Any], kwargs: Mapping[str, Any]) -> None:
        if any(isinstance(n, int) and abs(n) > MAX_NUMBER for n in (*args, *kwargs.values())):
            raise TemplateLimit("The prompt template asks for too wide a text: choose another template.")


def _small_power(base: Any, exponent: Any) -> bool:
    return not isinstance(base, int) or not isinstance(exponent, int) or base.bit_length() * abs(exponent) <= 4096


def _instrument(template: nodes.Template) -> nodes.Template:
    """Put a counter round everything a loop walks over and a measure round every joined text."""
    for loop in template.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, _ITERATE, [], [], None, None, lineno=loop.lineno)
    for parent in [template, *template.find_all(nodes.Node)]:
        for name, value in list(parent.iter_fields()):
            if isinstance(value, nodes.Concat):
                setattr(parent, name, _measured(value))
            elif isinstance(value, list):
                value[:] = [_measured(v) if isinstance(v, nodes.Concat) else v for v in value]
    return template


def _measured(concat: nodes.Concat) -> nodes.Filter:
    return nodes.Filter(concat, _MEASURE, [], [], None, None, lineno=concat.lineno)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: object) -> None:
    raise TemplateRaised(f"The prompt template refuses these messages: {str(message)[:300]}")


def _now(format: str) -> str:
    return datetime.now().strftime(str(format)[:100])


@functools.lru_cache(maxsize=32)
def _compile(source: str) -> CodeType:
    """A template as code; compiling costs milliseconds, and templates are few."""
    code = _Sandbox(_Budget(MAX_SECONDS, MAX_SOURCE)).compile(source)
    assert isinstance(code, CodeType)
    return code


def run(source: str, values: Mapping[str, Any], *, seconds: float = MAX_SECONDS) -> str:
    """Render a template; its output may be as long as what it was given, four times over, plus 64 KB."""
    if len(source) > MAX_SOURCE:
        raise TemplateFailed(f"The prompt template has {len(source)} characters, at most {MAX_SOURCE} are allowed.")
    budget = _Budget(seconds, 1 << 30)
    budget.characters = 4 * budget.weigh(dict(values), source) + (64 << 10)
    sandbox = _Sandbox(budget)
    written: list[str] = []
    length = 0
    try:
        template = jinja2.Template.from_code(sandbox, _compile(source), sandbox.make_globals(None))
        for part in template.generate(values):
            written.append(part)
            length += len(part)
            sandbox._limit(length)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateFailed(f"The prompt template has a mistake in line {error.lineno}: {error.message}.") from error
    except jinja2.TemplateError as error:
        raise TemplateFailed(f"The prompt template cannot be used here: {error.message or 'not allowed'}") from error
    except RecursionError as error:
        raise TemplateLimit("The prompt template calls itself without end: choose another template.") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, AssertionError) as error:
        raise TemplateFailed(f"The prompt template does not suit these messages: {error}.") from error
    return "".join(written)
