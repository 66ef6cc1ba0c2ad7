"""Paths made of names people give, and files that are either old or new but never half written.

Knows nothing of what is in them.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from webui.errors import BadValue

# Names Windows keeps for devices, with or without an ending.
_DEVICES = frozenset({"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)})
_FORBIDDEN = frozenset('<>:"/\\|?*')


def safe_child(root: Path, name: str) -> Path:
    """The file `name` directly inside `root`; BadValue for what would lead elsewhere or trouble a file system."""
    reason = _objection(name)
    if reason is None:
        child = root / name
        if child.resolve().parent == root.resolve():
            return child
        reason = "leads out of its folder"
    raise BadValue(f"The name {name[:60]!r} {reason}; use letters, digits, spaces, dots and dashes.", param="name")


def _objection(name: str) -> str | None:
    if not name.strip() or name != name.strip():
        return "is empty or begins or ends with a space"
    if len(name.encode("utf-8", "replace")) > 200:
        return "is too long"
    if name.startswith(".") or name.endswith("."):
        return "begins or ends with a dot"
    if any(c in _FORBIDDEN or not c.isprintable() for c in name):
        return "has a character that file names cannot have"
    if name.split(".")[0].strip().lower() in _DEVICES:
        return "is reserved by Windows"
    return None


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write beside, flush to the disk, then rename over: a crash leaves the old file or the new one."""
    content = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """The rename itself must reach the disk too; Windows has no way to ask for that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
