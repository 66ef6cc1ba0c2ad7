"""The pure parts: failures as statuses, figures as fields, probabilities in both forms."""

from __future__ import annotations

import json
import math

import pytest

from webui.api.answers import Chunks, Head, timings, usage
from webui.api.errors import describe
from webui.api.logprobs import FLOOR, chat_logprobs, completion_logprobs
from webui.api.speech import Said, Speech, Tooling, parsed_arguments
from webui.errors import BadValue, Busy, ContextExceeded, LoadFailed, NoModel, Overloaded, WebUIError, WorkerDied
from webui.types import Alternative, Finished, Token


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (BadValue("x", param="p"), 400, "invalid_request_error", None),
        (BadValue("x", code="invalid_grammar"), 400, "invalid_request_error", "invalid_grammar"),
        (ContextExceeded("x"), 400, "invalid_request_error", "context_length_exceeded"),
        (NoModel("x"), 503, "service_unavailable", "model_not_loaded"),
        (NoModel("x", code="model_loading"), 503, "unavailable_error", "loading"),
        (Overloaded("x"), 503, "service_unavailable", "server_overloaded"),
        (Busy("x"), 409, "invalid_request_error", "busy"),
        (WorkerDied("x"), 500, "server_error", "engine_stopped"),
        (LoadFailed("x", code="engine_abort"), 500, "server_error", "engine_abort"),
        (WebUIError("x", code="constraint_failed"), 400, "invalid_request_error", "constraint_failed"),
    ],
)
def test_every_failure_has_its_place(error: WebUIError, status: int, kind: str, code: str | None) -> None:
    found, body = describe(error)
    assert (found, body["type"], body["code"], body["param"]) == (status, kind, code, error.param)


def test_a_prompt_counts_once_however_many_choices_it_has() -> None:
    ends = [(0, Finished(c, "stop", 1, prompt_tokens=10, cached_tokens=4, tokens=3)) for c in range(3)]
    ends.append((1, Finished(0, "stop", 1, prompt_tokens=7, tokens=2)))
    found = usage(ends)
    assert (found["prompt_tokens"], found["completion_tokens"], found["total_tokens"]) == (17, 11, 28)
    assert found["prompt_tokens_details"] == {"cached_tokens": 4}


def test_timings_survive_a_clock_that_did_not_move() -> None:
    found = timings(Finished(0, "stop", 1, prompt_tokens=5, cached_tokens=5, tokens=1))
    assert found["prompt_n"] == 0 and found["predicted_per_second"] == 0.0
    assert all(math.isfinite(value) for value in found.values())


def test_impossible_candidates_and_equal_texts() -> None:
    others = (Alternative(1, "a", 0.5, 0.5), Alternative(2, "a", 0.25, 0.0), Alternative(3, "b", 0.0, 0.0))
    token = Token(0, 1, "a", "a", raw=0.5, alternatives=others)
    found = completion_logprobs([token], 5)
    assert found["top_logprobs"] == [{"a": math.log(0.5), "b": FLOOR}]
    content = chat_logprobs([token], 1)["content"]
    assert [entry["token"] for entry in content[0]["top_logprobs"]] == ["a"]
    json.dumps(found, allow_nan=False)


def test_chunks_put_together_by_hand_are_json() -> None:
    for kind in ("completion", "chat"):
        chunks = Chunks(Head.new(kind, 'na"me'), {})  # type: ignore[arg-type]
        for raw in (chunks.text(3, '"\n\0 ü'), chunks.end(0, Finished(0, "length", 5))):
            data = json.loads(raw.removeprefix(b"data: "))
            assert data["model"] == 'na"me' and raw.endswith(b"\n\n")
    assert data["choices"][0]["finish_reason"] == "length"


def test_arguments_that_are_no_object_stay_visible() -> None:
    assert parsed_arguments('{"a": 1}') == {"a": 1}
    assert parsed_arguments("") == {}
    assert parsed_arguments("[1]") == {"value": [1]}
    assert parsed_arguments('{"a": ') == {"text": '{"a": '}


@pytest.mark.parametrize(("most", "calls"), [(None, 2), (1, 1)])
def test_a_reply_has_no_more_calls_than_it_may(most: int | None, calls: int) -> None:
    tools = [{"type": "function", "function": {"name": "look"}}]
    speech, said = Speech(Tooling("hermes", tools, most=most)), Said()
    for _ in range(2):
        text = '<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>\n'
        said.add(speech.token(Token(0, 1, text, text)))
    said.add(speech.end(Finished(0, "stop", 1)))
    assert [call["name"] for call in said.calls] == ["look"] * calls and speech.called
