"""What clients may send, field by field. Sampler fields are not listed here: whatever is left over goes to the
samplers' own declarations, and what nobody knows is ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from webui.api.fields import BiasField, PromptField, StopField, TextsField

MAX_TEXT = 16 << 20
MAX_SCHEMA = 64 << 10


class Body(BaseModel):
    """Unknown fields are kept apart, never refused: clients of every kind send their own."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, data: Any) -> Any:
        """null means not given, for every field and every alias of it."""
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data

    @property
    def rest(self) -> dict[str, Any]:
        """The fields nobody here declared."""
        return dict(self.model_extra or {})


class StreamOptions(BaseModel):
    include_usage: bool = False


class JsonSchema(BaseModel):
    name: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """`schema` beside json_object is llama.cpp's habit."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")


def _ours(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class GenerationBody(Body):
    """What every kind of generation understands."""

    model: str | None = None
    max_tokens: int | None = Field(
        None,
        ge=-1,
        validation_alias=_ours("max_tokens", "max_new_tokens", "n_predict", "num_predict"),
        description="how many tokens at most; -1 for as many as fit",
    )
    min_tokens: int | None = Field(
        None,
        ge=0,
        le=1 << 24,
        validation_alias=_ours("min_tokens", "min_length", "min_new_tokens"),
        description="nothing ends the answer before it has so many tokens",
    )
    stop: StopField = Field((), validation_alias=_ours("stop", "stopping_strings", "stop_sequences"))
    seed: int | None = Field(
        None,
        ge=-1,
        le=2**63 - 1,
        validation_alias=_ours("seed", "sampler_seed"),
        description="-1 or null draws one; the seed used is in the answer",
    )
    n: int | None = Field(None, ge=1, le=8)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logit_bias: BiasField = {}
    add_bos_token: bool | None = None
    skip_special_tokens: bool | None = None
    truncation_length: int | None = Field(None, ge=0, description="longer prompts lose their beginning")
    auto_max_new_tokens: bool | None = None
    preset: str | None = Field(None, max_length=200, description="a sampler preset; other fields change it")
    chain: list[Any] | None = Field(
        None, max_length=64, description="the whole sampler chain in its order: [[name, {parameter: value}], ...]"
    )
    negative_prompt: str | None = Field(None, max_length=MAX_TEXT)
    banned_strings: TextsField = ()
    grammar: str | None = Field(None, max_length=MAX_SCHEMA, validation_alias=_ours("grammar_string", "grammar"))
    json_schema: dict[str, Any] | None = None
    regex: str | None = Field(None, max_length=MAX_SCHEMA, validation_alias=_ours("regex", "guided_regex"))
    response_format: ResponseFormat | None = None
    max_tokens_second: float | None = Field(None, ge=0, le=1e6)
    t_max_predict_ms: float | None = Field(None, le=1e9)
    loop_limit: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="ends the answer when its end says the same thing this many times over; 0: never",
    )
    prompt_lookup_num_tokens: int | None = Field(
        None,
        ge=0,
        description="how many tokens to guess ahead from the text so far: quicker where it repeats its prompt",
    )
    deterministic: bool | None = Field(None, description="equal requests give equal answers, whatever else runs")


class CompletionBody(GenerationBody):
    prompt: PromptField
    echo: bool | None = None
    logprobs: int | None = Field(None, validation_alias=_ours("logprobs", "n_probs"))


class ContentPart(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: str
    text: str | None = None


class ToolFunction(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: Literal["function"] = "function"
    function: ToolFunction


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[dict[str, Any]] | None = Field(None, max_length=128)
    tool_call_id: str | None = None
    name: str | None = None


def _read_choice(value: Any) -> Any:
    """Either "auto", "none", "required", or the one function that must be called, as its name behind a colon."""
    if value is None or value in ("auto", "none", "required"):
        return value
    function = value.get("function") if isinstance(value, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise ValueError('must be "auto", "none", "required" or {"type": "function", "function": {"name": ...}}')
    return ":" + name


_CHOICE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"enum": ["auto", "none", "required", None]},
        {
            "type": "object",
            "required": ["function"],
            "properties": {
                "type": {"enum": ["function"]},
                "function": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            },
        },
    ]
}
ToolChoice = Annotated[str | None, BeforeValidator(_read_choice), WithJsonSchema(_CHOICE_SCHEMA)]


class ChatBody(GenerationBody):
    messages: list[ChatMessage] = Field(min_length=1, max_length=4096)
    max_tokens: int | None = Field(
        None,
        ge=-1,
        validation_alias=_ours("max_completion_tokens", "max_tokens", "max_new_tokens", "n_predict", "num_predict"),
    )
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[Tool] | None = Field(None, max_length=128)
    tool_choice: ToolChoice = None
    parallel_tool_calls: bool | None = None
    mode: Literal["instruct", "chat", "chat-instruct"] | None = None
    continue_: bool | None = Field(
        None,
        validation_alias=_ours("continue_", "continue_final_message"),
        description="go on with the last message instead of answering it",
    )
    add_generation_prompt: bool | None = None
    instruction_template: str | None = Field(None, max_length=200)
    instruction_template_str: str | None = Field(None, max_length=1 << 20)
    chat_template_str: str | None = Field(None, max_length=1 << 20)
    chat_template_kwargs: dict[str, Any] | None = None
    chat_instruct_command: str | None = Field(None, max_length=1 << 16)
    user_name: str | None = Field(None, max_length=200, validation_alias=_ours("user_name", "name1"))
    bot_name: str | None = Field(None, max_length=200, validation_alias=_ours("bot_name", "name2"))
    character: str | None = Field(None, max_length=200, description="a character by name, for the chat modes")
    context: str | None = Field(None, max_length=MAX_TEXT)
    greeting: str | None = Field(None, max_length=MAX_TEXT)
    user_bio: str | None = Field(None, max_length=MAX_TEXT)
    enable_thinking: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = None


class NamingBody(Body):
    """Any question to a model that is not a generation."""

    model: str | None = Field(None, max_length=500, description="which of several; the current one if it is not known")


class TextBody(NamingBody):
    text: str = Field(max_length=MAX_TEXT)
    add_bos_token: bool | None = None


class TokensBody(NamingBody):
    tokens: list[int] = Field(max_length=1 << 20)


class ScoreBody(TextBody):
    top: int = Field(0, ge=0, le=100, description="how many of the likeliest tokens to tell for each place")


class LogitsBody(GenerationBody):
    prompt: str = Field(max_length=MAX_TEXT)
    use_samplers: bool = False
    top_logits: int = Field(50, ge=1, le=10_000)


class ChainBody(NamingBody):
    """Read by lab.chain_service; listed here for the documents."""

    logits: list[float] | dict[str, float] | None = None
    probs: list[float] | dict[str, float] | None = None
    prompt: str | None = Field(None, max_length=MAX_TEXT)
    chain: list[Any] | None = None
    history: list[int] | None = None
    seed: int | None = None
    flavour: str | None = None


class LoadBody(BaseModel):
    """Nothing but these: whatever else a client sends is refused."""

    model_config = ConfigDict(extra="forbid")

    model_name: str = Field(min_length=1, max_length=500)
    args: dict[str, Any] | None = Field(None, max_length=64)
    beside: bool = Field(False, description="keep the models that are loaded; the current one stays the current one")


class UnloadBody(BaseModel):
    """A name that is not loaded is an error: another model must never go in its place."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    model_name: str | None = Field(None, max_length=500, validation_alias=_ours("model_name", "model"))


class AdaptersBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    lora_names: list[str] = Field(max_length=16)
