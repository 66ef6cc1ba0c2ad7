"""A model, its memory and its problems in the visitor's words. Pure; knows nothing of loading."""

from __future__ import annotations

from collections.abc import Sequence

from webui.hub.library import ModelEntry
from webui.hub.memory import Verdict
from webui.tabs.asking import Answer
from webui.tabs.words import Words


def size_text(words: Words, count: float) -> str:
    """Bytes as a person reads them."""
    if count >= 10**9:
        return words("unit.gb", n=words.number(count / 1e9, 2))
    return words("unit.mb", n=words.number(count / 1e6, 0 if count >= 10**7 else 1))


def short_number(words: Words, count: int) -> str:
    """Millions and thousands of millions of parameters."""
    if count >= 10**9:
        return words("unit.billion", n=words.number(count / 1e9, 1))
    return words("unit.million", n=words.number(count / 1e6, 0))


def verdict_text(words: Words, verdict: Verdict) -> str:
    """Whether it fits, as a sentence with both numbers."""
    values = {name: size_text(words, verdict.values[name]) for name in ("need", "free")}
    key = f"fit.{verdict.code}.{verdict.values['where']}"
    return words(key, need_text=values["need"], free_text=values["free"])


def span(numbers: Sequence[int]) -> str:
    """One number for layers that are alike, else from-to; layers without (recurrent ones) are left out."""
    counted = [number for number in numbers if number]
    if not counted:
        return ""
    low, high = min(counted), max(counted)
    return str(low) if low == high else f"{low}–{high}"


def row(words: Words, entry: ModelEntry) -> Answer:
    """One line of the library's list, with everything its header tells."""
    facts = entry.facts
    return {
        "name": entry.name,
        "path": str(entry.path),
        "origin": entry.origin,
        "kind": entry.kind,
        "bytes": entry.size_bytes,
        "size": size_text(words, entry.size_bytes),
        "modified": entry.modified,
        "parts": len(entry.files),
        "title": facts.title if facts else "",
        "architecture": facts.architecture if facts else "",
        "count": facts.parameters if facts else 0,
        "parameters": short_number(words, facts.parameters) if facts and facts.parameters else "",
        "quantisation": facts.quantisation if facts else "",
        "bits": words.number(facts.bits_per_weight, 1) if facts and facts.bits_per_weight else "",
        "in_words": facts.quantisation_in_words(words.language) if facts else "",
        "context": facts.context if facts else 0,
        "template": bool(facts and facts.chat_template),
        "licence": facts.licence if facts else "",
        "layers": facts.layers if facts else 0,
        "heads": span(facts.heads) if facts else "",
        "kv_heads": span(facts.kv_heads) if facts else "",
        "experts": facts.experts if facts else 0,
        "experts_used": facts.experts_used if facts else 0,
        "window": facts.sliding_window if facts else 0,
        "problem": entry.problem_in(words.language) or "",
        "loadable": entry.loadable,
    }
