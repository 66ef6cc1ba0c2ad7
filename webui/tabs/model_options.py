"""The form of a load: which controls there are, in which groups, and the LoadSpec that their values come to.

Made from webui/load_options.py and LoadSpec's own fields, so that an option declared there appears here by itself (a
test asks for its words). RoPE and LoRA have forms of their own. Knows nothing of memory or of what is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from webui.errors import BadValue
from webui.load_options import FIELDS, OPTIONS, check_spec
from webui.tabs.asking import Answer, Asked, old_page
from webui.tabs.words import Words
from webui.types import LoadSpec

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("main", ("n_ctx", "n_gpu_layers", "kv_type", "slots")),
    ("speed", ("threads", "threads_batch", "n_batch", "ubatch", "flash_attention", "extra_buffers")),
    ("memory", ("mmap", "mlock", "cache_mb")),
    ("gpus", ("offload_kv", "split_mode", "tensor_split", "main_gpu")),
)
ELSEWHERE = ("rope_base", "rope_scale", "loras")
"""Options with a form of their own."""
AUTOMATIC: Mapping[str, int] = {
    "n_ctx": 0,
    "n_gpu_layers": -1,
    "slots": 0,
    "threads": 0,
    "threads_batch": 0,
    "ubatch": 0,
    "cache_mb": -1,
}
"""The value that leaves the choice to the engine; an empty field stands for it."""
STEPS: Mapping[str, int] = {"n_ctx": 256, "n_batch": 128, "ubatch": 64, "cache_mb": 256}


@dataclass(frozen=True, slots=True)
class Control:
    name: str
    kind: str
    default: Any
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def controls() -> dict[str, Control]:
    """Every field of a load, by name."""
    plain = LoadSpec(path="")
    found = {name: Control(name, "int", getattr(plain, name), *span) for name, span in FIELDS.items()}
    for option in OPTIONS:
        found[option.name] = Control(
            option.name, option.kind, option.default, option.low, option.high, tuple(option.choices)
        )
    return found


def groups() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The controls by group; what nobody has put into one stands in the last."""
    placed = {name for _, names in GROUPS for name in names} | set(ELSEWHERE)
    rest = tuple(name for name in controls() if name not in placed)
    return (*GROUPS, ("other", rest)) if rest else GROUPS


def form(words: Words) -> list[Answer]:
    """The groups with their controls, labels and help, ready to be drawn."""
    known = controls()
    return [
        {"group": group, "title": words(f"model.group.{group}"), "controls": [_drawn(words, known[n]) for n in names]}
        for group, names in groups()
    ]


def _drawn(words: Words, control: Control) -> Answer:
    name = control.name
    drawn: Answer = {
        "name": name,
        "kind": control.kind,
        "label": words(f"model.option.{name}"),
        "help": words(f"model.option.{name}.help"),
        "low": control.low,
        "high": control.high,
        "step": STEPS.get(name, 1),
        "default": list(control.default) if isinstance(control.default, tuple) else control.default,
        "choices": [[choice, words(f"model.choice.{choice}")] for choice in control.choices],
    }
    if name in AUTOMATIC:
        drawn["automatic"] = AUTOMATIC[name]
    return drawn


def values_of(spec: LoadSpec) -> Answer:
    """A LoadSpec as the flat values of the form."""
    known = controls()
    own = {name: getattr(spec, name) for name in FIELDS}
    options = {option.name: spec.options.get(option.name, known[option.name].default) for option in OPTIONS}
    return {**own, **{name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}}


def spec_from(base: LoadSpec, asked: Asked) -> LoadSpec:
    """`base` with the values the page sent; BadValue names what is wrong. Defaults are left out of the options."""
    values = asked.get("values")
    if not isinstance(values, dict):
        raise old_page("values")
    own = {field.name for field in fields(LoadSpec)} & FIELDS.keys()
    by_name = {option.name: option for option in OPTIONS}
    unknown = values.keys() - own - by_name.keys()
    if unknown:
        raise BadValue(f"There is no load option {min(unknown)!r}.", param=min(unknown))
    options = dict(base.options)
    for name in values.keys() & by_name.keys():
        value, default = values[name], by_name[name].default
        if value == (list(default) if isinstance(default, tuple) else default):
            options.pop(name, None)
        else:
            options[name] = value
    spec = replace(base, **{name: values[name] for name in values.keys() & own}, options=options)
    check_spec(spec)
    return spec
