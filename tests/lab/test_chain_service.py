"""The chain as a service: what it takes, what it answers, and that its numbers are those of plain numpy."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from webui.errors import BadValue
from webui.lab.chain_service import run_chain
from webui.samplers import BALANCED, Vocabulary

PROBS = [0.4, 0.3, 0.2, 0.1]


def test_a_small_chain_by_hand() -> None:
    answer = run_chain({"probs": PROBS, "chain": [["top_k", {"top_k": 3}], ["temperature", {"temperature": 0.5}]]})
    cut, cooled = answer["stages"]
    assert (cut["name"], cut["survivors"], cut["off"]) == ("top_k", 3, False)
    assert cut["mass"] == pytest.approx(0.9)
    assert cut["entropy_before"] == pytest.approx(-sum(p * math.log2(p) for p in PROBS))
    assert cut["cut"] == {"3": pytest.approx(0.1)}
    assert cut["rest"] == {"count": 0, "mass": 0.0}
    assert cooled["entropy_before"] == cut["entropy_after"] > cooled["entropy_after"]
    squares = [p * p for p in PROBS[:3]]
    assert answer["final"] == {str(i): pytest.approx(s / sum(squares)) for i, s in enumerate(squares)}
    assert list(answer["final"]) == ["0", "1", "2"]


def test_logits_and_probs_lists_and_ids_say_the_same() -> None:
    chain = [["min_p", {"min_p": 0.4}], ["temperature", {"temperature": 2}]]
    logits = [math.log(p) + 3 for p in PROBS]
    forms: list[dict[str, Any]] = [
        {"probs": PROBS},
        {"probs": [p * 7 for p in PROBS]},
        {"logits": logits},
        {"logits": {str(i): x for i, x in enumerate(logits)}},
        {"probs": {i: p for i, p in enumerate(PROBS)}},
    ]
    answers = [run_chain({**form, "chain": chain, "seed": 1}) for form in forms]
    for answer in answers:
        assert answer["final"] == pytest.approx(answers[0]["final"])
        assert answer["token"] == answers[0]["token"]


def test_only_the_tokens_named_exist() -> None:
    answer = run_chain({"logits": {"7": 1.0, "90000": 0.0}, "chain": []})
    assert set(answer["final"]) == {"7", "90000"}
    assert answer["final"]["7"] == pytest.approx(1 / (1 + math.exp(-1)))


def test_null_and_minus_inf_are_dead_tokens() -> None:
    answer = run_chain({"logits": [1.0, None, "-inf", 0.0], "chain": [["top_n_sigma", {"top_n_sigma": 3}]]})
    assert set(answer["final"]) == {"0", "3"}


def test_every_stage_sent_is_answered_also_those_that_are_off() -> None:
    answer = run_chain({"probs": PROBS})
    assert [stage["name"] for stage in answer["stages"]] == [step.sampler for step in BALANCED]
    off = [stage for stage in answer["stages"] if stage["off"]]
    assert all(stage["mass"] == 1.0 and stage["survivors"] in (3, 4) for stage in off) and len(off) == 7


def test_history_reaches_the_penalties() -> None:
    body = {"logits": [2.0, 2.0, -2.0], "chain": [["repetition_penalty", {"penalty": 2}]], "history": [1, 2]}
    final = run_chain(body)["final"]
    weights = np.exp([2.0, 1.0, -4.0])
    assert [final[str(i)] for i in range(3)] == pytest.approx((weights / weights.sum()).tolist())


def test_flavour_changes_the_samplers_that_have_it() -> None:
    body = {"probs": [0.5, 0.3, 0.15, 0.05], "chain": [["top_p", {"top_p": 0.75}], ["top_a", {"top_a": 0.01}]]}
    assert len(run_chain(body)["final"]) == 2
    assert len(run_chain({**body, "flavour": "exllama"})["final"]) == 1
    own = [["top_p", {"top_p": 0.75, "flavour": "generic"}]]
    assert len(run_chain({**body, "chain": own, "flavour": "exllama"})["final"]) == 2


def test_the_seed_is_told_and_repeats_the_draw() -> None:
    body = {"probs": [0.01] * 100, "chain": [["xtc", {"threshold": 0.005, "probability": 0.5}]]}
    first = run_chain(body)
    again = run_chain({**body, "seed": first["seed"]})
    assert (first["token"], first["draw"], first["final"]) == (again["token"], again["draw"], again["final"])
    assert first["draw"]["low"] <= first["draw"]["uniform"] < first["draw"]["high"]


def test_guidance_compares_two_rows() -> None:
    body = {"logits": [1.0, 0.0], "guidance_logits": [0.0, 1.0], "chain": [["guidance", {"guidance_scale": 2}]]}
    final = run_chain(body)["final"]
    assert final["0"] == pytest.approx(1 / (1 + math.exp(-3)))


def test_a_row_from_a_model_with_its_vocabulary() -> None:
    row = np.array([3.0, 1.0, 0.0], dtype=np.float32)
    answer = run_chain({"chain": [["ban_eos", {}]]}, row, Vocabulary(size=3, end_ids=(0,)), history=[1])
    assert set(answer["final"]) == {"1", "2"}
    assert answer["stages"][0]["survivors"] == 2 and answer["stages"][0]["cut"] == {"0": pytest.approx(0.8437947)}


def test_top_shortens_the_answer_and_big_cuts_are_summed_up() -> None:
    answer = run_chain({"logits": [0.0] * 1000 + [9.0], "chain": [["top_k", {"k": 2}]], "top": 1})
    assert list(answer["final"]) == ["1000"]
    stage = answer["stages"][0]
    assert len(stage["cut"]) == 50 and stage["rest"]["count"] == 949
    assert sum(stage["cut"].values()) + stage["rest"]["mass"] == pytest.approx(1 - stage["mass"])


def test_the_answer_is_json() -> None:
    chain = [
        ["logit_bias", {"bias": {"1": "-inf", "2": 3}}],
        ["dry", {}],
        ["mirostat", {"tau": 0.0}],
    ]
    answer = run_chain({"probs": PROBS, "chain": chain, "history": [0, 1, 0]})
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "logits"),
        ({"logits": [1], "probs": [1]}, "logits"),
        ({"logits": "1,2"}, "logits"),
        ({"logits": []}, "logits"),
        ({"logits": [1, "x"]}, "logits"),
        ({"logits": [1, True]}, "logits"),
        ({"logits": [math.nan]}, "logits"),
        ({"logits": [math.inf, 1]}, "logits"),
        ({"logits": [1e300]}, "logits"),
        ({"logits": [10**400]}, "logits"),
        ({"logits": [None, None]}, "logits"),
        ({"logits": {"-1": 1}}, "logits"),
        ({"logits": {"x": 1}}, "logits"),
        ({"logits": {"1": 1, "01": 2}}, "logits"),
        ({"logits": {"99999999": 1}}, "logits"),
        ({"probs": [0, 0]}, "probs"),
        ({"probs": [-0.1, 1]}, "probs"),
        ({"probs": [1], "chain": {"top_k": 1}}, "chain"),
        ({"probs": [1], "chain": [["top_p", {"top_p": 2}]]}, "top_p"),
        ({"probs": [1], "history": "1 2"}, "history"),
        ({"probs": [1], "history": [-1]}, "history"),
        ({"probs": [1], "history": [1.5]}, "history"),
        ({"probs": [1], "seed": "x"}, "seed"),
        ({"probs": [1], "seed": -2}, "seed"),
        ({"probs": [1], "flavour": "vanilla"}, "flavour"),
        ({"probs": [1], "flavour": ["hf"]}, "flavour"),
        ({"probs": [1], "guidance_logits": [1, 2]}, "guidance_logits"),
        ({"probs": [1], "top": -1}, "top"),
        ({"probs": [1], "prompt_length": 5}, "prompt_length"),
    ],
)
def test_bad_values_are_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadValue) as caught:
        run_chain(body)
    assert caught.value.param == param
    assert caught.value.message.endswith(".")
