"""SillyTavern's recorded requests (versions 1.12.6 and 1.18.0), sent as it sends them, read as its page reads them."""

from __future__ import annotations

import json
import math
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import Server

RECORDED = json.loads(Path(__file__).with_name("sillytavern_requests.json").read_text(encoding="utf-8"))
REPLY = "*smiles* Добро пожаловать, 🙂 stranger."


@pytest.fixture(autouse=True, scope="module")
def loaded(server: Server) -> None:
    server.load(reply=REPLY)


def recorded_streams() -> list[Any]:
    return [
        pytest.param(version["stream_request"]["path"], version["stream_request"]["body"], id=name)
        for name, version in RECORDED.items()
        if isinstance(version, dict) and "stream_request" in version
    ]


def send(server: Server, path: str, body: dict[str, Any]) -> socket.socket:
    """As node-fetch does: HTTP/1.1, `Connection: close`, a body with its length."""
    data = json.dumps(body).encode()
    connection = socket.create_connection(("127.0.0.1", server.port), 20)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\ncontent-type: application/json\r\naccept: */*\r\n"
        f"content-length: {len(data)}\r\nuser-agent: node-fetch\r\naccept-encoding: gzip,deflate\r\n"
        "connection: close\r\n\r\n"
    )
    connection.sendall(head.encode() + data)
    return connection


def read_all(connection: socket.socket) -> tuple[bytes, bytes]:
    parts = []
    with connection:
        while part := connection.recv(65536):
            parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return head.lower(), body


def dechunk(body: bytes) -> str:
    text = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        text, body = text + rest[:length], rest[length + 2 :]
    return text.decode()


def read_like_the_page(text: str) -> tuple[str, list[dict[str, float]]]:
    """Its parser: events end at an empty line, only data counts, the text is a delta, entry 0 of the probabilities."""
    reply, probabilities = "", []
    for event in text.split("\n\n"):
        data = event.removeprefix("data: ")
        if not data or data == "[DONE]" or data.startswith(":"):
            continue
        chunk = json.loads(data)
        assert not any(chunk.get(name) for name in ("error", "message", "detail")) and "index" not in chunk
        if chunk["choices"]:
            choice = chunk["choices"][0]
            reply += choice.get("text") or ""
            if choice.get("logprobs"):
                probabilities.append(choice["logprobs"]["top_logprobs"][0])
    return reply, probabilities


def test_connecting(http: httpx.Client) -> None:
    answer = http.get("/v1/models", headers={"content-type": "application/json"})
    assert isinstance(answer.json()["data"], list) and answer.json()["data"][0]["id"] == "fake-model"
    assert answer.headers.get("x-powered-by") != "Express"
    assert http.get("/v1/internal/model/info").json()["model_name"] == "fake-model"
    for text in ("", "Hello\n🙂", "x " * 4000):
        data = http.post("/v1/internal/encode", json={"text": text}).json()
        assert data["length"] == len(data["tokens"])


@pytest.mark.parametrize(("path", "body"), recorded_streams())
def test_recorded_streams(server: Server, path: str, body: dict[str, Any]) -> None:
    """With every field it sends; the reply in pieces, one token with its probabilities in each."""
    head, raw = read_all(send(server, path, body))
    assert b" 200 " in head.split(b"\r\n")[0]
    assert b"content-type: text/event-stream" in head and b"connection: close" in head
    assert b"gzip" not in head
    reply, probabilities = read_like_the_page(dechunk(raw))
    assert reply and REPLY.startswith(reply)
    assert len(probabilities) > 5
    for candidates in probabilities:
        assert 1 <= len(candidates) <= 10
        assert all(value <= 0 for value in candidates.values())
        assert sum(math.exp(value) for value in candidates.values()) <= 1.0001
    assert dechunk(raw).rstrip().endswith("data: [DONE]")


@pytest.mark.parametrize(("path", "body"), recorded_streams())
def test_recorded_requests_plain(http: httpx.Client, path: str, body: dict[str, Any]) -> None:
    """A plain body is the same without the key `stream`."""
    answer = http.post(path, json={name: value for name, value in body.items() if name != "stream"})
    data = answer.json()
    assert answer.status_code == 200 and REPLY.startswith(data["choices"][0]["text"])
    samplers = {stage["sampler"] for stage in data["chain"]}
    assert {"repetition_penalty", "top_p"} <= samplers


@pytest.mark.parametrize("path", ["/v1/completions", "/completion"])
@pytest.mark.parametrize("stream", [True, False])
def test_stop_is_a_closed_connection(server: Server, http: httpx.Client, stream: bool, path: str) -> None:
    """Streamed or plain: the slot is free again at once."""
    server.load(reply=REPLY, delay=0.02, end=False)
    try:
        body = {"prompt": "go on", "max_tokens": 2000, **({"stream": True} if stream else {})}
        connection = send(server, path, body)
        until(lambda: server.services.models.active == 1)
        if stream:
            assert connection.recv(1000)
        connection.close()
        until(lambda: server.services.models.active == 0, 2)
    finally:
        server.load(reply=REPLY)


def test_a_swipe_reads_nothing_again_and_going_on_only_what_is_new(http: httpx.Client) -> None:
    """A swipe is the same request once more; Continue sends the prompt with what was said so far."""
    body = {**RECORDED["1.18.0"]["stream_request"]["body"], "stream": False}
    http.post("/v1/completions", json=body)
    swipe = http.post("/v1/completions", json=body).json()
    assert swipe["timings"]["prompt_n"] == 0 and swipe["timings"]["cache_n"] > 20
    more = {**body, "prompt": body["prompt"] + swipe["choices"][0]["text"]}
    further = http.post("/v1/completions", json=more).json()
    assert further["timings"]["cache_n"] >= swipe["timings"]["cache_n"] and further["timings"]["prompt_n"] < 50


def until(condition: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_errors_are_texts_it_can_show(http: httpx.Client) -> None:
    for body in ({"prompt": "x", "temperature": -1}, {"prompt": 5}, {"prompt": "x" * 10**6}):
        error = http.post("/v1/completions", json=body).json()["error"]
        assert isinstance(error["message"], str) and error["message"]


@pytest.mark.parametrize(
    "extra",
    [
        {"logit_bias": {"123": -50}, "custom_token_bans": "12,34"},
        {"logit_bias": {}, "custom_token_bans": ""},
        {"dry_sequence_breakers": '["\\n",":"]', "dry_multiplier": 0.8},
        {"dry_sequence_breakers": "a, b", "dry_multiplier": 0.8},
        {
            "dynamic_temperature": True,
            "dynatemp_low": 0,
            "dynatemp_high": 2,
            "dynatemp_range": 1,
            "dynatemp_exponent": 1,
        },
        {"do_sample": False, "temperature": 0, "top_p": 0, "top_k": 1, "num_beams": 10, "penalty_alpha": 0.6},
        {"mirostat_mode": 2, "mirostat_tau": 5, "mirostat_eta": 0.1},
        {"banned_strings": ["a banned phrase"], "epsilon_cutoff": 1.49, "eta_cutoff": 10.42},
        {"guidance_scale": 1.5, "negative_prompt": "boring"},
        {"sampler_priority": ["temperature", "nonsense", "top_k"], "model": "my-custom-model"},
        {"grammar_string": 'root ::= "*smiles*" [^\\n]*'},
    ],
)
def test_fields_that_are_sometimes_there(http: httpx.Client, extra: dict[str, Any]) -> None:
    body = RECORDED["1.18.0"]["stream_request"]["body"]
    answer = http.post("/v1/completions", json={**body, **extra, "stream": False})
    assert answer.status_code == 200, answer.text
    if extra.get("num_beams"):
        notes = " ".join(answer.json()["not_applied"])
        assert "num_beams" in notes and "penalty_alpha" in notes


def test_the_llama_cpp_type(http: httpx.Client) -> None:
    body = {
        "prompt": "Hi", "n_predict": 20, "samplers": ["top_k", "temperature"], "logit_bias": [[5, -1.5], [6, False]],
        "grammar": "", "cache_prompt": True, "temperature": 0.7, "n_probs": 3, "stop": ["\nUser:"],
    }  # fmt: skip
    data = http.post("/completion", json=body).json()
    assert data["content"] == REPLY and data["stop"] and data["completion_probabilities"][0]["top_logprobs"]
    assert http.post("/tokenize", json={"content": "Hi there", "model": "undefined"}).json()["tokens"]
    props = http.get("/props").json()
    assert props["default_generation_settings"]["n_ctx"] == 2048 and props["chat_template"]
    with http.stream("POST", "/completion", json={**body, "stream": True}) as answer:
        chunks = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    assert "".join(chunk["content"] for chunk in chunks) == REPLY
    assert chunks[-1]["stop"] and not chunks[0]["stop"]


@pytest.mark.parametrize("path", ["/v1/completions", "/completion"])
def test_probabilities_come_with_the_text_they_belong_to(server: Server, http: httpx.Client, path: str) -> None:
    """Text that might become a stop string waits, and its tokens with it: a candidate for the first of them replaces
    the piece from its beginning."""
    server.load(reply="Well, yes indeed. No.")
    body = {"prompt": "Hi", "stop": [" yes indeed! Bob:", " No! Bob:"], "logprobs": 3, "stream": True}
    try:
        with http.stream("POST", path, json=body) as answer:
            chunks = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: {")]
    finally:
        server.load(reply=REPLY)
    pieces: list[tuple[str, list[str]]] = []
    for chunk in chunks:
        choice = chunk["choices"][0] if "choices" in chunk else chunk
        rows = choice.get("completion_probabilities") or []
        known = choice["logprobs"]["tokens"] if choice.get("logprobs") else [row["token"] for row in rows]
        text = choice.get("text", choice.get("content"))
        if known or text:
            pieces.append((text, known))
    assert "".join(text for text, _ in pieces) == "Well, yes indeed. No."
    assert all("".join(known) == text for text, known in pieces)
    assert max(len(known) for _, known in pieces) > 1


def test_the_generic_openai_type(http: httpx.Client) -> None:
    body = {
        "prompt": "Hi", "stream": False, "temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0,
        "stop": ["a", "b", "c", "zz"], "seed": 1, "logit_bias": {}, "max_tokens": 20, "n": 2, "best_of": 1,
    }  # fmt: skip
    answer = http.post("/v1/completions", json=body)
    assert answer.status_code == 200 and len(answer.json()["choices"]) == 2
