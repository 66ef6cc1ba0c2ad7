"""openapi.json as it is true: failures in our one shape, streams, the answers, and every sampler field, out of the
samplers' own declarations. What the bodies' types say already is FastAPI's."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from webui.api.fields import BIAS_SCHEMA
from webui.api.shapes import ANSWERS, COMPONENTS, FLAG, NUMBER, TEXT, Schema, or_null
from webui.samplers.declare import Param
from webui.samplers.foreign import field_params
from webui.samplers.registry import SAMPLERS

NO_EFFECT = "accepted; what it asks for is named in not_applied"
_NAMES: Schema = {"anyOf": [TEXT, {"type": "array", "items": TEXT}]}
_SWITCHES: Mapping[str, tuple[Schema, str]] = {
    "dynamic_temperature": (FLAG, "switches dynatemp_low and dynatemp_high on"),
    "dynatemp_range": ({**NUMBER, "minimum": 0}, "dynamic temperature, so far around the temperature"),
    "temperature_last": (FLAG, "the temperature after all that cuts"),
    "do_sample": (FLAG, "false: always the likeliest token, after penalties and bans"),
    "sampler_priority": (_NAMES, "the order of the samplers: a list, or one a line or between commas"),
    "samplers": (_NAMES, "llama.cpp's: only these samplers, in this order"),
    "sampler_order": (
        {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 6}},
        "KoboldCpp's: the order of seven samplers, by number",
    ),
    "num_beams": (NUMBER, NO_EFFECT),
    "penalty_alpha": (NUMBER, NO_EFFECT),
}
"""Fields that change the chain and are no sampler's parameter."""

_IDS = r"^[0-9]{1,9}(, ?[0-9]{1,9})*$|^$"

_TAKES_SAMPLERS = ("CompletionBody", "ChatBody", "InfillBody", "LogitsBody", "MessagesBody")


def install(app: FastAPI) -> None:
    """Let the app describe itself this way."""
    made: Schema = {}

    def described() -> Schema:
        if not made:
            made.update(description(app))
        return made

    app.openapi = described  # type: ignore[method-assign]


def description(app: FastAPI) -> Schema:
    schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    parts: Schema = schema["components"]["schemas"]
    parts.pop("HTTPValidationError", None)
    parts.pop("ValidationError", None)
    parts.update(COMPONENTS)
    fields = sampler_fields()
    chain = {**parts["ChatBody"]["properties"]["chain"], **_chain()}
    for name in _TAKES_SAMPLERS:
        parts[name]["properties"] = {**fields, **parts[name]["properties"], "chain": chain}
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            operation["responses"] = _responses(path, operation, parts)
    return schema


def sampler_fields() -> Schema:
    """Every field a sampler answers to, by its proper name; null is the same as leaving it out."""
    switches = {name: {**or_null(kind), "description": text} for name, (kind, text) in _SWITCHES.items()}
    return {**{param.name: _field(param) for param in field_params()}, **switches}


def _field(param: Param) -> Schema:
    others = f" (also {', '.join(param.aliases)})" if param.aliases else ""
    return {**or_null(_kind(param)), "description": param.help.en + others}


def _kind(param: Param) -> Schema:
    if param.legal is not None:
        low, high = (limit / param.field_unit for limit in param.legal)
        if param.kind == "int":
            return {"type": "integer", "minimum": int(low), "maximum": int(high)}
        return {"type": "number", "minimum": low, "maximum": high}
    number_of_token: Schema = {"type": "integer", "minimum": 0}
    kinds: dict[str, Schema] = {
        "bool": FLAG,
        "tokens": {"anyOf": [{**TEXT, "pattern": _IDS}, {"type": "array", "items": number_of_token}]},
        "texts": {"anyOf": [TEXT, {"type": "array", "items": TEXT}]},
        "sequences": {
            "type": "array",
            "items": _pair({"type": "array", "items": number_of_token, "minItems": 1}, NUMBER),
        },
        "biases": BIAS_SCHEMA,
    }
    return kinds.get(param.kind, TEXT)


def _chain() -> Schema:
    """The whole chain: pairs of a sampler's name and its values."""
    step = _pair({"enum": list(SAMPLERS)}, {"type": "object"})
    return or_null({"type": "array", "items": step, "maxItems": 64})


def _pair(first: Schema, second: Schema) -> Schema:
    return {"type": "array", "prefixItems": [first, second], "minItems": 2, "maxItems": 2}


def _responses(path: str, operation: Schema, parts: Schema) -> Schema:
    """The good answer, whole and streamed; every other one has the shape of an error."""
    good = operation["responses"]["200"]
    content = dict(good.get("content", {}))
    if path in ANSWERS:
        content["application/json"] = {"schema": {"$ref": f"#/components/schemas/{ANSWERS[path]}"}}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "stream" in parts.get(body.get("$ref", "").rsplit("/", 1)[-1], {}).get("properties", {}) and path in ANSWERS:
        content["text/event-stream"] = {}
    wrong = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "200": {
            "description": "The answer; as events with stream: true" if len(content) > 1 else "The answer",
            "content": content,
        },
        "default": {"description": "What is wrong, in a sentence; docs/api.md lists the codes", "content": wrong},
    }
