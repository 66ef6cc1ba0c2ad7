"""How much memory this machine has free right now, in RAM and on GPUs, and whether the engine can use a GPU at all.

Asks the operating system; never starts an engine. NVIDIA cards are asked through nvidia-ml-py where that is installed,
AMD cards through the kernel. Knows nothing of models.

To call: `machine_now()` gives a `Machine`; it takes about a millisecond (a few with NVML), so call it per refresh.
`used_by(pid)` is what a running worker really holds, to show beside the estimate after a load.
"""

from __future__ import annotations

import importlib.util
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

_GPU_LIBRARIES = ("cuda", "hip", "vulkan", "metal", "sycl", "musa", "cann")
_CGROUP = Path("/sys/fs/cgroup")
_CARDS = Path("/sys/class/drm")


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Bytes free and in all. `unified` says that the GPU uses the RAM itself (Apple), so that only RAM counts."""

    ram_free: int
    ram_total: int
    gpus: tuple[Gpu, ...] = ()
    unified: bool = False

    @property
    def gpu_free(self) -> int:
        return sum(gpu.free for gpu in self.gpus)

    @property
    def gpu_total(self) -> int:
        return sum(gpu.total for gpu in self.gpus)


@dataclass(frozen=True, slots=True)
class Used:
    """Bytes a process holds: in RAM (mapped weights that have been read are counted in) and on all GPUs.

    `own` is the part of `ram` that nobody else can be given before the process ends; mapped weights count as free.
    """

    ram: int
    gpu: int = 0
    own: int = 0


def used_by(pid: int) -> Used | None:
    """What the process `pid` holds now; None if it has ended."""
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return None
    return Used(memory.rss, _nvidia_used_by(pid), memory.rss - getattr(memory, "shared", 0))


def machine_now() -> Machine:
    """What is free now. GPUs that the installed engine cannot use are left out."""
    free, total = _ram(_CGROUP)
    unified = platform.system() == "Darwin" and platform.machine() == "arm64"
    if unified or not engine_uses_gpu():
        return Machine(free, total, (), unified)
    return Machine(free, total, _nvidia() or _amd(_CARDS))


def engine_uses_gpu() -> bool:
    """Whether the installed llama.cpp was built for GPUs: told by its libraries, without loading them."""
    spec = importlib.util.find_spec("llama_cpp")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        names = [file.name.lower() for file in (Path(place) / "lib").glob("*ggml*")]
        if any(library in name for name in names for library in _GPU_LIBRARIES):
            return True
    return False


def _ram(cgroup: Path) -> tuple[int, int]:
    """Free and total RAM; inside a container that is limited, what its limit leaves."""
    memory = psutil.virtual_memory()
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        details = dict(line.split()[:2] for line in (cgroup / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return memory.available, memory.total
    reclaimable = int(details.get("inactive_file", 0)) + int(details.get("active_file", 0))
    return min(memory.available, max(0, limit - used + reclaimable)), min(memory.total, limit)


def _nvidia() -> tuple[Gpu, ...]:
    if importlib.util.find_spec("pynvml") is None:
        return ()
    import pynvml

    try:
        pynvml.nvmlInit()
        found = []
        for number in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            name = pynvml.nvmlDeviceGetName(handle)
            text = name.decode() if isinstance(name, bytes) else str(name)
            found.append(Gpu(text, int(memory.free), int(memory.total)))
        return tuple(found)
    except pynvml.NVMLError:
        return ()


def _nvidia_used_by(pid: int) -> int:
    if importlib.util.find_spec("pynvml") is None:
        return 0
    import pynvml

    try:
        pynvml.nvmlInit()
        used = 0
        for number in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
                used += int(process.usedGpuMemory or 0) if process.pid == pid else 0
        return used
    except pynvml.NVMLError:
        return 0


def _amd(cards: Path) -> tuple[Gpu, ...]:
    found = []
    for total_file in sorted(cards.glob("card*/device/mem_info_vram_total")):
        try:
            total = int(total_file.read_text())
            used = int(total_file.with_name("mem_info_vram_used").read_text())
        except (OSError, ValueError):
            continue
        found.append(Gpu(f"AMD {total_file.parent.parent.name}", max(0, total - used), total))
    return tuple(found)
