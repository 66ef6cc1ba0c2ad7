"""The worker's own look at a request before anything is generated. The parent checks too; this side trusts nobody.

Raises BadValue (naming the parameter) or ContextExceeded (with both numbers).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from webui.engines.base import NEVER, Engine
from webui.errors import BadValue, ContextExceeded
from webui.samplers.chain import Chain
from webui.types import GenerationRequest, request_from_dict
from webui.worker.channels import MODES
from webui.worker.constraint import Constraint, GrammarVocabulary, compile_constraint
from webui.worker.jobs import Job
from webui.worker.refusals import Kind
from webui.worker.slots import Tokens, as_tokens

MAX_STOPS = 256
MAX_STOP_LENGTH = 1024
MAX_CHOICES = 64
MAX_ALTERNATIVES = 200
MAX_SEED = (1 << 63) - 1
MAX_TEXT = 16 << 20

_RANGES: Mapping[str, tuple[float, float]] = {
    "seed": (-1, MAX_SEED),
    "n": (1, MAX_CHOICES),
    "min_tokens": (0, 1 << 40),
    "alternatives": (0, MAX_ALTERNATIVES),
    "loop_limit": (0, 1000),
    "lookup": (0, 16),
    "max_seconds": (0, 1e6),
    "max_tokens_per_second": (0, 1e6),
}
_WHOLE = frozenset({"seed", "n", "min_tokens", "alternatives", "loop_limit", "lookup"})
_FLAGS = ("ignore_eos", "add_bos", "special", "echo_special", "deterministic")


Grammars = Callable[[], GrammarVocabulary]


def make_job(id: Any, data: Mapping[str, Any], engine: Engine, grammars: Grammars) -> Job:
    """A checked job out of a `generate` frame's request; `grammars` gives the vocabulary once a constraint needs it."""
    try:
        request = request_from_dict(data)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadValue(f"The request is not understood: {error}.") from error
    for name, (low, high) in _RANGES.items():
        value = getattr(request, name)
        if value is not None or name != "alternatives":
            _check_number(name, value, low, high)
    for name in _FLAGS:
        if not isinstance(getattr(request, name), bool):
            raise BadValue(f"{name} must be true or false.", param=name)
    _check_strings("stop", request.stop)
    _check_strings("banned_strings", request.banned_strings)
    _check_tokens("stop_tokens", request.stop_tokens, engine.info.n_vocab)
    if request.reasoning not in MODES:
        raise BadValue(f"reasoning must be one of {', '.join(map(repr, MODES))}.", param="reasoning")
    if request.banned_strings and engine.grid == NEVER:
        raise BadValue("banned_strings need a model that can go back, which this one cannot.", param="banned_strings")
    chain = Chain.parse(request.chain)
    prompt = read_prompt(request.prompt, engine, add_bos=request.add_bos, special=request.special)
    negative = _negative(request, chain, engine)
    return Job(
        id,
        prompt,
        request,
        chain,
        limit=min(
            _limit(request, len(prompt), engine.info.n_ctx),
            engine.info.n_ctx - len(negative if negative is not None else ()),
        ),
        stop_tokens=frozenset(request.stop_tokens),
        negative=negative,
        constraint=_constraint(request, grammars),
        prompt_tail=prompt_tail(prompt, engine) if request.reasoning else "",
    )


def _negative(request: GenerationRequest, chain: Chain, engine: Engine) -> Tokens | None:
    """The prompt to steer away from, if the chain has a say for it; without one the guidance stage would do nothing."""
    if not chain.needs_guidance:
        return None
    if engine.info.slots < 2:
        raise BadValue("guidance needs two slots: load the model with --parallel 2 or more.", param="guidance")
    prompt = request.negative_prompt
    if prompt is None or len(prompt) == 0:
        info = engine.info
        prompt = (info.bos_id if info.bos_id >= 0 else info.eos_id,)
    return read_prompt(prompt, engine, add_bos=request.add_bos, special=request.special, param="negative_prompt")


def _constraint(request: GenerationRequest, grammars: Grammars) -> Constraint | None:
    kinds: tuple[Kind, ...] = ("grammar", "json_schema", "regex")
    given = [(kind, getattr(request, kind)) for kind in kinds if getattr(request, kind)]
    if len(given) > 1:
        raise BadValue(f"Only one of {', '.join(kinds)} can be used at once.", param=given[1][0])
    return compile_constraint(given[0][0], given[0][1], grammars()) if given else None


def prompt_tail(prompt: Tokens, engine: Engine) -> str:
    """The end of a prompt with its control tokens, to see whether it leaves a tag of reasoning open."""
    pieces = (engine.piece(token, special=True) for token in prompt[-24:].tolist())
    return b"".join(pieces).decode("utf-8", "replace")


def read_prompt(prompt: Any, engine: Engine, *, add_bos: bool, special: bool, param: str = "prompt") -> Tokens:
    """Text or ids as tokens that fit the context with room for one more."""
    if isinstance(prompt, str):
        if len(prompt) > MAX_TEXT:
            raise BadValue(f"{param} must be at most {MAX_TEXT} characters long.", param=param)
        try:
            prompt.encode()
        except UnicodeEncodeError as error:
            raise BadValue(f"{param} holds half of a surrogate pair; it must be valid Unicode.", param=param) from error
        tokens = engine.tokenize(prompt, add_bos=add_bos and engine.info.needs_bos(prompt), special=special)
    elif isinstance(prompt, (list, tuple)):
        tokens = list(prompt)
        _check_tokens(param, tokens, engine.info.n_vocab)
    else:
        raise BadValue(f"{param} must be text or a list of token ids.", param=param)
    if not tokens:
        raise BadValue(f"{param} must not be empty for a model without a start token.", param=param)
    if len(tokens) >= engine.info.n_ctx:
        raise ContextExceeded(
            f"The prompt has {len(tokens)} tokens and the context holds {engine.info.n_ctx}: shorten the prompt "
            "or load the model with a larger context.",
            param=param,
            values={"prompt_tokens": len(tokens), "n_ctx": engine.info.n_ctx},
        )
    return as_tokens(tokens)


def _limit(request: GenerationRequest, prompt: int, n_ctx: int) -> int:
    """How many tokens may be generated: what was asked for, but never beyond the context."""
    room = n_ctx - prompt
    if request.max_tokens is None:
        return room
    _check_number("max_tokens", request.max_tokens, 0, math.inf, whole=True)
    return min(request.max_tokens, room)


def _check_number(name: str, value: Any, low: float, high: float, *, whole: bool | None = None) -> None:
    kind = int if (name in _WHOLE if whole is None else whole) else (int, float)
    fits = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high
    if not fits:
        what = "a whole number" if kind is int else "a number"
        limits = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise BadValue(f"{name} must be {what} {limits}, not {value!r}.", param=name)


def _check_strings(name: str, strings: tuple[Any, ...]) -> None:
    if len(strings) > MAX_STOPS:
        raise BadValue(f"{name} may hold at most {MAX_STOPS} strings.", param=name)
    for text in strings:
        if not isinstance(text, str) or not text or len(text) > MAX_STOP_LENGTH:
            raise BadValue(f"{name} must hold strings of 1 to {MAX_STOP_LENGTH} characters.", param=name)


def _check_tokens(name: str, tokens: Any, n_vocab: int) -> None:
    for token in tokens:
        if not isinstance(token, int) or isinstance(token, bool) or not 0 <= token < n_vocab:
            raise BadValue(f"{name} must hold token ids from 0 to {n_vocab - 1}, not {token!r}.", param=name)
