"""The Default and Notebook tabs: a plain text and the model that writes on. What is typed and written is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import gradio as gr

from webui.chosen import reply_settings
from webui.services import Services
from webui.tabs.asking import words_for
from webui.tabs.desk_tokens import TokensPanel
from webui.tabs.keeping import Field, keep_fields
from webui.tabs.labels import label
from webui.tabs.pieces import Line
from webui.tabs.writing import Writing, write_on

Frame = dict[Any, Any]


class Buttons:
    """While the model writes only Stop can be pressed; Undo once something was written."""

    def __init__(self, name: str, *, continues: bool) -> None:
        with gr.Row(elem_classes="toolbar"):
            self.generate = gr.Button(label("desk.generate"), variant="primary", elem_id=f"{name}-generate")
            self.go_on = gr.Button(label("desk.continue"), elem_id=f"{name}-continue", visible=continues)
            self.stop = gr.Button(label("desk.stop"), elem_id=f"{name}-stop", interactive=False)
            self.undo = gr.Button(label("desk.undo"), elem_id=f"{name}-undo", interactive=False)
            self.look = gr.Button(label("desk.look"), elem_id=f"{name}-look")

    def busy(self, busy: bool) -> Frame:
        return {
            self.generate: gr.update(interactive=not busy),
            self.go_on: gr.update(interactive=not busy),
            self.stop: gr.update(interactive=busy),
            self.undo: gr.update(interactive=not busy),
        }

    @property
    def all(self) -> list[gr.Button]:
        return [self.generate, self.go_on, self.stop, self.undo]


class Desk:
    """One tab's text fields by the names under which they are kept."""

    def __init__(self, services: Services, line: Line, output: gr.Textbox, kept_as: str) -> None:
        self._services = services
        self._line = line
        self._output = output
        self._kept_as = kept_as
        self._running: set[Writing] = set()

    async def write(
        self, prompt: str, before: str, request: gr.Request, *, instead: bool = False
    ) -> AsyncGenerator[Frame, None]:
        """Show `before` and all that a model adds to it; keep the result, however this ends. `instead`: the fallback
        order's fixed text may stand in the place of what no model wrote."""
        state = Writing(words_for(self._services, request))
        settings = reply_settings(self._services.preferences)
        round_ = self._services.fallback.round_of_page()
        stream = write_on(round_, settings, prompt, state, self._running, instead=instead)
        try:
            async for _ in stream:
                line = {"text": state.line, "problem": state.problem, "notice": state.notice}
                yield {self._output: before + state.text, self._line: line}
        finally:
            await stream.aclose()
            await self.keep(before + state.text)

    def stop(self) -> None:
        """Ask the engine to end; the text and its figures then arrive as ever. (Gradio's own `cancels` would only
        come after a second listener of the same button, and would lose what was written last.)"""
        for writing in tuple(self._running):
            writing.stop()

    async def keep(self, text: str) -> None:
        await asyncio.to_thread(lambda: self._services.preferences.set(**{self._kept_as: text}))


def _box(key: str, elem_id: str, lines: int) -> gr.Textbox:
    return gr.Textbox(
        label=label(key),
        info=label(f"{key}.help"),
        lines=lines,
        max_lines=lines,
        interactive=True,
        elem_id=elem_id,
        elem_classes="read",
    )


def build_default(services: Services) -> None:
    """Prompt on the left, what the model wrote on the right."""
    with gr.Column(elem_classes="page wide"):
        with gr.Row(elem_classes="split"):
            prompt = _box("default.prompt", "default-prompt", 22)
            output = _box("default.output", "default-output", 22)
        buttons = Buttons("default", continues=True)
        line = Line(elem_id="default-line")
        TokensPanel(services, "default", [prompt, output])
        keep_fields(
            services, "default", {"default_prompt": Field("default-prompt"), "default_output": Field("default-output")}
        )
    buttons.look.click(None, [prompt, output], js="(before, after) => { Lab.look({ prompt: before + after }); }")
    desk = Desk(services, line, output, "default_output")

    async def generate(prompt: str, request: gr.Request) -> AsyncGenerator[Frame, None]:
        async for frame in desk.write(prompt, "", request, instead=True):
            yield frame

    async def go_on(prompt: str, output: str, request: gr.Request) -> AsyncGenerator[Frame, None]:
        async for frame in desk.write(prompt + output, output, request):
            yield frame

    starts = [(buttons.generate, generate, [prompt]), (buttons.go_on, go_on, [prompt, output])]
    _wire(desk, buttons, [output, line], starts, output)


def build_notebook(services: Services) -> None:
    """One text; the model writes on at its end."""
    with gr.Column(elem_classes="page wide"):
        text = _box("notebook.text", "notebook-text", 24)
        buttons = Buttons("notebook", continues=False)
        line = Line(elem_id="notebook-line")
        TokensPanel(services, "notebook", [text])
        keep_fields(services, "notebook", {"notebook": Field("notebook-text")})
    buttons.look.click(None, [text], js="(text) => { Lab.look({ prompt: text }); }")
    desk = Desk(services, line, text, "notebook")

    async def generate(text: str, request: gr.Request) -> AsyncGenerator[Frame, None]:
        async for frame in desk.write(text, text, request):
            yield frame

    _wire(desk, buttons, [text, line], [(buttons.generate, generate, [text])], text)


def _wire(
    desk: Desk,
    buttons: Buttons,
    outputs: list[Any],
    starts: list[tuple[gr.Button, Any, list[gr.Textbox]]],
    text: gr.Textbox,
) -> None:
    """Each start remembers the text before it, so that it can be undone."""
    before = gr.State("")
    quietly: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None}

    def begun(now: str) -> Frame:
        return {before: now, **buttons.busy(True)}

    for button, action, inputs in starts:
        button.click(begun, text, [before, *buttons.all], **quietly)
        write = button.click(action, inputs, outputs, **quietly)
        write.then(lambda: buttons.busy(False), None, buttons.all, **quietly)
    buttons.stop.click(desk.stop, None, None, queue=False, **quietly)

    async def undo(now: str, earlier: str) -> tuple[str, str]:
        await desk.keep(earlier)
        return earlier, now

    buttons.undo.click(undo, [text, before], [text, before], **quietly)
