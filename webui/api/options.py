"""What all generations have in common: a body's fields as those of a GenerationRequest, and what cannot be done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from webui.api.chain import chain_of, ignored
from webui.api.errors import ApiError
from webui.api.schemas import GenerationBody
from webui.chat.tools_force import TIDY
from webui.samplers import BALANCED, Chain
from webui.samplers.presets import Presets
from webui.services import Services
from webui.types import ModelInfo, Step

MAX_TOP = 20
MAX_SCHEMA = 64 << 10
MAX_SCHEMA_DEPTH = 32
MAX_TOKENS = 1 << 24
MAX_LOOKUP = 16
"""More guesses at once cost more than they gain; whoever asks for more gets so many."""


@dataclass(frozen=True, slots=True)
class Options:
    """`fields` go into the GenerationRequest as they are; `notes` say what was asked for and is not done."""

    fields: dict[str, Any]
    chain: tuple[Step, ...]
    notes: tuple[str, ...]


def read_options(services: Services, body: GenerationBody, info: ModelInfo | None, top: int | None) -> Options:
    given = body.rest
    base, lost = _base(services, body)
    if body.logit_bias:
        check_bias(body.logit_bias, info)
        given["logit_bias"] = body.logit_bias
    if body.negative_prompt:
        given["negative_prompt"] = body.negative_prompt
    foreign = chain_of(given, base)
    fields: dict[str, Any] = {
        "chain": foreign.steps,
        "min_tokens": body.min_tokens or 0,
        "stop": body.stop,
        "seed": -1 if body.seed is None else body.seed,
        "n": body.n or 1,
        "alternatives": top,
        "echo_special": body.skip_special_tokens is False,
        "banned_strings": body.banned_strings,
        "max_tokens_per_second": body.max_tokens_second or 0.0,
        "max_seconds": max(body.t_max_predict_ms or 0.0, 0.0) / 1000,
        "deterministic": bool(body.deterministic),
        "loop_limit": body.loop_limit or 0,
        "lookup": min(body.prompt_lookup_num_tokens or 0, MAX_LOOKUP),
        **constraint(body),
    }
    if body.negative_prompt and any(step.sampler == "guidance" for step in foreign.steps):
        fields["negative_prompt"] = body.negative_prompt
    return Options(fields, foreign.steps, (*lost, *foreign.not_applied, *ignored(given)))


def _base(services: Services, body: GenerationBody) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """What the request's sampler fields change: its own chain, a preset's, else Balanced; and what a preset lost."""
    if body.chain is not None:
        return Chain.parse(body.chain).steps, ()
    if body.preset:
        preset = Presets(services.settings.data_dir / "presets").load(body.preset)
        return preset.steps, tuple(f"{note.field}: {note.reason.en}" for note in preset.not_applied)
    return BALANCED, ()


def constraint(body: GenerationBody) -> dict[str, str]:
    """What the reply must look like; at most one such wish."""
    wishes: dict[str, str] = {}
    if body.grammar:
        wishes["grammar"] = body.grammar
    if body.regex:
        wishes["regex"] = body.regex
    if body.json_schema:
        wishes["json_schema"] = dump_schema(body.json_schema, "json_schema")
    wanted = body.response_format
    if wanted is not None and wanted.type == "json_object":
        wishes["json_schema"] = dump_schema(wanted.schema_ or {"type": "object"}, "response_format")
    elif wanted is not None and wanted.type == "json_schema":
        schema = wanted.json_schema.schema_ if wanted.json_schema else wanted.schema_
        if schema is None:
            raise ApiError(400, "response_format.json_schema.schema is required.", param="response_format")
        wishes["json_schema"] = dump_schema(schema, "response_format")
    if len(wishes) > 1:
        names = " and ".join(wishes)
        raise ApiError(400, f"Only one constraint can hold at a time, not {names}.", param=next(iter(wishes)))
    return wishes


def dump_schema(schema: dict[str, Any], param: str) -> str:
    """A JSON schema as text, of bounded size and depth."""
    # Without this a small model may put in white space for ever.
    text = json.dumps({"x-guidance": TIDY, **schema}, ensure_ascii=False)
    if len(text) > MAX_SCHEMA:
        raise ApiError(400, f"A schema may have at most {MAX_SCHEMA >> 10} KB.", param=param, code="schema_too_complex")
    if _depth(schema) > MAX_SCHEMA_DEPTH:
        message = f"A schema may be nested at most {MAX_SCHEMA_DEPTH} levels deep."
        raise ApiError(400, message, param=param, code="schema_too_complex")
    return text


def _depth(value: Any) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max((_depth(item) for item in items), default=0)


def check_bias(biases: dict[str, float], info: ModelInfo | None) -> None:
    for token in biases:
        if info is not None and int(token) >= info.n_vocab:
            message = f"logit_bias: there is no token {token}, ids go from 0 to {info.n_vocab - 1}."
            raise ApiError(400, message, param="logit_bias")


def limit_of(value: int | None) -> int | None:
    """max_tokens as the runtime wants it: None for as many as fit; more than any context holds is the same as that."""
    return None if value is None or value < 0 else min(value, MAX_TOKENS)


def top_of(value: int | None) -> int | None:
    if value is not None and not 0 <= value <= MAX_TOP:
        raise ApiError(400, f"top_logprobs must be from 0 to {MAX_TOP}, not {value}.", param="top_logprobs")
    return value
