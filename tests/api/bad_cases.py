"""The table of bad inputs, rows 1 to 36: what is sent, and what must come back. Read by test_errors and bad_inputs."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from tests.api.bad_schemas import GOOD_SCHEMAS, fits, json_schema, nested
from tests.api.conftest import Server

IRE = "invalid_request_error"
CHAT, TEXT, LOAD = "/v1/chat/completions", "/v1/completions", "/v1/internal/model/load"
USER = [{"role": "user", "content": "Hi"}]
N_CTX = 256
KEY = "the right key"

State = Literal["ready", "none", "loading", "full"]
Send = Callable[["Target"], httpx.Response]
Proof = Callable[[httpx.Response], bool]


@dataclass(frozen=True)
class Target:
    """Where it is sent: the server, and a client of it."""

    server: Server
    http: httpx.Client


@dataclass(frozen=True)
class Case:
    """One bad input (or one that only looks bad: status 200). `raw`: what answers may not be our code."""

    row: int
    what: str
    send: Send
    status: int = 400
    kind: str = IRE
    param: str | None = None
    code: str | None = None
    proof: Proof = lambda answer: True
    state: State = "ready"
    raw: bool = False

    @property
    def wanted(self) -> str:
        return str(self.status) if self.status == 200 else f"{self.status} {self.param or '-'} {self.code or '-'}"


def post(path: str, body: Any, **headers: str) -> Send:
    return lambda to: to.http.post(path, json=body, headers={name.replace("_", "-"): v for name, v in headers.items()})


def get(path: str, **headers: str) -> Send:
    return lambda to: to.http.get(path, headers=headers)


def body(data: bytes, kind: str | None = "application/json", path: str = TEXT) -> Send:
    return lambda to: to.http.post(path, content=data, headers={"content-type": kind} if kind else {})


def text(**given: Any) -> Send:
    return post(TEXT, {"prompt": "x", **given})


def chat(**given: Any) -> Send:
    return post(CHAT, {"messages": USER, **given})


def short(value: Any) -> str:
    shown = value if isinstance(value, str) else repr(value)
    return shown if len(shown) <= 60 else f"{shown[:50]}... ({len(shown)} characters)"


def problem(case: Case, answer: httpx.Response) -> str:
    """What is wrong with an answer; "" if it is as it must be."""
    if answer.status_code != case.status:
        return f"{answer.status_code} instead of {case.status}: {answer.text[:200]}"
    if case.status == 200 or case.raw:
        return "" if case.proof(answer) else f"not as wanted: {answer.text[:200]}"
    if answer.headers.get("content-type") != "application/json":
        return f"content type {answer.headers.get('content-type')}"
    error = answer.json().get("error")
    if not isinstance(error, dict) or set(error) != {"message", "type", "param", "code"}:
        return f"not the shape of an error: {answer.text[:200]}"
    if not isinstance(error["message"], str) or not error["message"]:
        return "no message"
    if leaks := [word for word in ("Traceback", "webui/", ".py", "pydantic") if word in answer.text]:
        return f"it tells of {leaks}"
    found = (error["type"], error["param"], error["code"])
    if found != (case.kind, case.param, case.code):
        return f"{found} instead of {(case.kind, case.param, case.code)}"
    return "" if case.proof(answer) else f"not as wanted: {answer.text[:200]}"


def works(http: httpx.Client) -> bool:
    """Whether a good request is answered."""
    answer = http.post(TEXT, json={"prompt": "x"})
    return answer.status_code == 200 and answer.json()["choices"][0]["text"] == "Fine."


# Bodies


def bodies() -> Iterator[Case]:
    for row, data in (
        (1, b'{"a":'), (2, b"[]"), (2, b"42"), (2, b'"x"'), (2, b"null"), (3, b""),
        (5, b'{"prompt":"\xff"}'), (5, b"\xef\xbb\xbf{}"), (5, json.dumps({"prompt": "x"}).encode("utf-16")),
    ):  # fmt: skip
        yield Case(row, short(repr(data)[2:-1]), body(data), code="invalid_json")
    for kind in ("text/plain", "multipart/form-data", None):
        refused = body(b'{"prompt":"x"}', kind)
        yield Case(4, f"Content-Type {kind}", refused, 415, code="unsupported_media_type")
    deep = b'{"prompt":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    yield Case(6, "nested 100 000 deep", body(deep), code="json_too_deep")
    yield Case(7, "33 MB, declared", _large(chunked=False), 413, code="request_too_large")
    yield Case(7, "34 MB, in chunks", _large(chunked=True), 413, code="request_too_large")
    for number in ("NaN", "Infinity", "-Infinity", "1e400"):
        data = b'{"prompt":"x","temperature":' + number.encode() + b"}"
        yield Case(8, f"temperature {number}", body(data), param="temperature")


def _large(*, chunked: bool) -> Send:
    def parts() -> Iterator[bytes]:
        for _ in range(34):
            yield b"x" * (1 << 20)

    def send(to: Target) -> httpx.Response:
        content = parts() if chunked else b'{"prompt":"' + b"x" * (33 << 20) + b'"}'
        return to.http.post(TEXT, content=content, headers={"content-type": "application/json"})

    return send


# What is said


def prompts() -> Iterator[Case]:
    for messages, param in (
        (None, "messages"),
        ("string", "messages"),
        ([], "messages"),
        ([123], "messages[0]"),
        ([{}], "messages[0].role"),
        ([{"role": 123, "content": "x"}], "messages[0].role"),
        ([{"role": "hacker", "content": "x"}], "messages[0].role"),
        ([{"role": "user", "content": 123}], "messages[0].content"),
        ([{"role": "user"}], "messages[0].content"),
        ([*USER, {"role": "user", "content": [{"type": "text"}]}], "messages[1].content[0]"),
    ):
        row = 9 if param == "messages" else 10
        yield Case(row, f"messages {short(messages)}", post(CHAT, {"messages": messages}), param=param)
    yield Case(9, "messages missing", post(CHAT, {}), param="messages")
    yield Case(11, "prompt missing", post(TEXT, {}), param="prompt")
    for prompt in (None, [], [[]], [1, "a"], [-1], {"a": 1}, 5, True, [True]):
        yield Case(11, f"prompt {short(prompt)}", text(prompt=prompt), param="prompt")
    yield Case(11, "prompt [1000000000]", text(prompt=[10**9]), param="prompt", proof=lambda a: "1000000000" in a.text)
    lonely = body(b'{"prompt":"\\ud800"}')
    yield Case(12, "prompt \\ud800", lonely, param="prompt", code="invalid_unicode")
    lonely = body(b'{"messages":[{"role":"user","content":"\\udc00"}]}', path=CHAT)
    yield Case(12, "content \\udc00", lonely, param="messages[0].content", code="invalid_unicode")
    yield Case(12, "NUL in a prompt", text(prompt="a\0b", echo=True), 200, proof=lambda a: '"a\\u0000b' in a.text)
    for stream in (False, True):
        yield from too_long("word " * 1000, stream)


def too_long(prompt: str, stream: bool) -> Iterator[Case]:
    def both_numbers(answer: httpx.Response) -> bool:
        return str(N_CTX) in answer.text and "5001" in answer.text

    def with_limit(answer: httpx.Response) -> bool:
        return str(N_CTX) in answer.text

    how = "streamed" if stream else "plain"
    long = text(prompt=prompt, stream=stream)
    yield Case(13, f"prompt too long, {how}", long, param="prompt", code="context_length_exceeded", proof=both_numbers)
    for path, more in ((CHAT, {}), ("/v1/messages", {"max_tokens": 9})):
        long = post(path, {"messages": [{"role": "user", "content": prompt}], "stream": stream, **more})
        what = f"messages too long, {how}, {path}"
        yield Case(13, what, long, param="messages", code="context_length_exceeded", proof=with_limit)


# Values


def values() -> Iterator[Case]:
    for value in (-5, "a", 1.5, [], -(10**12)):
        for path, send in ((TEXT, text), (CHAT, chat)):
            yield Case(14, f"max_tokens {value} at {path}", send(max_tokens=value), param="max_tokens")
    yield Case(14, "max_tokens 10**12: as many as fit", text(max_tokens=10**12), 200)
    for value in (0, -1, 10**9, "two"):
        yield Case(15, f"n {value}", text(n=value), param="n")
    yield Case(15, "n 2 with stream", text(n=2, stream=True), 200, proof=lambda a: '"index":1' in a.text)
    for name, value in (
        ("temperature", -1), ("temperature", "hot"), ("top_p", 2), ("top_k", -7), ("min_p", 2), ("seed", 2**80),
        ("seed", -5), ("repetition_penalty", 1e9), ("frequency_penalty", 1e9), ("presence_penalty", -1e9),
        ("typical_p", -0.5), ("dry_multiplier", "x"), ("mirostat_mode", 9), ("max_tokens_second", -1),
    ):  # fmt: skip
        yield Case(16, f"{name} {value}", text(**{name: value}), param=name)
        yield Case(16, f"{name} {value}, streamed chat", chat(**{name: value}, stream=True), param=name)
    for value in (123, [1], [""], "", ["x"] * 1000, "x" * (1 << 20), {"a": "b"}):
        yield Case(17, f"stop {short(value)}", text(stop=value), param="stop")
    many = {str(n): 1 for n in range(2000)}
    for value in (
        {"abc": 1}, {"999999999": 1}, {"1": 1e9}, {"1": "x"}, {"-1": 1}, [1, 2], [[{}, 1]], [["5", [1]]], "x", many,
    ):  # fmt: skip
        yield Case(18, f"logit_bias {short(value)}", text(logit_bias=value), param="logit_bias")
    for value in (-1, 10**6):
        yield Case(19, f"logprobs {value}", text(logprobs=value), param="top_logprobs")
    for value in (-1, 100):
        yield Case(19, f"top_logprobs {value}", chat(logprobs=True, top_logprobs=value), param="top_logprobs")
    yield Case(19, "top_logprobs 100 alone", chat(top_logprobs=100), param="top_logprobs")


# Forms


def forms() -> Iterator[Case]:
    for grammar in ('root ::= "a', 'root ::= root "a"', 'notroot ::= "a"', "root ::= undefined", 'root ::= "a"\0'):
        yield Case(20, f"grammar {short(grammar)}", text(grammar=grammar), param="grammar", code="invalid_grammar")
    for grammar in ("root ::= " + "(" * 20_000 + '"a"' + ")" * 20_000, 'root ::= "a"{1000000000}'):
        refused = text(grammar_string=grammar)
        yield Case(21, f"grammar {short(grammar)}", refused, param="grammar", code="grammar_too_complex")
    optional = text(grammar_string="root ::= " + '"a"? ' * 3000, max_tokens=4)
    yield Case(21, '3000 times "a"?: harmless here', optional, 200)
    for value, code in (
        ({"type": "sound"}, None),
        ({"type": 123}, None),
        ("json", None),
        ({"type": "json_schema"}, None),
        (json_schema(123), None),
        (json_schema({"type": "hiccup"}), "invalid_json_schema"),
        (json_schema({"$ref": "https://evil.example/schema.json"}), "invalid_json_schema"),
        (json_schema({"$ref": "#"}), "invalid_json_schema"),
        (json_schema(nested(40)), "schema_too_complex"),
        (json_schema({"type": "string", "description": "x" * 70_000}), "schema_too_complex"),
    ):
        refused = chat(response_format=value)
        yield Case(22, f"response_format {short(value)}", refused, param="response_format", code=code)
    deep = b'{"messages":[{"role":"user","content":"x"}],"response_format":' + b'{"items":' * 3000 + b"1" + b"}" * 3001
    yield Case(22, "schema 3000 deep", body(deep, path=CHAT), code="json_too_deep")
    for schema in GOOD_SCHEMAS:
        made = chat(response_format=json_schema(schema), max_tokens=200, seed=1)
        yield Case(23, f"schema {short(schema)}", made, 200, proof=fits(schema))


def tools() -> Iterator[Case]:
    for value in (
        [{"type": "function", "function": {"name": f"f{n}"}} for n in range(10_000)],
        [{"type": "function"}],
        [{"type": "function", "function": {"name": "bad name!"}}],
        [{"type": "function", "function": {"name": "f", "parameters": 5}}],
        "tools",
    ):
        yield Case(24, f"tools {short(value)}", chat(tools=value), param="tools")
    offered = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    for choice in ("sometimes", 5, {"type": "function", "function": {"name": "other"}}, {"x": 1}):
        yield Case(24, f"tool_choice {choice}", chat(tools=offered, tool_choice=choice), param="tools")
    yield Case(24, "tool_choice without tools", chat(tool_choice="required"), param="tools")
    for url in (
        "http://169.254.169.254/latest", "file:///etc/passwd", "data:image/png;base64,AAAA", "https://a.example/b.png",
        "data:image/png;base64," + "iVBORw0KGgo" * 20_000,
    ):  # fmt: skip
        part = {"type": "image_url", "image_url": {"url": url}}
        sent = post(CHAT, {"messages": [{"role": "user", "content": [part]}]})
        yield Case(25, f"image_url {short(url)}", sent, param="messages[0].content[0].image_url")


# What is there, and who asks


def models() -> Iterator[Case]:
    yield Case(26, "unknown field foo", text(foo={"bar": [1]}, rep_pen_slope=1), 200)
    yield Case(26, "unknown field of a load", post(LOAD, {"model_name": "x", "foo": 1}), param="foo")
    yield Case(
        27, "model nonexistent", text(model="nonexistent"), 200, proof=lambda a: a.json()["model"] == "fake-model"
    )
    asked = {TEXT: {"prompt": "x"}, CHAT: {"messages": USER}, "/v1/internal/encode": {"text": "x"}}
    asked |= {"/v1/messages": {"messages": USER, "max_tokens": 5}, "/v1/embeddings": {"input": "x"}}
    asked |= {"/completion": {"prompt": "x"}, "/infill": {}, "/v1/internal/score": {"text": "x"}}
    absent: tuple[State, str, str, int] = ("none", "service_unavailable", "model_not_loaded", 28)
    coming: tuple[State, str, str, int] = ("loading", "unavailable_error", "loading", 29)
    for state, kind, code, row in (absent, coming):
        for path, fields in asked.items():
            yield Case(row, path, post(path, fields), 503, kind, None, code, again, state)
    full = text(max_tokens=3)
    yield Case(30, "1536 wait already", full, 503, "service_unavailable", None, "server_overloaded", again, "full")


def again(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("retry-after"))


def keys() -> Iterator[Case]:
    """Against a server that has a key."""
    for name, value in (
        ("", ""), ("authorization", "Bearer"), ("authorization", "Bearer wrong"), ("authorization", f"bearer  {KEY}"),
        ("authorization", f"Basic {KEY}"), ("authorization", KEY), ("x-api-key", "wrong"), ("x-api-key", ""),
    ):  # fmt: skip
        sent = get("/v1/models", **({name: value} if name else {}))
        yield Case(31, f"{name}: {value}", sent, 401, "authentication_error", None, "invalid_api_key", _asks_for_key)
    sent = get(f"/v1/models?api_key={KEY}")
    yield Case(31, "key in the address", sent, 401, "authentication_error", None, "invalid_api_key", _asks_for_key)


def _asks_for_key(answer: httpx.Response) -> bool:
    return answer.headers.get("www-authenticate") == "Bearer"


def routes() -> Iterator[Case]:
    allowed: Proof = lambda a: a.headers.get("allow") == "POST"  # noqa: E731
    yield Case(32, "GET where only POST is", get(TEXT), 405, code="unknown_url", proof=allowed)
    for path in ("/v1/foo", "//v1//models", "/v1/%2e%2e/etc", "/etc/passwd"):
        yield Case(32, path, get(path), 404, code="unknown_url")
    yield Case(32, "/v1/models/", get("/v1/models/"), 404, param="model", code="model_not_found")
    evil = post(TEXT, {"prompt": "x"}, host="evil.com")
    yield Case(33, "Host: evil.com", evil, 403, "permission_error", None, "host_not_allowed")
    for origin in ("https://evil.com", "null", "http://localhost:1"):
        for kind in ("application/json", "text/plain"):
            evil = post(TEXT, {"prompt": "x"}, origin=origin, content_type=kind)
            what = f"Origin: {origin}, {kind}"
            yield Case(34, what, evil, 403, "permission_error", None, "origin_not_allowed", _not_handled)
    for what, data, status in RAW:
        yield Case(35, what, _raw(data), status, raw=True)


def _not_handled(answer: httpx.Response) -> bool:
    return not any(name.startswith("access-control") for name in answer.headers)


_POST, _GET = b"POST {p} HTTP/1.1\r\nHost: {h}\r\n", b"GET {p} HTTP/1.1\r\n"
RAW = (
    ("two Content-Lengths", _POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    ("CL and TE", _POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("header of 100 KB", _GET + b"Host: {h}\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", 431),
    ("bad chunk", _POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
    ("two Hosts", _GET + b"Host: {h}\r\nHost: evil.com\r\n\r\n", 403),
    ("no Host", _GET + b"\r\n", 403),
)


def _raw(data: bytes) -> Send:
    def send(to: Target) -> httpx.Response:
        host = f"127.0.0.1:{to.server.port}".encode()
        with socket.create_connection(("127.0.0.1", to.server.port), 10) as connection:
            connection.sendall(data.replace(b"{h}", host).replace(b"{p}", TEXT.encode()))
            answer = connection.recv(65536)
        head, _, content = answer.partition(b"\r\n\r\n")
        return httpx.Response(int(head.split()[1]) if head else 400, content=content)

    return send


def loads() -> Iterator[Case]:
    for name in ("../../etc/passwd", "/etc/passwd", "C:\\x", "a\0", "", 5):
        yield Case(36, f"model_name {name!r}", post(LOAD, {"model_name": name}), param="model_name")
    yield Case(36, "no model_name", post(LOAD, {}), param="model_name")
    absent = post(LOAD, {"model_name": "absent"})
    yield Case(36, "a model that is not there", absent, 404, param="model_name", code="model_not_found")
    yield Case(36, "a file that is no model", _junk, param="model_name")


def _junk(to: Target) -> httpx.Response:
    (to.server.settings.model_dir[0] / "junk.gguf").write_bytes(b"junk" * 100)
    return to.http.post(LOAD, json={"model_name": "junk"})


CASES = (*bodies(), *prompts(), *values(), *forms(), *tools(), *models(), *routes(), *loads())
KEY_CASES = tuple(keys())
