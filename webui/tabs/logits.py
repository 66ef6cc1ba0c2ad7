"""The Logits tab: the next token's probabilities as the model gives them and as the chain leaves them.

A prompt is read once; its row is kept for the visit, so that a moved slider costs no model call.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webui.chosen import chosen_chain
from webui.errors import WebUIError
from webui.samplers import SAMPLERS, Chain, History, State, Trace, Vocabulary
from webui.services import Services
from webui.tabs import chain_edit
from webui.tabs.asking import words_for
from webui.tabs.desk import keep_typed
from webui.tabs.labels import label
from webui.tabs.pieces import Bars, Funnel, Line, TokenStrip
from webui.tabs.words import Words

ROWS_KEPT = 8
SHOWN = 40


@dataclass(frozen=True)
class Look:
    """One prompt that was read: its tokens, the raw row, the texts of the likeliest tokens."""

    tokens: tuple[int, ...]
    row: NDArray[np.float32]
    likeliest: tuple[int, ...]
    texts: dict[int, str]
    end_ids: tuple[int, ...]


class Looks:
    """The rows of the last visits, by session; the oldest goes first."""

    def __init__(self) -> None:
        self._looks: OrderedDict[str, Look] = OrderedDict()

    def put(self, session: str, look: Look) -> None:
        self._looks[session] = look
        self._looks.move_to_end(session)
        while len(self._looks) > ROWS_KEPT:
            self._looks.popitem(last=False)

    def get(self, session: str) -> Look | None:
        return self._looks.get(session)


async def look_at(services: Services, prompt: str) -> Look:
    """Read the prompt with the model."""
    models = services.models
    tokens, row = await models.logits(prompt)
    likeliest = [int(token) for token in np.argsort(-row)[:SHOWN]]
    info = models.status().info
    wanted = [*tokens, *likeliest]
    pieces = await models.pieces(wanted)
    texts = dict(zip(wanted, pieces, strict=True))
    return Look(tuple(tokens), np.array(row), tuple(likeliest), texts, info.end_ids if info else ())


def drawn(look: Look, services: Services, words: Words) -> tuple[dict[str, Any], dict[str, Any]]:
    """The bars and the funnel for the chosen chain: what it did to this row."""
    chain = Chain.parse(chosen_chain(services.preferences))
    trace = Trace()
    vocabulary = Vocabulary(size=len(look.row), end_ids=look.end_ids)
    state = State(services.preferences["seed"], vocabulary)
    chain.run(look.row, History(look.tokens), state, trace=trace)
    assert trace.draw is not None
    raw = np.exp(look.row.astype(np.float64) - float(look.row.max()))
    raw /= raw.sum()
    final = trace.draw.candidates
    survivors = dict(zip(final.ids.tolist(), (final.weights() / final.total).tolist(), strict=True))
    cut_by = {token: stage.sampler for stage in reversed(trace.stages) for token, _ in stage.cut}
    bars = [
        {
            "id": token,
            "text": look.texts[token],
            "raw": float(raw[token]),
            "final": survivors.get(token, 0.0),
            "cut": ""
            if token in survivors
            else SAMPLERS[cut_by[token]].title[words.language]
            if token in cut_by
            else "…",
            "chosen": token == trace.token,
        }
        for token in look.likeliest
    ]
    listed = set(look.likeliest)
    rest = {
        "count": len(look.row) - len(listed),
        "raw": max(0.0, 1.0 - float(raw[list(listed)].sum())),
        "final": max(0.0, 1.0 - sum(share for token, share in survivors.items() if token in listed)),
    }
    stages = [
        {
            "title": SAMPLERS[stage.sampler].title[words.language],
            "left": stage.survivors,
            "mass": stage.mass,
            "before": stage.entropy_before,
            "after": stage.entropy_after,
        }
        for stage in trace.stages
    ]
    return {"rows": bars, "rest": rest}, {"stages": stages, "all": len(look.row)}


def build(services: Services, blocks: gr.Blocks) -> None:
    looks = Looks()
    with gr.Column(elem_classes="page wide"):
        prompt = gr.Textbox(
            label=label("logits.prompt"),
            info=label("logits.prompt.help"),
            lines=3,
            max_lines=8,
            elem_id="logits-prompt",
            elem_classes="read",
        )
        with gr.Row(elem_classes="toolbar"):
            button = gr.Button(label("logits.look"), variant="primary", elem_id="logits-look")
        line = Line(elem_id="logits-line")
        strip = TokenStrip(elem_id="logits-tokens")
        with gr.Row(elem_classes="split"):
            with gr.Column(scale=3, min_width=320):
                bars = Bars(elem_id="logits-bars")
            with gr.Column(scale=2, min_width=320):
                gr.Markdown(label("parameters.chain"), elem_classes="heading")
                editor = chain_edit.build(services, "logits-chain")
                gr.Markdown(label("logits.funnel"), elem_classes="heading")
                funnel = Funnel(elem_id="logits-funnel")
    keep_typed(services, prompt, "logits_prompt")

    async def look(prompt: str, request: gr.Request) -> dict[Any, Any]:
        words = words_for(services, request)
        if not prompt:
            return {line: {"text": words("logits.empty"), "problem": True}}
        try:
            seen = await look_at(services, prompt)
        except WebUIError as error:
            return {line: {"text": words.problem(error.code, error.message, error.values), "problem": True}}
        looks.put(str(request.session_hash), seen)
        tokens = [{"id": token, "text": seen.texts[token]} for token in seen.tokens]
        shown, stages = await asyncio.to_thread(drawn, seen, services, words)
        said = words.count("writing.tokens", len(seen.tokens))
        return {line: {"text": said}, strip: {"tokens": tokens}, bars: shown, funnel: stages}

    async def again(request: gr.Request) -> dict[Any, Any]:
        seen = looks.get(str(request.session_hash))
        if seen is None:
            return {bars: gr.skip()}
        shown, stages = await asyncio.to_thread(drawn, seen, services, words_for(services, request))
        return {bars: shown, funnel: stages}

    button.click(look, prompt, [line, strip, bars, funnel], show_progress="hidden", concurrency_limit=None)
    editor.changed(
        again, None, [bars, funnel], show_progress="hidden", trigger_mode="always_last", concurrency_limit=None
    )
    blocks.load(lambda: services.preferences["logits_prompt"], outputs=[prompt], show_progress="hidden")
