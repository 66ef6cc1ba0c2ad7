"""Fields that come in several shapes, read into one. Pure; a ValueError's text is shown to the client."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

MAX_STOPS = 64
MAX_STOP_LENGTH = 256
MAX_PROMPTS = 64
MAX_INPUTS = 2048

Prompts = tuple[str | tuple[int, ...], ...]


def read_prompts(value: Any, most: int = MAX_PROMPTS) -> Prompts:
    """One or several prompts, each text or token ids, out of the four forms OpenAI allows (and mixed ones)."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not value:
        raise ValueError("must be text, token ids, or a list of these that is not empty")
    if all(_is_id(item) for item in value):
        return (tuple(value),)
    if len(value) > most:
        raise ValueError(f"may hold at most {most} of them, not {len(value)}")
    return tuple(_one_prompt(item) for item in value)


def read_inputs(value: Any) -> Prompts:
    """The texts to make vectors of, in the same forms as prompts; none of them may be empty."""
    inputs = read_prompts(value, MAX_INPUTS)
    if "" in inputs:
        raise ValueError("must not be empty text")
    return inputs


def _one_prompt(item: Any) -> str | tuple[int, ...]:
    if isinstance(item, str):
        return item
    if isinstance(item, list) and item and all(_is_id(token) for token in item):
        return tuple(item)
    raise ValueError("must be text, token ids, or a list of these; token ids are whole numbers from 0")


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def read_stops(value: Any) -> tuple[str, ...]:
    """Stop strings out of text, a list or null."""
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise ValueError("must be text or a list of texts")
    if any(not stop for stop in stops):
        raise ValueError("must not be empty text")
    if len(stops) > MAX_STOPS or any(len(stop) > MAX_STOP_LENGTH for stop in stops):
        raise ValueError(f"may be at most {MAX_STOPS} texts of {MAX_STOP_LENGTH} characters")
    return tuple(dict.fromkeys(stops))


def read_texts(value: Any) -> tuple[str, ...]:
    """Phrases: a list, or text with one a line, as SillyTavern's box has them; empty ones are left out."""
    texts = value.split("\n") if isinstance(value, str) else value or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("must be a list of texts")
    kept = tuple(dict.fromkeys(text for text in texts if text))
    if len(kept) > MAX_STOPS or any(len(text) > MAX_STOP_LENGTH for text in kept):
        raise ValueError(f"may be at most {MAX_STOPS} texts of {MAX_STOP_LENGTH} characters")
    return kept


def read_bias(value: Any) -> dict[str, float]:
    """logit_bias: an object, or llama.cpp's list of [token, bias or false]."""
    if value is None:
        return {}
    if isinstance(value, list):
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
            raise ValueError("must map token ids to numbers from -100 to 100")
        value = {str(token): -100.0 if bias is False else bias for token, bias in value}
    if not isinstance(value, dict) or len(value) > 1024:
        raise ValueError("must map at most 1024 token ids to numbers from -100 to 100")
    for token, bias in value.items():
        number = isinstance(bias, int | float) and not isinstance(bias, bool) and -100 <= bias <= 100
        if not number or not token.isascii() or not token.isdecimal() or len(token) > 9:
            raise ValueError("must map token ids to numbers from -100 to 100")
    return {token: float(bias) for token, bias in value.items()}


_IDS: dict[str, Any] = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
_TEXT: dict[str, Any] = {"type": "string"}
_FULL: dict[str, Any] = {"type": "string", "minLength": 1}


def _several(text: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": {"anyOf": [text, _IDS]}, "minItems": 1, "maxItems": most}


_PROMPT_SCHEMA: dict[str, Any] = {"anyOf": [_TEXT, _IDS, _several(_TEXT, MAX_PROMPTS)]}
_INPUT_SCHEMA: dict[str, Any] = {"anyOf": [_FULL, _IDS, _several(_FULL, MAX_INPUTS)]}
_STOP: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_STOP_LENGTH}
_STOPS: dict[str, Any] = {"type": "array", "items": _STOP, "maxItems": MAX_STOPS}
_STOP_SCHEMA: dict[str, Any] = {"anyOf": [_STOP, _STOPS, {"type": "null"}]}
_TEXTS_SCHEMA: dict[str, Any] = {"anyOf": [_TEXT, {**_STOPS, "items": {**_STOP, "minLength": 0}}, {"type": "null"}]}
_BIAS: dict[str, Any] = {"type": "number", "minimum": -100, "maximum": 100}
_BIASES: dict[str, Any] = {
    "type": "object",
    "additionalProperties": _BIAS,
    "propertyNames": {"pattern": r"^[0-9]{1,9}$"},
    "maxProperties": 1024,
}
BIAS_SCHEMA: dict[str, Any] = {"anyOf": [_BIASES, {"type": "null"}]}

PromptField = Annotated[Prompts, BeforeValidator(read_prompts), WithJsonSchema(_PROMPT_SCHEMA)]
InputField = Annotated[Prompts, BeforeValidator(read_inputs), WithJsonSchema(_INPUT_SCHEMA)]
StopField = Annotated[tuple[str, ...], BeforeValidator(read_stops), WithJsonSchema(_STOP_SCHEMA)]
TextsField = Annotated[tuple[str, ...], BeforeValidator(read_texts), WithJsonSchema(_TEXTS_SCHEMA)]
BiasField = Annotated[dict[str, float], BeforeValidator(read_bias), WithJsonSchema(BIAS_SCHEMA)]
