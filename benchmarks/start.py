"""How long until the page answers and what the parent weighs, beside an empty Gradio page, in alternating rounds.

    python -m benchmarks.start [--rounds 5] [--port 7990]

Prints the best and the median of each, their ratio, and the cost of `start.sh` over `python -m webui`. Budgets: the
page answers within 2.5 s of the start, the parent stays under 250 MB, a second start costs less than 0.1 s for checks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

from webui.settings import ROOT

BARE = """
import sys
import gradio as gr
with gr.Blocks(analytics_enabled=False) as page:
    gr.Textbox()
page.launch(server_port=int(sys.argv[1]), quiet=True)
"""
LIMIT_SECONDS = 120.0


@dataclass(frozen=True)
class Round:
    seconds: float
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=7990)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours = ["--port", str(options.port), "--data-dir", folder]
        commands = {
            "empty Gradio page": [sys.executable, "-c", BARE, str(options.port)],
            "Sampler Lab": [sys.executable, "-m", "webui", *ours],
            "Sampler Lab by start.sh": [str(ROOT / "start.sh"), *ours],
        }
        rounds: dict[str, list[Round]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                rounds[name].append(_one(command, options.port))
    _print(rounds)
    print(f"\nchecks of start.sh before it hands over: {_overhead():.3f} s")


def _one(command: list[str], port: int) -> Round:
    """Start, wait for the whole page, weigh, stop."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False"}
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=LIMIT_SECONDS) as answer:
                    answer.read()
                    seconds = time.perf_counter() - started
                    break
            except (urllib.error.URLError, ConnectionError):
                if time.perf_counter() - started > LIMIT_SECONDS or process.poll() is not None:
                    raise SystemExit(f"It never answered: {' '.join(command)}") from None
                time.sleep(0.01)
        time.sleep(1.0)
        return Round(seconds, psutil.Process(process.pid).memory_info().rss / 1e6)
    finally:
        process.terminate()
        process.wait(timeout=LIMIT_SECONDS)


def _overhead() -> float:
    """What start.sh takes to find everything in place, with a program behind it that ends at once."""
    through, alone = ["--version"], [sys.executable, "-m", "webui", "--version"]
    gaps = []
    for _ in range(7):
        gaps.append(_timed([str(ROOT / "start.sh"), *through]) - _timed(alone))
    return statistics.median(gaps)


def _timed(command: list[str]) -> float:
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def _print(rounds: dict[str, list[Round]]) -> None:
    bare = statistics.median(item.seconds for item in rounds["empty Gradio page"])
    print(f"{'':26}{'best s':>8}{'median s':>10}{'ratio':>8}{'parent MB':>11}")
    for name, items in rounds.items():
        seconds = [item.seconds for item in items]
        median = statistics.median(seconds)
        weight = statistics.median(item.megabytes for item in items)
        print(f"{name:26}{min(seconds):8.2f}{median:10.2f}{median / bare:8.2f}{weight:11.0f}")


if __name__ == "__main__":
    if not Path(ROOT / ".venv").exists():
        raise SystemExit("Run ./start.sh once before measuring.")
    main()
