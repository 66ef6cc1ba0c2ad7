"""Requests of other tools as a chain: the flat fields of text-generation-webui, SillyTavern, OpenAI and llama.cpp.

Says what was asked for and cannot be applied. Knows field names and units, nothing of HTTP.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webui.errors import BadValue
from webui.samplers.chain import Chain
from webui.samplers.declare import Param, Sampler, Text
from webui.samplers.order import (
    insert,
    read_kobold_order,
    read_llama_cpp_samplers,
    read_priority,
    reorder,
    temperature_last,
)
from webui.samplers.registry import SAMPLERS
from webui.types import Step

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NotApplied:
    """Something asked for that has no effect, and why."""

    field: str
    reason: Text


@dataclass(frozen=True, slots=True)
class ForeignChain:
    steps: tuple[Step, ...]
    notes: tuple[NotApplied, ...]

    @property
    def not_applied(self) -> tuple[str, ...]:
        """The notes as English sentences."""
        return tuple(f"{note.field}: {note.reason.en}" for note in self.notes)


def chain_from_fields(fields: Fields, base: Iterable[Any]) -> ForeignChain:
    """The base chain, changed by whatever the fields say; what they leave unsaid stays as in the base."""
    steps = list(Chain.parse(base).steps)
    notes: list[NotApplied] = []
    fields = _tidied(fields)
    for sampler in SAMPLERS.values():
        given = _given(sampler, fields)
        if given and sampler.name != "dynamic_temperature":
            steps = _changed(steps, sampler, given)
    steps = _dynamic_temperature(steps, fields, notes)
    steps = _special_ranges(steps, fields, notes)
    steps = _ordered(steps, fields, notes)
    steps = _greedy(steps, fields, notes)
    notes += hopeless(fields)
    return ForeignChain(Chain.parse(steps).steps, tuple(notes))


def field_names() -> frozenset[str]:
    """Every field that some sampler answers to."""
    return frozenset(name for param in field_params() for name in (param.name, *param.aliases))


def field_params() -> tuple[Param, ...]:
    """Every parameter that is a field of requests, once each."""
    found = {param.name: param for sampler in SAMPLERS.values() for param in _field_params(sampler)}
    return tuple(found.values())


def _field_params(sampler: Sampler) -> list[Param]:
    return [param for param in sampler.params if param.name not in ("flavour", "p_less")]


def _tidied(fields: Fields) -> dict[str, Any]:
    """Without what is null, and with the shapes other tools use for lists read."""
    tidy = {name: value for name, value in fields.items() if value is not None}
    for name, reader in (
        ("dry_sequence_breakers", read_breakers),
        ("custom_token_bans", read_tokens),
        ("token_bans", read_tokens),
        ("logit_bias", read_biases),
    ):
        if name in tidy:
            tidy[name] = reader(tidy[name], name)
    if "repetition_penalty_range" in tidy and tidy["repetition_penalty_range"] == -1:
        tidy["repetition_penalty_range"] = 0
    if tidy.get("dry_penalty_last_n") == -1:
        tidy["dry_penalty_last_n"] = 0
    return tidy


def _given(sampler: Sampler, fields: Fields) -> dict[str, Any]:
    """Values for one sampler, in our units; the proper name of a field wins over its aliases."""
    given: dict[str, Any] = {}
    for param in _field_params(sampler):
        for name in (param.name, *param.aliases):
            if name in fields:
                given[param.name] = _checked(param, name, fields[name])
                break
    return given


def _checked(param: Param, field: str, value: Any) -> Any:
    """The value in our unit; an error speaks of the field as the client wrote it."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if param.kind == "bool" and value in (0, 1):
        value = bool(value)
    if field in ("rep_pen_range", "penalty_range", "repeat_last_n") and value == -1:
        value = 0
    try:
        return param.check(value * param.field_unit if number else value)
    except BadValue as error:
        if param.legal is None or param.field_unit == 1.0:
            raise BadValue(error.message.replace(param.name, field, 1), param=field) from None
        low, high = (limit / param.field_unit for limit in param.legal)
        raise BadValue(f"{field} must be a number from {low:g} to {high:g}, not {value!r}.", param=field) from None


def _changed(steps: list[Step], sampler: Sampler, given: dict[str, Any]) -> list[Step]:
    """The last stage of this sampler gets the values; if there is none and they do something, it is fitted in."""
    places = [i for i, step in enumerate(steps) if step.sampler == sampler.name]
    if places:
        old = steps[places[-1]]
        return [*steps[: places[-1]], Step(old.sampler, {**old.values, **given}), *steps[places[-1] + 1 :]]
    values = {**sampler.neutral(), **given}
    changed = list(steps)
    if not sampler.is_off(values):
        insert(changed, Step(sampler.name, values))
    return changed


def _without(steps: Sequence[Step], name: str) -> list[Step]:
    """With every stage of this sampler turned off."""
    return [Step(name, SAMPLERS[name].neutral()) if step.sampler == name else step for step in steps]


def _number(fields: Fields, name: str, default: float) -> float:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadValue(f"{name} must be a number, not {value!r}.", param=name)
    return float(value)


def _dynamic_temperature(steps: list[Step], fields: Fields, notes: list[NotApplied]) -> list[Step]:
    """`dynamic_temperature` switches it on, and so does a `dynatemp_range`: a distance from the temperature."""
    sampler = SAMPLERS["dynamic_temperature"]
    switch = fields.get("dynamic_temperature")
    if switch not in (True, False, None):
        raise BadValue(f"dynamic_temperature must be true or false, not {switch!r}.", param="dynamic_temperature")
    given = _given(sampler, fields)
    reach = _number(fields, "dynatemp_range", 0.0)
    if reach > 0 and "dynatemp_low" not in given and "dynatemp_high" not in given:
        middle = _value(steps, "temperature", 1.0)
        given |= {"dynatemp_low": max(0.0, middle - reach), "dynatemp_high": middle + reach}
    if switch is False:
        return _without(steps, sampler.name)
    if switch is None and reach <= 0:
        return _changed(steps, sampler, given) if _is_on(steps, sampler) else steps
    steps = _changed(steps, sampler, given)
    if _is_on(steps, sampler):
        steps = _without(steps, "temperature")
        if "temperature" in fields:
            reason = Text("dynamic temperature takes its place", "вместо неё действует динамическая температура")
            notes.append(NotApplied("temperature", reason))
    return steps


def _is_on(steps: Iterable[Step], sampler: Sampler) -> bool:
    return any(step.sampler == sampler.name and not sampler.is_off(step.values) for step in steps)


def _value(steps: Iterable[Step], name: str, default: float) -> float:
    return next((float(step.values[name]) for step in steps if step.sampler == name), default)


def _special_ranges(steps: list[Step], fields: Fields, notes: list[NotApplied]) -> list[Step]:
    """Ranges that mean different things to different tools, and targets that mean off."""
    proper = any(name in fields for name in ("repetition_penalty_range", "rep_pen_range", "penalty_range"))
    if fields.get("repeat_last_n") == 0 and not proper:
        for name in ("repetition_penalty", "frequency_penalty", "presence_penalty"):
            steps = _without(steps, name)
        notes.append(NotApplied("repeat_last_n", Text("0 switches the penalties off", "0 отключает штрафы")))
    if proper and "dry_penalty_last_n" not in fields and "dry_range" not in fields:
        # One range for both, where DRY has none of its own.
        reach = _given(SAMPLERS["repetition_penalty"], fields)["repetition_penalty_range"]
        steps = [Step("dry", {**s.values, "dry_penalty_last_n": reach}) if s.sampler == "dry" else s for s in steps]
    if fields.get("adaptive_target") == 0:
        steps = _without(steps, "adaptive_p")
    asked = "guidance_scale" in fields or "cfg_scale" in fields
    if asked and not fields.get("negative_prompt") and _is_on(steps, SAMPLERS["guidance"]):
        steps = _without(steps, "guidance")
        reason = Text("needs a negative_prompt to steer away from", "нужен negative_prompt, от которого уводить")
        notes.append(NotApplied("guidance_scale", reason))
    return steps


def _ordered(steps: list[Step], fields: Fields, notes: list[NotApplied]) -> list[Step]:
    for field, reader in (
        ("sampler_order", read_kobold_order),
        ("samplers", read_llama_cpp_samplers),
        ("sampler_priority", lambda value: read_priority(value, "sampler_priority")),
    ):
        if not fields.get(field):
            continue
        names, unknown = reader(fields[field])
        if unknown:
            shown = ", ".join(unknown[:10])
            notes.append(
                NotApplied(field, Text(f"nothing here is called {shown}", f"здесь нет ничего с именем {shown}"))
            )
        if field == "samplers":
            steps = _only(steps, names, notes)
        steps = reorder(steps, names)
    last = fields.get("temperature_last", False)
    if last not in (True, False):
        raise BadValue(f"temperature_last must be true or false, not {last!r}.", param="temperature_last")
    return temperature_last(steps) if last else steps


def _only(steps: list[Step], names: Sequence[str], notes: list[NotApplied]) -> list[Step]:
    """llama.cpp runs just the samplers listed."""
    for step in steps:
        sampler = SAMPLERS[step.sampler]
        listed = step.sampler in names or step.sampler in ("guidance", "logit_bias", "token_bans", "ban_eos")
        if not listed and not sampler.is_off(step.values):
            steps = _without(steps, step.sampler)
            notes.append(NotApplied(step.sampler, Text("is not in the list `samplers`", "нет в списке `samplers`")))
    return steps


def _greedy(steps: list[Step], fields: Fields, notes: list[NotApplied]) -> list[Step]:
    """do_sample false: the likeliest token after penalties and bans, whatever the rest says."""
    sample = fields.get("do_sample", True)
    if sample not in (True, False):
        raise BadValue(f"do_sample must be true or false, not {sample!r}.", param="do_sample")
    if sample:
        return steps
    idle = [
        step.sampler
        for step in steps
        if SAMPLERS[step.sampler].family != "penalty" and not SAMPLERS[step.sampler].is_off(step.values)
    ]
    for name in idle:
        if name != "guidance":
            steps = _without(steps, name)
    shown = ", ".join(name for name in idle if name not in ("guidance", "temperature"))
    if shown:
        reason = Text(f"takes the likeliest token, without {shown}", f"берёт самый вероятный токен, без {shown}")
        notes.append(NotApplied("do_sample", reason))
    return _changed(steps, SAMPLERS["temperature"], {"temperature": 0.0})


_NEVER: Mapping[str, tuple[tuple[Any, ...], Text]] = {
    "penalty_alpha": (
        (0,),
        Text("contrastive search needs the model's inner states", "контрастивному поиску нужны внутренние состояния"),
    ),
    "num_beams": (
        (0, 1),
        Text("beam search is not a way to sample one token", "лучевой поиск не выбирает по одному токену"),
    ),
    "rep_pen_slope": (
        (0, 1),
        Text("the penalty has no slope here; repetition_decay fades it", "наклона у штрафа нет; есть repetition_decay"),
    ),
}
"""Fields that no sampler answers to, with the values that ask for nothing."""


def hopeless(fields: Fields) -> list[NotApplied]:
    """What is asked for and nobody here can do."""
    return [
        NotApplied(name, reason)
        for name, (nothing, reason) in _NEVER.items()
        if name in fields and fields[name] not in nothing
    ]


def read_breakers(value: Any, field: str) -> tuple[str, ...]:
    """A list; or text that holds JSON, or quoted or bare texts with commas between."""
    if isinstance(value, str):
        text = value.strip()
        for candidate in (text, f"[{text}]"):
            try:
                loaded = json.loads(candidate)
            except ValueError:
                continue
            if isinstance(loaded, list):
                value = loaded
                break
        else:
            value = [part.strip().replace("\\n", "\n") for part in text.split(",")]
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise BadValue(f"{field} must be a list of texts.", param=field)
    return tuple(item for item in value if item)


def read_tokens(value: Any, field: str) -> tuple[Any, ...]:
    """A list of ids, or text with commas between."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        raise BadValue(f"{field} must be a list of token ids.", param=field)
    return tuple(value)


def read_biases(value: Any, field: str) -> dict[Any, Any]:
    """{id: number}, or llama.cpp's [[id, number or false], ...], where false is a ban."""
    if isinstance(value, (list, tuple)):
        if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in value):
            raise BadValue(f"{field} must be pairs of a token id and a number.", param=field)
        value = dict(value)
    if not isinstance(value, Mapping):
        raise BadValue(f"{field} must be {{token id: number}}.", param=field)
    return {token: -math.inf if bias is False else bias for token, bias in value.items()}
