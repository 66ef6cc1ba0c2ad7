"""The order of models that answer for one another, as a small YAML file that people write and the page edits.

    enabled: true
    models:
    - a model's name
    - {name: another one, seconds: 20}
    seconds: 60
    text: What is answered when no model answers.

A file that is changed by hand counts from the next question on. One that cannot be read is named, with line and field,
and no order is in force; it stays where it is until the page writes a new one, which sets it aside. Knows no models.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from webui.errors import BadValue
from webui.files import write_atomically
from webui.runtime.fallback import Candidate, Order
from webui.runtime.fleet import key_of

FILE = "fallback.yaml"
MAX_BYTES = 64 << 10
MAX_BRACKETS = 200
"""The YAML reader takes quadratic time over open brackets."""
MOST_MODELS = 16
LONGEST_NAME = 300
LONGEST_TEXT = 10_000
LONGEST_SECONDS = 86_400.0
HEAD = (
    "# Models that answer for one another. A model that does not load, fails, or has no first token within its\n"
    "# seconds (0: no limit) is followed by the next one; text is the answer when none of them gives one.\n"
)


class FallbackSettings:
    """`order` is what holds now; `problem` says what is wrong with the file, if anything. Call from any thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._order = Order(enabled=False)
        self._problem: BadValue | None = None
        self.set_aside: Path | None = None
        """Where a damaged file went when a new one was written."""

    def order(self) -> Order:
        with self._lock:
            self._look()
            return self._order

    @property
    def problem(self) -> BadValue | None:
        with self._lock:
            self._look()
            return self._problem

    def keep(self, models: Iterable[Any], *, enabled: bool = True, seconds: float = 60.0, text: str = "") -> Order:
        """Check, write, and hold from now on. `models` are names, or {"name", "seconds"}, or Candidates."""
        rows = [{"name": m.name, "seconds": m.seconds} if isinstance(m, Candidate) else m for m in models]
        order = read_order({"enabled": enabled, "models": rows, "seconds": seconds, "text": text}, {})
        with self._lock:
            self._look()
            if self._problem is not None and self._file.exists():
                self.set_aside = self._file.with_name(f"{self._file.name}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}")
                self._file.replace(self.set_aside)
            write_atomically(self._file, written(order))
            self._seen, self._order, self._problem = _stamp(self._file), order, None
        return order

    def _look(self) -> None:
        """Read the file again if it is another one than last time."""
        stamp = _stamp(self._file)
        if stamp == self._seen:
            return
        self._seen, self._order, self._problem = stamp, Order(enabled=False), None
        if stamp is None:
            return
        try:
            with self._file.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            self._order = parse(data)
        except BadValue as error:
            self._problem = error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._problem = _wrong("fallback_unreadable", f"cannot be read: {reason}", reason=reason)


def parse(data: bytes) -> Order:
    """An order out of a file; BadValue names line and field."""
    if len(data) > MAX_BYTES:
        raise _wrong("fallback_too_large", f"is larger than {MAX_BYTES >> 10} KB", limit=MAX_BYTES >> 10)
    if data.count(b"[") + data.count(b"{") > MAX_BRACKETS:
        raise _wrong("fallback_yaml", "is not valid YAML: too many brackets", 1, reason="too many brackets")
    try:
        for event in yaml.parse(data, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):  # a few bytes of them could become gigabytes
                place = event.start_mark.line + 1 if event.start_mark else 1
                raise _wrong("fallback_alias", "uses a YAML alias: write the value out", place)
        loader = yaml.SafeLoader(data)
        node = loader.get_single_node()
        if node is None:
            return Order(enabled=False)
        lines: dict[str, int] = {}
        _note_lines(node, "", lines)
        return read_order(loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = str(error.problem or "it cannot be understood")
        line = mark.line + 1 if mark else 1
        raise _wrong("fallback_yaml", f"is not valid YAML: {reason}", line, reason=reason) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _wrong("fallback_yaml", "is not valid YAML", 1, reason=type(error).__name__) from error


def read_order(document: Any, lines: Mapping[str, int]) -> Order:
    """An order out of what a file or a page says. `lines` has for each field where it stands."""
    if not isinstance(document, Mapping):
        raise _wrong("fallback_shape", "must be fields such as models: and seconds:", 1 if lines else 0)
    for name in document:
        if name not in ("enabled", "models", "seconds", "text"):
            raise _field("unknown", str(name)[:60], lines, "there are only enabled, models, seconds and text")
    enabled, text = document.get("enabled", True), document.get("text")
    if not isinstance(enabled, bool):
        raise _field("enabled", "enabled", lines, "must be true or false")
    if text is None:
        text = ""
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise _field("text", "text", lines, f"must be a text of at most {LONGEST_TEXT} characters", limit=LONGEST_TEXT)
    models = _models(document.get("models"), lines)
    return Order(models, _seconds(document.get("seconds", 60.0), "seconds", lines), text.strip(), enabled)


def written(order: Order) -> str:
    """The file of an order."""
    rows = [m.name if m.seconds is None else {"name": m.name, "seconds": _plain(m.seconds)} for m in order.models]
    document = {"enabled": order.enabled, "models": rows, "seconds": _plain(order.seconds), "text": order.text}
    return HEAD + yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=120)


def _models(rows: Any, lines: Mapping[str, int]) -> tuple[Candidate, ...]:
    if rows is None:
        return ()
    if not isinstance(rows, Sequence) or isinstance(rows, str) or len(rows) > MOST_MODELS:
        raise _field("models", "models", lines, f"must be a list of at most {MOST_MODELS} names", limit=MOST_MODELS)
    found: list[Candidate] = []
    for place, row in enumerate(rows, 1):
        where = f"models[{place}]"
        given = row if isinstance(row, Mapping) else {"name": row}
        name, seconds = given.get("name"), given.get("seconds")
        if set(given) - {"name", "seconds"}:
            raise _field("row", where, lines, "a model has only name and seconds")
        if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
            raise _field("name", where, lines, "must be a model's name, in quotes if it looks like a number")
        name = name.strip()
        if any(key_of(other.name) == key_of(name) for other in found):
            raise _field("double", where, lines, f"{name} stands there twice", name=name)
        found.append(Candidate(name, None if seconds is None else _seconds(seconds, f"{where}.seconds", lines)))
    return tuple(found)


def _seconds(value: Any, where: str, lines: Mapping[str, int]) -> float:
    limit = f"{LONGEST_SECONDS:g}"
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not 0 <= value <= LONGEST_SECONDS:
        raise _field("seconds", where, lines, f"must be a number from 0 (no limit) to {limit}", limit=limit)
    return float(value)


def _note_lines(node: yaml.Node, path: str, lines: dict[str, int]) -> None:
    """Where each field stands; YAML itself would let the second of two win in silence."""
    if isinstance(node, yaml.MappingNode):
        parts = [(f"{path}.{key.value}".lstrip("."), key.start_mark.line + 1, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        parts = [(f"{path}[{place}]", value.start_mark.line + 1, value) for place, value in enumerate(node.value, 1)]
    else:
        return
    for name, line, value in parts:
        if name in lines:
            raise _wrong("fallback_twice", f"says {name[:60]} twice", line, field=name[:60])
        lines[name] = line
        _note_lines(value, name, lines)


def _field(kind: str, where: str, lines: Mapping[str, int], wanted: str, **values: Any) -> BadValue:
    return _wrong(f"fallback_{kind}", f"{where}: {wanted}", lines.get(where, 0), field=where, **values)


def _wrong(code: str, what: str, line: int = 0, **values: Any) -> BadValue:
    """`line` 0: there is none, as with what a page says."""
    where = f"{FILE}, line {line}" if line else FILE
    numbered = {"line": line} if line else {}
    return BadValue(f"{where}: {what}.", param="fallback", code=code, values={**numbered, **values})


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _plain(seconds: float) -> float | int:
    return int(seconds) if seconds == int(seconds) else seconds
