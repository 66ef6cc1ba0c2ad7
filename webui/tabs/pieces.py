"""Pieces of the page that Gradio has not: gr.HTML subclasses, each drawn by its own js and css file in static/.

A piece is a name (`draws`): static/<name>.js fills it, static/<name>.css dresses it, and files called <name>_<part>
belong to it too. A file that is put there is served; no list names it. The four small ones (token strip, probability
bars, meter, line) show their `value`, plain JSON; the great ones talk to a server function. All draw text and
attributes, never HTML made of data. Knows nothing of models or samplers.
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta

STATIC = Path(__file__).parent / "static"
_FIRST = ("lab", "look", "gradio", "forms")
"""What the other files build on; they come in the order of their names, so `chat` before `chat_view`."""


def read_all(ending: str) -> str:
    """All files of one kind in static/, as one text."""
    files = {file.stem: file for file in STATIC.glob(f"*.{ending}")}
    order = [name for name in _FIRST if name in files] + sorted(files.keys() - set(_FIRST))
    return "\n".join(files[name].read_text(encoding="utf-8") for name in order)


class _Quiet(ComponentMeta):
    """Gradio writes a .pyi file beside the source of every component class; ours must not change the source tree."""

    def __new__(mcs, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> _Quiet:
        return ABCMeta.__new__(mcs, name, bases, attributes)


class Piece(gr.HTML, metaclass=_Quiet):
    """`draws` names the function of static/*.js that fills it; `triggers` are the events it may send."""

    draws = ""
    triggers: tuple[str, ...] = ()

    def __init__(
        self,
        value: Any = None,
        *,
        elem_id: str | None = None,
        elem_classes: list[str] | str | None = None,
        visible: bool = True,
        server_functions: list[Callable[..., Any]] | None = None,
        render: bool = True,
        **props: Any,
    ) -> None:
        given = {
            "value": value,
            "elem_id": elem_id,
            "elem_classes": elem_classes,
            "visible": visible,
            "server_functions": server_functions,
            **props,
        }
        quoted = ", ".join(f"'{event}'" for event in self.triggers)
        super().__init__(
            value,
            html_template=f'<div class="piece piece-{self.draws}"></div>',
            css_template="",
            js_on_load=f"Lab.draw('{self.draws}', element, {{trigger, props, server, watch, events: [{quoted}]}});",
            apply_default_css=False,
            elem_id=elem_id,
            elem_classes=elem_classes,
            visible=visible,
            server_functions=server_functions,
            render=render,
            **props,
        )
        self._constructor_args = [given]  # from these Gradio builds a visitor's own copy when a property changes

    def get_block_name(self) -> str:
        return "html"


class StatusLine(Piece):
    """The model's state, and the way to the shortcuts, the language and the theme. Asks the server by itself."""

    draws = "status"


class Line(Piece):
    """One line of news: figures, or a problem, and what else is to be known. value: {"text": str, "problem": bool,
    "notice": str}."""

    draws = "line"


class TokenStrip(Piece):
    """A text as its tokens, shaded by surprise. Triggers `select` with {"index": int} when one is chosen.

    value: {"tokens": [{"text": str, "id": int, "surprise": 0..1, "title": str}], "chosen": int, "from": int}; only
    `tokens` with `text` and `id` is needed. `from` is the place in the whole text of the first one shown.
    """

    draws = "tokens"
    triggers = ("select",)


class ProbabilityBars(Piece):
    """Candidates for the next token, likeliest first: what the model says, what the chain leaves, what was chosen.

    value: {"rows": [{"text": str, "id": int, "raw": 0..1, "final": 0..1, "cut": str, "chosen": bool}]}; `cut` says why
    a token is out and is empty for those that stay.
    """

    draws = "bars"


class Meter(Piece):
    """How much of something is used.

    value: {"label": str, "text": str, "total": number, "parts": [{"amount": number, "label": str, "kind": str}]};
    `kind` is one of the colours with a meaning: raw, kept, cut, chosen.
    """

    draws = "meter"


class KeptFields(Piece):
    """Shows nothing: hears the fields whose elem_ids it is given by name, and tells its server function."""

    draws = "keep"


class ChatView(Piece):
    """The whole Chat tab: list of chats, messages, composer. Talks to one server function."""

    draws = "chat"


class ChainEditor(Piece):
    """The sampler chain: order, switches, values. Talks to one server function."""

    draws = "chain"
    triggers = ("changed",)


class PresetBar(Piece):
    """Choose, keep, delete and import presets. Talks to one server function; the chain's editor hears of changes."""

    draws = "presets"


class ModelView(Piece):
    """The list of models and what is loaded. Talks to one server function."""

    draws = "model"


class SessionView(Piece):
    """Language, theme, memory, versions, flags. Talks to one server function."""

    draws = "session"
