"""Loading models for API clients: names are looked up, never taken as paths, and only known arguments are accepted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from webui.api.errors import ApiError
from webui.api.schemas import LoadBody
from webui.errors import NoModel
from webui.hub.library import ModelEntry
from webui.load_options import OPTIONS
from webui.services import Services
from webui.types import LoadSpec

_NAME = re.compile(r"[\w .()+\[\],@=-]{1,200}(?:/[\w .()+\[\],@=-]{1,200}){0,6}")
_SPEC = ("n_ctx", "n_gpu_layers", "threads", "slots", "n_batch")
_ALIASES: Mapping[str, str] = {
    "ctx_size": "n_ctx",
    "gpu_layers": "n_gpu_layers",
    "batch_size": "n_batch",
    "parallel": "slots",
    "cache_type": "kv_type",
    "ctx": "n_ctx",
}
_PRIVATE = frozenset({"loras", "verbose"})


async def load_model(services: Services, body: LoadBody) -> None:
    """The model of this name, in the current one's place or `beside` the others."""
    entry = find(services, body.model_name, "model_name")
    if not entry.loadable:
        raise ApiError(400, entry.problem or f"{entry.name} is not a model that can be loaded.", param="model_name")
    spec = with_args(services.model_settings.spec(entry), body.args or {})
    await services.models.load(spec, beside=body.beside)


def find(services: Services, name: str, param: str) -> ModelEntry:
    """An entry of the library by its very name."""
    if not _NAME.fullmatch(name) or ".." in name.split("/"):
        raise ApiError(400, f"{param} must be a name from /v1/internal/model/list.", param=param)
    wanted = {name.lower(), name.lower().removesuffix(".gguf")}
    for entry in services.library.scan():
        if entry.name.lower() in wanted or entry.path.name.lower() == name.lower():
            return entry
    message = f"There is no model {name[:200]!r}; /v1/internal/model/list has the names."
    raise ApiError(404, message, param=param, code="model_not_found")


def with_args(spec: LoadSpec, args: Mapping[str, Any]) -> LoadSpec:
    """The spec changed by load arguments; one that is not known is refused, whatever it asks for."""
    known = {option.name for option in OPTIONS} - _PRIVATE
    values: dict[str, Any] = {}
    options = dict(spec.options)
    for given, value in args.items():
        name = _ALIASES.get(given, given)
        if name in _SPEC:
            values[name] = value
        elif name in known:
            options[name] = value
        else:
            allowed = ", ".join(sorted({*_SPEC, *known}))
            raise ApiError(400, f"args has no {given[:60]!r}; there are {allowed}.", param="args")
    return replace(spec, **values, options=options)


def adapters_of(services: Services) -> tuple[str, ...]:
    """The names of the LoRAs in force."""
    spec = services.models.status().spec
    loras = spec.options.get("loras", ()) if spec else ()
    return tuple(str(lora["path"]).replace("\\", "/").rsplit("/", 1)[-1] for lora in loras)


async def set_adapters(services: Services, names: Sequence[str]) -> None:
    """Load the present model again with just these LoRAs; if it has them already there is nothing to do."""
    spec = services.models.status().spec
    if spec is None or services.models.status().info is None:
        raise NoModel("No model is loaded: load one first.")
    entries = [find(services, name, "lora_names") for name in names]
    for entry in entries:
        if entry.kind != "lora":
            raise ApiError(400, f"{entry.name} is not a LoRA.", param="lora_names")
    loras = [{"path": str(entry.path), "scale": 1.0} for entry in entries]
    if loras == list(spec.options.get("loras", ())):
        return
    await services.models.load(replace(spec, options={**spec.options, "loras": loras}))
