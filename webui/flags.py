"""Turns command-line flags and CMD_FLAGS.txt into Settings.

Every mistake is one sentence naming flag, value and what is allowed. Knows nothing of what the flags do.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, NoReturn

from webui import __version__
from webui.errors import BadValue
from webui.settings import ROOT, Settings

PROGRAM = "start.sh"
FLAGS_FILE = ROOT / "CMD_FLAGS.txt"


class _Parser(argparse.ArgumentParser):
    """Raises where argparse would print its usage and end the process."""

    def error(self, message: str) -> NoReturn:
        raise BadValue(message.replace("expected one argument", "needs a value").replace("argument ", "", 1) + ".")


def name_of(item: Field[Any]) -> str:
    return "--" + item.name.replace("_", "-")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all flags. Values stay text: convert() turns them into what Settings holds."""
    parser = _Parser(
        prog=PROGRAM,
        description="Sampler Lab: chat with a model on your own machine and see how every token is chosen.",
        epilog="Flags can also stand in CMD_FLAGS.txt, one a line; the command line wins, and --no-FLAG takes back "
        "a switch. `start.sh test` runs the program's own tests.",
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help="show this list")
    parser.add_argument("--version", action="version", version=f"Sampler Lab {__version__}", help="show the version")
    for item in fields(Settings):
        names = (name_of(item), *item.metadata["aliases"])
        text = item.metadata["help"].replace("%", "%%")
        if isinstance(item.default, bool):
            parser.add_argument(*names, dest=item.name, action="store_const", const=True, help=f"{text} (default: off)")
            parser.add_argument(
                f"--no-{name_of(item)[2:]}", dest=item.name, action="store_const", const=False, help=argparse.SUPPRESS
            )
            continue
        action = "append" if isinstance(item.default, tuple) else "store"
        word = item.metadata["value"] or "N"
        parser.add_argument(
            *names, dest=item.name, action=action, metavar=word, help=f"{text} (default: {default_in_words(item)})"
        )
    return parser


def default_in_words(item: Field[Any]) -> str:
    """A default as --help and README show it: folders of the program by their short names."""
    values = item.default if isinstance(item.default, tuple) else (item.default,)
    shown = [value.name if isinstance(value, Path) else str(value) for value in values]
    return "off" if item.default is False else ", ".join(shown) or "none"


def read_flags(arguments: Sequence[str], flags_file: Path | None = FLAGS_FILE) -> Settings:
    """Settings from the file (first) and the command line (wins); BadValue for the first thing that is wrong."""
    values: dict[str, Any] = {}
    if flags_file is not None and flags_file.is_file():
        for number, words in _lines(flags_file):
            try:
                values.update(_parse(words))
            except BadValue as error:
                raise BadValue(f"{flags_file.name}, line {number}: {error.message}", param=error.param) from error
    values.update(_parse(arguments))
    _read_keys(values)
    settings = Settings(**values)
    _check_together(settings)
    return settings


def _read_keys(values: dict[str, Any]) -> None:
    """Keys may stand in a file (@FILE) or in the environment, where no list of processes shows them."""
    for name in ("api_key", "admin_key"):
        value = values.get(name) or os.environ.get(f"SAMPLER_LAB_{name.upper()}", "")
        if value.startswith("@"):
            try:
                value = Path(value[1:]).expanduser().read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                flag = "--" + name.replace("_", "-")
                raise BadValue(f"{flag} {value}: the file cannot be read ({error}).", param=name) from error
        if value and not (value.isascii() and value.isprintable()):
            raise BadValue(f"--{name.replace('_', '-')}: use letters, digits and signs of ASCII only.", param=name)
        if value:
            values[name] = value


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The words of each line. A word that starts with # and all after it is a comment; backslashes are just that."""
    result = []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadValue(f"{path.name} cannot be read: save it as UTF-8 text ({error}).") from error
    for number, line in enumerate(text.splitlines(), start=1):
        lexer = shlex.shlex(line.split("#")[0] if line.lstrip().startswith("#") else line, posix=True)
        lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
        try:
            words = list(lexer)
        except ValueError as error:
            raise BadValue(f"{path.name}, line {number}: a quotation mark is not closed.") from error
        comment = next((i for i, word in enumerate(words) if word.startswith("#")), len(words))
        if words[:comment]:
            result.append((number, words[:comment]))
    return result


def _parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Only what was given, converted and checked one by one."""
    parser = build_parser()
    given, unknown = parser.parse_known_args([_hyphened(word) for word in arguments])
    if unknown:
        raise BadValue(_unknown(unknown[0], parser), param=unknown[0])
    by_name = {item.name: item for item in fields(Settings)}
    return {name: convert(by_name[name], value) for name, value in vars(given).items() if value is not None}


def _hyphened(word: str) -> str:
    """--n_ctx is --n-ctx: both spellings are in use among tools of this kind."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _unknown(word: str, parser: argparse.ArgumentParser) -> str:
    if not word.startswith("-"):
        return f"{word!r} belongs to no flag; --help lists all flags."
    known = [name for action in parser._actions for name in action.option_strings if not name.startswith("--no-")]
    near = difflib.get_close_matches(word.partition("=")[0], known, n=1)
    return f"There is no flag {word}{f'; did you mean {near[0]}?' if near else ';'} --help lists all flags."


def convert(item: Field[Any], value: Any) -> Any:
    """One flag's text as the value Settings wants, or a sentence that says what is allowed."""
    default = item.default
    if isinstance(default, bool):
        return bool(value)
    if isinstance(default, int):
        return _whole_number(item, value)
    if isinstance(default, tuple):
        return tuple(_folder(item, text) for text in value)
    if isinstance(default, Path):
        return _folder(item, value)
    if not value.strip():
        raise BadValue(f"{name_of(item)} must not be empty.", param=item.name)
    return value


def _whole_number(item: Field[Any], value: str) -> int:
    low, high = item.metadata["low"], item.metadata["high"]
    allowed = f"{name_of(item)} {value}: a whole number from {low} to {high} is allowed."
    if len(value) > 20 or not value.removeprefix("-").isascii() or not value.removeprefix("-").isdigit():
        raise BadValue(allowed, param=item.name)
    number = int(value)
    if not low <= number <= high:
        raise BadValue(allowed, param=item.name)
    return number


def _folder(item: Field[Any], value: str) -> Path:
    if not value.strip() or "\0" in value:
        raise BadValue(f"{name_of(item)} must name a folder.", param=item.name)
    path = Path(value).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise BadValue(f"{name_of(item)} {value}: that is a file, and a folder is wanted.", param=item.name)
    if item.name == "model_dir" and not path.exists():
        raise BadValue(f"{name_of(item)} {value}: there is no such folder.", param=item.name)
    return path


def _check_together(settings: Settings) -> None:
    page, api = not settings.nowebui, settings.api or settings.nowebui
    for user, password in settings.logins:
        if not user or not password:
            raise BadValue("--gradio-auth: write it as user:password.", param="gradio_auth")
    if settings.listen and page and not settings.logins:
        raise BadValue(
            "--listen opens the page to other machines: add --gradio-auth user:password.", param="gradio_auth"
        )
    if settings.listen and api and not settings.api_key:
        raise BadValue(
            "--listen opens the API to other machines: add --api-key with a key of your own.", param="api_key"
        )
    if settings.admin_key and not settings.api_key:
        raise BadValue("--admin-key needs --api-key: without one everybody may do everything.", param="admin_key")
    for origin in filter(None, settings.api_cors_origin.split(",")):
        if not re.fullmatch(r"https?://[^/\s*]+", origin.strip()):
            wanted = "http:// or https://, a host and perhaps a port"
            raise BadValue(f"--api-cors-origin {origin}: {wanted} are wanted, nothing else.", param="api_cors_origin")
    if page and api and settings.port == settings.api_port:
        raise BadValue(f"--port and --api-port are both {settings.port}: give them different ports.", param="api_port")


def flags_table() -> str:
    """All flags as a Markdown table, for README (a test keeps it there)."""
    rows = ["| flag | what it does | default |", "|---|---|---|"]
    for item in fields(Settings):
        names = [name_of(item), *item.metadata["aliases"]]
        word = "" if isinstance(item.default, bool) else f" {item.metadata['value'] or 'N'}"
        flags = ", ".join(f"`{name}{word if i == 0 else ''}`" for i, name in enumerate(names))
        rows.append(f"| {flags} | {item.metadata['help']} | {default_in_words(item)} |")
    return "\n".join(rows)


def as_rows(settings: Settings) -> list[Mapping[str, Any]]:
    """Every flag with its present value and its default, for the Session tab."""
    return [
        {"flag": name_of(item), "value": getattr(settings, item.name), "default": item.default, **item.metadata}
        for item in fields(Settings)
    ]
