"""Who may use the API: everybody, or whoever sends the key. Pure ASGI, in front of all routes but /health."""

from __future__ import annotations

import hmac

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN_PATHS = frozenset({"/health"})


class KeyGuard:
    """Lets requests through that carry the key as `Authorization: Bearer KEY` or `x-api-key: KEY`."""

    def __init__(self, app: ASGIApp, *, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._key or scope["path"] in OPEN_PATHS or self._knows(scope):
            await self._app(scope, receive, send)
            return
        message = "Send the server's API key as Authorization: Bearer KEY."
        error = {"message": message, "type": "authentication_error", "param": None, "code": "invalid_api_key"}
        body = orjson.dumps({"error": error})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"www-authenticate", b"Bearer"),
        ]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _knows(self, scope: Scope) -> bool:
        return any(hmac.compare_digest(key, self._key) for key in sent_keys(scope))


def sent_keys(scope: Scope) -> list[bytes]:
    """The keys a request carries in its headers; never in its address, which ends up in logs."""
    keys: list[bytes] = []
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            keys.append(value)
        elif name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer":
                keys.append(key)
    return keys
