"""The chats in SQLite: a tree of messages for each chat, the leaf that is shown, titles and drafts.

Calls are synchronous and may come from any thread: one connection behind one lock (WAL, every commit flushed).
Nothing is overwritten but a reply that is still being written. Knows nothing of models, prompts or pages.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from webui.chat.migrations import migrate
from webui.errors import BadValue, WebUIError
from webui.types import Role

State = Literal["done", "writing", "interrupted"]
UNDO_SECONDS = 3600.0
TITLE_LENGTH = 60


class StorageFailed(WebUIError):
    """A write to the chat database did not succeed; nothing that was there before is lost."""

    code = "storage_failed"


@dataclass(frozen=True, slots=True)
class ChatInfo:
    id: int
    title: str
    created: float
    updated: float
    found: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One message. `versions` are the ids of all messages under the same parent, itself among them, oldest first."""

    id: int
    chat: int
    parent: int | None
    role: Role
    content: str
    created: float
    state: State
    meta: Mapping[str, Any] = field(default_factory=dict)
    versions: tuple[int, ...] = ()


def title_from(text: str) -> str:
    """A title out of a first message: its first line, cut at a word."""
    line = next((part.strip() for part in text.splitlines() if part.strip()), "")
    if len(line) <= TITLE_LENGTH:
        return line
    cut = line[:TITLE_LENGTH].rsplit(" ", 1)[0]
    return (cut if len(cut) > TITLE_LENGTH // 2 else line[:TITLE_LENGTH]).rstrip(" ,.;:") + "…"


class History:
    """Opens (and brings up to date) the database at `path`; `notice` says if a damaged one had to be set aside."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self.file = path
        self.set_aside: Path | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = self._open(path)
        except sqlite3.OperationalError as error:
            raise StorageFailed(
                f"The chats at {path.name} cannot be opened ({error}): is the folder writable?"
            ) from error
        except sqlite3.DatabaseError:
            self.set_aside = _set_aside(path)
            self._db = self._open(path)
        self._recover()

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10.0)
        try:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            db.create_function("fold", 1, lambda text: str(text).casefold(), deterministic=True)
            migrate(db)
        except BaseException:
            db.close()
            raise
        return db

    def _recover(self) -> None:
        """After a crash: replies that were being written are whole up to the last autosave; say so. Empty the bin."""
        with self._write() as db:
            db.execute("UPDATE nodes SET state = 'interrupted' WHERE state = 'writing'")
            db.execute("DELETE FROM chats WHERE deleted < ?", (time.time() - UNDO_SECONDS,))

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise StorageFailed(
                    f"The chat could not be saved ({error}): free some disk space and try again."
                ) from error

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # chats

    def create(self, title: str = "") -> int:
        now = time.time()
        with self._write() as db:
            return int(
                db.execute("INSERT INTO chats(title, created, updated) VALUES (?, ?, ?)", (title, now, now)).lastrowid
                or 0
            )

    def chats(self, search: str = "") -> list[ChatInfo]:
        """Newest first. With `search`, those whose title or any message holds it (letter case ignored)."""
        rows = self._read("SELECT * FROM chats WHERE deleted IS NULL ORDER BY updated DESC, id DESC")
        if not search.strip():
            return [_info(row) for row in rows]
        wanted = search.strip().casefold()
        hits = self._read(
            "SELECT chat, content FROM nodes WHERE instr(fold(content), ?) > 0 ORDER BY id DESC", (wanted,)
        )
        excerpts = {row["chat"]: _excerpt(row["content"], wanted) for row in reversed(hits)}
        return [
            _info(row, excerpts.get(row["id"], ""))
            for row in rows
            if row["id"] in excerpts or wanted in row["title"].casefold()
        ]

    def chat(self, chat: int) -> ChatInfo:
        rows = self._read("SELECT * FROM chats WHERE id = ? AND deleted IS NULL", (chat,))
        if not rows:
            raise BadValue(
                "This chat is gone: choose another one or start a new chat.", param="chat", code="no_such_chat"
            )
        return _info(rows[0])

    def rename(self, chat: int, title: str) -> None:
        with self._write() as db:
            db.execute("UPDATE chats SET title = ?, named = 1 WHERE id = ?", (title.strip()[:200], chat))

    def delete(self, chat: int) -> None:
        """Into the bin, which is emptied at a later start."""
        with self._write() as db:
            db.execute("UPDATE chats SET deleted = ? WHERE id = ?", (time.time(), chat))

    def restore(self, chat: int) -> None:
        with self._write() as db:
            db.execute("UPDATE chats SET deleted = NULL WHERE id = ?", (chat,))

    # messages

    def node(self, node: int) -> Node:
        rows = self._read("SELECT * FROM nodes WHERE id = ?", (node,))
        if not rows:
            raise BadValue("This message is gone: reload the page.", param="node", code="no_such_message")
        return _node(rows[0])

    def path(self, chat: int) -> list[Node]:
        """The messages from the first to the active leaf, each with its versions."""
        nodes = {row["id"]: row for row in self._read("SELECT * FROM nodes WHERE chat = ? ORDER BY id", (chat,))}
        siblings: dict[int | None, list[int]] = {}
        for row in nodes.values():
            siblings.setdefault(row["parent"], []).append(row["id"])
        leaf = self._read("SELECT leaf FROM chats WHERE id = ?", (chat,))
        current = leaf[0]["leaf"] if leaf else None
        path: list[Node] = []
        while current is not None:
            row = nodes[current]
            path.append(_node(row, tuple(siblings[row["parent"]])))
            current = row["parent"]
        return path[::-1]

    def add(
        self,
        chat: int,
        parent: int | None,
        role: Role,
        content: str,
        *,
        state: State = "done",
        meta: Mapping[str, Any] | None = None,
    ) -> Node:
        """A new message under `parent` (None: a first message), which becomes the active leaf."""
        now = time.time()
        with self._write() as db:
            cursor = db.execute(
                "INSERT INTO nodes(chat, parent, role, content, created, state, meta) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (chat, parent, role, content, now, state, json.dumps(dict(meta or {}), ensure_ascii=False)),
            )
            node = int(cursor.lastrowid or 0)
            self._activate(db, chat, node)
            db.execute("UPDATE chats SET updated = ? WHERE id = ?", (now, chat))
            if role == "user":
                db.execute(
                    "UPDATE chats SET title = ? WHERE id = ? AND title = '' AND named = 0", (title_from(content), chat)
                )
            return _node(db.execute("SELECT * FROM nodes WHERE id = ?", (node,)).fetchone())

    def write(
        self, node: int, content: str, *, state: State = "writing", meta: Mapping[str, Any] | None = None
    ) -> None:
        """Replace a reply's text while it is being written, or finish it."""
        with self._write() as db:
            if meta is None:
                db.execute("UPDATE nodes SET content = ?, state = ? WHERE id = ?", (content, state, node))
            else:
                db.execute(
                    "UPDATE nodes SET content = ?, state = ?, meta = ? WHERE id = ?",
                    (content, state, json.dumps(dict(meta), ensure_ascii=False), node),
                )

    def set_trace(self, node: int, tokens: list[Any]) -> None:
        """How each token of a reply was chosen; see `Reply.trace`."""
        data = zlib.compress(json.dumps(tokens, ensure_ascii=False, separators=(",", ":")).encode(), 6)
        with self._write() as db:
            db.execute("INSERT OR REPLACE INTO traces VALUES (?, ?)", (node, data))

    def trace(self, node: int) -> list[Any]:
        rows = self._read("SELECT tokens FROM traces WHERE node = ?", (node,))
        tokens: list[Any] = json.loads(zlib.decompress(rows[0]["tokens"])) if rows else []
        return tokens

    def select(self, node: int) -> None:
        """Show this version: the leaf becomes the end of the branch that was last used below it."""
        with self._write() as db:
            row = db.execute("SELECT * FROM nodes WHERE id = ?", (node,)).fetchone()
            if row is None:
                return
            leaf = row
            while leaf["chosen_child"] is not None:
                leaf = db.execute("SELECT * FROM nodes WHERE id = ?", (leaf["chosen_child"],)).fetchone()
            self._activate(db, row["chat"], leaf["id"])

    @staticmethod
    def _activate(db: sqlite3.Connection, chat: int, leaf: int) -> None:
        db.execute("UPDATE chats SET leaf = ? WHERE id = ?", (leaf, chat))
        child, parent = leaf, db.execute("SELECT parent FROM nodes WHERE id = ?", (leaf,)).fetchone()["parent"]
        while parent is not None:
            db.execute("UPDATE nodes SET chosen_child = ? WHERE id = ?", (child, parent))
            child, parent = parent, db.execute("SELECT parent FROM nodes WHERE id = ?", (parent,)).fetchone()["parent"]

    # drafts

    def draft(self, chat: int) -> str:
        """What was typed and not sent; chat 0 is the chat that does not exist yet."""
        rows = self._read("SELECT text FROM drafts WHERE chat = ?", (chat,))
        return str(rows[0]["text"]) if rows else ""

    def set_draft(self, chat: int, text: str) -> None:
        with self._write() as db:
            if text:
                db.execute(
                    "INSERT INTO drafts VALUES (?, ?) ON CONFLICT(chat) DO UPDATE SET text = excluded.text",
                    (chat, text),
                )
            else:
                db.execute("DELETE FROM drafts WHERE chat = ?", (chat,))

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.replace(aside.with_name(aside.name + suffix))
    return aside


def _info(row: sqlite3.Row, found: str = "") -> ChatInfo:
    return ChatInfo(row["id"], row["title"], row["created"], row["updated"], found)


def _node(row: sqlite3.Row, versions: tuple[int, ...] = ()) -> Node:
    return Node(
        id=row["id"],
        chat=row["chat"],
        parent=row["parent"],
        role=row["role"],
        content=row["content"],
        created=row["created"],
        state=row["state"],
        meta=json.loads(row["meta"]),
        versions=versions or (row["id"],),
    )


def _excerpt(text: str, wanted: str, around: int = 30) -> str:
    at = text.casefold().find(wanted)
    start, end = max(0, at - around), at + len(wanted) + around
    return ("…" if start else "") + " ".join(text[start:end].split()) + ("…" if end < len(text) else "")
