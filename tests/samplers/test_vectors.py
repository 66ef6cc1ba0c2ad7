"""The 146 published vectors, each under the flavour it was published for. vectors.json says where each comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webui.samplers import SAMPLERS, History, State, Vocabulary
from webui.samplers.candidates import Candidates
from webui.samplers.stages.mirostat import estimate
from webui.samplers.state import Context

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors.json").read_text())

# What the vectors call a sampler, where that is not one stage of ours with the same parameters.
STAGES: Mapping[str, tuple[str, ...]] = {
    "penalties": ("repetition_penalty", "frequency_penalty", "presence_penalty"),
    "penalties_decay": ("repetition_penalty", "frequency_penalty", "presence_penalty"),
    "chain_temp_top_p": ("temperature", "top_p"),
    "temperature_ext": ("dynamic_temperature",),
    "dynatemp": ("dynamic_temperature",),
    "smoothing": ("quadratic",),
    "typical": ("typical_p",),
    "softmax": (),
}
CHAIN_LETTERS = {"k": "top_k", "p": "top_p", "m": "min_p"}
NOT_VALUES = {"context", "seed", "fires", "protected_ids", "ddof", "order", "legend", "delta"}


def test_all_vectors_are_here() -> None:
    assert len(VECTORS) == 146
    assert {v["sampler"] for v in VECTORS} - set(SAMPLERS) - set(STAGES) == {
        "adaptive_p_step",
        "chain",
        "mirostat_v1_k",
        "mirostat_v2_step",
    }


def logits_of(vector: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    numbers = vector["input_probs_or_logits"]
    if vector["input_kind"] == "generator":
        numbers = list(range(10_000))  # p(id) is proportional to id
    with np.errstate(divide="ignore"):
        values = np.array(numbers, dtype=np.float64)
        return (values if vector["input_kind"] == "logits" else np.log(values)).astype(np.float32)


def run_stage(name: str, given: dict[str, Any], impl: str, candidates: Candidates, context: Context) -> Any:
    """One stage with values that may lie outside of our legal range, as some vectors' do."""
    sampler = SAMPLERS[name]
    values = sampler.neutral()
    for key, value in given.items():
        if key in sampler.by_name:
            values[sampler.by_name[key].name] = value
    if impl.split("/")[0] in sampler.flavours:
        values["flavour"] = impl.split("/")[0]
    return None if sampler.is_off(values) else sampler.apply(candidates, values, context)


def given_values(vector: dict[str, Any]) -> dict[str, Any]:
    params = dict(vector["params"])
    given = {k: v for k, v in params.items() if k not in NOT_VALUES}
    if vector["sampler"] == "temperature_ext":
        low, high = params["temperature"] - params["delta"], params["temperature"] + params["delta"]
        given = {"low": low, "high": high, "exponent": params["exponent"]}
    if vector["sampler"] == "dry":
        given["breakers"] = tuple(f"<{token}>" for token in params["breakers"])
    if vector["sampler"] == "p_less":
        given["enabled"] = True
    if vector["sampler"] == "logit_bias":
        given["bias"] = {int(k): float(v) for k, v in params["bias"].items()}
    if params.get("fires"):
        given["probability"] = 1.0
    return given


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["expected_kind"] != "state"], ids=lambda v: v["id"])
def test_vector(vector: dict[str, Any]) -> None:
    row = logits_of(vector)
    candidates = Candidates(row)
    vocabulary = Vocabulary(
        size=len(row),
        pieces=lambda token: f"<{token}>".encode(),
        end_ids=tuple(vector["params"].get("protected_ids", ())),
    )
    history = History(vector["params"].get("context", ()))
    context = Context(history, State(0, vocabulary), None, tracing=False)
    given = given_values(vector)
    if vector["sampler"] == "chain":
        names: tuple[str, ...] = tuple(CHAIN_LETTERS[letter] for letter in vector["params"]["order"])
    else:
        names = STAGES.get(vector["sampler"], (vector["sampler"],))
    known = {key for name in names for key in SAMPLERS[name].by_name}
    assert set(given) <= known | set(CHAIN_LETTERS.values()), "a value that no stage takes"
    for name in names:
        run_stage(name, given, vector["impl"], candidates, context)
    compare(vector, candidates, len(row))


def compare(vector: dict[str, Any], candidates: Candidates, size: int) -> None:
    kind, expected, tolerance = vector["expected_kind"], vector["expected"], vector["tol"]
    alive = candidates.logits > -np.inf
    kept = sorted(candidates.ids[alive].tolist())
    if kind == "logits":
        logits = np.full(size, -np.inf)
        logits[candidates.ids] = candidates.logits
        np.testing.assert_allclose(logits, [float(x) for x in expected], atol=tolerance, rtol=0)
    elif kind in ("probs", "probs_unnormalized"):
        probabilities = np.zeros(size)
        probabilities[candidates.ids] = candidates.probabilities()
        wanted = np.array(expected, dtype=np.float64)
        np.testing.assert_allclose(probabilities * wanted.sum(), wanted, atol=tolerance, rtol=0)
        if vector["sampler"] not in ("penalties", "dry", "dynatemp", "temperature", "temperature_ext"):
            assert kept == np.flatnonzero(wanted > 0).tolist()
    elif kind == "kept_ids":
        assert kept == expected["kept_ids"]
    elif kind == "banned_ids":
        assert sorted(set(range(size)) - set(kept)) == expected["banned_ids"]
    elif kind == "kept_count":
        assert len(kept) == expected["kept_count"]
    else:
        assert kind == "kept_summary"
        assert (len(kept), min(kept)) == (expected["kept_count"], expected["min_kept_id"])


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["sampler"] == "mirostat_v2_step"], ids=lambda v: v["id"])
def test_mirostat_2_step(vector: dict[str, Any]) -> None:
    params, expected = vector["params"], vector["expected"]
    candidates, context = Candidates(logits_of(vector)), Context(History(), State(0), None, tracing=False)
    context.memory = params["mu"]
    given = {"mode": 2, "tau": params["tau"], "eta": params["eta"]}
    accept = run_stage("mirostat", given, vector["impl"], candidates, context)
    assert sorted(candidates.ids.tolist()) == expected["kept_ids"]
    mu = accept(params["picked_id"])
    assert mu == pytest.approx(expected["mu_next"], abs=vector["tol"])
    observed = (params["mu"] - mu) / params["eta"] + params["tau"]
    assert observed == pytest.approx(expected["observed_surprise_bits"], abs=vector["tol"])


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["sampler"] == "mirostat_v1_k"], ids=lambda v: v["id"])
def test_mirostat_1_estimate(vector: dict[str, Any]) -> None:
    probabilities = np.array(vector["input_probs_or_logits"])
    s_hat, k = estimate(probabilities, vector["params"]["mu"], vector["params"]["n_vocab"])
    assert s_hat == pytest.approx(vector["expected"]["s_hat"], abs=vector["tol"])
    assert k == pytest.approx(vector["expected"]["k_real"], abs=vector["tol"])
    assert int(k) == vector["expected"]["k"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["sampler"] == "adaptive_p_step"], ids=lambda v: v["id"])
def test_adaptive_p_step(vector: dict[str, Any]) -> None:
    params, expected = vector["params"], vector["expected"]
    candidates, context = Candidates(logits_of(vector)), Context(History(), State(0), None, tracing=True)
    context.memory = (params["weighted_sum"], params["total_weight"])
    given = {"target": params["target"], "decay": params["decay"]}
    accept = run_stage("adaptive_p", given, vector["impl"], candidates, context)
    assert context.notes is not None
    assert context.notes["aim"] == pytest.approx(expected["adapted_target"], abs=vector["tol"])
    np.testing.assert_allclose(candidates.probabilities(), expected["probs"], atol=vector["tol"])
    weighted, weight = accept(params["picked_id"])
    assert weighted == pytest.approx(expected["weighted_sum_next"], abs=vector["tol"])
    assert weight == pytest.approx(expected["total_weight_next"], abs=vector["tol"])
