"""Fields of Gradio's whose value is kept: read from and written to the preferences, field by field.

A piece that nobody sees sits in the tab; its script (static/keep.js) hears every key, paste and cut itself, since
Gradio's events come late, run one after the other and are lost when the page is closed right after typing. Knows
nothing of what the values mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from webui.errors import BadValue
from webui.preferences import LONGEST_TEXT
from webui.services import Services
from webui.tabs.asking import Answer, Asked, old_page, server_function, text
from webui.tabs.pieces import KeptFields
from webui.tabs.words import Words


def _same(value: str) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Field:
    """`elem_id` of the control; how a kept value stands in its field, and what a field's text is kept as."""

    elem_id: str
    show: Callable[[Any], str] = str
    keep: Callable[[str], Any] = _same


class KeepServer:
    def __init__(self, services: Services, fields: Mapping[str, Field]) -> None:
        self._preferences = services.preferences
        self._fields = fields

    async def _ask_get(self, words: Words, asked: Asked) -> Answer:
        return {"values": {name: field.show(self._preferences[name]) for name, field in self._fields.items()}}

    async def _ask_set(self, words: Words, asked: Asked) -> Answer:
        """Keep the texts given; the answer says what they have become."""
        given = asked.get("values")
        if not isinstance(given, dict) or not given.keys() <= self._fields.keys():
            raise old_page("values")
        values = {name: self._fields[name].keep(text(given, name, LONGEST_TEXT)) for name in given}
        await asyncio.to_thread(lambda: self._preferences.set(**values))
        return {"values": {name: self._fields[name].show(values[name]) for name in values}}


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A field's text as a number in its range; an emptied one means the lowest, which is the neutral value."""

    def keep(typed: str) -> int:
        try:
            number = float(typed) if typed.strip() else low
        except ValueError as error:
            raise BadValue(
                f"{typed[:40]!r} is not a number.", code="not_a_number", values={"value": typed[:40]}
            ) from error
        return low if number != number else int(max(low, min(high, number)))

    return keep


def keep_fields(services: Services, name: str, fields: Mapping[str, Field]) -> None:
    """Call it where the fields are built: `fields` by the names of their preferences."""
    KeptFields(
        elem_id=f"keep-{name}",
        elem_classes="kept-fields",
        fields={preference: field.elem_id for preference, field in fields.items()},
        server_functions=[server_function("keep", services, KeepServer(services, fields))],
    )
