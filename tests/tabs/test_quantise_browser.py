"""The first-run guide against the fake hub, then a real model made smaller and compared, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.hub.fake_hub import FakeHub, Repo, running
from tests.hub.shelves import gguf
from tests.tabs.conftest import Site, Visit, open_tab, restarted
from tests.tabs.test_shell_browser import serious
from webui.hub.catalogue import read_catalogue, suggest
from webui.hub.machine import Machine
from webui.tabs import guide

pytestmark = [pytest.mark.browser, pytest.mark.model]
MACHINE = Machine(ram_free=6_000_000_000, ram_total=8_000_000_000)


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that has the model the guide recommends to a machine with 6 GB free, and no other."""
    with running() as hub:
        first = suggest(read_catalogue(), MACHINE)[0]
        hub.add(Repo(first.reference.repo, {f"First-{name}.gguf": gguf(1, 3) for name in first.entry.sizes}))
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setattr(guide, "machine_now", lambda: MACHINE)
        yield hub


async def test_the_guide_suggests_downloads_goes_away_and_comes_again(site: Site, visit: Visit) -> None:
    page = await visit()
    first, *_, last = suggest(read_catalogue(), MACHINE)
    await open_tab(page, "model")
    own = page.locator("#guide-own")
    await expect(own.locator("li").first).to_have_attribute("data-name", first.entry.name)
    await expect(own.locator("li").first.locator(".verdict")).to_contain_text("6.00 GB")
    assert await own.locator("li").first.locator("select").input_value() == first.quantisation
    assert await serious(page) == []
    await own.get_by_text("Other models").click()
    missing = own.locator("li").last
    assert await missing.get_attribute("data-name") == last.entry.name and last.code == "too_large"
    await expect(missing.locator(".verdict")).to_have_class("verdict too_large")
    await missing.locator("button").click()
    await expect(own.locator(".problem")).to_be_visible()
    await own.locator("li").first.locator("button").click()
    await expect(page.locator("#downloads .job")).to_have_attribute("data-state", "done")
    assert (site.settings.model_dir[0] / f"First-{first.quantisation}.gguf").exists()
    await restarted(site, page)
    await open_tab(page, "model-own")
    await expect(page.locator("#model .models")).to_contain_text("First")
    await expect(own).not_to_be_visible()
    await open_tab(page, "model-get")
    again = page.locator("#guide-get")
    await again.get_by_text("Suggested models").click()
    await again.get_by_label("Close the guide").click()
    await expect(again.locator("li").first).not_to_be_visible()
    assert site.services.preferences["guide_seen"] is True


async def test_a_model_is_made_smaller_and_compared(site: Site, visit: Visit) -> None:
    page = await visit()
    await open_tab(page, "model")
    await open_tab(page, "model-quantise")
    piece = page.locator("#quantise")
    await expect(page.locator("#quantise-name")).to_have_value("SmolLM2-135M-Instruct-Q4_K_M.gguf")
    await page.select_option("#quantise-type", "IQ2_XXS")
    await page.click("#quantise button:text-is('Make it')")
    await expect(piece.locator(".piece-quantise > .problem")).to_contain_text("importance matrix")
    await page.select_option("#quantise-type", "IQ3_S")
    await expect(piece.locator(".advice")).to_contain_text("quantised already")
    await page.click("#quantise button:text-is('Make it')")
    await page.click("#quantise .work >> text=Cancel")
    await expect(piece.locator(".work").first).to_have_attribute("data-state", "cancelled")
    assert list(site.settings.model_dir[0].glob("*")) == []
    await page.select_option("#quantise-type", "Q4_0")
    await page.click("#quantise button:text-is('Make it')")
    await expect(piece.locator(".work").first).to_have_attribute("data-state", "done", timeout=90_000)
    made = site.settings.model_dir[0] / "SmolLM2-135M-Instruct-Q4_0.gguf"
    assert made.exists()
    await expect(page.locator("#quantise-other")).to_have_value(str(made))
    await expect(page.locator("#quantise-name")).to_have_value("SmolLM2-135M-Instruct-Q4_0-2.gguf")
    await page.click("#quantise summary >> text=Use a text of your own")
    await page.fill("#quantise-text", "Too short.")
    await page.click("#quantise button:text-is('Compare')")
    result = piece.locator(".work").last
    await expect(result.locator(".problem")).to_contain_text("at least 16", timeout=90_000)
    await page.fill("#quantise-text", "The quick brown fox jumps over the lazy dog, and then it sleeps. " * 3)
    await page.click("#quantise button:text-is('Compare')")
    await expect(result).to_have_attribute("data-state", "done", timeout=90_000)
    await expect(result.locator("dl")).to_contain_text("nats")
    assert await serious(page) == []
