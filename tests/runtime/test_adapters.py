"""LoRA scales of a loaded model: changed without a load, kept for the worker that follows a crash or a sleep."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from webui.errors import BadValue
from webui.runtime.models import Models
from webui.tabs.logits_looks import model_key
from webui.types import LoadSpec

LORA = {"path": "small.gguf", "scale": 1.0}
SPEC = LoadSpec("scripted", engine="fake", name="Scripted", options={"loras": [LORA]})


def scale_of(models: Models) -> Any:
    spec = models.status().spec
    assert spec is not None
    return spec.options["loras"][0]["scale"]


def told_of(models: Models) -> Any:
    """The scale an answer would name."""
    info = models.status().info
    assert info is not None
    return info.extra["loras"][0]["scale"]


async def test_new_scales_reach_the_worker_and_outlive_a_crash_and_a_sleep() -> None:
    models = Models()
    try:
        info = await models.load(SPEC)
        assert info.extra["loras"] == [{"name": "small.gguf", "scale": 1.0}]
        pid = models.pid
        changing = asyncio.ensure_future(models.set_adapters({"small.gguf": 0.25}))
        await asyncio.sleep(0)
        assert told_of(models) == 0.25, "what is asked from now on is answered with it"
        await changing
        assert (models.pid, scale_of(models)) == (pid, 0.25), "no load"
        told = models.status().info
        assert told is not None and model_key(told) != model_key(info), "rows read with other scales are others"
        os.kill(pid, signal.SIGKILL)
        while models.pid in (0, pid) or models.status().stage != "ready":
            await asyncio.sleep(0.02)
        assert scale_of(models) == told_of(models) == 0.25
        assert await models.sleep()
        await models.set_adapters({"small.gguf": 0.5})
        assert models.status().code == "model_asleep"
        assert await models.tokenize("wake up")
        assert scale_of(models) == 0.5
        for bad in (11.0, float("nan")):
            with pytest.raises(BadValue):
                await models.set_adapters({"small.gguf": bad})
        assert scale_of(models) == told_of(models) == 0.5
    finally:
        await models.close()


def test_a_scale_of_a_file_that_is_not_named_changes_nothing() -> None:
    from webui.load_options import rescaled

    spec = replace(SPEC, engine="llamacpp")
    assert rescaled(spec, {"other.gguf": 2.0}) == spec
    assert rescaled(spec, {"small.gguf": -1}).options["loras"] == [{"path": "small.gguf", "scale": -1}]
    with pytest.raises(BadValue):
        rescaled(spec, {"small.gguf": 11.0})
