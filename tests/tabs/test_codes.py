"""Every code of a problem that a page can meet has its Russian sentence. The codes are found by reading the program:
constants, choices between constants, tables, places by position, and texts built from a declared set of words."""

from __future__ import annotations

import ast
import importlib
import re
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from webui.hub import catalogue, memory
from webui.hub.reasons import REASONS
from webui.hub.rope import RopeWarning
from webui.tabs.words import LANGUAGES, load

ROOT = Path(__file__).parents[2] / "webui"
NAMES = ("code", "cause")
CODE = re.compile(r"[a-z][a-z0-9_]*")
ELSEWHERE = frozenset({"api", "bootstrap"})
"""What the API refuses is told to programs, in English; the bootstrap speaks before there is a page."""

Positions = Mapping[str, int]


@cache
def modules() -> Mapping[str, ast.Module]:
    files = {file.relative_to(ROOT.parent).with_suffix("").parts: file for file in sorted(ROOT.rglob("*.py"))}
    return {
        ".".join(parts): ast.parse(file.read_text(encoding="utf-8"))
        for parts, file in files.items()
        if parts[1] not in ELSEWHERE
    }


def places(tree: ast.Module) -> Positions:
    """Functions and classes of a module; where they take a code by position, else -1."""
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [arg.arg for arg in node.args.args if arg.arg not in ("self", "cls")]
        elif isinstance(node, ast.ClassDef):
            names = [ast.unparse(part.target) for part in node.body if isinstance(part, ast.AnnAssign)]
        else:
            continue
        found[node.name] = next((place for place, name in enumerate(names) if name in NAMES), -1)
    return found


def values(tree: ast.Module, positions: Positions) -> Iterator[ast.expr]:
    """What stands wherever a code is given."""
    named: dict[str | None, ast.expr]
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword):
            named = {node.arg: node.value}
        elif isinstance(node, ast.Assign):
            named = {ast.unparse(target): node.value for target in node.targets}
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            named = {ast.unparse(node.target): node.value}
        elif isinstance(node, ast.Dict):
            keyed = zip(node.keys, node.values, strict=True)
            named = {str(key.value): value for key, value in keyed if isinstance(key, ast.Constant)}
        elif isinstance(node, ast.Call):
            place = positions.get(ast.unparse(node.func).rsplit(".", 1)[-1], -1)
            named = {"code": node.args[place]} if 0 <= place < len(node.args) else {}
        else:
            continue
        yield from (value for name, value in named.items() if name in NAMES)


def possible(value: ast.expr, module: str, tree: ast.Module) -> Iterator[str]:
    """The texts an expression can come to; nothing for what only hands on a code made elsewhere."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from possible(value.body, module, tree)
        yield from possible(value.orelse, module, tree)
    elif isinstance(value, ast.BoolOp):
        for part in value.values:
            yield from possible(part, module, tree)
    elif isinstance(value, ast.JoinedStr):
        yield from built(value, module, tree)


def built(value: ast.JoinedStr, module: str, tree: ast.Module) -> Iterator[str]:
    """An f-string with every word that its one variable, a parameter, may be: those of its Literal, else those that the
    function is called with."""
    (slot,) = [part for part in value.values if isinstance(part, ast.FormattedValue)]
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)]
    function = next(one for one in reversed(functions) if any(part is value for part in ast.walk(one)))
    place, parameter = next(
        (at, arg) for at, arg in enumerate(function.args.args) if arg.arg == ast.unparse(slot.value)
    )
    declared = getattr(importlib.import_module(module), ast.unparse(parameter.annotation or slot), None)
    words = typing.get_args(declared) or called_with(tree, function.name, place)
    assert words, f"{module}: what {ast.unparse(value)} can be is not declared"
    for word in words:
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else word for part in value.values)


def called_with(tree: ast.Module, name: str, place: int) -> list[str]:
    calls = (one for one in ast.walk(tree) if isinstance(one, ast.Call) and ast.unparse(one.func) == name)
    return [ast.literal_eval(one.args[place]) for one in calls]


def tables(tree: ast.Module) -> Iterator[str]:
    """Codes in a table: `code, sentence = TABLE[...]` takes the first of each row."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)):
            continue
        target, value = node.targets[0], node.value
        if isinstance(value, ast.Subscript) and ast.unparse(target.elts[0]) == "code":
            name = ast.unparse(value.value)
            rows = next(n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == name)
            yield from (row[0] for row in ast.literal_eval(rows).values())


@cache
def all_codes() -> frozenset[str]:
    local = {module: places(tree) for module, tree in modules().items()}
    shared = {name: at for found in local.values() for name, at in found.items() if at >= 0 and name[0] != "_"}
    found: set[str] = set()
    for module, tree in modules().items():
        for value in values(tree, {**shared, **local[module]}):
            found.update(possible(value, module, tree))
        found.update(tables(tree))
    return frozenset(code for code in found if CODE.fullmatch(code))


def judgements() -> set[str]:
    """Codes that are no problems and have words of their own: why a file is refused, what fits, how far to stretch."""
    rope = typing.get_args(typing.get_type_hints(RopeWarning)["code"])
    return {*REASONS, *typing.get_args(catalogue.Code), *typing.get_args(memory.Code), *rope}


def test_every_code_that_pages_can_meet_has_a_russian_sentence() -> None:
    codes = all_codes()
    assert {"invalid_regex", "engine_restarting", "engine_sigbus", "engine_assert", "hub_offline"} <= codes
    known = {key.split(".")[1] for key in load("ru") if key.startswith("problem.")}
    assert codes - known - judgements() - {"error", "model_ready"} == set()


def test_no_russian_sentence_is_left_over() -> None:
    codes = all_codes()
    told = {key.split(".")[1] for key in load("ru") if key.startswith("problem.")}
    assert told - codes == set()


def test_what_fits_and_how_far_it_stretches_is_said_in_both_languages() -> None:
    for language in LANGUAGES:
        keys = set(load(language))
        assert {f"rope.{code}" for code in typing.get_args(typing.get_type_hints(RopeWarning)["code"])} <= keys
        assert all(any(key.startswith(f"fit.{code}.") for key in keys) for code in typing.get_args(memory.Code))


def test_reasons_are_said_in_both_languages() -> None:
    for code, (english, russian) in REASONS.items():
        assert english.strip() and re.search("[а-яё]", russian, re.I), code
