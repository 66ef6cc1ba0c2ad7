"""Under a text of Default and Notebook: the same text as its tokens, how full the context is with it, and, for a token
that is chosen, what else could have stood there and what the chain makes of it.

The candidates are those of a real generation of one token at that place, so they are what would be drawn from. The
model may have to read the text first: how far it is, is told, and it stops when another token is chosen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import gradio as gr

from webui.chosen import reply_settings
from webui.errors import NoModel, WebUIError
from webui.runtime.client import Generation, failure
from webui.samplers.candidates import Candidates
from webui.samplers.trace import standing
from webui.services import Services
from webui.tabs.asking import old_page, words_for
from webui.tabs.labels import label
from webui.tabs.pieces import Line, Meter, ProbabilityBars, TokenStrip
from webui.tabs.words import Words
from webui.tabs.writing import waiting_line
from webui.types import Event, Failed, GenerationRequest, ModelInfo, PromptProgress, Queued, Token

MOST_TOKENS = 2000
MOST_BARS = 12
ALTERNATIVES = 100
Frame = dict[Any, Any]
Row = dict[str, Any]


class TokensPanel:
    """`texts`, one or two, are what is looked at: the second goes on where the first ends."""

    def __init__(self, services: Services, name: str, texts: Sequence[gr.Textbox]) -> None:
        self._services = services
        self._asked: dict[str, Generation] = {}
        with gr.Accordion(
            label("desk.tokens"), open=False, elem_id=f"{name}-tokens", elem_classes="tokens-panel"
        ) as panel:
            read = gr.Button(label("desk.tokens.read"), size="sm", elem_id=f"{name}-tokens-read")
            self._line = Line(elem_id=f"{name}-tokens-line")
            self._meter = Meter(elem_id=f"{name}-tokens-meter")
            self._strip = TokenStrip(elem_id=f"{name}-tokens-strip")
            self._bars = ProbabilityBars(elem_id=f"{name}-tokens-bars")
        self._seen = gr.State(())
        outputs = [self._line, self._meter, self._strip, self._bars, self._seen]
        quietly: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None}
        for event in (read.click, panel.expand):
            event(self._read, [*texts, gr.State("")][:2], outputs, **quietly)
        self._strip.select(self._choose, self._seen, [self._line, self._bars], trigger_mode="multiple", **quietly)

    async def _read(self, text: str, more: str, request: gr.Request) -> Frame:
        words = words_for(self._services, request)
        try:
            return await self._show(words, text, more)
        except WebUIError as error:
            return self._problem(words, error)

    async def _show(self, words: Words, prompt: str, reply: str) -> Frame:
        models = self._services.models
        info, text = self._info(), prompt + reply
        tokens = await models.tokenize(text, add_bos=True) if text else []
        written = _shared(await models.tokenize(prompt, add_bos=True), tokens) if reply else len(tokens)
        shown = tokens[-MOST_TOKENS:]
        pieces = await models.pieces(shown)
        first = len(tokens) - len(shown)
        hint = words("desk.tokens.last", n=len(shown)) if first else words("desk.tokens.how")
        items = [
            {"text": piece, "id": token, "drawn": first + place >= written}
            for place, (piece, token) in enumerate(zip(pieces, shown, strict=True))
        ]
        return {
            self._line: {"text": hint if tokens else words("desk.tokens.empty"), "problem": False},
            self._meter: _meter(words, len(tokens), info.n_ctx),
            self._strip: {"tokens": items, "from": first} if tokens else None,
            self._bars: None,
            self._seen: tuple(tokens),
        }

    async def _choose(
        self, tokens: Sequence[int], event: gr.EventData, request: gr.Request
    ) -> AsyncGenerator[Frame, None]:
        words = words_for(self._services, request)
        session = str(request.session_hash)
        try:
            place = _place(tokens, getattr(event, "index", None))
            if place == 0:
                self._let_go(session)
                yield {self._line: {"text": words("desk.tokens.first"), "problem": False}, self._bars: None}
                return
            async with aclosing(self._candidates(session, tuple(tokens[:place]))) as events:
                async for one in events:
                    if isinstance(one, Token):
                        yield await self._found(words, one, tokens, place)
                    elif isinstance(one, Queued) or (isinstance(one, PromptProgress) and one.done < one.total):
                        yield {self._line: {"text": waiting_line(words, one), "problem": False}}
        except WebUIError as error:
            yield {self._line: {"text": words.problem(error.code, error.message, error.values), "problem": True}}

    def _let_go(self, session: str) -> None:
        """Read no further for the token that this page chose before."""
        if earlier := self._asked.pop(session, None):
            earlier.cancel()

    async def _found(self, words: Words, found: Token, tokens: Sequence[int], place: int) -> Frame:
        rows = await self._with(_rows(words, found)[:MOST_BARS], found, tuple(tokens[:place]), tokens[place], words)
        told = words("desk.tokens.place", n=place + 1, of=len(tokens), entropy=words.number(found.entropy, 2))
        return {self._line: {"text": told, "problem": False}, self._bars: {"rows": rows}}

    async def _candidates(self, session: str, prompt: tuple[int, ...]) -> AsyncGenerator[Event, None]:
        """What stands ready after `prompt`: a generation of one token, with the chain that every tab uses."""
        settings = await asyncio.to_thread(reply_settings, self._services.preferences)
        request = GenerationRequest(
            prompt=prompt, chain=settings.chain, seed=0, max_tokens=1, alternatives=ALTERNATIVES, ignore_eos=True
        )
        self._let_go(session)
        stream = self._asked[session] = self._services.models.generate(request)
        try:
            async for one in stream:
                if isinstance(one, Failed):
                    raise failure(one)
                yield one
        finally:
            if self._asked.get(session) is stream:
                del self._asked[session]
            await stream.aclose()

    async def _with(
        self, rows: list[Row], found: Token, before: tuple[int, ...], token: int, words: Words
    ) -> list[Row]:
        """The likeliest, and the token that stands there, wherever it is among all."""
        for row in rows:
            row["chosen"] = row["id"] == token
        if any(row["chosen"] for row in rows):
            return rows
        models = self._services.models
        other = next((row for row in _rows(words, found) if row["id"] == token), None)
        if other is None:
            [piece] = await models.pieces([token])
            _, logits = await models.logits(before, add_bos=False)
            _, raw = standing(Candidates.of(logits), token)
            other = {"text": piece, "id": token, "raw": raw, "final": 0.0, "cut": words("page.bars.is_cut")}
        return [*rows, {**other, "chosen": True}]

    def _info(self) -> ModelInfo:
        status = self._services.models.status()
        if status.info is None:
            raise NoModel(status.sentence, code=status.code or None, values=status.values)
        return status.info

    def _problem(self, words: Words, error: WebUIError) -> Frame:
        said = {"text": words.problem(error.code, error.message, error.values), "problem": True}
        return {self._line: said, self._meter: None, self._strip: None, self._bars: None, self._seen: ()}


def _place(tokens: Sequence[int], index: object) -> int:
    """Where a chosen token stands among all, of which only the last are shown."""
    shown = min(len(tokens), MOST_TOKENS)
    if not isinstance(index, int) or not 0 <= index < shown:
        raise old_page("index")
    return len(tokens) - shown + index


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens at the beginning of both are the same."""
    places = (place for place, (left, right) in enumerate(zip(one, other, strict=False)) if left != right)
    return next(places, min(len(one), len(other)))


def _rows(words: Words, found: Token) -> list[Row]:
    """All candidates that were told, likeliest for the model first."""
    candidates = sorted(found.alternatives, key=lambda one: -one.raw)
    return [
        {
            "text": one.text,
            "id": one.token,
            "raw": one.raw,
            "final": one.final,
            "cut": "" if one.final > 0 else words("page.bars.is_cut"),
            "chosen": False,
        }
        for one in candidates
    ]


def _meter(words: Words, used: int, context: int) -> dict[str, Any]:
    count = words.count("writing.tokens", used)
    part = {"amount": min(used, context), "label": count, "kind": "kept" if used <= context else "cut"}
    return {
        "label": words("desk.tokens.context"),
        "text": words("desk.tokens.used", n=used, of=context),
        "total": context,
        "parts": [part],
    }
