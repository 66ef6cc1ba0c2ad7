"""llama.cpp through llama-cpp-python's low-level binding: batches, logits, sequences. One KV stream for each slot.

The batch's arrays are allocated once and filled through numpy; rows of logits are views of llama.cpp's own memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as lib
from numpy.typing import NDArray

from webui.engines.base import NEVER, Aborted, AbortFlag, Chunk, EngineError, Progress, Row
from webui.engines.llamacpp_embed import LlamaCppEmbedder
from webui.engines.llamacpp_open import ABORTED, MAX_ROWS, Opened, open_model
from webui.errors import BadValue
from webui.load_options import check_spec
from webui.types import LoadSpec, ModelInfo

_GAP = 1
"""Idle slots between busy ones that are filled with a token each."""
_slot_of = attrgetter("slot")
_REASONS = {1: "the context is full", -1: "the batch is not valid"}


class _Batch:
    """llama_batch over numpy arrays that live as long as it does."""

    def __init__(self, size: int, slots: int) -> None:
        self.tokens: NDArray[np.int32] = np.zeros(size, np.int32)
        self.positions: NDArray[np.int32] = np.zeros(size, np.int32)
        self.wanted: NDArray[np.int8] = np.zeros(size, np.int8)
        self.sequences: NDArray[np.uintp] = np.zeros(size, np.uintp)
        self._counts: NDArray[np.int32] = np.ones(size, np.int32)
        self._ids: NDArray[np.int32] = np.arange(slots, dtype=np.int32)
        self.slot_addresses = [self._ids.ctypes.data + 4 * slot for slot in range(slots)]

        def pointer(array: NDArray[Any], kind: Any) -> Any:
            return array.ctypes.data_as(ctypes.POINTER(kind))

        self.native = lib.llama_batch(
            n_tokens=0,
            token=pointer(self.tokens, ctypes.c_int32),
            embd=None,
            pos=pointer(self.positions, ctypes.c_int32),
            n_seq_id=pointer(self._counts, ctypes.c_int32),
            seq_id=pointer(self.sequences, ctypes.POINTER(ctypes.c_int32)),
            logits=pointer(self.wanted, ctypes.c_int8),
        )


class LlamaCpp:
    max_rows: int
    chunk: int
    grid: int
    fills_cores: bool

    def __init__(self, opened: Opened, n_batch: int, abort: AbortFlag) -> None:
        self.info: ModelInfo = opened.info
        self.max_rows = max(MAX_ROWS, opened.info.slots)
        self.chunk, self.grid, self.fills_cores = opened.chunk, opened.grid, opened.fills_cores
        self._opened = opened
        self._context = opened.context
        self._vocab = opened.vocab
        self._abort = abort
        self._size = n_batch
        self._batch = _Batch(n_batch, opened.info.slots)
        self._pieces: dict[int, bytes] = {}
        self._row_bytes = opened.info.n_vocab * 4
        self._row_type = ctypes.c_float * opened.info.n_vocab
        self._ends = frozenset(opened.info.end_ids)
        self.set_adapters(opened.scales)

    # Vocabulary

    def tokenize(self, text: str, *, add_bos: bool, special: bool) -> list[int]:
        data = text.encode("utf-8")
        buffer = (ctypes.c_int32 * (len(data) + 2))()
        count = lib.llama_tokenize(self._vocab, data, len(data), buffer, len(buffer), add_bos, special)
        if count < 0:
            buffer = (ctypes.c_int32 * -count)()
            count = lib.llama_tokenize(self._vocab, data, len(data), buffer, len(buffer), add_bos, special)
        if count < 0:
            raise EngineError("the text cannot be cut into tokens")
        return buffer[:count]

    def piece(self, token: int, *, special: bool = False) -> bytes:
        key = ~token if special else token
        known = self._pieces.get(key)
        if known is None:
            known = self._pieces[key] = self._read_piece(token, special)
        return known

    def _read_piece(self, token: int, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        size = lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
        if size < 0:
            buffer = ctypes.create_string_buffer(-size)
            size = lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
        return buffer.raw[: max(0, size)]

    def is_end(self, token: int) -> bool:
        return token in self._ends

    # Batches

    def decode(self, chunks: Sequence[Chunk]) -> list[Row]:
        # llama.cpp computes streams together only if they come one after the other: each break would be a run of its
        # own through all weights.
        inorder = sorted(chunks, key=_slot_of)
        fillers = self._fillers(inorder)
        try:
            places = self._run(sorted([*inorder, *fillers], key=_slot_of) if fillers else inorder)
        finally:
            for filler in fillers:
                self.keep(filler.slot, filler.position)
        return [self._row(place) for chunk in chunks for place in places.get(chunk.slot, ())]

    def _fillers(self, chunks: list[Chunk]) -> list[Chunk]:
        """A token for each lone slot that stands idle between busy ones, forgotten afterwards: cheaper than the second
        run through the weights that its absence costs."""
        if self.grid == NEVER:
            return []
        fillers = []
        for one, other in pairwise(chunks):
            if other.slot - one.slot == _GAP + 1 and len(one.tokens) == len(other.tokens) == 1:
                slot = one.slot + 1
                position = lib.llama_memory_seq_pos_max(self._opened.memory, slot) + 1
                if position < self.info.n_ctx:
                    fillers.append(Chunk(slot, position, one.tokens, "none"))
        return fillers

    def _run(self, chunks: list[Chunk]) -> dict[int, list[int]]:
        """Decode a batch; the places of the rows that are wanted, by slot."""
        batch, end = self._batch, 0
        places: dict[int, list[int]] = {}
        for chunk in chunks:
            start, end = end, end + len(chunk.tokens)
            if end > self._size:
                raise EngineError(f"a batch holds at most {self._size} tokens")
            if chunk.position + len(chunk.tokens) > self.info.n_ctx:
                raise EngineError("the context is full")
            self._fill(chunk, start, end)
            if chunk.rows == "all":
                places[chunk.slot] = list(range(start, end))
            elif chunk.rows == "last":
                places[chunk.slot] = [end - 1]
        if sum(map(len, places.values())) > self.max_rows:
            raise EngineError(f"a batch gives at most {self.max_rows} rows")
        batch.native.n_tokens = end
        result = lib.llama_decode(self._context, batch.native)
        if result == ABORTED:
            raise Aborted("aborted")
        if result != 0:
            raise EngineError(_REASONS.get(result, f"llama_decode returned {result}"))
        return places

    def _fill(self, chunk: Chunk, start: int, end: int) -> None:
        """Write a chunk into the batch's arrays."""
        batch = self._batch
        if end - start == 1:
            batch.tokens[start] = chunk.tokens[0]
            batch.positions[start] = chunk.position
            batch.sequences[start] = batch.slot_addresses[chunk.slot]
            batch.wanted[start] = chunk.rows != "none"
            return
        batch.tokens[start:end] = chunk.tokens
        batch.positions[start:end] = np.arange(chunk.position, chunk.position + end - start)
        batch.sequences[start:end] = batch.slot_addresses[chunk.slot]
        batch.wanted[start:end] = chunk.rows == "all"
        if chunk.rows == "last":
            batch.wanted[end - 1] = 1

    def _row(self, place: int) -> Row:
        pointer = lib.llama_get_logits_ith(self._context, place)
        if not pointer:
            raise EngineError(f"there are no logits for place {place}")
        address = ctypes.addressof(pointer.contents)
        row: Row = np.ndarray((self.info.n_vocab,), np.float32, self._row_type.from_address(address))  # type: ignore[arg-type]
        return row

    # Sequences

    def keep(self, slot: int, length: int) -> None:
        lib.llama_memory_seq_rm(self._opened.memory, slot, length, -1)

    def copy(self, source: int, target: int, length: int) -> None:
        # Only a whole sequence may be copied between streams; a partial copy aborts the process.
        lib.llama_memory_seq_rm(self._opened.memory, target, -1, -1)
        lib.llama_memory_seq_cp(self._opened.memory, source, target, -1, -1)
        self.keep(target, length)

    def save(self, slot: int) -> bytes:
        size = lib.llama_state_seq_get_size(self._context, slot)
        buffer = (ctypes.c_uint8 * size)()
        written = lib.llama_state_seq_get_data(self._context, buffer, size, slot)
        return bytes(memoryview(buffer)[:written])

    def restore(self, slot: int, state: bytes) -> None:
        self.keep(slot, 0)
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if lib.llama_state_seq_set_data(self._context, buffer, len(state), slot) == 0:
            self.keep(slot, 0)
            raise EngineError("the saved conversation does not fit this context")

    def set_adapters(self, scales: Mapping[str, float]) -> None:
        known = self._opened.adapters
        if missing := scales.keys() - known.keys():
            raise BadValue(f"The LoRA {sorted(missing)[0]} was not loaded with the model.", param="loras")
        self._opened.scales.update(scales)
        active = [(known[path], scale) for path, scale in self._opened.scales.items() if scale != 0]
        if not known:
            return
        handles = (lib.llama_adapter_lora_p_ctypes * len(active))(*(handle for handle, _ in active))
        numbers = (ctypes.c_float * len(active))(*(scale for _, scale in active))
        lib.llama_set_adapters_lora(self._context, handles, len(active), numbers)

    def embedder(self, n_ctx: int) -> LlamaCppEmbedder:
        return LlamaCppEmbedder(self._opened, n_ctx, self._abort)

    def close(self) -> None:
        lib.llama_free(self._context)
        lib.llama_model_free(self._opened.model)


def open_llamacpp(spec: LoadSpec, progress: Progress, abort: AbortFlag) -> LlamaCpp:
    return LlamaCpp(open_model(spec, check_spec(spec), progress, abort), spec.n_batch, abort)
