"""A program that downloads, to be killed: `python -m tests.hub.downloader FOLDER [REPO]` with HF_ENDPOINT set.

With a repository it puts its first offer in the queue, without it only goes on with what an earlier one left. Prints
"DONE <path>" for each finished model and "FAILED <code>" for each failure, and ends when nothing is left to do.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from webui.hub import advice
from webui.hub.queue import Downloads
from webui.hub.reference import parse
from webui.hub.search import Hub


async def main(folder: Path, repo: str) -> None:
    hub = Hub.from_environment()
    downloads = Downloads(folder, hub, on_done=lambda path: print("DONE", path, flush=True))
    await downloads.start()
    if repo:
        await downloads.add(advice.offers(await hub.look(parse(repo, hub.endpoint))).offers[0])
    while any(view.state in ("waiting", "running", "checking") for view in downloads.views()):
        await asyncio.sleep(0.02)
    for view in downloads.views():
        if view.state == "failed":
            print("FAILED", view.code, flush=True)
    await downloads.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
