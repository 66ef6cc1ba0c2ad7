"""Writes a model's weights in another precision, with llama.cpp's own quantiser.

llama.cpp offers no cancel and may end the process over a damaged file: run it in a process of its own, as
worker/errand.py does. Progress is read from its log, the only place where it tells of it.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as lib
from numpy.typing import NDArray

from webui.engines.threads import physical_cores
from webui.errors import LoadFailed

_TENSOR = re.compile(r"\[\s*(\d+)/\s*(\d+)\]\s+(\S+)")
_SIZE = re.compile(r"quant size\s*=\s*([\d.]+) MiB")
_FALLBACK = re.compile(r"(\d+) of (\d+) tensor\(s\) required fallback")
_FAILED = re.compile(r"failed to quantize: (.+)")

Say = Callable[[str, int, int], None]
"""Told of each tensor as it is begun: name, number from 1, how many there are."""


class QuantiseFailed(LoadFailed):
    """llama.cpp refused; `values` holds its own words as reason."""

    code = "quantise_failed"


def quantise(
    source: Path,
    target: Path,
    file_type: int,
    say: Say,
    *,
    threads: int = 0,
    dry_run: bool = False,
    matrix: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write `target` anew from `source`. Returns its size in bytes and how many tensors fell back to another type."""
    words: list[str] = []
    seen: set[int] = set()

    def log(level: int, text: bytes, _: Any) -> None:
        line = text.decode("utf-8", "replace")
        words.append(line)
        del words[:-200]
        found = _TENSOR.search(line)
        if found and int(found[1]) not in seen:
            seen.add(int(found[1]))
            say(found[3], int(found[1]), int(found[2]))

    callback = lib.llama_log_callback(log)
    lib.llama_log_set(callback, ctypes.c_void_p(0))
    lib.llama_backend_init()
    params = lib.llama_model_quantize_default_params()
    params.nthread = threads or physical_cores()
    params.ftype = file_type
    params.allow_requantize = True
    params.dry_run = dry_run
    held = _importance(matrix) if matrix else None
    if held is not None:
        params.imatrix = held[0]
    result = lib.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params))
    text = "".join(words)
    if result != 0:
        failed = _FAILED.search(text)
        reason = failed[1].strip().rstrip("!.") if failed else "see the log"
        sys.stderr.write(text)
        message = f"llama.cpp cannot write {target.name.strip('.')}: {reason}."
        raise QuantiseFailed(message, values={"reason": reason, "file": target.name})
    size, fallback = _SIZE.search(text), _FALLBACK.search(text)
    return {
        "size": round(float(size[1]) * (1 << 20)) if size else 0,
        "tensors": len(seen),
        "fallbacks": int(fallback[1]) if fallback else 0,
    }


def _importance(matrix: Mapping[str, Any]) -> tuple[Any, Sequence[NDArray[np.float32]]]:
    """The importance matrix as llama.cpp takes it: for each tensor the mean square of each input, several experts in a
    row. `matrix` says where in its file the sums and the counts stand: [name, sums at, rows, width, counts at]."""
    path, kept = matrix["path"], []
    entries = (lib.llama_model_imatrix_data * (len(matrix["tensors"]) + 1))()
    for place, (name, sums_at, rows, width, counts_at) in enumerate(matrix["tensors"]):
        sums = np.fromfile(path, np.float32, rows * width, offset=sums_at).reshape(rows, width)
        counts = np.fromfile(path, np.float32, rows, offset=counts_at).reshape(rows, 1)
        # An expert no text has reached has nothing to say: all its inputs count alike.
        values = np.where(counts > 0, sums / np.maximum(counts, 1), 1.0).astype(np.float32).ravel()
        kept.append(values)
        entries[place].name = str(name).encode()
        entries[place].data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entries[place].size = values.size
    return entries, kept
