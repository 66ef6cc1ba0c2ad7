"""What clients may send, field by field. Sampler fields are not listed here: whatever is left over goes to the
samplers' own declarations, and what nobody knows is ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

MAX_STOPS = 64
MAX_STOP_LENGTH = 256
MAX_PROMPTS = 64
MAX_TEXT = 16 << 20

Prompts = tuple[str | tuple[int, ...], ...]


def read_prompts(value: Any) -> Prompts:
    """One or several prompts, each text or token ids, out of the four forms OpenAI allows (and mixed ones)."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not value:
        raise ValueError("must be text, token ids, or a list of these that is not empty")
    if all(_is_id(item) for item in value):
        return (tuple(value),)
    if len(value) > MAX_PROMPTS:
        raise ValueError(f"may hold at most {MAX_PROMPTS} prompts, not {len(value)}")
    return tuple(_one_prompt(item) for item in value)


def _one_prompt(item: Any) -> str | tuple[int, ...]:
    if isinstance(item, str):
        return item
    if isinstance(item, list) and item and all(_is_id(token) for token in item):
        return tuple(item)
    raise ValueError("must be text, token ids, or a list of these; token ids are whole numbers from 0")


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


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
_PROMPT_SCHEMA = {
    "anyOf": [_TEXT, _IDS, {"type": "array", "items": {"anyOf": [_TEXT, _IDS]}, "minItems": 1, "maxItems": MAX_PROMPTS}]
}
_STOP = {"type": "string", "minLength": 1, "maxLength": MAX_STOP_LENGTH}
_STOP_SCHEMA = {"anyOf": [_STOP, {"type": "array", "items": _STOP, "maxItems": MAX_STOPS}, {"type": "null"}]}
_BIAS = {"type": "number", "minimum": -100, "maximum": 100}
_BIAS_SCHEMA = {"anyOf": [{"type": "object", "additionalProperties": _BIAS, "maxProperties": 1024}, {"type": "null"}]}

PromptField = Annotated[Prompts, BeforeValidator(read_prompts), WithJsonSchema(_PROMPT_SCHEMA)]
StopField = Annotated[tuple[str, ...], BeforeValidator(read_stops), WithJsonSchema(_STOP_SCHEMA)]
BiasField = Annotated[dict[str, float], BeforeValidator(read_bias), WithJsonSchema(_BIAS_SCHEMA)]


class Body(BaseModel):
    """Unknown fields are kept apart, never refused: clients of every kind send their own."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, populate_by_name=True)

    @property
    def rest(self) -> dict[str, Any]:
        """The fields nobody here declared; null means not given."""
        return {name: value for name, value in (self.model_extra or {}).items() if value is not None}


class StreamOptions(BaseModel):
    include_usage: bool = False


class GenerationBody(Body):
    """What every kind of generation understands."""

    model: str | None = None
    max_tokens: int | None = Field(
        None,
        ge=-1,
        validation_alias=AliasChoices("max_tokens", "max_new_tokens", "n_predict", "num_predict"),
        description="how many tokens at most; -1 for as many as fit",
    )
    stop: StopField = Field((), validation_alias=AliasChoices("stop", "stopping_strings", "stop_sequences"))
    seed: int | None = Field(
        None,
        ge=-1,
        le=2**63 - 1,
        validation_alias=AliasChoices("seed", "sampler_seed"),
        description="-1 or null draws one; the seed used is in the answer",
    )
    n: int | None = Field(None, ge=1, le=8)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logit_bias: BiasField = {}
    ignore_eos: bool | None = Field(None, validation_alias=AliasChoices("ignore_eos", "ban_eos_token"))
    add_bos_token: bool | None = None
    skip_special_tokens: bool | None = None
    truncation_length: int | None = Field(None, validation_alias=AliasChoices("truncation_length", "num_ctx"))


class CompletionBody(GenerationBody):
    prompt: PromptField
    echo: bool | None = None
    logprobs: int | None = Field(None, validation_alias=AliasChoices("logprobs", "n_probs"))
    suffix: str | None = None


class ContentPart(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: str
    text: str | None = None


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class ChatBody(GenerationBody):
    messages: list[ChatMessage] = Field(min_length=1, max_length=4096)
    max_tokens: int | None = Field(
        None,
        ge=-1,
        validation_alias=AliasChoices(
            "max_completion_tokens", "max_tokens", "max_new_tokens", "n_predict", "num_predict"
        ),
    )
    logprobs: bool | None = None
    top_logprobs: int | None = None


class TextBody(Body):
    text: str = Field(max_length=MAX_TEXT)


class TokensBody(Body):
    tokens: list[int] = Field(max_length=1 << 22)
