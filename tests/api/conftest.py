"""A real server on a real port, with the FakeEngine in a real worker behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import uvicorn

from webui.api import OriginGuard, build_api
from webui.building import build_services
from webui.hub.library import Library
from webui.services import Services
from webui.settings import Settings
from webui.types import LoadSpec, ModelInfo

T = TypeVar("T")


class Server:
    """Runs in a thread with a loop of its own, as the program runs in a process of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        (folder / "models").mkdir(exist_ok=True)
        self.settings = replace(Settings(), model_dir=(folder / "models",), data_dir=folder, api=True, **settings)
        self.services: Services
        self.loop = asyncio.new_event_loop()
        self.port = 0
        self._server: uvicorn.Server
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="api server", daemon=True)
        self._thread.start()
        while not self._started.wait(0.1):
            assert self._thread.is_alive(), "the server did not start"

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve())
        self.loop.close()

    async def _serve(self) -> None:
        library = Library(self.settings.model_dir, added_file=self.settings.data_dir / "added.json")
        self.services = build_services(self.settings, library)
        app = OriginGuard(build_api(self.services), origins=self.settings.cors_origins)
        config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        serving = asyncio.ensure_future(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self._started.set()
        await serving
        await self.services.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, work: Coroutine[Any, Any, T], seconds: float = 300) -> T:
        """Do something on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    def load(self, n_ctx: int = 2048, slots: int = 4, **options: Any) -> ModelInfo:
        """Load the FakeEngine with these options."""
        spec = LoadSpec("fake-model", engine="fake", name="fake-model", n_ctx=n_ctx, slots=slots, options=options)
        return self.run(self.services.models.load(spec))

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for a module's tests; each loads the model it needs."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client
