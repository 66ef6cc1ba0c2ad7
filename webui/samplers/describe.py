"""The effective chain in words: order, values, what is off, what was asked for and is not applied, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from webui.samplers.chain import Chain, Stage
from webui.samplers.declare import Param, Text
from webui.samplers.foreign import NotApplied

_OFF = Text("off", "выкл.")
_NOT_APPLIED = Text("Asked for and not applied:", "Запрошено, но не применяется:")
_WARNING = Text("warning", "внимание")


def effective_chain(steps: Iterable[Any], notes: Iterable[NotApplied] = (), language: str = "en") -> str:
    """One line a stage, in order; then what is not applied."""
    chain = steps if isinstance(steps, Chain) else Chain.parse(steps)
    warnings: dict[int, str] = {}
    for index, text in chain.warnings():
        warnings[index] = f"{warnings[index]} {text[language]}" if index in warnings else text[language]
    lines = [f"{stage.index + 1:>2}. {_line(stage, warnings.get(stage.index), language)}" for stage in chain.stages]
    for note_index, note in enumerate(notes):
        if note_index == 0:
            lines.append(_NOT_APPLIED[language])
        lines.append(f" –  {note.field}: {note.reason[language]}")
    return "\n".join(lines)


def _line(stage: Stage, warning: str | None, language: str) -> str:
    if stage.off:
        return f"{stage.sampler.name}  {_OFF[language]}"
    words = [f"{p.name}={shown(p, stage.values[p.name])}" for p in stage.sampler.params if _worth_saying(p, stage)]
    line = f"{stage.sampler.name}  {' '.join(words)}".rstrip()
    return f"{line}  ({_WARNING[language]}: {warning})" if warning is not None else line


def _worth_saying(param: Param, stage: Stage) -> bool:
    """Everything but the rarely used values that are as always."""
    return not param.advanced or stage.values[param.name] != param.default


def shown(param: Param, value: Any) -> str:
    """A value as short text."""
    if param.kind == "float":
        return f"{value:g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {v:g}" for k, v in list(value.items())[:8]) + (" …}" if len(value) > 8 else "}")
    if isinstance(value, tuple):
        inner = ", ".join(repr(item) if isinstance(item, str) else str(item) for item in value[:8])
        return f"[{inner}{' …' if len(value) > 8 else ''}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
