"""Starting a worker process and saying in one sentence how it ended. Knows nothing of frames or models."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass

from webui.settings import ROOT

STDERR_KEPT = 8 << 10
COMMAND = (sys.executable, "-m", "webui.worker")


class Output:
    """The last 8 KB of what a process prints; `echo` also passes it on."""

    def __init__(self, fd: int, *, echo: bool) -> None:
        self._fd = fd
        self._echo = echo
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, name="worker output", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._fd, 4096):
                self._keep(data)
                if self._echo:
                    sys.stderr.write(data.decode("utf-8", "replace"))
                    sys.stderr.flush()
        finally:
            os.close(self._fd)

    def _keep(self, data: bytes) -> None:
        with self._lock:
            self._parts.append(data)
            self._size += len(data)
            while self._size - len(self._parts[0]) >= STDERR_KEPT:
                self._size -= len(self._parts.popleft())

    def text(self) -> str:
        with self._lock:
            return b"".join(self._parts)[-STDERR_KEPT:].decode("utf-8", "replace")

    def join(self, seconds: float) -> None:
        """Wait for the last words; something that inherited the pipe may keep it open, hence the limit."""
        self._thread.join(seconds)


@dataclass(frozen=True, slots=True)
class Process:
    """A started worker: the process, our end of its socket, what it prints."""

    popen: subprocess.Popen[bytes]
    connection: socket.socket
    output: Output

    def kill(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()


def start(command: tuple[str, ...] = COMMAND, *, echo: bool = False) -> Process:
    """Start a worker that holds the other end of a socketpair; `--fd N` tells it which."""
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    with theirs:
        environment = worker_environment()
        try:
            if sys.platform == "win32":
                popen = _start_windows(command, theirs, writer, environment)
            else:
                popen = subprocess.Popen(
                    [*command, "--fd", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=writer,
                    stderr=writer,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    cwd=ROOT,
                    env=environment,
                )
        except OSError:
            ours.close()
            os.close(reader)
            raise
        finally:
            os.close(writer)
    return Process(popen, ours, Output(reader, echo=echo))


def _start_windows(
    command: tuple[str, ...], theirs: socket.socket, writer: int, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Windows has no inherited descriptor numbers: the socket itself is sent, addressed to the child's process id."""
    popen = subprocess.Popen(
        [*command, "--fd", "-1"], stdin=subprocess.PIPE, stdout=writer, stderr=writer, cwd=ROOT, env=environment
    )
    share = getattr(theirs, "share")  # noqa: B009  (exists on Windows only)
    assert popen.stdin is not None
    popen.stdin.write(share(popen.pid))
    popen.stdin.close()
    return popen


def worker_environment() -> dict[str, str]:
    """Memory in large pages where the system has them: in small ones llama.cpp loses up to a tenth of its speed."""
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if "glibc.malloc.hugetlb" not in tunables:
        tunables = ":".join(filter(None, [tunables, "glibc.malloc.hugetlb=1"]))
    ours = {"PYTHONPATH": _python_path(), "PYTHONUNBUFFERED": "1", "GGML_NO_BACKTRACE": "1"}
    return {**os.environ, **ours, "GLIBC_TUNABLES": tunables}


def _python_path() -> str:
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(ROOT), inherited] if inherited else [str(ROOT)])


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended: a sentence for a person, a stable code, and what stands behind it."""

    sentence: str
    code: str
    detail: str = ""


_ASSERTION = re.compile(r"(GGML_ASSERT\(.*?\) failed|GGML_ABORT.*|ggml_abort.*)")
_MEMORY = re.compile(
    r"(out of memory|failed to allocate|cannot allocate memory|std::bad_alloc|MemoryError|unable to allocate)", re.I
)
_DEVICE = re.compile(r"((?:CUDA|ROCm|Vulkan|Metal) error.*|ErrorDeviceLost.*|vk::DeviceLostError.*)", re.I)

_SIGNALS = {
    "SIGSEGV": ("engine_segv", "The engine crashed (invalid memory access)."),
    "SIGBUS": ("engine_sigbus", "The engine stopped because the model file changed on disk."),
    "SIGKILL": ("engine_killed", "The engine was killed, probably because the machine ran out of memory."),
    "SIGILL": (
        "engine_sigill",
        "The engine uses instructions this processor does not have: install a build of llama-cpp-python without AVX2.",
    ),
    "SIGFPE": ("engine_sigfpe", "The engine crashed in a calculation; the model file is probably damaged."),
    "SIGTERM": ("engine_terminated", "The engine was stopped from outside."),
    "SIGABRT": ("engine_abort", "The engine stopped itself."),
}


def explain(returncode: int | None, output: str) -> Ending:
    """One plain sentence for an exit code (negative: a signal) and the last words of the process."""
    if device := _DEVICE.search(output):
        sentence = "The graphics card reported an error: load the model with fewer GPU layers, or on the CPU."
        return Ending(sentence, "engine_device", device.group(1).strip()[:300])
    if assertion := _ASSERTION.search(output):
        detail = assertion.group(1).strip()[:300]
        return Ending(f"The engine stopped itself: {detail}.", "engine_assert", detail)
    name = _signal_name(returncode)
    if name != "SIGKILL" and (memory := _MEMORY.search(output)):
        sentence = "The engine ran out of memory: choose a smaller context or a smaller model."
        return Ending(sentence, "engine_memory", memory.group(1))
    if name in _SIGNALS:
        code, sentence = _SIGNALS[name]
        return Ending(sentence, code, _last_line(output))
    if returncode == 0:
        return Ending("The engine ended without being asked to.", "engine_ended", _last_line(output))
    reason = name or f"exit code {returncode}"
    last = _last_line(output)
    return Ending(f"The engine stopped ({reason}){': ' + last if last else ''}.", "engine_exit", last)


def _signal_name(returncode: int | None) -> str:
    if returncode is None or returncode >= 0:
        return ""
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1].rstrip(".")[:300] if lines else ""
