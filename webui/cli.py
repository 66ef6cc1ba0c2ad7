"""The program: flags -> Settings -> Services -> serve. The only place that builds things.

Heavy modules are imported late, so that `--help` and every mistake in a flag answer at once and the ports are bound
before Gradio is loaded.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import webbrowser
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, socket
from typing import Any

from webui.errors import BadValue, WebUIError
from webui.flags import read_flags
from webui.hub.library import Library, ModelEntry, UnknownModel
from webui.hub.reasons import BadModelFile
from webui.settings import Settings

USAGE_ERROR = 2


@dataclass(frozen=True, slots=True)
class Start:
    """What is known before anything heavy is imported."""

    settings: Settings
    library: Library
    page: socket | None
    api: socket | None
    model: ModelEntry | None
    problem: WebUIError | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; the exit code. Every expected failure is one line on stderr."""
    try:
        settings = read_flags(sys.argv[1:] if arguments is None else arguments)
        with ExitStack() as stack:
            return _on_loop(_run(_prepare(settings, stack)))
    except WebUIError as error:
        print(f"Sampler Lab: {error.message}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return 130


def _on_loop(main: Coroutine[Any, Any, int]) -> int:
    """Run the program on the fastest loop there is for this system: every token passes it on its way."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)


def _prepare(settings: Settings, stack: ExitStack) -> Start:
    """Take what only one program can have (ports, data folder) and find the model, in this order."""
    from webui.datadir import DataDir
    from webui.ports import bind

    page = None if settings.nowebui else stack.enter_context(bind(settings.host, settings.port, "--port"))
    wants_api = settings.api or settings.nowebui
    api = stack.enter_context(bind(settings.host, settings.api_port, "--api-port")) if wants_api else None
    stack.enter_context(DataDir(settings.data_dir))
    _set_environment(settings)
    library = Library(settings.model_dir, added_file=settings.data_dir / "added_models.json")
    problem: WebUIError | None = None
    try:
        model = library.find(settings.model) if settings.model else None
        if model and model.reason:
            problem = BadModelFile(model.reason, model.culprit or model.path.name)
    except UnknownModel as error:
        model, problem = None, error
    if problem and settings.nowebui:
        raise BadValue(f"--model {settings.model}: {problem.message}", param="model")
    return Start(settings, library, page, api, None if problem else model, problem)


def _set_environment(settings: Settings) -> None:
    """Nothing leaves the machine, and temporary files stay in the data folder. Read by Gradio when it is imported."""
    logging.getLogger("uvicorn.error").addFilter(_worth_saying)
    logging.basicConfig(
        level=logging.INFO if settings.verbose else logging.WARNING, format="%(levelname)s: %(message)s"
    )
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(_folder(settings.data_dir / "tmp"))
    os.environ.pop("GRADIO_VIBE_MODE", None)


def _worth_saying(record: logging.LogRecord) -> bool:
    """Streams that are still open when the program ends are broken off; that is no news, and no traceback."""
    ended = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not ended and "timeout graceful shutdown" not in record.getMessage()


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


async def _run(start: Start) -> int:
    """Serve until a signal comes. The page answers first; the model is loaded behind it."""
    gc.disable()  # a tenth of the start would go into looking for garbage among modules that stay for ever
    from webui.api.guard import OriginGuard, own_addresses
    from webui.building import build_services, first_load
    from webui.server import Site, Stop, serve

    settings = start.settings
    stop = Stop()
    stop.listen()
    services = build_services(settings, start.library, start.problem)
    hosts = own_addresses() if settings.listen else frozenset()
    loading: set[asyncio.Task[None]] = set()
    sites = []
    if start.page is not None:
        from webui.tabs import build_page_app

        sites.append(Site(OriginGuard(build_page_app(services), hosts=hosts), start.page))
    if start.api is not None:
        from webui.api import build_api

        sites.append(Site(OriginGuard(build_api(services), hosts=hosts, origins=settings.cors_origins), start.api))

    async def ready() -> None:
        gc.freeze()
        gc.enable()
        _announce(start)
        if start.model is not None or start.problem is None:
            loading.add(asyncio.create_task(first_load(services, start.model), name="first load"))
        await services.downloads.start()

    async def close() -> None:
        for task in loading:
            task.cancel()
        await services.close()

    await serve(sites, stop.event, ready=ready, close=close, verbose=settings.verbose)
    return 0


def network_addresses() -> list[str]:
    """The addresses of this machine that others of its network can reach."""
    import psutil

    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    found = [
        a.address for name, many in psutil.net_if_addrs().items() if name in up for a in many if a.family == AF_INET
    ]
    return [address for address in found if not address.startswith(("127.", "169.254."))]


def _announce(start: Start) -> None:
    settings = start.settings
    hosts = ["127.0.0.1", *(network_addresses() if settings.listen else [])]
    if start.page is not None:
        print(f"Sampler Lab is at {', '.join(f'http://{host}:{settings.port}' for host in hosts)}", flush=True)
        if settings.auto_launch:
            here = f"http://127.0.0.1:{settings.port}"
            threading.Thread(target=webbrowser.open, args=(here,), daemon=True).start()
    if start.api is not None:
        print(f"The API is at {', '.join(f'http://{host}:{settings.api_port}/v1' for host in hosts)}", flush=True)
    if start.problem:
        print(start.problem.message, file=sys.stderr, flush=True)


def end(code: int) -> None:
    """Leave now. A thread of some library that still waits for something must not hold the program."""
    sys.stdout.flush()
    sys.stderr.flush()
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if others:
        os._exit(code)
    sys.exit(code)
