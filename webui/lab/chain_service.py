"""The sampler chain as a service: numbers in, what every stage did and the final probabilities out. No model needed.

The function behind POST /v1/internal/chain; a route that was given a prompt passes the model's row along. Knows
nothing of HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webui.errors import BadValue
from webui.samplers import BALANCED, SAMPLERS, Chain, History, State, Trace, Vocabulary
from webui.samplers.candidates import Candidates, Mask
from webui.samplers.chain import Stage
from webui.samplers.trace import StageTrace, bits

MAX_TOKENS = 2_000_000
MAX_HISTORY = 1_000_000

Row = NDArray[np.floating[Any]]


def run_chain(
    body: Mapping[str, Any],
    row: Row | None = None,
    vocabulary: Vocabulary | None = None,
    history: list[int] | None = None,
) -> dict[str, Any]:
    """Run a chain once. `row` and `history` stand in for a prompt that the caller has read with a model."""
    logits, allowed = read_row(body) if row is None else (row, None)
    chain = Chain.parse(body["chain"] if body.get("chain") is not None else BALANCED, flavour=_flavour(body))
    state = State(_whole(body, "seed", -1, -1, (1 << 63) - 1), vocabulary or Vocabulary(size=len(logits)))
    tokens = _history(body) if body.get("history") is not None else list(history or ())
    past = History(tokens)
    past.prompt_length = _whole(body, "prompt_length", len(tokens), 0, len(tokens))
    guidance = _guidance(body, len(logits))
    trace = Trace()
    pick = chain.run(logits, past, state, allowed=allowed, trace=trace, guidance_row=guidance)
    assert trace.draw is not None and trace.start is not None, "run() fills the trace"
    return {
        "stages": _stages(chain, trace),
        "final": _final(trace.draw.candidates, _whole(body, "top", 0, 0, MAX_TOKENS)),
        "token": pick.token,
        "probability": pick.probability,
        "seed": state.seed,
        "draw": {"uniform": trace.draw.uniform, "low": trace.draw.low, "high": trace.draw.high},
        "raw": {
            "rank": trace.raw_rank,
            "probability": trace.raw_probability,
            "entropy": bits(trace.start.entropy()),
        },
        "warnings": [{"stage": index, "warning": text.en} for index, text in chain.warnings()],
    }


def read_row(body: Mapping[str, Any]) -> tuple[Row, Mask | None]:
    """`logits` or `probs`, as a list or as {token id: number}; of the latter, only the tokens named exist."""
    given = [name for name in ("logits", "probs") if body.get(name) is not None]
    if len(given) != 1:
        raise BadValue("Give exactly one of logits and probs (or a prompt).", param=given[0] if given else "logits")
    name = given[0]
    ids, numbers = _pairs(body[name], name)
    values = np.array(numbers, dtype=np.float64)
    if np.isnan(values).any() or (values == np.inf).any() or np.abs(values[np.isfinite(values)]).max(initial=0) > 1e30:
        raise BadValue(f"{name} must be finite numbers (null for minus infinity).", param=name)
    if name == "probs":
        if (values < 0).any() or values.sum() <= 0:
            raise BadValue("probs must not be negative, and at least one of them above 0.", param="probs")
        with np.errstate(divide="ignore"):
            values = np.log(values / values.sum())
    if ids is None:
        return values, None
    row = np.full(max(ids) + 1, -np.inf)
    row[ids] = values
    allowed = np.zeros(len(row), dtype=np.bool_)
    allowed[ids] = True
    return row, allowed


def _pairs(value: Any, name: str) -> tuple[list[int] | None, list[float]]:
    """Token ids (None where the place is the id) and numbers."""
    if isinstance(value, Mapping):
        ids = [_token(key, name) for key in value]
        numbers = [_number(item, name) for item in value.values()]
    else:
        if not isinstance(value, (list, tuple)):
            raise BadValue(f"{name} must be a list of numbers or {{token id: number}}.", param=name)
        ids = None
        numbers = [_number(item, name) for item in value]
    if not 1 <= len(numbers) <= MAX_TOKENS:
        raise BadValue(f"{name} must hold from 1 to {MAX_TOKENS} numbers, not {len(numbers)}.", param=name)
    if ids is not None and len(set(ids)) < len(ids):
        raise BadValue(f"{name} names a token twice.", param=name)
    return ids, numbers


def _token(key: Any, name: str) -> int:
    text = str(key)
    if isinstance(key, bool) or not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) >= MAX_TOKENS:
        raise BadValue(f"{name} must have token ids from 0 to {MAX_TOKENS - 1}, not {text[:30]!r}.", param=name)
    return int(text)


def _number(item: Any, name: str) -> float:
    """JSON has no infinity: null and "-inf" stand for it."""
    if item is None or item == "-inf":
        return -math.inf
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        raise BadValue(f"{name} must be numbers, not {str(item)[:30]!r}.", param=name)
    try:
        return float(item)
    except OverflowError:
        return math.inf


def _whole(body: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or not low <= value <= high:
        raise BadValue(f"{name} must be a whole number from {low} to {high}, not {str(value)[:30]!r}.", param=name)
    return int(value)


def _history(body: Mapping[str, Any]) -> list[int]:
    value = body["history"]
    good = isinstance(value, (list, tuple)) and len(value) <= MAX_HISTORY
    if not good or not all(isinstance(t, int) and not isinstance(t, bool) and 0 <= t < 1 << 31 for t in value):
        raise BadValue(f"history must be a list of at most {MAX_HISTORY} token ids.", param="history")
    return list(value)


def _flavour(body: Mapping[str, Any]) -> str | None:
    flavour = body.get("flavour")
    known = {name for sampler in SAMPLERS.values() for name in sampler.flavours} | {"llama.cpp"}
    if flavour is not None and (not isinstance(flavour, str) or flavour not in known):
        raise BadValue(
            f"flavour must be one of {', '.join(sorted(known))}, not {str(flavour)[:30]!r}.", param="flavour"
        )
    return flavour


def _guidance(body: Mapping[str, Any], size: int) -> Row | None:
    """A second row, for the sampler that compares two."""
    value = body.get("guidance_logits")
    if value is None:
        return None
    ids, numbers = _pairs(value, "guidance_logits")
    row = np.full(size, -np.inf)
    if len(numbers) > size or (ids is None and len(numbers) != size) or (ids is not None and max(ids) >= size):
        raise BadValue("guidance_logits must be for the same tokens as the logits.", param="guidance_logits")
    row[slice(None) if ids is None else ids] = numbers
    if not math.isfinite(float(row.max())):
        raise BadValue("guidance_logits must be numbers, at least one of them finite.", param="guidance_logits")
    return row


def _stages(chain: Chain, trace: Trace) -> list[dict[str, Any]]:
    """One entry for each stage sent, in order; those that are off pass on what they got."""
    assert trace.start is not None
    traced = {stage.index: stage for stage in trace.stages}
    told: list[dict[str, Any]] = []
    survivors, entropy = trace.start.alive(), bits(trace.start.entropy())
    for stage in chain.stages:
        done = traced.get(stage.index)
        told.append(_off(stage, survivors, entropy) if done is None else _done(stage, done))
        if done is not None:
            survivors, entropy = done.survivors, done.entropy_after
    return told


def _off(stage: Stage, survivors: int, entropy: float) -> dict[str, Any]:
    return {
        "name": stage.sampler.name,
        "values": _plain(stage.values),
        "off": True,
        "survivors": survivors,
        "mass": 1.0,
        "entropy_before": entropy,
        "entropy_after": entropy,
        "cut": {},
        "rest": {"count": 0, "mass": 0.0},
        "notes": {},
    }


def _done(stage: Stage, done: StageTrace) -> dict[str, Any]:
    return {
        "name": stage.sampler.name,
        "values": _plain(stage.values),
        "off": False,
        "survivors": done.survivors,
        "mass": done.mass,
        "entropy_before": done.entropy_before,
        "entropy_after": done.entropy_after,
        "cut": {str(token): probability for token, probability in done.cut},
        "rest": {"count": done.rest_count, "mass": done.rest_mass},
        "notes": _plain(done.notes),
    }


def _final(candidates: Candidates, top: int) -> dict[str, float]:
    """Survivors with their probability, likeliest first; all of them, or the `top` likeliest."""
    positions = candidates.head(min(top or len(candidates), len(candidates)))
    probabilities = candidates.weights_at(positions).astype(np.float64) / candidates.total
    ids = candidates.ids[positions]
    present = candidates.logits[positions] > -np.inf
    return dict(zip(map(str, ids[present].tolist()), probabilities[present].tolist(), strict=True))


def _plain(value: Any) -> Any:
    """As JSON can hold it: texts for keys and for infinities."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value
