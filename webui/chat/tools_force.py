"""Making a model call a tool (tool_choice "required" or a name): the prompt begins the call and a JSON schema decides
the rest, so that even a small model's call is valid.

Pure; knows the formats and JSON schemas, nothing of how a schema is enforced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webui.chat.tools_parts import ToolFormat
from webui.errors import BadValue

MAX_DEPTH = 32
MAX_LENGTH = 1024
MAX_PATTERN = 256

Tools = Sequence[Mapping[str, Any]]

KEPT = frozenset(
    ("type", "enum", "const", "required", "additionalProperties")
    + ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
)
KEPT_LIMITS = frozenset(("minLength", "maxLength", "minItems", "maxItems"))
KEPT_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"))

# No white space but what is usual: a small model would go on indenting for ever.
TIDY = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


@dataclass(frozen=True, slots=True)
class Forced:
    """Append `prompt` to the prompt, generate by `json_schema`, read the reply with ToolParser(begun=begun)."""

    prompt: str
    json_schema: str
    begun: str


def force_call(format: ToolFormat, tools: Tools, choice: str) -> Forced | None:
    """None unless a call is wanted. `choice`: "auto", "none", "required", or ":NAME" for one tool."""
    if choice in ("auto", "none", ""):
        return None
    names = [tool["function"]["name"] for tool in tools]
    if not names:
        raise BadValue("tool_choice asks for a call, but no tools are given: send tools.", param="tool_choice")
    if choice == "required":
        name = names[0] if len(names) == 1 else ""
    else:
        name = choice.removeprefix(":")
        if name not in names:
            raise BadValue(
                f"tool_choice names {name[:64]!r}, but the tools are {', '.join(names)[:300]}.", param="tool_choice"
            )
    if name:
        parameters = next(tool["function"] for tool in tools if tool["function"]["name"] == name).get("parameters")
        schema = {**arguments_schema(parameters), "x-guidance": TIDY}
        return Forced(_opening(format, name), json.dumps(schema, ensure_ascii=False), name)
    return Forced(_opening(format, ""), json.dumps(call_schema(format, tools), ensure_ascii=False), "")


def arguments_schema(parameters: Mapping[str, Any] | None, root: str = "#") -> dict[str, Any]:
    """A tool's parameters as a schema of an object, without what only describes or cannot be enforced; it may be
    stricter than the tool's own (nothing invented), never looser in its shape. `root`: where it will stand."""
    schema = _clean(parameters or {}, root, 0)
    schema["type"] = "object"
    if not any(key in schema for key in ("anyOf", "oneOf", "allOf", "$ref", "additionalProperties")):
        schema.setdefault("properties", {})
        schema["additionalProperties"] = False
    return schema


def call_schema(format: ToolFormat, tools: Tools) -> dict[str, Any]:
    """One call of any of these tools, the name first."""
    key = "parameters" if format == "llama3" else "arguments"
    calls: list[dict[str, Any]] = []
    parts: dict[str, Any] = {}
    for number, tool in enumerate(tools):
        place = f"tool{number}"
        parts[place] = arguments_schema(tool["function"].get("parameters"), f"#/$defs/{place}")
        properties = {"name": {"const": tool["function"]["name"]}, key: {"$ref": f"#/$defs/{place}"}}
        calls.append(
            {
                "type": "object",
                "properties": properties,
                "required": ["name", key],
                "additionalProperties": False,
            }
        )
    return {"anyOf": calls, "$defs": parts, "x-guidance": TIDY}


def _opening(format: ToolFormat, name: str) -> str:
    """What the model would have written itself up to the arguments of `name`, or up to a whole call."""
    if format == "harmony":
        recipient = f" to=functions.{name}" if name else ""
        return f"<|channel|>commentary{recipient} <|constrain|>json<|message|>"
    if format == "mistral_args":
        return f"[TOOL_CALLS]{name}[ARGS]" if name else "[TOOL_CALLS]"
    key = "parameters" if format == "llama3" else "arguments"
    mark = {"hermes": "<tool_call>\n", "json": "<tool_call>\n", "mistral": "[TOOL_CALLS] [", "llama3": ""}[format]
    return f"{mark}{{{json.dumps('name')}: {json.dumps(name)}, {json.dumps(key)}: " if name else mark


def _clean(node: Any, root: str, depth: int) -> dict[str, Any]:
    """The parts of a schema that can be enforced; everything else only widens it."""
    if depth > MAX_DEPTH:
        raise BadValue(f"A tool's parameters are nested deeper than {MAX_DEPTH}: simplify them.", param="tools")
    if not isinstance(node, Mapping):
        return {}
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs", "definitions") and isinstance(value, Mapping):
            kept[key] = {str(name): _clean(part, root, depth + 1) for name, part in value.items()}
        elif key in ("anyOf", "oneOf", "prefixItems") and isinstance(value, list) and value:
            kept["anyOf" if key == "oneOf" else key] = [_clean(part, root, depth + 1) for part in value]
        elif key == "allOf" and isinstance(value, list) and value:
            kept |= _all_of(value, root, depth + 1)
        elif key == "items" or (key == "additionalProperties" and isinstance(value, Mapping)):
            kept[key] = _clean(value, root, depth + 1)
        elif key == "$ref":
            if isinstance(value, str) and value.startswith("#"):
                kept[key] = root + value[1:]
        elif key in KEPT or _enforceable(key, value):
            kept[key] = value
    if kept.get("type") == "object" and kept.get("properties"):
        kept.setdefault("additionalProperties", False)
    return kept


def _all_of(parts: list[Any], root: str, depth: int) -> dict[str, Any]:
    """Parts that must all hold. Several cannot each forbid what the others have; behind references that is too hard."""
    cleaned = [_clean(part, root, depth) for part in parts]
    if len(parts) > 1:
        if any("$ref" in part for part in cleaned):
            return {}
        for part in cleaned:
            if part.get("additionalProperties") is False:
                del part["additionalProperties"]
    return {"allOf": cleaned}


def _enforceable(key: str, value: Any) -> bool:
    """Limits and patterns within what the grammar compiler takes."""
    if key in KEPT_LIMITS:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_LENGTH
    if key == "pattern":
        return isinstance(value, str) and len(value) <= MAX_PATTERN and "(?" not in value
    return key == "format" and value in KEPT_FORMATS
