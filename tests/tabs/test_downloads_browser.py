"""Get models in a real browser, against the fake hub through huggingface_hub's own calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.hub.fake_hub import FakeHub, running
from tests.hub.shelves import stock
from tests.tabs.conftest import Site, Visit, open_tab, restarted
from tests.tabs.test_shell_browser import serious

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with running() as hub:
        stock(hub)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield hub


async def test_a_model_is_searched_for_opened_downloaded_paused_and_kept(
    site: Site, visit: Visit, fake: FakeHub
) -> None:
    page = await visit()
    await open_tab(page, "model")
    await open_tab(page, "model-get")
    await expect(page.locator("#downloads summary")).to_contain_text("token from HF_TOKEN")
    assert "hf_secret" not in await page.content()
    await page.fill("#downloads-text", "tiny")
    await page.press("#downloads-text", "Enter")
    await page.click("#downloads .found >> text=maker/Tiny-GGUF")
    best = page.locator("#downloads .offers li").first
    await expect(best).to_contain_text("Q4_K_M")
    assert "fits" in (await best.locator(".fit").inner_text())
    assert await serious(page) == []
    fake.faults.seconds_a_block = 0.05
    await best.locator("button").click()
    await page.click("#downloads .job >> text=Pause")
    await expect(page.locator("#downloads .job")).to_have_attribute("data-state", "paused")
    await restarted(site, page)
    fake.faults.seconds_a_block = 0.0
    await site.services.downloads.start()
    await page.reload()
    await page.click("#downloads .job >> text=Resume")  # the tab and its section were found again
    await expect(page.locator("#downloads .job")).to_have_attribute("data-state", "done")
    assert (site.settings.model_dir[0] / "Tiny-Q4_K_M.gguf").exists()
    await page.click("#downloads .job >> text=Load it")
    await expect(page.locator("#model")).to_be_visible()
