"""The Model tab's list: what the library holds, models added by path, files dragged into the browser.

A dragged file comes in pieces, one at a time, each through the same server function and login as everything else; it
lies hidden beside the models until it is whole and its header has been read. Knows nothing of loading.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradio import Request

from webui.errors import BadValue, LoadFailed, WebUIError
from webui.files import safe_child
from webui.hub.gguf import read_header
from webui.hub.library import Library, ModelEntry
from webui.hub.reasons import BadModelFile, Reason
from webui.services import Services
from webui.tabs.asking import Answer, Asked, number, old_page, text, words_for
from webui.tabs.model_words import row, size_text
from webui.tabs.words import Words

PIECE = 16 << 20
LARGEST_FILE = 1 << 41
HIDDEN = ".incoming"
STALE_SECONDS = 24 * 3600
SPARE = 64 << 20
"""Room that must stay free on the disk."""


def find_entry(library: Library, path: str) -> ModelEntry:
    """The model of the list at this path: only what the library lists can be used from the page."""
    for entry in library.entries():
        if str(entry.path) == path:
            return entry
    raise BadValue("This model is gone: scan the folder again.", param="path", code="model_gone")


@dataclass(slots=True)
class Incoming:
    """A file on its way in. `lock` keeps two pieces from being written at once."""

    name: str
    size: int
    file: Path
    lock: asyncio.Lock
    got: int = 0


class ListServer:
    def __init__(self, services: Services) -> None:
        self._library = services.library
        self._incoming: dict[str, Incoming] = {}

    async def _ask_list(self, words: Words, asked: Asked) -> Answer:
        """What there is; with `scan` the folders are looked at again."""
        look = self._library.scan if asked.get("scan") else self._library.entries
        entries = await asyncio.to_thread(look)
        folders = [str(folder) for folder in self._library.folders]
        return {"folders": folders, "models": [row(words, entry) for entry in entries], "piece": PIECE}

    async def _ask_add(self, words: Words, asked: Asked) -> Answer:
        """A file or folder where it is; nothing is copied."""
        path = text(asked, "path", 4096).strip().strip('"')
        entry = await asyncio.to_thread(self._library.add, path)
        return {**await self._ask_list(words, {"scan": True}), "added": str(entry.path)}

    async def _ask_forget(self, words: Words, asked: Asked) -> Answer:
        await asyncio.to_thread(self._library.forget, Path(text(asked, "path", 4096)))
        return await self._ask_list(words, {"scan": True})

    # A file that is dragged in -----------------------------------------------------------------------------------

    async def _ask_begin(self, words: Words, asked: Asked) -> Answer:
        """A file of this name and size is going to come: refused now if it cannot be kept."""
        name, size = text(asked, "name", 255), number(asked, "size", 1, LARGEST_FILE)
        file = await asyncio.to_thread(self._prepare, name, size, words)
        key = file.stem
        self._incoming[key] = Incoming(name, size, file, asyncio.Lock())
        return {"key": key, "piece": PIECE}

    async def _ask_drop(self, words: Words, asked: Asked) -> Answer:
        """The file is not wanted any more; what came of it goes."""
        coming = self._incoming.pop(text(asked, "key", 64), None)
        if coming is not None:
            async with coming.lock:
                await asyncio.to_thread(coming.file.unlink, missing_ok=True)
        return {}

    async def piece(self, words: Words, key: str, start: int, data: bytes) -> Answer:
        """The next piece; with the last one the file is checked and becomes a model of the list."""
        coming = self._incoming.get(key)
        if coming is None:
            raise LoadFailed("This upload was given up: drag the file in again.", code="upload_gone")
        async with coming.lock:
            if start != coming.got or not data or coming.got + len(data) > coming.size:
                raise old_page("start")
            try:
                await asyncio.to_thread(_append, coming, data)
                coming.got += len(data)
                if coming.got < coming.size:
                    return {"got": coming.got}
                entry = await asyncio.to_thread(self._library.take, coming.file, coming.name)
            except (BadValue, LoadFailed):
                self._incoming.pop(key, None)
                await asyncio.to_thread(coming.file.unlink, missing_ok=True)
                raise
            self._incoming.pop(key, None)
        return {**await self._ask_list(words, {"scan": True}), "got": coming.got, "added": str(entry.path)}

    def _prepare(self, name: str, size: int, words: Words) -> Path:
        if not name.lower().endswith(".gguf"):
            raise BadModelFile(Reason("not_gguf"), name, param="file")
        if not self._library.folders:
            raise BadValue("There is no model folder to put the file in: name one with --model-dir.", param="file")
        folder = self._library.folders[0]
        if safe_child(folder, name).exists():
            raise BadValue(
                f"There is a file {name} in the model folder already: rename one of them.",
                param="file",
                code="file_exists",
                values={"name": name},
            )
        place = folder / HIDDEN
        place.mkdir(parents=True, exist_ok=True)
        for old in place.glob("*.part"):
            if old.stem not in self._incoming and time.time() - old.stat().st_mtime > STALE_SECONDS:
                old.unlink(missing_ok=True)
        free = shutil.disk_usage(place).free
        if free < size + SPARE:
            raise LoadFailed(
                f"The disk has {free / 1e9:.1f} GB free and {name} needs {size / 1e9:.1f} GB: make room first.",
                code="disk_too_small",
                values={"name": name, "free": size_text(words, free), "need": size_text(words, size)},
            )
        return place / f"{secrets.token_hex(8)}.part"


def _append(coming: Incoming, data: bytes) -> None:
    """Write the next piece. The first one tells already whether this can be a model at all."""
    try:
        with coming.file.open("ab") as target:
            target.write(data)
    except OSError as error:
        why = error.strerror or str(error)
        raise LoadFailed(
            f"The file could not be written: {why}.", code="upload_unwritten", values={"why": why}
        ) from error
    if not coming.got and not data.startswith(b"GGUF"):
        try:
            read_header(coming.file)
        except BadModelFile as error:
            raise BadModelFile(error.reason, coming.name, param="file") from error


def piece_function(services: Services, server: ListServer) -> Callable[..., Awaitable[Answer]]:
    """What the page sends the pieces of a file to: a form with a file instead of JSON."""

    async def model_piece(asked: Any, request: Request) -> Answer:
        words = words_for(services, request)
        try:
            return await server.piece(words, *_piece_of(asked))
        except WebUIError as error:
            return {"error": words.problem(error.code, error.message, error.values), "code": error.code}

    return model_piece


def _piece_of(asked: Any) -> tuple[str, int, bytes]:
    """(key, start, bytes) out of what Gradio hands over for a form with a file."""
    data, files = getattr(asked, "data", None), getattr(asked, "files", None)
    if not isinstance(data, dict) or not files or not str(data.get("start", "")).isdigit():
        raise old_page("file")
    return str(data.get("key", "")), int(data["start"]), files[0][1]
