"""Models that answer for one another, through the real API: who is asked, why the next one is, and when nobody is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import Server
from tests.api.test_several_models import load, say, spec, states, until
from webui.runtime.fleet import Occupant
from webui.types import LoadSpec

CRASH = {"at": "token", "how": "SIGSEGV"}
HANG = {"at": "prompt", "how": "hang"}


class Shelf:
    """What can be loaded, by name, with the fake engine's options; `room` is how many fit at once."""

    def __init__(self, room: int = 9, **options: dict[str, Any]) -> None:
        self.room, self.options = room, options

    def find(self, name: str) -> LoadSpec | None:
        return spec(name, **self.options[name]) if name in self.options else None

    def shortage(self, spec: LoadSpec, staying: Sequence[Occupant], leaving: Sequence[Occupant]) -> str:
        return "There is no room." if len(staying) >= self.room else ""

    def idle_minutes(self, name: str) -> float:
        return 0.0


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def make(shelf: Shelf, models: Sequence[Any] = (), seconds: float = 0, text: str = "", **settings: Any) -> Server:
        servers.append(Server(tmp_path, **settings))
        servers[-1].services.models.shelf = shelf
        servers[-1].services.fallback_settings.keep(models, seconds=seconds, text=text)
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def ask(http: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = http.post("/v1/completions", json={"prompt": "Who?", "temperature": 0, **fields})
    return {"status": answer.status_code, **answer.json()}


def events(http: httpx.Client, path: str, **fields: Any) -> list[dict[str, Any]]:
    answer = http.post(path, json={"temperature": 0, "stream": True, **fields})
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_each_way_to_fail_leads_to_the_next_and_the_answer_names_them_all(begin: Callable[..., Server]) -> None:
    shelf = Shelf(b={}, refuses={"load_error": "It is no model."}, crashes={"faults": [CRASH]})
    order = ["ghost", "refuses", "crashes", {"name": "hangs", "seconds": 0.5}, "b"]
    server = begin(shelf, order)
    load(server, "hangs", faults=[HANG])
    with server.client() as http:
        found = ask(http)
        assert (found["model"], found["choices"][0]["text"]) == ("b", "I am b.")
        reasons = {miss["model"]: miss["code"] for miss in found["fallback"]}
        assert reasons == {
            "ghost": "model_not_found",
            "refuses": "load_failed",
            "crashes": "engine_stopped",
            "hangs": "over_time",
        }
        assert [miss["model"] for miss in found["fallback"]] == list(reasons)
        assert "It is no model" in found["fallback"][1]["message"] and found["fallback"][3]["seconds"] >= 0.5
        again = ask(http, model="b")
        assert again["model"] == "b" and "fallback" not in again, "it was asked first"
        parts = events(http, "/v1/chat/completions", messages=[{"role": "user", "content": "Who?"}], model="refuses")
        assert {part["model"] for part in parts} == {"b"}, "no chunk of another model before it"
        said = "".join(part["choices"][0]["delta"].get("content") or "" for part in parts)
        assert said == "I am b." and [miss["model"] for miss in parts[-1]["fallback"]] == list(reasons)[1:]


def test_who_is_asked(begin: Callable[..., Server]) -> None:
    server = begin(Shelf(a={}, b={}, c={"load_error": "No."}, x={"load_error": "No."}), ["c", "a"])
    load(server, "b")
    with server.client() as http:
        assert ask(http)["model"] == "a", "without a name the order counts, not the current model"
        assert ask(http, model="gpt-4o")["model"] == "a"
        assert ask(http, model="b")["model"] == "b", "a model outside the order answers for itself"
        alone = ask(http, model="x")
        assert (alone["status"], alone["error"]["code"]) == (500, "load_failed")
        settings = server.services.fallback_settings
        settings.keep(["c", "a"], enabled=False)
        assert ask(http)["model"] == "b" and ask(http, model="c")["status"] == 500
        (settings._file).write_text("models: [", encoding="utf-8")
        assert ask(http)["model"] == "b" and settings.problem is not None, "a damaged file stops nothing"


def test_strict_names_are_strict_with_an_order_too(begin: Callable[..., Server]) -> None:
    server = begin(Shelf(a={"load_error": "No."}, b={}), ["a", "b"], strict_model=True)
    with server.client() as http:
        assert ask(http, model="a")["model"] == "b"
        assert ask(http, model="gpt-4o")["error"]["code"] == "model_not_found"


def test_when_nobody_answers_the_text_does_or_the_error_names_all(begin: Callable[..., Server]) -> None:
    server = begin(Shelf(a={"load_error": "Broken."}), ["a", "ghost"], text="Come back later.")
    message = [{"role": "user", "content": "Who?"}]
    with server.client() as http:
        found = ask(http, prompt=["Who?", "And you?"], echo=True, n=2)
        assert [c["text"] for c in found["choices"]] == ["Who?Come back later."] * 2 + ["And you?Come back later."] * 2
        assert found["model"] == "fallback-text" and found["usage"]["completion_tokens"] == 0
        assert [miss["model"] for miss in found["fallback"]] == ["a", "ghost"]
        parts = events(http, "/v1/chat/completions", messages=message)
        assert "".join(part["choices"][0]["delta"].get("content") or "" for part in parts) == "Come back later."
        assert parts[-1]["choices"][0]["finish_reason"] == "stop" and parts[-1]["fallback"]
        anthropic = http.post("/v1/messages", json={"model": "a", "max_tokens": 9, "messages": message}).json()
        assert anthropic["content"] == [{"type": "text", "text": "Come back later."}]
        assert http.post("/completion", json={"prompt": "x"}).json()["content"] == "Come back later."
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
        form = ask(http, response_format=wanted)
        assert form["error"]["code"] == "nobody_answered", "words are no JSON"
        server.services.fallback_settings.keep(["a", "ghost"], text="")
        told = ask(http)
        assert (told["status"], told["error"]["code"]) == (503, "nobody_answered")
        assert "a: Broken" in told["error"]["message"] and "ghost: There is no model" in told["error"]["message"]


def test_a_wrong_question_is_put_to_nobody_else(begin: Callable[..., Server]) -> None:
    server = begin(Shelf(a={}, b={}), ["a", "b"], text="Later.")
    with server.client() as http:
        assert ask(http, temperature=-3)["status"] == 400
        assert ask(http, prompt=[999_999])["error"]["param"] == "prompt"
        assert ask(http, prompt="word " * 3000)["error"]["code"] == "context_length_exceeded"
        assert states(http)["a"] == "loaded" and "b" not in states(http)


def test_after_the_first_token_nobody_takes_over(begin: Callable[..., Server]) -> None:
    server = begin(
        Shelf(a={"faults": [{**CRASH, "after": 3}], "reply": "one two three four", "delay": 0.1}, b={}), ["a", "b"]
    )
    with server.client() as http:
        parts = events(http, "/v1/completions", prompt="Who?")
        said = [part["choices"][0]["text"] for part in parts[:-1]]
        assert said and said == ["one", " two", " three"][: len(said)], "the last one may die with the engine"
        assert parts[-1]["error"]["code"] == "engine_stopped" and {part["model"] for part in parts[:-1]} == {"a"}
        assert "b" not in states(http)


def test_one_that_always_crashes_is_soon_asked_no_more(begin: Callable[..., Server]) -> None:
    server = begin(Shelf(a={"faults": [CRASH]}, b={}), ["a", "b"])
    with server.client() as http:
        found = [ask(http) for _ in range(5)]
        assert [one["model"] for one in found] == ["b"] * 5
        codes = [one["fallback"][0]["code"] for one in found]
        assert codes[0] == "engine_stopped" and codes[-1] == "engine_crash_loop"
        assert {seat.name: seat.pid for seat in server.services.models.seats()}["a"] == 0, "it is not started again"
        load(server, "a")
        assert ask(http)["model"] == "a", "until somebody loads it"


def test_it_can_be_stopped_while_a_model_loads(begin: Callable[..., Server]) -> None:
    server = begin(Shelf(slow={"load_seconds": 60}, b={}), ["slow", "b"], text="Later.")
    with server.client() as http, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, http)
        until(lambda: any(seat.status.stage == "loading" for seat in server.services.models.seats()))
        assert http.post("/v1/internal/stop-generation").status_code == 200
        assert waiting.result()["error"]["code"] == "stopped"
        with pytest.raises(httpx.ReadTimeout):
            http.post("/v1/completions", json={"prompt": "x"}, timeout=0.3)
        assert "b" not in states(http), "neither was b asked for somebody who has left"
        server.services.fallback_settings.keep([{"name": "slow", "seconds": 0.2}, "b"])
        answered = ask(http)
        assert answered["model"] == "b" and answered["fallback"][0]["code"] == "over_time"
        assert states(http)["slow"] == "loading", "the load goes on for the next question"


def test_a_busy_model_is_not_put_to_sleep_for_one_of_the_order(begin: Callable[..., Server]) -> None:
    server = begin(Shelf(room=1, b={}), ["b", "a"])
    load(server, "a", end=False, delay=0.02)
    pid = server.services.models.pid
    with server.client() as http, ThreadPoolExecutor(1) as pool:
        long = pool.submit(say, http, "a", max_tokens=60)
        until(lambda: server.services.models.active == 1)
        found = ask(http, max_tokens=3)
        assert found["model"] == "a" and found["fallback"][0]["code"] == "no_room"
        assert long.result()[:2] == (200, "a") and server.services.models.pid == pid
        assert ask(http, max_tokens=3)["model"] == "b", "it had nothing to do"


def test_many_at_once_share_the_way(begin: Callable[..., Server]) -> None:
    server = begin(Shelf(a={"load_error": "No.", "load_seconds": 0.2}, b={"load_seconds": 0.2}), ["a", "b"])
    with server.client() as http, ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: ask(http), range(6)))
        assert [one["model"] for one in found] == ["b"] * 6
        assert [seat.name for seat in server.services.models.seats()].count("b") == 1
