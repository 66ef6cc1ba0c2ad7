"""The Session tab: language and theme, versions, memory, the flags in force."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
from dataclasses import fields

import gradio as gr
import psutil

from webui.services import Services
from webui.tabs.asking import Answer, Asked, server_function
from webui.tabs.pieces import SessionView
from webui.tabs.words import Words

_PACKAGES = ("gradio", "llama-cpp-python", "numpy", "llguidance", "huggingface-hub")
_SECRET = frozenset({"gradio_auth", "api_key", "admin_key"})


class SessionServer:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def _ask_facts(self, words: Words, asked: Asked) -> Answer:
        preferences = self._services.preferences
        memory = await asyncio.to_thread(_memory)
        return {
            "language": preferences["language"],
            "theme": preferences["theme"],
            "memory": _meter(words, *memory),
            "versions": _versions(words),
            "flags": self._flags(words),
            "folder": str(self._services.settings.data_dir),
        }

    def _flags(self, words: Words) -> list[Answer]:
        """Every flag with its value; secrets only as set or not."""
        settings = self._services.settings
        shown = []
        for field in fields(settings):
            value = getattr(settings, field.name)
            if field.name in _SECRET:
                text = words("session.secret") if value else words("session.unset")
            else:
                text = _flag_text(words, value)
            name = "--" + field.name.replace("_", "-")
            shown.append(
                {
                    "name": name,
                    "value": text,
                    "changed": value != field.default,
                    "help": words.translated(f"flag.{field.name}", field.metadata["help"]),
                }
            )
        return shown


def _flag_text(words: Words, value: object) -> str:
    if isinstance(value, bool):
        return words("session.on") if value else words("session.off")
    if isinstance(value, (tuple, list)):
        return ", ".join(str(item) for item in value)
    return words("session.unset") if value == "" else str(value)


def _versions(words: Words) -> list[list[str]]:
    rows = [["Python", platform.python_version()], [words("session.system"), platform.platform(terse=True)]]
    for package in _PACKAGES:
        try:
            rows.append([package, importlib.metadata.version(package)])
        except importlib.metadata.PackageNotFoundError:
            rows.append([package, words("session.missing")])
    rows.append(
        [words("session.cpu"), words("session.cpu.value", n=psutil.cpu_count(logical=False) or os.cpu_count() or 1)]
    )
    return rows


def _memory() -> tuple[int, int, int, int]:
    """Bytes: this process, its workers, everything else in use, all there is."""
    here = psutil.Process()
    own = here.memory_info().rss
    workers = 0
    for child in here.children(recursive=True):
        try:
            workers += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    everything = psutil.virtual_memory()
    used = everything.total - everything.available
    return own, workers, max(0, used - own - workers), everything.total


def _meter(words: Words, own: int, workers: int, others: int, total: int) -> Answer:
    def text(count: int) -> str:
        return words("unit.gb", n=words.number(count / 1e9, 2))

    return {
        "label": words("session.memory"),
        "total": total,
        "parts": [
            {"amount": own, "label": words("session.memory.page", n=text(own)), "kind": "kept"},
            {"amount": workers, "label": words("session.memory.engine", n=text(workers)), "kind": "chosen"},
            {"amount": others, "label": words("session.memory.others", n=text(others)), "kind": "raw"},
        ],
        "text": words("session.memory.free", n=text(total - own - workers - others), all=text(total)),
    }


def build(services: Services) -> None:
    with gr.Column(elem_classes="page"):
        SessionView(elem_id="session", server_functions=[server_function("session", services, SessionServer(services))])
