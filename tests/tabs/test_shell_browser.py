"""The shell: tabs, languages, themes, kept settings, keys, small screens, and what axe-core finds."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.tabs.conftest import Site, Visit, open_tab, replied, restarted, say
from webui.samplers import SAMPLERS

pytestmark = pytest.mark.browser

TABS = ("chat", "default", "notebook", "logits", "parameters", "model", "session")
SHOWN = """() => [...document.querySelectorAll('#tabs .tabitem *')]
  .filter(e => !e.children.length && e.offsetParent && !e.closest('select, textarea, script'))
  .map(e => e.textContent)"""
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")


async def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical, with the elements."""
    await page.evaluate(AXE)
    result: Any = await page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['id']}: {[node['target'] for node in v['nodes']][:4]}"
        for v in result["violations"]
        if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_nothing_serious_stands_in_the_way_of_a_screen_reader(site: Site, visit: Visit, dark: bool) -> None:
    await site.load(reply="**Hello** `there`\n\n```python\nx = 1\n```")
    page = await visit(dark=dark)
    await say(page, "hi")
    await replied(page)
    found = {}
    for tab in TABS:
        await open_tab(page, tab)
        await page.wait_for_timeout(500)
        found[tab] = await serious(page)
    await page.keyboard.press("?")
    found["shortcuts"] = await serious(page)
    assert {tab: faults for tab, faults in found.items() if faults} == {}


@pytest.mark.parametrize("width", [390, 768, 1024, 1920])
async def test_no_tab_is_wider_than_the_screen(site: Site, visit: Visit, width: int) -> None:
    await site.load(reply="```\n" + "long " * 100 + "\n```\n\n| a | b |\n|---|---|\n| " + "x" * 200 + " | y |")
    page = await visit(width=width, height=844)
    await say(page, "w" * 50 + " " + "w" * 300)
    await replied(page)
    for part in (".talk .head", ".talk .messages", ".talk .composer"):
        box = await page.locator(part).bounding_box()
        assert box is not None and box["x"] + box["width"] <= width, part
    for tab in TABS:
        await open_tab(page, tab)
        await page.wait_for_timeout(300)
        assert await page.evaluate("() => document.documentElement.scrollWidth") <= width, tab


async def test_on_a_small_screen_the_list_of_chats_is_closed_at_first(site: Site, visit: Visit) -> None:
    page = await visit(width=390, height=844)
    await expect(page.locator("#chat-list")).to_be_hidden()
    await page.click("#show-list")
    await expect(page.locator("#chat-list")).to_be_visible()
    await page.click("#close-list")
    await expect(page.locator("#chat-list")).to_be_hidden()


def left_in_english(text: str) -> list[str]:
    """Lines with Latin words and without a Cyrillic letter, names and codes apart."""
    names = "|".join(re.escape(sampler.title["ru"]) for sampler in SAMPLERS.values())
    names += "|Sampler Lab|Balanced|Enter|Shift|English|Scripted|Python"
    lines = [line.strip() for line in text.split("\n")]
    return [
        line
        for line in lines
        if re.search(r"[A-Za-z]{4,}", line) and not re.search(r"[а-яё]", line, re.I) and not re.search(names, line)
    ]


async def test_a_russian_browser_gets_a_russian_page(site: Site, visit: Visit) -> None:
    await site.load(reply="да")
    page = await visit(locale="ru-RU")
    assert await page.get_attribute("html", "lang") == "ru"
    await say(page, "привет")
    await replied(page)
    left = {}
    for tab in ("chat", "default", "notebook", "parameters"):
        await open_tab(page, tab)
        await page.wait_for_timeout(500)
        left[tab] = left_in_english("\n".join(await page.evaluate(SHOWN)))
    assert {tab: lines for tab, lines in left.items() if lines} == {}
    hints = await page.evaluate(
        "() => [...document.querySelectorAll('#chat [title], #status [title]')].map(e => e.title)"
    )
    assert left_in_english("\n".join(hint for hint in hints if "Switch to English" not in hint)) == []


async def test_the_language_can_be_switched_and_is_kept(site: Site, visit: Visit) -> None:
    page = await visit()
    await page.fill("#message", "черновик")
    async with page.expect_navigation():
        await page.click("#status .language")
    await expect(page.locator("#tab-chat-button")).to_have_text("Чат")
    await expect(page.locator("#message")).to_have_value("черновик")
    await restarted(site, page)
    await expect(page.locator("#tab-chat-button")).to_have_text("Чат")
    other = await visit()
    await expect(other.locator("#tab-chat-button")).to_have_text("Чат")
    await open_tab(other, "session")
    async with other.expect_navigation():
        await other.click("#session >> text=English")
    await expect(other.locator("#tab-chat-button")).to_have_text("Chat")


async def test_the_theme_can_be_switched_and_is_kept(site: Site, visit: Visit) -> None:
    page = await visit()
    light = await page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    button = page.locator("#status .right .icon-button[data-choice]")
    await button.click()
    await button.click()
    await expect(button).to_have_attribute("data-choice", "dark")
    dark = await page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert dark != light
    other = await visit()
    assert await other.evaluate("() => getComputedStyle(document.body).backgroundColor") == dark
    assert await other.evaluate("() => document.body.classList.contains('dark')"), "Gradio's own parts follow"


async def test_settings_survive_reload_and_restart(site: Site, visit: Visit) -> None:
    page = await visit()
    await open_tab(page, "parameters")
    await page.fill("#seed input", "42")
    await page.fill("#max-tokens input", "33")
    await page.fill("#stop-strings textarea", "END\n\\n\\n")
    await page.fill("#system-text textarea", "Будь краток.")
    await page.locator("#seed input").focus()
    field = page.locator("#parameters-chain [data-name=top_k] .line input[type=number]")
    await field.fill("7")
    await field.press("Enter")
    await page.click("#parameters-chain [data-name=min_p] .toggle")
    await expect(page.locator("#parameters-chain [data-name=min_p]")).to_have_class(re.compile("off"))
    await page.focus("#parameters-chain [data-name=temperature] .handle")
    for _ in range(3):
        await page.keyboard.press("ArrowUp")
    await page.wait_for_timeout(800)
    await open_tab(page, "notebook")
    await page.fill("#notebook-text textarea", "Однажды")
    await page.wait_for_timeout(1200)
    kept = json.loads((site.settings.data_dir / "settings.json").read_text(encoding="utf-8"))
    assert (kept["seed"], kept["max_tokens"], kept["stop"]) == (42, 33, ["END", "\n\n"])
    await restarted(site, page)
    await open_tab(page, "parameters")
    await expect(page.locator("#seed input")).to_have_value("42")
    await expect(page.locator("#stop-strings textarea")).to_have_value("END\n\\n\\n")
    await expect(page.locator("#system-text textarea")).to_have_value("Будь краток.")
    await expect(page.locator("#parameters-chain [data-name=top_k] .line input[type=number]")).to_have_value("7")
    await expect(page.locator("#parameters-chain [data-name=min_p]")).to_have_class(re.compile("off"))
    names = await page.locator("#parameters-chain .stage").evaluate_all("rows => rows.map(row => row.dataset.name)")
    assert names.index("temperature") == len(names) - 4
    await open_tab(page, "notebook")
    await expect(page.locator("#notebook-text textarea")).to_have_value("Однажды")


async def test_the_open_tab_and_the_list_of_chats_are_kept(site: Site, visit: Visit) -> None:
    page = await visit()
    await expect(page.locator("#chat-list")).to_be_visible()
    await page.keyboard.press("Alt+l")
    await expect(page.locator("#chat-list")).to_be_hidden()
    await page.keyboard.press("Alt+3")
    await expect(page.locator("#notebook-text")).to_be_visible()
    await page.wait_for_timeout(500)
    await restarted(site, page)
    await expect(page.locator("#notebook-text")).to_be_visible()
    await expect(page.locator("#message")).to_be_hidden()
    await open_tab(page, "chat")
    await expect(page.locator("#chat-list")).to_be_hidden()
    await page.click("#show-list")
    await open_tab(page, "model")
    await page.wait_for_timeout(500)
    phone = await visit(width=390, height=844)
    await expect(phone.locator("#model")).to_be_visible()
    await open_tab(phone, "chat")
    await expect(phone.locator("#chat-list")).to_be_hidden()
    await phone.click("#show-list")
    await phone.click("#close-list")
    await page.wait_for_timeout(500)
    wide = await visit(path="#chat=1")
    await expect(wide.locator("#chat-list")).to_be_visible()
    assert site.services.preferences["chat_list"] is True, "what a phone hides is no wish"


async def test_what_is_typed_just_before_the_page_is_closed_is_kept(site: Site, visit: Visit) -> None:
    page = await visit()
    for tab, field, text in (
        ("parameters", "#system-text textarea", "Кратко."),
        ("default", "#default-prompt textarea", "запрос"),
        ("default", "#default-output textarea", "ответ"),
        ("notebook", "#notebook-text textarea", "Однажды"),
    ):
        await open_tab(page, tab)
        await page.wait_for_timeout(600)
        await page.fill(field, text)
    await page.close()
    kept = site.services.preferences
    for _ in range(50):
        if kept["notebook"]:
            break
        await asyncio.sleep(0.1)
    names = ("system", "default_prompt", "default_output", "notebook")
    assert [kept[name] for name in names] == ["Кратко.", "запрос", "ответ", "Однажды"]


async def test_fields_follow_what_was_kept_elsewhere(site: Site, visit: Visit) -> None:
    page = await visit()
    await open_tab(page, "parameters")
    await expect(page.locator("#max-tokens input")).to_have_value("512")
    site.services.preferences.set(seed=99)
    await open_tab(page, "chat")
    await open_tab(page, "parameters")
    await expect(page.locator("#seed input")).to_have_value("99")
    await page.fill("#max-tokens input", "-5")
    await page.focus("#system-text textarea")
    await expect(page.locator("#max-tokens input")).to_have_value("0")
    assert site.services.preferences["seed"] == 99


async def test_the_chosen_chain_seed_and_limit_are_what_a_reply_is_made_with(site: Site, page: Page) -> None:
    await site.load(reply="one two three four five six seven eight", delay=0.001)
    site.services.preferences.set(
        seed=7, max_tokens=3, chain=[["top_k", {"top_k": 5}], ["temperature", {"temperature": 0.3}]]
    )
    await say(page, "go")
    assert await replied(page) == "one two three"
    await expect(page.locator(".figure >> text=length limit")).to_be_visible()
    await expect(page.locator(".figure.seed")).to_have_text("seed 7")
    chat = site.services.preferences["last_chat"]
    meta = site.services.conversations.history.path(chat)[-1].meta
    assert [(step["sampler"]) for step in meta["chain"]] == ["top_k", "temperature"]
    assert meta["chain"][0]["values"]["top_k"] == 5


async def test_a_damaged_settings_file_is_named_on_the_page(site: Site, visit: Visit) -> None:
    (site.settings.data_dir / "settings.json").write_text("{broken", encoding="utf-8")
    await site.restart()
    page = await visit()
    await expect(page.locator("#status .notice")).to_contain_text("settings.json.corrupt-")


async def test_shortcuts(site: Site, page: Page) -> None:
    await site.load(reply="ok")
    await page.keyboard.press("Alt+6")
    await expect(page.locator("#model")).to_be_visible()
    await page.keyboard.press("?")
    await expect(page.locator("#shortcuts")).to_be_visible()
    letters = await page.evaluate("getComputedStyle(document.querySelector('#shortcuts dd')).fontFamily")
    assert letters.startswith('"IBM Plex Sans"')
    await page.keyboard.press("Escape")
    await expect(page.locator("#shortcuts")).to_have_count(0)
    await page.keyboard.press("Alt+1")
    await say(page, "one")
    await replied(page)
    await page.keyboard.press("Alt+r")
    await expect(page.locator(".message.assistant .versions")).to_have_text("2/2")
    await replied(page)
    await page.keyboard.press("Alt+ArrowLeft")
    await expect(page.locator(".message.assistant .versions")).to_have_text("1/2")
    await page.focus("#message")
    await page.keyboard.press("ArrowUp")
    assert await page.input_value("#message") == "one"
    await page.keyboard.press("Escape")
    assert await page.input_value("#message") == ""
    await page.keyboard.press("Alt+n")
    await expect(page.locator("#blank")).to_be_visible()


async def test_everything_in_chat_can_be_reached_by_tab(site: Site, page: Page) -> None:
    await site.load(reply="ok")
    await say(page, "hello")
    await replied(page)
    reached = set()
    await page.focus("#message")
    for _ in range(60):
        await page.keyboard.press("Tab")
        what = await page.evaluate(
            "() => document.activeElement?.getAttribute('aria-label') || document.activeElement?.textContent || ''"
        )
        reached.add(what.strip())
    wanted = {
        "New chat",
        "Search chats",
        "List of chats",
        "Copy",
        "Edit",
        "Regenerate",
        "Continue",
        "Keyboard shortcuts",
        "hello",
    }
    assert wanted - reached == set()


async def test_default_and_notebook_write_continue_stop_and_undo(site: Site, page: Page) -> None:
    rules = [{"contains": "slow", "reply": " word" * 300}, {"contains": "rain", "reply": " falls down"}]
    await site.load(rules=rules, delay=0.01)
    await open_tab(page, "default")
    await page.fill("#default-prompt textarea", "The rain")
    await page.click("#default-generate")
    await expect(page.locator("#default-output textarea")).to_have_value(" falls down")
    await expect(page.locator("#default-line")).to_contain_text("tok/s")
    await expect(page.locator("#default-continue")).to_be_enabled()
    await page.click("#default-continue")
    await expect(page.locator("#default-output textarea")).to_have_value(" falls down falls down")
    await expect(page.locator("#default-continue")).to_be_enabled()
    await page.click("#default-undo")
    await expect(page.locator("#default-output textarea")).to_have_value(" falls down")
    await open_tab(page, "notebook")
    await page.fill("#notebook-text textarea", "slow")
    await page.click("#notebook-generate")
    await page.wait_for_function("document.querySelector('#notebook-text textarea').value.length > 40")
    await page.click("#notebook-stop")
    await expect(page.locator("#notebook-generate")).to_be_enabled()
    await page.wait_for_timeout(800)
    written = await page.input_value("#notebook-text textarea")
    assert written.startswith("slow word word") and len(written) < 1400
    await page.reload()
    await page.wait_for_selector("#message", state="attached")
    await open_tab(page, "notebook")
    await expect(page.locator("#notebook-text textarea")).to_have_value(written)
    assert not site.services.models.active


async def test_under_a_text_are_its_tokens_and_what_else_could_have_stood_there(site: Site, page: Page) -> None:
    await site.load(reply=" down", n_ctx=256)
    await open_tab(page, "default")
    await page.fill("#default-prompt textarea", "The rain falls")
    await page.fill("#default-output textarea", " down")
    await page.click("#default-tokens > button")
    tokens = page.locator("#default-tokens-strip .token")
    await expect(tokens.last).to_be_visible()
    shown = "".join(await tokens.all_inner_texts()).replace("·", " ")
    assert shown.endswith("The rain falls down")
    written = await page.locator("#default-tokens-strip .token.drawn").all_inner_texts()
    assert "".join(written).replace("·", " ") == " down", "what the model wrote is marked"
    count = await tokens.count()
    await expect(page.locator("#default-tokens-meter .meter-text")).to_have_text(f"{count} of 256 tokens")
    await tokens.last.click()
    chosen = page.locator("#default-tokens-bars .is-chosen .token")
    await expect(chosen).to_have_text(await tokens.last.inner_text())
    await expect(page.locator("#default-tokens-line")).to_contain_text(f"Token {count} of {count}")
    await page.keyboard.press("Home")
    await expect(page.locator("#default-tokens-line")).to_contain_text("where the text begins")
    await expect(chosen).to_have_count(0)
    await page.fill("#default-output textarea", "")
    await page.fill("#default-prompt textarea", "")
    await page.click("#default-tokens-read")
    await expect(page.locator("#default-tokens-line")).to_contain_text("no text yet")
    await site.services.models.unload()
    await page.click("#default-tokens-read")
    await expect(page.locator("#default-tokens-line .problem")).to_be_visible()
    await expect(tokens).to_have_count(0)


async def test_a_long_reading_for_one_token_is_told_and_ends_when_another_is_chosen(site: Site, page: Page) -> None:
    await site.load(reply=" down", n_ctx=4096, prompt_delay=0.02)
    await open_tab(page, "default")
    await page.fill("#default-prompt textarea", "The rain falls on the roof. " * 120)
    await page.click("#default-tokens > button")
    tokens = page.locator("#default-tokens-strip .token")
    await tokens.last.click()
    line = page.locator("#default-tokens-line")
    await expect(line).to_contain_text("Reading the prompt")
    assert site.services.models.active == 1
    await tokens.nth(1).click()
    await expect(line).to_contain_text("Token 2 of")
    await tokens.last.click()
    await expect(line).to_contain_text("Reading the prompt")
    await page.goto("about:blank")
    for _ in range(100):
        if not site.services.models.active:
            break
        await asyncio.sleep(0.1)
    assert not site.services.models.active, "a page that left is not read for"


async def test_the_head_lies_over_what_is_scrolled_and_each_tab_keeps_its_place(site: Site, visit: Visit) -> None:
    page = await visit(width=390, height=500)
    await open_tab(page, "parameters")
    await page.wait_for_timeout(500)
    await page.evaluate("() => window.scrollTo(0, 700)")
    over = """() => [...document.querySelectorAll('#tab-parameters *')].every((node) => {
      const { left, top } = node.getBoundingClientRect();
      return top < 44 || top > 82 || !document.elementsFromPoint(left + 2, top + 1)[0]?.closest('#tab-parameters');
    })"""
    assert await page.evaluate(over)
    await open_tab(page, "session")
    assert await page.evaluate("() => window.scrollY") == 0
    await open_tab(page, "parameters")
    await page.wait_for_function("() => window.scrollY === 700")


async def test_session_shows_what_is_in_force_and_no_secret(site: Site, page: Page) -> None:
    await open_tab(page, "session")
    session = page.locator("#session")
    await expect(session).to_contain_text("llama-cpp-python")
    await expect(session).to_contain_text(str(site.settings.port))
    await expect(session).to_contain_text("RAM of this machine")
