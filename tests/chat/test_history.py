"""The tree of messages, and that nothing in it is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from webui.chat import migrations
from webui.chat.history import History, title_from
from webui.chat.migrations import NewerDatabase, migrate
from webui.errors import BadValue


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "chats.sqlite3")


def texts(history: History, chat: int) -> list[str]:
    return [node.content for node in history.path(chat)]


def test_versions_and_branches(history: History) -> None:
    chat = history.create()
    hello = history.add(chat, None, "user", "hello")
    first = history.add(chat, hello.id, "assistant", "first")
    more = history.add(chat, first.id, "user", "more")
    second = history.add(chat, hello.id, "assistant", "second")
    assert texts(history, chat) == ["hello", "second"]
    assert history.path(chat)[1].versions == (first.id, second.id)
    history.select(first.id)
    assert texts(history, chat) == ["hello", "first", "more"], "the branch below a version comes back with it"
    edited = history.add(chat, None, "user", "hello!")
    assert texts(history, chat) == ["hello!"]
    assert history.path(chat)[0].versions == (hello.id, edited.id)
    history.select(hello.id)
    assert [n.id for n in history.path(chat)] == [hello.id, first.id, more.id]


def test_chats_are_found_in_any_letter_case(history: History) -> None:
    one, two, three = history.create(), history.create("Про КОТОВ"), history.create()
    history.add(one, None, "user", "Расскажи про Ёжика в тумане")
    history.add(three, None, "user", "nothing of interest")
    assert [c.id for c in history.chats("ёЖИКА")] == [one]
    assert "Ёжика" in history.chats("ёжика")[0].found
    assert [c.id for c in history.chats("котов")] == [two]
    assert {c.id for c in history.chats("  ")} == {one, two, three}


def test_titles_come_from_the_first_message_until_somebody_names_the_chat(history: History) -> None:
    chat = history.create()
    history.add(chat, None, "user", "\n  What is min-p?\nTell me all")
    assert history.chat(chat).title == "What is min-p?"
    history.add(chat, None, "user", "another")
    assert history.chat(chat).title == "What is min-p?"
    history.rename(chat, "  Sampling ")
    history.add(chat, None, "user", "yet another")
    assert history.chat(chat).title == "Sampling"
    assert title_from("word " * 40) == "word word word word word word word word word word word word…"
    assert title_from("х" * 100) == "х" * 60 + "…"


def test_deleting_can_be_undone_until_the_bin_is_emptied(tmp_path: Path) -> None:
    history = History(tmp_path / "chats.sqlite3")
    kept, gone = history.create("kept"), history.create("gone")
    history.add(gone, None, "user", "text")
    history.delete(kept)
    history.delete(gone)
    assert history.chats() == []
    with pytest.raises(BadValue):
        history.chat(gone)
    history.restore(kept)
    assert [c.title for c in history.chats()] == ["kept"]
    history.close()
    db = sqlite3.connect(tmp_path / "chats.sqlite3")
    db.execute("UPDATE chats SET deleted = deleted - 4000 WHERE deleted IS NOT NULL")
    db.commit()
    db.close()
    again = History(tmp_path / "chats.sqlite3")
    again.restore(gone)
    assert [c.title for c in again.chats()] == ["kept"]
    assert sqlite3.connect(tmp_path / "chats.sqlite3").execute("SELECT count(*) FROM nodes").fetchone() == (0,)


def test_drafts(history: History) -> None:
    history.set_draft(0, "не отправлено")
    history.set_draft(5, "a")
    history.set_draft(5, "b")
    assert (history.draft(0), history.draft(5), history.draft(6)) == ("не отправлено", "b", "")
    history.set_draft(0, "")
    assert history.draft(0) == ""


def test_what_was_written_survives_kill_9(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from webui.chat.history import History
        history = History(Path(sys.argv[1]))
        chat = history.create()
        user = history.add(chat, None, "user", "question")
        reply = history.add(chat, user.id, "assistant", "", state="writing")
        history.set_draft(chat, "typed on")
        for n in range(1, 1000000):
            history.write(reply.id, "word " * n)
            print(n, flush=True)
        """
    )
    file = tmp_path / "chats.sqlite3"
    with subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = 0
        for line in process.stdout:
            seen = int(line)
            if seen >= 20:
                break
        os.kill(process.pid, signal.SIGKILL)
    history = History(file)
    (chat,) = history.chats()
    question, reply = history.path(chat.id)
    assert (question.content, question.state) == ("question", "done")
    assert reply.state == "interrupted"
    assert reply.content.count("word ") >= seen
    assert history.draft(chat.id) == "typed on"


def test_threads_do_not_trip_over_each_other(history: History) -> None:
    chats = [history.create() for _ in range(4)]

    def fill(chat: int) -> None:
        parent = None
        for n in range(25):
            parent = history.add(chat, parent, "user", f"{chat}-{n}").id

    threads = [threading.Thread(target=fill, args=(chat,)) for chat in chats]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for chat in chats:
        assert texts(history, chat) == [f"{chat}-{n}" for n in range(25)]


def test_a_damaged_database_is_set_aside_and_a_new_one_started(tmp_path: Path) -> None:
    file = tmp_path / "chats.sqlite3"
    file.write_bytes(b"this is not a database, but somebody's words all the same" * 100)
    history = History(file)
    assert history.set_aside is not None and history.set_aside.read_bytes().startswith(b"this is not a database")
    assert history.chats() == []
    history.create("works")
    assert [c.title for c in history.chats()] == ["works"]


def test_migrations_run_once_each_and_a_broken_one_leaves_nothing(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "x.sqlite3", isolation_level=None)
    assert migrate(db) == [m.__name__ for m in migrations.MIGRATIONS]
    assert migrate(db) == []

    def m999_half(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (a)")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        migrate(db, (*migrations.MIGRATIONS, m999_half))
    assert db.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchone() is None
    assert migrate(db) == []


def test_chats_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    history = History(tmp_path / "chats.sqlite3")
    history.create("precious")
    history.close()
    db = sqlite3.connect(tmp_path / "chats.sqlite3")
    db.execute("INSERT INTO migrations VALUES ('m777_from_the_future', 0)")
    db.commit()
    db.close()
    with pytest.raises(NewerDatabase):
        History(tmp_path / "chats.sqlite3")
