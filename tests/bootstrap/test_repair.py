"""What an interrupted install leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from webui.bootstrap.repair import is_usable, make_sound, remove_half_installed


def test_half_installed_packages_are_forgotten_and_whole_ones_kept(tmp_path: Path) -> None:
    for name, whole in (("whole-1.0", True), ("half-1.0", False)):
        info = tmp_path / f"{name}.dist-info"
        info.mkdir()
        (info / "METADATA").touch()
        if whole:
            (info / "RECORD").touch()
    (tmp_path / "~umpy").mkdir()
    remove_half_installed(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["whole-1.0.dist-info"]


def test_a_venv_without_pip_is_removed(tmp_path: Path) -> None:
    venv = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    assert not is_usable(venv / "bin" / "python")
    assert not make_sound(venv, venv / "bin" / "python")
    assert not venv.exists()


def test_a_venv_whose_python_went_away_is_removed(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(tmp_path / "gone")
    assert not make_sound(tmp_path / ".venv", python)
    assert not (tmp_path / ".venv").exists()


def test_a_python_too_old_is_not_usable(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\necho too old\n")
    old.chmod(0o755)
    assert not is_usable(old)


def test_a_working_python_is_kept() -> None:
    assert is_usable(Path(sys.executable))
