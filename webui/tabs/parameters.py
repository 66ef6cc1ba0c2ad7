"""The Parameters tab: the chain, the seed and the limits that every tab generates with; each change is kept at once."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr

from webui.errors import BadValue
from webui.preferences import Preferences
from webui.services import Services
from webui.tabs import chain_edit, presets
from webui.tabs.asking import words_for
from webui.tabs.labels import label

LARGEST_SEED = (1 << 32) - 1
LARGEST_REPLY = 1 << 20


def shown(preferences: Preferences) -> dict[str, Any]:
    """The kept values as the controls show them."""
    return {
        "seed": preferences["seed"],
        "max_tokens": preferences["max_tokens"],
        "stop": "\n".join(text.replace("\\", "\\\\").replace("\n", "\\n") for text in preferences["stop"]),
        "system": preferences["system"],
    }


def kept(name: str, value: Any) -> Any:
    """A control's value as it is kept; an emptied number means its neutral value."""
    if name == "stop":
        lines = (line.replace("\\n", "\n").replace("\\\\", "\\") for line in str(value or "").split("\n"))
        return [line for line in lines if line][:16]
    if name in ("seed", "max_tokens"):
        low, high = (-1, LARGEST_SEED) if name == "seed" else (0, LARGEST_REPLY)
        return low if value is None else max(low, min(high, int(value)))
    return str(value or "")


def build(services: Services, blocks: gr.Blocks) -> None:
    preferences = services.preferences
    with gr.Row(elem_classes="page split"):
        with gr.Column(scale=3, min_width=320):
            gr.Markdown(label("parameters.chain"), elem_classes="heading")
            presets.build(services)
            chain_edit.build(services, "parameters-chain")
        with gr.Column(scale=2, min_width=280):
            gr.Markdown(label("parameters.general"), elem_classes="heading")
            controls: dict[str, gr.components.Component] = {
                "seed": gr.Number(
                    label=label("parameters.seed"),
                    info=label("parameters.seed.help"),
                    value=-1,
                    minimum=-1,
                    maximum=LARGEST_SEED,
                    precision=0,
                    elem_id="seed",
                ),
                "max_tokens": gr.Number(
                    label=label("parameters.max_tokens"),
                    info=label("parameters.max_tokens.help"),
                    value=512,
                    minimum=0,
                    maximum=LARGEST_REPLY,
                    precision=0,
                    elem_id="max-tokens",
                ),
                "stop": gr.Textbox(
                    label=label("parameters.stop"),
                    info=label("parameters.stop.help"),
                    lines=2,
                    max_lines=8,
                    elem_id="stop-strings",
                    elem_classes="mono",
                ),
                "system": gr.Textbox(
                    label=label("parameters.system"),
                    info=label("parameters.system.help"),
                    lines=4,
                    max_lines=16,
                    elem_id="system-text",
                ),
            }
    _wire(preferences, services, controls, blocks)


def _wire(
    preferences: Preferences, services: Services, controls: dict[str, gr.components.Component], blocks: gr.Blocks
) -> None:
    async def keep(request: gr.Request, **values: Any) -> None:
        try:
            await asyncio.to_thread(lambda: preferences.set(**{name: kept(name, v) for name, v in values.items()}))
        except BadValue as error:
            gr.Warning(words_for(services, request).problem(error.code, error.message, error.values))

    def show() -> dict[Any, Any]:
        values = shown(preferences)
        return {control: values[name] for name, control in controls.items()}

    gr.on(
        [control.change for control in controls.values()],  # type: ignore[attr-defined]
        keep,
        inputs_kwargs=controls,
        show_progress="hidden",
        trigger_mode="always_last",
        concurrency_limit=None,
    )
    blocks.load(show, outputs=list(controls.values()), show_progress="hidden")
