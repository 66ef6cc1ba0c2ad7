"""The guard: what comes from another site never reaches a handler."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from webui.api.guard import OriginGuard, own_addresses


class App:
    """Counts who got in."""

    def __init__(self) -> None:
        self.entered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entered += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})


async def knock(
    guard: OriginGuard,
    headers: list[tuple[str, str]],
    *,
    method: str = "POST",
    kind: str = "http",
    scheme: str = "http",
) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await guard({"type": kind, "method": method, "scheme": scheme, "path": "/", "headers": raw}, receive, send)
    return sent


@pytest.mark.parametrize(
    "host",
    ["localhost:7860", "LOCALHOST:7860", "127.0.0.1:7860", "[::1]:7860", "localhost", "127.0.0.1:9999", "localhost.:1"],
)
async def test_our_own_names_pass(host: str) -> None:
    app = App()
    await knock(OriginGuard(app), [("host", host)])
    assert app.entered == 1


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "")],
        [("host", "evil.com")],
        [("host", "evil.com:7860")],
        [("host", "localhost.evil.com")],
        [("host", "evil.localhost")],
        [("host", "127.0.0.1.nip.io:7860")],
        [("host", "127.0.0.1@evil.com")],
        [("host", "localhost:7860, evil.com")],
        [("host", "localhost:0")],
        [("host", "localhost:99999")],
        [("host", "localhost:78:60")],
        [("host", "192.168.0.7:7860")],
        [("host", "0.0.0.0:7860")],
        [("host", "localhost"), ("host", "localhost")],
        [("host", "localhost"), ("Host", "evil.com")],
    ],
)
async def test_other_hosts_get_403_before_the_handler(headers: list[tuple[str, str]]) -> None:
    app = App()
    sent = await knock(OriginGuard(app), headers, method="GET")
    assert app.entered == 0
    assert sent[0]["status"] == 403
    error = json.loads(sent[1]["body"])["error"]
    assert (error["type"], error["param"], error["code"]) == ("permission_error", None, "host_not_allowed")


@pytest.mark.parametrize(
    ("origin", "enters"),
    [
        ("http://localhost:7860", True),
        ("HTTP://LOCALHOST:7860", True),
        ("null", False),
        ("", False),
        ("https://evil.com", False),
        ("https://localhost:7860", False),
        ("http://localhost:3000", False),
        ("http://localhost", False),
        ("http://127.0.0.1:7860", False),
        ("http://[::1]:7860", False),
        ("http://localhost.evil.com:7860", False),
        ("http://localhost:7860.evil.com", False),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_origin_must_be_exactly_ours(origin: str, enters: bool, method: str) -> None:
    app = App()
    sent = await knock(OriginGuard(app), [("host", "localhost:7860"), ("origin", origin)], method=method)
    assert app.entered == int(enters)
    if not enters:
        assert sent[0]["status"] == 403
        assert json.loads(sent[1]["body"])["error"]["code"] == "origin_not_allowed"


async def test_two_origins_are_refused() -> None:
    app = App()
    ours = ("origin", "http://localhost:7860")
    await knock(OriginGuard(app), [("host", "localhost:7860"), ours, ours])
    assert app.entered == 0


async def test_the_port_a_scheme_implies_may_be_left_out() -> None:
    app = App()
    await knock(OriginGuard(app), [("host", "localhost:80"), ("origin", "http://localhost")])
    await knock(OriginGuard(app), [("host", "localhost"), ("origin", "https://localhost:443")], scheme="https")
    assert app.entered == 2


async def test_websockets_are_guarded_too() -> None:
    app = App()
    host = ("host", "localhost:7860")
    sent = await knock(OriginGuard(app), [host, ("origin", "http://evil.com")], kind="websocket", scheme="ws")
    assert app.entered == 0 and sent[0]["type"] == "websocket.close"
    await knock(OriginGuard(app), [host, ("origin", "http://localhost:7860")], kind="websocket", scheme="ws")
    assert app.entered == 1


@pytest.mark.parametrize(
    ("method", "site", "mode", "dest", "enters"),
    [
        ("GET", "same-origin", "cors", "empty", True),
        ("GET", "none", "navigate", "document", True),
        ("GET", "cross-site", "navigate", "document", True),
        ("GET", "cross-site", "navigate", "iframe", False),
        ("GET", "cross-site", "no-cors", "image", False),
        ("GET", "same-site", "no-cors", "script", False),
        ("POST", "cross-site", "navigate", "document", False),
    ],
)
async def test_other_pages_may_only_link_to_us(method: str, site: str, mode: str, dest: str, enters: bool) -> None:
    app = App()
    fetch = [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]
    await knock(OriginGuard(app), [("host", "localhost:7860"), *fetch], method=method)
    assert app.entered == int(enters)


async def test_listening_adds_the_machines_names_and_chosen_sites_may_call() -> None:
    app = App()
    guard = OriginGuard(app, hosts=["192.168.0.7", "box.local", "fe80::1"], origins=["https://page.example/"])
    await knock(guard, [("host", "192.168.0.7:7860"), ("origin", "http://192.168.0.7:7860")])
    await knock(guard, [("host", "BOX.local:7860")])
    await knock(guard, [("host", "[fe80::1]:7860")])
    await knock(guard, [("host", "box.local:7860"), ("origin", "https://page.example")])
    assert app.entered == 4
    await knock(guard, [("host", "box.local:7860"), ("origin", "https://page.example.evil.com")])
    assert app.entered == 4


def test_this_machine_knows_its_addresses() -> None:
    addresses = own_addresses()
    assert "127.0.0.1" in addresses
    assert all(address == address.lower() and "%" not in address for address in addresses)
