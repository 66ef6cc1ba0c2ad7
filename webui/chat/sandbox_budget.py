"""What one rendering of a template may cost: every operation pays for what it reads and makes.

Pure counting. Knows Python's values, nothing of Jinja's syntax or of chats. Sizes are counted in units of about one
character, so that the total bounds the memory too (at most some ten bytes a unit).
"""

from __future__ import annotations

import re
import string
import time
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from jinja2.utils import Namespace

from webui.errors import BadValue

ITEM = 10
"""Units for one place in a list or dict."""
LEAST_TOTAL = 16 << 20
MAX_NUMBER = 1000
"""Largest whole number a filter or method may be given: widths and counts, which turn into that many characters."""
MAX_BITS = 4096
MAX_DEPTH = 200

_DIGITS = re.compile(r"\d+")
_PLAIN = (str, int, float, bool, type(None))


class TemplateFailed(BadValue):
    """The prompt template cannot be used with these messages; the message says why."""

    code = "template_failed"


class TemplateRaised(TemplateFailed):
    """The template itself refused, by raise_exception."""

    code = "template_refused"


class TemplateLimit(TemplateFailed):
    """The template costs more time or memory than any honest one; trying it again would not help."""

    code = "template_limit"


def too_much() -> TemplateLimit:
    return TemplateLimit("The prompt template makes too much text: choose another template.")


class Budget:
    """Processor time of this thread and units, each counted down. `size` is how much the template was given."""

    def __init__(self, seconds: float, size: int) -> None:
        self._end = time.thread_time() + seconds
        self.output = 4 * size + (64 << 10)
        self._left = max(LEAST_TOTAL, 64 * size if size < LEAST_TOTAL // 4 else 16 * size)

    def tick(self) -> None:
        if time.thread_time() > self._end:
            raise TemplateLimit("The prompt template takes too long: choose another template.")

    def pay(self, units: int) -> None:
        """Before (or right after) something of this size is made; one thing may not be larger than the output."""
        self._left -= units
        if units > self.output or self._left < 0:
            raise too_much()

    def weigh(self, *values: Any) -> int:
        """Pay for these values as text or for a comparison, parts shared counted as often as they appear."""
        size = weight(values, self.output)
        self.pay(size)
        return size

    def weigh_unless_plain(self, value: Any) -> None:
        if not isinstance(value, _PLAIN):
            self.weigh(value)

    def pay_for_items(self, items: Any) -> None:
        """For a new list, tuple, dict or text, whatever is in it."""
        if isinstance(items, str):
            self.pay(len(items))
        elif isinstance(items, list | tuple | dict):
            self.pay(ITEM * (1 + len(items)))

    def check_number(self, *values: Any) -> None:
        if any(isinstance(n, int) and abs(n) > MAX_NUMBER for n in values):
            raise TemplateLimit("The prompt template asks for too wide a text: choose another template.")

    def pay_for_percent(self, text: str, values: Any) -> None:
        """For `text % values`."""
        if "*" in text:
            self.check_number(*(values if isinstance(values, tuple) else (values,)))
        self._pay_for_fields(text, text.count("%"), values)

    def pay_for_format(self, text: str, values: Any) -> None:
        """For `text.format(*values)`. Widths that are themselves fields could not be told beforehand."""
        specs = [spec or "" for _, field, spec, _ in string.Formatter().parse(text) if field is not None]
        if any("{" in spec for spec in specs):
            raise TemplateFailed("The prompt template computes the width of a text, which is not allowed here.")
        self._pay_for_fields(text, len(specs), values)

    def _pay_for_fields(self, text: str, fields: int, values: Any) -> None:
        widths = _DIGITS.findall(text)
        if any(len(width) > 6 for width in widths):
            raise too_much()
        self.pay(len(text) + sum(map(int, widths)) + fields * weight((values,), self.output))


class Counted:
    """An iterable that looks at the clock and pays at every step; keeps its length, which `loop.length` asks for."""

    def __init__(self, items: Iterable[Any], budget: Budget) -> None:
        self._items = items
        self._budget = budget

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            self._budget.tick()
            self._budget.pay(1)
            yield item

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]


def weight(values: Iterable[Any], most: int) -> int:
    """Units of these values with everything in them; stops with TemplateLimit as soon as it is more than `most`.

    Deep nesting is refused as well: Python compares and hashes by calling itself, and a thread's stack is small.
    """
    total = depth = 0
    level = list(values)
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise TemplateLimit("The prompt template nests lists too deeply: choose another template.")
        inner: list[Any] = []
        for value in level:
            total += 1
            if isinstance(value, str | bytes):
                total += len(value)
            elif isinstance(value, Mapping):
                inner += [*value.keys(), *value.values()]
                total += ITEM * len(value)
            elif isinstance(value, list | tuple | set | frozenset | KeysView | ValuesView | ItemsView):
                inner += value
                total += len(value)
            elif isinstance(value, Namespace):
                inner.append(object.__getattribute__(value, "_Namespace__attrs"))
            else:
                total += ITEM
            if total + len(inner) > most:
                raise too_much()
        level = inner
    return total


def nesting(value: Any, most: int) -> int:
    """How deep lists and dicts are nested, for indented JSON; TemplateLimit beyond `most`."""
    depth = 0
    level = [value]
    while level := [v for v in level if isinstance(v, Mapping | list | tuple)]:
        depth += 1
        if depth > most:
            raise TemplateLimit("The prompt template nests lists too deeply: choose another template.")
        level = [part for v in level for part in (v.values() if isinstance(v, Mapping) else v)]
    return depth
