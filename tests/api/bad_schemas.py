"""JSON schemas for the table of bad inputs: shapes nobody can mean, and good ones that kill a careless parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import jsonschema_rs

GOOD_SCHEMAS: tuple[dict[str, Any], ...] = (
    {"enum": ['a"b']},
    {
        "type": "object",
        "properties": {'q"uote': {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ['q"uote'],
        "additionalProperties": False,
    },
    {"type": "object", "properties": {"n": {"const": 42}}, "required": ["n"], "additionalProperties": False},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
)


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def json_schema(schema: Any) -> dict[str, Any]:
    """As a request's response_format."""
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


def fits(schema: dict[str, Any]) -> Callable[[httpx.Response], bool]:
    """Whether what a chat answered is valid."""

    def check(answer: httpx.Response) -> bool:
        said = json.loads(answer.json()["choices"][0]["message"]["content"])
        return bool(jsonschema_rs.validator_for(schema).is_valid(said))

    return check
