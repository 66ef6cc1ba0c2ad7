"""Vectors of texts, from a small llama.cpp context of their own beside the one that generates; the weights are shared.

Every token's last hidden state is taken as it is; what is made of them (their mean, the last one) is others' business.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import psutil
from llama_cpp import llama_cpp as lib
from numpy.typing import NDArray

from webui.engines.base import Aborted, AbortFlag, EngineError, Pooling
from webui.engines.llamacpp_open import ABORTED, Opened, kv_bytes_per_token, listen_for_abort, meta
from webui.errors import Overloaded, WebUIError

_POOLINGS: Mapping[str, Pooling] = {"1": "mean", "2": "first", "3": "last"}
"""llama.cpp's pooling types in a file's header. Without one the mean is taken, as for every model made to generate."""
_RANK = "4"
_CHUNK = 128
_LEAST_CHUNK = 16
_LOGITS_LIMIT = 64 << 20
"""llama.cpp makes the logits as well, whether they are wanted or not: chunks get shorter as vocabularies get larger."""


class LlamaCppEmbedder:
    def __init__(self, opened: Opened, n_ctx: int, abort: AbortFlag) -> None:
        self.n_ctx = n_ctx
        self._model = opened.model
        self.size = lib.llama_model_n_embd(opened.model)
        architecture = meta(opened.model, "general.architecture") or ""
        kind = meta(opened.model, f"{architecture}.pooling_type") or ""
        if kind == _RANK:
            raise WebUIError(
                "The loaded model ranks texts and makes no embeddings: load another.", code="embeddings_not_supported"
            )
        self.pooling: Pooling = _POOLINGS.get(kind, "mean")
        # A model that looks ahead has to see the whole text at once.
        causal = meta(opened.model, f"{architecture}.attention.causal") != "false"
        fits = max(_LEAST_CHUNK, min(_CHUNK, _LOGITS_LIMIT // (4 * opened.info.n_vocab)))
        self.chunk = min(fits, n_ctx) if causal else n_ctx
        self._context = _make_context(opened, n_ctx, self.chunk)
        listen_for_abort(self._context, abort)
        self._batch = lib.llama_batch_init(self.chunk, 0, 1)
        for place in range(self.chunk):
            self._batch.n_seq_id[place] = 1
            self._batch.seq_id[place][0] = 0
            self._batch.logits[place] = 1

    def read(self, tokens: Sequence[int], position: int) -> NDArray[np.float32]:
        if position + len(tokens) > self.n_ctx or len(tokens) > self.chunk:
            raise EngineError("the text does not fit")
        if position == 0:
            lib.llama_memory_clear(lib.llama_get_memory(self._context), False)
        self._batch.n_tokens = len(tokens)
        for place, token in enumerate(tokens):
            self._batch.token[place] = token
            self._batch.pos[place] = position + place
        result = lib.llama_decode(self._context, self._batch)
        if result == ABORTED:
            raise Aborted("aborted")
        if result != 0:
            raise EngineError(f"llama_decode returned {result}")
        return np.stack([self._row(place) for place in range(len(tokens))])

    def _row(self, place: int) -> NDArray[np.float32]:
        pointer = lib.llama_get_embeddings_ith(self._context, place)
        if not pointer:
            raise EngineError(f"there is no vector for place {place}")
        row: NDArray[np.float32] = np.ctypeslib.as_array(pointer, (self.size,))
        return row

    def close(self) -> None:
        lib.llama_batch_free(self._batch)
        lib.llama_free(self._context)


def _make_context(opened: Opened, n_ctx: int, chunk: int) -> Any:
    needed = kv_bytes_per_token(opened.model, "f16") * n_ctx
    if needed > psutil.virtual_memory().available * 0.8:
        raise Overloaded(f"There is no memory left for the embedding of {n_ctx} tokens: send shorter texts.")
    params = lib.llama_context_default_params()
    params.n_ctx = n_ctx
    params.n_seq_max = 1
    params.n_batch = params.n_ubatch = params.n_outputs_max = chunk
    params.n_threads = params.n_threads_batch = int(opened.info.extra["threads"])
    params.embeddings = True
    params.pooling_type = lib.LLAMA_POOLING_TYPE_NONE
    params.swa_full = True
    params.no_perf = True
    context = lib.llama_init_from_model(opened.model, params)
    if not context:
        raise Overloaded("llama.cpp cannot make a context for embeddings now: free some memory, or send shorter texts.")
    active = [(opened.adapters[path], scale) for path, scale in opened.scales.items() if scale != 0]
    if active:
        handles = (lib.llama_adapter_lora_p_ctypes * len(active))(*(handle for handle, _ in active))
        numbers = (ctypes.c_float * len(active))(*(scale for _, scale in active))
        lib.llama_set_adapters_lora(context, handles, len(active), numbers)
    return context
