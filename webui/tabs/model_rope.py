"""Context and RoPE: alpha, frequency base and linear scale of a model, each following the others.

Only asks hub.rope and says it in words. The values travel as the load options have them: `rope_base` (0: the model's
own) and `rope_scale` (0: not scaled; 0.5 doubles the context); the page shows the scale as the factor people say.
"""

from __future__ import annotations

from webui.errors import BadValue
from webui.hub.library import ModelEntry
from webui.hub.rope import Rope, RopeModel
from webui.tabs.asking import Answer, Asked, number, old_page
from webui.tabs.words import Words

LARGEST_CONTEXT = 1 << 24
LARGEST_SCALE = 64.0


def look(words: Words, entry: ModelEntry, asked: Asked) -> Answer:
    """The setting after `set` (one of alpha, base, scale, stretch) has been applied to the present one."""
    if entry.facts is None or not entry.facts.layers:
        raise BadValue("Its files do not tell how it counts positions.", code="no_shape")
    model = RopeModel.of(entry.facts)
    rope = _changed(model, _present(asked), asked.get("set"))
    n_ctx = number(asked, "n_ctx", 0, LARGEST_CONTEXT) or model.trained
    warning = model.warning(n_ctx, rope)
    options = rope.options()
    return {
        "rope_base": options["rope_base"],
        "rope_scale": options["rope_scale"],
        "alpha": round(model.alpha_of(rope.base), 4),
        "base": rope.base or model.base,
        "scale": round(rope.scale, 4),
        "own": {"base": model.base, "head": model.head_size, "trained": model.trained},
        "plain": rope == Rope(),
        "reach": model.reach(rope),
        "reach_text": words("model.rope.reach", n=model.reach(rope)),
        "proposed": round(model.alpha_for(n_ctx), 3),
        "warning": words(f"rope.{warning.code}", **_plain_times(warning.values)) if warning else "",
        "severe": warning is not None and warning.code in ("rope_not_stretched", "rope_too_far"),
    }


def _plain_times(values: object) -> dict[str, object]:
    told = dict(values) if isinstance(values, dict) else {}
    if "times" in told:
        told["times"] = f"{told['times']:g}"
    return told


def _real(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise old_page(name)
    return float(value)


def _present(asked: Asked) -> Rope:
    base, scale = _real(asked.get("rope_base", 0), "rope_base"), _real(asked.get("rope_scale", 0), "rope_scale")
    return Rope(base, 1 / scale if scale > 0 else 1.0)


def _changed(model: RopeModel, rope: Rope, change: object) -> Rope:
    """One field was typed: the others follow. The model's own base is kept as 0, so that it stays the model's own."""
    if change is None:
        return rope
    if not isinstance(change, dict) or len(change) != 1:
        raise old_page("set")
    ((name, value),) = change.items()
    wanted = _real(value, "set")
    if name == "stretch":
        return model.stretch_to(int(wanted))
    if name == "alpha":
        base = model.base_of(wanted)
        return Rope(0.0 if wanted == 1.0 else round(base), rope.scale)
    if name == "base":
        model.alpha_of(wanted)
        return Rope(0.0 if wanted == model.base else wanted, rope.scale)
    if name == "scale":
        if not 0 < wanted <= LARGEST_SCALE:
            raise BadValue(f"the linear scale must be above 0 and at most {LARGEST_SCALE:g}, not {wanted:g}.")
        return Rope(rope.base, wanted)
    raise old_page("set")
