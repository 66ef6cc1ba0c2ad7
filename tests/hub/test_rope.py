"""The relations between alpha, base and scale: the guide's figures, round trips, warnings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.errors import BadValue
from webui.hub.facts import ModelFacts
from webui.hub.rope import Rope, RopeModel
from webui.load_options import check_spec
from webui.types import LoadSpec

LLAMA_2 = RopeModel(10_000.0, 128, 4096)


def test_the_guides_figures_come_out() -> None:
    assert LLAMA_2.base_of(2.65) == pytest.approx(26_900, rel=0.002)
    assert LLAMA_2.alpha_for(8192) == pytest.approx(2.63, abs=0.005)
    assert LLAMA_2.stretch_to(8192).base == pytest.approx(26_700, rel=0.002)
    assert LLAMA_2.base_of(1.75) == pytest.approx(17_658, rel=0.0005)


def test_the_models_own_base_and_head_size_count() -> None:
    facts = ModelFacts("model", "llama", context=8192, rope_base=100_000.0, rope_dimensions=64)
    own = RopeModel.of(facts)
    assert own.base_of(2.0) == pytest.approx(100_000 * 2 ** (64 / 62))
    assert own.base_of(1.0) == 100_000.0


@given(st.floats(0.5, 200), st.floats(500, 5e6), st.sampled_from([2, 64, 80, 96, 128, 256]))
def test_alpha_and_base_are_inverse(alpha: float, base: float, head_size: int) -> None:
    own = RopeModel(base, head_size, 4096)
    if own.base_of(alpha) <= 1e9:
        assert own.alpha_of(own.base_of(alpha)) == pytest.approx(alpha)


@given(st.integers(1, 40), st.integers(256, 131072))
def test_what_is_proposed_reaches(times: int, trained: int) -> None:
    own = RopeModel(10_000.0, 128, trained)
    assert own.reach(own.stretch_to(times * trained)) == pytest.approx(times * trained, rel=0.001)


def test_within_the_trained_context_nothing_is_proposed() -> None:
    assert LLAMA_2.stretch_to(4096) == Rope()
    assert LLAMA_2.alpha_of(0) == 1.0
    assert LLAMA_2.reach(Rope()) == 4096
    assert LLAMA_2.reach(Rope(scale=2.0)) == 8192


@pytest.mark.parametrize(
    ("tokens", "rope", "code"),
    [
        (4096, Rope(), None),
        (4096, Rope(10_000.0), None),
        (2048, Rope(26_900.0), "rope_needless"),
        (8192, Rope(), "rope_not_stretched"),
        (8192, Rope(26_900.0), None),
        (8192, Rope(scale=2.0), None),
        (12_000, LLAMA_2.stretch_to(12_000), "rope_risky"),
        (16_384, LLAMA_2.stretch_to(16_384), "rope_too_far"),
    ],
)
def test_warnings(tokens: int, rope: Rope, code: str | None) -> None:
    found = LLAMA_2.warning(tokens, rope)
    assert (found.code if found else None) == code
    if found:
        assert found.sentence.endswith(".") and found.values["trained"] == 4096


def test_options_are_what_a_load_takes() -> None:
    assert Rope().options() == {"rope_base": 0.0, "rope_scale": 0.0}
    options = Rope(26_900.0, 4.0).options()
    assert options == {"rope_base": 26_900.0, "rope_scale": 0.25}
    assert check_spec(LoadSpec("x.gguf", options=options))["rope_scale"] == 0.25


@pytest.mark.parametrize("alpha", [0, -1, float("nan"), float("inf")])
def test_impossible_alphas_are_refused(alpha: float) -> None:
    with pytest.raises(BadValue, match="alpha"):
        LLAMA_2.base_of(alpha)
