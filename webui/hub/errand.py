"""Runs one long native job (quantise, compare) in a process of its own and tells how far it is.

Cancelling the task that waits kills the process: the engine has no gentler way. Knows nothing of what the job does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from webui.errors import WebUIError

MODULE = "webui.worker.errand"
_LONGEST_LINE = 1 << 22

Progress = Callable[[float, str], None]
"""How far (0..1), and what is being worked on."""


class ErrandFailed(WebUIError):
    """The job could not be done; the code is the job's own, or errand_died when its process ended in the middle."""

    code = "errand_died"


async def run_errand(kind: str, arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The result of the job. Raises ErrandFailed with a sentence; on cancellation the process is gone on return."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        MODULE,
        kind,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        limit=_LONGEST_LINE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    # A native crash speaks on stderr; unread, a full pipe would stop the job.
    words = asyncio.ensure_future(process.stderr.read())
    try:
        process.stdin.write(orjson.dumps(arguments) + b"\n")
        await process.stdin.drain()
        while line := await process.stdout.readline():
            message = orjson.loads(line)
            if "progress" in message:
                progress(message["progress"], message["about"])
            elif "done" in message:
                return dict(message["done"])
            else:
                failed = message["failed"]
                raise ErrandFailed(failed["message"], code=failed["code"], values=failed["values"])
        await process.wait()
        raise _death(kind, process.returncode or 0, await words)
    except (BrokenPipeError, ConnectionResetError) as error:
        await process.wait()
        raise _death(kind, process.returncode or 0, await words) from error
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.gather(words, return_exceptions=True)
        process.stdin.close()


def _death(kind: str, code: int, words: bytes) -> ErrandFailed:
    lines = [line for line in words.decode("utf-8", "replace").splitlines() if line.strip()]
    last = lines[-1].strip()[:200] if lines else ""
    how = signal.Signals(-code).name if code < 0 else f"code {code}"
    if code == -signal.SIGKILL:
        last = "probably out of memory"
    sentence = (
        f"The process that was to {kind} stopped ({how}{': ' + last if last else ''}); the model file may be damaged."
    )
    return ErrandFailed(sentence, values={"how": how, "last": last})
