"""The prompt templates that come with the program, and what models of each family are called.

Knows names, kinds and marks; reads presets/templates. Nothing of chats.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from webui.errors import BadValue
from webui.settings import ROOT

FOLDER = ROOT / "presets" / "templates"
ENDING = ".jinja"

NAMES: tuple[tuple[str, str], ...] = (
    ("gpt-oss", r"gpt[-_ ]?oss"),
    ("chatml", r"chatml|hermes[-_ ]?[2-9]|dolphin|openhermes|smollm|internlm|orca[-_ ]?2|\byi[-_ ]"),
    ("alpaca", r"alpaca|nous[-_ ]?hermes|mythomax|solar"),
    ("vicuna", r"vicuna|wizardlm|capybara"),
    ("codellama-70b", r"code[-_ ]?llama[-_ ]?70b[-_ ]?instruct"),
    ("codellama", r"code[-_ ]?llama"),
    ("llama-3.1", r"llama[-_ ]?v?3[._-][1-3]\b"),
    ("llama-3", r"llama[-_ ]?v?3"),
    ("llama-2", r"llama[-_ ]?v?2"),
    ("mistral-v1", r"mistral.*v0?[._]?[12]\b|mixtral[-_ ]?8x7b"),
    ("mistral-nemo", r"nemo\b|pixtral|ministral"),
    ("mistral-v0.3", r"mistral|mixtral|codestral|mathstral"),
    ("gemma-2", r"gemma"),
    ("phi-3", r"phi[-_ ]?3"),
    ("chatml", r"qwen[-_ ]?3"),
    ("qwen2", r"qwen"),
)
"""Shipped templates and what names of models they fit; the first that fits counts."""

ARCHITECTURES: Mapping[str, str] = {
    "gpt-oss": "gpt-oss",
    "gemma": "gemma-2",
    "gemma2": "gemma-2",
    "gemma3": "gemma-2",
    "phi3": "phi-3",
    "qwen2": "qwen2",
    "qwen2moe": "qwen2",
    "qwen3": "chatml",
    "qwen3moe": "chatml",
    "internlm2": "chatml",
}
END_TOKENS: Mapping[str, str] = {
    "<|im_end|>": "chatml",
    "<|eot_id|>": "llama-3.1",
    "<end_of_turn>": "gemma-2",
    "<|end|>": "phi-3",
    "<|return|>": "gpt-oss",
    "<|call|>": "gpt-oss",
}
MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("gpt-oss", ("<|channel|>", "<|message|>")),
    ("llama-3.1", ("<|start_header_id|>",)),
    ("mistral-v0.3", ("[TOOL_CALLS]",)),
    ("gemma-2", ("<start_of_turn>",)),
    ("chatml", ("<|im_start|>",)),
    ("phi-3", ("<|end|>", "<|")),
    ("llama-2", ("<<SYS>>",)),
    ("mistral-v1", ("[INST]",)),
    ("vicuna", ("USER:", "ASSISTANT:")),
    ("alpaca", ("### Instruction",)),
)
"""What a template's text must hold to be of a family; the first that fits counts."""


@functools.lru_cache(maxsize=1)
def shipped() -> tuple[str, ...]:
    """The names of the templates that come with the program."""
    return tuple(sorted(path.stem for path in FOLDER.glob(f"*{ENDING}")))


@functools.lru_cache(maxsize=32)
def read_shipped(name: str) -> str:
    if name not in shipped():
        raise unknown_template(name)
    return (FOLDER / f"{name}{ENDING}").read_text("utf-8")


def recognise(model: str) -> str | None:
    """The shipped template that fits a model of this name."""
    return next((family for family, pattern in NAMES if re.search(pattern, model, re.IGNORECASE)), None)


def family_of(source: str) -> str:
    """The shipped template that a template's text resembles, "" if none."""
    return next((family for family, marks in MARKS if all(mark in source for mark in marks)), "")


def unknown_template(name: str, own: tuple[str, ...] = ()) -> BadValue:
    known = ", ".join((*own, *shipped()))
    return BadValue(
        f"There is no prompt template {name[:60]!r}; there are {known}.",
        param="template",
        code="unknown_template",
        values={"name": name[:60], "known": known},
    )
