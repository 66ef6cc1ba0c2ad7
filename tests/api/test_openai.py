"""OpenAI's routes over real HTTP, with the FakeEngine."""

from __future__ import annotations

import json
from typing import Any, cast

import httpx
import pytest

from tests.api.conftest import Server
from webui.api.options import read_options
from webui.api.schemas import CompletionBody
from webui.services import Services

REPLY = "Hello there, дорогой 🙂 друг!"


@pytest.fixture(autouse=True, scope="module")
def loaded(server: Server) -> None:
    server.load(reply=REPLY)


def ask(http: httpx.Client, path: str = "/v1/completions", **fields: Any) -> dict[str, Any]:
    body = (
        {"prompt": "Say something"} if path == "/v1/completions" else {"messages": [{"role": "user", "content": "Hi"}]}
    )
    answer = http.post(path, json={**body, **fields})
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()
    return data


def stream(http: httpx.Client, path: str = "/v1/completions", **fields: Any) -> list[dict[str, Any]]:
    """All events but the last, which must be [DONE]."""
    body = (
        {"prompt": "Say something"} if path == "/v1/completions" else {"messages": [{"role": "user", "content": "Hi"}]}
    )
    with http.stream("POST", path, json={**body, **fields, "stream": True}) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line and not line.startswith(":")]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line[6:]) for line in lines[:-1]]


def test_models(http: httpx.Client) -> None:
    listed = http.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["fake-model"]
    assert http.get("/v1/models/fake-model").json()["id"] == "fake-model"
    assert http.get("/v1/models/other").status_code == 404


def test_a_completion_says_how_it_was_made(http: httpx.Client) -> None:
    data = ask(http, seed=5, temperature=0.5, top_k=20)
    choice = data["choices"][0]
    assert choice["text"] == REPLY
    assert choice["finish_reason"] == "stop"
    assert data["object"] == "text_completion" and data["model"] == "fake-model"
    assert data["seed"] == choice["seed"] == 5
    chain = {stage["sampler"]: stage["values"] for stage in data["chain"]}
    assert chain["temperature"]["temperature"] == 0.5 and chain["top_k"]["top_k"] == 20
    assert set(chain) == {"temperature", "top_k", "top_p", "min_p"}  # the rest is Balanced
    usage = data["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert data["timings"]["predicted_n"] == usage["completion_tokens"] > 5


def test_a_chain_a_preset_and_fields_that_beat_it(http: httpx.Client) -> None:
    def names(**fields: Any) -> list[str]:
        return [stage["sampler"] for stage in ask(http, **fields)["chain"]]

    chain = [["min_p", {"min_p": 0.1}], ["temperature", {"temperature": 2}], ["min_p", {"min_p": 0.2}]]
    assert names(chain=chain) == ["min_p", "temperature", "min_p"]
    assert names(chain=[]) == []
    made = ask(http, preset="Deterministic", temperature=0.3)["chain"]
    assert {"temperature": 0.3}.items() <= next(s["values"] for s in made if s["sampler"] == "temperature").items()
    assert http.post("/v1/completions", json={"prompt": "x", "preset": "../x"}).status_code == 400
    assert http.post("/v1/completions", json={"prompt": "x", "chain": [["no such", {}]]}).status_code == 400


def test_a_stream_is_the_plain_answer_in_pieces(http: httpx.Client) -> None:
    events = stream(http, seed=5, stream_options={"include_usage": True})
    assert "".join(c["text"] for e in events for c in e["choices"]) == REPLY
    assert len({e["id"] for e in events}) == 1
    *_, last, usage = events
    assert last["choices"][0]["finish_reason"] == "stop" and last["seed"] == 5 and last["timings"]
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] > 5
    assert all(e["choices"][0]["finish_reason"] is None for e in events[:-2])
    assert not any("usage" in e for e in stream(http))


def test_a_chat(http: httpx.Client) -> None:
    data = ask(http, "/v1/chat/completions")
    message = data["choices"][0]["message"]
    assert (message["role"], message["content"]) == ("assistant", REPLY)
    assert data["object"] == "chat.completion"
    events = stream(http, "/v1/chat/completions")
    deltas = [e["choices"][0]["delta"] for e in events]
    assert deltas[0]["role"] == "assistant"
    assert "".join(d.get("content") or "" for d in deltas) == REPLY
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
    assert {e["object"] for e in events} == {"chat.completion.chunk"}


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_stop_strings_and_limits(http: httpx.Client, path: str) -> None:
    def text(choice: dict[str, Any]) -> str:
        return str(choice["text"] if "text" in choice else choice["message"]["content"])

    choice = ask(http, path, stop=["друг", "zzz"])["choices"][0]
    assert text(choice) == REPLY.split("друг")[0]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "друг")
    choice = ask(http, path, max_tokens=2)["choices"][0]
    assert text(choice) == "Hello there" and choice["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("limit", "reason"), [({"loop_limit": 3}, "loop"), ({"t_max_predict_ms": 20}, "time")], ids=["loop", "time"]
)
def test_a_limit_of_ones_own_is_named(http: httpx.Client, server: Server, limit: dict[str, int], reason: str) -> None:
    server.load(reply="round and round and " * 60, delay=0.005)
    try:
        choice = ask(http, max_tokens=300, **limit)["choices"][0]
        assert (choice["finish_reason"], choice["stop_reason"]) == ("length", reason)
        last = [e for e in stream(http, max_tokens=300, **limit) if e["choices"]][-1]["choices"][0]
        assert (last["finish_reason"], last["stop_reason"]) == ("length", reason)
    finally:
        server.load(reply=REPLY)


def test_a_drawn_seed_can_be_used_again(http: httpx.Client, server: Server) -> None:
    server.load(reply=REPLY, sharpness=0)
    try:
        first = ask(http, max_tokens=20)
        assert ask(http, max_tokens=20, seed=first["seed"])["choices"][0]["text"] == first["choices"][0]["text"]
        assert ask(http, max_tokens=20)["seed"] != first["seed"]
    finally:
        server.load(reply=REPLY)


def test_several_choices_and_several_prompts(http: httpx.Client) -> None:
    data = ask(http, n=3)
    assert [c["index"] for c in data["choices"]] == [0, 1, 2]
    assert [c["text"] for c in data["choices"]] == [REPLY] * 3
    assert len({c["seed"] for c in data["choices"]}) == 3
    data = ask(http, prompt=["one", "two"], n=2)
    assert [c["index"] for c in data["choices"]] == [0, 1, 2, 3]
    events = stream(http, prompt=["one", "two"], n=2)
    texts = {n: "".join(c["text"] for e in events for c in e["choices"] if c["index"] == n) for n in range(4)}
    assert texts == dict.fromkeys(range(4), REPLY)
    ends = [c["index"] for e in events for c in e["choices"] if c["finish_reason"]]
    assert sorted(ends) == [0, 1, 2, 3]


def test_a_prompt_of_tokens(http: httpx.Client) -> None:
    tokens = http.post("/v1/internal/encode", json={"text": "Say something"}).json()["tokens"]
    assert ask(http, prompt=tokens)["choices"][0]["text"] == REPLY
    assert ask(http, prompt=tokens, echo=True)["choices"][0]["text"] == "Say something" + REPLY


def test_logprobs_of_completions(http: httpx.Client) -> None:
    logprobs = ask(http, logprobs=3)["choices"][0]["logprobs"]
    assert "".join(logprobs["tokens"]).startswith("Hello there")
    assert all(value <= 0 for value in logprobs["token_logprobs"])
    assert all(1 <= len(best) <= 3 for best in logprobs["top_logprobs"])
    assert logprobs["text_offset"][0] == 0 and logprobs["text_offset"] == sorted(logprobs["text_offset"])
    events = stream(http, logprobs=3)
    per_token = [c["logprobs"] for e in events for c in e["choices"] if c["logprobs"]]
    for name in ("tokens", "text_offset"):
        assert [one for entry in per_token for one in entry[name]] == logprobs[name]


def test_logprobs_of_chats(http: httpx.Client) -> None:
    fields = {"logprobs": True, "top_logprobs": 2}
    content = ask(http, "/v1/chat/completions", **fields)["choices"][0]["logprobs"]["content"]
    assert content[0]["token"] == "Hello" and content[0]["logprob"] <= 0
    assert content[0]["bytes"] == list(b"Hello") and len(content[0]["top_logprobs"]) == 2
    events = stream(http, "/v1/chat/completions", **fields)
    streamed = [t for e in events for c in e["choices"] if c["logprobs"] for t in c["logprobs"]["content"]]
    assert [t["token"] for t in streamed] == [t["token"] for t in content]


def test_internal_routes(http: httpx.Client) -> None:
    assert http.get("/v1/internal/health").json() == {"status": "ok"}
    info = http.get("/v1/internal/model/info").json()
    assert info["model_name"] == "fake-model" and info["lora_names"] == []
    encoded = http.post("/v1/internal/encode", json={"text": "Say 🙂"}).json()
    assert encoded["length"] == len(encoded["tokens"]) > 1
    assert http.post("/v1/internal/encode", json={"text": ""}).json()["length"] == 0
    assert http.post("/v1/internal/decode", json={"tokens": encoded["tokens"]}).json()["text"] == "Say 🙂"
    assert http.post("/v1/internal/token-count", json={"text": "Say 🙂"}).json()["length"] == encoded["length"]


def test_guesses_and_loops_reach_the_engine(http: httpx.Client) -> None:
    body = CompletionBody.model_validate({"prompt": "x", "loop_limit": 5, "prompt_lookup_num_tokens": 40})
    options = read_options(cast(Services, None), body, None, None)
    assert (options.fields["loop_limit"], options.fields["lookup"], options.notes) == (5, 16, ())
    data = ask(http, prompt=f"{REPLY} {REPLY}", prompt_lookup_num_tokens=6)
    assert data["choices"][0]["text"] == REPLY and "not_applied" not in data
    for name in ("loop_limit", "prompt_lookup_num_tokens"):
        refused = http.post("/v1/completions", json={"prompt": "x", name: -1})
        assert refused.status_code == 400 and refused.json()["error"]["param"] == name
