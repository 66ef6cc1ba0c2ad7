"""What must be in the page before Gradio's own script runs: the language, the theme, our words, css and js.

An ASGI wrapper that puts one block behind the first <meta> of the page. Gradio's `head` option comes too late for the
language and would flash the wrong theme. Knows nothing of the components.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_ANCHOR = b'<meta charset="utf-8" />'


class FirstBytes:
    """`block` gets the Accept-Language header and answers with (language, html)."""

    def __init__(self, app: App, block: Callable[[str], tuple[str, str]]) -> None:
        self._app = app
        self._block = block

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in ("", "/"):
            await self._app(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        wanted = next((value.decode("latin-1") for name, value in headers if name == b"accept-language"), "")
        page = _Page(send, *self._block(wanted))
        await self._app({**scope, "headers": headers}, receive, page.send)


class _Page:
    """Holds an HTML answer back until it is whole; anything else passes."""

    def __init__(self, send: Send, language: str, block: str) -> None:
        self._send = send
        self._language = language.encode()
        self._insert = block.encode()
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_html(message):
            self._start = message
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)
        else:
            await self._send(message)

    async def _finish(self, start: Message) -> None:
        body = self._body.replace(_ANCHOR, _ANCHOR + self._insert, 1)
        body = body.replace(b'lang="en"', b'lang="' + self._language + b'"', 1)
        headers = [pair for pair in start["headers"] if pair[0].lower() not in (b"content-length", b"cache-control")]
        headers += [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _is_html(start: Message) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in start["headers"])
