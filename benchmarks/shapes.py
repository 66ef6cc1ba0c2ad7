"""Writes GGUF files with the dimensions of well-known models and nothing in them: sparse, a few KB on the disk.

llama.cpp reserves memory for them as for the real ones, so that the estimate can be held against architectures whose
real files would be gigabytes. The dimensions are public facts of the models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter

Type = GGMLQuantizationType


@dataclass(frozen=True)
class Dimensions:
    name: str
    architecture: str
    layers: int
    embedding: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward: int
    vocabulary: int
    context: int
    experts: tuple[int, int, int] = (0, 0, 0)
    window: int = 0
    tied: bool = False
    head_norms: bool = False
    post_norms: bool = False
    fused: bool = False
    biases: bool = False
    extra: dict[str, int] = field(default_factory=dict)


SHAPES = (
    Dimensions("Llama 3.1 8B", "llama", 32, 4096, 32, 8, 128, 14336, 128256, 131072),
    Dimensions("Qwen2.5 7B", "qwen2", 28, 3584, 28, 4, 128, 18944, 152064, 32768, biases=True),
    Dimensions("Gemma 2 9B", "gemma2", 42, 3584, 16, 8, 256, 14336, 256000, 8192, window=4096, tied=True,
               post_norms=True),
    Dimensions("Phi-3 mini", "phi3", 32, 3072, 32, 32, 96, 8192, 32064, 4096, fused=True,
               extra={"phi3.rope.scaling.original_context_length": 4096}),
    Dimensions("Mixtral 8x7B", "llama", 32, 4096, 32, 8, 128, 14336, 32000, 32768, experts=(8, 2, 14336)),
    Dimensions("Qwen3 30B-A3B", "qwen3moe", 48, 2048, 32, 4, 128, 6144, 151936, 32768, experts=(128, 8, 768),
               head_norms=True),
)  # fmt: skip


def write_shapes(folder: Path) -> Iterator[tuple[str, Path]]:
    for shape in SHAPES:
        path = folder / f"{shape.name.replace(' ', '-')}.gguf"
        write_shape(shape, path)
        yield shape.name, path


def write_shape(shape: Dimensions, path: Path) -> None:
    writer = GGUFWriter(path, shape.architecture)
    writer.add_block_count(shape.layers)
    writer.add_embedding_length(shape.embedding)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_context_length(shape.context)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_string("tokenizer.ggml.model", "none")
    if shape.experts[0]:
        writer.add_expert_count(shape.experts[0])
        writer.add_expert_used_count(shape.experts[1])
        writer.add_expert_feed_forward_length(shape.experts[2])
    if shape.window:
        writer.add_sliding_window(shape.window)
    for key, value in shape.extra.items():
        writer.add_uint32(key, value)
    size = sum(_add(writer, name, dimensions) for name, dimensions in _tensors(shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.seek(0, 2)
        file.truncate(_padded(file.tell()) + size)


def _padded(size: int) -> int:
    return -(-size // 32) * 32


def _add(writer: GGUFWriter, name: str, dimensions: tuple[int, ...]) -> int:
    kind = Type.F32 if len(dimensions) == 1 or "gate_inp" in name else Type.Q4_K
    if kind is Type.Q4_K and dimensions[0] % 256:
        kind = Type.F16
    block, bytes_each = GGML_QUANT_SIZES[kind]
    size = math.prod(dimensions) // block * bytes_each
    rows = tuple(reversed(dimensions))
    if kind is Type.Q4_K:
        stored = (*rows[:-1], rows[-1] // block * bytes_each)
        writer.add_tensor_info(name, stored, np.dtype(np.uint8), size, raw_dtype=kind)
    else:
        writer.add_tensor_info(name, rows, np.dtype(np.float32 if kind is Type.F32 else np.float16), size)
    return _padded(size)


def _tensors(shape: Dimensions) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, queries, keys = shape.embedding, shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    yield "token_embd.weight", (width, shape.vocabulary)
    if not shape.tied:
        yield "output.weight", (width, shape.vocabulary)
    yield "output_norm.weight", (width,)
    for number in range(shape.layers):
        for name, dimensions in _layer(shape, width, queries, keys):
            yield f"blk.{number}.{name}", dimensions


def _layer(shape: Dimensions, width: int, queries: int, keys: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "attn_norm.weight", (width,)
    if shape.fused:
        yield "attn_qkv.weight", (width, queries + 2 * keys)
    else:
        for letter, size in (("q", queries), ("k", keys), ("v", keys)):
            yield f"attn_{letter}.weight", (width, size)
            if shape.biases:
                yield f"attn_{letter}.bias", (size,)
    yield "attn_output.weight", (queries, width)
    if shape.head_norms:
        yield "attn_q_norm.weight", (shape.head_size,)
        yield "attn_k_norm.weight", (shape.head_size,)
    if shape.post_norms:
        yield "post_attention_norm.weight", (width,)
        yield "post_ffw_norm.weight", (width,)
    yield "ffn_norm.weight", (width,)
    count, _, wide = shape.experts
    if count:
        yield "ffn_gate_inp.weight", (width, count)
        yield "ffn_gate_exps.weight", (width, wide, count)
        yield "ffn_up_exps.weight", (width, wide, count)
        yield "ffn_down_exps.weight", (wide, width, count)
    elif shape.fused:
        yield "ffn_up.weight", (width, 2 * shape.feed_forward)
        yield "ffn_down.weight", (shape.feed_forward, width)
    else:
        yield "ffn_gate.weight", (width, shape.feed_forward)
        yield "ffn_up.weight", (width, shape.feed_forward)
        yield "ffn_down.weight", (shape.feed_forward, width)
