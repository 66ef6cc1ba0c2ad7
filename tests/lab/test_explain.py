from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from tests.lab.reference import after_min_p, bits, example_row, softmax
from webui.lab.explain import Explained, distance, explain
from webui.lab.funnel import Situation, StageView, funnel
from webui.lab.rows import KeptRow
from webui.lab.texts import count, given, number, percent, visible
from webui.samplers import SAMPLERS, Chain

LOGITS = example_row()
P = softmax(LOGITS)
BEST = np.argsort(-LOGITS, kind="stable")


def stage(name: str, tokens: tuple[int, ...] = (), coin: Any = "dice", **values: Any) -> StageView:
    kept = KeptRow.of("m", tokens, LOGITS)
    return funnel(kept, Chain.parse([[name, values]]), Situation(coin=coin)).stages[0]


def told(name: str, language: str = "en", **rest: Any) -> Explained:
    return explain(stage(name, **rest), language)


def test_min_p_tells_its_formula_its_limit_and_what_it_did() -> None:
    after = after_min_p(P, 0.05)
    kept, cut = np.count_nonzero(after), P[after == 0].sum()
    words = told("min_p", min_p=0.05)
    assert words.formula == "p ≥ 0.05 · p_max"
    assert percent(P.max()) in words.now and percent(0.05 * P.max()) in words.now
    assert words.did == f"kept {kept} of {count(5000)}; cut {percent(cut)} of the mass"
    russian = told("min_p", "ru", min_p=0.05)
    assert russian.formula == "p ≥ 0,05 · p_max"
    assert russian.did == f"оставил {kept} из {count(5000)}; отсёк {percent(cut, 'ru')} массы"


def test_a_shape_tells_how_much_it_moved_and_the_number_of_choices() -> None:
    warm = softmax(LOGITS / 2)
    moved = np.abs(P - warm).sum() / 2
    assert distance(stage("temperature", temperature=2.0)) == pytest.approx(moved, abs=1e-6)
    words = told("temperature", temperature=2.0)
    assert percent(moved) in words.did
    assert number(2 ** bits(P)) in words.did and number(2 ** bits(warm)) in words.did
    assert words.now == f"p_max: {percent(P.max())} → {percent(warm.max())}"


def test_distance_also_counts_what_was_cut() -> None:
    cut = stage("min_p", min_p=0.05)
    assert distance(cut) == pytest.approx(np.abs(P - after_min_p(P, 0.05)).sum() / 2, abs=1e-6)
    skewed = stage("skew", skew=0.4)
    final = skewed.after.probabilities()
    whole = np.zeros(5000)
    whole[skewed.after.ids] = final
    assert distance(skewed) == pytest.approx(np.abs(P - whole).sum() / 2, abs=1e-6)


def test_penalties_count_what_they_touched_in_good_grammar() -> None:
    def touched(tokens: int, language: str) -> str:
        used = tuple(BEST[:tokens].tolist())
        return told("presence_penalty", language, tokens=used, presence_penalty=0.5).did

    assert touched(1, "en").startswith("touched 1 token;")
    assert touched(3, "en").startswith("touched 3 tokens;")
    assert touched(1, "ru").startswith("затронул 1 токен;")
    assert touched(3, "ru").startswith("затронул 3 токена;")
    assert touched(11, "ru").startswith("затронул 11 токенов;")
    assert touched(22, "ru").startswith("затронул 22 токена;")
    assert told("presence_penalty").did == "touched 0 tokens"


def test_what_follows_from_the_formula_is_worked_out() -> None:
    shares = P[BEST]
    kept = int((np.cumsum(shares) < 0.8).sum()) + 1
    assert told("top_p", top_p=0.8).now == f"rank ≤ {kept}: Σ p = {percent(shares[:kept].sum())} ≥ {percent(0.8)}"
    assert told("top_k", "ru", top_k=7).now == f"ранг 7: p = {percent(shares[6], 'ru')}"
    obvious = shares[shares >= 0.05]
    going = percent(obvious[:-1].sum())
    assert told("xtc", xtc_threshold=0.05).now == (
        f"p ≥ {percent(0.05)}: {len(obvious)} tokens → {len(obvious) - 1} may go, {going} of the mass"
    )
    assert told("xtc", xtc_threshold=0.5).now.endswith("so none may go")
    entropy = number(-(P * np.log(P)).sum())
    assert told("typical_p", typical_p=0.5).now.startswith(f"H = {entropy} nats → ")
    tokens = (5, 6, 7, 8, 9, 5, 6, 7, 8)
    hit = number(0.8 * 1.75**2)
    assert told("dry", tokens=tokens).now == f"longest repeat = 4 → l − 0.8 · 1.75^2 = l − {hit}"
    bent = shares.max() ** math.exp(0.4)
    assert told("skew", skew=0.4).now == f"e^0.4 = 1.49 → p_max: {percent(shares.max())}^1.49 = {percent(bent)}"


def test_nothing_is_said_twice() -> None:
    banned = tuple(BEST[:2].tolist())
    cut = percent(P[list(banned)].sum())
    assert told("token_bans", token_bans=banned).did == f"kept {count(4998)} of {count(5000)}; cut {cut} of the mass"
    assert "as if one choice instead of" in told("temperature", temperature=0.01).did


def test_a_russian_formula_has_russian_decimals() -> None:
    assert "|/0,3" in told("adaptive_p", "ru").formula
    assert "d²·(3 − 1)/2" in told("quadratic", "ru").formula


def test_xtc_tells_how_its_coin_fell() -> None:
    spared, struck = told("xtc", coin="spare"), told("xtc", coin="strike", xtc_threshold=0.05)
    assert spared.did == "the coin is held: spared all"
    assert struck.did.startswith("the coin is held: struck; kept ")
    assert "fewer than two" in told("xtc", coin="strike", xtc_threshold=0.5).did
    always, never = told("xtc", xtc_probability=1.0, xtc_threshold=0.05), told("xtc", xtc_probability=0.001)
    coin = number(float(np.random.Generator(np.random.PCG64(0)).random()))
    assert always.did.startswith(f"the coin fell {coin} < 1: struck; kept ")
    assert never.did == f"the coin fell {coin}, not below 0.001: spared all"


def test_off_is_off() -> None:
    assert told("min_p", min_p=0.0).did == "off" and told("min_p", "ru", min_p=0.0).did == "выкл."


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_sampler_is_explained(name: str, language: str) -> None:
    words = told(name, language, tokens=(1, 2, 1))
    assert words.did
    assert "{" not in words.formula.replace("^{", "")
    if language == "ru":
        assert not re.findall(r"(?<![\w{_])[a-z]{4,}", SAMPLERS[name].formula and words.formula)
    for text in (words.now, words.did):
        assert "nan" not in text and "None" not in text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0"), (1e-9, "<0.001"), (0.0001, "0.01"), (0.0123, "1.23"), (0.5, "50"), (0.99996, ">99.9"), (1.0, "100")],
)
def test_percentages_never_lie_at_the_ends(share: float, text: str) -> None:
    assert percent(share) == text + "\u202f%"
    assert percent(share, "ru") == text.replace(".", ",") + "\u202f%"


def test_numbers_are_short_and_plain() -> None:
    assert [number(value) for value in (0.0, 1.0, 2.345678, 12.3456, 12345.6)] == [
        "0",
        "1",
        "2.35",
        "12.3",
        "12\u202f346",
    ]
    assert number(0.00001234) == "1.23·10⁻⁵"
    assert number(-2.5, "ru") == "−2,5"
    assert number(float("inf")) == "∞"
    assert given(0.123456) == "0.123456" and given(0.95, "ru") == "0,95"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" the", "·the"),
        ("\n\n", "↵↵"),
        ("\t", "⇥"),
        ("\x00", "␀"),
        ("\u202eevil", "⟨202E⟩evil"),
        ("\u200b", "⟨200B⟩"),
        ("\u00a0", "⍽"),
        ("\u0301", "◌\u0301"),
        ("<script>", "<script>"),
        ("Привет", "Привет"),
        ("\ufffd", "\ufffd"),
    ],
)
def test_everything_about_a_token_can_be_seen(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_empty_and_long_tokens() -> None:
    assert visible("", 7) == "⟨7⟩"
    assert len(visible("x" * 500)) == 60
