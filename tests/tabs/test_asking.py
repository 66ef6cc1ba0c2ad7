"""What a page only looks at is broken off when the page is left; everything else is done to its end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tabs.test_logits import Page
from webui.tabs.logits import server_function


class Visitor:
    """A request whose page can be left."""

    headers: dict[str, str] = {}

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}


class Slow:
    """The model's reading, which ends only when it is told to."""

    def __init__(self, page: Page) -> None:
        self._read = page.models.logits
        self.began, self.may_end = asyncio.Event(), asyncio.Event()
        self.broken_off = False
        page.models.logits = self.logits  # type: ignore[method-assign]

    async def logits(self, *given: Any, **more: Any) -> Any:
        self.began.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.broken_off = True
            raise
        return await self._read(*given, **more)


@pytest.mark.parametrize("ask", ["look", "go"])
async def test_a_prompt_is_read_no_further_for_a_page_that_was_left(tmp_path: Path, ask: str) -> None:
    page = Page(tmp_path)
    await page.ask("look", prompt="before")
    slow, visitor = Slow(page), Visitor()
    logits = server_function(SimpleNamespace(preferences={"language": "en"}), page.server)  # type: ignore[arg-type]
    asked = {**page.state, "ask": ask, "prompt": "after", "token": 40, "to": 40}
    told = asyncio.ensure_future(logits(asked, visitor))  # type: ignore[arg-type]
    if ask == "look":
        await asyncio.wait_for(slow.began.wait(), 10)
    visitor.left.set()
    await asyncio.sleep(0.05)
    slow.may_end.set()
    answer = await asyncio.wait_for(told, 10)
    assert slow.broken_off == (ask == "look")
    assert (answer == '{"stopped":true}') == (ask == "look")


async def test_a_look_that_is_called_off_is_read_no_further_and_no_other(tmp_path: Path) -> None:
    page = Page(tmp_path)
    slow, visitor = Slow(page), Visitor()
    logits = server_function(SimpleNamespace(preferences={"language": "en"}), page.server)  # type: ignore[arg-type]
    asked = {**page.state, "ask": "look", "prompt": "long", "ticket": "mine"}
    told = asyncio.ensure_future(logits(asked, visitor))  # type: ignore[arg-type]
    await asyncio.wait_for(slow.began.wait(), 10)
    assert await page.ask("stop", ticket="another") == {}
    await asyncio.sleep(0.05)
    assert not told.done()
    assert await page.ask("stop", ticket="mine") == {}
    assert await asyncio.wait_for(told, 10) == '{"stopped":true}' and slow.broken_off
    slow.may_end.set()
    assert (await page.ask("look", prompt="next"))["prompt"] == "next"


async def test_a_page_that_stays_gets_its_answer(tmp_path: Path) -> None:
    page = Page(tmp_path)
    logits = server_function(SimpleNamespace(preferences={"language": "en"}), page.server)  # type: ignore[arg-type]
    answer = await logits({**page.state, "ask": "look", "prompt": "hello"}, Visitor())  # type: ignore[arg-type]
    assert '"model":"Rows"' in answer
