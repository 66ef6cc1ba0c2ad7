"""llama.cpp's own samplers run on our rows: the reference for parity tests and for the benchmark."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any

import llama_cpp.llama_cpp as native
import numpy as np
from numpy.typing import NDArray

ENTRY = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class NativeRow:
    """A row as llama.cpp holds it, together with the memory it points to."""

    def __init__(self, row: NDArray[np.float32]) -> None:
        self.entries = np.zeros(len(row), dtype=ENTRY)
        self.entries["id"] = np.arange(len(row))
        self.entries["logit"] = row
        self.array = native.llama_token_data_array()
        self.array.data = ctypes.cast(self.entries.ctypes.data, native.llama_token_data_p)
        self.array.size = len(row)
        self.array.selected = -1
        self.array.sorted = False

    def apply(self, sampler: Any) -> None:
        native.llama_sampler_apply(sampler, ctypes.byref(self.array))

    @property
    def _present(self) -> NDArray[Any]:
        """XTC moves the start of the array on instead of moving the entries."""
        address = ctypes.cast(self.array.data, ctypes.c_void_p).value or 0
        first = (address - self.entries.ctypes.data) // ENTRY.itemsize
        return self.entries[first : first + self.array.size]

    @property
    def ids(self) -> NDArray[np.int32]:
        return np.asarray(self._present["id"])

    @property
    def logits(self) -> NDArray[np.float32]:
        return np.asarray(self._present["logit"])

    @property
    def chosen(self) -> int:
        return int(self._present["id"][self.array.selected])


def apply_native(sampler: Any, row: NDArray[np.float32], history: Iterable[int] = ()) -> NativeRow:
    """One fresh stage on one row; the stage is freed afterwards."""
    try:
        for token in history:
            native.llama_sampler_accept(sampler, int(token))
        result = NativeRow(row)
        result.apply(sampler)
        return result
    finally:
        native.llama_sampler_free(sampler)
