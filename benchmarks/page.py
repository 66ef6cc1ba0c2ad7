"""How quick the page is, in a real browser: opening it, switching tabs, and a long chat while a reply is written.

    python -m benchmarks.page [--port 7992] [--visits 5] [--rounds 6]

Budgets: ready for input 1.5 s after the page's first byte on a warm server; a tab in 100 ms; with a chat of 100
messages and a model of 100 tokens a second, text on the page within 3 % of what the model wrote, and the page's main
thread busy for at most 1.5 s of 5 s. The model is the scripted engine in its own process, so only the page's side is
measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from playwright.async_api import Browser, Page, async_playwright

from benchmarks.browser import Launch, launch
from webui.building import build_services
from webui.hub.library import Library
from webui.services import Services
from webui.settings import Settings
from webui.types import LoadSpec

READY, SWITCH, BUSY, SPEED = 1.5, 100.0, 1.5, 0.03
TABS = ("chat", "default", "notebook", "logits", "parameters", "model", "session")
MESSAGES = 100
TOKENS_A_SECOND = 100
WATCHED = 5.0
PATIENCE = 60_000
WORD = " word"
ANSWER = (
    "Here is **one** way to do it, with `code` and a list:\n\n- first, look at what is there;\n"
    "- then change one thing.\n\n"
    "```python\nfor line in lines:\n    print(line.strip())\n```\n\nThat is all; a longer text would only repeat it.\n"
)
_FIRST_BYTE = "() => performance.timeOrigin + performance.getEntriesByType('navigation')[0].responseStart"
_USABLE = "() => document.querySelector('#message')?.offsetParent && Lab.model?.stage === 'ready'"
# From the click to the frame that shows the tab, painted.
_SWITCH = """async (name) => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => {
    const port = new MessageChannel();
    port.port1.onmessage = done;
    port.port2.postMessage(0);
  }));
  const began = performance.now();
  document.getElementById(`tab-${name}-button`).click();
  while (!document.getElementById(`tab-${name}`)?.offsetParent) await painted();
  await painted();
  return performance.now() - began;
}"""
# When each new text of the reply came, and how long it then was.
_FOLLOW = """() => {
  window.seen = [];
  const body = document.querySelector(".message.live .body");
  new MutationObserver(() => window.seen.push([performance.now(), body.textContent.length]))
    .observe(body, { subtree: true, childList: true, characterData: true });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=7992)
    parser.add_argument("--visits", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    chromium = launch()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=str(Path(folder) / "gradio"))
        asyncio.run(_run(chromium, Path(folder), options.port, options.visits, options.rounds))


async def _run(chromium: Launch, folder: Path, port: int, visits: int, rounds: int) -> None:
    address = f"http://127.0.0.1:{port}/"
    async with _program(port, folder) as services, async_playwright() as playwright:
        browser = await playwright.chromium.launch(**chromium)
        await _opening(browser, address, visits)
        await _switching(browser, address, rounds)
        await _long_chat(browser, address, services)
        await browser.close()


@asynccontextmanager
async def _program(port: int, folder: Path) -> AsyncIterator[Services]:
    from webui.tabs import build_page_app

    settings = Settings(port=port, data_dir=folder / "data", model_dir=(folder / "models",))
    services = build_services(settings, Library(settings.model_dir, starter=True))
    config = uvicorn.Config(build_page_app(services), host="127.0.0.1", port=port, log_level="error")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    scripted = {"reply": WORD, "end": False, "delay": 1 / TOKENS_A_SECOND}
    await services.models.load(LoadSpec(path="scripted", engine="fake", name="Scripted", n_ctx=65536, options=scripted))
    try:
        yield services
    finally:
        await services.close()
        server.should_exit = True
        await task


async def _visit(browser: Browser, address: str) -> Page:
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    await page.goto(address, wait_until="commit")
    await page.wait_for_function(_USABLE, polling="raf")
    return page


async def _opening(browser: Browser, address: str, visits: int) -> None:
    """Visits of a warm server by a browser that has nothing stored, and one that comes again."""
    times, again = [], []
    for _ in range(visits + 1):
        page = await _visit(browser, address)
        times.append(await page.evaluate("() => Date.now()") - await page.evaluate(_FIRST_BYTE))
        await page.reload(wait_until="commit")
        await page.wait_for_function(_USABLE, polling="raf")
        again.append(await page.evaluate("() => Date.now()") - await page.evaluate(_FIRST_BYTE))
        await page.context.close()
    print("\nready for input after the first byte" + f"{'median':>25}{'worst':>10}{'budget':>10}")
    for name, found in (("first visit", times[1:]), ("another visit", again[1:])):
        seconds = [one / 1000 for one in found]
        print(_row(name, statistics.median(seconds), max(seconds), READY, "s"))


async def _switching(browser: Browser, address: str, rounds: int) -> None:
    page = await _visit(browser, address)
    await page.wait_for_selector(f"#tab-{TABS[-1]}-button", state="attached")
    await page.wait_for_timeout(1000)
    found: dict[str, list[float]] = {tab: [] for tab in TABS}
    for _ in range(rounds):
        for tab in (*TABS[1:], TABS[0]):
            found[tab].append(await page.evaluate(_SWITCH, tab))
            await page.wait_for_timeout(250)
    print("\nswitching to a tab" + f"{'first':>20}{'median':>11}{'worst':>12}{'budget':>10}")
    for tab, times in found.items():
        row = _row(tab, statistics.median(times), max(times), SWITCH, "ms")
        print(f"{row[:25]}{times[0]:10.0f} ms{row[35:]}")
    await page.context.close()


async def _long_chat(browser: Browser, address: str, services: Services) -> None:
    history = services.conversations.history
    chat, parent = history.create("A long chat"), None
    for n in range(MESSAGES):
        asked = n % 2 == 0
        text = f"And question number {n}?" if asked else f"{ANSWER}\n{n}"
        parent = history.add(chat, parent, "user" if asked else "assistant", text).id
    services.preferences.set(max_tokens=0, last_chat=chat)
    page = await _visit(browser, f"{address}#chat={chat}")
    await page.wait_for_function("n => document.querySelectorAll('.message').length >= n", arg=MESSAGES)
    await page.wait_for_timeout(500)
    cdp: Any = await page.context.new_cdp_session(page)
    await cdp.send("Performance.enable")
    await page.fill("#message", "Write on and on.")
    await page.press("#message", "Enter")
    await page.wait_for_function("() => (document.querySelector('.message.live .body')?.textContent.length ?? 0) > 50")
    await page.evaluate(_FOLLOW)
    reply = services.conversations.live(chat)
    assert reply is not None, "The reply is being written."
    before, busy = await _busy(cdp), 0.0
    began, had = time.perf_counter(), len(reply.text)
    await page.wait_for_timeout(WATCHED * 1000)
    written, seconds = len(reply.text) - had, time.perf_counter() - began
    busy = await _busy(cdp) - before
    seen = await page.evaluate("() => window.seen")
    await services.conversations.stop(chat)
    await page.context.close()
    model = written / len(WORD) / seconds
    shown = (seen[-1][1] - seen[0][1]) / len(WORD) / (seen[-1][0] - seen[0][0]) * 1000
    gaps = sorted(later[0] - earlier[0] for earlier, later in zip(seen, seen[1:], strict=False))
    lag = abs(1 - shown / model)
    print(f"\na reply in a chat of {MESSAGES} messages, {WATCHED:.0f} s")
    apart = f"{lag:.1%} apart, budget {SPEED:.0%}{_over(lag, SPEED)}"
    print(f"  the model wrote {model:.1f} tok/s, the page showed {shown:.1f}: {apart}")
    print(f"  new text every {statistics.median(gaps):.0f} ms, the longest wait {gaps[-1]:.0f} ms")
    busy *= WATCHED / seconds
    print(f"  main thread busy for {busy:.2f} s, budget {BUSY} s{_over(busy, BUSY)}")


async def _busy(cdp: Any) -> float:
    """Seconds the page's main thread has worked."""
    metrics = await cdp.send("Performance.getMetrics")
    return float(next(one["value"] for one in metrics["metrics"] if one["name"] == "TaskDuration"))


def _row(name: str, median: float, worst: float, budget: float, unit: str) -> str:
    digits = 2 if unit == "s" else 0
    row = f"  {name:25}{median:14.{digits}f} {unit:2}{worst:12.{digits}f} {unit:2}{budget:8g} {unit}"
    return row + _over(median, budget)


def _over(found: float, budget: float) -> str:
    return "" if found <= budget else "   OVER"


if __name__ == "__main__":
    main()
