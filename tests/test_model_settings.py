"""Settings of each model survive restarts and damage, and become the spec it is loaded with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from webui.errors import BadValue
from webui.hub.library import ModelEntry
from webui.model_settings import Kept, ModelSettings
from webui.preferences import Preferences
from webui.settings import Settings
from webui.types import ModelInfo

ENTRY = ModelEntry("m", Path("m.gguf"), "gguf", 1, (Path("m.gguf"),), 0.0)


def opened(folder: Path, **flags: Any) -> tuple[ModelSettings, Preferences]:
    settings = replace(Settings(), data_dir=folder, **flags)
    preferences = Preferences(folder / "settings.json")
    return ModelSettings(folder / "models.json", settings, preferences), preferences


def test_flags_then_general_then_its_own(tmp_path: Path) -> None:
    kept, preferences = opened(tmp_path, n_ctx=1000, n_gpu_layers=3, threads=5, parallel=2)
    spec = kept.spec(ENTRY)
    assert (spec.n_ctx, spec.n_gpu_layers, spec.threads, spec.slots) == (1000, 3, 5, 2)
    preferences.set(n_ctx=2000, n_gpu_layers=0)
    assert (kept.spec(ENTRY).n_ctx, kept.spec(ENTRY).n_gpu_layers) == (2000, 0)
    kept.keep("m", n_ctx=3000, threads=1, options={"kv_type": "q8_0"})
    spec = kept.spec(ENTRY)
    assert (spec.n_ctx, spec.n_gpu_layers, spec.threads, spec.slots) == (3000, 0, 1, 2)
    assert spec.options == {"kv_type": "q8_0"}
    assert kept.spec(replace(ENTRY, name="other")).n_ctx == 2000
    kept.keep("m", n_ctx=None)
    assert (kept.spec(ENTRY).n_ctx, kept.of("m").threads) == (2000, 1)
    kept.forget("m")
    assert kept.of("m") == Kept()


def test_it_survives_a_restart_in_the_order_of_marking(tmp_path: Path) -> None:
    kept, _ = opened(tmp_path)
    kept.keep("a", preset="Creative", template="chatml", idle_minutes=0)
    kept.keep("b", load_at_start=True)
    kept.keep("a", load_at_start=True)
    again, _ = opened(tmp_path, idle_unload=7)
    assert again.at_start() == ("b", "a")
    assert again.of("a") == Kept(preset="Creative", template="chatml", idle_minutes=0, load_at_start=True)
    assert (again.idle_minutes("a"), again.idle_minutes("b")) == (0, 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_ctx", 10), ("n_batch", True), ("threads", -1), ("idle_minutes", 1.5), ("load_at_start", 1), ("preset", 3),
     ("options", {"nonsense": 1}), ("options", {"kv_type": "q2"}), ("colour", "red")],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_changes_nothing(tmp_path: Path, name: str, value: Any) -> None:
    kept, _ = opened(tmp_path)
    with pytest.raises(BadValue):
        kept.keep("m", **{name: value})
    assert kept.of("m") == Kept() and not (tmp_path / "models.json").exists()


def test_a_damaged_file_is_set_aside_and_a_bad_value_named(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text("{", encoding="utf-8")
    kept, _ = opened(tmp_path)
    assert kept.set_aside is not None and kept.set_aside.read_text(encoding="utf-8") == "{"
    content = {"version": 1, "m": {"n_ctx": 9, "threads": 2}, "x": []}
    file.write_text(json.dumps(content), encoding="utf-8")
    kept, _ = opened(tmp_path)
    assert kept.ignored == ("m: n_ctx", "x") and kept.of("m") == Kept(threads=2)


def test_a_kept_template_stands_in_the_loaded_models_place(tmp_path: Path) -> None:
    kept, _ = opened(tmp_path)
    info = ModelInfo("m", "m.gguf", "fake", "fake", 300, 64, 64, 1, chat_template="own")
    assert kept.dressed(info).chat_template == "own"
    kept.keep("m", template="chatml")
    assert "<|im_start|>" in str(kept.dressed(info).chat_template)
    kept.keep("m", template="there is none")
    assert kept.dressed(info).chat_template == "own"
