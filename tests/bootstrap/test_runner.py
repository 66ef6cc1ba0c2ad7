"""Tasks carried out with small programs in place of pip."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from webui.bootstrap.plan import Attempt, Task
from webui.bootstrap.runner import Progress, Runner

WORKS = (sys.executable, "-c", "print('fine')")
FAILS = (sys.executable, "-c", "import sys; print('ERROR: no such wheel'); sys.exit(3)")


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def runner(tmp_path: Path, out: io.StringIO) -> Runner:
    return Runner(tmp_path, tmp_path / "install.log", out)


def test_the_first_attempt_that_works_is_the_last(runner: Runner, out: io.StringIO, tmp_path: Path) -> None:
    never = (sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert runner.run_all([Task("Doing it", (Attempt(WORKS), Attempt(never)))])
    assert not (tmp_path / "ran").exists()
    assert out.getvalue() == "  Doing it ...\n"


def test_a_failed_attempt_says_so_and_the_next_is_tried(runner: Runner, out: io.StringIO) -> None:
    task = Task("Doing it", (Attempt(FAILS, saying="on the GPU", if_it_fails="On the CPU, then."), Attempt(WORKS)))
    assert runner.run_all([task])
    assert out.getvalue().splitlines() == ["  Doing it: on the GPU ...", "  On the CPU, then.", "  Doing it ..."]


def test_what_installs_but_does_not_work_counts_as_failed(runner: Runner, tmp_path: Path) -> None:
    mark = (sys.executable, "-c", f"open({str(tmp_path / 'compiled')!r}, 'w')")
    assert runner.run_all([Task("Doing it", (Attempt(WORKS, check=FAILS), Attempt(mark)))])
    assert (tmp_path / "compiled").exists()


def test_what_does_not_work_is_taken_away_before_the_next_attempt_and_its_reason_is_kept(
    runner: Runner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = str(tmp_path / "there")
    install = (sys.executable, "-c", f"open({there!r}, 'x')")
    remove = (sys.executable, "-c", f"import os; os.remove({there!r}); print('ERROR: of the removal')")
    attempt = Attempt(install, check=FAILS, undo=remove)
    assert not runner.run_all([Task("Doing it", (attempt, attempt))]), "the second would not find it there"
    assert capsys.readouterr().err.splitlines()[0] == "ERROR: no such wheel"
    assert not Path(there).exists()


def test_a_task_nothing_can_do_ends_with_reason_advice_and_log(
    runner: Runner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    after = (sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert not runner.run_all([Task("Doing it", (Attempt(FAILS),), "install make"), Task("Next", (Attempt(after),))])
    error = capsys.readouterr().err
    assert error.splitlines()[0] == "ERROR: no such wheel"
    assert "Doing it failed; install make." in error
    assert str(tmp_path / "install.log") in error
    assert not (tmp_path / "ran").exists()
    assert "no such wheel" in (tmp_path / "install.log").read_text()


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full: free some space"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "CMAKE_BUILD_PARALLEL_LEVEL=1"),
        ("Failed to establish a new connection: Temporary failure in name resolution", "check the network"),
        ("ERROR: No matching distribution found for gradio>=6.31", "no version of it for this Python"),
        ("something nobody knows", "install make"),
    ],
)
def test_what_the_output_says_becomes_advice(
    runner: Runner, capsys: pytest.CaptureFixture[str], output: str, advice: str
) -> None:
    fails = (sys.executable, "-c", f"import sys; print({output!r}); sys.exit(1)")
    assert not runner.run_all([Task("Doing it", (Attempt(fails),), "install make")])
    error = capsys.readouterr().err
    assert advice in error
    assert "Traceback" not in error


def test_a_program_that_is_not_there_is_a_failed_attempt(runner: Runner) -> None:
    assert runner.run_all([Task("Doing it", (Attempt(("/no/such/program",)), Attempt(WORKS)))])


def test_commands_get_their_environment_but_no_foreign_pip_settings(
    tmp_path: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("CMAKE_ARGS", "-DFROM_OUTSIDE=1")
    look = "repr([os.environ.get(name) for name in ('PIP_USER', 'CMAKE_ARGS')])"
    code = f"import os; open({str(tmp_path / 'seen')!r}, 'w').write({look})"
    assert runner.run_all([Task("Look", (Attempt((sys.executable, "-c", code), environment={"CMAKE_ARGS": "-DX=1"}),))])
    assert (tmp_path / "seen").read_text() == "[None, '-DX=1']"
    assert runner.run_all([Task("Look", (Attempt((sys.executable, "-c", code), environment={"CMAKE_ARGS": ""}),))])
    assert (tmp_path / "seen").read_text() == "[None, None]"


def test_progress_tells_of_large_downloads_and_of_compiling() -> None:
    said: list[str] = []
    progress = Progress(said.append)
    for line in (
        "  Downloading gradio-6.31.0-py3-none-any.whl (23.4 MB)\n",
        "  Downloading small-1.0-py3-none-any.whl (0.1 MB)\n",
        "  Downloading tiny-1.0-py3-none-any.whl\n",
        *(f"  [{n}/200] Building CXX object x.o\n" for n in range(1, 201)),
    ):
        progress.see(line)
    assert said[0] == "  downloading gradio-6.31.0-py3-none-any.whl (23.4 MB)"
    assert said[1:] == [f"  compiled {percent} %" for percent in range(10, 101, 10)]
