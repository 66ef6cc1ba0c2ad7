"""How a model may be loaded beyond LoadSpec's own fields: every option declared once, with default and legal range.

`LoadSpec.options` holds them by name. Both the parent (forms, API) and the worker check with `check_spec`; nothing that
kills the native engine (absurd threads, batch sizes, KV types) gets past it. Knows nothing of any engine.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from webui.errors import BadValue
from webui.types import LoadSpec

KV_TYPES = ("f16", "q8_0", "q4_0")


@dataclass(frozen=True, slots=True)
class Option:
    """One load option. `kind` picks the check; `low`/`high` are inclusive; `choices` are the allowed words."""

    name: str
    kind: str
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


OPTIONS: tuple[Option, ...] = (
    Option("ubatch", "int", 0, "Tokens computed at once while reading a prompt (0: 128 on CPU, 512 on GPU).", 0, 4096),
    Option("threads_batch", "int", 0, "CPU threads while reading a prompt (0: the same as for generating).", 0, 512),
    Option(
        "kv_type",
        "word",
        "f16",
        "How keys and values are kept: q8_0 halves, q4_0 quarters the memory.",
        choices=KV_TYPES,
    ),
    Option(
        "flash_attention", "word", "auto", "Faster attention that needs less memory.", choices=("auto", "on", "off")
    ),
    Option("extra_buffers", "word", "auto", "Weights repacked for this processor.", choices=("auto", "on", "off")),
    Option(
        "mmap",
        "word",
        "auto",
        "Map the file into memory; off: read it, which the CPU works faster with.",
        choices=("auto", "on", "off"),
    ),
    Option("mlock", "flag", False, "Keep the model in RAM; never swap it out."),
    Option("offload_kv", "flag", True, "Keep keys and values on the GPU with the layers."),
    Option("main_gpu", "int", 0, "The GPU that works alone, or leads, when there are several.", 0, 63),
    Option("tensor_split", "numbers", (), "Shares of the model for each GPU, for example 3,1.", 0, 1000),
    Option("split_mode", "word", "layer", "How several GPUs share a model.", choices=("none", "layer", "row")),
    Option("rope_base", "number", 0.0, "RoPE frequency base (0: the model's own).", 0, 1e9),
    Option("rope_scale", "number", 0.0, "RoPE frequency scale (0: the model's own; 0.5 doubles the context).", 0, 64),
    Option("loras", "loras", (), 'LoRA files with their scales: [{"path": ..., "scale": 1.0}].', -10, 10),
    Option(
        "cache_mb", "int", -1, "RAM for idle conversations in MB (-1: an eighth of what is free, 0: none).", -1, 1 << 20
    ),
    Option("verbose", "flag", False, "Print what the engine prints."),
)

FIELDS = {
    "n_ctx": (0, 1 << 24),
    "n_gpu_layers": (-1, 10000),
    "threads": (0, 512),
    "slots": (0, 64),
    "n_batch": (128, 8192),
}
"""LoadSpec's own numbers and their legal ranges."""


def check_spec(spec: LoadSpec) -> dict[str, Any]:
    """All options with their defaults filled in; BadValue names what is wrong and what is allowed.

    The fake engine's options are its own: they are not looked at.
    """
    for name, (low, high) in FIELDS.items():
        _check_number(name, getattr(spec, name), low, high, whole=True)
    if 0 < spec.n_ctx < 64:
        raise BadValue(f"n_ctx must be 0 (the model's own) or at least 64, not {spec.n_ctx}.", param="n_ctx")
    if spec.engine == "fake":
        return {}
    by_name = {option.name: option for option in OPTIONS}
    for name in spec.options:
        if name not in by_name:
            raise BadValue(f"There is no load option {name!r}; there are {', '.join(by_name)}.", param=name)
    values = {option.name: _check(option, spec.options.get(option.name, option.default)) for option in OPTIONS}
    if values["kv_type"] != "f16" and values["flash_attention"] == "off":
        raise BadValue("kv_type other than f16 needs flash_attention on or auto.", param="kv_type")
    return values


def maps_weights(choice: str, weights: int, free: int, *, cpu_only: bool) -> bool:
    """Whether the file is mapped. The CPU finds its way faster through weights that were read, because Linux lays those
    out in large pages; but nobody else can be given their memory, so "auto" reads only what half of the free RAM
    holds."""
    if choice != "auto":
        return choice == "on"
    return not cpu_only or sys.platform != "linux" or weights > free // 2


def rescaled(spec: LoadSpec, scales: Mapping[str, float]) -> LoadSpec:
    """The spec with other scales for LoRAs it names; BadValue for a scale that cannot be."""
    named = [dict(lora) for lora in spec.options.get("loras", ())]
    loras = [{**lora, "scale": scales.get(lora["path"], lora.get("scale", 1.0))} for lora in named]
    _check(next(option for option in OPTIONS if option.name == "loras"), loras)
    return replace(spec, options={**spec.options, "loras": loras})


def loras_told(spec: LoadSpec) -> list[dict[str, Any]]:
    """The LoRAs a model is loaded with, as an answer names them: files without their folders, and scales."""
    loras = spec.options.get("loras", ())
    return [
        {"name": lora["path"].replace("\\", "/").rsplit("/", 1)[-1], "scale": float(lora.get("scale", 1.0))}
        for lora in loras
    ]


def _check(option: Option, value: Any) -> Any:
    if option.kind == "flag":
        if not isinstance(value, bool):
            raise BadValue(f"{option.name} must be true or false, not {value!r}.", param=option.name)
        return value
    if option.kind == "word":
        if isinstance(value, bool) and "on" in option.choices:
            return "on" if value else "off"
        if value not in option.choices:
            raise BadValue(
                f"{option.name} must be one of {', '.join(option.choices)}, not {value!r}.", param=option.name
            )
        return value
    low, high = option.low or 0, option.high or 0
    if option.kind in ("int", "number"):
        return _check_number(option.name, value, low, high, whole=option.kind == "int")
    if not isinstance(value, (list, tuple)) or len(value) > 64:
        raise BadValue(f"{option.name} must be a list of at most 64 entries.", param=option.name)
    if option.kind == "numbers":
        return tuple(_check_number(option.name, share, low, high, whole=False) for share in value)
    return tuple(_lora(option, entry) for entry in value)


def _lora(option: Option, entry: Any) -> tuple[str, float]:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("path"), str) or not entry["path"]:
        raise BadValue('loras must be a list of {"path": file, "scale": number}.', param=option.name)
    scale = _check_number("scale", entry.get("scale", 1.0), option.low or 0, option.high or 0, whole=False)
    return entry["path"], float(scale)


def _check_number(name: str, value: Any, low: float, high: float, *, whole: bool) -> Any:
    fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise BadValue(f"{name} must be {kind} from {low:g} to {high:g}, not {value!r}.", param=name)
    return value
