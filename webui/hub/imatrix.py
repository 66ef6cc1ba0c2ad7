"""Finds in an importance-matrix file where the figures of each tensor stand, so that the quantiser can read them.

Reads the header only. The file is a GGUF with, for each tensor, the sums of its inputs' squares (`.in_sum2`) and how
often each was seen (`.counts`). Knows nothing of quantising.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from webui.hub.gguf import read_header
from webui.hub.reasons import BadModelFile, Reason

_SUMS, _COUNTS = ".in_sum2", ".counts"


def read_matrix(path: Path) -> dict[str, Any]:
    """{"path", "tensors": [[name, sums at, rows, width, counts at], ...]}; BadModelFile if it is none."""
    header = read_header(path)
    if header.metadata.get("general.type") != "imatrix":
        raise BadModelFile(Reason("not_imatrix"), path.name)
    by_name = {tensor.name: tensor for tensor in header.tensors}
    tensors: list[list[Any]] = []
    for name, sums in by_name.items():
        counts = by_name.get(name.removesuffix(_SUMS) + _COUNTS)
        if not name.endswith(_SUMS) or counts is None:
            continue
        width, rows = sums.shape[0], sums.elements // sums.shape[0]
        if counts.elements != rows or {sums.type.name, counts.type.name} != {"F32"}:
            raise BadModelFile(Reason("imatrix_counts", {"name": name}), path.name)
        tensors.append(
            [name.removesuffix(_SUMS), header.data_start + sums.offset, rows, width, header.data_start + counts.offset]
        )
    if not tensors:
        raise BadModelFile(Reason("not_imatrix"), path.name)
    return {"path": str(path), "tensors": tensors}
