"""Each stage in words: its formula with the present numbers in it, what follows from them here, and what it did.

In both languages of the page; knows nothing of how it is shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from webui.lab.funnel import StageView
from webui.lab.texts import count, given, number, percent
from webui.samplers.registry import SAMPLERS
from webui.samplers.stages.xtc import above

Worked = Callable[[StageView, str], str]

_FORMULA_WORDS = (
    ("with chance", "с вероятностью"),
    ("of all p", "из всех p"),
    ("only the smallest stays", "остаётся только наименьшая"),
    ("best first, at most 100", "с лучших, не более 100"),
    ("best first", "с лучших"),
    ("smallest first", "с наименьших"),
    ("if the sequence has begun", "если последовательность начата"),
    ("no run of", "без повтора цепочек из"),
    ("tokens twice", "токенов"),
    ("of log-probabilities", "по логарифмам вероятностей"),
    ("second difference of", "вторая разность"),
    ("surprise", "неожиданность"),
    ("length", "длина"),
    ("count", "число"),
    ("average", "среднее"),
    ("then", "затем"),
    ("else", "иначе"),
    ("rank", "ранг"),
    ("bias", "смещение"),
    ("aim", "цель"),
    ("(end)", "(конец)"),
)


@dataclass(frozen=True, slots=True)
class Explained:
    """`formula` has the values filled in; `now` is what it comes to here; `did` is what happened."""

    formula: str
    now: str
    did: str


def explain(stage: StageView, language: str) -> Explained:
    formula = _worded(_filled(SAMPLERS[stage.sampler].formula, stage.values, language), language)
    if stage.off:
        return Explained(formula, "", _say(language, "off", "выкл."))
    work = _WORKED.get(stage.sampler)
    return Explained(formula, work(stage, language) if work else "", _did(stage, language))


def _filled(formula: str, values: Mapping[str, Any], language: str) -> str:
    def value(match: re.Match[str]) -> str:
        found = values.get(match[1])
        return given(found, language) if isinstance(found, (int, float)) else match[0]

    return re.sub(r"\{(\w+)\}", value, formula)


def _worded(formula: str, language: str) -> str:
    """A formula is the same in every language but for the few words in it."""
    if language == "ru":
        for english, russian in _FORMULA_WORDS:
            formula = formula.replace(english, russian)
        formula = re.sub(r"(?<=\d)\.(?=\d)", ",", formula)
    return formula


def _say(language: str, en: str, ru: str) -> str:
    return ru if language == "ru" else en


def _did(stage: StageView, language: str) -> str:
    if stage.sampler == "xtc":
        return _xtc_did(stage, language)
    if stage.sampler == "guidance" and not stage.notes.get("applied"):
        return _say(
            language, "did nothing: there is no negative prompt here", "ничего не сделал: негативного запроса здесь нет"
        )
    family = SAMPLERS[stage.sampler].family
    parts = []
    if stage.tokens_out < stage.tokens_in:
        parts.append(_kept(stage, language))
    if family != "cut":
        moved = distance(stage)
        # What is cut has moved to the others: said once is enough.
        if moved > stage.cut_mass * 1.001 + 1e-9:
            parts.append(_moved(stage, moved, language))
    if family == "penalty" and "tokens" in stage.notes and stage.sampler != "ban_eos":
        parts.insert(0, _touched(int(stage.notes["tokens"]), language))
    if not parts:
        return _say(language, "changed nothing here", "здесь ничего не изменил")
    return "; ".join(parts)


def _kept(stage: StageView, language: str) -> str:
    kept, of = count(stage.tokens_out), count(stage.tokens_in)
    mass = percent(stage.cut_mass, language)
    return _say(language, f"kept {kept} of {of}; cut {mass} of the mass", f"оставил {kept} из {of}; отсёк {mass} массы")


def _moved(stage: StageView, moved: float, language: str) -> str:
    share = percent(moved, language)
    before, after = number(stage.choices_before, language), number(stage.choices_after, language)
    said = _say(language, f"moved {share} of the mass", f"переместил {share} массы")
    if before == after:
        return said
    alike = _say(
        language,
        f"as if one choice instead of {before}" if after == "1" else f"as if {after} equal choices instead of {before}",
        f"равных вариантов как бы {after} вместо {before}",
    )
    return f"{said}; {alike}"


def _touched(tokens: int, language: str) -> str:
    return f"{_say(language, 'touched', 'затронул')} {_tokens(tokens, language)}"


def _tokens(tokens: int, language: str) -> str:
    shown = count(tokens)
    if language != "ru":
        return f"{shown} token{'' if tokens == 1 else 's'}"
    last, tens = tokens % 10, tokens % 100
    noun = "токен" if last == 1 and tens != 11 else "токена" if 2 <= last <= 4 and not 12 <= tens <= 14 else "токенов"
    return f"{shown} {noun}"


def _xtc_did(stage: StageView, language: str) -> str:
    coin, chance = stage.notes.get("coin"), float(stage.values["xtc_probability"])
    if coin is None:
        return _kept(stage, language) if stage.tokens_out < stage.tokens_in else _expectation(language)
    if coin in (0.0, 1.0):
        return _held(stage, language)
    rolled, limit = number(float(coin), language), given(chance, language)
    if not stage.notes.get("fired"):
        return _say(
            language,
            f"the coin fell {rolled}, not below {limit}: spared all",
            f"монета выпала {rolled}, не ниже {limit}: пощадил всех",
        )
    if stage.tokens_out == stage.tokens_in:
        return _say(
            language,
            f"the coin fell {rolled} < {limit}, but fewer than two tokens are obvious: nothing to remove",
            f"монета выпала {rolled} < {limit}, но очевидных токенов меньше двух: убирать нечего",
        )
    return _say(
        language,
        f"the coin fell {rolled} < {limit}: struck; {_kept(stage, language)}",
        f"монета выпала {rolled} < {limit}: сработал; {_kept(stage, language)}",
    )


def _held(stage: StageView, language: str) -> str:
    """The page has put the coin down by hand."""
    if not stage.notes.get("fired"):
        return _say(language, "the coin is held: spared all", "монета придержана: пощадил всех")
    if stage.tokens_out == stage.tokens_in:
        return _say(
            language,
            "the coin is held: struck, but fewer than two tokens are obvious",
            "монета придержана: сработал, но очевидных токенов меньше двух",
        )
    return _say(
        language,
        f"the coin is held: struck; {_kept(stage, language)}",
        f"монета придержана: сработал; {_kept(stage, language)}",
    )


def _expectation(language: str) -> str:
    return _say(language, "shifted probabilities as it would on average", "сдвинул вероятности, как в среднем")


def distance(stage: StageView) -> float:
    """Half the sum of the differences of the probabilities before and after: the share of the mass that moved."""
    before, after = stage.before, stage.after
    p = before.probabilities()
    if len(before) == len(after) and (before.is_whole and after.is_whole or np.array_equal(before.ids, after.ids)):
        return float(np.abs(p - after.probabilities()).sum() / 2)
    positions, there = after.find(before.ids)
    q = np.where(there, after.weights()[positions] / after.total, 0.0)
    return float(np.abs(p - q).sum() / 2)


# What the formulas come to


def _best(stage: StageView) -> float:
    return 1.0 / stage.before.total


def _min_p(stage: StageView, language: str) -> str:
    best = _best(stage)
    limit = best * float(stage.values["min_p"])
    return (
        f"p_max = {percent(best, language)} → p ≥ {given(stage.values['min_p'], language)} · "
        f"{percent(best, language)} = {percent(limit, language)}"
    )


def _top_a(stage: StageView, language: str) -> str:
    return f"p_max = {percent(_best(stage), language)} → p ≥ {percent(float(stage.notes['threshold']), language)}"


def _threshold(stage: StageView, language: str) -> str:
    return f"p ≥ {percent(float(stage.notes['threshold']), language)}"


def _eta(stage: StageView, language: str) -> str:
    return f"{_nats(stage.before.entropy(), language)} → {_threshold(stage, language)}"


def _nats(entropy: float, language: str) -> str:
    """The formulas reckon with the natural logarithm, the columns of the page in bits."""
    return f"H = {number(entropy, language)} {_say(language, 'nats', 'нат')}"


def _p_less(stage: StageView, language: str) -> str:
    shown = percent(float(stage.notes["threshold"]), language)
    return f"Σ p² = {shown} → p ≥ {shown}"


def _top_p(stage: StageView, language: str) -> str:
    kept = percent(1.0 - stage.cut_mass, language)
    return f"{_rank(stage.tokens_out, language)}: Σ p = {kept} ≥ {percent(float(stage.values['top_p']), language)}"


def _top_k(stage: StageView, language: str) -> str:
    """The last one that stays, and how likely it was."""
    best = stage.before.head(stage.tokens_out)
    last = float(stage.before.weights_at(best[-1:])[0]) / stage.before.total
    return f"{_say(language, 'rank', 'ранг')} {count(stage.tokens_out)}: p = {percent(last, language)}"


def _rank(most: int, language: str) -> str:
    return f"{_say(language, 'rank', 'ранг')} ≤ {count(most)}"


def _typical(stage: StageView, language: str) -> str:
    entropy = float(stage.notes["entropy"])
    obvious = percent(math.exp(-entropy), language)
    return f"{_nats(entropy, language)} → " + _say(
        language, f"the most typical p: e^(−H) = {obvious}", f"самая типичная p: e^(−H) = {obvious}"
    )


def _top_n_sigma(stage: StageView, language: str) -> str:
    sigma, limit = float(stage.notes["sigma"]), float(stage.notes["threshold_logit"])
    best, n = number(stage.before.maximum, language), given(stage.values["top_n_sigma"], language)
    return f"σ = {number(sigma, language)} → l ≥ {best} − {n} · {number(sigma, language)} = {number(limit, language)}"


def _top_h(stage: StageView, language: str) -> str:
    entropy, limit = float(stage.notes["entropy"]), float(stage.notes["limit"])
    return f"{_nats(entropy, language)} → Σ ≤ {number(limit, language)}"


def _temperature(stage: StageView, language: str) -> str:
    before = _best(stage)
    after = 1.0 / stage.after.total
    return f"p_max: {percent(before, language)} → {percent(after, language)}"


def _dynamic(stage: StageView, language: str) -> str:
    share = stage.before.entropy() / math.log(max(2, stage.tokens_in))
    warm = given(round(float(stage.notes["temperature"]), 3), language)
    return f"H / ln n = {number(share, language)} → T = {warm}"


def _mirostat(stage: StageView, language: str) -> str:
    mu = float(stage.notes["mu"])
    if "k" in stage.notes:
        return f"μ = {number(mu, language)} → k = {count(stage.tokens_out)}"
    return f"μ = {number(mu, language)} → p ≥ 2^−μ = {percent(float(stage.notes['threshold']), language)}"


def _adaptive(stage: StageView, language: str) -> str:
    average, aim = percent(float(stage.notes["average"]), language), percent(float(stage.notes["aim"]), language)
    return _say(language, f"average = {average} → aim = {aim}", f"среднее = {average} → цель = {aim}")


def _dry(stage: StageView, language: str) -> str:
    longest = int(stage.notes["longest"])
    if not longest:
        return _say(language, "no passage is being repeated", "повторов нет")
    multiplier, base = float(stage.values["dry_multiplier"]), float(stage.values["dry_base"])
    exponent = longest - int(stage.values["dry_allowed_length"])
    most = number(multiplier * base**exponent, language)
    length = _say(language, "longest repeat", "самый длинный повтор")
    worked = f"{given(multiplier, language)} · {given(base, language)}^{exponent}"
    return f"{length} = {longest} → l − {worked} = l − {most}"


def _xtc(stage: StageView, language: str) -> str:
    """How many count as obvious here, and what may go with them."""
    threshold = float(stage.values["xtc_threshold"])
    obvious = above(stage.before, threshold)
    found = f"p ≥ {percent(threshold, language)}: {_tokens(len(obvious), language)}"
    if len(obvious) < 2:
        return found + _say(language, ", so none may go", ", так что убирать нечего")
    mass = float(stage.before.weights_at(obvious[:-1]).sum(dtype=np.float64)) / stage.before.total
    going, share = count(len(obvious) - 1), percent(mass, language)
    return found + _say(language, f" → {going} may go, {share} of the mass", f" → могут уйти {going}, {share} массы")


def _skew(stage: StageView, language: str) -> str:
    """The best token is the first step of the staircase F."""
    skew, best = float(stage.values["skew"]), _best(stage)
    exponent = math.exp(skew)
    bent = f"{percent(best, language)}^{number(exponent, language)} = {percent(best**exponent, language)}"
    return f"e^{given(skew, language)} = {number(exponent, language)} → p_max: {bent}"


_WORKED: Mapping[str, Worked] = MappingProxyType(
    {
        "min_p": _min_p,
        "top_a": _top_a,
        "epsilon_cutoff": _threshold,
        "eta_cutoff": _eta,
        "p_less": _p_less,
        "top_p": _top_p,
        "top_k": _top_k,
        "typical_p": _typical,
        "top_n_sigma": _top_n_sigma,
        "top_h": _top_h,
        "temperature": _temperature,
        "quadratic": _temperature,
        "dynamic_temperature": _dynamic,
        "mirostat": _mirostat,
        "adaptive_p": _adaptive,
        "dry": _dry,
        "xtc": _xtc,
        "skew": _skew,
    }
)
