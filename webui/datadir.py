"""The data folder: made, checked for writing, and held by one program at a time.

Knows nothing of what others keep in it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

from webui.errors import BadValue, Busy

_LOCK_NAME = ".lock"


class DataDir:
    """Holds the folder from `__enter__` to `__exit__`; a second program is refused with a sentence."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def __enter__(self) -> DataDir:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise BadValue(
                f"--data-dir {self.path} cannot be written ({error.strerror}), and chats and settings need a place: "
                "choose another folder with --data-dir.",
                param="data_dir",
            ) from error
        if not _try_lock(file):
            holder = os.pread(file, 20, 0).decode("ascii", "replace").strip() if sys.platform != "win32" else ""
            os.close(file)
            raise Busy(
                f"Another Sampler Lab{f' (process {holder})' if holder else ''} already uses {self.path}: "
                "close it, or choose another folder with --data-dir."
            )
        if sys.platform != "win32":
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _try_lock(file: int) -> bool:
    """Take the file's lock without waiting. It goes with the process, however that ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
