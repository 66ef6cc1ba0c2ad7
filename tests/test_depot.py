"""The models on the disk as the fleet asks for them: by name, and whether there is room beside the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.hub.build import TensorSpec, llama
from webui import depot as module
from webui.depot import Depot
from webui.hub.library import Library
from webui.hub.machine import Gpu, Machine
from webui.model_settings import ModelSettings
from webui.preferences import Preferences
from webui.runtime.fallback import Candidate, Order
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


def free(monkeypatch: pytest.MonkeyPatch, ram: int, *gpus: Gpu) -> None:
    monkeypatch.setattr(module, "machine_now", lambda: Machine(ram, 64 << 30, gpus))


def test_whether_there_is_room_counts_what_is_loaded_and_what_is_coming(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = bench.specs["one"], bench.specs["two"]
    needed = bench.depot.estimate(one)
    assert needed is not None and needed.ram.weights >= 32 * MIB
    total = needed.ram.total

    def short(ram: int, loaded: list[LoadSpec], loading: list[LoadSpec]) -> str:
        free(monkeypatch, ram)
        return bench.depot.shortage(one, loaded, loading)

    plenty = 4 * total + (4 << 30)
    assert short(plenty, [], []) == short(plenty, [two], []) == short(plenty, [], [two]) == ""
    assert short(total // 2, [], []) != ""
    just = next(ram for ram in range(0, plenty, 4 * MIB) if not short(ram, [], []))
    assert short(just, [two], []) != "", "mapped weights count as free although they are in use"
    assert short(just + needed.ram.weights + 8 * MIB, [two], []) == "", "the rest of it is no longer free anyway"
    assert short(just + needed.ram.weights + 8 * MIB, [], [two]) != "", "one that is coming takes all of its own"
    assert short(just + total + 8 * MIB, [], [two]) == ""
    unmapped = replace(two, options={"mmap": False})
    assert short(just + 8 * MIB, [unmapped], []) == "", "then its weights are not free either"


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
