"""What a download costs when things go wrong: `python -m benchmarks.downloads` prints two tables.

The first kills a downloading program three times and counts the bytes the server had sent after each; the second
switches on each fault of the fake hub and prints the sentence that comes out. Needs nothing but loopback.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.hub.fake_hub import FakeHub, Faults, Repo, running
from tests.hub.shelves import gguf, stock
from webui.errors import WebUIError
from webui.hub import advice
from webui.hub.queue import Downloads
from webui.hub.reference import parse
from webui.hub.search import Hub
from webui.hub.transfer import Patience

ROOT = Path(__file__).resolve().parents[1]
MEGABYTES = 24
KILLS = ((0.10, 0.50, 0.99), (0.25, 0.50, 0.75), (0.05, 0.10, 0.15))
FAULTS = (
    ("gated model, no token", "maker/Tiny-GGUF", {"gated": True}),
    ("missing model", "maker/Missing", {}),
    ("missing branch", "maker/Tiny-GGUF:nope", {}),
    ("rate-limited", "maker/Tiny-GGUF", {"rate_limited": 90}),
    ("server error", "maker/Tiny-GGUF", {"broken_times": 99}),
    ("captive page", "maker/Tiny-GGUF", {"captive": True}),
    ("wrong checksum", "maker/Tiny-GGUF", {"wrong_byte_at": 1000}),
    ("file longer than listed", "maker/Tiny-GGUF", {"longer_by": 7}),
    ("ignores Range (after a cut)", "maker/Tiny-GGUF", {"ignore_range": True, "cut_after": 1 << 20, "cut_times": 1}),
    ("answers 416 (after a cut)", "maker/Tiny-GGUF", {"always_416": True, "cut_after": 1 << 20, "cut_times": 1}),
    ("three cuts", "maker/Tiny-GGUF", {"cut_after": 1 << 20, "cut_times": 3}),
    ("stalls for good", "maker/Tiny-GGUF", {"stall_after": 0}),
    ("pickle by name", "maker/Old", {}),
    ("pickle by content", "maker/Disguised", {}),
    ("redirect to a file", "maker/Tiny-GGUF", {"redirect_to": "file:///etc/passwd"}),
)


def _arrived(folder: Path) -> int:
    return sum(part.stat().st_size for part in folder.glob(".downloads/*/*.part"))


def killed(fake: FakeHub, shares: tuple[float, ...], size: int) -> str:
    """One row: bytes the server had sent when each kill came, and in all."""
    fake.requests.clear()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "models"
        environment = {**os.environ, "HF_ENDPOINT": fake.url}
        command = [sys.executable, "-m", "tests.hub.downloader", str(folder)]
        sent, kept, arguments = [], [], ["maker/Big-GGUF"]
        for share in shares:
            process = subprocess.Popen([*command, *arguments], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
            arguments = []
            while _arrived(folder) < share * size and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
            time.sleep(0.05)
            sent.append(fake.sent())
            kept.append(_arrived(folder))
        last = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        total = fake.sent()
    good = "yes" if "DONE" in last.stdout else f"NO: {last.stdout}{last.stderr[-200:]}"
    after = " / ".join(f"{s / 1e6:.2f} ({k / 1e6:.2f})" for s, k in zip(sent, kept, strict=True))
    percents = " ".join(f"{share:.0%}" for share in shares)
    return f"| {percents} | {after} | {total / 1e6:.2f} | {(total - size) / 1e3:+.0f} KB | {good} |"


async def faulty(fake: FakeHub, text: str, faults: dict[str, object]) -> str:
    """What comes out of one fault, for a person."""
    fake.faults = replace(Faults(), **faults)  # type: ignore[arg-type]
    fake.requests.clear()
    quick = Patience(stall=1.0, connect=2.0, attempts=3, pause=0.05, tries=0)
    with tempfile.TemporaryDirectory() as folder:
        queue = Downloads(Path(folder) / "models", hub := Hub(fake.url), patience=quick)
        try:
            overview = advice.offers(await hub.look(parse(text)))
            if overview.problem is not None:
                raise overview.problem
            await queue.add(overview.offers[0])
            while queue.views()[0].state in ("waiting", "running", "checking"):
                await asyncio.sleep(0.02)
            view = queue.views()[0]
            outcome = "done, sha256 right" if view.state == "done" else f"{view.code}: {view.problem}"
        except WebUIError as error:
            outcome = f"{error.code}: {error.message}"
        await queue.close()
    return f"{fake.sent() / 1e6:.2f} | {outcome}"


def main() -> None:
    with running() as fake:
        stock(fake)
        data = gguf(MEGABYTES, 99)
        fake.add(Repo("maker/Big-GGUF", {"Big-Q4_K_M.gguf": data}))
        fake.faults.seconds_a_block = 0.001
        print(f"A file of {len(data) / 1e6:.2f} MB, SIGKILL at three moments:\n")
        print("| killed at | MB sent by then (MB kept) | MB sent in all | beyond the file | whole, sha256 right |")
        print("|---|---|---|---|---|")
        for shares in KILLS:
            print(killed(fake, shares, len(data)), flush=True)
        print(f"\nFaults (the file has {len(fake.repos['maker/Tiny-GGUF'].files['Tiny-Q4_K_M.gguf']) / 1e6:.2f} MB):\n")
        print("| fault | MB sent | outcome |\n|---|---|---|")
        for name, text, faults in FAULTS:
            print(f"| {name} | {asyncio.run(faulty(fake, text, dict(faults)))} |", flush=True)


if __name__ == "__main__":
    main()
