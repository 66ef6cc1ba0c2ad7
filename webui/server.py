"""Runs the page's and the API's HTTP servers on one loop, from their first request to an orderly end.

Knows ASGI apps and sockets; nothing of models, chats or Gradio. Signals are ours: uvicorn would swallow them and
wait for every open stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import uvicorn

GRACE_SECONDS = 1
"""How long open connections may take to end once everything behind them has ended."""
CLOSE_SECONDS = 3.0
"""How long closing (models, chats) may take; with the grace this stays under the promised five seconds."""


@dataclass(frozen=True, slots=True)
class Site:
    """An app and the socket it is served on."""

    app: Any
    socket: socket.socket


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Stop:
    """Set by the first signal; the second one ends the process at once."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def listen(self) -> None:
        """Take over the signals that ask a program to end."""
        wanted = [signal.SIGINT, signal.SIGTERM]
        if sys.platform == "win32":
            for number in wanted:
                signal.signal(number, self._from_windows)
            return
        for number in (*wanted, signal.SIGHUP):
            self._loop.add_signal_handler(number, self.now)

    def now(self) -> None:
        if self.event.is_set():
            os._exit(130)
        self.event.set()

    def _from_windows(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self.now)


async def serve(
    sites: list[Site],
    stop: asyncio.Event,
    *,
    ready: Callable[[], Awaitable[None]],
    close: Callable[[], Awaitable[None]],
    verbose: bool = False,
) -> None:
    """Serve until `stop` is set. `ready` runs once all sites answer; `close` ends what the requests wait for."""
    servers = [_server(site, verbose) for site in sites]
    tasks = [
        asyncio.create_task(server.serve(sockets=[site.socket]), name="http server")
        for server, site in zip(servers, sites, strict=True)
    ]
    stopped = asyncio.create_task(stop.wait())
    try:
        while not all(server.started for server in servers) and not any(task.done() for task in tasks):
            await asyncio.sleep(0.005)
        if not any(task.done() for task in tasks):
            await ready()
        await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        await _shut_down(servers, tasks, close)


async def _shut_down(
    servers: list[_Server], tasks: list[asyncio.Task[None]], close: Callable[[], Awaitable[None]]
) -> None:
    """Close what generates first, so that open streams end by themselves, then the servers."""
    try:
        await asyncio.wait_for(close(), CLOSE_SECONDS)
    except asyncio.TimeoutError:
        print("Closing took too long and was broken off.", file=sys.stderr)
    for server in servers:
        server.should_exit = True
    await asyncio.wait(tasks, timeout=GRACE_SECONDS + 0.5)
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            raise error


def _server(site: Site, verbose: bool) -> _Server:
    config = uvicorn.Config(
        site.app,
        log_config=None,
        log_level="info" if verbose else "warning",
        access_log=verbose,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        lifespan="auto",
    )
    return _Server(config)
