"""Several models in a browser, with two real ones: loaded beside each other, chosen, LoRA scales moved while loaded, a
preset that comes with its model, the order in which they answer for one another."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from playwright.async_api import Page, expect

from tests.adapters import write_lora
from tests.tabs.conftest import PATIENCE, Site, open_tab
from tests.tabs.test_shell_browser import serious

pytestmark = [pytest.mark.browser, pytest.mark.model]


@pytest.fixture
def model_folder(site: Site, gemma_path: Path) -> Path:
    """The site's models: the second one and a LoRA for the starter model."""
    folder = site.settings.model_dir[0]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "second.gguf").hardlink_to(gemma_path)
    write_lora(folder / "small.gguf", seed=1)
    site.services.library.scan()
    return folder


async def test_two_models_side_by_side(site: Site, page: Page, model_folder: Path) -> None:
    services = site.services
    starter = services.library.default()
    assert starter is not None
    await open_tab(page, "model")
    await page.click("#model label.model:has-text('starter')")
    await page.fill("#load-n_ctx", "512")
    await page.fill("#load-slots", "1")
    # What is kept for a model: its preset takes the chain's place when it is loaded, and can be taken back.
    await page.click("#model-own > summary")
    await page.select_option("#own-preset", "Creative")
    await page.fill("#own-idle", "90")
    await page.press("#own-idle", "Tab")
    await expect(page.locator("#model-own > summary")).to_contain_text("preset Creative · sleeps after 90 min")
    await page.click("#model-loras > summary")
    await page.fill("#lora-0-scale", "0.5")
    await page.click("#load")
    await expect(page.locator("#model-news")).to_contain_text("Creative", timeout=PATIENCE)
    kept = services.model_settings.of(starter.name)
    assert (kept.preset, kept.idle_minutes) == ("Creative", 90) and services.preferences["chain"]
    await page.click("#undo-preset")
    await expect(page.locator("#model-news")).to_have_count(0)
    assert services.preferences["chain"] == []
    # A scale is moved: no load, the same worker, and it is kept.
    pid = services.models.pid
    await expect(page.locator("#model-loras .tag")).to_have_text("at once")
    await page.locator("#model-loras input[type=range]").fill("1.25")
    await expect(page.locator("#model-loras [role=status]")).to_contain_text("next reply")
    spec = services.models.status().spec
    assert spec is not None and spec.options["loras"][0]["scale"] == 1.25 and services.models.pid == pid
    assert services.model_settings.of(starter.name).options["loras"][0]["scale"] == 1.25
    # The second one beside it.
    await page.click("#model label.model:has-text('second')")
    await page.fill("#load-n_ctx", "512")
    await page.fill("#load-slots", "1")
    await expect(page.locator("#verdict-beside")).to_contain_text("It fits")
    await expect(page.locator("#verdict-place")).to_contain_text(f"that {starter.name} gives back")
    await expect(page.locator(".together .meter-key")).to_contain_text("second would add")
    await page.click("#load-beside")
    seats = page.locator("#model .seat[data-stage=ready]")
    await expect(seats).to_have_count(2, timeout=PATIENCE)
    await expect(page.locator(".together .meter-key")).to_contain_text("second holds", timeout=PATIENCE)
    assert services.models.current == starter.name
    assert await serious(page) == []
    await page.click("#model .seat[data-name=second] >> text=Make current")
    await expect(page.locator("#model .seat[data-name=second] .tag.on")).to_have_text("current")
    assert services.models.current == "second"
    await expect(page.locator("#load")).to_have_text("Load again")
    # The order in which they answer for one another.
    await page.evaluate("Lab.openTab('model-fallback')")
    for name in (starter.name, "second"):
        await page.select_option("#fallback-add", name)
        await page.click("#fallback form button")
        await expect(page.locator(f"#fallback li[data-name='{name}']")).to_have_count(1)
    await page.fill("#fallback-seconds-1", "7")
    await page.fill("#fallback-text", "Nobody is here.")
    await page.click("#fallback-up-1")
    file = site.settings.data_dir / "fallback.yaml"
    wanted = {"enabled": True, "models": [{"name": "second", "seconds": 7}, starter.name], "seconds": 60}
    for _ in range(200):
        written = yaml.safe_load(file.read_text("utf-8")) if file.exists() else {}
        if written == {**wanted, "text": "Nobody is here."}:
            break
        await asyncio.sleep(0.05)
    assert written == {**wanted, "text": "Nobody is here."}
    assert await serious(page) == []
    file.write_text("models: [a, a]\n", "utf-8")
    await page.evaluate("Lab.openTab('model-own')")
    await page.evaluate("Lab.openTab('model-fallback')")
    await expect(page.locator("#fallback-problem")).to_contain_text("fallback.yaml, line 1")
    # Unloading the current one leaves the other.
    await page.evaluate("Lab.openTab('model-own')")
    await page.click("#model .seat[data-name=second] >> text=Unload")
    await expect(seats).to_have_count(1, timeout=PATIENCE)
    await expect(page.locator("#model .now")).to_contain_text("given back")
    assert services.models.current == starter.name
