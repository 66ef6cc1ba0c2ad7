"""The frozen values that cross borders: between page and chat, parent and worker, API and runtime.

They hold no behaviour beyond turning themselves into plain dicts and back. Everything here can be sent over the wire
(orjson serialises dataclasses as they are; `from_dict` of a class reads them back).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

Role = Literal["system", "user", "assistant"]
StopReason = Literal["stop", "stop_string", "length", "cancelled", "time", "loop", "error"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a sampler chain: which sampler, with which values (missing values mean the sampler's defaults)."""

    sampler: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """What to load and how. `n_ctx` is per conversation; 0 means the engine's or the model's own choice."""

    path: str
    engine: Literal["llamacpp", "exllamav2", "fake"] = "llamacpp"
    name: str = ""
    n_ctx: int = 4096
    n_gpu_layers: int = -1
    threads: int = 0
    slots: int = 0
    n_batch: int = 512
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a loaded model is; sent by the worker once, when it is ready."""

    name: str
    path: str
    engine: str
    architecture: str
    n_vocab: int
    n_ctx: int
    n_ctx_train: int
    slots: int
    size_bytes: int = 0
    n_params: int = 0
    n_gpu_layers: int = 0
    n_layers: int = 0
    chat_template: str | None = None
    bos_token: str = ""
    eos_token: str = ""
    bos_id: int = -1
    eos_id: int = -1
    end_ids: tuple[int, ...] = ()
    add_bos: bool = True
    load_seconds: float = 0.0
    system_info: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def needs_bos(self, text: str) -> bool:
        """Whether a token for the beginning goes before this text: not where it brings its own, as templates do."""
        return self.add_bos and not (self.bos_token and text.startswith(self.bos_token))


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """Everything that decides a generation. `max_tokens` None means until the context is full.

    min_tokens        nothing ends the reply before it has so many tokens, save a constraint that allows no more.
    prompt            text (special tokens written in it are read as such) or token ids.
    negative_prompt   the prompt the `guidance` stage of the chain steers away from (takes a second slot).
    alternatives      what is told of every token beside its own final probability: None nothing, 0 the model's own view
                      of it (raw, rank, entropy), N also the N likeliest candidates. Each token pays for it.
    banned_strings    phrases that must not appear: the text rewinds to before one and goes on another way.
    loop_limit        stop with reason "loop" when the end of the text repeats itself this many times (0: never).
    max_seconds       stop with reason "time" after so long (0: never).
    max_tokens_per_second  slow down to this speed (0: as fast as it goes).
    reasoning         "" leaves the text alone; "auto" splits off what models think (<think>, Harmony, ...) as channels.
    grammar, json_schema, regex  at most one of them: what the reply must look like (GBNF, JSON text, a pattern).
    lookup            how many tokens to guess ahead from the text so far (0: none); the chances stay the model's own.
    conversation      only a hint for the prefix cache.
    deterministic     read the whole prompt again and decode alone, so that equal requests always give equal replies.
    """

    prompt: str | tuple[int, ...]
    chain: tuple[Step, ...]
    max_tokens: int | None = 512
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[int, ...] = ()
    ignore_eos: bool = False
    seed: int = -1
    n: int = 1
    alternatives: int | None = None
    add_bos: bool = True
    special: bool = True
    echo_special: bool = False
    conversation: str = ""
    deterministic: bool = False
    negative_prompt: str | tuple[int, ...] | None = None
    banned_strings: tuple[str, ...] = ()
    loop_limit: int = 0
    max_seconds: float = 0.0
    max_tokens_per_second: float = 0.0
    reasoning: str = ""
    grammar: str = ""
    json_schema: str = ""
    regex: str = ""
    lookup: int = 0


@dataclass(frozen=True, slots=True)
class Alternative:
    token: int
    text: str
    raw: float
    final: float


@dataclass(frozen=True, slots=True)
class Event:
    """Root of what a generation tells. `kind` travels over the wire and picks the class on the other side."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Queued(Event):
    """Waiting for a slot; `place` counts from 1."""

    kind: ClassVar[str] = "queued"
    place: int


@dataclass(frozen=True, slots=True)
class PromptProgress(Event):
    """How much of the prompt has been read, `cached` of it without work."""

    kind: ClassVar[str] = "prompt"
    done: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True)
class Token(Event):
    """One token was chosen. `text` may be shown now: whole characters, nothing a stop string might still claim.

    Text of several tokens can arrive with the last of them; concatenated texts are exactly the reply. `channel` is
    "answer", or "reasoning"/"commentary" for what the model thinks. `token` -1: text of another channel that came with
    the token before, not a token of its own.
    """

    kind: ClassVar[str] = "token"
    choice: int
    token: int
    text: str
    piece: str = ""
    raw: float = 0.0
    final: float = 0.0
    rank: int = 0
    entropy: float = 0.0
    alternatives: tuple[Alternative, ...] = ()
    channel: str = "answer"


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """A choice is complete. `text` is what was still held back. Times are seconds."""

    kind: ClassVar[str] = "finished"
    choice: int
    reason: StopReason
    seed: int
    text: str = ""
    stop_string: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    context_used: int = 0
    first_token_seconds: float = 0.0
    prompt_seconds: float = 0.0
    generation_seconds: float = 0.0

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.generation_seconds if self.generation_seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """The request ended without a result; `code` is a WebUIError code, `message` a sentence for a person."""

    kind: ClassVar[str] = "failed"
    message: str
    code: str = "error"
    param: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


EVENTS: Mapping[str, type[Event]] = {e.kind: e for e in (Queued, PromptProgress, Token, Finished, Failed)}


def event_to_dict(event: Event) -> dict[str, Any]:
    data = {f.name: getattr(event, f.name) for f in fields(event)}
    data["kind"] = event.kind
    return data


def event_from_dict(data: Mapping[str, Any]) -> Event:
    values = dict(data)
    kind = EVENTS[values.pop("kind")]
    if values.get("alternatives"):
        values["alternatives"] = tuple(Alternative(**a) for a in values["alternatives"])
    elif "alternatives" in values:
        values["alternatives"] = ()
    return kind(**values)


def steps_from(data: Any) -> tuple[Step, ...]:
    """Steps out of their wire form, [{"sampler", "values"}, ...]."""
    return tuple(Step(step["sampler"], dict(step.get("values", {}))) for step in data)


def request_from_dict(data: Mapping[str, Any]) -> GenerationRequest:
    values = dict(data)
    values["chain"] = steps_from(values["chain"])
    for name in ("stop", "stop_tokens", "banned_strings"):
        values[name] = tuple(values.get(name, ()))
    for name in ("prompt", "negative_prompt"):
        if not isinstance(values.get(name), (str, type(None))):
            values[name] = tuple(values[name])
    return GenerationRequest(**values)


def model_info_from_dict(data: Mapping[str, Any]) -> ModelInfo:
    return ModelInfo(**{**data, "end_ids": tuple(data.get("end_ids", ()))})
