"""What stands on the fake hub's shelves: models of every kind a repository can hold, small but whole."""

from __future__ import annotations

import random
import struct
from functools import lru_cache

import orjson

from tests.hub.build import TensorSpec, llama, number, string
from tests.hub.fake_hub import FakeHub, Repo

MB = 1 << 20


@lru_cache
def gguf(megabytes: int = 1, seed: int = 0, **changes: int) -> bytes:
    """A sound GGUF of about so many megabytes, its weights random, so that a wrong byte matters."""
    file = llama(general_name=string(f"Tiny {seed}"), **{key: number(value) for key, value in changes.items()})
    file.tensors += [TensorSpec(f"blk.0.filler.{n}", (1024, 256)) for n in range(megabytes)]
    whole = file.bytes()
    weights = megabytes * MB
    return whole[:-weights] + random.Random(seed).randbytes(weights)


@lru_cache
def safetensors(kilobytes: int = 64, seed: int = 0) -> bytes:
    size = kilobytes << 10
    header = orjson.dumps({"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
    return struct.pack("<Q", len(header)) + header + random.Random(seed).randbytes(size)


def exl2(bits: float, seed: int = 0) -> dict[str, bytes]:
    config = {
        "model_type": "llama",
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "hidden_size": 64,
        "max_position_embeddings": 2048,
        "quantization_config": {"quant_method": "exl2", "bits": bits},
    }
    return {
        "README.md": b"# EXL2",
        "config.json": orjson.dumps(config),
        "tokenizer.json": b"{}" + b" " * 20_000,
        "tokenizer.model": b"sp",
        "output.safetensors": safetensors(256, seed),
        "evil.py": b"print('never fetched')",
        "pytorch_model.bin": b"\x80\x02never fetched",
    }


def stock(hub: FakeHub) -> None:
    """Fill the shelves."""
    hub.add(
        Repo(
            "maker/Tiny-GGUF",
            {
                "README.md": b"# Tiny",
                ".gitattributes": b"*.gguf filter=lfs",
                "Tiny-Q2_K.gguf": gguf(1, 2),
                "Tiny-Q4_0.gguf": gguf(2, 40),
                "Tiny-Q4_K_M.gguf": gguf(4, 4),
                "Tiny-Q6_K.gguf": gguf(5, 6),
                "Tiny-Q8_0.gguf": gguf(6, 8),
                "Tiny-F16.gguf": gguf(8, 16),
                "mmproj-F16.gguf": gguf(1, 17),
                "imatrix.dat": b"x" * 20_000,
            },
            likes=120,
            downloads=54_321,
            gguf={"total": 1_000_000, "architecture": "llama", "context_length": 2048},
        )
    )
    split = {"split.no": 0, "split.count": 3, "split.tensors.count": 5}
    hub.add(
        Repo(
            "maker/Split-GGUF",
            {
                f"Q5_K_M/Split-Q5_K_M-{n + 1:05d}-of-00003.gguf": gguf(2, 50 + n, **{**split, "split.no": n})
                for n in range(3)
            }
            | {"Q8_0/Split-Q8_0-00002-of-00002.gguf": gguf(1, 60, **{**split, "split.no": 1, "split.count": 2})},
            likes=30,
            downloads=900,
        )
    )
    branches = {"4.0bpw": exl2(4.0, 1), "6.5bpw": exl2(6.5, 2)}
    hub.add(Repo("maker/Tiny-exl2", {"README.md": b"# see branches"}, branches, tags=("exl2",), downloads=70))
    adapter = {"adapter_config.json": b'{"r": 8}', "adapter_model.safetensors": safetensors(100, 9)}
    hub.add(Repo("maker/Tiny-LoRA", adapter, tags=("lora", "peft"), downloads=40))
    hub.add(Repo("maker/Old", {"config.json": b"{}", "pytorch_model.bin": b"\x80\x02" + b"x" * 20_000}, tags=()))
    hub.add(Repo("maker/Empty", {"README.md": b"# nothing"}, tags=()))
    hub.add(Repo("maker/Disguised", {"model-Q4_K_M.gguf": b"\x80\x04" + b"c" * 50_000}))
