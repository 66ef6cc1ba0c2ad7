"""Pictures of every tab to look at, in both themes, both languages, wide and on a phone: the real program in a browser.

    python -m tests.tabs.pictures FOLDER [--port 7995] [--only chat,session] [--tall]

The program is started with the starter model on a data folder of its own; a chat is held, texts are written in Default
and Notebook, and a prompt is looked at in Logits, so that no tab is empty. Files are named
<tab>-<en|ru>-<light|dark>-<width>.png. With --tall a picture is as tall as its page.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from webui.hub.library import starter_model
from webui.settings import ROOT

TABS = ("chat", "default", "notebook", "logits", "parameters", "model", "session")
LOCALES = {"en": "en-US", "ru": "ru-RU"}
HEIGHTS = {1440: 900, 390: 844}
PATIENCE = 120_000
SAID = ("What is the capital of France, and what is it known for?", "Name three famous museums there, as a list.")
PROMPT = "The capital of France is"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=7995)
    parser.add_argument("--only", default=",".join(TABS), help="tabs, with commas between")
    parser.add_argument("--tall", action="store_true", help="the whole page, not the first screen")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("This needs Chromium on the PATH.")
    options.folder.mkdir(parents=True, exist_ok=True)
    tabs = [tab for tab in TABS if tab in options.only.split(",")]
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        args = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=args)
        with program(options.port, Path(data)) as address:
            prepare(browser, address)
            for language in LOCALES:
                for theme in ("light", "dark"):
                    for width in HEIGHTS:
                        take(browser, address, options.folder, tabs, language, theme, width, options.tall)
        browser.close()


@contextlib.contextmanager
def program(port: int, data: Path, *flags: str) -> Iterator[str]:
    """The program with the starter model; its address."""
    model = starter_model()
    if model is None:
        raise SystemExit("The starter model is missing: run ./start.sh once.")
    own = ["--port", str(port), "--data-dir", str(data), "--model", str(model), *flags]
    command = [sys.executable, "-m", "webui", *own]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/"
    try:
        until = time.monotonic() + PATIENCE / 1000
        while True:
            try:
                urllib.request.urlopen(address, timeout=PATIENCE / 1000).close()
                break
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > until or process.poll() is not None:
                    raise SystemExit("The program did not start.") from None
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def visit(browser: Browser, address: str, width: int, language: str = "en", theme: str = "light") -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": HEIGHTS[width]},
        locale=LOCALES[language],
        color_scheme="dark" if theme == "dark" else "light",
    )
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.wait_for_selector("#message", state="attached")
    page.wait_for_function("() => window.Lab?.model?.stage === 'ready'")
    return page


def prepare(browser: Browser, address: str) -> None:
    """Something to see on every tab; all of it is kept by the program but the look, which each page takes anew."""
    page = visit(browser, address, 1440)
    show(page, "parameters")
    page.fill("#seed input", "7")
    page.fill("#max-tokens input", "160")
    page.wait_for_timeout(1200)
    show(page, "chat")
    for count, text in enumerate(SAID, 1):
        page.fill("#message", text)
        page.press("#message", "Enter")
        page.wait_for_function(
            "n => document.querySelectorAll('.message.assistant').length >= n"
            " && !document.querySelector('.message.live') && !document.querySelector('#send').hidden",
            arg=count,
        )
    for tab, field, text in (
        ("default", "#default-prompt textarea", "Three reasons to walk in the rain:\n1."),
        ("notebook", "#notebook-text textarea", "Once upon a time, in a small town by the sea,"),
    ):
        show(page, tab)
        page.fill(field, text)
        page.click(f"#{tab}-generate")
        line = f"{tab}-line"
        page.wait_for_function("id => document.querySelector(`#${id} .piece`)?.innerText.includes('tok/s')", arg=line)
        page.wait_for_timeout(500)
    page.close()


def show(page: Page, tab: str) -> None:
    page.wait_for_selector(f"#tab-{tab}-button", state="attached")
    page.evaluate("name => Lab.openTab(name)", tab)
    page.wait_for_selector(f"#tab-{tab}", state="visible")


def take(
    browser: Browser,
    address: str,
    folder: Path,
    tabs: list[str],
    language: str,
    theme: str,
    width: int,
    tall: bool,
) -> None:
    page = visit(browser, address, width, language, theme)
    if "logits" in tabs:
        page.evaluate("prompt => Lab.look({ prompt })", PROMPT)
        page.wait_for_selector(".piece-logits.looked:not(.moving)")
    for tab in tabs:
        show(page, tab)
        page.wait_for_timeout(700)
        page.screenshot(path=folder / f"{tab}-{language}-{theme}-{width}.png", full_page=tall)
    page.close()


if __name__ == "__main__":
    main()
