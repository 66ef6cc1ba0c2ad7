"""The models on the disk as the fleet asks for them: by name, and whether there is room beside the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.hub.build import TensorSpec, llama
from webui import depot as module
from webui.depot import Depot
from webui.hub.library import Library
from webui.hub.machine import Gpu, Machine, Used
from webui.model_settings import ModelSettings
from webui.preferences import Preferences
from webui.runtime.fallback import Candidate, Order
from webui.runtime.fleet import Occupant
from webui.settings import Settings
from webui.types import LoadSpec

MIB = 1 << 20


class Bench:
    """Two models of about 32 MB each (on paper), and a machine that the test describes."""

    def __init__(self, folder: Path, **options: object) -> None:
        for name in ("one", "two"):
            file = llama()
            file.tensors += [TensorSpec(f"blk.{n}.filler", (1024, 4096)) for n in range(4)]
            file.write(folder / f"{name}.gguf")
            with (folder / f"{name}.gguf").open("r+b") as written:
                written.truncate((folder / f"{name}.gguf").stat().st_size + 64 * MIB)
        self.library = Library([folder], starter=False)
        self.library.scan()
        kept = ModelSettings(folder / "models.json", Settings(), Preferences(folder / "settings.json"))
        self.depot = Depot(self.library, kept, **options)  # type: ignore[arg-type]
        self.specs = {
            entry.name: replace(kept.spec(entry), n_ctx=512, n_gpu_layers=0) for entry in self.library.entries()
        }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, on_demand=True)


def free(monkeypatch: pytest.MonkeyPatch, ram: int, *gpus: Gpu, held: dict[int, Used] | None = None) -> None:
    """What is free on the machine, and what its worker processes hold."""
    monkeypatch.setattr(module, "machine_now", lambda: Machine(ram, 64 << 30, gpus))
    monkeypatch.setattr(module, "used_by", lambda pid: (held or {}).get(pid))


def test_whether_there_is_room_counts_what_the_others_hold_and_what_is_coming(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = bench.specs["one"], bench.specs["two"]
    needed, other = bench.depot.estimate(one), bench.depot.estimate(two)
    assert needed is not None and other is not None and needed.ram.weights >= 32 * MIB
    enough = needed.ram.total
    holds = Used(80 * MIB, own=50 * MIB)
    loaded, unborn = Occupant(two, 7), Occupant(two, loading=True)

    def short(ram: int, *staying: Occupant, leaving: tuple[Occupant, ...] = (), used: Used = holds) -> bool:
        free(monkeypatch, ram, held={7: used})
        return bool(bench.depot.shortage(one, staying, leaving))

    assert not short(enough) and short(enough - 1)
    assert short(enough, loaded) and not short(enough + 30 * MIB, loaded) and short(enough + 30 * MIB - 1, loaded), (
        "its mapped weights count as free although they are in use; the rest is no longer free anyway"
    )
    locked = replace(loaded, spec=replace(two, options={"mlock": True}))
    assert not short(enough, locked), "locked weights are not free either"
    assert not short(enough + other.ram.total, unborn) and short(enough + other.ram.total - 1, unborn), (
        "one that is coming takes all of its own"
    )
    halfway = replace(unborn, pid=7)
    assert not short(enough + other.ram.total - 80 * MIB + 30 * MIB, halfway), "less what it has taken already"
    assert short(enough + other.ram.total - 80 * MIB + 30 * MIB - 1, halfway)


def test_a_model_that_makes_way_gives_back_what_it_holds(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = bench.specs["one"], bench.specs["two"]
    needed = bench.depot.estimate(one)
    assert needed is not None
    free(monkeypatch, needed.ram.total - 50 * MIB, held={7: Used(80 * MIB, own=50 * MIB)})
    assert bench.depot.shortage(one, [], []) != "" and bench.depot.shortage(one, [], [Occupant(two, 7)]) == ""
    free(monkeypatch, needed.ram.total - 50 * MIB - 1, held={7: Used(80 * MIB, own=50 * MIB)})
    assert bench.depot.shortage(one, [], [Occupant(two, 7)]) != "", "its mapped weights were free before"
    on_gpu = replace(one, n_gpu_layers=99)
    card = Gpu("a", 0, 8 << 30)
    whole = bench.depot.estimate(on_gpu, Machine(64 << 30, 64 << 30, (card,)))
    assert whole is not None and whole.gpu.total > 0
    for back, fits in ((whole.gpu.total, True), (whole.gpu.total - 1, False)):
        free(monkeypatch, 32 << 30, card, held={7: Used(80 * MIB, back, 50 * MIB)})
        assert (bench.depot.shortage(on_gpu, [], [Occupant(two, 7)]) == "") is fits


def test_lora_files_count(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = bench.specs["one"]
    lora = tmp_path / "small.gguf"
    lora.write_bytes(bytes(3 * MIB))
    adapted = replace(one, options={"loras": [{"path": str(lora), "scale": 0.5}, {"path": "gone.gguf"}]})
    needed, more = bench.depot.estimate(one), bench.depot.estimate(adapted)
    assert needed is not None and more is not None and more.total - needed.total == 3 * MIB
    free(monkeypatch, needed.ram.total + 3 * MIB - 1)
    assert bench.depot.shortage(one, []) == "" and bench.depot.shortage(adapted, []) != ""
    gpu = Machine(64 << 30, 64 << 30, (Gpu("a", 8 << 30, 8 << 30),))
    bare, dressed = (bench.depot.estimate(replace(s, n_gpu_layers=99), gpu) for s in (one, adapted))
    assert bare is not None and dressed is not None
    assert dressed.gpu.weights - bare.gpu.weights == 3 * MIB, "it lies where its layers do"


def test_of_another_engine_or_a_file_that_is_gone_nothing_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free(monkeypatch, 1)
    assert bench.depot.shortage(LoadSpec("x", engine="fake"), [], []) == ""
    assert bench.depot.shortage(replace(bench.specs["one"], path=str(tmp_path / "gone.gguf")), [], []) == ""


def test_who_may_be_loaded_when_asked_for(bench: Bench, tmp_path: Path) -> None:
    assert sorted(bench.depot.loadable()) == ["one", "two"]
    found = bench.depot.find("ONE.gguf")
    assert found is not None and found.name == "one" and bench.depot.find("three") is None
    order = Order((Candidate("two.gguf"), Candidate("three")))
    listed = Bench(tmp_path, on_demand=False, order=lambda: order).depot
    assert listed.loadable() == ("two",) and listed.find("one") is None and listed.find("Two") is not None
    off = Bench(tmp_path, on_demand=False, order=lambda: replace(order, enabled=False)).depot
    assert off.loadable() == () and off.find("two") is None
