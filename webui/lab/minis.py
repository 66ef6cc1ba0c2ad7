"""A small picture of each stage at work, in the terms the sampler itself thinks in, as plain data.

min-p sees shares of the best, top-p a staircase, typical-p a distance from the entropy, XTC what may go. Knows nothing
of colours, texts or pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from webui.lab.funnel import StageView, in_race, share_of
from webui.samplers.candidates import Doubles, Ints

POINTS = 48
Kind = Literal["bars", "stairs", "change"]


@dataclass(frozen=True, slots=True)
class Mini:
    """`y` by rank, as the stage is given them; `kept` says which stay; `line` is the limit on y. `what` names y.

    "change" has a second series `after`. `marks` are positions that stand out: with XTC those that may go. `stop` is
    how many stay, where that is the limit itself. `log` follows from what was given alone: no slider turns it.
    """

    kind: Kind
    what: str
    tokens: tuple[int, ...]
    y: tuple[float, ...]
    kept: tuple[bool, ...]
    line: float | None = None
    log: bool = False
    after: tuple[float, ...] = ()
    marks: tuple[int, ...] = ()
    stop: int | None = None


Draw = Callable[[StageView, Ints], Mini]


def mini(stage: StageView) -> Mini | None:
    """The picture of a stage that is on."""
    if stage.off:
        return None
    if stage.sampler == "guidance" and not stage.notes.get("applied"):
        return None
    return _DRAWN.get(stage.sampler, _change)(stage, _shown(stage))


def _shown(stage: StageView) -> Ints:
    """Positions in `before`, best first: enough to see some of what goes."""
    wanted = min(len(stage.before), max(12, min(POINTS, int(stage.tokens_out * 1.5) + 3)))
    return stage.before.head(wanted)


def _make(stage: StageView, shown: Ints, y: Doubles, what: str, kind: Kind = "bars", **rest: object) -> Mini:
    tokens = stage.before.ids[shown]
    kept = in_race(stage.after, tokens)
    listed = tuple(float(value) if math.isfinite(value) else 0.0 for value in y.tolist())
    return Mini(kind, what, tuple(tokens.tolist()), listed, tuple(kept.tolist()), **rest)  # type: ignore[arg-type]


def _probabilities(stage: StageView, shown: Ints) -> Doubles:
    return np.asarray(stage.before.weights()[shown].astype(np.float64) / stage.before.total)


def _cut(stage: StageView, shown: Ints) -> Mini:
    """Probabilities with the limit, if there is one."""
    line = stage.notes.get("threshold")
    return _make(
        stage, shown, _probabilities(stage, shown), "probability", line=None if line is None else float(line), log=True
    )


def _min_p(stage: StageView, shown: Ints) -> Mini:
    share = stage.before.weights()[shown].astype(np.float64)
    return _make(stage, shown, share, "share_of_best", line=float(stage.values["min_p"]), log=True)


def _top_k(stage: StageView, shown: Ints) -> Mini:
    stop = stage.tokens_out if stage.tokens_out < stage.tokens_in else None
    return _make(stage, shown, _probabilities(stage, shown), "probability", log=True, stop=stop)


def _top_p(stage: StageView, shown: Ints) -> Mini:
    stairs = np.cumsum(_probabilities(stage, shown))
    return _make(stage, shown, stairs, "sum", "stairs", line=float(stage.values["top_p"]))


def _top_h(stage: StageView, shown: Ints) -> Mini:
    entropy = float(stage.notes.get("entropy") or 0.0)
    p = _probabilities(stage, shown)
    p = p / float(_probabilities(stage, stage.before.head(100)).sum())
    parts = -p * np.log(np.maximum(p, 1e-300))
    stairs = np.cumsum(parts) / (entropy or 1.0)
    return _make(stage, shown, stairs, "entropy_share", "stairs", line=float(stage.values["top_h"]))


def _tfs(stage: StageView, shown: Ints) -> Mini:
    everything = stage.before.head(len(stage.before))
    bends = np.abs(np.diff(_probabilities(stage, everything), n=2))
    total = float(bends.sum()) or 1.0
    stairs = np.cumsum(bends / total)[: len(shown)]
    stairs = np.concatenate([stairs, np.ones(len(shown) - len(stairs))])
    return _make(stage, shown, stairs, "bend", "stairs", line=float(stage.values["tfs"]))


def _typical(stage: StageView, shown: Ints) -> Mini:
    """Distance of the surprise from the entropy, in bits; the line is the farthest that stayed."""
    entropy = stage.before.entropy()
    normal = stage.before.maximum + math.log(stage.before.total)
    distance = np.abs(normal - stage.before.logits[shown].astype(np.float64) - entropy) / math.log(2)
    mini = _make(stage, shown, distance, "distance")
    line = max((value for value, kept in zip(mini.y, mini.kept, strict=True) if kept), default=None)
    return _make(stage, shown, distance, "distance", line=line)


def _top_n_sigma(stage: StageView, shown: Ints) -> Mini:
    """How many standard deviations below the best."""
    sigma = float(stage.notes.get("sigma") or 1.0)
    below = (stage.before.logits[shown].astype(np.float64) - stage.before.maximum) / sigma
    return _make(stage, shown, below, "sigmas", line=-float(stage.values["top_n_sigma"]))


def _xtc(stage: StageView, shown: Ints) -> Mini:
    """All above the threshold may go, but the least likely of them stays."""
    p = _probabilities(stage, shown)
    threshold = float(stage.values["xtc_threshold"])
    reaching = np.flatnonzero(p >= threshold * (1 - 1e-6))
    marks = tuple(reaching[:-1].tolist())
    return _make(stage, shown, p, "probability", line=threshold, log=_uneven(p), marks=marks)


def _mirostat(stage: StageView, shown: Ints) -> Mini:
    """Surprise of each token, with what is still let through."""
    surprise = -np.log2(np.maximum(_probabilities(stage, shown), 1e-300))
    line = float(stage.notes["mu"]) if stage.values["mirostat_mode"] != 1 else None
    return _make(stage, shown, surprise, "surprise", line=line)


def _change(stage: StageView, shown: Ints) -> Mini:
    before = _probabilities(stage, shown)
    after = share_of(stage.after, stage.before.ids[shown])
    return _make(stage, shown, before, "probability", "change", log=_uneven(before), after=tuple(after.tolist()))


def _uneven(shares: Doubles) -> bool:
    """Whether most of them could not be seen beside the best one."""
    return len(shares) > 1 and float(np.median(shares)) < 0.02 * float(shares.max())


def _penalty(stage: StageView, shown: Ints) -> Mini:
    """Only the tokens that were touched, the likeliest of them."""
    before, after = stage.before, stage.after
    if len(before) == len(after):
        touched = np.flatnonzero(before.logits != after.logits)
    else:
        positions, there = after.find(before.ids)
        touched = np.flatnonzero(~there | (after.logits[positions] != before.logits))
    best = touched[np.argsort(-before.logits[touched], kind="stable")[:POINTS]]
    return _change(stage, best)


_DRAWN: Mapping[str, Draw] = MappingProxyType(
    {
        "min_p": _min_p,
        "top_k": _top_k,
        "top_p": _top_p,
        "top_h": _top_h,
        "tfs": _tfs,
        "typical_p": _typical,
        "top_n_sigma": _top_n_sigma,
        "xtc": _xtc,
        "mirostat": _mirostat,
        "top_a": _cut,
        "epsilon_cutoff": _cut,
        "eta_cutoff": _cut,
        "p_less": _cut,
        **dict.fromkeys(
            (
                "repetition_penalty",
                "frequency_penalty",
                "presence_penalty",
                "encoder_repetition_penalty",
                "dry",
                "no_repeat_ngram",
                "logit_bias",
                "sequence_bias",
                "token_bans",
                "ban_eos",
            ),
            _penalty,
        ),
    }
)
