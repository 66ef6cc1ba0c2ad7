"""LoRA files: scales can be changed without a reload, and 0 gives the plain model back, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.adapters import write_lora
from tests.worker.harness import text_of, worker
from webui.engines.base import AbortFlag, Chunk
from webui.engines.llamacpp import open_llamacpp
from webui.errors import BadValue, LoadFailed
from webui.types import LoadSpec

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def lora(tmp_path_factory) -> Path:
    """A small random adapter for the starter model."""
    return write_lora(tmp_path_factory.mktemp("lora") / "random.gguf", seed=1)


def test_scales_change_what_the_model_says(starter_path, lora):
    options = {"loras": [{"path": str(lora), "scale": 0.5}]}
    plain = open_llamacpp(LoadSpec(str(starter_path), n_ctx=256, slots=1), lambda done: True, AbortFlag())
    adapted = open_llamacpp(
        LoadSpec(str(starter_path), n_ctx=256, slots=1, options=options), lambda done: True, AbortFlag()
    )
    tokens = plain.tokenize("The sea is wide and", add_bos=False, special=False)

    def row(engine):
        engine.keep(0, 0)
        return engine.decode([Chunk(0, 0, tokens, prompt=True)])[0].copy()

    half = row(adapted)
    adapted.set_adapters({str(lora): 1.0})
    whole = row(adapted)
    adapted.set_adapters({str(lora): 0.0})
    none = row(adapted)
    assert not np.array_equal(half, whole) and not np.array_equal(half, none)
    np.testing.assert_array_equal(none, row(plain))
    with pytest.raises(BadValue):
        adapted.set_adapters({"another.gguf": 1.0})
    plain.close()
    adapted.close()


def test_a_worker_forgets_what_it_read_with_other_scales(starter_path, lora):
    with worker() as w:
        w.load(path=str(starter_path), engine="llamacpp", n_ctx=256, slots=1)
        plain = text_of(w.generate("The sea is wide and", max_tokens=8))
    with worker() as w:
        loras = [{"path": str(lora), "scale": 1.0}]
        w.load(path=str(starter_path), engine="llamacpp", n_ctx=256, slots=1, options={"loras": loras})
        adapted = w.generate("The sea is wide and", max_tokens=8)
        reply, _ = w.ask("adapters", scales={str(lora): 0})
        assert "error" not in reply
        again = w.generate("The sea is wide and", max_tokens=8)
        assert again[-1]["cached_tokens"] == 0
        assert text_of(again) == plain
        assert text_of(adapted) != plain
        assert w.ask("adapters", scales={"nowhere": 1})[0]["error"]["param"] == "loras"


def test_a_file_that_is_no_lora_is_refused(starter_path):
    options = {"loras": [{"path": str(starter_path)}]}
    with pytest.raises(LoadFailed, match="LoRA"):
        open_llamacpp(LoadSpec(str(starter_path), n_ctx=256, slots=1, options=options), lambda d: True, AbortFlag())
    with pytest.raises(LoadFailed, match="no LoRA file"):
        options = {"loras": [{"path": "missing.gguf"}]}
        open_llamacpp(LoadSpec(str(starter_path), n_ctx=256, slots=1, options=options), lambda d: True, AbortFlag())
