"""What a model's tensor list says about its memory: bytes of each layer, cache width, widths of activations.

Pure: headers in, numbers out. Made of the real tensors (grouped queries, fused and missing projections, experts,
recurrent layers), never of a size class. Knows nothing of contexts, machines or engines (memory.py does).

To call: `shape_of(headers)` with the headers of all parts of a model (gguf.read_header), or `shape_of_facts(facts)`
where there is no tensor list to read (an EXL2 folder, a file that is still on the hub).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.errors import BadValue
from webui.hub.facts import ModelFacts, facts_of
from webui.hub.gguf import Header, Tensor, read_header

_LAYER = re.compile(r"^blk\.(\d+)\.(.+)$")
_INPUT = ("token_embd", "position_embd", "token_types", "per_layer_token_embd")
# Architectures that llama.cpp runs with two caches, one of full and one of sliding-window layers.
_TWO_CACHES = frozenset(
    {
        "gemma2",
        "gemma3",
        "gemma3n",
        "gemma4",
        "cohere2",
        "gpt-oss",
        "llama4",
        "exaone4",
        "exaone-moe",
        "olmo2",
        "olmo3",
        "smallthinker",
        "plamo3",
        "afmoe",
        "mimo2",
        "step35",
    }
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: the bytes of its weights, the width of its keys and values, its fixed state (recurrent layers)."""

    weights: int
    key_width: int = 0
    value_width: int = 0
    state: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """A model as the memory estimate sees it. Sizes in bytes, widths in numbers for each token."""

    layers: tuple[Layer, ...]
    input_bytes: int
    output_bytes: int
    tied: bool
    embedding: int
    vocabulary: int
    heads: int
    query_width: int
    feed_forward: int
    gated: bool
    experts_used: int = 0
    caches: int = 1
    trained_context: int = 0

    @property
    def weights(self) -> int:
        return self.input_bytes + self.output_bytes + sum(layer.weights for layer in self.layers)

    @property
    def cache_width(self) -> int:
        """Numbers kept for each token of context, over all layers."""
        return sum(layer.key_width + layer.value_width for layer in self.layers)


def shape_of_files(files: Sequence[Path]) -> Shape:
    """The shape of a GGUF model on the disk, all of its parts given."""
    return shape_of([read_header(file) for file in files])


def shape_of(headers: Sequence[Header]) -> Shape:
    """The shape of a GGUF model from the headers of all its parts, the first part first."""
    if not headers:
        raise BadValue("A model has at least one file.", param="files")
    facts, first = facts_of(headers[0]), headers[0]
    by_layer: dict[int, dict[str, Tensor]] = {}
    rest: dict[str, Tensor] = {}
    for tensor in (tensor for header in headers for tensor in header.tensors):
        match = _LAYER.match(tensor.name)
        if match:
            by_layer.setdefault(int(match[1]), {})[match[2]] = tensor
        else:
            rest[tensor.name] = tensor
    layers = tuple(_layer(first, facts, number, by_layer.get(number, {})) for number in range(facts.layers))
    layers = _without_shared(first, layers)
    input_bytes = sum(tensor.bytes for name, tensor in rest.items() if name.startswith(_INPUT))
    embedding_table = rest.get("token_embd.weight")
    widest = max(by_layer.values(), key=_feed_forward, default={})
    return Shape(
        layers,
        input_bytes,
        sum(tensor.bytes for tensor in rest.values()) - input_bytes,
        "output.weight" not in rest,
        facts.embedding,
        embedding_table.shape[1] if embedding_table and len(embedding_table.shape) > 1 else facts.vocabulary,
        max(facts.heads, default=0),
        max((_width(tensors, "attn_q.weight") for tensors in by_layer.values()), default=0)
        or max(facts.heads, default=0) * facts.key_length,
        _feed_forward(widest) or facts.feed_forward,
        _is_gated(widest),
        facts.experts_used if any(name.startswith("ffn_down_exps") for name in widest) else 0,
        2 if facts.sliding_window and facts.architecture in _TWO_CACHES else 1,
        facts.context,
    )


def shape_of_facts(facts: ModelFacts) -> Shape:
    """The shape as far as plain facts tell it: equal layers, an untied table of 16-bit embeddings within the size."""
    table = min(facts.vocabulary * facts.embedding * 2, facts.tensor_bytes // 4)
    each = max(0, facts.tensor_bytes - table) // max(1, facts.layers)
    layers = tuple(Layer(each, heads * facts.key_length, heads * facts.value_length) for heads in facts.kv_heads)
    heads = max(facts.heads, default=0)
    return Shape(
        layers,
        table,
        0,
        False,
        facts.embedding,
        facts.vocabulary,
        heads,
        heads * facts.key_length,
        facts.feed_forward,
        True,
        facts.experts_used,
        2 if facts.sliding_window and facts.architecture in _TWO_CACHES else 1,
        facts.context,
    )


def _layer(header: Header, facts: ModelFacts, number: int, tensors: Mapping[str, Tensor]) -> Layer:
    weights = sum(tensor.bytes for tensor in tensors.values())
    recurrent = any(name.startswith(("ssm_", "shortconv", "time_mix")) for name in tensors)
    key, value = _cache_widths(header, facts, number, tensors, recurrent)
    return Layer(weights, key, value, _state(header, facts) if recurrent else 0)


def _cache_widths(
    header: Header, facts: ModelFacts, number: int, tensors: Mapping[str, Tensor], recurrent: bool
) -> tuple[int, int]:
    latent = _width(tensors, "attn_kv_a_mqa.weight")
    if latent and header.get("attention.key_length_mla"):
        return latent, 0
    key, value = _width(tensors, "attn_k.weight"), _width(tensors, "attn_v.weight")
    if key:
        return key, value or key
    fused = "attn_qkv.weight" in tensors and not recurrent
    if latent or fused:
        heads = facts.kv_heads[number]
        return heads * facts.key_length, heads * facts.value_length
    return 0, 0


def _state(header: Header, facts: ModelFacts) -> int:
    """Bytes of state that a recurrent layer keeps for each conversation, whatever its length (float32)."""

    def number(key: str) -> int:
        value: Any = header.get(key, 0)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

    short = number("shortconv.l_cache")
    if short:
        return 4 * (short - 1) * facts.embedding
    head_size = number("wkv.head_size")
    if head_size:
        return 4 * facts.embedding * (number("token_shift_count") or 2) + 4 * facts.embedding * head_size
    inner, state = number("ssm.inner_size"), number("ssm.state_size")
    kept = max(0, number("ssm.conv_kernel") - 1)
    return 4 * (kept * (inner + 2 * number("ssm.group_count") * state) + inner * state)


def _without_shared(header: Header, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The last layers of some models read the cache of earlier ones (Gemma 3n) or only guess ahead: they keep none."""
    shared = header.get("attention.shared_kv_layers", 0) or header.get("nextn_predict_layers", 0)
    if not isinstance(shared, int) or not 0 < shared < len(layers):
        return layers
    own = len(layers) - shared
    return tuple(layer if n < own else Layer(layer.weights, state=layer.state) for n, layer in enumerate(layers))


def _width(tensors: Mapping[str, Tensor], name: str) -> int:
    tensor = tensors.get(name)
    return tensor.shape[1] if tensor is not None and len(tensor.shape) > 1 else 0


def _feed_forward(tensors: Mapping[str, Tensor]) -> int:
    """How wide one feed-forward block is; the experts' when there are any."""
    for name in ("ffn_down_exps.weight", "ffn_down.weight"):
        if name in tensors:
            return tensors[name].shape[0]
    return 0


def _is_gated(tensors: Mapping[str, Tensor]) -> bool:
    if any(name.startswith(("ffn_gate.", "ffn_gate_exps", "ffn_gate_up_exps")) for name in tensors):
        return True
    # A fused projection (Phi-3) is twice as wide as what comes out of it.
    return _width(tensors, "ffn_up.weight") > _feed_forward(tensors)
