"""Chat as people use it, in a real browser on the scripted engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from tests.tabs.conftest import Site, Visit, replied, restarted, say
from webui.types import LoadSpec

pytestmark = pytest.mark.browser

MARKDOWN = "**Bold** and `code`:\n\n```python\nprint('hi')\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nПривет, 世界 🙂!"


async def test_a_reply_streams_is_drawn_and_says_how_it_was_made(site: Site, page: Page) -> None:
    await site.load(reply=MARKDOWN, delay=0.01)
    await say(page, "hello")
    await replied(page)
    body = page.locator(".message.assistant .body")
    await expect(body.locator("strong")).to_have_text("Bold")
    await expect(body.locator("pre code")).to_contain_text("print('hi')")
    await expect(body.locator("td")).to_have_text(["1", "2"])
    await expect(body).to_contain_text("Привет, 世界 🙂!")
    figures = await page.locator(".figures .figure").all_inner_texts()
    assert any("tok/s" in text for text in figures)
    assert any("first after" in text for text in figures)
    assert any("of 4096" in text for text in figures)
    assert "end of turn" in figures
    assert any(text.startswith("seed ") for text in figures)


async def test_enter_sends_and_shift_enter_breaks_the_line(site: Site, page: Page) -> None:
    await site.load(reply="ok")
    await page.focus("#message")
    await page.keyboard.type("one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("two")
    assert await page.input_value("#message") == "one\ntwo"
    await page.keyboard.press("Enter")
    await replied(page)
    assert await page.inner_text(".message.user .body") == "one\ntwo"
    assert await page.input_value("#message") == ""


async def test_the_page_works_while_the_model_loads(site: Site, page: Page) -> None:
    loading = asyncio.create_task(site.load(reply="here I am", load_seconds=6.0))
    await page.wait_for_selector('#status .piece[data-stage="loading"]')
    await say(page, "early bird")
    await expect(page.locator(".message.live .stage")).to_contain_text("Waiting for the model")
    assert "here I am" in await replied(page)
    await loading


async def test_chats_and_drafts_are_there_after_reload_and_restart(site: Site, page: Page) -> None:
    await site.load(reply="remember me")
    await say(page, "first chat")
    await replied(page)
    await page.click("#new-chat")
    await say(page, "second chat")
    await replied(page)
    await page.fill("#message", "not sent yet")
    await page.wait_for_timeout(900)
    await page.reload()
    await expect(page.locator(".message.user .body")).to_have_text("second chat")
    assert await page.input_value("#message") == "not sent yet"
    await restarted(site, page)
    await expect(page.locator(".message.user .body")).to_have_text("second chat")
    await expect(page.locator(".message.assistant .body")).to_have_text("remember me")
    assert await page.input_value("#message") == "not sent yet"
    await page.click("#chat-list .open >> text=first chat")
    await expect(page.locator(".message.user .body")).to_have_text("first chat")


async def test_stop_keeps_what_is_there(site: Site, page: Page) -> None:
    await site.load(reply="word " * 400, delay=0.02)
    await say(page, "go")
    await page.wait_for_function("document.querySelector('.message.live .tail')?.textContent.length > 40")
    await page.click("#stop")
    text = await replied(page)
    assert text.startswith("word word") and len(text) < 2000
    await expect(page.locator(".figure >> text=stopped")).to_be_visible()
    assert not site.services.models.active


async def test_a_reload_in_the_middle_of_a_reply_loses_nothing(site: Site, page: Page) -> None:
    await site.load(reply=" ".join(str(n) for n in range(150)), delay=0.02)
    await say(page, "count")
    await page.wait_for_function("document.querySelector('.message.live .tail')?.textContent.includes('20')")
    await page.reload()
    assert await replied(page) == " ".join(str(n) for n in range(150))


async def test_versions_and_branches(site: Site, page: Page) -> None:
    await site.load(rules=[{"contains": "changed", "reply": "to the changed one"}], reply="to the first one")
    await say(page, "original")
    await replied(page)
    await page.hover(".message.assistant")
    await page.click(".message.assistant >> role=button[name='Regenerate']")
    await expect(page.locator(".message.assistant .versions")).to_have_text("2/2")
    await replied(page)
    await page.click(".message.assistant >> role=button[name='Previous version']")
    await expect(page.locator(".message.assistant .versions")).to_have_text("1/2")
    await page.hover(".message.user")
    await page.click(".message.user >> role=button[name='Edit']")
    assert await page.input_value("#message") == "original"
    await say(page, "changed")
    await expect(page.locator(".message.user .versions")).to_have_text("2/2")
    assert await replied(page) == "to the changed one"
    await page.hover(".message.user")
    await page.click(".message.user >> role=button[name='Previous version']")
    await expect(page.locator(".message.assistant .body")).to_have_text("to the first one")
    await expect(page.locator(".message.assistant .versions")).to_have_text("1/2")


async def test_continue_writes_on(site: Site, page: Page) -> None:
    await site.load(reply="and on ")
    await say(page, "go")
    await replied(page)
    await page.keyboard.press("Escape")
    await page.hover(".message.assistant")
    await page.click("role=button[name='Continue']")
    await page.wait_for_function(
        "document.querySelector('.message.assistant .body')?.textContent.includes('and on and on')"
    )
    await replied(page)


async def test_the_list_of_chats_finds_renames_deletes_and_takes_back(site: Site, page: Page) -> None:
    await site.load(reply="ответ про Ёжика")
    for text in ("about cats", "про собак"):
        await page.click("#new-chat")
        await say(page, text)
        await replied(page)
    await page.fill("#chat-search", "собак")
    await expect(page.locator("#chat-list .open .title")).to_have_text(["про собак"])
    await page.fill("#chat-search", "ёжика")
    await expect(page.locator("#chat-list .open")).to_have_count(2)
    await page.fill("#chat-search", "")
    row = page.locator("#chat-list li", has_text="about cats")
    await row.hover()
    await row.locator("role=button[name='Rename “about cats”']").click()
    await page.keyboard.type("Felines")
    await page.keyboard.press("Enter")
    await expect(page.locator("#chat-list .open .title")).to_contain_text(["про собак", "Felines"])
    row = page.locator("#chat-list li", has_text="Felines")
    await row.hover()
    await row.locator("role=button[name='Delete “Felines”']").click()
    await expect(page.locator("#chat-list .open")).to_have_count(1)
    await page.click("#lab-toasts >> text=Undo")
    await expect(page.locator("#chat-list .open")).to_have_count(2)


async def test_a_killed_engine_costs_one_sentence(site: Site, page: Page, tmp_path: object) -> None:
    fault = {"at": "token", "after": 12, "how": "SIGKILL", "contains": "please crash"}
    await site.load(reply="one two three four five six seven eight nine ten " * 3, delay=0.02, faults=[fault])
    await say(page, "please crash")
    text = await replied(page)
    assert text.startswith("one two three")
    await expect(page.locator(".message.assistant .problem")).to_contain_text("engine")
    await page.click("#new-chat")
    await say(page, "be nice")
    assert (await replied(page)).startswith("one two three")
    await expect(page.locator(".message.assistant .problem")).to_have_count(0)


async def test_two_pages_two_chats_at_once(site: Site, visit: Visit) -> None:
    rules = [{"contains": "left", "reply": "L " * 120}, {"contains": "right", "reply": "R " * 120}]
    await site.load(rules=rules, delay=0.01)
    left, right = await visit(), await visit()
    await left.click("#new-chat")
    await right.click("#new-chat")
    await say(left, "left")
    await say(right, "right")
    assert set((await replied(left)).split()) == {"L"}
    assert set((await replied(right)).split()) == {"R"}
    await left.reload()
    await expect(left.locator(".message.user .body")).to_have_text("left")


async def test_without_a_model_the_page_says_what_to_do(page: Page) -> None:
    await expect(page.locator("#blank")).to_contain_text("No model is loaded")
    await say(page, "anybody?")
    await expect(page.locator("#lab-toasts")).to_contain_text("Model tab")
    assert await page.input_value("#message") == "anybody?", "what was typed is still there"
    await page.click("#blank >> text=Open the Model tab")
    await expect(page.locator("#model")).to_be_visible()


async def test_a_long_message_to_a_small_context_is_explained(site: Site, page: Page) -> None:
    await site.load(reply="ok", n_ctx=256)
    await say(page, "word " * 600)
    await replied(page)
    await expect(page.locator(".message.assistant .problem")).to_contain_text("256")


async def test_the_starting_page_has_nothing_to_hide(page: Page) -> None:
    """No request elsewhere, empty localStorage, no errors: checked for every page; here also by name."""
    assert await page.evaluate("() => localStorage.length") == 0
    hosts = await page.evaluate("() => performance.getEntriesByType('resource').map(e => new URL(e.name).host)")
    assert set(hosts) == {await page.evaluate("() => location.host")}


async def test_what_is_typed_while_a_chat_opens_is_not_lost(site: Site, page: Page) -> None:
    await site.load(reply="ok")
    answers = asyncio.Event()

    async def hold(route: Route) -> None:
        await answers.wait()
        await route.continue_()

    await page.route("**/component_server**", hold)
    await page.reload()
    await page.focus("#message")
    await page.keyboard.type("typed early")
    answers.set()
    await page.wait_for_selector("#blank")
    assert await page.input_value("#message") == "typed early"
    await page.keyboard.press("Enter")
    await expect(page.locator(".message.user .body")).to_have_text("typed early")
    assert await page.input_value("#message") == ""


@pytest.mark.model
async def test_the_starter_model_answers_and_every_token_can_be_explained(
    site: Site, page: Page, starter_path: Path
) -> None:
    await site.services.models.load(LoadSpec(path=str(starter_path), name="SmolLM2", n_ctx=1024, threads=2))
    site.services.preferences.set(seed=3, max_tokens=12)
    await say(page, "Write one short sentence about rain.")
    text = await replied(page)
    assert len(text.split()) >= 2
    await expect(page.locator(".figure.seed")).to_have_text("seed 3")
    await page.hover(".message.assistant")
    await page.click(".message.assistant >> role=button[name='How each token was chosen']")
    tokens = page.locator(".explain .token[role=option]")
    await expect(tokens.first).to_be_visible()
    pieces = await tokens.all_text_contents()
    assert "".join(pieces).replace("·", " ").replace("↵", "\n").strip().startswith(text.split()[0])
    await tokens.nth(1).click()
    await expect(page.locator(".explain .candidate").nth(4)).to_be_visible()
    await expect(page.locator(".explain .is-chosen")).to_have_count(1)
    shown = await page.locator(".explain .candidate .number:not(.final)").all_text_contents()
    shares = [float(number.replace("<", "")) for number in shown]
    assert shares == sorted(shares, reverse=True) and sum(shares) <= 100.5
