"""What a model writes, read as text, thoughts and calls of tools, while it is being written.

One reading for all formats but Harmony (tools_harmony): a format only says which marks open a call. Pure: text in,
parts out, and joined together the parts never depend on how the text was cut. Knows nothing of requests, templates or
answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from webui.chat.tools_harmony import read_harmony
from webui.chat.tools_parts import Part, Parts, ToolFormat, new_call_id
from webui.chat.tools_reader import MAX_HELD, Reader, Reading

NAME_KEYS = ("name", "function", "function_name", "tool_name")
ARGUMENT_KEYS = ("arguments", "parameters", "args", "tool_input")
OTHER_KEYS = ("id", "type", "index", "call_id", "tool_call_id")

TOOL_CALL, END_TOOL_CALL = "<tool_call>", "</tool_call>"
FUNCTION, END_FUNCTION = "<function=", "</function>"
PARAMETER, END_PARAMETER = "<parameter=", "</parameter>"
KEY, END_KEY, VALUE, END_VALUE = "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"
THINK, END_THINK = "<think>", "</think>"
PYTHON = "<|python_tag|>"
MISTRAL = "[TOOL_CALLS]"
FENCE = "```"

OPENERS: Mapping[ToolFormat, tuple[str, ...]] = {
    "hermes": (TOOL_CALL, FUNCTION),
    "llama3": (PYTHON, FUNCTION),
    "mistral": (MISTRAL,),
    "mistral_args": (MISTRAL,),
    "json": (TOOL_CALL, FUNCTION),
}
ENDS: Mapping[ToolFormat, tuple[str, ...]] = {
    "hermes": ("<|im_end|>",),
    "llama3": ("<|eom_id|>", "<|eot_id|>"),
}
"""Control tokens that come along at the end when control tokens are shown; they are nobody's text."""
BARE: Mapping[ToolFormat, str] = {"hermes": "{", "llama3": "{", "mistral": "[", "mistral_args": "[", "json": "{[`"}
"""What a reply that is nothing but a call, without any mark, may begin with."""
FENCED = ("", "json", "tool_call", "tool_code")
PYTHON_TOOLS = ("code_interpreter", "python", "ipython")
BUILTIN = re.compile(r"\s*(\w+)\.call\((.*)\)\s*", re.DOTALL)
KEYWORD = re.compile(r'(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|[-\w.]+)')
MAX_NAME = 128


class ToolParser:
    """`tools` as OpenAI's API has them. `thinking`: the prompt already opened the model's thoughts. `begun` when the
    prompt already opened a call (tools_force): the tool's name if its arguments come next, "" if a whole call does."""

    def __init__(
        self,
        format: ToolFormat,
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        thinking: bool = False,
        begun: str | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self._schemas = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in tools}
        self._reader = Reader()
        self._parts = Parts(new_id or (lambda: new_call_id(format)))
        self._format: ToolFormat = format
        self._thinking = thinking
        if begun is not None:
            self._reading = self._begun(begun)
        elif format == "harmony":
            self._reading = read_harmony(self._reader, self._parts)
        else:
            self._reading = self._reply()
        next(self._reading, None)

    @property
    def called(self) -> bool:
        """Whether there was a call so far."""
        return self._parts.calls > 0

    def feed(self, text: str) -> list[Part]:
        self._reader.feed(text)
        next(self._reading, None)
        return self._parts.take()

    def finish(self) -> list[Part]:
        """What was still held back, once nothing more comes."""
        self._reader.ended = True
        next(self._reading, None)
        return self._parts.take()

    # the reply as a whole

    def _reply(self) -> Reading[None]:
        reader, parts = self._reader, self._parts
        yield from self._beginning()
        openers, ends = OPENERS[self._format], ENDS.get(self._format, ())
        while mark := (yield from reader.take_until((*openers, *ends), parts.say)):
            if mark not in ends:
                start = reader.at
                if not (yield from self._opened(mark)):
                    reader.at = start
                    parts.say(mark)
        parts.end()

    def _beginning(self) -> Reading[None]:
        """Thoughts, then perhaps a call without any mark."""
        reader = self._reader
        start = reader.at
        yield from reader.skip_space()
        if self._thinking or (yield from reader.take_if(THINK)):
            yield from reader.skip_space()
            yield from reader.take_until((END_THINK,), self._parts.think)
            yield from reader.skip_space()
            start = reader.at
        c = yield from reader.peek()
        if not c or c not in BARE[self._format] or not (yield from self._bare(c)):
            reader.at = start

    def _bare(self, c: str) -> Reading[bool]:
        reader = self._reader
        fenced = c == "`"
        if fenced:
            if not (yield from reader.take_if(FENCE)):
                return False
            if (yield from self._word("\n")) not in FENCED:
                return False
            c = yield from reader.skip_space()
        if not c or c not in "{[" or not (yield from self._objects(known=True)):
            return False
        if fenced:
            yield from reader.skip_space()
            yield from reader.take_if(FENCE)
        return True

    def _opened(self, mark: str) -> Reading[bool]:
        """Whether what follows an opening mark is a call."""
        reader = self._reader
        if mark == FUNCTION:
            return (yield from self._function())
        c = yield from reader.skip_space()
        if mark == TOOL_CALL:
            if c == "<" and (yield from reader.take_if(FUNCTION)):
                ok = yield from self._function()
            elif c and c in "{[":
                ok = yield from self._objects(known=False)
            else:
                ok = yield from self._keys_and_values()
            if ok:
                yield from reader.skip_space()
                yield from reader.take_if(END_TOOL_CALL)
            return ok
        if c and c in "{[":
            return (yield from self._objects(known=False))
        return (yield from (self._code() if mark == PYTHON else self._mistral_named()))

    def _begun(self, name: str) -> Reading[None]:
        reader = self._reader
        yield from reader.skip_space()
        start = reader.at
        if name:
            self._parts.start(name)
            yield from self._arguments()
        elif not (yield from self._object(known=False)):
            reader.at = start
            yield from reader.take_until((), self._parts.say)
            self._parts.end()
        yield from reader.take_until((), _drop)

    # the forms of a call

    def _objects(self, *, known: bool) -> Reading[bool]:
        """One object or a list or sequence of them; `known`: only tools that are on offer count."""
        reader = self._reader
        listed = yield from reader.take_if("[")
        yield from reader.skip_space()
        if not (yield from self._object(known=known)):
            return False
        while c := (yield from reader.skip_space()):
            start = reader.at
            if c in ",;":
                reader.at += 1
                c = yield from reader.skip_space()
            if c != "{" or not (yield from self._object(known=known)):
                reader.at = start
                break
        if listed:
            yield from reader.take_if("]")
        return True

    def _object(self, *, known: bool) -> Reading[bool]:
        """{"name": ..., "arguments": {...}} in any order. False, with nothing said yet, if it is something else."""
        reader, name, held, begun, start = self._reader, "", None, False, self._reader.at
        if not (yield from reader.take_if("{")):
            return False
        while (c := (yield from reader.skip_space())) != "}":
            if c == ",":
                reader.at += 1
                continue
            key = yield from self._key()
            if key is None or (not begun and reader.at - start > MAX_HELD):
                return begun
            if key in NAME_KEYS and not name:
                name, held = yield from self._name(held)
                if not name or (known and name not in self._schemas):
                    return False
            elif key in ARGUMENT_KEYS and name and not begun:
                begun = True
                self._parts.start(name)
                if not (yield from self._arguments()):
                    return True
            elif key in (*ARGUMENT_KEYS, *OTHER_KEYS) or begun or not known:
                raw = yield from reader.json_raw()
                if raw is None:
                    return begun
                held = raw if key in ARGUMENT_KEYS else held
            else:
                return False
        reader.at += 1
        if not begun and name:
            self._parts.start(name)
            self._parts.argue(_as_arguments(held))
        return begun or bool(name)

    def _key(self) -> Reading[str | None]:
        """A key and the colon behind it; None if this is no object."""
        reader = self._reader
        key = (yield from reader.json_string()) if (yield from reader.peek()) == '"' else None
        if key is None or (yield from reader.skip_space()) != ":":
            return None
        reader.at += 1
        return key if (yield from reader.skip_space()) else None

    def _name(self, held: str | None) -> Reading[tuple[str, str | None]]:
        """A tool's name; OpenAI's own form has an object {"name", "arguments"} in its place."""
        if (yield from self._reader.peek()) == '"':
            return (yield from self._reader.json_string()) or "", held
        try:
            inner = json.loads((yield from self._reader.json_raw()) or "null")
        except ValueError:
            return "", held
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            return "", held
        return inner["name"], json.dumps(inner.get("arguments", {}), ensure_ascii=False)

    def _arguments(self) -> Reading[bool]:
        """Arguments as they come. Some models write them as JSON inside a text; False if they break off."""
        reader = self._reader
        if (yield from reader.peek()) == "{":
            return (yield from reader.json_value(self._parts.argue))
        raw = yield from reader.json_raw()
        if raw is not None:
            self._parts.argue(_as_arguments(raw))
        return raw is not None

    def _function(self) -> Reading[bool]:
        """<function=NAME>{...}</function>, or with <parameter=KEY>VALUE</parameter> inside."""
        reader = self._reader
        name = yield from self._word(">")
        if name not in self._schemas:
            return False
        self._parts.start(name)
        if (yield from reader.skip_space()) == "{":
            if (yield from self._arguments()):
                yield from reader.skip_space()
                yield from reader.take_if(END_FUNCTION)
            return True
        between = "{"
        while mark := (yield from reader.take_until((PARAMETER, END_FUNCTION), _drop)):
            if mark == END_FUNCTION:
                self._parts.argue("{}" if between == "{" else "}")
                break
            key = yield from self._word(">")
            value: list[str] = []
            if not (yield from reader.take_until((END_PARAMETER,), value.append)):
                break
            text = "".join(value).removeprefix("\n").removesuffix("\n")
            self._parts.argue(f"{between}{json.dumps(key, ensure_ascii=False)}: {self._typed(name, key, text)}")
            between = ", "
        return True

    def _keys_and_values(self) -> Reading[bool]:
        """GLM's <tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>...</tool_call>, its end included."""
        reader = self._reader
        name = (yield from self._word("<\n", keep=True)).strip()
        if name not in self._schemas:
            return False
        self._parts.start(name)
        between = "{"
        while mark := (yield from reader.take_until((KEY, END_TOOL_CALL), _drop)):
            if mark == END_TOOL_CALL:
                self._parts.argue("{}" if between == "{" else "}")
                break
            key: list[str] = []
            value: list[str] = []
            yield from reader.take_until((END_KEY,), key.append)
            yield from reader.take_until((VALUE,), _drop)
            if not (yield from reader.take_until((END_VALUE,), value.append)):
                break
            named = "".join(key).strip()
            text = self._typed(name, named, "".join(value))
            self._parts.argue(f"{between}{json.dumps(named, ensure_ascii=False)}: {text}")
            between = ", "
        return True

    def _typed(self, tool: str, key: str, value: str) -> str:
        """A value written without quotes, as JSON of the type the tool asks for."""
        schema = self._schemas.get(tool, {}).get("properties", {}).get(key, {})
        if isinstance(schema, dict) and schema.get("type", "string") != "string":
            try:
                return json.dumps(json.loads(value), ensure_ascii=False)
            except ValueError:
                pass
        return json.dumps(value, ensure_ascii=False)

    def _mistral_named(self) -> Reading[bool]:
        """[TOOL_CALLS]NAME[ARGS]{...}, the later form, perhaps with [CALL_ID]...; the call's own id is not kept."""
        reader = self._reader
        name = (yield from self._word("[{", keep=True)).strip()
        if not re.fullmatch(r"[\w.-]+", name):
            return False
        if (yield from reader.take_if("[CALL_ID]")):
            yield from self._word("[", keep=True)
        yield from reader.take_if("[ARGS]")
        if (yield from reader.skip_space()) != "{":
            return False
        self._parts.start(name)
        yield from self._arguments()
        return True

    def _code(self) -> Reading[bool]:
        """Behind <|python_tag|>: a built-in tool's .call(...), or code for an interpreter, to the end of the reply."""
        reader, start = self._reader, self._reader.at
        while (yield from reader.peek()):
            reader.at = len(reader.text)
            if reader.at - start > MAX_HELD:
                return False
        code = _without_ends(reader.text[start:], ENDS["llama3"])
        builtin = BUILTIN.fullmatch(code)
        interpreter = next((name for name in PYTHON_TOOLS if name in self._schemas), None)
        if builtin and builtin[1] in self._schemas:
            values = {key: _literal(value) for key, value in KEYWORD.findall(builtin[2])}
            self._parts.start(builtin[1])
            self._parts.argue(json.dumps(values, ensure_ascii=False))
        elif interpreter:
            self._parts.start(interpreter)
            self._parts.argue(json.dumps({"code": code}, ensure_ascii=False))
        else:
            return False
        return True

    def _word(self, stops: str, *, keep: bool = False) -> Reading[str]:
        """What stands before one of `stops`, which is consumed too unless `keep`; "" if it is too long for a name."""
        reader = self._reader
        start = reader.at
        while (c := (yield from reader.peek())) not in stops:
            reader.at += 1
            if reader.at - start > MAX_NAME:
                return ""
        word = reader.text[start : reader.at]
        reader.at += bool(c) and not keep
        return word if c else ""


def _as_arguments(raw: str | None) -> str:
    """Arguments as JSON text of an object: given as nothing, as a text that is JSON, or as they should be."""
    value = None if raw is None else _literal(raw)
    if isinstance(value, str):
        inner = _literal(value)
        return value if isinstance(inner, dict) else json.dumps({"input": value}, ensure_ascii=False)
    return "{}" if value is None else str(raw)


def _literal(raw: str) -> Any:
    try:
        return json.loads(raw, strict=False)
    except ValueError:
        return raw


def _drop(text: str) -> None:
    """For text between marks that means nothing."""


def _without_ends(text: str, ends: Sequence[str]) -> str:
    for end in ends:
        text = text.removesuffix(end)
    return text
