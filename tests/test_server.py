"""The HTTP servers' life: several sites on one loop, and an end that waits for nobody too long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from webui.ports import bind
from webui.server import CLOSE_SECONDS, Site, serve

Send = Callable[[dict[str, Any]], Awaitable[None]]


class App:
    """Answers /, and holds a stream open for ever at /stream."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.ended = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"...", "more_body": True})
            self.open.set()
            await self.ended.wait()
        await send({"type": "http.response.body", "body": self.word.encode()})


async def nothing() -> None:
    pass


async def running(*apps: App, close: Callable[[], Awaitable[None]] = nothing) -> tuple[Any, asyncio.Event, list[int]]:
    sites = [Site(app, bind("127.0.0.1", 0, "--port")) for app in apps]
    ports = [site.socket.getsockname()[1] for site in sites]
    stop, up = asyncio.Event(), asyncio.Event()

    async def ready() -> None:
        up.set()

    task = asyncio.create_task(serve(sites, stop, ready=ready, close=close))
    await asyncio.wait_for(up.wait(), 10)
    return task, stop, ports


async def test_two_sites_answer_and_end() -> None:
    task, stop, ports = await running(App("page"), App("api"))
    async with httpx.AsyncClient() as client:
        answers = [(await client.get(f"http://127.0.0.1:{port}/")).text for port in ports]
    assert answers == ["page", "api"]
    stop.set()
    await asyncio.wait_for(task, 10)


async def test_what_generates_is_closed_before_the_servers_wait_for_streams() -> None:
    app = App("the end of the reply")

    async def close() -> None:
        app.ended.set()

    task, stop, (port,) = await running(app, close=close)
    async with httpx.AsyncClient() as client, client.stream("GET", f"http://127.0.0.1:{port}/stream") as answer:
        await app.open.wait()
        stop.set()
        text = "".join([part async for part in answer.aiter_text()])
    assert text == "...the end of the reply"
    await asyncio.wait_for(task, 10)


async def test_a_stream_that_never_ends_is_cut() -> None:
    app = App("never")
    task, stop, (port,) = await running(app)
    async with httpx.AsyncClient() as client, client.stream("GET", f"http://127.0.0.1:{port}/stream"):
        await app.open.wait()
        started = time.monotonic()
        stop.set()
        await asyncio.wait_for(task, 30)
    assert time.monotonic() - started < 20, "the open stream held the server"


async def test_a_close_that_hangs_is_broken_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert CLOSE_SECONDS < 5
    monkeypatch.setattr("webui.server.CLOSE_SECONDS", 0.05)

    async def hang() -> None:
        await asyncio.sleep(3600)

    task, stop, _ = await running(App("x"), close=hang)
    stop.set()
    await asyncio.wait_for(task, 30)
    assert "broken off" in capsys.readouterr().err
