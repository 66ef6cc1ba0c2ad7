"""Every field of a generation, under every name it has: it changes what is done, or the answer names it as not done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from webui.api.chain import chain_of, describe, ignored
from webui.api.openapi import sampler_fields
from webui.api.options import read_options
from webui.api.schemas import CompletionBody, GenerationBody
from webui.samplers import BALANCED
from webui.samplers.foreign import field_params
from webui.services import Services
from webui.settings import Settings

DRY = {"dry_multiplier": 0.8}
HOT = {"dynamic_temperature": True}
MIRO = {"mirostat_mode": 2}
XTC = {"xtc_probability": 0.5}
STEERED = {"negative_prompt": "dull"}

VALUES: dict[str, tuple[Any, dict[str, Any]]] = {
    "guidance_scale": (1.7, STEERED),
    "repetition_penalty": (1.2, {}),
    "repetition_penalty_range": (64, {"repetition_penalty": 1.2}),
    "repetition_decay": (32, {"repetition_penalty": 1.2}),
    "frequency_penalty": (0.3, {}),
    "presence_penalty": (0.3, {}),
    "encoder_repetition_penalty": (1.2, {}),
    "dry_multiplier": (0.9, {}),
    "dry_base": (2.0, DRY),
    "dry_allowed_length": (4, DRY),
    "dry_penalty_last_n": (256, DRY),
    "dry_sequence_breakers": ('["\\n", "x"]', DRY),
    "no_repeat_ngram_size": (4, {}),
    "logit_bias": ({"5": 3.0}, {}),
    "sequence_bias": ([[[5, 6], 2.0]], {}),
    "ban_eos_token": (True, {}),
    "token_bans": ("12,34", {}),
    "temperature": (0.4, {}),
    "dynatemp_low": (0.2, HOT),
    "dynatemp_high": (1.9, HOT),
    "dynatemp_exponent": (2.0, {**HOT, "dynatemp_low": 0.2, "dynatemp_high": 1.9}),
    "smoothing_factor": (0.3, {}),
    "smoothing_curve": (2.0, {"smoothing_factor": 0.3}),
    "top_n_sigma": (1.5, {}),
    "top_k": (12, {}),
    "min_keep": (3, {"top_k": 12}),
    "typical_p": (0.6, {}),
    "tfs": (0.7, {}),
    "top_p": (0.5, {}),
    "min_p": (0.2, {}),
    "top_a": (0.3, {}),
    "epsilon_cutoff": (4, {}),
    "eta_cutoff": (4, {}),
    "top_h": (0.5, {}),
    "xtc_probability": (0.4, {}),
    "xtc_threshold": (0.2, XTC),
    "mirostat_mode": (1, {}),
    "mirostat_tau": (4.0, MIRO),
    "mirostat_eta": (0.3, MIRO),
    "adaptive_target": (0.4, {}),
    "adaptive_decay": (0.5, {"adaptive_target": 0.4}),
    "skew": (0.5, {}),
    "dynamic_temperature": (True, {"dynatemp_low": 0.2, "dynatemp_high": 1.9}),
    "dynatemp_range": (0.5, {}),
    "temperature_last": (True, {"sampler_priority": ["temperature", "top_k", "top_p"]}),
    "do_sample": (False, {}),
    "sampler_priority": ("temperature\ntop_k\nmin_p", {}),
    "samplers": ("kt", {}),
    "sampler_order": ([5, 0, 2], {}),
    "num_beams": (4, {}),
    "penalty_alpha": (0.6, {}),
}
"""A value that asks for something, and what has to be asked for beside it."""

NAMED = ("num_beams", "penalty_alpha", "rep_pen_slope", "length_penalty", "early_stopping", "best_of", "suffix")
NAMED_VALUES = {"early_stopping": True, "suffix": "end", "best_of": 3, "static_cache": True, "cache_prompt": False}


def names() -> list[tuple[str, str]]:
    aliases = {param.name: param.aliases for param in field_params()}
    return [(field, name) for field in VALUES for name in (field, *aliases.get(field, ()))]


def test_the_table_has_every_field_of_the_documents() -> None:
    assert set(VALUES) == set(sampler_fields())


@pytest.mark.parametrize(("field", "name"), names(), ids=lambda part: part)
def test_a_field_changes_the_chain_or_is_named(field: str, name: str) -> None:
    value, beside = VALUES[field]
    without = chain_of(beside, BALANCED)
    asked = chain_of({**beside, name: value}, BALANCED)
    named = set(asked.not_applied) - set(without.not_applied)
    assert describe(asked.steps) != describe(without.steps) or any(name in note for note in named)


@pytest.mark.parametrize(
    ("field", "name"), [pair for pair in names() if type(VALUES[pair[0]][0]) in (int, float, bool)], ids=lambda x: x
)
def test_numbers_and_switches_may_come_as_text(field: str, name: str) -> None:
    value, beside = VALUES[field]
    if field in ("num_beams", "penalty_alpha"):
        return
    asked = chain_of({**beside, name: f" {value} "}, BALANCED)
    assert describe(asked.steps) == describe(chain_of({**beside, name: value}, BALANCED).steps)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("sampler_priority", "top_p\ntemperature", ["top_p", "temperature"]),
        ("sampler_priority", "top_p, temperature", ["top_p", "temperature"]),
        ("custom_token_bans", "12, 34", [12, 34]),
        ("custom_token_bans", "", []),
        ("dry_sequence_breakers", '"a", "b"', ["a", "b"]),
        ("dry_sequence_breakers", '["a", "b"]', ["a", "b"]),
        ("dry_sequence_breakers", "a, b", ["a", "b"]),
        ("logit_bias", [[5, 1.0]], {"5": 1.0}),
    ],
)
def test_lists_in_their_odd_forms(name: str, one: Any, other: Any) -> None:
    assert describe(chain_of({**DRY, name: one}, BALANCED).steps) == describe(
        chain_of({**DRY, name: other}, BALANCED).steps
    )


@pytest.mark.parametrize("name", [*NAMED, "static_cache", "cache_prompt"])
def test_what_is_not_done_is_named(name: str) -> None:
    fields = {name: NAMED_VALUES.get(name, 2)}
    assert any(name in note for note in (*chain_of(fields, BALANCED).not_applied, *ignored(fields)))


OPTIONS: dict[str, Any] = {
    "min_tokens": 5,
    "stop": ["x"],
    "seed": 3,
    "n": 2,
    "logit_bias": {"5": 1},
    "skip_special_tokens": False,
    "preset": "Deterministic",
    "chain": [["top_k", {"top_k": 3}]],
    "negative_prompt": "dull",
    "banned_strings": "one\ntwo",
    "grammar": 'root ::= "a"',
    "json_schema": {"type": "object"},
    "regex": "a+",
    "response_format": {"type": "json_object"},
    "max_tokens_second": 5,
    "t_max_predict_ms": 100,
    "loop_limit": 3,
    "prompt_lookup_num_tokens": 4,
    "deterministic": True,
}
IN_PREPARE = {"model", "max_tokens", "stream", "stream_options", "add_bos_token", "truncation_length"}
IN_PREPARE |= {"auto_max_new_tokens"}
"""Read where the prompt and the answer are made; tests of the routes look at them."""


def test_every_declared_field_is_looked_at() -> None:
    assert set(OPTIONS) | IN_PREPARE == set(GenerationBody.model_fields)


@pytest.mark.parametrize("field", OPTIONS)
def test_a_declared_field_changes_what_is_asked_for(field: str, tmp_path: Path) -> None:
    services = cast(Services, _Only(replace(Settings(), data_dir=tmp_path)))
    beside = {"guidance_scale": 2} if field == "negative_prompt" else {}

    def options(**fields: Any) -> Any:
        body = CompletionBody.model_validate({"prompt": "x", **beside, **fields})
        found = read_options(services, body, None, None)
        return found.fields, found.notes

    assert options(**{field: OPTIONS[field]}) != options()


class _Only:
    """The one service that options need."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
