"""The real page in a real browser: all parts as cli.py puts them together, the scripted engine in its own process.

Everything runs on the test's own loop. Every page fails its test on a console error, a page error, a request to another
host, and on anything in localStorage that is not a preference.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, Page, async_playwright

from webui.building import build_services
from webui.hub.library import Library
from webui.services import Services
from webui.settings import Settings
from webui.types import LoadSpec

PATIENCE = 30_000
"""Milliseconds a browser waits for what must come; two busy cores need some."""


@dataclass
class Site:
    """A running program. `restart` ends it and starts it again on the same data."""

    settings: Settings
    services: Services = field(init=False)
    _server: uvicorn.Server = field(init=False)
    _task: asyncio.Task[None] = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}/"

    async def start(self) -> None:
        from webui.api.guard import OriginGuard
        from webui.tabs import build_page_app

        library = Library(self.settings.model_dir, starter=True)
        self.services = build_services(self.settings, library)
        app = OriginGuard(build_page_app(self.services))
        config = uvicorn.Config(
            app, host="127.0.0.1", port=self.settings.port, log_level="error", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        await self.services.close()
        self._server.should_exit = True
        await asyncio.wait_for(self._task, 10)

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def load(self, **options: Any) -> None:
        """The scripted engine; see webui/engines/fake.py for what it can be told."""
        n_ctx = options.pop("n_ctx", 4096)
        await self.services.models.load(
            LoadSpec(path="scripted", engine="fake", name="Scripted", n_ctx=n_ctx, options=options)
        )


@pytest_asyncio.fixture
async def site(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    made = Site(Settings(port=free_port, data_dir=tmp_path / "data", model_dir=(tmp_path / "models",)))
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        args = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        made = await playwright.chromium.launch(executable_path=chromium_path, args=args)
        yield made
        await made.close()


class Watched:
    """What went wrong on a page, as sentences."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        # What Gradio's client says of its open requests when a page is left.
        self.allowed: tuple[str, ...] = ("AbortError", "Connection errored out")
        self._url = url
        page.on("console", lambda m: self._add(f"console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda e: self._add(f"page error: {e}"))
        page.on("request", lambda r: self._request(r.url))
        page.on("dialog", self._dialog)

    def _add(self, fault: str) -> None:
        if not any(text in fault for text in self.allowed):
            self.faults.append(fault)

    async def _dialog(self, dialog: Any) -> None:
        self._add(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _request(self, url: str) -> None:
        if not url.startswith((self._url, "data:", f"blob:{self._url}")):
            self._add(f"request to another host: {url}")

    async def check(self) -> None:
        if not self.page.is_closed() and self.page.url.startswith(self._url):
            stored = await self.page.evaluate("() => Object.keys(localStorage)")
            self.faults += [f"in localStorage: {key}" for key in stored if not key.startswith("lab:preference:")]
        assert self.faults == []


Visit = Callable[..., Any]


@pytest_asyncio.fixture
async def visit(browser: Browser, site: Site) -> AsyncIterator[Visit]:
    """Opens pages: `page = await visit(width=390, locale="ru-RU")`. All are checked at the end."""
    watched: list[Watched] = []

    async def open_page(
        *,
        width: int = 1280,
        height: int = 800,
        locale: str = "en-US",
        dark: bool = False,
        path: str = "",
        ready: str = "#message",
    ) -> Page:
        context = await browser.new_context(
            viewport={"width": width, "height": height}, locale=locale, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        watched.append(Watched(page, site.url))
        page.watched = watched[-1]  # type: ignore[attr-defined]
        await page.goto(site.url + path)
        if ready:
            await page.wait_for_selector(ready, state="attached")
        return page

    yield open_page
    for one in watched:
        await one.check()


@pytest_asyncio.fixture
async def page(visit: Visit) -> Page:
    opened: Page = await visit()
    return opened


async def restarted(site: Site, page: Page) -> None:
    """End the program and start it again; the page looks away meanwhile and then comes back."""
    address = page.url
    await page.goto("about:blank")
    await site.restart()
    await page.goto(address)
    await page.wait_for_selector("#message", state="attached")


async def say(page: Page, text: str) -> None:
    """Type a message and send it."""
    await page.fill("#message", text)
    await page.press("#message", "Enter")


async def replied(page: Page, count: int = 1) -> str:
    """Wait until `count` replies are there and none is being written; the last one's text."""
    await page.wait_for_function(
        "n => document.querySelectorAll('.message.assistant').length >= n"
        " && !document.querySelector('.message.live') && !document.querySelector('#send').hidden",
        arg=count,
    )
    return await page.inner_text(".message.assistant:last-child .body")


async def open_tab(page: Page, name: str) -> None:
    """Press the tab; the click is made in the page, since narrow screens keep some tabs in a menu."""
    await page.wait_for_selector(f"#tab-{name}-button", state="attached")
    await page.evaluate("name => document.getElementById(`tab-${name}-button`).click()", name)
    await page.wait_for_selector(f"#tab-{name}", state="visible")
