"""docs/api.md does not lie: every curl line and the Python example in it are run against the real program. And the page
/docs, in a browser, asks no other host for anything."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.adapters import write_lora
from tests.api.conftest import Server
from tests.program import Program
from webui.settings import ROOT

TEXT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
STARTER, LORA = "SmolLM2-135M-Instruct.Q4_1", "random"
NOT_200 = {"/infill": 400}
"""What the documents themselves say of the starter model."""


@dataclass
class Curl:
    """One command of the documents."""

    url: str = ""
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None

    @property
    def path(self) -> str:
        return self.url.removeprefix("localhost:5000")


def commands(text: str) -> Iterator[Curl]:
    """All curl commands of the shell blocks, taken apart as a shell would."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        words = shlex.split(block.replace("\\\n", " "), comments=True)
        starts = [place for place, word in enumerate(words) if word == "curl"]
        for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
            yield read(words[start + 1 : end])


def read(words: list[str]) -> Curl:
    curl = Curl()
    rest = iter(words)
    for word in rest:
        if word == "-N":
            continue
        if word == "-X":
            curl.method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(":")
            curl.headers[name] = value.strip()
        elif word == "-d":
            curl.body, curl.method = next(rest), "POST"
        else:
            assert not word.startswith("-") and not curl.url, f"not understood: {word}"
            curl.url = word
    return curl


def test_the_documents_have_a_line_for_every_route(server: Server) -> None:
    """And none for a route that is not there."""
    with server.client() as http:
        routes = {path for path in http.get("/openapi.json").json()["paths"] if "{" not in path}
    told = {curl.path for curl in commands(TEXT)}
    assert told == routes, (routes - told, told - routes)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The API alone, as a user starts it, with the starter model and a LoRA in its folder."""
    import socket

    folder = tmp_path_factory.mktemp("program")
    (folder / "models").mkdir()
    write_lora(folder / "models" / f"{LORA}.gguf", seed=1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = ("--data-dir", str(folder / "data"), "--model-dir", str(folder / "models"))
    program = Program(folder, "--nowebui", "--api-port", str(port), "--n-ctx", "1024", "--model", STARTER, *folders)
    try:
        program.wait_for("API is at")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as http:
            while http.get("/health").status_code != 200:
                assert program.process.poll() is None, program.output
            yield http
    finally:
        program.process.terminate()
        program.end()


def ask(http: httpx.Client, curl: Curl) -> httpx.Response:
    name = LORA if "/lora/" in curl.path else STARTER
    content = curl.body.replace('"NAME"', json.dumps(name)) if curl.body is not None else None
    return http.request(curl.method, curl.path, headers=curl.headers, content=content)


@pytest.mark.model
def test_every_command_works(program: httpx.Client) -> None:
    for curl in commands(TEXT):
        answer = ask(program, curl)
        assert answer.status_code == NOT_200.get(curl.path, 200), (curl, answer.text[:500])
        if curl.path.endswith("/model/unload"):
            assert program.get("/health").status_code == 503
            body = {"model_name": STARTER, "args": {"n_ctx": 1024}}
            assert program.post("/v1/internal/model/load", json=body).status_code == 200
        elif curl.path.endswith("/lora/load"):
            assert program.get("/v1/internal/model/info").json()["lora_names"] == [f"{LORA}.gguf"]
        elif curl.body and '"stream": true' in curl.body:
            assert answer.text.endswith("data: [DONE]\n\n")
        elif "json_schema" in (curl.body or ""):
            said = json.loads(answer.json()["choices"][0]["message"]["content"])
            assert set(said) == {"city", "country"}
        elif "tool_choice" in (curl.body or ""):
            (call,) = answer.json()["choices"][0]["message"]["tool_calls"]
            assert set(json.loads(call["function"]["arguments"])) == {"city"}


@pytest.mark.model
def test_the_python_example_works(program: httpx.Client) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    here = example.replace("http://127.0.0.1:5000", str(program.base_url).rstrip("/"))
    assert here != example
    done = subprocess.run([sys.executable, "-c", here], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


@pytest.mark.browser
def test_the_page_of_routes_asks_nobody_else(server: Server, chromium_path: str) -> None:
    from playwright.sync_api import sync_playwright

    server.load(reply="Fine.")
    asked: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{server.url}/docs")
        row = page.locator("details", has=page.locator("summary code", has_text=re.compile("^/v1/chat/completions$")))
        row.locator("summary").click()
        row.get_by_role("button").click()
        page.wait_for_function(
            "element => element.textContent.includes('[DONE]')", arg=row.locator("pre").element_handle()
        )
        shown: Any = row.locator("pre").inner_text()
        browser.close()
    assert shown.startswith("200") and "Fine" in shown
    assert not complaints
    assert {url.split("/")[2] for url in asked} == {f"127.0.0.1:{server.port}"}
