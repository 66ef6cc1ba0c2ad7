"""The other routes: keys, sites, prompts, logits, scores, loading, llama.cpp's and Anthropic's."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import Server
from webui.api.infill import InfillBody, infill_prompt

REPLY = "Hello there."


@pytest.fixture(autouse=True, scope="module")
def loaded(server: Server) -> None:
    server.load(reply=REPLY)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("locked")
    server = Server(folder, api_key="key", admin_key="admin", api_cors_origin="https://page.example")
    yield server
    server.stop()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer key "[:-1] + "x"},
        {"authorization": "bearer  key"},
        {"authorization": "Basic key"},
        {"authorization": "key"},
        {"x-api-key": "wrong"},
    ],
)
def test_wrong_keys(locked: Server, headers: dict[str, str]) -> None:
    with locked.client(headers=headers) as http:
        for path in ("/v1/models", "/v1/internal/health", "/docs", "/nothing", "/v1/models?api_key=key"):
            answer = http.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
            error = answer.json()["error"]
            assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
        assert http.get("/health").status_code == 503  # open, and there is no model


@pytest.mark.parametrize(
    "headers", [{"authorization": "Bearer key"}, {"authorization": "bearer key"}, {"x-api-key": "key"}]
)
def test_right_keys_and_the_admins(locked: Server, headers: dict[str, str]) -> None:
    with locked.client(headers=headers) as http:
        assert http.get("/v1/models").status_code == 200
        answer = http.post("/v1/internal/model/unload")
        assert answer.status_code == 403 and answer.json()["error"]["code"] == "admin_key_required"
    with locked.client(headers={"authorization": "Bearer admin"}) as http:
        assert http.post("/v1/internal/model/unload").status_code == 200
        assert http.get("/v1/models").status_code == 200


def test_a_chosen_site_may_call(locked: Server) -> None:
    ask = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    with locked.client() as http:
        answer = http.options("/v1/completions", headers={"origin": "https://page.example", **ask})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
        assert http.options("/v1/completions", headers={"origin": "https://evil.example", **ask}).status_code == 403


def test_no_site_may_call_without_being_chosen(http: httpx.Client) -> None:
    answer = http.get("/v1/models")
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_documents_load_nothing_from_elsewhere(http: httpx.Client) -> None:
    answer = http.get("/docs")
    assert answer.status_code == 200 and "/v1/chat/completions" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text and "https://" not in answer.text
    schema = http.get("/openapi.json").json()
    assert {"/v1/completions", "/v1/messages", "/infill", "/v1/internal/score"} <= set(schema["paths"])


def chat_prompt(http: httpx.Client, **fields: Any) -> str:
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Go"},
    ]
    answer = http.post("/v1/internal/chat-prompt", json={"messages": messages, **fields})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prompt"])


def test_the_three_modes(http: httpx.Client) -> None:
    assert chat_prompt(http).endswith("<|im_start|>user\nGo<|im_end|>\n<|im_start|>assistant\n")
    names = {"name1": "Ann", "name2": "Bob", "context": "{{char}} is shy.", "greeting": "Hello, {{user}}."}
    chat = chat_prompt(http, mode="chat", **names)
    assert chat == "Bob is shy.\n\nBob: Hello, Ann.\nAnn: Hi\nBob: Yes?\nAnn: Go\nBob:"
    both = chat_prompt(http, mode="chat-instruct", chat_instruct_command="As <|character|>:\n<|prompt|>", **names)
    assert both.endswith("Bob: Yes?\nAnn: Go<|im_end|>\n<|im_start|>assistant\nBob:")
    assert "As Bob:\nBob is shy." in both


def test_templates_can_be_named_or_brought(http: httpx.Client) -> None:
    assert "[INST] Go [/INST]" in chat_prompt(http, instruction_template="llama-2")
    brought = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    assert chat_prompt(http, instruction_template_str=brought) == "<user>Hi<assistant>Yes?<user>Go"
    for bad in ({"instruction_template": "../x"}, {"instruction_template_str": "{% for %}"}):
        answer = http.post("/v1/internal/chat-prompt", json={"messages": [{"role": "user", "content": "x"}], **bad})
        assert answer.status_code == 400, answer.text


def test_going_on_with_a_message(http: httpx.Client) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Well, it"}]
    answer = http.post("/v1/internal/chat-prompt", json={"messages": messages, "continue_": True})
    assert answer.json()["prompt"].endswith("<|im_start|>assistant\nWell, it")


THINKS = (
    "{% for m in messages %}<{{ m.role }}>{{ '(' ~ m.reasoning_content ~ ')' if m.reasoning_content }}{{ m.content }}"
    "{% endfor %}"
)


def test_thoughts_come_back_to_a_template_that_reads_them(http: httpx.Client) -> None:
    said = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes", "reasoning_content": "Hm"},
        {"role": "user", "content": "Go"},
    ]
    body = {"messages": said, "instruction_template_str": THINKS}
    assert http.post("/v1/internal/chat-prompt", json=body).json()["prompt"] == "<user>Hi<assistant>(Hm)Yes<user>Go"


def test_the_oldest_turns_go_where_a_length_is_asked_for(http: httpx.Client) -> None:
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n} " * 10} for n in range(21)]
    body = {"messages": [{"role": "system", "content": "Be kind."}, *turns], "max_tokens": 20}
    whole = http.post("/v1/chat/completions", json=body).json()
    asked = http.post("/v1/chat/completions", json={**body, "truncation_length": 300}).json()
    assert whole["usage"]["prompt_tokens"] > 300 >= asked["usage"]["prompt_tokens"] + 20
    assert asked["usage"]["prompt_tokens"] > 150, "only as many as must"
    assert [note for note in asked["not_applied"] if "oldest messages" in note]
    assert "not_applied" not in whole
    refused = http.post("/v1/chat/completions", json={**body, "truncation_length": 25})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "truncation_length"


def test_what_has_no_meaning_in_a_mode_is_named(http: httpx.Client) -> None:
    def notes(**fields: Any) -> str:
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, **fields}
        return " ".join(http.post("/v1/chat/completions", json=body).json().get("not_applied", ()))

    tools = [{"type": "function", "function": {"name": "look"}}]
    assert notes() == ""
    assert "context:" in notes(context="A room.") and "greeting:" in notes(mode="instruct", greeting="Hi")
    assert "tools:" in notes(mode="chat", tools=tools)
    assert notes(mode="chat-instruct", context="A room.", name1="Ann", name2="Bob") == ""
    assert "functions: send tools" in notes(functions=[{"name": "look"}])


def test_logits(http: httpx.Client) -> None:
    found = http.post("/v1/internal/logits", json={"prompt": "Say", "top_logits": 5}).json()
    assert list(found)[0] == "Hello" and 2 <= len(found) <= 5
    assert list(found.values()) == sorted(found.values(), reverse=True) and 0.9 < sum(found.values()) <= 1
    body = {"prompt": "Say", "use_samplers": True, "top_k": 1}
    assert http.post("/v1/internal/logits", json=body).json() == {"Hello": 1.0}


def test_the_chain_as_a_service(http: httpx.Client) -> None:
    body = {"logits": [2.0, 1.0, 0.0], "chain": [["top_k", {"top_k": 2}]]}
    found = http.post("/v1/internal/chain", json=body).json()
    assert set(found["final"]) == {"0", "1"} and found["stages"][0]["name"] == "top_k"
    found = http.post("/v1/internal/chain", json={"prompt": "Say", "chain": []}).json()
    assert max(found["final"].values()) > 0.9
    assert http.post("/v1/internal/chain", json={"logits": []}).status_code == 400


def test_score(http: httpx.Client) -> None:
    found = http.post("/v1/internal/score", json={"text": "one two three", "top": 2}).json()
    assert "".join(t["token"] for t in found["tokens"][-3:]) == "one two three"
    last = found["tokens"][-1]
    assert last["logprob"] < 0 and last["rank"] >= 1 and last["entropy"] > 0 and len(last["top"]) == 2
    known = [t["logprob"] for t in found["tokens"] if t["logprob"] is not None]
    assert math.isclose(found["mean_logprob"], sum(known) / len(known))


def test_echo_with_logprobs_tells_those_of_the_prompt(http: httpx.Client) -> None:
    body = {"prompt": "one two", "echo": True, "logprobs": 2, "max_tokens": 2}
    choice = http.post("/v1/completions", json=body).json()["choices"][0]
    logprobs = choice["logprobs"]
    assert choice["text"] == "one two" + "Hello there"
    assert logprobs["tokens"][-4:] == ["one", " two", "Hello", " there"]
    assert logprobs["token_logprobs"][0] is None and all(v <= 0 for v in logprobs["token_logprobs"][1:])


def test_stop_generation_stops_everybody(server: Server, http: httpx.Client) -> None:
    server.load(reply=REPLY, delay=0.02, end=False)
    try:
        with http.stream("POST", "/v1/completions", json={"prompt": "x", "max_tokens": -1, "stream": True}) as answer:
            lines = answer.iter_lines()
            next(lines)
            with server.client() as other:
                assert other.post("/v1/internal/stop-generation").json() == "OK"
            last = [line for line in lines if line.startswith("data: {")][-1]
        assert json.loads(last[6:])["choices"][0]["finish_reason"] == "stop"
    finally:
        server.load(reply=REPLY)


def test_model_list_and_load(server: Server, http: httpx.Client, starter_path: Path) -> None:
    listed = http.get("/v1/internal/model/list").json()["model_names"]
    name = next(name for name in listed if "SmolLM2" in name)
    assert http.get("/v1/internal/lora/list").json() == {"lora_names": []}
    answer = http.post("/v1/internal/model/load", json={"model_name": name, "args": {"trust_remote_code": True}})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "args"
    answer = http.post("/v1/internal/model/load", json={"model_name": name, "args": {"n_ctx": -5}})
    assert answer.status_code == 400
    assert http.get("/v1/internal/model/info").json()["model_name"] == "fake-model"


@pytest.mark.model
def test_loading_the_starter_model(server: Server, http: httpx.Client, starter_path: Path) -> None:
    try:
        name = next(n for n in http.get("/v1/internal/model/list").json()["model_names"] if "SmolLM2" in n)
        body = {"model_name": name, "args": {"ctx_size": 512, "slots": 1}}
        assert http.post("/v1/internal/model/load", json=body).status_code == 200
        assert http.get("/v1/internal/model/info").json()["n_ctx"] == 512
        body = {"prompt": "The capital of France is", "temperature": 0, "n_predict": 4}
        assert "Paris" in http.post("/completion", json=body).json()["content"]
    finally:
        server.load(reply=REPLY)


def test_llama_cpp_tokens(http: httpx.Client) -> None:
    tokens = http.post("/tokenize", json={"content": "Say 🙂", "with_pieces": True}).json()["tokens"]
    assert tokens[0]["piece"] == "Say"
    ids = [token["id"] for token in tokens]
    assert http.post("/detokenize", json={"tokens": ids}).json()["content"] == "Say 🙂"
    assert http.get("/health").json() == {"status": "ok"}
    answer = http.post("/infill", json={"input_prefix": "a", "input_suffix": "b"})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "infill_not_supported"


ROLES = {"prefix": 3001, "suffix": 3002, "middle": 3003, "project": 3004, "file": 3005}


@pytest.mark.parametrize(
    ("roles", "wanted"),
    [
        (tuple(ROLES), " w3004myproject\n w3005one.py\nfirst w3005tmp\nsecond w3005filename\n"),
        (tuple(ROLES)[:3], "\n\n--- snippet ---\n\nfirst\n\n--- snippet ---\n\nsecond"),
    ],
)
def test_infill(server: Server, http: httpx.Client, roles: tuple[str, ...], wanted: str) -> None:
    """The tokens have other ids than in a real model; their texts show where each of them stands."""
    server.load(reply="between", extra={"infill": {role: ROLES[role] for role in roles}})
    extra = [{"filename": "one.py", "text": "first"}, {"text": "second"}]
    body = {"input_prefix": "before", "input_suffix": "after", "prompt": " begun", "input_extra": extra}
    models = server.run(server.services.models.seat_for(None))
    try:
        ids = server.run(infill_prompt(models, InfillBody.model_validate(body)))
        text = server.run(models.detokenize(ids, special=True))
        assert text == f"{wanted}<s> w3001before begun w3002after w3003"
        data = http.post("/infill", json={**body, "n_predict": 5}).json()
        assert data["content"] == "between" and data["tokens_evaluated"] == len(ids)
    finally:
        server.load(reply=REPLY)


@pytest.mark.parametrize("name", ["min_tokens", "min_length", "min_new_tokens"])
def test_an_answer_has_as_many_tokens_as_it_must(http: httpx.Client, name: str) -> None:
    ask = {"prompt": "Hi", "max_tokens": 60, "temperature": 0}
    short = http.post("/v1/completions", json=ask).json()["usage"]["completion_tokens"]
    data = http.post("/v1/completions", json={**ask, name: 30, "stop": REPLY[3:5]}).json()
    assert short < 30 <= data["usage"]["completion_tokens"] and "not_applied" not in data
    assert data["choices"][0]["text"].startswith(REPLY)
    refused = http.post("/v1/completions", json={**ask, name: -1})
    assert refused.status_code == 400 and "min_" in refused.json()["error"]["param"]


ASK = {"model": "any", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}


def test_one_call_where_no_more_are_wished(server: Server, http: httpx.Client) -> None:
    server.load(
        reply="".join(f'<tool_call>\n{{"name": "look", "arguments": {{"at": {n}}}}}\n</tool_call>' for n in (1, 2))
    )
    function = {"name": "look", "description": "Looks."}
    chat = {"messages": ASK["messages"], "tools": [{"type": "function", "function": function}]}
    ask = {**ASK, "max_tokens": 500, "tools": [{**function, "input_schema": {"type": "object"}}]}
    try:
        for wish, calls in ((True, [1, 2]), (False, [1])):
            data = http.post("/v1/chat/completions", json={**chat, "parallel_tool_calls": wish}).json()["choices"][0]
            arguments = [json.loads(call["function"]["arguments"]) for call in data["message"]["tool_calls"]]
            assert arguments == [{"at": number} for number in calls] and data["finish_reason"] == "tool_calls"
            choice = {"type": "auto", "disable_parallel_tool_use": not wish}
            data = http.post("/v1/messages", json={**ask, "tool_choice": choice}).json()
            assert [block["input"] for block in data["content"]] == [{"at": number} for number in calls]
            assert data["stop_reason"] == "tool_use"
    finally:
        server.load(reply=REPLY)


@pytest.mark.parametrize("stream", [False, True])
def test_what_would_not_be_told_is_not_generated(server: Server, http: httpx.Client, stream: bool) -> None:
    """The model calls one tool after another for ever; the answer ends where the second call begins."""
    calls = "".join(f'<tool_call>\n{{"name": "look", "arguments": {{"at": {n}}}}}\n</tool_call>' for n in range(9))
    server.load(reply=calls, end=False, delay=0.001, n_ctx=8192)
    function = {"name": "look", "description": "Looks."}
    body = {"messages": ASK["messages"], "tools": [{"type": "function", "function": function}], "n": 2}
    body |= {"parallel_tool_calls": False, "max_tokens": 4000, "stream": stream}
    try:
        answer = http.post("/v1/chat/completions", json={**body, "stream_options": {"include_usage": True}})
        lines = (
            [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")] if stream else [answer.text]
        )
        data = [json.loads(line) for line in lines]
        ends = [c["finish_reason"] for one in data for c in one["choices"] if c["finish_reason"]]
        assert ends == ["tool_calls"] * 2
        assert 20 < data[-1]["usage"]["completion_tokens"] < 2000
        told = "".join(lines).replace("\\", "")
        assert told.count('"name":"look"') == 2
    finally:
        server.load(reply=REPLY)


HOW = {"seed": 7, "temperature": 0.5, "num_beams": 5}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "Hi"}),
        ("/v1/chat/completions", {"messages": ASK["messages"]}),
        ("/completion", {"prompt": "Hi"}),
        ("/completions", {"prompt": "Hi"}),
        ("/infill", {"input_prefix": "a"}),
        ("/v1/messages", ASK),
    ],
)
def test_every_answer_says_how_it_was_made(
    server: Server, http: httpx.Client, path: str, body: dict[str, Any], stream: bool
) -> None:
    roles = {"infill": {role: ROLES[role] for role in ("prefix", "suffix", "middle")}}
    status = server.services.models.status()
    if status.info is None or dict(status.info.extra) != roles:
        server.load(reply=REPLY, extra=roles)
    answer = http.post(path, json={**body, **HOW, "stream": stream})
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")] if stream else [answer.text]
    told: dict[str, Any] = {}
    for line in lines:
        data = json.loads(line)
        told |= data.get("message") or {}
        told |= data
    assert told["seed"] == 7 and told["model"] == "fake-model"
    assert next(step["values"]["temperature"] for step in told["chain"] if step["sampler"] == "temperature") == 0.5
    assert any("num_beams" in note for note in told["not_applied"])
    timings = told["timings"]
    assert timings["prompt_n"] + timings["cache_n"] > 0 and timings["predicted_n"] > 0
    assert timings["predicted_ms"] >= 0 and timings["predicted_per_second"] >= 0
