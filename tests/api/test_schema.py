"""Our OpenAPI description, played back at the server by schemathesis: whatever it allows or forbids, no 5xx, and
answers in the shapes it promises.

The short form tries a few inputs an operation; SAMPLER_LAB_EXAMPLES=50 makes it the long one, with every field's own
cases before (thousands: the samplers' fields are many).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import Server

LEFT_OUT = ("/v1/internal/model/unload",)
"""What answers 503 after it is right, and says nothing of a bad input."""

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
INFILL = {"prefix": 3001, "suffix": 3002, "middle": 3003}


def run_schemathesis(server: Server, folder: Path, examples: int) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "run", f"{server.url}/openapi.json", "--no-color", "--no-shrink", "--mode=all"]
    command += [f"--checks={CHECKS}", f"--max-examples={examples}", "--request-timeout=60"]
    phases = "coverage,fuzzing" if examples >= 50 else "fuzzing"
    command += [f"--phases={phases}", "--generation-database=none", "--generation-allow-x00=true"]
    command += [f"--exclude-path={path}" for path in LEFT_OUT]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3000)


@pytest.mark.parametrize(
    "examples", [int(os.environ.get("SAMPLER_LAB_EXAMPLES", "5")), pytest.param(50, marks=pytest.mark.long)]
)
def test_no_input_makes_a_server_error(server: Server, tmp_path: Path, examples: int) -> None:
    server.load(reply="Fine.", n_ctx=512, extra={"infill": INFILL})
    done = run_schemathesis(server, tmp_path, examples)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    with server.client() as http:
        assert http.post("/v1/completions", json={"prompt": "x"}).status_code == 200


def test_the_description_tells_errors_streams_and_samplers(http: httpx.Client) -> None:
    schema = http.get("/openapi.json").json()
    operations = [operation for methods in schema["paths"].values() for operation in methods.values()]
    for operation in operations:
        assert set(operation["responses"]) == {"200", "default"}, "no 422, which never comes"
        error = operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"]
        assert error.endswith("/Error")
    chat = schema["paths"]["/v1/chat/completions"]["post"]
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    fields = schema["components"]["schemas"]["ChatBody"]["properties"]
    assert fields["top_p"]["anyOf"][0] == {"type": "number", "minimum": 0.0, "maximum": 1.0}
    assert fields["logit_bias"]["anyOf"][0]["maxProperties"] == 1024, "a declared field keeps its own form"
    assert "temperature" in fields and "dry_sequence_breakers" in fields and "min_p" in fields
