"""The program as a process: exit codes and sentences, signals, and what it leaves behind."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.program import Program, gone

Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    programs: list[Program] = []

    def begin(*arguments: str) -> Program:
        programs.append(Program(tmp_path, "--data-dir", str(tmp_path / "data"), *arguments))
        return programs[-1]

    yield begin
    for program in programs:
        if program.process.poll() is None:
            program.process.kill()
        program.end()


def test_a_mistake_is_one_line_and_exit_code_2(start: Start) -> None:
    program = start("--port", "99999")
    assert program.end() == 2
    assert program.output == "Sampler Lab: --port 99999: a whole number from 1 to 65535 is allowed.\n"


def test_help_lists_the_flags(start: Start) -> None:
    program = start("--help")
    assert program.end() == 0
    assert "--n-gpu-layers" in program.output


def test_a_busy_port_is_exit_code_2(start: Start, free_port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        program = start("--port", str(free_port))
        assert program.end() == 2
    assert program.output.startswith(f"Sampler Lab: --port {free_port}: the port is in use")
    assert program.output.count("\n") == 1


def test_without_a_page_a_missing_model_is_exit_code_2(start: Start, free_port: int) -> None:
    program = start("--nowebui", "--api-port", str(free_port), "--model", "nothing.gguf")
    assert program.end() == 2
    assert program.output.startswith("Sampler Lab: --model nothing.gguf: There is no model 'nothing.gguf'.")
    assert program.output.count("\n") == 1


def test_with_a_page_a_missing_model_is_said_and_the_page_starts(start: Start, free_port: int) -> None:
    program = start("--port", str(free_port), "--model", "nothing.gguf")
    program.wait_for("Sampler Lab is at")
    program.wait_for("There is no model 'nothing.gguf'")
    assert httpx.get(f"http://127.0.0.1:{free_port}/").status_code == 200


@pytest.mark.model
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_within_five_seconds_and_exit_code_0(
    start: Start, free_port: int, number: signal.Signals
) -> None:
    program = start("--nowebui", "--api-port", str(free_port))
    program.wait_for("is ready")
    workers = program.children()
    assert workers
    asked = time.monotonic()
    program.process.send_signal(number)
    assert program.end() == 0
    assert time.monotonic() - asked < 5.0
    assert gone(workers, 2)
    assert "Traceback" not in program.output


@pytest.mark.model
def test_kill_of_the_program_takes_the_worker_along(start: Start, free_port: int) -> None:
    program = start("--nowebui", "--api-port", str(free_port))
    program.wait_for("is ready")
    workers = program.children()
    assert workers
    program.process.kill()
    assert gone(workers, 2)


def test_the_data_folder_belongs_to_one_program(start: Start, free_port: int, tmp_path: Path) -> None:
    first = start("--nowebui", "--api-port", str(free_port))
    first.wait_for("The API is at")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    second = start("--nowebui", "--api-port", str(port))
    assert second.end() == 2
    assert f"Another Sampler Lab (process {first.process.pid}) already uses {tmp_path / 'data'}" in second.output


def test_it_only_listens_on_this_machine_and_only_on_its_port(start: Start, free_port: int) -> None:
    program = start("--nowebui", "--api-port", str(free_port))
    program.wait_for("The API is at")
    process = psutil.Process(program.process.pid)
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for member in (process, *process.children(recursive=True))
        for connection in member.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", free_port)}


def test_with_logins_nothing_of_the_page_answers_before_one(start: Start, free_port: int) -> None:
    program = start("--port", str(free_port), "--gradio-auth", "ann:a:b, bob:c", "--model", "nothing")
    program.wait_for("Sampler Lab is at")
    base = f"http://127.0.0.1:{free_port}"
    with httpx.Client(base_url=base) as client:
        for route in ("config", "gradio_api/component_server", "gradio_api/queue/join", "gradio_api/upload"):
            method = "GET" if route == "config" else "POST"
            assert client.request(method, f"/{route}", json={}).status_code == 401
        assert client.post("/login", data={"username": "ann", "password": "a"}).status_code == 400
        assert client.post("/login", data={"username": "ann", "password": "a:b"}).status_code == 200
        assert client.get("/config").status_code == 200
    assert httpx.post(f"{base}/login", data={"username": "bob", "password": "c"}).status_code == 200


def test_a_request_for_another_name_or_from_another_site_is_refused_by_both_servers(
    start: Start, free_port: int
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        api_port = free.getsockname()[1]
    program = start("--port", str(free_port), "--api", "--api-port", str(api_port), "--model", "nothing")
    program.wait_for("The API is at")
    for port, route in ((free_port, "/"), (free_port, "/config"), (api_port, "/v1/models")):
        own, address = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}{route}"
        assert httpx.get(address).status_code == 200
        assert httpx.get(address, headers={"Origin": own}).status_code == 200
        for headers in ({"Host": "evil.com"}, {"Origin": "https://evil.com"}, {"Origin": "http://127.0.0.1:1"}):
            assert httpx.get(address, headers=headers).status_code == 403
