"""Every control on every tab says what it is, in both languages; and axe-core finds nothing serious in what opens."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.tabs.conftest import Site, Visit, open_tab, replied, say
from tests.tabs.test_shell_browser import TABS, serious

pytestmark = pytest.mark.browser

# Controls that are seen, each with its name and the words that explain it: a tooltip of its own, of what it stands in,
# or text that belongs to it.
CONTROLS = """() => [...document.querySelectorAll('input, select, textarea, button, [role=slider]')]
  .filter((node) => node.checkVisibility({ visibilityProperty: true }) && node.type !== 'file')
  .map((node) => {
    const label = node.labels?.[0] ?? node.closest('label');
    const titled = node.closest('[title]');
    const ids = (node.getAttribute('aria-describedby') ?? '').split(' ');
    const told = ids.map((id) => document.getElementById(id)?.textContent).join('');
    const near = node.closest('.block, .field')?.querySelector('[class*=info], .help, .note')?.textContent ?? '';
    return {
      what: `${node.parentNode.closest('[id]')?.id}: ${node.outerHTML.slice(0, 120)}`,
      kind: node.tagName.toLowerCase(),
      name: (node.getAttribute('aria-label') || label?.textContent || node.textContent || titled?.title || '').trim(),
      help: (titled?.title || label?.title || told || near || node.placeholder || '').trim(),
      // Links say where they lead, the row of all other tokens what it is; choices stand beside their words.
      whole: node.matches('.link, .others .token, input[type=radio], input[type=checkbox]'),
    };
  })"""

# Tooltips whose element is not there, or does not have them.
TIPS = """() => Object.entries(LabStart.words)
  .filter(([key]) => key.startsWith('tip.'))
  .filter(([key, text]) => {
    const id = CSS.escape(key.slice(4));
    return document.querySelector(`button#${id}, #${id} > button`)?.title !== text;
  })"""


@pytest.mark.parametrize("locale", ["en-US", "ru-RU"])
async def test_every_control_has_a_name_and_every_field_and_button_is_explained(
    site: Site, visit: Visit, locale: str
) -> None:
    await site.load(reply="ok")
    page = await visit(locale=locale)
    await say(page, "hi")
    await replied(page)
    nameless, unexplained, english, seen = set(), set(), set(), 0
    for tab in TABS:
        await open_tab(page, tab)
        for panel in await page.locator(f"#tab-{tab} .tokens-panel > button").all():
            await panel.click()
        await page.wait_for_timeout(600)
        controls: list[dict[str, Any]] = await page.evaluate(CONTROLS)
        seen += len(controls)
        for one in controls:
            where = f"{tab}: {one['what']}"
            if not one["name"]:
                nameless.add(where)
            if not one["whole"] and not one["help"]:
                unexplained.add(where)
            if locale == "ru-RU" and one["help"].count(" ") > 2 and not re.search("[а-яё]", one["help"], re.I):
                english.add(f"{where}: {one['help']}")
    assert seen > 120
    assert await page.evaluate(TIPS) == []
    assert nameless == set()
    assert unexplained == set()
    assert english == set()


async def with_all_open(page: Page, tab: str) -> list[str]:
    """What axe-core says of a tab when everything that can be opened in it, menus and foldings, is open."""
    shut = f"#tab-{tab} details:not([open]) > summary, #tab-{tab} [aria-haspopup][aria-expanded=false]"
    for opener in await page.locator(shut).all():
        if await opener.is_visible():
            await opener.click()
    await page.wait_for_timeout(300)
    return await serious(page)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_what_opens_is_open_to_a_screen_reader(site: Site, visit: Visit, dark: bool) -> None:
    """The sheet, a reply's tokens, its editing, a question that was answered twice, an error, a note at the bottom."""
    await site.load(reply="one two three")
    page = await visit(dark=dark)
    found = {"empty": await serious(page)}
    await say(page, "hi")
    await replied(page)
    await page.click(".message.assistant [aria-label='How each token was chosen'], .message.assistant [aria-expanded]")
    await expect(page.locator(".explain")).to_be_visible()
    await page.keyboard.press("Alt+r")
    await expect(page.locator(".message.assistant .versions")).to_have_text("2/2")
    found["versions"] = await serious(page)
    await page.click(".message.user [aria-label='Edit']")
    found["editing"] = await serious(page)
    await page.keyboard.press("Escape")
    await open_tab(page, "parameters")
    for more in await page.locator("#parameters-chain .stage:not(.off) .more-button").all():
        await more.click()
    await page.fill("#preset-name", "Mine")
    await page.press("#preset-name", "Enter")
    await expect(page.locator("#lab-toasts .toast")).to_be_visible()
    found["parameters"] = await serious(page)
    await open_tab(page, "session")
    await page.keyboard.press("?")
    await expect(page.locator("#shortcuts")).to_be_visible()
    found["shortcuts"] = await serious(page)
    await page.keyboard.press("Escape")
    await open_tab(page, "model")
    await page.wait_for_timeout(500)
    found["model"] = await with_all_open(page, "model")
    for section in ("model-get", "model-quantise", "model-fallback"):
        await open_tab(page, section)
        await page.wait_for_timeout(500)
        found[section] = await with_all_open(page, section)
    await page.evaluate("() => Lab.look({ prompt: 'one two three' })")
    await page.wait_for_selector(".piece-logits.looked:not(.moving)")
    await page.click("#logits-funnel .stage[data-name=top_k] .name")
    found["logits"] = await with_all_open(page, "logits")
    await site.services.models.unload()
    await open_tab(page, "notebook")
    await page.fill("#notebook-text textarea", "Once")
    await page.click("#notebook-generate")
    await expect(page.locator("#notebook-line .problem")).to_be_visible()
    await page.wait_for_timeout(500)
    found["problem"] = await serious(page)
    assert {state: faults for state, faults in found.items() if faults} == {}


async def test_a_thumb_reaches_every_tab_on_a_phone(site: Site, visit: Visit) -> None:
    """Every tab can be tapped without scripts' help, and stands in the strip once it is open."""
    await site.load(reply="ok")
    page = await visit(width=390, height=844, locale="ru-RU")
    place = "(button) => { const box = button.getBoundingClientRect(); return [box.left, box.right, innerWidth]; }"
    for tab in (*TABS, *reversed(TABS)):
        await page.locator(f"#tab-{tab}-button").click()
        await expect(page.locator(f"#tab-{tab}")).to_be_visible()
        assert await page.locator(".overflow-menu:visible").count() == 0
    await open_tab(page, "model")
    for section in ("own", "get", "quantise", "fallback", "own"):
        await page.locator(f"#tab-model-{section}-button").click()
        await expect(page.locator(f"#tab-model-{section}")).to_be_visible()
    for tab in (*reversed(TABS), *TABS):
        await page.evaluate("name => Lab.openTab(name)", tab)
        await expect(page.locator(f"#tab-{tab}")).to_be_visible()
        left, right, width = await page.locator(f"#tab-{tab}-button").evaluate(place)
        assert left >= 0 and right <= width, tab
