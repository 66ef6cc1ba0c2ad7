"""A Jinja environment for templates that came out of somebody's file: they may read what they are given and build text.

Jinja's immutable sandbox keeps them away from Python's insides. On top of it only known methods, filters and statements
exist here, and each of them ticks and pays (sandbox_budget), so that time and memory stay bounded whatever the template
does: a rendering needs no process of its own and no thread is left behind. Knows nothing of chats or models.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import datetime
from types import CodeType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, LoopControlExtension
from jinja2.nodes import EvalContext
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import pass_context

from webui.chat.sandbox_budget import (
    ITEM,
    MAX_BITS,
    Budget,
    TemplateFailed,
    TemplateLimit,
    TemplateRaised,
    too_much,
    weight,
)
from webui.chat.sandbox_filters import METHODS, Filters
from webui.chat.sandbox_syntax import instrument

__all__ = ["MAX_SECONDS", "MAX_SOURCE", "TemplateFailed", "TemplateLimit", "TemplateRaised", "check", "run"]

MAX_SECONDS = 2.0
MAX_SOURCE = 128 << 10
MAX_INPUT = 64 << 20


class _Generation(Extension):
    """`{% generation %}` marks the model's own words for training; for us it is only a pair of brackets."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "*", "%", "**"})

    def __init__(self, budget: Budget) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,  # folding constants would compute them while compiling, outside any budget
            extensions=[LoopControlExtension, _Generation],
            finalize=self._output,
        )
        self._budget = budget
        checked = Filters(budget, self)
        self.filters = checked.filters(self.filters)
        self.tests = checked.tests(self.tests)
        self.globals = {name: self.globals[name] for name in ("range", "dict", "namespace", "cycler", "joiner")}
        self.globals |= {"raise_exception": _raise, "strftime_now": _now}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return instrument(super()._parse(source, name, filename))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        for kind, methods in METHODS.items():
            if isinstance(obj, kind):
                return attr in methods
        return super().is_safe_attribute(obj, attr, value)

    def getitem(self, obj: Any, argument: Any) -> Any:
        self._budget.weigh_unless_plain(argument)  # a tuple is hashed with all that is in it
        return super().getitem(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        self._budget.tick()
        if operator == "%" and isinstance(left, str):
            self._budget.pay_for_percent(left, right)
        elif operator == "**":
            _check_power(left, right)
        elif operator == "+" and isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
            self._budget.pay((1 if isinstance(left, str) else ITEM) * (len(left) + len(right)))
        elif operator == "*":
            self._check_product(left, right)
        return super().call_binop(context, operator, left, right)

    def _check_product(self, left: Any, right: Any) -> None:
        for value, times in ((left, right), (right, left)):
            if isinstance(value, str | list | tuple) and isinstance(times, int):
                self._budget.pay((1 if isinstance(value, str) else ITEM) * len(value) * max(times, 0))
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_BITS:
            raise _too_large()

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._budget.tick()
        if not isinstance(obj, Macro):  # a macro only passes its arguments on
            self._budget.pay(ITEM)
            self._budget.weigh(args, kwargs)
            owner = getattr(obj, "__self__", None)
            if isinstance(owner, str):
                self._pay_for_method(obj.__name__, owner, args)
        result = super().call(context, obj, *args, **kwargs)
        self._budget.pay_for_items(result)
        return result

    def _pay_for_method(self, name: str, owner: str, args: tuple[Any, ...]) -> None:
        self._budget.pay(len(owner))
        if name == "replace" and len(args) > 1 and isinstance(args[0], str) and isinstance(args[1], str):
            self._budget.pay(owner.count(args[0]) * len(args[1]))
        elif name == "join" and args and isinstance(args[0], list | tuple | dict | str):
            self._budget.pay(len(owner) * len(args[0]))
        elif name.endswith("strip") and args and isinstance(args[0], str):
            self._budget.pay(len(owner) * len(args[0]) // 16)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        format_, text = wrapped, value.__self__

        def checked(*args: Any, **kwargs: Any) -> str:
            self._budget.pay_for_format(text, (args, kwargs))
            return format_(*args, **kwargs)

        return checked

    # pass_context keeps Jinja from calling it while compiling.
    @pass_context
    def _output(self, context: Context | EvalContext, value: Any) -> Any:
        self._budget.tick()
        self._budget.weigh(value)
        return value


def _check_power(base: Any, exponent: Any) -> None:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MAX_BITS:
        raise _too_large()


def _too_large() -> TemplateLimit:
    return TemplateLimit("The prompt template computes too large a number: choose another template.")


def _raise(message: object) -> None:
    raise TemplateRaised(f"The prompt template refuses these messages: {str(message)[:300]}")


def _now(format: str) -> str:
    return datetime.now().strftime(str(format)[:100])


@functools.lru_cache(maxsize=32)
def _compile(source: str) -> CodeType:
    """A template as code; compiling costs milliseconds, and templates are few."""
    if len(source) > MAX_SOURCE:
        raise TemplateFailed(
            f"The prompt template has {len(source)} characters, at most {MAX_SOURCE} are allowed: shorten it, "
            "or choose another template."
        )
    try:
        code = _Sandbox(Budget(MAX_SECONDS, MAX_SOURCE)).compile(source)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateFailed(
            f"The prompt template has a mistake in line {error.lineno}: {(error.message or '').rstrip('.')}.",
            values={"line": error.lineno},
        ) from error
    except (RecursionError, MemoryError, SyntaxError) as error:
        raise TemplateLimit("The prompt template is nested too deeply: choose another template.") from error
    except ValueError as error:
        raise TemplateFailed(f"The prompt template cannot be read: {str(error)[:120]}.") from error
    assert isinstance(code, CodeType)
    return code


def check(source: str) -> None:
    """Compile a template without running it; TemplateFailed says what is wrong with it."""
    _compile(source)


def run(source: str, values: Mapping[str, Any], *, seconds: float = MAX_SECONDS) -> str:
    """Render a template; its output may be as long as what it was given, four times over, plus 64 KB.

    `seconds` are of this thread's processor time, so that a busy machine does not make honest templates fail.
    """
    code = _compile(source)
    budget = Budget(seconds, weight([values], MAX_INPUT) + len(source))
    sandbox = _Sandbox(budget)
    written: list[str] = []
    length = 0
    try:
        template = jinja2.Template.from_code(sandbox, code, sandbox.make_globals(None))
        for part in template.generate(values):
            written.append(part)
            length += len(part)
            if length > budget.output:
                raise too_much()
    except jinja2.TemplateError as error:
        raise TemplateFailed(f"The prompt template cannot be used here: {error.message or 'not allowed'}") from error
    except (RecursionError, MemoryError) as error:
        raise TemplateLimit("The prompt template calls itself without end: choose another template.") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, AssertionError) as error:
        raise TemplateFailed(f"The prompt template does not suit these messages: {str(error)[:300]}.") from error
    return "".join(written)
