"""Reading bodies: rows 1 to 6 and 12 of the table of bad inputs, without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from webui.api import body as bodies
from webui.api.body import MAX_DEPTH, StrictRequest, parse
from webui.api.errors import ApiError, path_of


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"a":', "invalid_json"),
        (b"", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"42", "invalid_json"),
        (b'"x"', "invalid_json"),
        (b"null", "invalid_json"),
        (b'{"a": "\xff"}', "invalid_json"),
        (b'\xef\xbb\xbf{"a": 1}', "invalid_json"),
        ('{"a": 1}'.encode("utf-16"), "invalid_json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "invalid_json"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "json_too_deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "json_too_deep"),
        (b'{"a": "\\ud800"}', "invalid_unicode"),
        (b'{"a": [{"b": "\\udfff x"}]}', "invalid_unicode"),
        (b'{"a": {"\\ud800": 1}}', "invalid_unicode"),
        (b'{"\\ud800": 1}', "invalid_unicode"),
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse(body)
    assert caught.value.status_code == 400
    assert caught.value.error["code"] == code
    assert isinstance(caught.value.error["message"], str)


async def test_a_body_that_stops_coming_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.05)
    parts = [{"type": "http.request", "body": b'{"pro', "more_body": True}]

    async def receive() -> Any:
        if not parts:
            await asyncio.Event().wait()
        return parts.pop()

    request = StrictRequest({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(ApiError) as caught:
        await request.body()
    assert (caught.value.status_code, caught.value.error["code"]) == (408, "request_timeout")


def test_brackets_inside_text_do_not_count_as_depth() -> None:
    text = "[{" * 1000 + '\\"[['
    assert parse(b'{"a": "%b"}' % text.encode())["a"].startswith("[{[{")
    deep = b'{"a": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert parse(deep)


def test_nul_and_whole_surrogate_pairs_come_through() -> None:
    assert parse(b'{"a": "\\u0000 \\ud83d\\ude42"}') == {"a": "\0 🙂"}


def test_paths_name_the_field() -> None:
    assert path_of(("body", "messages", 0, "role")) == "messages[0].role"
    assert path_of(("body", "messages", 1, "content", "str")) == "messages[1].content"
    assert path_of(("body",)) == ""
