from __future__ import annotations

import json
import re

import pytest

from tests.worker.bench import FREE, Bench, fake
from webui.errors import BadValue
from webui.tabs.words import Words
from webui.worker.constraint import GrammarVocabulary, compile_constraint

BYTES = {"split": "bytes", "n_vocab": 300}


@pytest.fixture(scope="module")
def vocabulary():
    return GrammarVocabulary(fake(**BYTES))


def fits(constraint, text):
    for byte in text.encode():
        if not constraint.allows(byte):
            return False
        constraint.accept(byte)
    return constraint.finished or bool(constraint.mask()[257])


FITTING = [
    ("regex", "ab?c+", ["abcc", "acc", "ac"], ["ab", "bc", "x"]),
    ("grammar", 'root ::= "yes" | "no"', ["yes", "no"], ["maybe", "ye"]),
    ("grammar", r'root ::= "\u0416\x41" [\u0430-\u044f]+', ["ЖAабв"], ["ЖA", "ZA"]),
    ("grammar", 'root ::= "[" item ("," item)* "]"\nitem ::= [0-9]{1,3}', ["[1,22,333]"], ["[]", "[4444]"]),
    ("grammar", 'root ::= ("a"{2}){2} ("b" | "c"+ )* # ("x"*)*', ["aaaa", "aaaabccb"], ["aa", "aaaaxx"]),
    ("grammar", 'root ::= (("a"?)+)*\nx ::= "y"', ["", "aaa"], ["b"]),
    ("grammar", 'root ::= start ")*" start\nstart ::= [)*] | "start"', ["*)*start", "start)*)"], ["a)*a"]),
    ("json_schema", '{"enum": ["a\\"b", "c"]}', ['"a\\"b"', '"c"'], ['"d"']),
    (
        "json_schema",
        '{"type":"object","properties":{"we\\"ird":{"type":"integer"}},"required":["we\\"ird"],'
        '"additionalProperties":false}',
        ['{"we\\"ird":1}', '{"we\\"ird": 22}'],
        ["{}", '{"weird":1}'],
    ),
    ("json_schema", '{"type":"string","maxLength":3000}', ['"' + "x" * 3000 + '"'], ['"' + "x" * 3001 + '"']),
]


@pytest.mark.parametrize(("kind", "text", "good", "bad"), FITTING, ids=[f"{k} {t[:20]}" for k, t, _, _ in FITTING])
def test_only_what_fits_is_allowed(vocabulary, kind, text, good, bad):
    constraint = compile_constraint(kind, text, vocabulary)
    assert [fits(constraint.copy(), reply) for reply in good] == [True] * len(good)
    assert [fits(constraint.copy(), reply) for reply in bad] == [False] * len(bad)


DEEP_SCHEMA = '{"items":' * 3000 + "{}" + "}" * 3000
BAD = [
    ("grammar", 'root ::= "a', "invalid_grammar"),
    ("grammar", 'root ::= root "a"', "invalid_grammar"),
    ("grammar", 'x ::= "a"', "invalid_grammar"),
    ("grammar", "root ::= nobody", "invalid_grammar"),
    ("grammar", "root ::= " + "(" * 20_000 + '"a"' + ")" * 20_000, "grammar_too_complex"),
    ("grammar", 'root ::= "a"{1000000000}', "grammar_too_complex"),
    ("grammar", 'root ::= "' + "a" * 300_000 + '"', "grammar_too_complex"),
    ("json_schema", '{"type":"hiccup"}', "invalid_json_schema"),
    ("json_schema", '{"type":123}', "invalid_json_schema"),
    ("json_schema", "123", "invalid_json_schema"),
    ("json_schema", "{", "invalid_json_schema"),
    ("json_schema", '{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}}', "invalid_json_schema"),
    ("json_schema", '{"$ref":"http://example.com/schema"}', "invalid_json_schema"),
    ("json_schema", '{"not":{"type":"string"}}', "invalid_json_schema"),
    ("json_schema", DEEP_SCHEMA, "grammar_too_complex"),
    ("json_schema", '{"type":"string","pattern":"a{1,99999999}"}', "grammar_too_complex"),
    ("regex", "(a", "invalid_regex"),
    ("regex", "a{1000000}", "grammar_too_complex"),
]


@pytest.mark.parametrize(("kind", "text", "code"), BAD, ids=[f"{k} {t[:24]}" for k, t, _ in BAD])
def test_what_cannot_be_used_is_told_in_one_sentence(vocabulary, kind, text, code):
    with pytest.raises(BadValue) as caught:
        compile_constraint(kind, text, vocabulary)
    assert (caught.value.code, caught.value.param) == (code, kind)
    assert "\n" not in caught.value.message and len(caught.value.message) < 400


TOLD = [
    ("grammar", 'root ::= "a" b"', "before a quote", ("grammar_unfinished", {"line": 1})),
    ("grammar", 'root ::= "a"\nb ::= "c"{,2}', "line 2", ("grammar_syntax", {"line": 2, "near": ",2}"})),
    ("grammar", 'x ::= "a"', "root", ("grammar_no_root", {})),
    ("grammar", "root ::= nobody", "nobody", ("grammar_no_rule", {"rule": "nobody"})),
    ("grammar", 'root ::= root "a"', "no text fits", ("constraint_endless", {})),
    ("grammar", "root ::= [z-a]", "[z-a]", ("regex_syntax", {"pattern": "[z-a]"})),
    ("regex", "(?=a)b", "look-around", ("regex_syntax", {"pattern": "(?=a)b"})),
    ("json_schema", '{"not":{}}', "leave it out", ("schema_keys", {"keys": "not"})),
    ("json_schema", '{"type":"string","pattern":"("}', "unclosed group", ("regex_syntax", {"pattern": ""})),
    ("json_schema", '{"maxLength":1000000}', "maxLength", ("constraint_repeats", {"limit": 10_000})),
]


@pytest.mark.parametrize(("kind", "text", "words", "told"), TOLD, ids=[f"{k} {t[:24]}" for k, t, _, _ in TOLD])
def test_it_is_said_what_to_do_in_both_languages(vocabulary, kind, text, words, told):
    with pytest.raises(BadValue) as caught:
        compile_constraint(kind, text, vocabulary)
    error, (cause, values) = caught.value, told
    assert words in error.message
    assert error.values["cause"] == cause and values.items() <= error.values.items()
    russian = Words("ru").problem(error.code, error.message, error.values)
    assert re.search("[а-я]{4}", russian) and "{" not in russian.replace(error.values.get("near", ""), "")
    assert all(str(value) in russian for value in values.values())


def test_a_keyword_that_is_not_supported_is_named(vocabulary):
    with pytest.raises(BadValue, match="not"):
        compile_constraint("json_schema", '{"not":{"type":"string"}}', vocabulary)


SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 6}, "age": {"type": "integer", "maximum": 99}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
)


@pytest.mark.parametrize("seed", range(4))
def test_a_random_model_writes_what_the_schema_says(seed):
    bench = Bench(fake(**BYTES, sharpness=0.0))
    last = bench.ask("hi", chain=FREE, seed=seed, json_schema=SCHEMA, max_tokens=None)
    assert last["reason"] == "stop"
    data = json.loads(bench.text(bench.last))
    assert set(data) == {"name", "age"} and isinstance(data["age"], int)


def test_choices_of_one_request_do_not_share_their_grammar():
    bench = Bench(fake(**BYTES, sharpness=0.0))
    bench.ask("hi", chain=FREE, seed=1, n=3, grammar='root ::= ("left" | "right" | "up") "!"')
    assert {bench.text(bench.last, choice) for choice in range(3)} <= {"left!", "right!", "up!"}


def test_a_constraint_that_is_complete_ends_the_reply():
    bench = Bench(fake(**BYTES, reply="yes and much more"))
    last = bench.ask("hi", regex="yes")
    assert (bench.text(bench.last), last["reason"]) == ("yes", "stop")


def test_only_one_constraint_at_once():
    with pytest.raises(BadValue) as caught:
        Bench(fake(**BYTES)).add(1, regex="a", grammar='root ::= "a"')
    assert caught.value.param == "regex"
