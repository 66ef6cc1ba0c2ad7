"""How the chat database got its shape: a list of functions, and a table of those that ran.

A new shape is a new function at the end; one that was released is never changed. Knows nothing of what the rows mean.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from webui.errors import WebUIError

Migration = Callable[[sqlite3.Connection], None]


def m001_chats_and_nodes(db: sqlite3.Connection) -> None:
    db.execute(
        """CREATE TABLE chats (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL DEFAULT '',
            named INTEGER NOT NULL DEFAULT 0,
            created REAL NOT NULL,
            updated REAL NOT NULL,
            leaf INTEGER,
            deleted REAL)"""
    )
    db.execute(
        """CREATE TABLE nodes (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            chat INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,
            parent INTEGER REFERENCES nodes(id) ON DELETE CASCADE,
            role TEXT NOT NULL,
            content TEXT NOT NULL,
            created REAL NOT NULL,
            state TEXT NOT NULL DEFAULT 'done',
            chosen_child INTEGER,
            meta TEXT NOT NULL DEFAULT '{}')"""
    )
    db.execute("CREATE INDEX nodes_by_parent ON nodes(chat, parent)")


def m002_drafts(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE drafts (chat INTEGER PRIMARY KEY, text TEXT NOT NULL)")


def m003_traces(db: sqlite3.Connection) -> None:
    """Apart from the messages, because they are large and seldom looked at."""
    db.execute(
        "CREATE TABLE traces (node INTEGER PRIMARY KEY REFERENCES nodes(id) ON DELETE CASCADE, tokens BLOB NOT NULL)"
    )


MIGRATIONS: tuple[Migration, ...] = (m001_chats_and_nodes, m002_drafts, m003_traces)


class NewerDatabase(WebUIError):
    """The chats were written by a later version of the program."""

    code = "newer_database"


def migrate(db: sqlite3.Connection, migrations: tuple[Migration, ...] = MIGRATIONS) -> list[str]:
    """Run what has not run yet, each in its own transaction; the names of those that ran now."""
    db.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied REAL NOT NULL)")
    applied = {row[0] for row in db.execute("SELECT name FROM migrations")}
    unknown = applied - {m.__name__ for m in migrations}
    if unknown:
        raise NewerDatabase(
            "These chats were written by a newer version: update the program, or start it with another --data-dir."
        )
    ran = []
    for migration in migrations:
        if migration.__name__ in applied:
            continue
        db.execute("BEGIN IMMEDIATE")
        try:
            migration(db)
            db.execute("INSERT INTO migrations VALUES (?, ?)", (migration.__name__, time.time()))
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
        ran.append(migration.__name__)
    return ran
