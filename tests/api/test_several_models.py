"""Several models behind one API: chosen by name, loaded when asked for, put to sleep, and one that dies alone."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.api.conftest import Server
from webui.runtime.fleet import Occupant
from webui.types import LoadSpec


def spec(name: str, **options: Any) -> LoadSpec:
    return LoadSpec(name, engine="fake", name=name, n_ctx=1024, slots=2, options={"reply": f"I am {name}.", **options})


class Shelf:
    """Stands for the models on the disk; `room` is how many fit at once."""

    def __init__(self, *names: str, room: int = 9, idle: float = 0.0, **options: Any) -> None:
        self.names, self.room, self.idle, self.options = names, room, idle, options
        self.found = 0

    def find(self, name: str) -> LoadSpec | None:
        self.found += 1
        return spec(name, **self.options) if name in self.names else None

    def shortage(self, spec: LoadSpec, staying: Sequence[Occupant], leaving: Sequence[Occupant]) -> str:
        return "There is no room." if len(staying) >= self.room else ""

    def idle_minutes(self, name: str) -> float:
        return self.idle


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def make(shelf: Shelf, **settings: Any) -> Server:
        servers.append(Server(tmp_path, **settings))
        servers[-1].services.models.shelf = shelf
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def load(server: Server, name: str, *, beside: bool = True, **options: Any) -> None:
    server.run(server.services.models.load(spec(name, **options), beside=beside))


def say(http: httpx.Client, model: str | None, **fields: Any) -> tuple[int, Any, str]:
    body = {"prompt": "Who?", "max_tokens": 30, "temperature": 0, **fields}
    answer = http.post("/v1/completions", json=body if model is None else {**body, "model": model})
    data = answer.json()
    text = data["choices"][0]["text"] if answer.status_code == 200 else data["error"]["message"]
    return answer.status_code, data.get("model", data.get("error", {}).get("code")), text


def states(http: httpx.Client) -> dict[str, str]:
    return {row["id"]: row["status"]["value"] for row in http.get("/v1/models").json()["data"]}


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def test_the_name_chooses_and_an_unknown_one_is_answered_by_the_current(begin: Callable[..., Server]) -> None:
    server = begin(Shelf())
    load(server, "a")
    load(server, "b")
    with server.client() as http:
        assert states(http) == {"a": "loaded", "b": "loaded"}
        assert say(http, "b") == (200, "b", "I am b.")
        assert say(http, "A.gguf") == (200, "a", "I am a.")
        assert say(http, "gpt-4o") == say(http, None) == (200, "a", "I am a.")
        server.services.models.make_current("b")
        assert say(http, "gpt-4o") == (200, "b", "I am b.")
        server.run(server.services.models.unload("b"))
        assert states(http) == {"a": "loaded"} and say(http, None)[1] == "a"
        load(server, "c", beside=False)
        assert states(http) == {"c": "loaded"}


def test_vectors_come_from_the_model_that_was_named(begin: Callable[..., Server]) -> None:
    server = begin(Shelf("c"), strict_model=True)
    load(server, "a")
    load(server, "b")
    with server.client() as http:
        for name in ("b", "a", "c"):
            asked = http.post("/v1/embeddings", json={"input": "one two", "model": name})
            assert (asked.status_code, asked.json()["model"]) == (200, name)
        assert states(http) == {"a": "loaded", "b": "loaded", "c": "loaded"}, "the one that was not there came"
        assert http.post("/embedding", json={"content": "one two", "model": "b"}).status_code == 200
        for path, field in (("/v1/embeddings", "input"), ("/embedding", "content")):
            refused = http.post(path, json={field: "one two", "model": "else"})
            assert refused.status_code == 404 and refused.json()["error"]["code"] == "model_not_found"


def test_an_answer_names_its_loras(begin: Callable[..., Server]) -> None:
    server = begin(Shelf())
    load(server, "a", loras=[{"path": "folder/small.gguf", "scale": 0.5}])
    load(server, "b")
    asked = {"prompt": "Who?", "messages": [{"role": "user", "content": "Who?"}], "max_tokens": 9}
    with server.client() as http:
        for path in ("/v1/completions", "/v1/chat/completions", "/v1/messages", "/completion"):
            told = http.post(path, json={**asked, "model": "a"}).json()
            assert told["loras"] == [{"name": "small.gguf", "scale": 0.5}], path
        server.run(server.services.models.set_adapters("a", {"folder/small.gguf": -1}))
        assert http.post("/v1/completions", json={**asked, "model": "a"}).json()["loras"][0]["scale"] == -1
        assert "loras" not in http.post("/v1/completions", json={**asked, "model": "b"}).json()


def test_strict_names_only(begin: Callable[..., Server]) -> None:
    server = begin(Shelf(), strict_model=True)
    load(server, "a")
    with server.client() as http:
        assert say(http, "a")[0] == 200
        assert say(http, "gpt-4o")[:2] == (404, "model_not_found")
        assert say(http, None)[:2] == (404, "model_not_found")


def test_many_first_asks_load_once_and_an_idle_model_makes_room(begin: Callable[..., Server]) -> None:
    server = begin(Shelf("b", "c", room=2, load_seconds=0.3))
    load(server, "a")
    with server.client() as http, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: say(http, "b"), range(8)))
        assert answers == [(200, "b", "I am b.")] * 8
        assert [seat.name for seat in server.services.models.seats()] == ["a", "b"]
        assert say(http, "c") == (200, "c", "I am c.")
        assert states(http) == {"a": "sleeping", "b": "loaded", "c": "loaded"}
        assert say(http, None) == (200, "a", "I am a."), "the current one wakes when it is asked"
        assert states(http) == {"a": "loaded", "b": "sleeping", "c": "loaded"}


def test_a_busy_model_never_makes_room(begin: Callable[..., Server]) -> None:
    server = begin(Shelf("b", room=1))
    load(server, "a", end=False, delay=0.02)
    with server.client() as http, ThreadPoolExecutor(1) as pool:
        long = pool.submit(say, http, "a", max_tokens=60)
        until(lambda: server.services.models.active == 1)
        status, code, sentence = say(http, "b")
        assert (status, code) == (503, "no_room") and "b beside a" in sentence
        assert long.result()[:2] == (200, "a")
        assert say(http, "b") == (200, "b", "I am b.")


def test_idle_models_give_their_memory_back(begin: Callable[..., Server]) -> None:
    server = begin(Shelf(idle=0.3 / 60))
    fleet = server.services.models
    fleet._tick = 0.05
    load(server, "a")
    pid = fleet.seats()[0].pid
    until(lambda: fleet.seats()[0].asleep)
    until(lambda: not psutil.pid_exists(pid))
    assert fleet.seats()[0].pid == 0
    with server.client() as http:
        assert say(http, "a") == (200, "a", "I am a.")


async def test_one_that_dies_does_not_disturb_the_others(begin: Callable[..., Server]) -> None:
    server = begin(Shelf())
    await asyncio.to_thread(load, server, "a", delay=0.02, reply="word " * 50)
    await asyncio.to_thread(load, server, "b")
    pids = {seat.name: seat.pid for seat in server.services.models.seats()}
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        body = {"model": "a", "prompt": "x", "max_tokens": 50, "temperature": 0, "stream": True}
        lines = 0
        async with http.stream("POST", "/v1/completions", json=body) as answer:
            async for line in answer.aiter_lines():
                lines += line.startswith("data: {")
                if lines == 5:
                    os.kill(pids["b"], signal.SIGKILL)
        assert line == "" and lines >= 50
        answered = await http.post("/v1/completions", json={"model": "b", "prompt": "Who?", "temperature": 0})
        assert answered.json()["choices"][0]["text"] == "I am b."
    assert {seat.name: seat.pid == pids[seat.name] for seat in server.services.models.seats()} == {
        "a": True,
        "b": False,
    }


@pytest.mark.parametrize("strict", [False, True])
def test_every_route_that_asks_a_model_honours_the_name(begin: Callable[..., Server], strict: bool) -> None:
    server = begin(Shelf(), strict_model=strict)
    load(server, "a")
    load(server, "b", n_vocab=300)  # where a has 4096: its ids are others
    asks: tuple[tuple[str, dict[str, Any]], ...] = (
        ("/tokenize", {"content": "some words"}),
        ("/detokenize", {"tokens": [290]}),
        ("/v1/internal/encode", {"text": "some words"}),
        ("/v1/internal/decode", {"tokens": [290]}),
        ("/v1/internal/token-count", {"text": "some words"}),
        ("/v1/internal/score", {"text": "some words"}),
        ("/v1/internal/logits", {"prompt": "some words"}),
        ("/v1/internal/chain", {"prompt": "some words", "chain": [["top_k", {"top_k": 2}]]}),
        ("/v1/internal/chat-prompt", {"messages": [{"role": "user", "content": "x"}]}),
    )
    seats = {seat.name: seat.models for seat in server.services.models._seats}
    with server.client() as http:
        for path, body in asks:
            for name, used in (("b", "b"), ("a", "a"), ("gpt-4o", "a")):
                before = {seat: models.used for seat, models in seats.items()}
                answer = http.post(path, json={**body, "model": name})
                if strict and name == "gpt-4o":
                    assert answer.json()["error"]["code"] == "model_not_found", path
                    continue
                assert answer.status_code == 200, (path, answer.text)
                moved = {seat for seat, models in seats.items() if models.used != before[seat]}
                assert moved <= {used}, f"{path} asked {moved} for {name}"
                assert moved or path == "/v1/internal/chat-prompt", "it needs no answer of the engine"
        assert http.get("/props", params={"model": "b"}).json()["model_alias"] == "b"


def test_unloading_takes_the_named_one_and_never_another(begin: Callable[..., Server]) -> None:
    server = begin(Shelf())
    load(server, "a")
    load(server, "b")
    with server.client() as http:
        assert http.post("/v1/internal/model/unload", json={"model_name": "gpt-4o"}).status_code == 404
        assert states(http) == {"a": "loaded", "b": "loaded"}
        assert http.post("/v1/internal/model/unload", json={"model_name": "b"}).status_code == 200
        assert states(http) == {"a": "loaded"}
        assert http.post("/v1/internal/model/unload").status_code == 200
        assert states(http) == {}
