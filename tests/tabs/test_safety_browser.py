"""Nothing a model or a person writes can do anything in the page."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.tabs.conftest import Site, open_tab, replied, say
from tests.tabs.hostile import HOSTILE

pytestmark = pytest.mark.browser

HARMLESS = """() => {
  const forbidden = 'script, img, iframe, object, embed, form, style, link, meta, svg:not(.icon), math, input, video';
  const inside = [...document.querySelectorAll('.message .body *')];
  return {
    hurt: window.__hurt ?? null,
    tags: [...document.querySelectorAll('.message')].flatMap(m => [...m.querySelectorAll(forbidden)]).length,
    handlers: inside.flatMap(e => e.getAttributeNames()).filter(n => n.startsWith('on') || n === 'style').length,
    links: inside.filter(e => e.matches('a') && !/^(https?:|mailto:)/.test(e.href)).map(e => e.href),
  };
}"""


async def test_streamed_hostile_text_stays_text(site: Site, page: Page) -> None:
    """Each text comes token by token, so that every half of it stands in the page for a moment, live and finished."""
    await site.load(reply="\n\n".join(HOSTILE), split="characters", delay=0.001)
    await say(page, HOSTILE[0] + "\n" + HOSTILE[1])
    await page.wait_for_function("document.querySelector('.message.live .tail')?.textContent.length > 5")
    for _ in range(5):
        assert await page.evaluate(HARMLESS) == {"hurt": None, "tags": 0, "handlers": 0, "links": []}
        await page.wait_for_timeout(100)
    await replied(page)
    assert await page.evaluate(HARMLESS) == {"hurt": None, "tags": 0, "handlers": 0, "links": []}
    assert "<img src=x" in await page.inner_text(".message.user .body")


async def test_a_hostile_chat_title_and_search_stay_text(site: Site, page: Page) -> None:
    await site.load(reply="ok")
    await say(page, "<img src=x onerror=window.__hurt=1>")
    await replied(page)
    await page.fill("#chat-search", "onerror")
    await page.wait_for_selector("#chat-list .found")
    assert await page.evaluate("() => document.querySelectorAll('#chat-list img, #chat-title img').length") == 0
    assert await page.evaluate("() => window.__hurt ?? null") is None
    assert await page.inner_text("#chat-title") == "<img src=x onerror=window.__hurt=1>"


async def test_a_hostile_notebook_stays_text(site: Site, page: Page) -> None:
    await site.load(reply=" </textarea><img src=x onerror=window.__hurt=1>")
    await open_tab(page, "notebook")
    await page.fill("#notebook-text textarea", "</textarea><script>window.__hurt=1</script>")
    await page.click("#notebook-generate")
    await page.wait_for_function("document.querySelector('#notebook-text textarea').value.includes('onerror')")
    assert await page.evaluate("() => window.__hurt ?? null") is None
