"""A small LoRA file for the starter model, made for tests: random numbers, so that it changes what the model says."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

WIDTH = 576
LAYERS, RANK = 4, 4


def write_lora(path: Path, *, seed: int) -> Path:
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 4.0)
    noise = np.random.default_rng(seed)
    for layer in range(LAYERS):
        name = f"blk.{layer}.attn_q.weight"
        writer.add_tensor(f"{name}.lora_a", noise.normal(size=(RANK, WIDTH)).astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", noise.normal(size=(WIDTH, RANK)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
