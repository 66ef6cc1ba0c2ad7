"""Presets: chains kept as YAML, those that come with the program and the user's own.

A file holds a one-line note in both languages and the stages in order, without what is off; a bare number is the main
value of a sampler. Knows files, nothing of pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from webui.errors import BadValue
from webui.files import safe_child, write_atomically
from webui.samplers.balanced import BALANCED
from webui.samplers.chain import Chain, Stage
from webui.samplers.declare import Text
from webui.samplers.foreign import NotApplied, hopeless
from webui.samplers.order import insert
from webui.types import Step

MAX_BYTES = 64 * 1024
MAX_BRACKETS = 2000
"""The YAML reader takes quadratic time over open brackets: a minute for a file full of them."""
SHIPPED = Path(__file__).resolve().parents[2] / "presets"
_SUFFIX = ".yaml"


@dataclass(frozen=True, slots=True)
class Preset:
    """`steps` also has the stages of Balanced that the preset leaves off, so that a page can offer them."""

    name: str
    note: Text
    steps: tuple[Step, ...]
    not_applied: tuple[NotApplied, ...] = ()
    own: bool = False


class Presets:
    """The presets of one installation; an own one hides a shipped one of the same name."""

    def __init__(self, own: Path, shipped: Path = SHIPPED) -> None:
        self._own = own
        self._shipped = shipped

    def names(self) -> list[str]:
        """All of them, by name without regard to case, Balanced first."""
        found = {path.stem for folder in (self._shipped, self._own) for path in folder.glob(f"*{_SUFFIX}")}
        return sorted(found, key=lambda name: (name != "Balanced", name.casefold()))

    def is_own(self, name: str) -> bool:
        return safe_child(self._own, name + _SUFFIX).is_file()

    def load(self, name: str) -> Preset:
        """BadValue if there is none or its file is damaged."""
        own = self.is_own(name)
        path = safe_child(self._own if own else self._shipped, name + _SUFFIX)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise BadValue(f"There is no preset called {name!r}; choose one from the list.", param="preset") from None
        try:
            return read_preset(name, parse_yaml(data), own=own)
        except BadValue as error:
            raise BadValue(f"The preset {name!r} cannot be read: {error.message}", param="preset") from error

    def save(self, name: str, steps: Iterable[Any], note: Text | None = None) -> Preset:
        """Write an own preset, whole or not at all."""
        chain = Chain.parse(steps)
        document: dict[str, Any] = {"chain": [_written(stage) for stage in chain.plan]}
        if note is not None and (note.en or note.ru):
            document = {"note": {"en": note.en, "ru": note.ru}, **document}
        text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=120)
        write_atomically(safe_child(self._own, name + _SUFFIX), text)
        return self.load(name)

    def delete(self, name: str) -> None:
        """Only own presets can be deleted."""
        if not self.is_own(name):
            raise BadValue(f"{name!r} is not one of your own presets; only those can be deleted.", param="preset")
        safe_child(self._own, name + _SUFFIX).unlink()


def parse_yaml(data: bytes) -> Any:
    """Plain YAML of moderate size; nothing that refers to itself, which a few bytes could blow up to gigabytes."""
    if len(data) > MAX_BYTES:
        raise BadValue(f"The file is larger than {MAX_BYTES // 1024} KB; that is no preset.", param="preset")
    if data.count(b"[") + data.count(b"{") > MAX_BRACKETS:
        raise BadValue("The file is too deeply nested; that is no preset.", param="preset")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, Loader=yaml.SafeLoader)):
            raise BadValue("The file uses YAML aliases; write the values out.", param="preset")
        return yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadValue("The file is not valid YAML; check its indentation and quotes.", param="preset") from error


def read_preset(name: str, document: Any, *, own: bool = False) -> Preset:
    """A preset from what its file holds."""
    if not isinstance(document, Mapping) or not isinstance(document.get("chain"), Sequence):
        raise BadValue("A preset needs `chain`, a list of samplers.", param="chain")
    note = document.get("note") or {}
    if not isinstance(note, Mapping):
        note = {"en": str(note), "ru": str(note)}
    asked = document.get("asked") or {}
    return Preset(
        name=name,
        note=Text(str(note.get("en", "")), str(note.get("ru", note.get("en", "")))),
        steps=with_usual_stages(_step(item) for item in document["chain"]),
        not_applied=tuple(hopeless(asked)) if isinstance(asked, Mapping) else (),
        own=own,
    )


def with_usual_stages(steps: Iterable[Any]) -> tuple[Step, ...]:
    """The chain with the stages of Balanced that it lacks added, turned off: the same result, more to see."""
    complete = list(Chain.parse(steps).steps)
    present = {step.sampler for step in complete}
    for step in Chain.parse(BALANCED).stages:
        if step.sampler.name not in present:
            insert(complete, Step(step.sampler.name, step.sampler.neutral()))
    return tuple(complete)


def _step(item: Any) -> Step:
    """`top_k: 40`, `dry: {...}` or just `p_less`."""
    if isinstance(item, str):
        return Step(item)
    if not isinstance(item, Mapping) or len(item) != 1:
        raise BadValue("Each entry of `chain` must be `sampler: value`.", param="chain")
    name, values = next(iter(item.items()))
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        stage = Chain.parse([Step(str(name))]).stages[0]
        values = {stage.sampler.main.name: values}
    return Step(str(name), values)


def _written(stage: Stage) -> dict[str, Any]:
    """The main value always, the others only where they are not the default."""
    main = stage.sampler.main
    values = {
        p.name: _plain(stage.values[p.name])
        for p in stage.sampler.params
        if p is main or stage.values[p.name] != p.default
    }
    simple = len(values) == 1 and not isinstance(values[main.name], (dict, list))
    return {stage.sampler.name: values[main.name] if simple else values}


def _plain(value: Any) -> Any:
    """YAML knows lists, not tuples."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value
