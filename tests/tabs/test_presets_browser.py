"""Presets in Parameters, in a real browser: what is chosen is what every tab generates with."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Page, expect

from tests.tabs.conftest import Site
from webui.chosen import chosen_chain
from webui.samplers import Chain
from webui.samplers.presets import Presets
from webui.types import Step

pytestmark = pytest.mark.browser


def in_force(site: Site) -> list[tuple[str, dict[str, object]]]:
    chain = Chain.parse(chosen_chain(site.services.preferences))
    return [(stage.sampler.name, dict(stage.values)) for stage in chain.plan]


def of_steps(steps: tuple[Step, ...]) -> list[tuple[str, dict[str, object]]]:
    return [(stage.sampler.name, dict(stage.values)) for stage in Chain.parse(steps).plan]


async def parameters(page: Page) -> None:
    await page.click("#tab-parameters-button")
    await expect(page.locator("#preset")).to_have_value("Balanced")


async def test_a_chosen_preset_is_the_chain_of_every_tab(site: Site, page: Page) -> None:
    await parameters(page)
    await page.select_option("#preset", "Big O")
    await expect(page.locator("#parameters-chain li.stage:not(.off)[data-name=tfs]")).to_be_visible()
    assert in_force(site) == of_steps(Presets(site.settings.data_dir / "presets").load("Big O").steps)
    await expect(page.locator("#preset-note")).to_contain_text("typicality")


async def test_what_a_preset_asks_in_vain_is_said(site: Site, page: Page) -> None:
    await parameters(page)
    await page.select_option("#preset", "Contrastive Search")
    await expect(page.locator("#preset-news")).to_contain_text("penalty_alpha")


async def test_a_changed_chain_is_kept_under_a_name_deleted_and_taken_back(site: Site, page: Page) -> None:
    own = Presets(site.settings.data_dir / "presets")
    await parameters(page)
    await page.fill("#parameters-chain li[data-name=temperature] input[type=number]", "1.3")
    await page.press("#parameters-chain li[data-name=temperature] input[type=number]", "Enter")
    await expect(page.locator("#preset")).to_have_value("")
    await page.fill("#preset-name", "Тёплый")
    await page.press("#preset-name", "Enter")
    await expect(page.locator("#preset")).to_have_value("Тёплый")
    assert of_steps(own.load("Тёплый").steps) == in_force(site)
    assert dict(in_force(site)[-1][1])["temperature"] == 1.3
    await page.click("#preset-delete")
    await expect(page.locator("#preset")).to_have_value("")
    assert not own.is_own("Тёплый")
    await page.click("#lab-toasts button.link >> text=Undo")
    await expect(page.locator("#preset")).to_have_value("Тёплый")
    assert of_steps(own.load("Тёплый").steps) == in_force(site)


async def test_a_sillytavern_preset_is_imported_and_used(site: Site, page: Page) -> None:
    document = {"temp": 1.17, "top_p": 0.5, "top_k": 0, "min_p": 0.0, "rep_pen": 1.05, "mystery_knob": 7}
    await parameters(page)
    file = {"name": "Mine.json", "mimeType": "application/json", "buffer": json.dumps(document).encode()}
    await page.set_input_files("#preset-file", [file])  # type: ignore[list-item]
    await expect(page.locator("#preset")).to_have_value("Mine")
    await expect(page.locator("#preset-news")).to_contain_text("mystery_knob")
    values = {name: given for name, given in in_force(site)}
    assert values["temperature"]["temperature"] == 1.17
    assert values["top_p"]["top_p"] == 0.5
    assert "top_k" not in values


async def test_a_stage_is_moved_by_its_handle_and_added_where_it_belongs(site: Site, page: Page) -> None:
    await parameters(page)
    rows = page.locator("#tab-parameters .piece-chain .stage")
    before = [name for name, _ in in_force(site)]
    handle = page.locator("#tab-parameters .stage[data-name=top_k] .handle")
    box = await handle.bounding_box()
    target = await page.locator("#tab-parameters .stage[data-name=top_p]").bounding_box()
    assert box and target
    await page.mouse.move(box["x"] + 5, box["y"] + 10)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 5, target["y"] + target["height"] * 0.8, steps=8)
    await page.mouse.up()
    moved = [name for name in before if name != "top_k"]
    moved.insert(moved.index("top_p") + 1, "top_k")
    await expect(page.locator("#tab-parameters .stage[data-name=top_k] .handle")).to_be_focused()
    for _ in range(50):
        if [name for name, _ in in_force(site)] == moved:
            break
        await page.wait_for_timeout(50)
    assert [name for name, _ in in_force(site)] == moved
    await page.select_option("#tab-parameters .piece-chain .foot select", "logit_bias")
    await expect(rows.first).to_have_attribute("data-name", "logit_bias")
    count = await rows.count()
    await page.fill("#tab-parameters .stage[data-name=logit_bias] input", "198: -5, 220: 3")
    await page.keyboard.press("Tab")
    for _ in range(50):
        if in_force(site)[0][0] == "logit_bias":
            break
        await page.wait_for_timeout(50)
    assert in_force(site)[0] == ("logit_bias", {"logit_bias": {198: -5.0, 220: 3.0}})
    await page.select_option("#tab-parameters .piece-chain .foot select", "dry")
    await expect(page.locator("#tab-parameters .stage[data-name=dry]")).to_have_class("stage")
    assert await rows.count() == count, "it was there, but off"
