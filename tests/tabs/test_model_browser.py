"""The Model tab in a browser, with the real starter model: its estimate, its form, the load, a file from the disk."""

from __future__ import annotations

import re
import shutil

import pytest
from playwright.async_api import Page, expect

from tests.tabs.conftest import Site, open_tab
from webui.hub.machine import machine_now
from webui.hub.memory import estimate, plan_of
from webui.hub.shape import shape_of_files
from webui.tabs.model_words import size_text
from webui.tabs.words import Words
from webui.types import LoadSpec

pytestmark = [pytest.mark.browser, pytest.mark.model]


async def test_from_the_estimate_to_the_loaded_model(site: Site, page: Page) -> None:
    entry = site.services.library.default()
    assert entry is not None
    shape = shape_of_files(entry.files)

    def needed(n_ctx: int, kv_type: str) -> str:
        spec = LoadSpec(str(entry.path), n_ctx=n_ctx, slots=1, options={"kv_type": kv_type})
        return size_text(Words("en"), estimate(shape, plan_of(spec, shape, machine_now())).ram.total)

    await open_tab(page, "model")
    await page.fill("#load-slots", "1")
    await page.fill("#load-n_ctx", "2048")
    await expect(page.locator("#verdict")).to_contain_text(needed(2048, "f16"))
    await page.select_option("#load-kv_type", "q8_0")
    await expect(page.locator("#verdict")).to_contain_text(needed(2048, "q8_0"))
    await page.click("#model .contexts summary")
    await page.get_by_role("button", name="4096", exact=True).press("Enter")
    await expect(page.locator("#load-n_ctx")).to_have_value("4096")
    await expect(page.locator("#verdict")).to_contain_text(needed(4096, "q8_0"))
    await page.click("#load")
    await expect(page.locator("#model .now")).to_contain_text("Memory in use")
    info = site.services.models.status().info
    assert info is not None and (info.n_ctx, info.slots) == (4096, 1)
    await page.click("#unload")
    await expect(page.locator("#model .now")).to_contain_text(re.compile("given back"))
    assert site.services.models.status().stage == "none"
    await page.set_input_files("#model input[type=file]", str(entry.path))
    await expect(page.locator("#model .models")).to_contain_text("trained with 8192 tokens", timeout=20_000)
    await expect(page.locator("#model label.model")).to_have_count(2)
    chosen = page.locator("#model label.model.chosen")
    await page.evaluate("Lab.openTab('model-get')")
    await expect(page.locator("#model")).to_be_hidden()
    shown = shutil.copy(entry.path, site.services.library.folders[0] / "shown.gguf")
    await page.evaluate(
        "path => { Lab.openTab('model-own');"
        " window.dispatchEvent(new CustomEvent('lab:show-model', { detail: { path } })); }",
        str(shown),
    )
    await expect(chosen).to_contain_text("shown")
    await expect(page.locator("#model .model-title")).to_have_text("shown")
