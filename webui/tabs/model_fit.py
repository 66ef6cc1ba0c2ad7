"""Will it fit? The Model tab's bars, verdict and table over contexts, for the values that stand in the form right now.

Only asks hub.memory and says it in words; nothing is loaded for it. Headers are read once a file.
"""

from __future__ import annotations

from typing import Any

from webui.hub.library import ModelEntry
from webui.hub.machine import Machine
from webui.hub.memory import (
    ContextRow,
    Estimate,
    Share,
    best_gpu_layers,
    context_table,
    estimate,
    largest_context,
    per_gpu,
    verdict,
)
from webui.hub.shape import Shape
from webui.hub.shapes import Shapes
from webui.tabs.asking import Answer
from webui.tabs.model_words import size_text, verdict_text
from webui.tabs.words import Words
from webui.types import LoadSpec

PARTS = ("weights", "cache", "compute", "program")


class Fitter:
    """For the machine it is told: what is free there may be what is free once another model is gone."""

    def __init__(self, shapes: Shapes | None = None) -> None:
        self.shapes = shapes or Shapes()

    def planned(self, entry: ModelEntry, spec: LoadSpec, machine: Machine) -> Estimate:
        return self.shapes.estimate(entry, spec, machine)

    def look(self, words: Words, entry: ModelEntry, spec: LoadSpec, machine: Machine) -> Answer:
        """Everything the page shows for these values."""
        shape = self.shapes.of(entry)
        plan = self.shapes.plan(entry, spec, machine)
        needed = estimate(shape, plan)
        judged = verdict(needed, machine)
        automatic = spec.n_gpu_layers < 0 and bool(machine.gpus)
        table = context_table(shape, plan, machine, automatic=automatic)
        return {
            "code": judged.code,
            "verdict": verdict_text(words, judged),
            "meters": meters(words, shape, needed, machine, spec),
            "plan": {
                "n_ctx": plan.context,
                "slots": plan.slots,
                "n_gpu_layers": plan.gpu_layers,
                "ubatch": plan.ubatch,
            },
            "layers": len(shape.layers) + 1,
            "gpus": [gpu.name for gpu in machine.gpus],
            "best_layers": best_gpu_layers(shape, plan, machine) if machine.gpus else 0,
            "largest": largest_context(shape, plan, machine),
            "trained": shape.trained_context,
            "table": [context_row(words, row, bool(machine.gpus)) for row in table],
        }


def meters(words: Words, shape: Shape, needed: Estimate, machine: Machine, spec: LoadSpec) -> list[Answer]:
    """One bar for RAM and one for each GPU."""
    bars = [meter(words, words("model.fit.ram"), needed.ram, machine.ram_free, machine.ram_total)]
    shares = per_gpu(shape, needed.plan, machine, spec.options.get("tensor_split", ()))
    for number, (gpu, share) in enumerate(zip(machine.gpus, shares, strict=True)):
        name = words("model.fit.gpu", n=number, name=gpu.name)
        bars.append(meter(words, name, share, gpu.free, gpu.total))
    return bars


def meter(words: Words, label: str, share: Share, free: int, total: int) -> Answer:
    """A stacked bar: what others use, then the parts of this model, against all there is."""
    others = max(0, total - free)
    parts: list[dict[str, Any]] = [_part(words, "others", others)]
    parts += [_part(words, name, getattr(share, name)) for name in PARTS]
    need = share.total
    key = "model.fit.line" if need <= free else "model.fit.over"
    line = words(key, need=size_text(words, need), free=size_text(words, free), over=size_text(words, need - free))
    return {
        "label": label,
        "text": line,
        "total": max(total, others + need),
        "limit": total,
        "need": need,
        "free": free,
        "over": need > free,
        "parts": parts,
    }


def _part(words: Words, name: str, amount: int) -> dict[str, Any]:
    return {"kind": name, "amount": amount, "label": words(f"model.fit.{name}", n=size_text(words, amount))}


def context_row(words: Words, row: ContextRow, gpus: bool) -> Answer:
    return {
        "context": row.context,
        "ram": size_text(words, row.estimate.ram.total),
        "gpu": size_text(words, row.estimate.gpu.total) if gpus else "",
        "cache": size_text(words, row.estimate.ram.cache + row.estimate.gpu.cache),
        "layers": row.estimate.plan.gpu_layers if gpus else "",
        "code": row.verdict.code,
        "word": words(f"model.fit.word.{row.verdict.code}"),
        "sentence": verdict_text(words, row.verdict),
        "beyond": row.beyond,
    }
