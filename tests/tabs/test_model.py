"""What the Model tab's server says: the form, the estimate in words, RoPE's fields, files that come in pieces."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from webui.errors import BadValue, LoadFailed
from webui.hub.facts import ModelFacts
from webui.hub.library import Library, ModelEntry
from webui.hub.machine import Gpu, Machine
from webui.hub.memory import estimate, plan_of, verdict
from webui.hub.reasons import BadModelFile
from webui.hub.shape import shape_of_files
from webui.load_options import OPTIONS
from webui.tabs import model_rope
from webui.tabs.model_fit import Fitter
from webui.tabs.model_list import ListServer
from webui.tabs.model_options import ELSEWHERE, controls, form, groups, spec_from, values_of
from webui.tabs.model_words import size_text
from webui.tabs.words import Words
from webui.types import LoadSpec

GIB = 1 << 30
EN, RU = Words("en"), Words("ru")


def starter() -> ModelEntry:
    entry = Library(()).default()
    assert entry is not None
    return entry


class OnlyLibrary:
    def __init__(self, folder: Path) -> None:
        self.library = Library((folder,), starter=False)


def test_every_load_option_stands_once_in_the_form_with_words_in_both_languages() -> None:
    placed = [name for _, names in groups() for name in names]
    assert sorted([*placed, *ELSEWHERE]) == sorted(controls()) and {o.name for o in OPTIONS} <= set(controls())
    for words in (EN, RU):
        drawn = [control for group in form(words) for control in group["controls"]]
        assert len(drawn) == len(placed) and all(control["label"] and control["help"] for control in drawn)


def test_the_forms_values_come_back_as_the_spec() -> None:
    base = LoadSpec("x.gguf", n_ctx=2048, options={"kv_type": "q8_0", "tensor_split": [3, 1]})
    assert spec_from(base, {"values": values_of(base)}) == base
    changed = spec_from(base, {"values": {**values_of(base), "slots": 2, "kv_type": "f16", "mlock": True}})
    assert (changed.slots, changed.options) == (2, {"tensor_split": [3, 1], "mlock": True})
    for values in ({"n_ctx": 10}, {"kv_type": "q1"}, {"nonsense": 1}, {"threads": "4"}):
        with pytest.raises(BadValue):
            spec_from(base, {"values": values})


def test_the_bars_are_the_estimate_in_words() -> None:
    entry = starter()
    machine = Machine(8 * GIB, 16 * GIB, (Gpu("Card", 2 * GIB, 4 * GIB),))
    spec = LoadSpec(str(entry.path), n_ctx=4096, slots=2)
    shown = Fitter().look(EN, entry, spec, machine)
    shape = shape_of_files(entry.files)
    needed = estimate(shape, plan_of(spec, shape, machine))
    ram, gpu = shown["meters"]
    assert (ram["need"], gpu["need"]) == (needed.ram.total, needed.gpu.total)
    assert [part["amount"] for part in gpu["parts"]][:3] == [2 * GIB, needed.gpu.weights, needed.gpu.cache]
    assert ram["total"] == 16 * GIB and size_text(EN, needed.ram.total) in ram["text"]
    assert shown["code"] == verdict(needed, machine).code == "fits" and shown["best_layers"] == shown["layers"]
    rows = {row["context"]: row for row in shown["table"]}
    assert size_text(EN, needed.ram.total) == rows[4096]["ram"] and rows[16384]["beyond"]
    full = Fitter().look(RU, entry, spec, Machine(GIB // 8, GIB))
    assert full["code"] == "too_large" and full["meters"][0]["over"] and "не хватает" in full["meters"][0]["text"]
    assert full["meters"][0]["total"] > GIB, "a bar that does not fit goes on past what there is"


def test_the_fields_of_rope_follow_each_other() -> None:
    facts = ModelFacts("model", "llama", layers=32, context=4096, rope_base=10_000.0, rope_dimensions=128)
    entry = replace(starter(), facts=facts)

    def look(n_ctx: int, **change: float) -> dict[str, Any]:
        return model_rope.look(EN, entry, {"n_ctx": n_ctx, **({"set": change} if change else {})})

    stretched = look(8192, stretch=8192)
    assert stretched["alpha"] == pytest.approx(2.65, rel=0.01) and stretched["base"] == pytest.approx(26_900, rel=0.01)
    assert look(8192, alpha=2.65)["base"] == pytest.approx(26_900, rel=0.01) and not stretched["warning"]
    assert look(8192, base=26_900)["alpha"] == pytest.approx(2.65, abs=0.01)
    assert look(8192, scale=2)["rope_scale"] == 0.5 and look(4096, alpha=1)["plain"]
    assert look(8192)["severe"] and "4096" in look(8192)["warning"] and "5" in look(20480, stretch=20480)["warning"]
    with pytest.raises(BadValue):
        look(4096, scale=0)


async def test_a_file_in_pieces_becomes_a_model_and_nothing_else_does(tmp_path: Path) -> None:
    services: Any = OnlyLibrary(tmp_path)
    server, data = ListServer(services), starter().path.read_bytes()
    half = len(data) // 2
    begun = await server._ask_begin(EN, {"name": "new.gguf", "size": len(data)})
    assert (await server.piece(EN, begun["key"], 0, data[:half]))["got"] == half
    assert services.library.scan() == (), "half a file is offered to nobody"
    with pytest.raises(BadValue):
        await server.piece(EN, begun["key"], 0, data[:half])
    done = await server.piece(EN, begun["key"], half, data[half:])
    assert [model["name"] for model in done["models"]] == ["new"] and (tmp_path / "new.gguf").read_bytes() == data
    with pytest.raises(BadValue, match="already"):
        await server._ask_begin(EN, {"name": "new.gguf", "size": 10})
    with pytest.raises(LoadFailed, match="make room"):
        await server._ask_begin(EN, {"name": "huge.gguf", "size": 1 << 41})
    for name in ("../outside.gguf", "model.bin"):
        with pytest.raises((BadValue, BadModelFile)):
            await server._ask_begin(EN, {"name": name, "size": 10})
    page = await server._ask_begin(EN, {"name": "page.gguf", "size": 1000})
    with pytest.raises(BadModelFile, match="web page"):
        await server.piece(EN, page["key"], 0, b"<!doctype html><html>" + b" " * 100)
    given_up = await server._ask_begin(EN, {"name": "late.gguf", "size": len(data)})
    await server.piece(EN, given_up["key"], 0, data[:1000])
    await asyncio.gather(server._ask_drop(EN, {"key": given_up["key"]}))
    with pytest.raises(LoadFailed):
        await server.piece(EN, given_up["key"], 1000, data[1000:2000])
    assert not list((tmp_path / ".incoming").iterdir())
