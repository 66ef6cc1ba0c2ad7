"""Every load option reaches llama.cpp: what its two parameter structs hold, and what the process then shows."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from llama_cpp import llama_cpp as lib

from webui.engines import llamacpp_open
from webui.engines.base import AbortFlag
from webui.engines.llamacpp import LlamaCpp, open_llamacpp
from webui.types import LoadSpec

pytestmark = pytest.mark.model


class Params:
    """The structs of the last load."""

    def __init__(self) -> None:
        self.model: Any = None
        self.context: Any = None
        self.shares: list[float] = []


@pytest.fixture
def params(monkeypatch: pytest.MonkeyPatch) -> Iterator[Params]:
    seen = Params()
    load, make = lib.llama_model_load_from_file, lib.llama_init_from_model

    def loading(path: bytes, given: Any) -> Any:
        seen.model = given
        seen.shares = list(given.tensor_split[:3]) if given.tensor_split else []
        return load(path, given)

    def making(model: Any, given: Any) -> Any:
        seen.context = given
        return make(model, given)

    monkeypatch.setattr(lib, "llama_model_load_from_file", loading)
    monkeypatch.setattr(lib, "llama_init_from_model", making)
    yield seen


def opened(path: Path, options: Mapping[str, Any], **spec: Any) -> LlamaCpp:
    values = {"n_ctx": 512, "slots": 2, **spec}
    return open_llamacpp(LoadSpec(str(path), options=options, **values), lambda done: True, AbortFlag())


def test_everything_at_once(starter_path: Path, params: Params) -> None:
    options = {
        "ubatch": 64,
        "threads_batch": 3,
        "kv_type": "q8_0",
        "flash_attention": "on",
        "extra_buffers": "off",
        "mmap": "off",
        "offload_kv": False,
        "main_gpu": 0,
        "tensor_split": [3, 1],
        "split_mode": "row",
        "rope_base": 26_900.0,
        "rope_scale": 0.5,
    }
    engine = opened(starter_path, options, n_gpu_layers=7, threads=1, n_batch=256)
    model, context = params.model, params.context
    assert (model.n_gpu_layers, model.main_gpu, model.split_mode) == (7, 0, lib.LLAMA_SPLIT_MODE_ROW)
    assert params.shares == [3, 1, 0]
    assert model.load_mode == lib.LLAMA_LOAD_MODE_NONE and not model.use_extra_bufts
    assert (context.n_ctx, context.n_seq_max, context.n_batch, context.n_ubatch) == (1024, 2, 256, 64)
    assert (context.n_threads, context.n_threads_batch) == (1, 3)
    assert (context.type_k, context.type_v) == (lib.GGML_TYPE_Q8_0, lib.GGML_TYPE_Q8_0)
    assert context.flash_attn_type == lib.LLAMA_FLASH_ATTN_TYPE_ENABLED and not context.offload_kqv
    assert (context.rope_freq_base, context.rope_freq_scale) == (ctypes.c_float(26_900.0).value, 0.5)
    assert not context.kv_unified
    engine.close()


@pytest.mark.parametrize(("mmap", "mlock"), [("on", False), ("on", True), ("off", True), ("off", False)])
def test_where_the_weights_lie(starter_path: Path, mmap: str, mlock: bool) -> None:
    engine = opened(starter_path, {"mmap": mmap, "mlock": mlock})
    maps = Path("/proc/self/maps").read_text()
    locked = next(
        int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmLck" in line
    )
    engine.close()
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    allowed = os.geteuid() == 0 or limit == resource.RLIM_INFINITY or limit > 200 << 20
    assert (starter_path.name in maps) == (mmap == "on")
    assert (locked > 50_000) == (mlock and allowed), "in kB; the file has 90 MB"


@pytest.mark.parametrize(("free", "slots"), [(64 << 30, 4), (370 << 20, 3), (200 << 20, 1)])
def test_as_many_conversations_as_fit_beside_the_weights(
    starter_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, slots: int
) -> None:
    """One of 2 048 tokens takes 45 MB, the weights 92 MB; half of what is left is others'."""
    with monkeypatch.context() as patch:
        patch.setattr(llamacpp_open.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
        engine = opened(starter_path, {"mmap": "on"}, n_ctx=2048, slots=0)
    assert engine.info.slots == slots
    engine.close()
