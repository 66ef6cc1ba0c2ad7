"""Many clients at once. The FakeEngine gives each stream its own text: anything lost, doubled or mixed shows."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from tests.api.conftest import Server


def counting(number: int, words: int) -> str:
    return " ".join(f"n{number}w{place}" for place in range(words))


async def read_stream(http: httpx.AsyncClient, number: int, words: int) -> tuple[str, list[float]]:
    body = {"prompt": f"question {number} please", "max_tokens": 8 * words, "stream": True, "temperature": 0}
    texts: list[str] = []
    times: list[float] = []
    async with http.stream("POST", "/v1/completions", json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                data = json.loads(line[6:])
                assert "error" not in data, data
                text = data["choices"][0]["text"]
                if text:
                    texts.append(text)
                    times.append(time.perf_counter())
    return "".join(texts), times


async def run_streams(url: str, streams: int, words: int) -> list[tuple[str, list[float]]]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as http:
        return await asyncio.gather(*(read_stream(http, number, words) for number in range(streams)))


def load_counting(server: Server, streams: int, words: int, **options: Any) -> None:
    rules = [{"contains": f"question {n} ", "reply": counting(n, words)} for n in range(streams)]
    server.load(**{"n_ctx": 4096, "slots": 64, "rules": rules, "n_vocab": 65536, **options})


async def test_64_streams_never_mix(server: Server) -> None:
    await asyncio.to_thread(load_counting, server, 64, 40)
    replies = await run_streams(server.url, 64, 40)
    assert [text for text, _ in replies] == [counting(n, 40) for n in range(64)]


@pytest.mark.parametrize("words", [30, pytest.param(800, marks=pytest.mark.long)])
async def test_64_streams_at_100_tokens_a_second(server: Server, words: int) -> None:
    """A token a character; 800 words take a minute. How late they come: python -m benchmarks.streams."""
    options = {"split": "bytes", "n_vocab": 512, "n_ctx": 8192, "delay": 0.01}
    await asyncio.to_thread(load_counting, server, 64, words, **options)
    replies = await run_streams(server.url, 64, words)
    assert [text for text, _ in replies] == [counting(n, words) for n in range(64)]
    assert all(len(times) == len(text) for text, times in replies)


async def test_500_requests_at_once_are_answered_or_refused_cleanly(server: Server) -> None:
    await asyncio.to_thread(server.load, reply="Yes indeed.", slots=1)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as http:
        answers = await asyncio.gather(*(http.post("/v1/completions", json={"prompt": f"q{n}"}) for n in range(500)))
    for answer in answers:
        if answer.status_code == 200:
            assert answer.json()["choices"][0]["text"] == "Yes indeed."
        else:
            assert answer.status_code == 503 and answer.json()["error"]["code"] == "server_overloaded"
            assert answer.headers["retry-after"]
    assert sum(answer.status_code == 200 for answer in answers) >= 64
    assert server.services.models.active == 0


async def test_a_client_that_reads_nothing_holds_up_nobody(server: Server) -> None:
    await asyncio.to_thread(server.load, reply="word " * 3000, end=False, n_ctx=60_000, slots=4)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    body = json.dumps({"prompt": "x", "max_tokens": -1, "stream": True}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await reader.readexactly(100)
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        answer = await http.post("/v1/completions", json={"prompt": "y", "max_tokens": 50})
        assert answer.json()["usage"]["completion_tokens"] == 50
    writer.close()
    for _ in range(500):
        if server.services.models.active == 0:
            break
        await asyncio.sleep(0.02)
    assert server.services.models.active == 0


async def open_request(server: Server, path: str = "/v1/completions", **fields: Any) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = json.dumps({"max_tokens": -1, **fields}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    return writer


async def until_active(server: Server, count: int) -> None:
    for _ in range(1000):
        if server.services.models.active == count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{server.services.models.active} generations are active, not {count}")


@pytest.mark.parametrize("stream", [True, False])
async def test_whoever_leaves_while_waiting_or_reading_costs_nothing(server: Server, stream: bool) -> None:
    """One slot: the first reads a long prompt, the second waits behind it; both leave."""
    options = {"prompt_delay": 0.005, "end": False}
    await asyncio.to_thread(server.load, reply="word ", slots=1, n_ctx=8192, **options)
    reading = await open_request(server, prompt="long " * 4000, stream=stream)
    await until_active(server, 1)
    waiting = await open_request(server, prompt="short", stream=stream)
    await until_active(server, 2)
    waiting.close()
    await until_active(server, 1)
    reading.close()
    await until_active(server, 0)
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        answer = await http.post("/v1/completions", json={"prompt": "y", "max_tokens": 3})
        assert answer.status_code == 200


LONG = "word " * 2000


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/internal/logits", {"prompt": LONG}),
        ("/v1/internal/score", {"text": LONG}),
        ("/v1/internal/chain", {"prompt": LONG}),
        ("/v1/completions", {"prompt": LONG, "echo": True, "logprobs": 1}),
        ("/v1/embeddings", {"input": [LONG] * 9}),
        ("/embedding", {"content": LONG}),
    ],
)
async def test_nothing_is_read_for_who_has_left(server: Server, path: str, fields: dict[str, Any]) -> None:
    """To the end it would take seven minutes; the one slot is free for the next at once."""
    await asyncio.to_thread(server.load, slots=1, n_ctx=4096, prompt_delay=0.2)
    models = await asyncio.to_thread(server.run, server.services.models.seat_for(None))
    asking = await open_request(server, path, **fields)
    for _ in range(1000):
        if models.busy:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    assert models.busy
    asking.close()
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        answer = await http.post("/v1/completions", json={"prompt": "y", "max_tokens": 1})
        assert answer.status_code == 200
        answer = await http.post("/v1/embeddings", json={"input": "y"})
        assert answer.status_code == 200
    assert not models.busy
