"""What other tools send, turned into a chain: names, units, order, and what is named as not applied."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from webui.errors import BadValue
from webui.samplers import BALANCED, SAMPLERS, Chain, History, State
from webui.samplers.candidates import Candidates
from webui.samplers.describe import effective_chain
from webui.samplers.foreign import chain_from_fields, field_names
from webui.types import Step

SILLYTAVERN: dict[str, Any] = {
    "prompt": "Hi", "max_new_tokens": 24, "temperature": 0.5, "top_p": 0.9, "typical_p": 1, "typical": 1,
    "sampler_seed": -1, "min_p": 0, "repetition_penalty": 1.1, "frequency_penalty": 0, "presence_penalty": 0,
    "top_k": 0, "skew": 0, "min_tokens": 0, "num_beams": 1, "length_penalty": 1, "early_stopping": False,
    "smoothing_factor": 0, "smoothing_curve": 1, "dry_allowed_length": 2, "dry_multiplier": 0, "dry_base": 1.75,
    "dry_sequence_breakers": '["\\n",":","\\"","*"]', "dry_penalty_last_n": 0,
    "sampler_priority": ["temperature", "dynamic_temperature", "quadratic_sampling", "top_k", "top_p", "typical_p",
                         "epsilon_cutoff", "eta_cutoff", "tfs", "top_a", "min_p", "mirostat"],
    "ban_eos_token": False, "top_a": 0, "tfs": 1, "epsilon_cutoff": 0, "eta_cutoff": 0, "mirostat_mode": 0,
    "mirostat_tau": 5, "mirostat_eta": 0.1, "custom_token_bans": "", "banned_strings": [], "xtc_threshold": 0.1,
    "xtc_probability": 0, "rep_pen": 1.1, "rep_pen_range": 0, "repetition_penalty_range": 0,
    "encoder_repetition_penalty": 1, "no_repeat_ngram_size": 0, "penalty_alpha": 0, "temperature_last": True,
    "do_sample": True, "seed": -1, "guidance_scale": 1, "negative_prompt": "", "repeat_penalty": 1.1, "tfs_z": 1,
    "repeat_last_n": 0, "mirostat": 0, "ignore_eos": False, "rep_pen_slope": 1, "stream": True,
}  # fmt: skip


def active(fields: dict[str, Any], base: Any = BALANCED) -> list[tuple[str, dict[str, Any]]]:
    plan = Chain.parse(chain_from_fields(fields, base).steps).plan
    return [(stage.sampler.name, dict(stage.values)) for stage in plan]


def names(fields: dict[str, Any], base: Any = BALANCED) -> list[str]:
    return [name for name, _ in active(fields, base)]


def test_nothing_said_is_the_base() -> None:
    result = chain_from_fields({}, BALANCED)
    assert result.steps == Chain.parse(BALANCED).steps
    assert result.notes == ()


def test_a_default_request_of_sillytavern() -> None:
    result = chain_from_fields(SILLYTAVERN, BALANCED)
    assert result.not_applied == ()
    plan = Chain.parse(result.steps).plan
    assert [s.sampler.name for s in plan] == ["repetition_penalty", "top_p", "temperature"]
    assert plan[0].values["repetition_penalty"] == 1.1 and plan[0].values["repetition_penalty_range"] == 0
    assert (plan[1].values["top_p"], plan[2].values["temperature"]) == (0.9, 0.5)


def test_without_temperature_last_the_priority_list_decides() -> None:
    fields = {**SILLYTAVERN, "temperature_last": False, "xtc_probability": 0.5, "mirostat_mode": 2}
    assert names(fields) == ["repetition_penalty", "temperature", "top_p", "xtc", "mirostat"]


def test_temperature_last_keeps_what_picks_at_the_end() -> None:
    fields = {**SILLYTAVERN, "smoothing_factor": 0.3, "mirostat_mode": 2, "min_p": 0.1, "adaptive_target": 0.4}
    assert names(fields) == [
        "repetition_penalty",
        "top_p",
        "min_p",
        "temperature",
        "quadratic",
        "mirostat",
        "adaptive_p",
    ]


def test_priority_as_text_and_with_unknown_names() -> None:
    fields = {"sampler_priority": "min_p\ntemperature, top_k\nspline"}
    result = chain_from_fields(fields, BALANCED)
    assert names(fields) == ["min_p", "temperature", "top_k", "top_p"]
    assert result.not_applied == ("sampler_priority: nothing here is called spline",)


def test_only_what_is_said_changes() -> None:
    assert active({"temperature": 1.3})[-1][1]["temperature"] == 1.3
    assert names({"temperature": 1.3}) == ["top_k", "top_p", "min_p", "temperature"]


def test_null_means_unsaid() -> None:
    assert chain_from_fields({"temperature": None, "top_p": None}, BALANCED).steps == Chain.parse(BALANCED).steps


@pytest.mark.parametrize(("field", "sampler"), [("epsilon_cutoff", "epsilon_cutoff"), ("eta_cutoff", "eta_cutoff")])
def test_epsilon_and_eta_come_in_ten_thousandths(field: str, sampler: str) -> None:
    values = dict(active({field: 10.42}))[sampler]
    assert values[field] == pytest.approx(0.001042)
    with pytest.raises(BadValue, match="from 0 to 10000") as caught:
        chain_from_fields({field: 10001}, BALANCED)
    assert caught.value.param == field


def test_errors_speak_of_the_field_as_it_was_sent() -> None:
    for fields, param in (
        ({"rep_pen": 9}, "rep_pen"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": math.nan}, "top_p"),
        ({"do_sample": "maybe"}, "do_sample"),
        ({"sampler_priority": 7}, "sampler_priority"),
        ({"sampler_order": [9]}, "sampler_order"),
        ({"custom_token_bans": "1,x"}, "custom_token_bans"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"dry_sequence_breakers": 3}, "dry_sequence_breakers"),
        ({"dynamic_temperature": "yes"}, "dynamic_temperature"),
    ):
        with pytest.raises(BadValue) as caught:
            chain_from_fields(fields, BALANCED)
        assert caught.value.param == param
        assert param in caught.value.message


def test_the_proper_name_wins_over_an_alias() -> None:
    assert dict(active({"repetition_penalty": 1.2, "rep_pen": 1.5}))["repetition_penalty"]["repetition_penalty"] == 1.2
    assert dict(active({"rep_pen": 1.5}))["repetition_penalty"]["repetition_penalty"] == 1.5


def test_dynamic_temperature_only_when_switched_on() -> None:
    fields = {"dynatemp_low": 0.2, "dynatemp_high": 2, "temperature": 0.9}
    assert "dynamic_temperature" not in names(fields)
    result = chain_from_fields({**fields, "dynamic_temperature": True}, BALANCED)
    plan = {s.sampler.name: s.values for s in Chain.parse(result.steps).plan}
    assert (plan["dynamic_temperature"]["dynatemp_low"], plan["dynamic_temperature"]["dynatemp_high"]) == (0.2, 2)
    assert "temperature" not in plan
    assert result.not_applied == ("temperature: dynamic temperature takes its place",)
    assert "dynamic_temperature" not in names({**fields, "dynamic_temperature": False})


def test_dynatemp_range_is_around_the_temperature() -> None:
    values = dict(active({"temperature": 1.0, "dynatemp_range": 0.4}))["dynamic_temperature"]
    assert (values["dynatemp_low"], values["dynatemp_high"]) == pytest.approx((0.6, 1.4))


def test_do_sample_false_is_greedy_after_penalties() -> None:
    fields = {"do_sample": False, "repetition_penalty": 1.2, "xtc_probability": 0.5}
    assert names(fields) == ["repetition_penalty", "temperature"]
    row = np.array([1.0, 3.0, 2.9], dtype=np.float32)
    candidates = Candidates.of(row)
    Chain.parse(chain_from_fields(fields, BALANCED).steps).apply(candidates, History([1]), State(0))
    assert candidates.ids.tolist() == [2]
    assert chain_from_fields(fields, BALANCED).not_applied == (
        "do_sample: takes the likeliest token, without top_k, top_p, min_p, xtc",
    )


def test_what_no_sampler_can_do_is_named() -> None:
    fields = {
        "penalty_alpha": 0.6,
        "num_beams": 10,
        "rep_pen_slope": 0.9,
        "banned_strings": ["x"],
        "guidance_scale": 1.5,
    }
    noted = {note.field for note in chain_from_fields(fields, BALANCED).notes}
    assert noted == {"penalty_alpha", "num_beams", "rep_pen_slope", "guidance_scale"}
    assert not chain_from_fields({"penalty_alpha": 0, "num_beams": 1, "rep_pen_slope": 1}, BALANCED).notes


def test_guidance_with_a_negative_prompt() -> None:
    result = chain_from_fields({"guidance_scale": 1.5, "negative_prompt": "dull"}, BALANCED)
    assert Chain.parse(result.steps).needs_guidance and not result.notes


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ('["\\n", ":"]', ("\n", ":")),
        ('"\\n", ":", "*"', ("\n", ":", "*")),
        ("\\n,:,*", ("\n", ":", "*")),
        (["\n", "a"], ("\n", "a")),
        ([], ()),
    ],
)
def test_dry_breakers_in_every_form(sent: Any, read: tuple[str, ...]) -> None:
    values = dict(active({"dry_multiplier": 0.8, "dry_sequence_breakers": sent}))["dry"]
    assert values["dry_sequence_breakers"] == read


def test_dry_shares_the_range_unless_it_has_its_own() -> None:
    fields: dict[str, Any] = {"dry_multiplier": 0.8, "repetition_penalty_range": 512}
    assert dict(active(fields))["dry"]["dry_penalty_last_n"] == 512
    assert dict(active({**fields, "dry_penalty_last_n": 64}))["dry"]["dry_penalty_last_n"] == 64


def test_llama_cpp_fields() -> None:
    fields = {
        "repeat_penalty": 1.1,
        "repeat_last_n": -1,
        "samplers": ["top_k", "temperature", "penalties"],
        "top_k": 20,
    }
    assert names(fields) == ["top_k", "temperature", "repetition_penalty"]
    assert {n.field for n in chain_from_fields(fields, BALANCED).notes} == {"top_p", "min_p"}
    assert names({"samplers": "kmt"}) == ["top_k", "min_p", "temperature"]
    assert names({"repeat_penalty": 1.1, "repeat_last_n": 0})[0] == "top_k"
    biased = dict(active({"logit_bias": [[5, 2.5], [7, False]]}))["logit_bias"]["logit_bias"]
    assert biased == {5: 2.5, 7: -math.inf}


def test_koboldcpp_order() -> None:
    assert names({"sampler_order": [6, 0, 1, 3, 4, 2, 5], "rep_pen": 1.1}) == [
        "repetition_penalty", "top_k", "top_p", "min_p", "temperature",
    ]  # fmt: skip
    assert names({"sampler_order": [5, 0, 2]})[0] == "temperature"


def test_bans_and_biases() -> None:
    plan = dict(active({"custom_token_bans": " 12, 34", "logit_bias": {"7": -50}, "ban_eos_token": True}))
    assert plan["token_bans"]["token_bans"] == (12, 34)
    assert plan["logit_bias"]["logit_bias"] == {7: -50.0}
    assert plan["ban_eos"]["ban_eos_token"] is True


def test_adaptive_target_zero_and_below_is_off() -> None:
    assert "adaptive_p" not in names({"adaptive_target": 0})
    assert "adaptive_p" not in names({"adaptive_target": -0.01})
    assert "adaptive_p" in names({"adaptive_target": 0.3})


def test_no_two_samplers_claim_one_field_by_accident() -> None:
    shared = {
        "repetition_penalty_range",
        "rep_pen_range",
        "penalty_range",
        "repeat_last_n",
        "repetition_decay",
        "min_keep",
    }
    owners: dict[str, set[str]] = {}
    for sampler in SAMPLERS.values():
        for param in sampler.params:
            for name in (param.name, *param.aliases):
                owners.setdefault(name, set()).add(sampler.name)
    assert {name for name, who in owners.items() if len(who) > 1} <= shared | {"flavour"}
    assert "temperature" in field_names() and "flavour" not in field_names()


def test_the_effective_chain_can_be_printed() -> None:
    fields = {"top_k": 0, "smoothing_factor": 0.2, "smoothing_curve": 4, "penalty_alpha": 0.6}
    result = chain_from_fields(fields, BALANCED)
    text = effective_chain(result.steps, result.notes)
    lines = text.splitlines()
    assert " 6. top_k  off" in lines
    assert " 8. top_p  top_p=0.95" in lines
    assert any("quadratic  smoothing_factor=0.2 smoothing_curve=4  (warning: Above 3" in line for line in lines)
    assert lines[-1].startswith(" –  penalty_alpha: contrastive search")
    assert "выкл." in effective_chain(result.steps, result.notes, "ru")


def test_repeated_stages_the_last_one_is_meant() -> None:
    base = [Step("temperature", {"temperature": 2.0}), Step("top_k"), Step("temperature", {"temperature": 0.5})]
    steps = chain_from_fields({"temperature": 0.7}, base).steps
    assert [s.values.get("temperature") for s in steps] == [2.0, None, 0.7]
