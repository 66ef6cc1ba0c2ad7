"""The data folder belongs to one program at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from webui.datadir import DataDir
from webui.errors import BadValue, Busy
from webui.settings import ROOT

HOLD = """
import pathlib, sys, time
from webui.datadir import DataDir
with DataDir(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_it_is_made_with_its_parents(tmp_path: Path) -> None:
    with DataDir(tmp_path / "a" / "данные") as held:
        assert held.path.is_dir()


def test_a_second_program_is_refused_until_the_first_is_gone_even_by_kill(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(Busy) as caught, DataDir(tmp_path):
            pass
        assert str(first.pid) in caught.value.message
        assert "--data-dir" in caught.value.message
        first.kill()
    with DataDir(tmp_path):
        pass


def test_leaving_gives_it_back(tmp_path: Path) -> None:
    for _ in range(2):
        with DataDir(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadValue, match="cannot be written") as caught, DataDir(tmp_path / "file" / "data"):
        pass
    assert "--data-dir" in caught.value.message


def test_a_read_only_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BadValue, match="Permission denied"), DataDir(tmp_path):
        pass
