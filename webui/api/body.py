"""Reading a request's body strictly: JSON, UTF-8, of bounded size and depth, before anything else looks at it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from webui.api.errors import ApiError

MAX_BODY = 32 << 20
PATIENCE = 60.0
"""How many seconds a body may pause."""
MAX_DEPTH = 64
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


class StrictRequest(Request):
    """A request whose body is a JSON object or nothing."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            self._body = await self._read()
            if self._body or self.method in ("POST", "PUT", "PATCH"):
                self._check_type()
        return self._body

    async def _read(self) -> bytes:
        if int(self.headers.get("content-length") or 0) > MAX_BODY:
            raise too_large()
        parts: list[bytes] = []
        size = 0
        stream = self.stream()
        while True:
            try:
                part = await asyncio.wait_for(anext(stream, None), PATIENCE)
            except asyncio.TimeoutError as error:
                message = f"The body stopped coming: {size} bytes, then nothing for {PATIENCE:g} seconds."
                close = {"Connection": "close"}
                raise ApiError(408, message, code="request_timeout", headers=close) from error
            if part is None:
                break
            size += len(part)
            if size > MAX_BODY:
                raise too_large()
            parts.append(part)
        return b"".join(parts)

    def _check_type(self) -> None:
        kind = self.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
            if not self._body and not kind:
                return
            message = "Send the body as JSON, with the header Content-Type: application/json."
            raise ApiError(415, message, code="unsupported_media_type")

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = parse(await self.body())
        return self._json


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; NaN and the like get through here, so that the field's own check can name it."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise invalid("The body starts with a byte order mark: send plain UTF-8.")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid(f"The body is not UTF-8 (byte {error.start}).") from error
    _check_depth(text)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise invalid(f"The body is not valid JSON: {error.msg} at character {error.pos}.") from error
    except ValueError as error:
        raise invalid("The body has a number with too many digits.") from error
    if not isinstance(data, dict):
        raise invalid("The body must be a JSON object.")
    _check_text(data)
    return data


def _check_depth(text: str) -> None:
    """Depth by counting brackets outside strings; a parser that recurses must not be the first to find out."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _STRUCTURE.finditer(text):
        kind = bracket.group()
        if kind in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ApiError(400, f"The body is nested more than {MAX_DEPTH} levels deep.", code="json_too_deep")
        elif kind in "]}":
            depth -= 1


def _check_text(data: dict[str, Any]) -> None:
    """Half a surrogate pair is legal JSON but no text that could be passed on."""
    waiting: list[tuple[str, Any]] = [("", data)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            if _SURROGATE.search(value):
                raise _half(path)
        elif isinstance(value, dict):
            for name in value:
                if _SURROGATE.search(name):
                    raise _half(path)
            waiting += [(f"{path}.{name}" if path else name, item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{path}[{place}]", item) for place, item in enumerate(value)]


def _half(path: str) -> ApiError:
    where = path or "The name of a field"
    return ApiError(400, f"{where} has half a surrogate pair.", param=path or None, code="invalid_unicode")


def invalid(message: str) -> ApiError:
    return ApiError(400, message, code="invalid_json")


def too_large() -> ApiError:
    return ApiError(413, f"The body may have at most {MAX_BODY >> 20} MB.", code="request_too_large")


class StrictRoute(APIRoute):
    """A route whose handler gets a StrictRequest."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strict
