"""Do the loaded models and the chosen one fit together? What each holds for real, what the chosen one would add.

Bars and words over hub/room.py; knows nothing of files, forms or loading.
"""

from __future__ import annotations

from collections.abc import Sequence

from webui.hub.machine import Machine
from webui.hub.memory import Estimate, verdict
from webui.hub.room import Held, room
from webui.tabs.asking import Answer
from webui.tabs.model_words import size_text, verdict_text
from webui.tabs.words import Words

COLOURS = 4
"""How many models are told apart by their colour; then it begins again."""


def replacing(models: Sequence[Held], name: str) -> tuple[list[Held], list[Held]]:
    """(staying, leaving) when `name` is loaded: one that is there is loaded anew, else the current one makes way."""
    known = any(held.name == name for held in models)
    leaving = [held for held in models if (held.name == name if known else held.current)]
    return [held for held in models if held not in leaving], leaving


def beside(models: Sequence[Held], name: str) -> tuple[list[Held], list[Held]]:
    """(staying, leaving) when `name` is loaded beside the others."""
    leaving = [held for held in models if held.name == name]
    return [held for held in models if held not in leaving], leaving


def look(words: Words, machine: Machine, models: Sequence[Held], name: str, needed: Estimate) -> Answer:
    """Bars of the whole set with `name` beside it (as it is now, if it is loaded), and what is to be said of it."""
    if not models:
        return {"meters": [], "beside": None, "place": ""}
    known = any(held.name == name for held in models)
    adds = None if known else needed
    bars = [_bar(words, "ram", machine.ram_free, machine.ram_total, models, name, adds)]
    if machine.gpus:
        bars.append(_bar(words, "gpu", machine.gpu_free, machine.gpu_total, models, name, adds))
    _, leaving = replacing(models, name)
    back = ", ".join(held.name for held in leaving)
    size = size_text(words, sum(held.returned + held.mapped + held.used.gpu for held in leaving))
    place = words("model.set.again", n=size) if back == name else words("model.set.place", names=back, n=size)
    return {
        "meters": bars,
        "beside": None if known else _beside(words, machine, models, name, needed),
        "place": place if leaving else "",
    }


def _beside(words: Words, machine: Machine, models: Sequence[Held], name: str, needed: Estimate) -> Answer:
    found = verdict(needed, room(machine, *beside(models, name)))
    key = "model.set.beside" if found.fits else "model.set.not_beside"
    return {"code": found.code, "text": words(key, verdict=verdict_text(words, found))}


def _bar(
    words: Words, kind: str, free: int, total: int, models: Sequence[Held], name: str, adds: Estimate | None
) -> Answer:
    def of(held: Held) -> int:
        now = held.used.ram if kind == "ram" else held.used.gpu
        coming = getattr(held.expected, kind).total if held.expected is not None else 0
        return int(max(now, coming))

    held = [of(model) for model in models]
    counted = sum(model.returned if kind == "ram" else model.used.gpu for model in models)
    others = max(0, total - free - counted)
    parts: list[Answer] = [
        {"kind": "others", "amount": others, "label": words("model.set.others", n=size_text(words, others))}
    ]
    for place, (model, amount) in enumerate(zip(models, held, strict=True)):
        label = words("model.set.holds", name=model.name, n=size_text(words, amount))
        parts.append({"kind": f"model-{place % COLOURS}", "amount": amount, "label": label})
    need = getattr(adds, kind).total if adds is not None else 0
    if need:
        label = words("model.set.adds", name=name, n=size_text(words, need))
        parts.append({"kind": "adds", "amount": need, "label": label})
    left = total - others - sum(held) - need
    key = "model.set.left" if left >= 0 else "model.set.over"
    return {
        "label": words("model.set.ram") if kind == "ram" else words("model.set.gpu"),
        "text": words(key, held=size_text(words, sum(held) + need), n=size_text(words, abs(left))),
        "total": max(total, others + sum(held) + need),
        "over": left < 0,
        "parts": parts,
    }
