"""Will it fit? What a model will take, by RAM and GPU, for a context, slots, cache type, GPU layers and batch.

Pure arithmetic over a Shape and a Machine. The terms are those llama.cpp reserves, for the way our engine opens it:
one cache stream a slot, each padded to 256 cells, full-size sliding-window caches, logits for at most 32 rows.
benchmarks/memory.py compares it with llama.cpp's own figures. Knows nothing of files, pages or processes.

To call (all fast enough for every slider move):
- `plan_of(spec, shape, machine)`: the Plan behind a LoadSpec, automatic slots and layers filled in.
- `estimate(shape, plan)`: Estimate with `.ram` and `.gpu` (weights, cache, compute, program; `.total`).
- `verdict(estimate, machine)`: Verdict with `.code` (fits, tight, from_disk, too_large), `.values`, `.sentence`.
- `best_gpu_layers(shape, plan, machine)`: how many layers fit ("auto").
- `per_gpu(shape, plan, machine, shares)`: the GPU part of the estimate, a Share for each GPU.
- `together(estimates)`: several models as one Estimate, for the verdict on a set.
- `context_table(shape, plan, machine)`: rows over contexts; `largest_context(...)`: the most that still fits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from webui.hub.machine import Machine
from webui.hub.shape import Layer, Shape
from webui.load_options import check_spec, maps_weights
from webui.types import LoadSpec

KV_BYTES: Mapping[str, float] = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
MIB = 1 << 20
AUTO_SLOTS = 4
OUTPUT_ROWS = 32
CELLS = 256
CPU_CHUNK, GPU_CHUNK = 128, 512
SCORES_LIMIT = 192 << 20
"""On a CPU plain attention is faster; the engine takes it while its scores stay below this."""
PROGRAM = 100 * MIB
"""The worker itself: Python, libraries, the vocabulary."""
DRIVER = 400 * MIB
"""What a GPU's driver takes for a process that uses it."""
CONTEXTS = (2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144)
COMFORT = 0.9
"""The share of what is free that a model may take before it is called tight."""

Code = Literal["fits", "tight", "from_disk", "too_large"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model would be loaded, nothing left open. `gpu_layers` counts the output as a layer of its own."""

    context: int = 4096
    slots: int = 1
    kv_type: str = "f16"
    gpu_layers: int = 0
    ubatch: int = 512
    flash_attention: bool = True
    offload_kv: bool = True
    mmap: bool = True
    gpus: int = 1
    adapters: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes in one kind of memory."""

    weights: int = 0
    cache: int = 0
    compute: int = 0
    program: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.compute + self.program


@dataclass(frozen=True, slots=True)
class Estimate:
    ram: Share
    gpu: Share
    plan: Plan

    @property
    def total(self) -> int:
        return self.ram.total + self.gpu.total


@dataclass(frozen=True, slots=True)
class Verdict:
    """`values`: need and free in bytes and as texts (need_text, free_text), where ("ram" or "gpu").

    The page translates by `code`: fit.<code>.<where>.
    """

    code: Code
    sentence: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        return self.code in ("fits", "tight")


@dataclass(frozen=True, slots=True)
class ContextRow:
    """One line of the table over contexts. `beyond` says that the model was trained for less."""

    context: int
    estimate: Estimate
    verdict: Verdict
    beyond: bool


def plan_of(spec: LoadSpec, shape: Shape, machine: Machine, *, adapters: int = 0) -> Plan:
    """What a LoadSpec comes to on this machine, as the engine would fill in what is left open. `adapters`: the bytes of
    its LoRA files."""
    options = check_spec(replace(spec, engine="llamacpp"))
    cpu_only = not machine.gpus or spec.n_gpu_layers == 0
    context = spec.n_ctx or shape.trained_context or 4096
    ubatch = min(options["ubatch"] or (CPU_CHUNK if cpu_only else GPU_CHUNK), spec.n_batch)
    flash = options["flash_attention"] != "off"
    if options["flash_attention"] == "auto" and cpu_only and options["kv_type"] == "f16":
        flash = 4 * ubatch * context * shape.heads > SCORES_LIMIT
    plan = Plan(
        context=context,
        slots=spec.slots or 1,
        kv_type=options["kv_type"],
        ubatch=ubatch,
        flash_attention=flash,
        offload_kv=options["offload_kv"],
        mmap=maps_weights(options["mmap"], shape.weights, machine.ram_free, cpu_only=cpu_only),
        gpus=max(1, len(machine.gpus)),
        adapters=adapters,
    )
    if not spec.slots:
        plan = replace(plan, slots=_automatic_slots(shape, plan, machine))
    if not machine.gpus:
        return plan
    layers = spec.n_gpu_layers if spec.n_gpu_layers >= 0 else best_gpu_layers(shape, plan, machine)
    return replace(plan, gpu_layers=min(layers, len(shape.layers) + 1))


def _automatic_slots(shape: Shape, plan: Plan, machine: Machine) -> int:
    """As the engine chooses: up to four conversations in half of the RAM that the weights leave."""
    one = max(1.0, shape.cache_width * KV_BYTES[plan.kv_type] * plan.context)
    free = machine.ram_free - (0 if machine.gpus else shape.weights)
    return max(1, min(AUTO_SLOTS, int(free * 0.5 / one)))


def estimate(shape: Shape, plan: Plan) -> Estimate:
    """What loading by this plan takes, in RAM and on the GPU."""
    first_on_gpu = max(0, len(shape.layers) + 1 - plan.gpu_layers)
    on_cpu, on_gpu = shape.layers[:first_on_gpu], shape.layers[first_on_gpu:]
    output_on_gpu = plan.gpu_layers > 0
    # The embedding table stays in RAM; a model that uses it for its output too needs a second copy on the GPU.
    gpu_output = shape.output_bytes + (shape.input_bytes if shape.tied else 0) if output_on_gpu else 0
    ram_output = 0 if output_on_gpu else shape.output_bytes
    gpu_adapters = plan.adapters * len(on_gpu) // max(1, len(shape.layers))  # a LoRA lies where its layers do
    ram_adapters = plan.adapters - gpu_adapters
    ram_weights = shape.input_bytes + sum(layer.weights for layer in on_cpu) + ram_output + ram_adapters
    gpu_weights = sum(layer.weights for layer in on_gpu) + gpu_output + gpu_adapters
    cpu_cache, gpu_cache = sum(_cache(layer, plan) for layer in on_cpu), sum(_cache(layer, plan) for layer in on_gpu)
    if not plan.offload_kv:
        cpu_cache, gpu_cache = cpu_cache + gpu_cache, 0
    rows = 4 * shape.vocabulary * plan.slots
    if not output_on_gpu:
        ram = Share(ram_weights, cpu_cache, _graph(shape, plan, output=True) + rows, PROGRAM)
        return Estimate(ram, Share(), plan)
    host = _inputs(shape, plan) + (_graph(shape, plan, output=False) if on_cpu else 0)
    ram = Share(ram_weights, cpu_cache, host + rows, PROGRAM)
    gpu = Share(gpu_weights, gpu_cache, plan.gpus * _graph(shape, plan, output=True), plan.gpus * DRIVER)
    return Estimate(ram, gpu, plan)


def per_gpu(shape: Shape, plan: Plan, machine: Machine, shares: Sequence[float] = ()) -> tuple[Share, ...]:
    """What each GPU holds of the estimate: layers in a row, by `shares` (tensor_split) or by what each has free."""
    count = len(machine.gpus)
    if not count or not plan.gpu_layers:
        return tuple(Share() for _ in machine.gpus)
    given = [float(share) for share in shares[:count]] + [0.0] * (count - len(shares[:count]))
    parts = given if any(given) else [float(gpu.free) for gpu in machine.gpus]
    total = sum(parts) or 1.0
    bounds = [sum(parts[: number + 1]) / total for number in range(count)]
    weights, cache = [0] * count, [0] * count
    first = max(0, len(shape.layers) + 1 - plan.gpu_layers)
    for number in range(first, len(shape.layers) + 1):
        place = min(bisect_right(bounds, (number - first) / plan.gpu_layers), count - 1)
        if number == len(shape.layers):
            weights[place] += shape.output_bytes + (shape.input_bytes if shape.tied else 0)
        else:
            weights[place] += shape.layers[number].weights
            cache[place] += _cache(shape.layers[number], plan) if plan.offload_kv else 0
    graph = _graph(shape, plan, output=True)
    return tuple(Share(w, c, graph, DRIVER) for w, c in zip(weights, cache, strict=True))


def _cells(plan: Plan) -> int:
    return -(-plan.context // CELLS) * CELLS


def _cache(layer: Layer, plan: Plan) -> int:
    kept = _cells(plan) * (layer.key_width + layer.value_width) * KV_BYTES[plan.kv_type]
    return int(plan.slots * (kept + layer.state))


def _tokens(plan: Plan) -> int:
    return max(1, min(plan.ubatch, plan.context * plan.slots))


def _masks(shape: Shape, plan: Plan) -> int:
    """Which token may see which cell: half precision for flash attention, single precision without."""
    return _tokens(plan) * _cells(plan) * (2 if plan.flash_attention else 4) * shape.caches


def _inputs(shape: Shape, plan: Plan) -> int:
    return _tokens(plan) * shape.embedding * 4 + _masks(shape, plan)


def _graph(shape: Shape, plan: Plan, *, output: bool) -> int:
    """The scratch memory of one batch: the largest of what attention, feed-forward and output hold at once."""
    tokens, masks = _tokens(plan), _masks(shape, plan)
    key = max((layer.key_width for layer in shape.layers), default=0)
    value = max((layer.value_width for layer in shape.layers), default=0)
    attention = 3 * shape.embedding + 2 * shape.query_width + key + value
    if not plan.flash_attention:
        attention += shape.heads * _cells(plan)
    used = max(1, shape.experts_used)
    wide = used * shape.feed_forward
    forward = 4 * shape.embedding + (3 if shape.gated else 2) * wide
    if shape.experts_used:
        forward = max(forward, 3 * shape.embedding + wide + 2 * used * shape.embedding)
    stages = [4 * tokens * attention + masks, 4 * tokens * forward + masks]
    if output:
        stages.append(4 * min(OUTPUT_ROWS, tokens) * (shape.vocabulary + 2 * shape.embedding))
    return max(stages)


def verdict(needed: Estimate, machine: Machine) -> Verdict:
    """Whether it fits into what is free now; the tightest kind of memory decides."""
    ram, gpu = needed.ram.total, needed.gpu.total
    if gpu and gpu > machine.gpu_free:
        sentence = f"It needs {_gib(gpu)} on the GPU and {_gib(machine.gpu_free)} are free: put fewer layers on it."
        return Verdict("too_large", sentence, _values(gpu, machine.gpu_free, "gpu"))
    values = _values(ram, machine.ram_free, "ram")
    if ram > machine.ram_free:
        without_weights = ram - needed.ram.weights
        if needed.plan.mmap and without_weights + needed.ram.weights // 2 <= machine.ram_free:
            sentence = f"It needs {_gib(ram)} of RAM and {_gib(machine.ram_free)} are free: parts are read again and "
            return Verdict("from_disk", sentence + "again from the disk, which is very slow.", values)
        sentence = f"It needs {_gib(ram)} of RAM and {_gib(machine.ram_free)} are free: choose a smaller context, "
        return Verdict("too_large", sentence + "a smaller cache type or a smaller model.", values)
    need, free, where, place = ram, machine.ram_free, "ram", "in RAM"
    if gpu and gpu > COMFORT * machine.gpu_free:
        need, free, where, place = gpu, machine.gpu_free, "gpu", "on the GPU"
    elif ram <= COMFORT * machine.ram_free:
        if gpu:
            need, free, where, place = gpu, machine.gpu_free, "gpu", "on the GPU"
        return Verdict("fits", f"It fits: {_gib(need)} of {_gib(free)} free {place}.", _values(need, free, where))
    sentence = f"It fits, but tightly: it needs {_gib(need)} {place} and {_gib(free)} are free."
    return Verdict("tight", sentence, _values(need, free, where))


def together(parts: Iterable[Estimate]) -> Estimate:
    """What several models take when all are loaded; `verdict` of it says whether the set fits a machine.

    Give `verdict` what is free without any of them: models that are loaded already have taken their part of it.
    """
    listed = list(parts)

    def added(shares: list[Share]) -> Share:
        return Share(*(sum(getattr(share, part.name) for share in shares) for part in fields(Share)))

    plan = listed[0].plan if listed else Plan()
    return Estimate(added([part.ram for part in listed]), added([part.gpu for part in listed]), plan)


def _values(need: int, free: int, where: str) -> dict[str, Any]:
    return {"need": need, "free": free, "where": where, "need_text": _gib(need), "free_text": _gib(free)}


def best_gpu_layers(shape: Shape, plan: Plan, machine: Machine) -> int:
    """The most layers that fit on the GPU with some room left; 0 without a GPU."""
    if not machine.gpus:
        return 0
    room = COMFORT * machine.gpu_free
    low, high = 0, len(shape.layers) + 1
    while low < high:
        middle = (low + high + 1) // 2
        if estimate(shape, replace(plan, gpu_layers=middle)).gpu.total <= room:
            low = middle
        else:
            high = middle - 1
    return low


def context_table(
    shape: Shape, plan: Plan, machine: Machine, contexts: Iterable[int] = CONTEXTS, *, automatic: bool = False
) -> tuple[ContextRow, ...]:
    """One row a context, up to four times the trained one. `automatic` chooses the GPU layers anew for each."""
    most = 4 * shape.trained_context if shape.trained_context else max(CONTEXTS)
    rows = []
    for context in sorted({c for c in (*contexts, plan.context, shape.trained_context) if 0 < c <= most}):
        wanted = replace(plan, context=context)
        if automatic:
            wanted = replace(wanted, gpu_layers=best_gpu_layers(shape, wanted, machine))
        needed = estimate(shape, wanted)
        beyond = 0 < shape.trained_context < context
        rows.append(ContextRow(context, needed, verdict(needed, machine), beyond))
    return tuple(rows)


def largest_context(shape: Shape, plan: Plan, machine: Machine) -> int:
    """The longest context, in whole cells and at most what the model was trained for, that fits; 0 if none does."""
    low, high = 0, max(1, (shape.trained_context or max(CONTEXTS)) // CELLS)
    while low < high:
        middle = (low + high + 1) // 2
        if verdict(estimate(shape, replace(plan, context=middle * CELLS)), machine).fits:
            low = middle
        else:
            high = middle - 1
    return low * CELLS


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / MIB:.0f} MiB"
