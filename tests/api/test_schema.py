"""Our OpenAPI description, played back at the server by schemathesis: whatever it allows or forbids, no 5xx.

The short form tries a few inputs an operation; SAMPLER_LAB_EXAMPLES=50 makes it the long one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.conftest import Server

LEFT_OUT = ("/v1/internal/model/unload",)
"""What answers 503 after it is right, and says nothing of a bad input."""

INFILL = {"prefix": 3001, "suffix": 3002, "middle": 3003}


def run_schemathesis(server: Server, folder: Path, examples: int) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "run", f"{server.url}/openapi.json", "--no-color", "--no-shrink", "--mode=all"]
    command += ["--checks=not_a_server_error", f"--max-examples={examples}", "--request-timeout=60"]
    command += ["--phases=coverage,fuzzing", "--generation-database=none", "--generation-allow-x00=true"]
    command += [f"--exclude-path={path}" for path in LEFT_OUT]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3000)


@pytest.mark.parametrize(
    "examples", [int(os.environ.get("SAMPLER_LAB_EXAMPLES", "3")), pytest.param(50, marks=pytest.mark.long)]
)
def test_no_input_makes_a_server_error(server: Server, tmp_path: Path, examples: int) -> None:
    server.load(reply="Fine.", n_ctx=512, extra={"infill": INFILL})
    done = run_schemathesis(server, tmp_path, examples)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    with server.client() as http:
        assert http.post("/v1/completions", json={"prompt": "x"}).status_code == 200
