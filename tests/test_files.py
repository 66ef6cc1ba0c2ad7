"""Names that become paths, and files that are old or new but never half written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.errors import BadValue
from webui.files import safe_child, write_atomically


@pytest.mark.parametrize("name", ["a.yaml", "Big O.yaml", "Мой пресет (2).yaml", "v1.2-final", "日本.json", "x" * 200])
def test_ordinary_names_are_children(tmp_path: Path, name: str) -> None:
    assert safe_child(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "../x", "a/b", "a\\b", "/etc/passwd", "C:\\x", "x\0", "a\nb", ".hidden", "x.", " x", "x ",
     "con", "NUL.txt", "com1.yaml", "a" * 201, "é" * 101, "a|b", "a?b", "\u202eexe", "x:y"],
)  # fmt: skip
def test_others_are_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadValue) as caught:
        safe_child(tmp_path, name)
    assert caught.value.param == "name"


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere.txt")
    with pytest.raises(BadValue, match="leads out"):
        safe_child(root, "link")


@given(st.text(max_size=30))
def test_nothing_ever_leaves_the_folder(name: str) -> None:
    root = Path("/somewhere/root")
    try:
        child = safe_child(root, name)
    except BadValue:
        return
    assert child.parent == root and os.path.normpath(child) == str(child)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file.txt"
    write_atomically(path, "один")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_what_breaks_off_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, "old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_it_is_on_the_disk_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("fsync"), sync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("replace"), replace(a, b))[1])
    write_atomically(tmp_path / "x", "x")
    assert done[:2] == ["fsync", "replace"]
