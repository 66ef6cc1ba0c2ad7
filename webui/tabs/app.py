"""The page as one ASGI app: shell, tabs, look, languages.

The only module that knows FastAPI and how Gradio is mounted. The guard and the HTTP server are put around it elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import fastapi
import gradio as gr

from webui.preferences import TABS
from webui.services import Services
from webui.tabs import chat, desk, logits, model, parameters, session, shell
from webui.tabs.firstbytes import App, FirstBytes
from webui.tabs.labels import label, translations
from webui.tabs.pieces import read_all
from webui.tabs.theme import build_theme
from webui.tabs.words import Words, language_of

TITLE = "Sampler Lab"
MAX_UPLOAD = "64mb"
_BUILD: Mapping[str, Callable[[Services], None]] = {
    "chat": chat.build,
    "default": desk.build_default,
    "notebook": desk.build_notebook,
    "logits": logits.build,
    "parameters": parameters.build,
    "model": model.build,
    "session": session.build,
}


def build_blocks(services: Services) -> gr.Blocks:
    """All tabs in their order."""
    blocks = gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True)
    with blocks:
        shell.build(services)
        with gr.Tabs(elem_id="tabs"):
            for name in TABS:
                with gr.Tab(label(f"tab.{name}"), id=name, elem_id=f"tab-{name}"):
                    _BUILD[name](services)
    _make_private(blocks)
    return blocks


def build_page_app(services: Services) -> App:
    """The page, ready to be served."""
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        app,
        build_blocks(services),
        path="/",
        theme=build_theme(),
        i18n=gr.I18n(**translations()),
        auth=[*services.settings.logins] or None,
        run_history=False,
        footer_links=[],
        max_file_size=MAX_UPLOAD,
        enable_monitoring=False,
        show_error=True,
        pwa=False,
        ssr_mode=False,
        mcp_server=False,
    )
    style = read_all("css")
    script = read_all("js")

    def block(accept_language: str) -> tuple[str, str]:
        kept = services.preferences.all()
        words = Words(language_of(kept["language"], accept_language))
        start = {
            "language": words.language,
            "theme": kept["theme"],
            "tab": kept["tab"],
            "tabs": TABS,
            "section": kept["model_section"],
            "chatList": kept["chat_list"],
            "words": words.starting_with("page."),
        }
        data = json.dumps(start, ensure_ascii=False).replace("<", "\\u003c")
        return words.language, f"<style>{style}</style><script>window.LabStart = {data};\n{script}</script>"

    return FirstBytes(app, block)


def _make_private(blocks: gr.Blocks) -> None:
    """No event is part of a public API: that is what webui.api is for."""
    for function in blocks.fns.values():
        function.api_visibility = "private"
