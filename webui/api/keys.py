"""Who may use the API: everybody, or whoever sends the key. Pure ASGI, in front of all routes but /health."""

from __future__ import annotations

import hmac

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN_PATHS = frozenset({"/health", "/v1/health"})
ADMIN_PATHS = frozenset(
    {
        "/v1/internal/model/load",
        "/v1/internal/model/unload",
        "/v1/internal/lora/load",
        "/v1/internal/lora/unload",
    }
)


class KeyGuard:
    """Lets requests through that carry the key as `Authorization: Bearer KEY` or `x-api-key: KEY`. With an admin key,
    what changes the loaded model needs that one; it opens everything else too."""

    def __init__(self, app: ASGIApp, *, key: str, admin_key: str = "") -> None:
        self._app = app
        self._key = key.encode()
        self._admin_key = admin_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._key or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        known, admin = self._who(scope)
        if not known:
            message = "Send the server's API key as Authorization: Bearer KEY."
            await _refuse(send, 401, message, "authentication_error", "invalid_api_key")
        elif scope["path"] in ADMIN_PATHS and not admin:
            message = "Loading and unloading need the server's admin key."
            await _refuse(send, 403, message, "permission_error", "admin_key_required")
        else:
            await self._app(scope, receive, send)

    def _who(self, scope: Scope) -> tuple[bool, bool]:
        """Whether a key is right, and whether it is the admin's. All comparisons run, whatever the first one says."""
        keys = sent_keys(scope)
        key = any([hmac.compare_digest(sent, self._key) for sent in keys])
        admin = bool(self._admin_key) and any([hmac.compare_digest(sent, self._admin_key) for sent in keys])
        return key or admin, admin or not self._admin_key


async def _refuse(send: Send, status: int, message: str, kind: str, code: str) -> None:
    body = orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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
