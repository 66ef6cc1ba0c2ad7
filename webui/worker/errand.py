"""`python -m webui.worker.errand KIND`: one long native job in a process of its own, so that it can be cancelled.

The arguments come as one line of JSON on stdin; lines of JSON go out on stdout: {"progress": 0..1, "about": text}, at
the end {"done": {...}} or {"failed": {"message", "code", "values"}}. It ends with its parent, and when stdin is closed.

Kinds: quantise (source, target, file_type, threads, dry_run, matrix, weights) and compare (paths, text, most, scratch,
n_gpu_layers, threads).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from webui.errors import WebUIError
from webui.types import LoadSpec
from webui.worker.process import harden

Say = Callable[[float, str], None]


def _say(message: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
    sys.stdout.buffer.flush()


def _progress(share: float, about: str = "") -> None:
    _say({"progress": round(min(1.0, share), 4), "about": about})


def _quantise(arguments: Mapping[str, Any]) -> dict[str, Any]:
    from webui.engines.llamacpp_quantise import quantise

    # Work is in the bytes: one embedding table can be a third of a model's.
    weights: Mapping[str, int] = arguments["weights"]
    total, begun, before = max(1, sum(weights.values())), 0, 0

    def told(name: str, number: int, count: int) -> None:
        nonlocal begun, before
        before, begun = begun, begun + weights.get(name, 0)
        _progress(before / total, name)

    return quantise(
        Path(arguments["source"]),
        Path(arguments["target"]),
        arguments["file_type"],
        told,
        threads=arguments["threads"],
        dry_run=arguments["dry_run"],
        matrix=arguments["matrix"],
    )


def _compare(arguments: Mapping[str, Any]) -> dict[str, Any]:
    from webui.engines.llamacpp import open_llamacpp
    from webui.worker.compare import MOST, compare

    most = min(arguments["most"], MOST)
    first, second = (
        LoadSpec(
            path, n_ctx=most, slots=1, n_gpu_layers=arguments["n_gpu_layers"], threads=arguments["threads"]
        )
        for path in arguments["paths"]
    )  # fmt: skip
    scratch = Path(arguments["scratch"])
    return compare((first, second), arguments["text"], most, scratch, open_llamacpp, _progress)


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {"quantise": _quantise, "compare": _compare}


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    harden()
    if hasattr(os, "nice"):
        # Whoever chats meanwhile comes first.
        os.nice(5)
    arguments = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        _say({"done": _KINDS[sys.argv[1]](arguments)})
    except WebUIError as error:
        _say({"failed": {"message": error.message, "code": error.code, "values": dict(error.values)}})
    sys.stdout.buffer.flush()
    # The reader thread still waits for stdin; a normal exit would wait for its lock.
    os._exit(0)


if __name__ == "__main__":
    main()
