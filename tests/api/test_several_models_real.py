"""Two real models at once behind one API: SmolLM2 and Gemma 3, found in folders, named, busy, asleep."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.api.conftest import Server
from tests.api.test_several_models import states, until
from webui import depot
from webui.hub.machine import Machine

pytestmark = pytest.mark.model
SMOL, GEMMA = "SmolLM2-135M-Instruct.Q4_1", "gemma-3-270m-Q4_K_M"
MB = 1 << 20


@pytest.fixture
def server(tmp_path: Path, starter_path: Path, gemma_path: Path) -> Iterator[Server]:
    (tmp_path / "models").mkdir()
    for path in (starter_path, gemma_path):
        shutil.copy(path, tmp_path / "models" / path.name)
    server = Server(tmp_path, load_on_demand=True, n_ctx=1024)
    server.services.library.scan()
    yield server
    server.stop()


def say(http: httpx.Client, model: str | None, **fields: Any) -> dict[str, Any]:
    body = {"prompt": "The sea is", "max_tokens": 6, "temperature": 0, "model": model, **fields}
    return dict(http.post("/v1/completions", json=body, timeout=300).json())


def test_two_models_side_by_side(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = server.services.models
    with server.client() as http:
        assert set(states(http)) >= {SMOL, GEMMA}
        first, second = say(http, SMOL), say(http, GEMMA + ".gguf")
        assert (first["model"], second["model"]) == (SMOL, GEMMA)
        assert first["choices"][0]["text"] != second["choices"][0]["text"]
        assert [states(http)[name] for name in (SMOL, GEMMA)] == ["loaded", "loaded"]
        unknown = say(http, "gpt-4o")
        assert unknown["model"] == SMOL and unknown["choices"][0]["text"] == first["choices"][0]["text"]
        pids = {seat.name: seat.pid for seat in fleet.seats()}
        held = {name: psutil.Process(pid).memory_info().rss for name, pid in pids.items()}
        assert held[SMOL] > 80 * MB and held[GEMMA] > 200 * MB, "the weights alone are 92 and 253 MB"

        # No room for a second one: a busy model stays, an idle one goes, and its memory with it.
        server.run(fleet.unload(GEMMA))
        monkeypatch.setattr(depot, "machine_now", lambda: Machine(300 * MB, 64 << 30))
        with ThreadPoolExecutor(1) as pool:
            long = pool.submit(say, http, SMOL, max_tokens=300, ignore_eos=True, min_tokens=300)
            until(lambda: fleet.active == 1)
            refused = say(http, GEMMA)
            assert fleet.active == 1
            assert long.result()["usage"]["completion_tokens"] == 300
        assert refused["error"]["code"] == "no_room" and SMOL in refused["error"]["message"]
        assert {seat.name: seat.pid for seat in fleet.seats()}[SMOL] == pids[SMOL]
        monkeypatch.undo()

        monkeypatch.setattr(depot.Depot, "idle_minutes", lambda self, name: 0.5 / 60)
        fleet._tick = 0.1
        until(lambda: all(seat.asleep for seat in fleet.seats()))
        until(lambda: not psutil.pid_exists(pids[SMOL]))
        assert states(http)[SMOL] == "sleeping"
        monkeypatch.undo()
        assert say(http, SMOL)["choices"][0]["text"] == first["choices"][0]["text"], "it wakes as it was"
