"""The twenty-five requests, files and calls of which llama-cpp-python's process dies (and one at which it hangs): each
through the API of the real program, with the real engine behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.faults import clients, files, life
from tests.faults.case import Case, must
from tests.faults.house import House, Refused

Fits = Callable[[Any], bool]


def load_argument(house: House, **args: Any) -> str:
    worker = house.worker()
    told = house.refused_load(**args)
    must(told.status == 400, f"the status is {told.status}")
    must(house.workers() == [worker], "an engine was started with it")
    return told.sentence


def grammar(house: House, text: str) -> str | tuple[str, ...]:
    """Refused with a reason, or kept."""
    try:
        house.complete("Hello", grammar=text, max_tokens=4)
    except Refused as refused:
        must(refused.status == 400 and refused.param == "grammar", f"{refused}")
        return refused.sentence
    return ()


def bad_grammar(house: House, text: str) -> str:
    found = grammar(house, text)
    must(isinstance(found, str), "it was taken")
    return str(found)


def schema(house: House, value: Any, fits: Fits, *, may_be_refused: bool = False) -> str | tuple[str, ...]:
    """The reply is what the schema says, or the beginning of it."""
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": value}}
    body = {"messages": [{"role": "user", "content": "Say it."}], "max_tokens": 60, "temperature": 0}
    answer = house.http.post("/v1/chat/completions", json={**body, "response_format": form}).json()
    if may_be_refused and "error" in answer:
        return str(answer["error"]["message"])
    must("choices" in answer, f"it was refused: {answer}")
    choice = answer["choices"][0]
    text = choice["message"]["content"]
    if choice["finish_reason"] == "stop":
        must(fits(json.loads(text)), f"that is not what was asked for: {text}")
    else:
        must(text.lstrip()[:1] in ("[", "{", '"'), f"that does not begin as what was asked for: {text}")
    return ()


def _text(longest: int) -> Fits:
    return lambda value: isinstance(value, str) and len(value) <= longest


QUOTED = {"type": "object", "properties": {'a"b': {"type": "boolean"}}, "required": ['a"b']}
LONG = {"type": "string", "maxLength": 3000}
SCHEMAS: dict[str, tuple[Any, Fits]] = {
    "enum-quote": ({"enum": ['a"b']}, lambda value: value == 'a"b'),
    "enum-quotes": ({"enum": ['"', '""', 'x"y"z']}, lambda value: value in ('"', '""', 'x"y"z')),
    "enum-nul": ({"enum": ["a\0b"]}, lambda value: value == "a\0b"),
    "property-quote": ({**QUOTED, "additionalProperties": False}, lambda value: set(value) == {'a"b'}),
    "property-quote-inside": (
        {"type": "array", "items": {**QUOTED, "additionalProperties": False}, "minItems": 1, "maxItems": 2},
        lambda value: all(set(item) == {'a"b'} for item in value),
    ),
    "max-length": (LONG, _text(3000)),
    "max-items-of-max-length": (
        {"type": "array", "maxItems": 3000, "items": LONG},
        lambda value: all(map(_text(3000), value)),
    ),
    "pattern-repeats": ({"type": "string", "pattern": "^(a{1,5000}){1,5000}$"}, lambda value: set(value) == {"a"}),
}
GRAMMARS = {
    "grammar-unterminated": 'root ::= "a',
    "grammar-no-root": 'notroot ::= "a"',
    "grammar-left-recursive": 'root ::= root "a"',
    "grammar-undefined-rule": "root ::= undefined",
    "grammar-parentheses": "root ::= " + "(" * 200_000 + '"a"' + ")" * 200_000,
    "grammar-repeats": 'root ::= "a"{1000000000}',
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "n-batch": {"n_batch": -1},
    "threads": {"threads": 100_000},
    "kv-type-number": {"kv_type": 9999},
    "kv-type-q2k": {"kv_type": "q2_k"},
    "kv-overrides": {"kv_overrides": {"llama.block_count": 0}},
}
NESTED = 'root ::= (((("a"{0,999}){0,999}){0,999}){0,999})'

_TOLD = "refused, with what is allowed"
CASES = (
    *files.KILLERS,
    Case("killer-two-threads", "two threads in one context", "each as if alone", clients.chats_at_once, True),
    Case("killer-close-in-reply", "close while generating", "the reply ends first", life.unload_in_reply, True),
    *(
        Case(f"killer-{name}", f"load with {next(iter(args))}={next(iter(args.values()))}", _TOLD,
             partial(load_argument, **args), True)
        for name, args in ARGUMENTS.items()
    ),
    *(
        Case(f"killer-{name}", f"grammar {text[:24]}", _TOLD, partial(bad_grammar, text=text), True)
        for name, text in GRAMMARS.items()
    ),
    Case("killer-grammar-nested-repeats", f"grammar {NESTED[:24]}", "refused or kept", partial(grammar, text=NESTED),
         True),
    *(
        Case(f"killer-schema-{name}", f"schema {json.dumps(value)[:32]}", "the reply fits",
             partial(schema, value=value, fits=fits, may_be_refused=name == "pattern-repeats"), True)
        for name, (value, fits) in SCHEMAS.items()
    ),
    Case("hanger-grammar-optional", 'grammar "a"? 3000 times', "refused or kept, in no time",
         partial(grammar, text="root ::= " + '"a"? ' * 3000), True),
)  # fmt: skip
