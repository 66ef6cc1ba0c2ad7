"""What is checked before anything goes to a worker: types, ranges, sizes.

The worker checks again, with what only it knows. Pure; raises BadValue with the name of the parameter.
"""

from __future__ import annotations

import math
from typing import Any

from webui.errors import BadValue, ContextExceeded
from webui.samplers.chain import Chain
from webui.types import GenerationRequest, LoadSpec, ModelInfo, Step

MAX_CHOICES = 8
MAX_ALTERNATIVES = 100
MAX_STOPS = 64
MAX_STOP_LENGTH = 256
MAX_SEED = 2**63 - 1
CHARACTERS_PER_TOKEN = 16
"""More text than this for each token of the context cannot fit, and is not worth reading to find out."""


def number(value: Any, name: str, low: float, high: float, *, whole: bool = True) -> None:
    """Refuse what is not a number in low..high."""
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
        raise BadValue(f"{name} must be a {'whole ' if whole else ''}number, not {_short(value)}.", param=name)
    if not low <= value <= high:
        raise BadValue(
            f"{name} must be between {_plain(low)} and {_plain(high)}, not {_short(value)}.",
            param=name,
            values={"name": name, "low": low, "high": high, "value": value},
        )


def text(value: Any, name: str, *, longest: int | None = None) -> None:
    """Refuse what is not a string that can be written as UTF-8."""
    if not isinstance(value, str):
        raise BadValue(f"{name} must be text, not {_short(value)}.", param=name)
    if longest is not None and len(value) > longest:
        raise BadValue(f"{name} may have at most {longest} characters, not {len(value)}.", param=name)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadValue(
            f"{name} has half a surrogate pair at {error.start}.", param=name, code="invalid_unicode"
        ) from error


def check_request(request: GenerationRequest, info: ModelInfo) -> None:
    """Everything about a request that can be known without the model's tokenizer."""
    check_prompt(request.prompt, info, "prompt")
    if request.max_tokens is not None:
        number(request.max_tokens, "max_tokens", 0, 1 << 40)
    number(request.min_tokens, "min_tokens", 0, 1 << 40)
    number(request.seed, "seed", -1, MAX_SEED)
    number(request.n, "n", 1, MAX_CHOICES)
    if request.alternatives is not None:
        number(request.alternatives, "alternatives", 0, MAX_ALTERNATIVES)
    if len(request.stop) > MAX_STOPS:
        raise BadValue(f"stop may have at most {MAX_STOPS} strings, not {len(request.stop)}.", param="stop")
    for stop in request.stop:
        text(stop, "stop", longest=MAX_STOP_LENGTH)
        if not stop:
            raise BadValue("stop must not be empty.", param="stop")
    for token in request.stop_tokens:
        number(token, "stop_tokens", 0, info.n_vocab - 1)
    check_chain(request.chain)


def check_chain(steps: tuple[Step, ...]) -> None:
    Chain.parse(steps)


def check_prompt(prompt: str | tuple[int, ...], info: ModelInfo, name: str) -> None:
    """A prompt the context could hold, of tokens the model has."""
    if isinstance(prompt, str):
        text(prompt, name)
        limit = CHARACTERS_PER_TOKEN * info.n_ctx + 65536
        if len(prompt) > limit:
            raise ContextExceeded(
                f"The prompt has {len(prompt)} characters, far more than the context of {info.n_ctx} tokens can hold.",
                param=name,
                values={"characters": len(prompt), "n_ctx": info.n_ctx},
            )
        return
    if len(prompt) > info.n_ctx:
        raise ContextExceeded(
            f"The prompt has {len(prompt)} tokens, but the context holds {info.n_ctx}.",
            param=name,
            values={"tokens": len(prompt), "n_ctx": info.n_ctx},
        )
    check_tokens(prompt, info, name)


def check_tokens(tokens: tuple[int, ...], info: ModelInfo, name: str) -> None:
    for token in tokens:
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < info.n_vocab:
            raise BadValue(
                f"{name}: there is no token {_short(token)}, ids go from 0 to {info.n_vocab - 1}.", param=name
            )


def check_spec(spec: LoadSpec) -> None:
    """Ranges of everything that reaches native code; out of range it would end the worker, not raise."""
    text(spec.path, "path", longest=4096)
    if not spec.path or "\0" in spec.path:
        raise BadValue("path must name a model file or folder.", param="path")
    if spec.engine not in ("llamacpp", "exllamav2", "fake"):
        raise BadValue(f"engine must be llamacpp or exllamav2, not {_short(spec.engine)}.", param="engine")
    number(spec.n_ctx, "n_ctx", 0, 1 << 24)
    number(spec.n_gpu_layers, "n_gpu_layers", -1, 10000)
    number(spec.threads, "threads", 0, 512)
    number(spec.slots, "slots", 0, 64)
    number(spec.n_batch, "n_batch", 32, 16384)


def _plain(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e6 else str(int(value))


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."
