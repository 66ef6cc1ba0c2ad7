"""Prompt templates: which one a model gets (the one asked for, its own, or one of ours that fits), and the user's own.

Rendering is in templates_render, the shipped ones in templates_known; others import all of it from here.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from webui.chat.sandbox import MAX_SOURCE, TemplateFailed
from webui.chat.templates_known import (
    ARCHITECTURES,
    END_TOKENS,
    ENDING,
    family_of,
    read_shipped,
    recognise,
    shipped,
    unknown_template,
)
from webui.chat.templates_render import CHATML, MAX_MESSAGES, fold_system, join_neighbours, render, render_async
from webui.errors import BadValue
from webui.files import safe_child, write_atomically
from webui.types import Message, ModelInfo

__all__ = [
    "CHATML",
    "MAX_MESSAGES",
    "OwnTemplates",
    "Template",
    "choose_template",
    "family_of",
    "fold_system",
    "join_neighbours",
    "objection",
    "read_shipped",
    "recognise",
    "render",
    "render_async",
    "shipped",
    "template_from",
    "template_of",
    "validate",
]

_PLAIN_NAME = re.compile(r"[\w .-]{1,60}")

Why = Literal["chosen", "model", "name", "architecture", "end_token", "default"]


@dataclass(frozen=True, slots=True)
class Template:
    """`family` is the shipped template it speaks like ("" if none); `problem` says why the model's own one was not
    taken."""

    name: str
    source: str
    why: Why
    family: str = ""
    problem: str = ""

    @property
    def knows_tools(self) -> bool:
        return re.search(r"\btools\b", self.source) is not None


class OwnTemplates:
    """The user's templates: NAME.jinja in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> tuple[str, ...]:
        if not self.folder.is_dir():
            return ()
        return tuple(sorted(path.stem for path in self.folder.glob(f"*{ENDING}") if path.is_file()))

    def read(self, name: str) -> str:
        path = self._path(name)
        try:
            with path.open("rb") as file:
                data = file.read(4 * MAX_SOURCE + 1)
        except OSError as error:
            raise BadValue(f"The prompt template {name!r} cannot be read ({error.strerror}).", param="name") from error
        return data.decode("utf-8", "replace")

    def save(self, name: str, source: str) -> None:
        """Refused with TemplateFailed if it does not work."""
        path = self._path(name)
        validate(source)
        write_atomically(path, source)

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return safe_child(self.folder, name.strip() + ENDING)


def choose_template(info: ModelInfo, wanted: str | None = None, own: OwnTemplates | None = None) -> Template:
    """The template asked for by name, else the model's own, else one of ours by name, kind or end token."""
    if wanted and wanted.strip().lower() not in ("", "auto", "none"):
        return _named(wanted.strip(), own)
    problem = ""
    if info.chat_template and info.chat_template.strip():
        problem = objection(info.chat_template)
        if not problem:
            return Template(info.name, info.chat_template, "model", family_of(info.chat_template))
    for why, family in _guesses(info, problem):
        if family is not None:
            return Template(family, read_shipped(family), why, family, problem)
    return Template("chatml", CHATML, "default", "chatml", problem)


def template_of(info: ModelInfo, wanted: str | None = None) -> str:
    return choose_template(info, wanted).source


def template_from(source: str) -> Template:
    """A template that came as text, from a request or a file; TemplateFailed says what is wrong with it."""
    validate(source)
    return Template("custom", source, "chosen", family_of(source))


def validate(source: str) -> None:
    """TemplateFailed unless this template can be used: it compiles, is allowed, quick and shows the user's words."""
    if not source.strip():
        raise TemplateFailed("The prompt template is empty: write one, or choose another template.")
    probe = "A question, 1 + 1?"
    text = render([Message("user", probe)], source, bos="<s>", eos="</s>")
    if probe not in text:
        raise TemplateFailed(
            "The prompt template leaves out what the user says: print message.content for each of messages."
        )


@functools.lru_cache(maxsize=32)
def objection(source: str) -> str:
    """Why a template cannot be used, in a sentence; "" if it can."""
    try:
        validate(source)
    except TemplateFailed as error:
        return error.message
    return ""


def _guesses(info: ModelInfo, problem: str) -> tuple[tuple[Why, str | None], ...]:
    family = family_of(info.chat_template or "") if problem else ""
    return (
        ("model", family or None),
        ("name", recognise(info.name) or recognise(Path(info.path).name)),
        ("architecture", ARCHITECTURES.get(info.architecture)),
        ("end_token", END_TOKENS.get(info.eos_token)),
    )


def _named(name: str, own: OwnTemplates | None) -> Template:
    names = own.names() if own else ()
    if own and name in names:
        source = own.read(name)
        validate(source)
        return Template(name, source, "chosen", family_of(source))
    # Other tools write the same names another way: ChatML, Llama-v2, Vicuna-v1.1.
    ours = name if name in shipped() else recognise(name) if _PLAIN_NAME.fullmatch(name) else None
    if ours is None:
        raise unknown_template(name, names)
    return Template(ours, read_shipped(ours), "chosen", ours)
