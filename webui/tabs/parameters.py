"""The Parameters tab: the chain, the seed and the limits that every tab generates with; each change is kept at once."""

from __future__ import annotations

import re

import gradio as gr

from webui.services import Services
from webui.tabs import chain_edit, presets
from webui.tabs.keeping import Field, keep_fields, whole_number
from webui.tabs.labels import label

LARGEST_SEED = (1 << 32) - 1
LARGEST_REPLY = 1 << 20


def stop_as_text(stop: list[str]) -> str:
    """One a line; a line break inside is written \\n."""
    return "\n".join(text.replace("\\", "\\\\").replace("\n", "\\n") for text in stop)


def text_as_stop(typed: str) -> list[str]:
    lines = (re.sub(r"\\(.)", _unescaped, line) for line in typed.split("\n"))
    return [line for line in lines if line][:16]


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n", "\\": "\\"}.get(match[1], match[0])


def build(services: Services) -> None:
    with gr.Row(elem_classes="page split"):
        with gr.Column(scale=3, min_width=320):
            gr.Markdown(label("parameters.chain"), elem_classes="heading")
            presets.build(services)
            chain_edit.build(services, "parameters-chain")
        with gr.Column(scale=2, min_width=280):
            gr.Markdown(label("parameters.general"), elem_classes="heading")
            gr.Number(
                label=label("parameters.seed"),
                info=label("parameters.seed.help"),
                value=-1,
                minimum=-1,
                maximum=LARGEST_SEED,
                precision=0,
                interactive=True,
                elem_id="seed",
            )
            gr.Number(
                label=label("parameters.max_tokens"),
                info=label("parameters.max_tokens.help"),
                value=512,
                minimum=0,
                maximum=LARGEST_REPLY,
                precision=0,
                interactive=True,
                elem_id="max-tokens",
            )
            gr.Textbox(
                label=label("parameters.stop"),
                info=label("parameters.stop.help"),
                lines=2,
                max_lines=8,
                interactive=True,
                elem_id="stop-strings",
                elem_classes="mono",
            )
            gr.Textbox(
                label=label("parameters.system"),
                info=label("parameters.system.help"),
                lines=4,
                max_lines=16,
                interactive=True,
                elem_id="system-text",
            )
            keep_fields(
                services,
                "parameters",
                {
                    "seed": Field("seed", keep=whole_number(-1, LARGEST_SEED)),
                    "max_tokens": Field("max-tokens", keep=whole_number(0, LARGEST_REPLY)),
                    "stop": Field("stop-strings", show=stop_as_text, keep=text_as_stop),
                    "system": Field("system-text"),
                },
            )
