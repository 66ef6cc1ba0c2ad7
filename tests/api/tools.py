"""What clients give a model to call."""

from __future__ import annotations

from typing import Any


def weather_tool(longest: int) -> Any:
    """In OpenAI's form; the name of the city has at most `longest` characters."""
    city = {"type": "string", "maxLength": longest}
    parameters = {
        "type": "object",
        "properties": {"city": city, "unit": {"enum": ["c", "f"]}},
        "required": ["city", "unit"],
    }
    function = {"name": "get_weather", "description": "The weather of a city.", "parameters": parameters}
    return {"type": "function", "function": function}
