"""The memory estimate against figures llama.cpp 0.3.36 printed when it reserved memory for the same plans."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.memory import reserved
from benchmarks.shapes import SHAPES, write_shape
from webui.hub.library import starter_model
from webui.hub.machine import Gpu, Machine, _amd, _ram, used_by
from webui.hub.memory import (
    DRIVER,
    MIB,
    PROGRAM,
    Plan,
    Share,
    best_gpu_layers,
    context_table,
    estimate,
    largest_context,
    per_gpu,
    plan_of,
    together,
    verdict,
)
from webui.hub.shape import Shape, shape_of_facts, shape_of_files
from webui.types import LoadSpec

GIB = 1 << 30

# model, plan, then MiB as llama.cpp printed them: weights, cache, compute + output
REAL = [
    ("Llama 3.1 8B", Plan(4096), 4308.61, 512.0, 120.50),
    ("Llama 3.1 8B", Plan(8192, 2, "q8_0"), 4308.61, 1088.0, 117.07),
    ("Llama 3.1 8B", Plan(4096, flash_attention=False), 4308.61, 512.0, 308.50),
    ("Qwen2.5 7B", Plan(4096), 4086.37, 224.0, 143.59),
    ("Gemma 2 9B", Plan(4096), 4959.58, 1344.0, 122.00),
    ("Phi-3 mini", Plan(4096), 2050.40, 1536.0, 70.13),
    ("Mixtral 8x7B", Plan(4096), 25057.62, 512.0, 204.13),
    ("Qwen3 30B-A3B", Plan(4096), 16420.60, 384.0, 92.59),
]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shape]:
    folder = tmp_path_factory.mktemp("shapes")
    found = {}
    for dimensions in SHAPES:
        path = folder / f"{dimensions.layers}-{dimensions.embedding}-{dimensions.architecture}.gguf"
        write_shape(dimensions, path)
        found[dimensions.name] = shape_of_files([path])
    return found


@pytest.mark.parametrize(("name", "plan", "weights", "cache", "compute"), REAL)
def test_estimate_is_what_llama_cpp_reserved(
    shapes: dict[str, Shape], name: str, plan: Plan, weights: float, cache: float, compute: float
) -> None:
    ram = estimate(shapes[name], plan).ram
    assert ram.weights == pytest.approx(weights * MIB, rel=0.001)
    assert ram.cache == pytest.approx(cache * MIB, rel=0.001)
    assert ram.compute == pytest.approx(compute * MIB, abs=14 * MIB)
    real = (weights + cache + compute) * MIB
    assert ram.total - PROGRAM == pytest.approx(real, rel=0.005)


@pytest.mark.parametrize(
    ("plan", "real"),
    [
        (Plan(512), 92.10 + 11.25 + 14.20),
        (Plan(32768), 92.10 + 720 + 45.70),
        (Plan(8192, 4), 92.10 + 720 + 22.26),
        (Plan(8192, kv_type="q8_0"), 92.10 + 95.62 + 20.61),
        (Plan(8192, kv_type="q4_0"), 92.10 + 50.62 + 20.61),
        (Plan(8192, flash_attention=False), 92.10 + 180 + 166.57),
    ],
)
def test_starter_model(plan: Plan, real: float) -> None:
    starter = starter_model()
    assert starter is not None
    assert estimate(shape_of_files([starter]), plan).ram.total - PROGRAM == pytest.approx(real * MIB, abs=2 * MIB)


def test_context_counts_whole_cells_for_each_slot(shapes: dict[str, Shape]) -> None:
    shape = shapes["Llama 3.1 8B"]
    assert estimate(shape, Plan(4000)).ram.cache == estimate(shape, Plan(4096)).ram.cache
    assert estimate(shape, Plan(4000, 3)).ram.cache == 3 * estimate(shape, Plan(4096)).ram.cache


def test_layers_on_the_gpu_leave_ram(shapes: dict[str, Shape]) -> None:
    shape = shapes["Llama 3.1 8B"]
    whole = estimate(shape, Plan(8192, gpu_layers=33))
    assert whole.ram.cache == 0
    assert whole.ram.weights == shape.input_bytes
    assert whole.gpu.weights == shape.weights - shape.input_bytes
    assert whole.gpu.cache == 1024 * MIB
    # The masks and the embedded tokens are made in RAM: llama.cpp printed 24.01 MiB of CUDA_Host for this model, with
    # single-precision masks 16 MiB of it.
    rows = 4 * shape.vocabulary
    assert whole.ram.compute - rows == 16 * MIB
    half = estimate(shape, Plan(8192, gpu_layers=17))
    assert half.gpu.weights + half.ram.weights == shape.weights
    assert half.gpu.cache == half.ram.cache == 512 * MIB
    none = estimate(shape, Plan(8192, gpu_layers=0))
    assert none.gpu.total == 0
    kept = estimate(shape, Plan(8192, gpu_layers=33, offload_kv=False))
    assert (kept.gpu.cache, kept.ram.cache) == (0, 1024 * MIB)


def test_tied_output_is_copied_to_the_gpu(shapes: dict[str, Shape]) -> None:
    shape = shapes["Gemma 2 9B"]
    assert shape.tied
    whole = estimate(shape, Plan(gpu_layers=43))
    assert whole.gpu.weights == shape.weights
    assert whole.ram.weights == shape.input_bytes


def test_each_gpu_holds_its_layers_and_together_the_whole(shapes: dict[str, Shape]) -> None:
    shape = shapes["Llama 3.1 8B"]
    pair = Machine(64 * GIB, 64 * GIB, (Gpu("a", 24 * GIB, 24 * GIB), Gpu("b", 8 * GIB, 8 * GIB)))
    for plan in (Plan(8192, gpu_layers=33, gpus=2), Plan(8192, gpu_layers=20, gpus=2, offload_kv=False)):
        shared = per_gpu(shape, plan, pair)
        assert sum(share.total for share in shared) == estimate(shape, plan).gpu.total
    whole = per_gpu(shape, Plan(8192, gpu_layers=33, gpus=2), pair)
    assert [share.cache for share in whole] == [25 * 32 * MIB, 7 * 32 * MIB], "33 parts, three quarters to the first"
    even = per_gpu(shape, Plan(8192, gpu_layers=33, gpus=2), pair, (1, 1))
    assert [share.cache for share in even] == [17 * 32 * MIB, 15 * 32 * MIB], "the output counts as the second's"
    assert per_gpu(shape, Plan(8192), pair) == (Share(), Share())
    assert per_gpu(shape, Plan(8192), Machine(GIB, GIB)) == ()


def test_automatic_layers_fill_the_gpu_and_no_more(shapes: dict[str, Shape]) -> None:
    shape = shapes["Llama 3.1 8B"]
    assert best_gpu_layers(shape, Plan(8192), Machine(64 * GIB, 64 * GIB)) == 0
    assert best_gpu_layers(shape, Plan(8192), Machine(64 * GIB, 64 * GIB, (Gpu("a", 24 * GIB, 24 * GIB),))) == 33
    small = Machine(64 * GIB, 64 * GIB, (Gpu("a", 4 * GIB, 4 * GIB),))
    layers = best_gpu_layers(shape, Plan(8192), small)
    assert 0 < layers < 33
    assert estimate(shape, Plan(8192, gpu_layers=layers)).gpu.total <= 0.9 * 4 * GIB
    assert estimate(shape, Plan(8192, gpu_layers=layers + 1)).gpu.total > 0.9 * 4 * GIB
    shorter = best_gpu_layers(shape, Plan(2048, kv_type="q8_0"), small)
    assert shorter > layers
    tiny = Machine(64 * GIB, 64 * GIB, (Gpu("a", DRIVER, GIB),))
    assert best_gpu_layers(shape, Plan(8192), tiny) == 0


def test_verdicts_name_the_memory_that_decides(shapes: dict[str, Shape]) -> None:
    shape = shapes["Llama 3.1 8B"]
    needed = estimate(shape, Plan(8192))
    total = needed.ram.total
    assert verdict(needed, Machine(2 * total, 2 * total)).code == "fits"
    assert verdict(needed, Machine(total + MIB, 2 * total)).code == "tight"
    disk = verdict(needed, Machine(total - GIB, total))
    assert (disk.code, disk.fits, disk.values["where"]) == ("from_disk", False, "ram")
    no_mmap = estimate(shape, Plan(8192, mmap=False))
    assert verdict(no_mmap, Machine(total - GIB, total)).code == "too_large"
    on_gpu = estimate(shape, Plan(8192, gpu_layers=33))
    gpu = verdict(on_gpu, Machine(64 * GIB, 64 * GIB, (Gpu("a", 4 * GIB, 8 * GIB),)))
    assert (gpu.code, gpu.values["where"], gpu.values["free"]) == ("too_large", "gpu", 4 * GIB)
    assert gpu.sentence.endswith(".") and "GPU" in gpu.sentence


def test_table_and_largest_context(shapes: dict[str, Shape]) -> None:
    shape = shapes["Gemma 2 9B"]
    machine = Machine(10 * GIB, 16 * GIB)
    rows = context_table(shape, Plan(4096), machine)
    assert [row.context for row in rows] == [2048, 4096, 8192, 16384, 32768]
    assert [row.beyond for row in rows] == [False, False, False, True, True]
    totals = [row.estimate.total for row in rows]
    assert totals == sorted(totals)
    small = Machine(7 * GIB, 16 * GIB)
    most = largest_context(shape, Plan(), small)
    assert 0 < most < 8192 and most % 256 == 0
    assert verdict(estimate(shape, Plan(most)), small).fits
    assert not verdict(estimate(shape, Plan(most + 256)), small).fits


def test_plan_fills_in_what_a_spec_leaves_open(shapes: dict[str, Shape]) -> None:
    shape = shapes["Llama 3.1 8B"]
    machine = Machine(64 * GIB, 64 * GIB, (Gpu("a", 80 * GIB, 80 * GIB),))
    plan = plan_of(LoadSpec("x.gguf", n_ctx=0, options={"kv_type": "q8_0"}), shape, machine)
    assert (plan.context, plan.slots, plan.kv_type, plan.gpu_layers) == (131072, 3, "q8_0", 33)
    assert plan_of(LoadSpec("x.gguf", n_gpu_layers=5, slots=2), shape, machine).gpu_layers == 5
    alone = plan_of(LoadSpec("x.gguf", n_gpu_layers=5), shape, replace(machine, gpus=()))
    assert (alone.gpu_layers, alone.slots) == (0, 4)
    assert plan_of(LoadSpec("x.gguf", n_batch=256, options={"ubatch": 512}), shape, machine).ubatch == 256


def test_a_set_of_models_is_judged_together(shapes: dict[str, Shape]) -> None:
    parts = [estimate(shapes[name], Plan(4096)) for name in ("Llama 3.1 8B", "Qwen2.5 7B")]
    both = together(parts)
    assert both.total == sum(part.total for part in parts)
    assert both.ram.cache == parts[0].ram.cache + parts[1].ram.cache
    machine = Machine(parts[0].total * 3 // 2, 64 * GIB)
    assert all(verdict(part, machine).fits for part in parts) and not verdict(both, machine).fits
    assert together([]).total == 0


@pytest.mark.model
@pytest.mark.parametrize(
    "spec",
    [
        {"n_ctx": 2048, "slots": 2, "options": {}},
        {"n_ctx": 1024, "slots": 1, "options": {"kv_type": "q8_0"}},
        {"n_ctx": 32768, "slots": 1, "options": {}},
    ],
)
def test_plan_is_what_the_engine_makes_of_the_spec(spec: dict[str, Any]) -> None:
    """Guards against the engine changing how it opens a model without the estimate following."""
    starter = starter_model()
    assert starter is not None
    shape = shape_of_files([starter])
    plan = plan_of(LoadSpec(str(starter), **spec), shape, Machine(64 * GIB, 64 * GIB))
    real = reserved({"path": str(starter), **spec})
    assert estimate(shape, plan).ram.total - PROGRAM == pytest.approx(sum(real.values()), abs=3 * MIB)


def test_a_processs_memory_is_told() -> None:
    used = used_by(os.getpid())
    assert used is not None and used.ram > used.own > 5 * MIB and used.gpu == 0
    assert used_by(2**22 + 1) is None


def test_limits_of_a_container_count(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(str(2 * GIB))
    (tmp_path / "memory.current").write_text(str(GIB + 300 * MIB))
    (tmp_path / "memory.stat").write_text(f"inactive_file {200 * MIB}\nactive_file {100 * MIB}\n")
    free, total = _ram(tmp_path)
    assert (free, total) == (GIB, 2 * GIB)
    (tmp_path / "memory.max").write_text("max")
    assert _ram(tmp_path)[1] > 2 * GIB


def test_amd_cards_are_read_from_the_kernel(tmp_path: Path) -> None:
    device = tmp_path / "card0" / "device"
    device.mkdir(parents=True)
    (device / "mem_info_vram_total").write_text(str(8 * GIB))
    (device / "mem_info_vram_used").write_text(str(GIB))
    assert _amd(tmp_path) == (Gpu("AMD card0", 7 * GIB, 8 * GIB),)


def test_facts_alone_come_close(shapes: dict[str, Shape], tmp_path: Path) -> None:
    from webui.hub.facts import facts_of
    from webui.hub.gguf import read_header

    dimensions = next(d for d in SHAPES if d.name == "Qwen2.5 7B")
    path = tmp_path / "q.gguf"
    write_shape(dimensions, path)
    rough = estimate(shape_of_facts(facts_of(read_header(path))), Plan(8192)).total
    assert rough == pytest.approx(estimate(shapes["Qwen2.5 7B"], Plan(8192)).total, rel=0.01)
