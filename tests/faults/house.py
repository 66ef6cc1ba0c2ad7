"""The real program with the real model, as a client of its API meets it; and its engine, as an operating system does.

Knows nothing of what faults there are.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.program import Program, lives
from webui.hub.library import starter_model
from webui.settings import ROOT

MODEL = "good"
GOOD_REPLY_TOKENS = 8
N_CTX, SLOTS = 2048, 2
PATIENCE = 240.0
"""Seconds until something that never comes has failed: a busy machine may be slow, and may halt for minutes."""
INJECT = Path(__file__).with_name("inject")


class Refused(Exception):
    """The API said no; `sentence` is what it told."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(f"{status}: {error}")
        self.status = status
        self.sentence = str(error["message"])
        self.param = error["param"]
        self.code = error["code"]


class Stream:
    """A streamed reply while it is read."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.iter_lines()
        self.text = ""
        self.error: Mapping[str, Any] | None = None
        self.reason = ""

    def tokens(self, count: int) -> None:
        """Read until `count` more pieces of text have come."""
        for _ in range(count):
            if not self._next():
                raise AssertionError(f"the reply ended after {self.text!r}: {self.error or self.reason}")

    def rest(self) -> Stream:
        while self._next():
            pass
        return self

    @property
    def sentence(self) -> str:
        """What the client was told instead of an end."""
        assert self.error is not None, f"no error was told; the reply ended with {self.reason!r}: {self.text!r}"
        return str(self.error["message"])

    def _next(self) -> bool:
        for line in self._lines:
            if not line.startswith("data: {"):
                continue
            data = json.loads(line[6:])
            if "error" in data:
                self.error = data["error"]
                continue
            choice = (data.get("choices") or [{}])[0]
            self.reason = choice.get("finish_reason") or self.reason
            self.text += choice.get("text", "")
            if choice.get("text"):
                return True
        return False


class House:
    """One running program in a folder of its own, with a copy of the starter model; starts when it is needed."""

    question = "Once upon a time"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.free_memory = folder / "free_memory"
        """While this file exists, the program believes that the machine has so many bytes free."""
        self.models = folder / "models"
        self.models.mkdir(parents=True)
        self.answer = ""
        self._program: Program | None = None
        self._http: httpx.Client | None = None
        self._page = 0
        self.put_model()

    def put_model(self, name: str = MODEL) -> Path:
        """A copy of the starter model, which a fault may harm."""
        source = starter_model()
        assert source is not None, "the starter model is not installed: run ./start.sh test"
        beside = self.models / f".{name}.part"
        shutil.copyfile(source, beside)
        return beside.replace(self.models / f"{name}.gguf")

    # The program

    def ready(self) -> None:
        """Start the program if it does not run, and make sure that the good model is the one that is loaded."""
        if self._program is None or not self.lives:
            self.abandon()
            self._start()
            self.answer = self.complete(self.question, max_tokens=GOOD_REPLY_TOKENS)
        info = self.info()
        if (info["stage"], info["model_name"], info["n_ctx"]) != ("ready", MODEL, N_CTX):
            self.load()

    def _start(self) -> None:
        self._page, port = free_port(), free_port()
        folders = ("--model-dir", str(self.models), "--data-dir", str(self.folder / "data"))
        ports = ("--port", str(self._page), "--api", "--api-port", str(port))
        size = ("--model", MODEL, "--n-ctx", str(N_CTX), "--parallel", str(SLOTS))
        path = os.pathsep.join([str(INJECT), str(ROOT)])
        environment = {"PYTHONPATH": path, "FAULTS_FREE_MEMORY": str(self.free_memory)}
        program = Program(self.folder, *folders, *ports, *size, environment=environment)
        self._program = program
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE)
        program.wait_for("is ready")

    def abandon(self) -> None:
        """End the program, however it is; the next fault begins with a new one."""
        if self._http is not None:
            self._http.close()
        if self._program is not None:
            children = [] if not self.lives else self._program.children()
            if self.lives:
                self._program.process.kill()
            for child in children:
                with psutil_gone():
                    child.kill()
            self._program.end()
        self._program = self._http = None

    @property
    def program(self) -> Program:
        assert self._program is not None, "the program was not started"
        return self._program

    @property
    def pid(self) -> int:
        return self.program.process.pid

    @property
    def lives(self) -> bool:
        return self._program is not None and self._program.process.poll() is None

    @property
    def log(self) -> str:
        return self.program.output

    @property
    def port(self) -> int:
        return int(self.http.base_url.port or 0)

    # Its engine

    def workers(self) -> list[psutil.Process]:
        """The engines' processes that live."""
        return [child for child in self.program.children() if lives(child) and is_worker(child)]

    def worker(self) -> psutil.Process:
        """The engine's process; waits for it."""
        found: list[psutil.Process] = []

        def there() -> bool:
            found.extend(self.workers())
            return bool(found)

        assert self.until(there), "there is no engine"
        return found[0]

    def strike(self, name: str) -> None:
        """Send the engine a signal."""
        self.worker().send_signal(signal.Signals[name])

    # Its API

    @property
    def http(self) -> httpx.Client:
        assert self._http is not None, "the program was not started"
        return self._http

    def info(self) -> dict[str, Any]:
        """Where the model stands."""
        found: dict[str, Any] = _checked(self.http.get("/v1/internal/model/info"))
        return found

    def load(self, name: str = MODEL, **args: Any) -> None:
        wanted = {"n_ctx": N_CTX, "slots": SLOTS, **args}
        _checked(self.http.post("/v1/internal/model/load", json={"model_name": name, "args": wanted}))

    def unload(self) -> None:
        _checked(self.http.post("/v1/internal/model/unload"))

    def refused_load(self, name: str = MODEL, **args: Any) -> Refused:
        """A load that must be refused, and how it was."""
        return refusal(lambda: self.load(name, **args))

    def complete(self, prompt: str, **fields: Any) -> str:
        body = {"prompt": prompt, "temperature": 0, "max_tokens": 16, **fields}
        return str(_checked(self.http.post("/v1/completions", json=body))["choices"][0]["text"])

    def refused_request(self, **fields: Any) -> Refused:
        return refusal(lambda: self.complete("Hello", **fields))

    @contextmanager
    def stream(self, prompt: str, **fields: Any) -> Iterator[Stream]:
        """A reply that would go on for long; entered once the prompt is being read."""
        body = {"prompt": prompt, "temperature": 0, "max_tokens": 1500, "ignore_eos": True, "stream": True, **fields}
        with self.http.stream("POST", "/v1/completions", json=body) as answer:
            if answer.status_code != 200:
                answer.read()
                _checked(answer)
            yield Stream(answer)

    def page_answers(self) -> bool:
        return httpx.get(f"http://127.0.0.1:{self._page}/", timeout=PATIENCE).status_code == 200

    # Waiting

    @staticmethod
    def until(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
        """Whether something comes true in time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True


def _checked(answer: httpx.Response) -> Any:
    body = answer.json()
    if answer.status_code != 200:
        raise Refused(answer.status_code, body["error"])
    return body


def refusal(call: Callable[[], object]) -> Refused:
    """How the API refuses something that it must refuse."""
    try:
        call()
    except Refused as refused:
        return refused
    raise AssertionError("it was not refused")


def is_worker(process: psutil.Process) -> bool:
    try:
        return "webui.worker" in process.cmdline()
    except psutil.Error:
        return False


@contextmanager
def psutil_gone() -> Iterator[None]:
    """What has ended meanwhile needs no end."""
    try:
        yield
    except psutil.NoSuchProcess:
        return


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def has_open(process: psutil.Process, path: Path) -> bool:
    """Whether a process has a file open: for an engine, that it reads the model now."""
    try:
        return str(path) in (file.path for file in process.open_files())
    except psutil.Error:
        return False


def memory_of(*processes: psutil.Process) -> int:
    """Bytes of their own: pages of files, the model for one, are left out."""
    total = 0
    for process in processes:
        found = process.memory_info()
        total += found.rss - found.shared
    return total


def stopped(process: psutil.Process) -> bool:
    return bool(process.status() == psutil.STATUS_STOPPED)


def wait_stopped(process: psutil.Process) -> None:
    os.kill(process.pid, signal.SIGSTOP)
    assert House.until(lambda: stopped(process)), "it does not stop"
