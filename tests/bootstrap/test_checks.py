"""What `start.sh test` runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from webui.bootstrap import checks
from webui.bootstrap.checks import NO_BROWSER, commands, run_checks


def test_the_long_tests_only_run_with_all() -> None:
    assert commands(Path("py"), [])[-1][1] == ["py", "-m", "pytest", "-m", "not long"]
    assert commands(Path("py"), ["--all"])[-1][1] == ["py", "-m", "pytest"]


def test_own_arguments_go_to_pytest() -> None:
    assert commands(Path("py"), ["tests/hub", "-k", "gguf"])[-1][1][3:] == ["-m", "not long", "tests/hub", "-k", "gguf"]
    assert commands(Path("py"), ["-m", "browser"])[-1][1][3:] == ["-m", "browser"]


def test_every_kind_of_check_is_there() -> None:
    assert [title for title, _ in commands(Path("py"), [])] == ["format", "lint", "types", "import contract", "tests"]


def test_without_a_browser_it_says_what_to_install_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(checks, "browser", lambda: "")
    assert run_checks(tmp_path, Path(sys.executable), ["--all"]) == 2
    assert capsys.readouterr().err.strip() == NO_BROWSER


def test_the_first_failing_check_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    late = tmp_path / "late"
    steps = [
        ("good", [sys.executable, "-c", ""]),
        ("bad", [sys.executable, "-c", "raise SystemExit(4)"]),
        ("late", [sys.executable, "-c", f"open({str(late)!r}, 'w')"]),
    ]
    monkeypatch.setattr(checks, "commands", lambda python, arguments: steps)
    assert run_checks(tmp_path, Path(sys.executable), ["tests"]) == 4
    assert "The check 'bad' failed." in capsys.readouterr().err
    assert not late.exists()
