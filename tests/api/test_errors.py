"""The table of bad inputs, row by row: status, shape, type, param and code; and after each a good request works."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest

from tests.api.conftest import Server

IRE = "invalid_request_error"
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
USER = [{"role": "user", "content": "Hi"}]


@pytest.fixture(autouse=True, scope="module")
def loaded(server: Server) -> None:
    server.load(reply="Fine.", n_ctx=256)


@pytest.fixture(autouse=True)
def a_good_request_works_afterwards(http: httpx.Client) -> Any:
    yield
    answer = http.post(TEXT, json={"prompt": "x"})
    assert answer.status_code == 200 and answer.json()["choices"][0]["text"] == "Fine."


def check(
    answer: httpx.Response, status: int, kind: str = IRE, param: str | None = None, code: str | None = None
) -> str:
    """The shape of every error; returns the message."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str) and error["message"]
    for secret in ("Traceback", "webui/", ".py", "pydantic"):
        assert secret not in answer.text
    assert (error["type"], error["param"], error["code"]) == (kind, param, code), error
    return str(error["message"])


def raw(http: httpx.Client, body: bytes, kind: str | None = "application/json", path: str = TEXT) -> httpx.Response:
    return http.post(path, content=body, headers={"content-type": kind} if kind else {})


def fields(**given: Any) -> dict[str, Any]:
    return {"prompt": "x", **given}


@pytest.mark.parametrize(
    "body", [b'{"a":', b"[]", b"42", b'"x"', b"null", b"", b'{"prompt":"\xff"}', b"\xef\xbb\xbf{}"]
)
def test_1_2_3_5_bodies_that_are_no_json_object(http: httpx.Client, body: bytes) -> None:
    check(raw(http, body), 400, code="invalid_json")


def test_5_utf16(http: httpx.Client) -> None:
    check(raw(http, json.dumps(fields()).encode("utf-16")), 400, code="invalid_json")


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", None])
def test_4_content_types(http: httpx.Client, kind: str | None) -> None:
    check(raw(http, json.dumps(fields()).encode(), kind), 415, code="unsupported_media_type")


def test_6_depth(http: httpx.Client) -> None:
    check(raw(http, b'{"prompt":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), 400, code="json_too_deep")


def test_7_size_declared_and_chunked(http: httpx.Client) -> None:
    check(raw(http, b'{"prompt":"' + b"x" * (33 << 20) + b'"}'), 413, code="request_too_large")

    def parts() -> Any:
        for _ in range(34):
            yield b"x" * (1 << 20)

    answer = http.post(TEXT, content=parts(), headers={"content-type": "application/json"})
    check(answer, 413, code="request_too_large")


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"1e400"])
def test_8_numbers_that_are_none(http: httpx.Client, value: bytes) -> None:
    check(raw(http, b'{"prompt":"x","temperature":' + value + b"}"), 400, param="temperature")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "string"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [123]}, "messages[0]"),
        ({"messages": [{}]}, "messages[0].role"),
        ({"messages": [{"role": 123, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "hacker", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 123}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [*USER, {"role": "user", "content": [{"type": "text"}]}]}, "messages[1].content[0]"),
    ],
)
def test_9_10_messages(http: httpx.Client, body: dict[str, Any], param: str) -> None:
    check(http.post(CHAT, json=body), 400, param=param)


@pytest.mark.parametrize("value", ["absent", None, [], [[]], [1, "a"], [-1], [10**9], {"a": 1}, 5, True, [True]])
def test_11_prompts(http: httpx.Client, value: Any) -> None:
    body = {} if value == "absent" else {"prompt": value}
    message = check(http.post(TEXT, json=body), 400, param="prompt")
    if value == [10**9]:
        assert str(10**9) in message


def test_12_surrogates_and_nul(http: httpx.Client) -> None:
    check(raw(http, b'{"prompt":"\\ud800"}'), 400, param="prompt", code="invalid_unicode")
    body = b'{"messages":[{"role":"user","content":"\\udc00"}]}'
    check(raw(http, body, path=CHAT), 400, param="messages[0].content", code="invalid_unicode")
    answer = http.post(TEXT, json=fields(prompt="a\0b", echo=True))
    assert answer.status_code == 200 and answer.json()["choices"][0]["text"].startswith("a\0b")


@pytest.mark.parametrize("stream", [False, True])
def test_13_too_long_says_both_numbers_before_a_stream_begins(http: httpx.Client, stream: bool) -> None:
    long = "word " * 1000
    body: dict[str, Any] = fields(prompt=long, stream=stream)
    message = check(http.post(TEXT, json=body), 400, param="prompt", code="context_length_exceeded")
    assert "256" in message and "1002" in message
    body = {"messages": [{"role": "user", "content": long}], "stream": stream}
    message = check(http.post(CHAT, json=body), 400, param="messages", code="context_length_exceeded")
    assert "256" in message


@pytest.mark.parametrize("value", [-5, "a", 1.5, [], -(10**12)])
def test_14_max_tokens(http: httpx.Client, value: Any) -> None:
    check(http.post(TEXT, json=fields(max_tokens=value)), 400, param="max_tokens")
    check(http.post(CHAT, json={"messages": USER, "max_tokens": value}), 400, param="max_tokens")


def test_14_too_many_tokens_are_as_many_as_fit(http: httpx.Client) -> None:
    assert http.post(TEXT, json=fields(max_tokens=10**12)).status_code == 200


@pytest.mark.parametrize("value", [0, -1, 10**9, "two"])
def test_15_n(http: httpx.Client, value: Any) -> None:
    check(http.post(TEXT, json=fields(n=value)), 400, param="n")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -1),
        ("temperature", "hot"),
        ("top_p", 2),
        ("top_k", -7),
        ("min_p", 2),
        ("seed", 2**80),
        ("seed", -5),
        ("repetition_penalty", 1e9),
        ("frequency_penalty", 1e9),
        ("presence_penalty", -1e9),
        ("typical_p", -0.5),
        ("dry_multiplier", "x"),
        ("mirostat_mode", 9),
        ("max_tokens_second", -1),
    ],
)
def test_16_samplers(http: httpx.Client, field: str, value: Any) -> None:
    check(http.post(TEXT, json=fields(**{field: value})), 400, param=field)
    check(http.post(CHAT, json={"messages": USER, field: value, "stream": True}), 400, param=field)


@pytest.mark.parametrize("value", [123, [1], [""], "", ["x"] * 1000, "x" * (1 << 20), {"a": "b"}])
def test_17_stop(http: httpx.Client, value: Any) -> None:
    check(http.post(TEXT, json=fields(stop=value)), 400, param="stop")


@pytest.mark.parametrize(
    "value",
    [{"abc": 1}, {"999999999": 1}, {"1": 1e9}, {"1": "x"}, {"-1": 1}, [1, 2], "x", {str(n): 1 for n in range(2000)}],
)
def test_18_logit_bias(http: httpx.Client, value: Any) -> None:
    check(http.post(TEXT, json=fields(logit_bias=value)), 400, param="logit_bias")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (TEXT, fields(logprobs=-1)),
        (TEXT, fields(logprobs=10**6)),
        (CHAT, {"messages": USER, "logprobs": True, "top_logprobs": 100}),
        (CHAT, {"messages": USER, "logprobs": True, "top_logprobs": -1}),
        (CHAT, {"messages": USER, "top_logprobs": 100}),
    ],
)
def test_19_logprobs(http: httpx.Client, path: str, body: dict[str, Any]) -> None:
    check(http.post(path, json=body), 400, param="top_logprobs")


@pytest.mark.parametrize(
    "grammar", ['root ::= "a', 'root ::= root "a"', 'notroot ::= "a"', "root ::= undefined", 'root ::= "a"\0']
)
def test_20_grammars(http: httpx.Client, grammar: str) -> None:
    check(http.post(TEXT, json=fields(grammar=grammar)), 400, param="grammar", code="invalid_grammar")


@pytest.mark.parametrize(
    "grammar",
    ["root ::= " + "(" * 20_000 + '"a"' + ")" * 20_000, 'root ::= "a"{1000000000}', "root ::= " + '"a"? ' * 3000],
)
def test_21_grammars_that_would_take_for_ever(http: httpx.Client, grammar: str) -> None:
    answer = http.post(TEXT, json=fields(grammar_string=grammar, max_tokens=4))
    if answer.status_code != 200:
        check(answer, 400, param="grammar", code="grammar_too_complex")
    else:
        assert grammar.count("?") == 3000  # harmless to the compiler used here


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def json_schema(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


@pytest.mark.parametrize(
    "value",
    [
        {"type": "sound"},
        {"type": 123},
        "json",
        {"type": "json_schema"},
        json_schema(123),
        json_schema({"type": "hiccup"}),
        json_schema({"$ref": "https://evil.example/schema.json"}),
        json_schema({"$ref": "#"}),
        json_schema(nested(40)),
        json_schema({"type": "string", "description": "x" * 70_000}),
    ],
)
def test_22_response_formats(http: httpx.Client, value: Any) -> None:
    answer = http.post(CHAT, json={"messages": USER, "response_format": value})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == "response_format"
    assert answer.json()["error"]["type"] == IRE


@pytest.mark.parametrize(
    "value",
    [
        [{"type": "function", "function": {"name": f"f{n}"}} for n in range(10_000)],
        [{"type": "function"}],
        [{"type": "function", "function": {"name": "bad name!"}}],
        [{"type": "function", "function": {"name": "f", "parameters": 5}}],
        "tools",
    ],
)
def test_24_tools(http: httpx.Client, value: Any) -> None:
    check(http.post(CHAT, json={"messages": USER, "tools": value}), 400, param="tools")


@pytest.mark.parametrize("choice", ["sometimes", 5, {"type": "function", "function": {"name": "other"}}, {"x": 1}])
def test_24_tool_choice(http: httpx.Client, choice: Any) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    check(http.post(CHAT, json={"messages": USER, "tools": tools, "tool_choice": choice}), 400, param="tools")


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest", "file:///etc/passwd", "data:image/png;base64,AAAA", "https://a.example/b.png"],
)
def test_25_images(http: httpx.Client, url: str) -> None:
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    check(http.post(CHAT, json={"messages": messages}), 400, param="messages[0].content[0].image_url")


def test_26_unknown_fields_are_ignored_but_not_when_loading(http: httpx.Client) -> None:
    assert http.post(TEXT, json=fields(foo={"bar": [1]}, rep_pen_slope=1)).status_code == 200
    check(http.post("/v1/internal/model/load", json={"model_name": "x", "foo": 1}), 400, param="foo")


def test_27_the_model_is_the_loaded_one_whatever_was_asked_for(http: httpx.Client) -> None:
    assert http.post(TEXT, json=fields(model="nonexistent")).json()["model"] == "fake-model"


def test_28_no_model(http: httpx.Client, server: Server) -> None:
    server.run(server.services.models.unload())
    try:
        for path, body in ((TEXT, fields()), (CHAT, {"messages": USER}), ("/v1/internal/encode", {"text": "x"})):
            answer = http.post(path, json=body)
            check(answer, 503, "service_unavailable", None, "model_not_loaded")
            assert answer.headers["retry-after"]
        assert http.get("/v1/models").json()["data"] == []
        assert http.get("/v1/internal/model/info").json()["model_name"] == "None"
    finally:
        server.load(reply="Fine.", n_ctx=256)


def test_29_while_loading(http: httpx.Client, server: Server) -> None:
    import asyncio

    from webui.types import LoadSpec

    spec = LoadSpec("fake", engine="fake", options={"load_seconds": 20, "load_steps": 200})
    loading = asyncio.run_coroutine_threadsafe(server.services.models.load(spec), server.loop)
    try:
        while server.services.models.status().progress == 0:
            pass
        answer = http.post(TEXT, json=fields())
        check(answer, 503, "unavailable_error", None, "loading")
        assert answer.headers["retry-after"]
        assert http.get("/health").status_code == 503
    finally:
        server.load(reply="Fine.", n_ctx=256)
        assert loading.exception() is not None


def test_32_routes(http: httpx.Client) -> None:
    answer = http.get(TEXT)
    check(answer, 405, code="unknown_url")
    assert answer.headers["allow"] == "POST"
    for path in ("/v1/foo", "//v1//models", "/v1/models/", "/v1/%2e%2e/etc", "/etc/passwd"):
        named = path == "/v1/models/"
        check(http.get(path), 404, param="model" if named else None, code="model_not_found" if named else "unknown_url")


def test_33_34_hosts_and_origins(http: httpx.Client, server: Server) -> None:
    before = server.services.models.active
    answer = http.post(TEXT, json=fields(), headers={"host": "evil.com"})
    check(answer, 403, "permission_error", None, "host_not_allowed")
    for origin in ("https://evil.com", "null", f"http://localhost:{server.port}"):
        answer = http.post(TEXT, json=fields(), headers={"origin": origin})
        check(answer, 403, "permission_error", None, "origin_not_allowed")
    assert http.post(TEXT, json=fields(), headers={"origin": server.url}).status_code == 200
    assert server.services.models.active == before


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /v1/completions HTTP/1.1\r\nHost: {h}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /v1/models HTTP/1.1\r\nHost: {h}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: {h}\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: {h}\r\nHost: evil.com\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\n\r\n",
    ],
)
def test_35_requests_no_client_sends(server: Server, request_bytes: bytes) -> None:
    host = f"127.0.0.1:{server.port}".encode()
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(request_bytes.replace(b"{h}", host))
        connection.settimeout(10)
        answer = connection.recv(65536)
    status = int(answer.split()[1]) if answer else 400
    assert 400 <= status < 500


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model_name": "../../etc/passwd"}, "model_name"),
        ({"model_name": "/etc/passwd"}, "model_name"),
        ({"model_name": "C:\\x"}, "model_name"),
        ({"model_name": "a\0"}, "model_name"),
        ({"model_name": ""}, "model_name"),
        ({}, "model_name"),
        ({"model_name": 5}, "model_name"),
    ],
)
def test_36_names_that_are_paths(http: httpx.Client, body: dict[str, Any], param: str) -> None:
    check(http.post("/v1/internal/model/load", json=body), 400, param=param)


def test_36_absent_models_and_arguments(http: httpx.Client, server: Server) -> None:
    answer = http.post("/v1/internal/model/load", json={"model_name": "absent"})
    check(answer, 404, param="model_name", code="model_not_found")
    (server.settings.model_dir[0] / "junk.gguf").write_bytes(b"junk" * 100)
    answer = http.post("/v1/internal/model/load", json={"model_name": "junk"})
    check(answer, 400, param="model_name")
    assert server.services.models.status().stage == "ready"
