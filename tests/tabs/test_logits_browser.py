"""The Logits tab in a real browser: what stands on the page beside numpy, and everything a hand can do there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.async_api import Locator, Page, expect

from tests.lab import reference
from tests.tabs.conftest import Site, Visit, open_tab
from webui.hub.library import Library
from webui.lab.export import ModelFacts, Saved, to_json
from webui.lab.walk import Tree
from webui.samplers import BALANCED, Chain
from webui.tabs.words import load as load_words
from webui.types import GenerationRequest, LoadSpec, Token

pytestmark = pytest.mark.browser

PROMPT = "the quick brown fox"
PATIENCE = 120_000
"""Milliseconds: reading a prompt and writing 20 tokens with a real model take long where other tests run beside."""
AXE = Path(__file__).parent / "axe" / "axe.min.js"


def read(text: str) -> float:
    """A number off the page: a share in percent, thousands set apart, either decimal sign."""
    plain = text.strip().replace("\u202f", "").replace(",", ".").replace("−", "-").lstrip("<>")
    return float(plain.rstrip("%")) / 100 if plain.endswith("%") else float(plain)


async def load(site: Site, **options: Any) -> None:
    """The scripted engine learns words as it sees them; here it must know them before its vocabulary is read."""
    await site.load(**options)
    await site.services.models.tokenize(
        f"{PROMPT} {options.get('reply', '')} sent from the notebook default how are you"
    )


async def look(site: Site, page: Page, prompt: str = PROMPT) -> NDArray[np.float64]:
    """Look at a prompt; the model's own probabilities, from its row and numpy alone."""
    page.set_default_timeout(PATIENCE)
    await open_tab(page, "logits")
    await page.wait_for_selector("#logits-prompt")
    await page.wait_for_function("() => Lab.model?.stage === 'ready'")
    await page.fill("#logits-prompt", prompt)
    await page.click("#logits-look")
    await page.wait_for_selector(".piece-logits.looked:not(.moving)")
    await expect(page.locator("#logits-strip .piece-token").last).to_have_text(f"·{prompt.split()[-1]}")
    _, row = await site.services.models.logits(prompt)
    return reference.softmax(row)


async def settled(page: Page) -> None:
    """Wait until the page has drawn the newest answer."""
    await page.wait_for_timeout(150)
    await page.wait_for_function("() => !document.querySelector('.piece-logits').dataset.busy")


def stage(page: Page, name: str) -> Locator:
    return page.locator(f"#logits-funnel .stage[data-name={name}]")


async def slide(page: Page, name: str, value: float) -> None:
    """Move a stage's first slider, as a hand would: an input event at every place on the way."""
    await (
        stage(page, name)
        .locator("input[type=range]")
        .first.evaluate(
            "(node, value) => { node.value = value; node.dispatchEvent(new Event('input', {bubbles: true})); }", value
        )
    )


async def bars(page: Page) -> list[dict[str, Any]]:
    rows = await page.locator("#logits-bars .bar:not(.others)").all()
    return [
        {
            "token": int(await row.get_attribute("data-token") or -1),
            "raw": await row.locator(".raw").inner_text(),
            "final": await row.locator(".final").inner_text(),
            "fate": await row.locator(".fate").inner_text(),
        }
        for row in rows
    ]


def balanced(p: NDArray[np.float64], min_p: float = 0.05, temperature: float = 0.8) -> list[NDArray[np.float64]]:
    """The default chain, step by step."""
    top_k = reference.after_top_k(p, 40)
    top_p = reference.after_top_p(top_k, 0.95)
    cut = reference.after_min_p(top_p, min_p)
    return [p, top_k, top_p, cut, reference.after_temperature(cut, temperature)]


async def test_every_number_on_the_page_is_numpys(site: Site, page: Page) -> None:
    await load(site, sharpness=2.5)
    p = await look(site, page)
    steps = balanced(p)
    shown = await bars(page)
    order = np.argsort(-p, kind="stable")
    assert [bar["token"] for bar in shown] == order[:20].tolist()
    for bar in shown:
        raw, final = p[bar["token"]], steps[-1][bar["token"]]
        assert read(bar["raw"]) == pytest.approx(raw, rel=0.06, abs=6e-6)
        assert (bar["final"] != "") == (final > 0)
        if final > 0:
            assert read(bar["final"]) == pytest.approx(final, rel=0.06, abs=6e-6) and bar["fate"] == ""
    others = page.locator("#logits-bars .others")
    assert read(await others.locator(".raw").inner_text()) == pytest.approx(1 - p[order[:20]].sum(), abs=6e-4)
    for name, before, after in zip(("top_k", "top_p", "min_p"), steps, steps[1:], strict=False):
        cells = stage(page, name)
        counts = [int(round(np.count_nonzero(one))) for one in (before, after)]
        told = (await cells.locator(".figures .in").inner_text()).replace("\u202f", "").split(" → ")
        assert [int(one) for one in told] == (counts if counts[0] != counts[1] else counts[:1])
        cut = await cells.locator(".figures .cut").inner_text()
        assert read(cut or "0 %") == pytest.approx(before[after == 0].sum(), abs=6e-4)
        bits = [float(one) for one in (await cells.locator(".figures .bits").inner_text()).split(" → ")]
        assert bits[-1] == pytest.approx(reference.bits(after), abs=0.0051)
        assert bits[0] == pytest.approx(reference.bits(before), abs=0.0051)
    end = page.locator("#logits-funnel .end")
    assert int(await end.locator(".in").inner_text()) == np.count_nonzero(steps[-1])
    assert read(await end.locator(".choices").inner_text()) == pytest.approx(2 ** reference.bits(steps[-1]), rel=0.01)


async def test_a_slider_moves_everything_and_asks_no_model(site: Site, page: Page) -> None:
    await load(site, sharpness=2.0)
    p = await look(site, page)
    calls = 0
    ask = site.services.models.logits

    async def counted(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        return await ask(*args, **more)

    site.services.models.logits = counted  # type: ignore[method-assign]
    for value in (0.3, 0.02, 0.6):
        await slide(page, "min_p", value)
        kept = np.count_nonzero(balanced(p, min_p=value)[-1])
        await expect(page.locator("#logits-funnel .end .in")).to_have_text(str(kept))
    for value in range(100):
        await slide(page, "temperature", 0.5 + value / 100)
    await settled(page)
    final = balanced(p, min_p=0.6, temperature=1.49)[-1]
    best = int(final.argmax())
    row = page.locator(f'#logits-bars .bar[data-token="{best}"] .final')
    assert read(await row.inner_text()) == pytest.approx(final[best], rel=0.01)
    assert calls == 0
    assert await stage(page, "temperature").locator("input[type=number]").first.input_value() == "1.49"


async def test_an_open_stage_explains_itself_and_draws_its_limit(site: Site, page: Page) -> None:
    await load(site, sharpness=2.0)
    p = await look(site, page)
    card = stage(page, "min_p")
    await card.locator(".name").click()
    given = balanced(p)[2]
    limit = 0.05 * given.max()
    await expect(card.locator(".formula")).to_have_text("p ≥ 0.05 · p_max")
    said = await card.locator(".now").inner_text()
    assert read(said.split("= ")[-1]) == pytest.approx(limit, rel=0.02)
    line = page.locator(".limit-line")
    await expect(line).to_be_visible()
    assert read((await line.inner_text()).split(": ")[1]) == pytest.approx(limit, rel=0.02)
    where = await page.evaluate(
        """() => { const line = document.querySelector('.limit-line').getBoundingClientRect();
            const track = document.querySelector('#logits-bars .track').getBoundingClientRect();
            const ticks = [...document.querySelectorAll('.axis .track span')].map((one) => one.textContent);
            return [(line.left - track.left) / track.width, ticks[ticks.length - 1]]; }"""
    )
    assert where[0] == pytest.approx(limit / read(where[1]), abs=0.01)
    for bar in await bars(page):
        if given[bar["token"]] > 0:
            assert read(bar["raw"]) == pytest.approx(given[bar["token"]], rel=0.06, abs=6e-6)
            assert (bar["fate"] == "Min-p") == (given[bar["token"]] < limit)
    assert await card.locator(".mini-picture rect.kept").count() == np.count_nonzero(given >= limit)
    await card.locator(".name").click()
    await expect(line).to_be_hidden()


async def test_stages_are_switched_added_doubled_removed_and_come_back(site: Site, page: Page) -> None:
    await load(site, sharpness=2.0)
    await look(site, page)
    names = page.locator("#logits-funnel .stage .name > span")
    before = await names.all_inner_texts()
    card = stage(page, "min_p")
    await card.locator(".toggle").click()
    await expect(card.locator(".off-word")).to_be_visible()
    await expect(card.locator(".figures .in")).to_have_text("")
    await card.locator(".toggle").click()
    assert await card.locator("input[type=number]").first.input_value() == "0.05", "its value is remembered"
    await card.locator(".name").click()
    await card.get_by_role("button", name="Duplicate").click()
    await expect(names).to_have_count(len(before) + 1)
    await stage(page, "min_p").nth(1).get_by_role("button", name="Remove").click()
    await expect(names).to_have_count(len(before))
    await page.locator("#lab-toasts").get_by_role("button", name="Undo").click()
    await expect(names).to_have_count(len(before) + 1)
    await page.select_option("#logits-add", "dry")
    await expect(stage(page, "dry").locator(".did")).to_contain_text("touched 0 tokens")
    assert await names.count() == len(before) + 1, "it was there, but off"
    await page.select_option("#logits-add", "dry")
    await page.select_option("#logits-add", "logit_bias")
    told = await page.locator("#logits-funnel .stage").evaluate_all("nodes => nodes.map((node) => node.dataset.name)")
    assert told[:6] == [
        "logit_bias", "repetition_penalty", "frequency_penalty", "presence_penalty", "dry", "dry",
    ]  # fmt: skip
    await page.click("#logits-balanced")
    await expect(names).to_have_text(before)


async def test_the_order_changes_by_hand_and_by_key_and_matters(site: Site, page: Page) -> None:
    await load(site, sharpness=2.0)
    p = await look(site, page)
    await slide(page, "temperature", 2.0)
    handle = stage(page, "temperature").locator(".handle")
    await handle.focus()
    await page.keyboard.press("Home")
    first = page.locator("#logits-funnel .stage").first
    await expect(first).to_have_attribute("data-name", "temperature")
    assert await page.evaluate("document.activeElement.className") == "handle"
    warm = reference.after_temperature(p, 2.0)
    changed = reference.after_min_p(reference.after_top_p(reference.after_top_k(warm, 40), 0.95), 0.05)
    await expect(page.locator("#logits-funnel .end .in")).to_have_text(str(np.count_nonzero(changed)))
    await handle.scroll_into_view_if_needed()
    box, target = await first.locator(".handle").bounding_box(), await stage(page, "top_p").bounding_box()
    assert box and target
    await page.mouse.move(box["x"] + 8, box["y"] + 10)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 8, target["y"] + target["height"] * 0.3, steps=8)
    await page.mouse.move(box["x"] + 8, target["y"] + target["height"] * 0.7, steps=4)
    await page.mouse.up()
    order = await page.locator("#logits-funnel .stage").evaluate_all("nodes => nodes.map((node) => node.dataset.name)")
    assert order.index("temperature") == order.index("top_p") + 1
    dragged = reference.after_top_p(reference.after_top_k(p, 40), 0.95)
    dragged = reference.after_min_p(reference.after_temperature(dragged, 2.0), 0.05)
    await expect(page.locator("#logits-funnel .end .in")).to_have_text(str(np.count_nonzero(dragged)))


async def test_any_token_can_be_found(site: Site, page: Page) -> None:
    await load(site, sharpness=2.0)
    p = await look(site, page)
    order = np.argsort(-p, kind="stable")
    token = int(order[3000])
    read, go_on = site.services.models.pieces, asyncio.Event()

    async def slow(*args: Any, **more: Any) -> list[str]:
        await go_on.wait()
        return await read(*args, **more)

    site.services.models.pieces = slow  # type: ignore[method-assign]
    await page.fill("#logits-find", f"#{token}")
    found = page.locator("#logits-found li").first
    await expect(found).to_contain_text("Reading the 4\u202f096 tokens of the vocabulary")
    go_on.set()
    await expect(found).to_contain_text("rank 3\u202f001 of 4\u202f096")
    await expect(found.locator(".fate")).to_have_text("cut by Top-k (stage 6)")
    await page.fill("#logits-find", "fox")
    await expect(page.locator("#logits-found .token").first).to_have_text("·fox")
    await page.fill("#logits-find", "nosuchtoken")
    await expect(page.locator("#logits-found .none")).to_be_visible()
    await page.press("#logits-find", "Escape")
    await expect(page.locator("#logits-found li")).to_have_count(0)


async def test_draws_come_near_the_probabilities_and_the_seed_repeats_them(site: Site, page: Page) -> None:
    await load(site, sharpness=2.0)
    p = await look(site, page)
    final = balanced(p)[-1]
    await page.fill("#logits-seed", "42")
    await page.click("#logits-draws [data-amount='10000']")
    rows = page.locator("#logits-drawn li[data-token]")
    await expect(rows.first).to_be_visible()
    counts = {
        int(await row.get_attribute("data-token") or -1): int(await row.get_attribute("data-count") or -1)
        for row in await rows.all()
    }
    for token, count in counts.items():
        assert count == pytest.approx(10_000 * final[token], abs=5 * (10_000 * final[token]) ** 0.5 + 1)
    await page.fill("#logits-seed", "43")
    await expect(page.locator("#logits-told")).to_contain_text("Seed 43 takes")
    await page.fill("#logits-seed", "42")
    await expect(page.locator("#logits-told")).to_contain_text("Seed 42 takes")
    again = {
        int(await row.get_attribute("data-token") or -1): int(await row.get_attribute("data-count") or -1)
        for row in await rows.all()
    }
    assert again == counts
    drawn = await page.locator("#logits-drawn .first").get_attribute("data-token")
    marked = page.locator("#logits-bars .bar.is-chosen")
    if any(bar["token"] == int(drawn or -1) for bar in await bars(page)):
        assert await marked.evaluate_all("nodes => nodes.map((node) => node.dataset.token)") == [drawn]
        await expect(marked.locator(".fate")).to_have_text("◆ drawn")
    else:
        await expect(page.locator("#logits-bars .others .fate")).to_contain_text("◆ ")
    await slide(page, "temperature", 1.5)
    await expect(marked).to_have_count(0)
    await expect(page.locator("#logits-draws")).to_have_class("draws card stale")


async def test_a_walk_goes_on_back_and_branches(site: Site, page: Page) -> None:
    await load(site, sharpness=2.0)
    p = await look(site, page)
    second = int(np.argsort(-p, kind="stable")[1])
    await page.locator("#logits-bars .bar .token").nth(1).click()
    steps = page.locator("#logits-strip .step:not(.root, .ahead)")
    await expect(steps).to_have_count(1)
    tokens, _ = await site.services.models.logits(PROMPT)
    _, row = await site.services.models.logits(tokens, add_bos=False, written=[second])
    q = reference.softmax(row)
    first = page.locator("#logits-bars .bar").first
    await expect(first).to_have_attribute("data-token", str(int(q.argmax())))
    assert read(await first.locator(".raw").inner_text()) == pytest.approx(q.max(), rel=0.06)
    await page.locator("#logits-bars .bar .token").first.click()
    await expect(steps).to_have_count(2)
    said = await page.inner_text("#logits-product")
    assert said.startswith("2 tokens: ")
    share = said.split("tokens: ")[1].split(" by the model")[0]
    if "10" not in share:
        assert read(share) == pytest.approx(p[second] * q.max(), rel=0.06)
    await page.click("#logits-back")
    await expect(steps).to_have_count(1)
    await page.locator("#logits-bars .bar .token").nth(2).click()
    await expect(page.locator("#logits-branches li")).to_have_count(2)
    marks = page.locator("#logits-bars .bar.is-chosen")
    await page.keyboard.press("Alt+ArrowLeft")
    await expect(steps).to_have_count(1)
    await expect(marks).to_have_count(2)
    await expect(marks.first.locator(".fate")).to_have_text("◇ taken by you")
    await page.keyboard.press("Alt+ArrowRight")
    await expect(steps).to_have_count(2)
    await page.keyboard.press("Alt+ArrowRight")
    await expect(page.locator("#logits-strip .step.drawn")).to_have_count(1)
    await page.keyboard.press("Alt+ArrowLeft")
    await expect(marks.locator(".fate")).to_have_text(["◆ drawn"])
    await page.locator("#logits-branches li").first.locator(".step").last.click()
    await expect(steps).to_have_count(2)
    await slide(page, "min_p", 0.3)
    await settled(page)
    left = await page.inner_text("#logits-funnel .end .in")
    await page.reload()
    await open_tab(page, "logits")
    await expect(steps).to_have_count(2)
    await expect(page.locator("#logits-funnel .end .in")).to_have_text(left)
    assert await stage(page, "min_p").locator("input[type=number]").first.input_value() == "0.3"
    await steps.last.focus()
    await page.keyboard.press("Home")
    await page.keyboard.press("Enter")
    await expect(steps).to_have_count(0)
    await expect(page.locator("#logits-strip .ahead")).to_have_count(2)
    assert await page.evaluate("document.activeElement.dataset.node") == "0", "the focus stays in the strip"
    await page.keyboard.press("End")
    await page.keyboard.press("Enter")
    await expect(steps).to_have_count(2)
    await expect(page.locator("#logits-bars .token[tabindex='0']")).to_have_count(1)


async def test_writing_on_keeps_every_step_open(site: Site, page: Page) -> None:
    await load(site, sharpness=2.0)
    await look(site, page)
    await page.click("#logits-write")
    steps = page.locator("#logits-strip .step:not(.root, .ahead)")
    await page.wait_for_function("() => document.querySelector('#logits-write').textContent === 'Write 20 tokens'")
    count = await steps.count()
    assert 0 < count <= 20
    tokens, _ = await site.services.models.logits(PROMPT)
    told = [await step.get_attribute("title") or "" for step in await steps.all()]
    ids = [int(one.split(",")[0].removeprefix("#")) for one in told]
    assert all("Drawn by the chain." in one for one in told)
    place = count // 2
    await steps.nth(place - 1).click()
    await expect(steps).to_have_count(place)
    _, row = await site.services.models.logits(tokens, add_bos=False, written=ids[:place])
    best = int(row.argmax())
    await expect(page.locator("#logits-bars .bar").first).to_have_attribute("data-token", str(best))
    await expect(page.locator("#logits-branches li")).to_have_count(1)


async def test_a_look_is_saved_and_opens_again_without_a_model(site: Site, page: Page, tmp_path: Path) -> None:
    await load(site, sharpness=2.0)
    await look(site, page)
    await slide(page, "min_p", 0.2)
    await page.locator("#logits-bars .bar .token").first.click()
    await expect(page.locator("#logits-strip .step:not(.root, .ahead)")).to_have_count(1)
    await settled(page)
    before = await bars(page)
    for name, start in (("json", b"{"), ("csv", b"\xef\xbb\xbfrank"), ("png", b"\x89PNG")):
        await page.click("#logits-save")
        async with page.expect_download() as waiting:
            await page.click(f"#logits-{name}")
        await (await waiting.value).save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    await site.services.models.unload()
    await page.click("#logits-balanced")
    await page.set_input_files(".piece-logits input[type=file]", tmp_path / "json")
    await expect(page.locator("#lab-toasts")).to_contain_text("Scripted")
    await settled(page)
    assert await bars(page) == before
    assert await stage(page, "min_p").locator("input[type=number]").first.input_value() == "0.2"


async def test_hostile_texts_are_only_text(site: Site, page: Page, tmp_path: Path) -> None:
    evil = [
        "<img src=x onerror=alert(1)>",
        "</script><b>x</b>",
        "\u202eevil\u0000",
        "{{7*7}}${alert(1)}",
        '" onmouseover="x',
    ]
    texts = {n: evil[n % len(evil)] for n in range(300)}
    saved = Saved(
        ModelFacts(evil[0], 300), evil[1], Tree((1, 2, 3)), Chain.parse([["top_k", {"top_k": 9}]]).steps, 5,
        {0: reference.example_row(300)}, texts,
    )  # fmt: skip
    (tmp_path / "evil.json").write_text(to_json(saved), encoding="utf-8")
    await open_tab(page, "logits")
    await page.wait_for_selector("#logits-prompt")
    await page.set_input_files(".piece-logits input[type=file]", tmp_path / "evil.json")
    await page.wait_for_selector(".piece-logits.looked")
    await stage(page, "top_k").locator(".name").click()
    await page.click("#logits-draws [data-amount='100']")
    await page.fill("#logits-find", "img")
    await expect(page.locator("#logits-found .token").first).to_have_text("<img·src=x·onerror=alert(1)>")
    shown = await page.locator("#logits-bars .token").all_inner_texts()
    assert any("⟨202E⟩evil␀" in text for text in shown) and any("{{7*7}}${alert(1)}" in text for text in shown)
    assert await page.locator(".piece-logits img, .piece-logits script").count() == 0


async def test_the_chain_goes_to_chat_and_comes_from_parameters(site: Site, page: Page) -> None:
    await load(site, sharpness=2.0)
    await look(site, page)
    await slide(page, "min_p", 0.33)
    await page.click("#logits-keep")
    await expect(page.locator("#lab-toasts")).to_contain_text("Chat uses this chain now")
    kept = dict((name, values) for name, values in site.services.preferences["chain"])
    assert kept["min_p"]["min_p"] == 0.33
    await page.click("#logits-balanced")
    await page.click("#logits-fetch")
    await expect(stage(page, "min_p").locator("input[type=number]").first).to_have_value("0.33")


async def test_texts_are_sent_here_from_other_tabs(site: Site, page: Page) -> None:
    await load(site, reply="a reply", sharpness=8.0)
    await open_tab(page, "notebook")
    await page.fill("#notebook-text textarea", "sent from the notebook")
    await page.click("#notebook-look")
    await expect(page.locator("#logits-strip .piece-token").last).to_have_text("·notebook")
    await open_tab(page, "default")
    await page.fill("#default-prompt textarea", "sent from")
    await page.fill("#default-output textarea", " the default")
    await page.click("#default-look")
    await expect(page.locator("#logits-prompt")).to_have_value("sent from the default")
    await expect(page.locator("#logits-strip .piece-token").last).to_have_text("·default")
    await open_tab(page, "chat")
    await page.fill("#message", "how are you")
    await page.press("#message", "Enter")
    await page.wait_for_selector(".message.assistant:not(.live) .actions")
    await page.locator(".message.assistant").hover()
    await page.locator('.message.assistant button[aria-label="See how this reply was chosen"]').click()
    await page.wait_for_function("() => document.querySelector('#logits-prompt').value.includes('how are you')")
    await expect(page.locator("#logits-bars .bar .token").first).to_have_text("a")


async def test_without_a_model_the_page_says_what_to_do(page: Page) -> None:
    await open_tab(page, "logits")
    await expect(page.locator(".piece-logits .note")).to_contain_text("No model is loaded")
    await expect(page.locator("#logits-look")).to_be_disabled()
    await expect(page.locator("#logits-load")).to_be_enabled()


async def test_the_tour_has_five_steps_and_gives_the_focus_back(site: Site, page: Page) -> None:
    await load(site, sharpness=2.0)
    await look(site, page)
    await page.focus("#logits-tour")
    await page.keyboard.press("Enter")
    card = page.locator("#logits-tour-card")
    titles = []
    for _ in range(5):
        titles.append(await card.locator("h4").inner_text())
        box = await card.bounding_box()
        assert box and box["y"] >= 0 and box["y"] + box["height"] <= 800 and box["x"] + box["width"] <= 1280
        await page.keyboard.press("Enter")
    await expect(card).to_have_count(0)
    assert len(set(titles)) == 5
    assert await page.evaluate("document.activeElement.id") == "logits-tour"
    await page.click("#logits-tour")
    await page.keyboard.press("Escape")
    await expect(card).to_have_count(0)


@pytest.mark.parametrize(
    ("width", "locale", "dark"), [(390, "ru-RU", False), (390, "en-US", True), (1440, "ru-RU", True)]
)
async def test_phone_dark_and_russian(site: Site, visit: Visit, width: int, locale: str, dark: bool) -> None:
    await load(site, sharpness=2.0)
    page = await visit(width=width, height=844, locale=locale, dark=dark)
    await look(site, page)
    for name in ("top_p", "xtc"):
        await stage(page, name).locator(".name").click()
    await page.click("#logits-draws [data-amount='100']")
    await page.click("#logits-write")
    await page.wait_for_function("() => document.querySelectorAll('#logits-strip .step').length > 3")
    await settled(page)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    if locale == "ru-RU":
        await expect(page.locator("#logits-look")).to_have_text(load_words("ru")["logits.look"])
        await expect(stage(page, "top_k").locator(".did")).to_contain_text("оставил 40 из 4\u202f096")
        assert "," in await page.locator("#logits-bars .raw").first.inner_text()
    await page.wait_for_function("() => document.querySelector('#logits-write').textContent.length > 6")
    await page.add_script_tag(path=str(AXE))
    found = await page.evaluate(
        "() => axe.run('.piece-logits', {runOnly: ['wcag2a', 'wcag2aa']}).then((r) => r.violations.map((v) => "
        "[v.id, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + ' ' + n.failureSummary.slice(0, 200))]))"
    )
    assert found == [], json.dumps(found, indent=1, ensure_ascii=False)


@pytest.mark.model
async def test_the_real_model_on_the_page_beside_numpy(site: Site, visit: Visit) -> None:
    entry = Library((), starter=True).default()
    assert entry is not None
    await site.services.models.load(LoadSpec(path=str(entry.path), name="Starter", n_ctx=512))
    page = await visit(width=1440, height=900)
    p = await look(site, page, "The capital of France is")
    shown = await bars(page)
    final = balanced(p)[-1]
    assert shown[0]["token"] == int(p.argmax())
    for bar in shown:
        assert read(bar["raw"]) == pytest.approx(p[bar["token"]], rel=0.06, abs=6e-6)
        assert (bar["final"] != "") == (final[bar["token"]] > 0)
    await slide(page, "min_p", 0.02)
    left = np.count_nonzero(balanced(p, 0.02)[-1])
    await expect(page.locator("#logits-funnel .end .in")).to_have_text(str(left))
    await page.fill("#logits-seed", "7")
    await page.click("#logits-write")
    await page.wait_for_function("() => document.querySelector('#logits-write').textContent === 'Write 20 tokens'")
    written = [
        int((await step.get_attribute("title") or "").split(",")[0].removeprefix("#"))
        for step in await page.locator("#logits-strip .step:not(.root, .ahead)").all()
    ]
    steps = [
        (step.sampler, {**step.values, "min_p": 0.02} if step.sampler == "min_p" else step.values) for step in BALANCED
    ]
    request = GenerationRequest(
        prompt="The capital of France is", chain=Chain.parse(steps).steps, max_tokens=20, seed=7, ignore_eos=False
    )
    generated = [event.token async for event in site.services.models.generate(request) if isinstance(event, Token)]
    assert written[: len(generated)] == generated and len(generated) > 5, "what the lab draws is what generates"
    info = site.services.models.status().info
    assert info is not None and set(written[len(generated) :]) <= set(info.end_ids), "it also shows the end"
