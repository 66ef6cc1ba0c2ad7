"""Preset files of other tools: SillyTavern's JSON and text-generation-webui's YAML, read into a chain.

Names what was not understood. Knows their keys and their order, nothing of where presets are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from webui.errors import BadValue
from webui.samplers.declare import Text
from webui.samplers.foreign import NotApplied, chain_from_fields, field_names, hopeless
from webui.samplers.presets import MAX_BYTES, Preset, parse_yaml, read_preset, with_usual_stages
from webui.samplers.registry import SAMPLERS
from webui.types import Step

# Their order where a preset has none of its own: temperature comes before the cuts.
_THEIR_ORDER = (
    "repetition_penalty", "presence_penalty", "frequency_penalty", "dry", "top_n_sigma", "temperature",
    "dynamic_temperature", "quadratic", "top_k", "top_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "tfs", "top_a",
    "min_p", "adaptive_p", "mirostat", "xtc", "encoder_repetition_penalty", "no_repeat_ngram",
)  # fmt: skip
_RENAMED = {
    "dynatemp": "dynamic_temperature",
    "rep_pen_decay": "repetition_decay",
    "banned_tokens": "custom_token_bans",
}
# What decides the order or the whole way of choosing, beside the fields of samplers.
_STEERING = frozenset(
    {"dynamic_temperature", "dynatemp_range", "temperature_last", "sampler_priority", "do_sample", "negative_prompt"}
)
# Settings that these files hold beside samplers, and that have their own place here.
_OTHER_SETTINGS = frozenset(
    {
        "genamt", "max_length", "max_tokens", "max_new_tokens", "truncation_length", "streaming", "seed", "type",
        "add_bos_token", "skip_special_tokens", "spaces_between_special_tokens", "grammar_string", "json_schema",
        "sampler_order", "samplers", "samplers_priorities", "extensions", "auto_max_new_tokens", "max_tokens_second",
        "n", "rep_pen_size", "ignore_eos_token_aphrodite", "include_reasoning", "openrouter_allow_fallbacks",
        "min_length", "length_penalty", "early_stopping", "speculative_ngram", "prompt_lookup_num_tokens",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Imported:
    """The preset, not yet saved; its `not_applied` names what was asked for or written and has no effect here."""

    preset: Preset
    format: str


def import_preset(filename: str, data: bytes) -> Imported:
    """A preset file of SillyTavern, of text-generation-webui or of our own; BadValue if it is none of them."""
    name = PurePath(filename.replace("\\", "/")).stem.strip() or "imported"
    is_json = data.lstrip()[:1] in (b"{", b"\xef")
    document = _parse_json(data) if is_json else parse_yaml(data)
    if not isinstance(document, Mapping):
        raise BadValue("The file holds no preset: a list of names and values was expected.", param="preset")
    if "chain" in document:
        return Imported(read_preset(name, document, own=True), "sampler-lab")
    fields = {_RENAMED.get(str(key), str(key)): value for key, value in document.items()}
    used = {key: value for key, value in fields.items() if key in field_names() | _STEERING}
    if not used:
        raise BadValue("The file holds no sampler settings; choose a sampler preset.", param="preset")
    result = chain_from_fields(_repaired(used), _their_chain())
    notes = [*result.notes, *hopeless(fields), *_not_understood(fields, used)]
    unique = {note.field: note for note in reversed(notes)}
    source = "SillyTavern" if is_json else "text-generation-webui"
    active = [step for step in result.steps if not SAMPLERS[step.sampler].is_off(step.values)]
    note = Text(f"Imported from {source}.", f"Импортировано из {source}.")
    return Imported(Preset(name, note, with_usual_stages(active), tuple(reversed(unique.values())), own=True), source)


def _their_chain() -> list[Step]:
    return [Step(name, SAMPLERS[name].neutral()) for name in _THEIR_ORDER]


def _parse_json(data: bytes) -> Any:
    if len(data) > MAX_BYTES:
        raise BadValue(f"The file is larger than {MAX_BYTES // 1024} KB; that is no preset.", param="preset")
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadValue("The file is not valid JSON; export the preset again.", param="preset") from error


def _repaired(fields: dict[str, Any]) -> dict[str, Any]:
    """SillyTavern keeps texts where the request has lists, and its own shape of biases."""
    repaired = dict(fields)
    biases = repaired.get("logit_bias")
    if isinstance(biases, list):
        repaired["logit_bias"] = {}
    bans = repaired.get("custom_token_bans")
    if isinstance(bans, str) and not all(part.strip().isdigit() for part in bans.split(",") if part.strip()):
        del repaired["custom_token_bans"]
    return repaired


def _not_understood(fields: Mapping[str, Any], used: Mapping[str, Any]) -> list[NotApplied]:
    notes: list[NotApplied] = []
    known = {note.field for note in hopeless({name: object() for name in fields})}
    odd = sorted(name for name in fields if name not in used and name not in _OTHER_SETTINGS and name not in known)
    if odd:
        shown = ", ".join(odd[:20])
        notes.append(NotApplied("not understood", Text(shown, shown)))
    if isinstance(fields.get("logit_bias"), list) and fields["logit_bias"]:
        reason = Text("is by text, which differs for each model", "задано текстом, а он у каждой модели свой")
        notes.append(NotApplied("logit_bias", reason))
    if "custom_token_bans" in used and "custom_token_bans" not in _repaired(dict(used)):
        reason = Text("is by text, which differs for each model", "задано текстом, а он у каждой модели свой")
        notes.append(NotApplied("banned_tokens", reason))
    return notes
