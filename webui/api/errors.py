"""Every failure as one JSON shape, {"error": {"message", "type", "param", "code"}}, with the right status."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from webui.errors import BadValue, Busy, ContextExceeded, LoadFailed, NoModel, Overloaded, WebUIError

log = logging.getLogger(__name__)

INVALID = "invalid_request_error"
_TYPES = {401: "authentication_error", 403: "permission_error", 404: INVALID, 405: INVALID, 413: INVALID, 415: INVALID}


class ApiError(HTTPException):
    """A refusal by the HTTP side itself: body, headers, keys, routes."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = INVALID,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers) if headers else None)
        self.error = {"message": message, "type": type, "param": param, "code": code}


def describe(error: WebUIError) -> tuple[int, dict[str, Any]]:
    """Status and error object for one of our own failures."""
    status, kind, code = _place(error)
    message = error.message
    if isinstance(error, ContextExceeded) and "n_ctx" in error.values:
        # OpenAI's own words, which tools look for to shorten a chat by themselves.
        message = f"This model's maximum context length is {error.values['n_ctx']} tokens. {message}"
    return status, {"message": message, "type": kind, "param": error.param, "code": code}


def _place(error: WebUIError) -> tuple[int, str, str | None]:
    if error.code == "model_not_found":
        return 404, INVALID, error.code
    if error.code in ("embeddings_not_supported", "constraint_failed"):
        return 400, INVALID, error.code
    if isinstance(error, BadValue):
        return 400, INVALID, None if error.code == BadValue.code else error.code
    if isinstance(error, NoModel):
        if error.code == "model_loading":
            return 503, "unavailable_error", "loading"
        return 503, "service_unavailable", error.code
    if isinstance(error, Overloaded) or error.code == "no_room":
        return 503, "service_unavailable", error.code
    if isinstance(error, Busy):
        return 409, INVALID, error.code
    if isinstance(error, LoadFailed):
        return 500, "server_error", error.code
    return 500, "server_error", error.code


def respond(
    request: Request, status: int, error: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    """Anthropic's clients look for a `type` beside the error; the others do not mind."""
    more = dict(headers or {})
    outer = {"type": "error"} if request.url.path.startswith("/v1/messages") else {}
    if status == 503:
        more.setdefault("Retry-After", "2")
    return Response(orjson.dumps({**outer, "error": error}), status, more, "application/json")


WHOLE = frozenset({"response_format", "tools", "tool_choice", "prompt", "stop", "logit_bias", "args"})
"""Fields that are named as one, whatever inside them is wrong."""


def path_of(location: Sequence[str | int]) -> str:
    """`messages[0].role` out of ("body", "messages", 0, "role"); pydantic's names of union members are left out."""
    path = ""
    for part in location[1:]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() and part == part.lower() and part not in ("str", "int", "float", "bool", "dict"):
            path += f".{part}" if path else part
    return path


def validation_error(error: RequestValidationError | ValidationError) -> ApiError:
    """The first thing that is wrong with a body, in words."""
    first: Mapping[str, Any] = error.errors()[0]
    location = tuple(first.get("loc", ()))
    if isinstance(error, ValidationError):
        location = ("body", *location)
    param = path_of(location) or None
    if param and (root := param.split(".")[0].split("[")[0]) in WHOLE:
        param = {"tool_choice": "tools"}.get(root, root)
    words = str(first.get("msg", "is not valid")).removeprefix("Value error, ").removeprefix("Input ")
    if location[:1] == ("body",) and param is None:
        return ApiError(400, "The body must be a JSON object.", code="invalid_json")
    if first.get("type") == "missing":
        words = "is required"
    return ApiError(400, f"{param}: {words[:300]}.".replace("..", "."), param=param)


def install(app: FastAPI) -> None:
    """Give an app the handlers, so that no failure ever looks different."""

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if isinstance(error, ApiError):
            return respond(request, error.status_code, error.error, error.headers)
        message, code = str(error.detail), None
        if error.status_code == 404:
            message, code = f"There is no {request.method} {request.url.path[:200]} here; see /docs.", "unknown_url"
        elif error.status_code == 405:
            message, code = f"{request.url.path[:200]} does not take {request.method}.", "unknown_url"
        kind = _TYPES.get(error.status_code, INVALID if error.status_code < 500 else "server_error")
        return respond(
            request, error.status_code, {"message": message, "type": kind, "param": None, "code": code}, error.headers
        )

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError | ValidationError)
        found = validation_error(error)
        return respond(request, found.status_code, found.error)

    async def on_own(request: Request, error: Exception) -> Response:
        assert isinstance(error, WebUIError)
        return respond(request, *describe(error))

    async def on_unexpected(request: Request, error: Exception) -> Response:
        log.error("unexpected error in %s", request.url.path, exc_info=error)
        message = "Something went wrong in the server; its log says more."
        return respond(
            request, 500, {"message": message, "type": "server_error", "param": None, "code": "internal_error"}
        )

    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(ValidationError, on_validation)
    app.add_exception_handler(WebUIError, on_own)
    app.add_exception_handler(Exception, on_unexpected)
