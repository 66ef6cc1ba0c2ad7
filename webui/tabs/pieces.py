"""Pieces of the page that Gradio has not: gr.HTML subclasses, each drawn by its own js and css file in static/.

A piece gets its data as `value` (plain JSON) and draws it as text and attributes, never as HTML made of data. Knows
nothing of models or samplers.
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta

STATIC = Path(__file__).parent / "static"
SCRIPTS = (
    "lab",
    "status",
    "bars",
    "tokens",
    "line",
    "meter",
    "explain",
    "chat_view",
    "chat_list",
    "chat",
    "chain",
    "presets",
    "model",
    "session",
    "shortcuts",
    "logits",
    "logits_funnel",
    "logits_mini",
    "logits_picture",
    "logits_draws",
    "logits_walk",
    "logits_take",
    "logits_tour",
)
STYLES = ("look", "gradio", "pieces", "chat", "chain", "forms", "logits")


def read_all(names: tuple[str, ...], ending: str) -> str:
    return "\n".join((STATIC / f"{name}.{ending}").read_text(encoding="utf-8") for name in names)


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


class Line(Piece):
    """One line of news: figures, or a problem. value: {"text": str, "problem": bool}."""

    draws = "line"
