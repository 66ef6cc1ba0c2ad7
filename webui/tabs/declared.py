"""The samplers there are, as their declarations have them, for scripts that draw controls: Parameters and Logits.

Pure: declarations in, JSON out, in the visitor's language.
"""

from __future__ import annotations

from typing import Any

from webui.chosen import values_as_json
from webui.samplers import SAMPLERS
from webui.samplers.declare import Param, Sampler
from webui.samplers.order import place


def tell_samplers(language: str) -> dict[str, dict[str, Any]]:
    """Every sampler by name: words, formula, neutral and default values, parameters with their ranges."""
    return {name: _tell_sampler(sampler, language) for name, sampler in SAMPLERS.items()}


def _tell_sampler(sampler: Sampler, language: str) -> dict[str, Any]:
    return {
        "title": sampler.title[language],
        "summary": sampler.summary[language],
        "formula": sampler.formula,
        "family": sampler.family,
        "place": place(sampler.name),
        "neutral": values_as_json(sampler.neutral()),
        "defaults": values_as_json({param.name: param.default for param in sampler.params}),
        "params": [_tell_param(param, language) for param in sampler.params],
    }


def _tell_param(param: Param, language: str) -> dict[str, Any]:
    return {
        "name": param.name,
        "label": param.label[language],
        "help": param.help[language],
        "kind": param.kind,
        "slider": param.slider,
        "legal": param.legal,
        "step": param.step,
        "choices": param.choices,
        "advanced": param.advanced,
    }
