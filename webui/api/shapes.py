"""The shapes of answers and errors, as JSON schemas for openapi.json. Data only: what makes them is elsewhere, and
schemathesis holds the two together (tests/api/test_schema.py)."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}


def _object(required: Schema, **optional: Schema) -> Schema:
    """More fields may always come: clients must not mind."""
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}


def _named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_FIGURES = ("cache_n", "prompt_n", "predicted_n")
_TIMES = ("prompt_ms", "prompt_per_second", "predicted_ms", "predicted_per_second", "first_token_ms")
_STAGE = _object({"sampler": TEXT, "values": {"type": "object"}})
_MISS = _object({"model": TEXT, "code": TEXT, "message": TEXT, "seconds": NUMBER})
_MADE = {"seed": WHOLE, "chain": _list(_STAGE), "timings": _named("Timings")}
_NOTES = {"not_applied": _list(TEXT), "fallback": _list(_MISS)}
_REASON: Schema = {"enum": ["stop", "length", "tool_calls"]}
_CHOICE = {"index": WHOLE, "finish_reason": _REASON, "stop_reason": or_null(TEXT), "seed": WHOLE}
_CALL = _object(
    {"id": TEXT, "type": {"enum": ["function"]}, "function": _object({"name": TEXT, "arguments": TEXT})},
)
_MESSAGE = _object(
    {"role": {"enum": ["assistant"]}, "content": or_null(TEXT), "refusal": or_null(TEXT)},
    reasoning_content=TEXT,
    tool_calls=_list(_CALL),
)
_CANDIDATE = {"token": TEXT, "logprob": NUMBER, "bytes": _list(WHOLE)}
_LISTS = _object(
    {
        "tokens": _list(TEXT),
        "token_logprobs": _list(or_null(NUMBER)),
        "top_logprobs": or_null(_list(or_null({"type": "object", "additionalProperties": NUMBER}))),
        "text_offset": _list(WHOLE),
    }
)
_ROWS = _object({"content": _list(_object({**_CANDIDATE, "top_logprobs": _list(_object(_CANDIDATE))}))})
_MODEL = _object(
    {"id": TEXT, "object": TEXT, "created": WHOLE, "owned_by": TEXT, "status": _object({"value": TEXT})}, current=FLAG
)
_VECTOR: Schema = {"anyOf": [_list(NUMBER), TEXT]}


def _openai(name: str, choice: Schema, logprobs: Schema) -> Schema:
    choices = _list(_object({**choice, **_CHOICE, "logprobs": or_null(logprobs)}))
    head = {"id": TEXT, "object": {"enum": [name]}, "created": WHOLE, "model": TEXT, "choices": choices}
    return _object({**head, "usage": _named("Usage"), **_MADE}, **_NOTES)


_BLOCK: Schema = _object(
    {"type": {"enum": ["text", "thinking", "tool_use"]}}, text=TEXT, thinking=TEXT, id=TEXT, name=TEXT, input={}
)
_LLAMA_END = _object(
    {
        "index": WHOLE,
        "content": TEXT,
        "stop": FLAG,
        "model": TEXT,
        "tokens_predicted": WHOLE,
        "tokens_evaluated": WHOLE,
        "tokens_cached": WHOLE,
        "stop_type": {"enum": ["eos", "word", "limit", "none"]},
        "stopping_word": TEXT,
        **_MADE,
    },
    completion_probabilities=_list(_object(_CANDIDATE)),
    **_NOTES,
)

COMPONENTS: dict[str, Schema] = {
    "Error": _object(
        {"error": _object({"message": TEXT, "type": TEXT, "param": or_null(TEXT), "code": or_null(TEXT)})}
    ),
    "Timings": _object({**dict.fromkeys(_FIGURES, WHOLE), **dict.fromkeys(_TIMES, NUMBER)}),
    "Usage": _object(
        {"prompt_tokens": WHOLE, "completion_tokens": WHOLE, "total_tokens": WHOLE},
        prompt_tokens_details=_object({"cached_tokens": WHOLE}),
    ),
    "Completion": _openai("text_completion", {"text": TEXT}, _LISTS),
    "ChatCompletion": _openai("chat.completion", {"message": _MESSAGE}, _ROWS),
    "Message": _object(
        {
            "id": TEXT,
            "type": {"enum": ["message"]},
            "role": {"enum": ["assistant"]},
            "model": TEXT,
            "content": _list(_BLOCK),
            "stop_reason": {"enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use"]},
            "stop_sequence": or_null(TEXT),
            "usage": _object({"input_tokens": WHOLE, "output_tokens": WHOLE, "cache_read_input_tokens": WHOLE}),
            **_MADE,
        },
        **_NOTES,
    ),
    "LlamaCompletion": {"anyOf": [_LLAMA_END, _list(_LLAMA_END)]},
    "Model": _MODEL,
    "Models": _object({"object": {"enum": ["list"]}, "data": _list(_named("Model"))}),
    "Embeddings": _object(
        {
            "object": {"enum": ["list"]},
            "data": _list(_object({"object": TEXT, "index": WHOLE, "embedding": _VECTOR})),
            "model": TEXT,
            "usage": _object({"prompt_tokens": WHOLE, "total_tokens": WHOLE}),
        }
    ),
    "LlamaEmbeddings": _list(_object({"index": WHOLE, "embedding": _list(_list(NUMBER))})),
    "Tokens": _object({"tokens": _list(WHOLE), "length": WHOLE}),
    "Score": _object(
        {
            "model": TEXT,
            "tokens": _list(
                _object(
                    {
                        "id": WHOLE,
                        "token": TEXT,
                        "logprob": or_null(NUMBER),
                        "rank": or_null(WHOLE),
                        "entropy": or_null(NUMBER),
                        "top": _list(_object({"id": WHOLE, "token": TEXT, "logprob": NUMBER})),
                    }
                )
            ),
            "length": WHOLE,
            "mean_logprob": or_null(NUMBER),
        }
    ),
}

ANSWERS = {
    "/v1/completions": "Completion",
    "/v1/chat/completions": "ChatCompletion",
    "/v1/messages": "Message",
    "/v1/models": "Models",
    "/v1/models/{name}": "Model",
    "/v1/embeddings": "Embeddings",
    "/v1/internal/encode": "Tokens",
    "/v1/internal/score": "Score",
    "/completion": "LlamaCompletion",
    "/infill": "LlamaCompletion",
    "/embedding": "LlamaEmbeddings",
}
"""What a good answer of a route looks like; routes that are not here say it by their types."""
