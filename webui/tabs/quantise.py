"""Make a smaller version of a model, and tell how much was lost by it: the server's side of static/quantise.js.

Both jobs run in processes of their own (hub/quantise.py, hub/comparing.py); a page only shows how far they are.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from webui.errors import BadValue
from webui.hub.comparing import LONGEST_TEXT, ComparisonView, default_text
from webui.hub.library import ModelEntry
from webui.hub.quantise import Quality, QuantiseView, TypeChoice, choices, free_name
from webui.services import Services
from webui.tabs.asking import Answer, Asked, server_function, text
from webui.tabs.downloads_words import time_text
from webui.tabs.model_list import find_entry
from webui.tabs.model_words import size_text
from webui.tabs.pieces import Piece
from webui.tabs.words import Words

USUAL = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "IQ4_XS", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K")
DIFFERENCES = ((0.005, "none"), (0.03, "small"), (0.15, "visible"))
"""Mean divergence in nats, and what to call it."""


class QuantiseSection(Piece):
    """Choose a model and a type, watch, compare. Talks to one server function."""

    draws = "quantise"


class QuantiseServer:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._quantiser = services.quantiser
        self._comparer = services.comparer

    async def _ask_state(self, words: Words, asked: Asked) -> Answer:
        """The models that can be used, and how far both jobs are."""
        entries = [entry for entry in await asyncio.to_thread(self._services.library.entries) if _usable(entry)]
        entries.sort(key=lambda entry: -(entry.facts.bits_per_weight if entry.facts else 0))
        return {
            "models": [_model_row(words, entry) for entry in entries],
            "folder": str(self._quantiser.folder),
            **self._jobs(words),
        }

    async def _ask_types(self, words: Words, asked: Asked) -> Answer:
        """What this model can be made into."""
        entry = await self._find(asked, "path")
        return {"types": await asyncio.to_thread(self._types, words, entry)}

    async def _ask_start(self, words: Words, asked: Asked) -> Answer:
        entry, matrix = await self._find(asked, "path"), text(asked, "matrix", 4096).strip().strip('"')
        await self._quantiser.start(
            entry,
            text(asked, "type", 40),
            name=text(asked, "name", 255).strip(),
            threads=self._services.settings.threads,
            matrix=Path(matrix).expanduser() if matrix else None,
        )
        return self._jobs(words)

    async def _ask_cancel(self, words: Words, asked: Asked) -> Answer:
        await self._quantiser.cancel()
        return self._jobs(words)

    async def _ask_compare(self, words: Words, asked: Asked) -> Answer:
        """Begin to compare two files; without a text of one's own, on the one that comes with the program."""
        reference, other = await self._find(asked, "reference"), await self._find(asked, "other")
        await self._comparer.start(reference, other, text(asked, "text", LONGEST_TEXT) or default_text())
        return self._jobs(words)

    async def _ask_compare_cancel(self, words: Words, asked: Asked) -> Answer:
        await self._comparer.cancel()
        return self._jobs(words)

    def _jobs(self, words: Words) -> Answer:
        job, comparison = self._quantiser.view(), self._comparer.view()
        return {
            "job": _job_row(words, job) if job else None,
            "comparison": _comparison_row(words, comparison) if comparison else None,
            "active": any(view is not None and view.state == "running" for view in (job, comparison)),
        }

    def _types(self, words: Words, entry: ModelEntry) -> list[Answer]:
        folder = self._quantiser.folder
        return [_type_row(words, one, free_name(folder, entry, one.name)) for one in choices(entry)]

    async def _find(self, asked: Asked, name: str) -> ModelEntry:
        entry = await asyncio.to_thread(find_entry, self._services.library, text(asked, name, 4096))
        if not _usable(entry):
            raise BadValue(f"{entry.name} is no GGUF model: only those can be quantised here.", param=name)
        return entry


def _usable(entry: ModelEntry) -> bool:
    return entry.kind == "gguf" and entry.loadable and entry.facts is not None and entry.facts.parameters > 0


def _model_row(words: Words, entry: ModelEntry) -> Answer:
    kind = entry.facts.quantisation if entry.facts else ""
    label = " · ".join(part for part in (entry.name, kind, size_text(words, entry.size_bytes)) if part)
    return {"path": str(entry.path), "name": entry.name, "label": label}


def _type_row(words: Words, choice: TypeChoice, name: str) -> Answer:
    return {
        "type": choice.name,
        "label": f"{choice.name} · ≈ {size_text(words, choice.size)} · {choice.in_words(words.language)}",
        "advice": words(f"quantise.advice.{choice.advice}"),
        "warn": choice.advice != "good",
        "matrix": choice.needs_matrix,
        "usual": choice.name in USUAL,
        "name": name,
    }


def _job_row(words: Words, view: QuantiseView) -> Answer:
    parts = [words("downloads.left", n=time_text(words, view.seconds_left))] if view.seconds_left else []
    if view.state == "running" and view.tensor:
        parts.append(view.tensor)
    if view.state == "done":
        sizes = {"before": size_text(words, view.size_before), "after": size_text(words, view.size_after)}
        parts = [words("quantise.done", **sizes)]
        if view.fallbacks:
            parts.append(words("quantise.fallbacks", n=view.fallbacks))
    return {
        "title": f"{view.source} → {view.target.name}",
        "state": view.state,
        "share": view.progress,
        "text": " · ".join(parts),
        "problem": words.problem(view.code, view.problem, view.values) if view.problem else "",
        "path": str(view.target),
    }


def _comparison_row(words: Words, view: ComparisonView) -> Answer:
    return {
        "title": f"{view.reference} ↔ {view.other}",
        "state": view.state,
        "share": view.progress,
        "text": words("downloads.left", n=time_text(words, view.seconds_left)) if view.seconds_left else "",
        "problem": words.problem(view.code, view.problem, view.values) if view.problem else "",
        **(_quality_rows(words, view.quality) if view.quality else {}),
    }


def _quality_rows(words: Words, quality: Quality) -> Answer:
    """The figures, each with what it means, and one sentence for all."""
    difference = next((name for limit, name in DIFFERENCES if quality.mean < limit), "large")
    figures = {
        "same_top": words("quantise.percent", n=words.number(100 * quality.same_top, 1)),
        "mean": words("quantise.nats", n=words.number(quality.mean, 4)),
        "p99": words("quantise.nats", n=words.number(quality.p99, 3)),
        "perplexity": " → ".join(words.number(value, 2) for value in quality.perplexity),
    }
    return {
        "verdict": words(f"quantise.difference.{difference}"),
        "rows": [[words(f"quantise.{name}"), value, words(f"quantise.{name}.help")] for name, value in figures.items()],
        "places": words("quantise.places", n=quality.tokens),
    }


def build(services: Services) -> None:
    QuantiseSection(
        elem_id="quantise", server_functions=[server_function("quantise", services, QuantiseServer(services))]
    )
