"""Opening a GGUF file with llama.cpp: parameters, progress, cancel, adapters, how many slots fit, what is told of it.

Knows nothing of decoding; `llamacpp.py` does that with what is opened here.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from llama_cpp import llama_cpp as lib

from webui.engines.base import ANYWHERE, NEVER, AbortFlag, Progress
from webui.engines.threads import physical_cores
from webui.errors import LoadCancelled, LoadFailed
from webui.load_options import maps_weights
from webui.types import LoadSpec, ModelInfo

AUTO_SLOTS = 4
MAX_ROWS = 32
ABORTED = 2
"""What llama_decode returns when the abort flag was set."""
_GGML_TYPES = {"f16": 1, "q4_0": 2, "q8_0": 8}
_KV_BYTES = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
_FLASH = {
    "auto": lib.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": lib.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": lib.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
_SPLIT = {"none": 0, "layer": 1, "row": 2}
_CHUNK_CPU, _CHUNK_GPU = 128, 256
_NEVER_REPACKED = frozenset({0, 1, 3, 8, 9, 32})
"""llama_ftype of F32, F16, Q4_1, Q5_0, Q5_1, BF16."""
_SCORES_LIMIT = 192 << 20
_LOG_WARNING = 3
_LOG_CONTINUED = 5


@dataclass(slots=True)
class Opened:
    """The native handles and everything that must live as long as they do."""

    model: Any
    vocab: Any
    context: Any
    memory: Any
    info: ModelInfo
    chunk: int
    grid: int
    adapters: dict[str, Any]
    scales: dict[str, float]
    keep: tuple[Any, ...]
    fills_cores: bool


@functools.cache
def _log_callback(verbose: bool) -> Any:
    """llama.cpp's words go to stderr: all of them, or only warnings and errors. Cached, because llama.cpp keeps calling
    the function for as long as the process lives."""
    last = [0]

    def log(level: int, text: bytes, _: Any) -> None:
        if level != _LOG_CONTINUED:
            last[0] = level
        if verbose or last[0] >= _LOG_WARNING:
            sys.stderr.write(text.decode("utf-8", "replace"))
            sys.stderr.flush()

    return lib.llama_log_callback(log)


def open_model(spec: LoadSpec, options: Mapping[str, Any], progress: Progress, abort: AbortFlag) -> Opened:
    path = Path(spec.path)
    if not path.is_file():
        raise LoadFailed(f"There is no file {path.name}; choose another model.")
    for lora, _ in options["loras"]:
        if not Path(lora).is_file():
            raise LoadFailed(f"There is no LoRA file {Path(lora).name}; take it out of the list or correct the path.")
    start = time.monotonic()
    free = psutil.virtual_memory().available
    mapped = maps_weights(options["mmap"], _file_bytes(path), free, cpu_only=cpu_only(spec))
    options = {**options, "mmap": mapped}
    chunk = min(spec.n_batch, _CHUNK_CPU if cpu_only(spec) else _CHUNK_GPU)
    lib.llama_log_set(_log_callback(options["verbose"]), ctypes.c_void_p(0))
    lib.llama_backend_init()
    model, keep = _load_weights(path, spec, options, progress)
    vocab = lib.llama_model_get_vocab(model)
    _check_kind(model, vocab, path.name)
    n_ctx = spec.n_ctx or _context_of_its_own(model, options)
    flash = _flash_attention(model, spec, options, n_ctx)
    context, slots = _context_that_fits(model, spec, options, n_ctx, flash)
    listen_for_abort(context, abort)
    n_ctx = lib.llama_n_ctx_seq(context)
    adapters = {lora: _load_adapter(model, lora) for lora, _ in options["loras"]}
    return Opened(
        model,
        vocab,
        context,
        lib.llama_get_memory(context),
        _describe(model, vocab, spec, n_ctx, slots, time.monotonic() - start),
        chunk,
        _grid(model, spec, options, flash, chunk),
        adapters,
        dict(options["loras"]),
        keep,
        fills_cores=cpu_only(spec) and (spec.threads or physical_cores()) >= physical_cores(),
    )


def _file_bytes(path: Path) -> int:
    """Of all parts, if it is in parts."""
    stem, _, count = path.name.partition("-00001-of-")
    parts = [one for one in path.parent.iterdir() if one.name.startswith(f"{stem}-") and one.name.endswith(count)]
    return sum(one.stat().st_size for one in (parts if count else [path]))


def _check_kind(model: Any, vocab: Any, name: str) -> None:
    """Refuse what cannot continue a text: embedding, encoder and diffusion models, files without a vocabulary."""
    reason = ""
    if lib.llama_vocab_type(vocab) == 0:
        reason = "has no vocabulary"
    elif lib.llama_model_has_encoder(model):
        reason = "is an encoder model"
    elif not lib.llama_model_has_decoder(model):
        reason = "only makes embeddings"
    elif lib.llama_model_is_diffusion(model):
        reason = "is a diffusion model"
    if reason:
        lib.llama_model_free(model)
        raise LoadFailed(f"{name} {reason}; choose a model that continues text.")


def _context_of_its_own(model: Any, options: Mapping[str, Any]) -> int:
    """As much context as the model was trained for, if half of the free memory holds it."""
    one = max(1.0, kv_bytes_per_token(model, options["kv_type"]))
    fits = int(psutil.virtual_memory().available * 0.5 / one) // 256 * 256
    return max(512, min(lib.llama_model_n_ctx_train(model) or 4096, fits))


def _grid(model: Any, spec: LoadSpec, options: Mapping[str, Any], flash: str, chunk: int) -> int:
    """Where prompts may be cut: see Engine.grid."""
    if lib.llama_model_is_recurrent(model) or lib.llama_model_is_hybrid(model):
        return NEVER
    return ANYWHERE if flash == "off" and cpu_only(spec) and _plain_weights(model, options) else chunk


def _load_weights(
    path: Path, spec: LoadSpec, options: Mapping[str, Any], progress: Progress
) -> tuple[Any, tuple[Any, ...]]:
    params = lib.llama_model_default_params()
    params.n_gpu_layers = spec.n_gpu_layers if spec.n_gpu_layers >= 0 else 9999
    params.split_mode = _SPLIT[options["split_mode"]]
    params.main_gpu = options["main_gpu"]
    params.use_extra_bufts = _extra_buffers(options)
    modes = {
        (True, False): lib.LLAMA_LOAD_MODE_MMAP,
        (True, True): lib.LLAMA_LOAD_MODE_MMAP_MLOCK,
        (False, True): lib.LLAMA_LOAD_MODE_MLOCK,
        (False, False): lib.LLAMA_LOAD_MODE_NONE,
    }
    params.load_mode = modes[options["mmap"], options["mlock"]]
    shares = None
    if options["tensor_split"]:
        shares = (ctypes.c_float * lib.llama_max_devices())(*options["tensor_split"][: lib.llama_max_devices()])
        params.tensor_split = shares
    cancelled = False

    def report(done: float, _: Any) -> bool:
        nonlocal cancelled
        cancelled = not progress(done)
        return not cancelled

    callback = lib.llama_progress_callback(report)
    params.progress_callback = callback
    model = lib.llama_model_load_from_file(os.fsencode(path), params)
    if cancelled:
        if model:
            lib.llama_model_free(model)
        raise LoadCancelled("Loading was cancelled.")
    if not model:
        raise LoadFailed(f"llama.cpp cannot load {path.name}; its last words are in the log.")
    return model, (callback, shares)


def kv_bytes_per_token(model: Any, kv_type: str) -> float:
    """Memory that one token of context takes, over all layers."""
    layers, heads = lib.llama_model_n_layer(model), lib.llama_model_n_head_kv(model)
    size = lib.llama_model_n_embd(model) / max(1, lib.llama_model_n_head(model))
    architecture = meta(model, "general.architecture")
    key = float(meta(model, f"{architecture}.attention.key_length") or size)
    value = float(meta(model, f"{architecture}.attention.value_length") or size)
    return float(layers * heads * (key + value) * _KV_BYTES[kv_type])


def cpu_only(spec: LoadSpec) -> bool:
    return spec.n_gpu_layers == 0 or not lib.llama_supports_gpu_offload()


def _extra_buffers(options: Mapping[str, Any]) -> bool:
    """Repacked weights make some types faster. With AMX they are off unless asked for: llama.cpp trusts what the
    processor says of itself, and in many virtual machines the first AMX instruction kills the process."""
    if options["extra_buffers"] != "auto":
        return bool(options["extra_buffers"] == "on")
    return b"AMX" not in (lib.llama_print_system_info() or b"")


def _plain_weights(model: Any, options: Mapping[str, Any]) -> bool:
    """Whether weights are multiplied as they stand in the file: repacked ones give other numbers for other widths."""
    return not _extra_buffers(options) or lib.llama_model_ftype(model) in _NEVER_REPACKED


def _flash_attention(model: Any, spec: LoadSpec, options: Mapping[str, Any], n_ctx: int) -> str:
    """Without a GPU plain attention is up to twice as fast on long texts and lets a prompt be cut anywhere without
    changing a bit; it is left only where its buffer (scores of every head over the whole context) grows too large, and
    for quantised values, which need flash attention."""
    if options["flash_attention"] != "auto" or not cpu_only(spec):
        return str(options["flash_attention"])
    scores = 4 * _ubatch(spec, options) * n_ctx * lib.llama_model_n_head(model)
    return "off" if options["kv_type"] == "f16" and scores <= _SCORES_LIMIT else "on"


def _slots_that_fit(model: Any, n_ctx: int, options: Mapping[str, Any]) -> int:
    """As many conversations, up to four, as fit into free memory beside the weights; half of it is left to others."""
    one = kv_bytes_per_token(model, options["kv_type"]) * n_ctx
    free = psutil.virtual_memory().available
    if options["mmap"] and not lib.llama_supports_gpu_offload():
        free -= lib.llama_model_size(model)
    return max(1, min(AUTO_SLOTS, int(free * 0.5 / max(1.0, one))))


def _ubatch(spec: LoadSpec, options: Mapping[str, Any]) -> int:
    return min(options["ubatch"] or (_CHUNK_CPU if cpu_only(spec) else 512), spec.n_batch)


def _context_that_fits(
    model: Any, spec: LoadSpec, options: Mapping[str, Any], n_ctx: int, flash: str
) -> tuple[Any, int]:
    """A context with the slots that were asked for, or as many of up to four as there is memory for."""
    slots = spec.slots or _slots_that_fit(model, n_ctx, options)
    while True:
        try:
            return _make_context(model, spec, options, n_ctx, slots, flash), slots
        except LoadFailed:
            if spec.slots or slots == 1:
                raise
            slots //= 2


def _make_context(model: Any, spec: LoadSpec, options: Mapping[str, Any], n_ctx: int, slots: int, flash: str) -> Any:
    one = kv_bytes_per_token(model, options["kv_type"])
    free = psutil.virtual_memory().available
    if one * n_ctx * slots > free * 0.95 and cpu_only(spec):
        fits = max(64, int(free * 0.8 / one / slots) // 256 * 256)
        raise LoadFailed(
            f"A context of {n_ctx} tokens for {slots} conversations needs {one * n_ctx * slots / 2**30:.1f} GiB and "
            f"{free / 2**30:.1f} GiB are free; {fits} tokens would fit.",
            param="n_ctx",
            values={"n_ctx": n_ctx, "slots": slots, "fits": fits},
        )
    params = lib.llama_context_default_params()
    params.n_ctx = n_ctx * slots
    params.n_seq_max = slots
    params.n_batch = spec.n_batch
    params.n_ubatch = _ubatch(spec, options)
    params.n_outputs_max = max(MAX_ROWS, slots)
    params.n_threads = spec.threads or physical_cores()
    params.n_threads_batch = options["threads_batch"] or params.n_threads
    params.flash_attn_type = _FLASH[flash]
    params.type_k = params.type_v = _GGML_TYPES[options["kv_type"]]
    params.offload_kqv = options["offload_kv"]
    params.rope_freq_base, params.rope_freq_scale = options["rope_base"], options["rope_scale"]
    params.kv_unified = False
    params.swa_full = True
    params.no_perf = True
    context = lib.llama_init_from_model(model, params)
    if not context:
        raise LoadFailed(
            f"llama.cpp cannot make a context of {n_ctx} tokens for {slots} conversations; choose a smaller one.",
            param="n_ctx",
        )
    return context


def listen_for_abort(context: Any, abort: AbortFlag) -> None:
    # strlen over the flag's two bytes is 0 or 1: a native callback, so that asking never waits for Python's lock.
    strlen = ctypes.cast(ctypes.CDLL(None if os.name != "nt" else "msvcrt").strlen, ctypes.c_void_p)
    native = ctypes.cast(strlen, lib.ggml_abort_callback)
    lib.llama_set_abort_callback(context, native, ctypes.c_void_p(abort.address))


def _load_adapter(model: Any, path: str) -> Any:
    adapter = lib.llama_adapter_lora_init(model, os.fsencode(path))
    if not adapter:
        raise LoadFailed(f"{Path(path).name} is not a LoRA that fits this model.")
    return adapter


def meta(model: Any, key: str) -> str | None:
    """One value of the file's header as text."""
    size = lib.llama_model_meta_val_str(model, key.encode(), None, 0)
    if size < 0:
        return None
    buffer = ctypes.create_string_buffer(size + 1)
    lib.llama_model_meta_val_str(model, key.encode(), buffer, size + 1)
    return buffer.value.decode("utf-8", "replace")


def _infill(vocab: Any) -> dict[str, int]:
    """The tokens by which the model was taught to fill in, by their role; those it has."""
    found = {
        "prefix": lib.llama_vocab_fim_pre(vocab),
        "suffix": lib.llama_vocab_fim_suf(vocab),
        "middle": lib.llama_vocab_fim_mid(vocab),
        "project": lib.llama_vocab_fim_rep(vocab),
        "file": lib.llama_vocab_fim_sep(vocab),
    }
    return {role: token for role, token in found.items() if token >= 0}


def _describe(model: Any, vocab: Any, spec: LoadSpec, n_ctx: int, slots: int, seconds: float) -> ModelInfo:
    n_vocab, n_layers = lib.llama_vocab_n_tokens(vocab), lib.llama_model_n_layer(model)
    bos, eos = lib.llama_vocab_bos(vocab), lib.llama_vocab_eos(vocab)
    template = lib.llama_model_chat_template(model, None)
    gpu = lib.llama_supports_gpu_offload()
    wanted = spec.n_gpu_layers if spec.n_gpu_layers >= 0 else n_layers + 1

    def text(token: int) -> str:
        found = lib.llama_vocab_get_text(vocab, token) if token >= 0 else None
        return found.decode("utf-8", "replace") if found else ""

    return ModelInfo(
        name=spec.name or Path(spec.path).stem,
        path=spec.path,
        engine="llamacpp",
        architecture=meta(model, "general.architecture") or "",
        n_vocab=n_vocab,
        n_ctx=n_ctx,
        n_ctx_train=lib.llama_model_n_ctx_train(model),
        slots=slots,
        size_bytes=lib.llama_model_size(model),
        n_params=lib.llama_model_n_params(model),
        n_gpu_layers=min(wanted, n_layers + 1) if gpu else 0,
        n_layers=n_layers,
        chat_template=template.decode("utf-8", "replace") if template else None,
        bos_token=text(bos),
        eos_token=text(eos),
        bos_id=bos,
        eos_id=eos,
        end_ids=tuple(token for token in range(n_vocab) if lib.llama_vocab_is_eog(vocab, token)),
        add_bos=bool(lib.llama_vocab_get_add_bos(vocab)),
        load_seconds=seconds,
        system_info=(lib.llama_print_system_info() or b"").decode("utf-8", "replace").strip(),
        extra={
            "description": meta(model, "general.name") or "",
            "sliding_window": lib.llama_model_n_swa(model),
            "threads": spec.threads or physical_cores(),
            "infill": _infill(vocab),
        },
    )
