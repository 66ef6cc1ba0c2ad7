"""The door in front of both servers: only requests meant for this machine, and not sent by another site.

A page of another site can make a browser send requests here, and by DNS rebinding even under its own name; both show in
headers a browser cannot be talked out of. Pure ASGI, knows nothing of what lies behind it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable

import orjson
import psutil
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_HEADERS = 64 << 10
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"^(?:\[(?P<six>[0-9a-f:.%]+)\]|(?P<name>[a-z0-9._-]+))(?::(?P<port>\d{1,5}))?$")


def own_addresses() -> frozenset[str]:
    """The names and addresses under which other machines of the network may know this one."""
    addresses = {a.address.split("%")[0].lower() for many in psutil.net_if_addrs().values() for a in many}
    name = socket.gethostname().lower()
    known = {a for a in addresses if _is_address(a)}
    return frozenset(known | {name, name.split(".")[0], f"{name.split('.')[0]}.local"} - {""})


class OriginGuard:
    """`OriginGuard(app)` lets through what is addressed to localhost. `hosts` are further names (own_addresses() with
    --listen); `origins` are sites that may send requests although they are not ours (--api-cors-origin).

    A port in Host is free (tunnels change it), but Origin must be exactly the scheme, host and port that were asked.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower().strip("[]") for host in hosts}
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        else:
            await _refuse(send, *refusal)

    def refusal(self, scope: Scope) -> tuple[str, str] | None:
        """Why this request may not enter, as code and sentence; None if it may."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADERS:
            return "headers_too_large", f"The headers may have at most {MAX_HEADERS >> 10} KB."
        headers = _Headers(scope)
        hosts = headers.all(b"host")
        parts = _HOST.match(hosts[0].lower()) if len(hosts) == 1 else None
        if parts is None or (parts["port"] and not 0 < int(parts["port"]) < 65536):
            return "host_not_allowed", "The request must name this server in exactly one Host header."
        name = parts["six"] or parts["name"].rstrip(".")
        if name not in self._hosts:
            return "host_not_allowed", f"This server does not answer to the name {name[:100]!r}."
        return self._foreign(headers, hosts[0].lower(), scope)

    def _foreign(self, headers: _Headers, host: str, scope: Scope) -> tuple[str, str] | None:
        """Whether another site's page sent this."""
        origins = headers.all(b"origin")
        if origins:
            scheme: str = {"ws": "http", "wss": "https"}.get(str(scope["scheme"]), str(scope["scheme"]))
            origin = origins[0].lower()
            if len(origins) == 1 and (_same(origin, f"{scheme}://{host}", scheme) or origin in self._origins):
                return None
            return "origin_not_allowed", f"Pages of {origins[0][:100]!r} may not send requests to this server."
        site = headers.first(b"sec-fetch-site")
        if site in ("cross-site", "same-site") and not _is_visit(headers, scope):
            return "origin_not_allowed", "Pages of other sites may not send requests to this server."
        return None


class _Headers:
    def __init__(self, scope: Scope) -> None:
        self._items: list[tuple[bytes, bytes]] = scope["headers"]

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1").strip() for key, value in self._items if key.lower() == name]

    def first(self, name: bytes) -> str:
        return next(iter(self.all(name)), "").lower()


def _same(origin: str, ours: str, scheme: str) -> bool:
    """Equal, once the port that a scheme implies is left out on both sides."""
    default = {"http": ":80", "https": ":443"}.get(scheme, "")
    return origin.removesuffix(default) == ours.removesuffix(default)


def _is_visit(headers: _Headers, scope: Scope) -> bool:
    """Somebody followed a link to us: harmless, and the only way in from another site."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    return headers.first(b"sec-fetch-mode") == "navigate" and headers.first(b"sec-fetch-dest") in ("document", "")


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not address.is_multicast


async def _refuse(send: Send, code: str, message: str) -> None:
    status, kind = (431, "invalid_request_error") if code == "headers_too_large" else (403, "permission_error")
    error = {"message": message, "type": kind, "param": None, "code": code}
    body = orjson.dumps({"error": error})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
