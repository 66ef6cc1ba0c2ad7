"""Labels that Gradio shows, as keys for gr.I18n: those of locale/*.json and those the samplers declare."""

from __future__ import annotations

import gradio as gr
from gradio.i18n import I18nData

from webui.samplers import SAMPLERS
from webui.tabs.words import LANGUAGES, load

_BROWSER_ONLY = "page."


def label(key: str) -> I18nData:
    """The word for `key`, chosen by the browser."""
    return gr.I18n()(key)


def translations() -> dict[str, dict[str, str]]:
    """Everything Gradio may have to translate."""
    return {language: {**_locale(language), **_samplers(language)} for language in LANGUAGES}


def _locale(language: str) -> dict[str, str]:
    return {key: text for key, text in load(language).items() if not key.startswith(_BROWSER_ONLY)}


def _samplers(language: str) -> dict[str, str]:
    words: dict[str, str] = {}
    for sampler in SAMPLERS.values():
        words[f"sampler.{sampler.name}"] = sampler.title[language]
        words[f"sampler.{sampler.name}.summary"] = sampler.summary[language]
        for param in sampler.params:
            words[f"sampler.{sampler.name}.{param.name}"] = param.label[language]
            words[f"sampler.{sampler.name}.{param.name}.help"] = param.help[language]
    return words
