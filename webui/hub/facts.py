"""What a header says about the model in it: its dimensions, its quantisation, and whether an engine can take them.

Pure: header in, facts out. An impossible dimension is refused here, because the engine would end its process over it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from webui.hub.architectures import WRITES_NO_TEXT
from webui.hub.gguf import Header, LongArray
from webui.hub.quants import BITS, FILE_TYPES, in_words
from webui.hub.reasons import bad

Content = Literal["model", "part", "lora", "projector", "tokenizer", "imatrix"]
_WITHOUT_ATTENTION = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The numbers a person and the memory estimate want. Values of each layer stand in tuples, `layers` long."""

    content: Content
    architecture: str
    title: str = ""
    parameters: int = 0
    quantisation: str = ""
    bits_per_weight: float = 0.0
    tensor_bytes: int = 0
    layers: int = 0
    embedding: int = 0
    heads: tuple[int, ...] = ()
    kv_heads: tuple[int, ...] = ()
    key_length: int = 0
    value_length: int = 0
    feed_forward: int = 0
    vocabulary: int = 0
    context: int = 0
    rope_base: float = 0.0
    rope_dimensions: int = 0
    sliding_window: int = 0
    experts: int = 0
    experts_used: int = 0
    chat_template: bool = False
    licence: str = ""
    split_no: int = 0
    split_count: int = 1

    def quantisation_in_words(self, language: str = "en") -> str:
        """Advice by the quantisation's name, not by this file: a small model's vocabulary is often kept finer."""
        bits = BITS.get(self.quantisation, self.bits_per_weight)
        return in_words(bits, language) if bits else ""


def facts_of(header: Header) -> ModelFacts:
    """Everything there is to know from a header; BadModelFile if its dimensions are impossible."""
    metadata = header.metadata
    split_no, split_count = _count(metadata, "split.no"), max(1, _count(metadata, "split.count"))
    content = _content(header, split_no)
    if content == "part":
        return ModelFacts(
            content,
            "",
            parameters=sum(tensor.elements for tensor in header.tensors),
            tensor_bytes=sum(tensor.bytes for tensor in header.tensors),
            split_no=split_no,
            split_count=split_count,
        )
    if not header.architecture:
        raise bad("no_architecture")
    if content in ("lora", "imatrix", "projector"):
        return _short(header, content)
    if content == "model" and header.architecture in WRITES_NO_TEXT:
        raise bad(WRITES_NO_TEXT[header.architecture], architecture=header.architecture)
    return _model(header, content, split_no, split_count)


def _content(header: Header, split_no: int) -> Content:
    kind = header.metadata.get("general.type", "model")
    if kind == "adapter":
        return "lora"
    if kind == "imatrix":
        return "imatrix"
    if kind in ("mmproj", "clip-vision") or header.architecture == "clip":
        return "projector"
    if split_no > 0:
        return "part"
    return "tokenizer" if not header.tensors and _count(header.metadata, "split.count") < 2 else "model"


def _short(header: Header, content: Content) -> ModelFacts:
    return ModelFacts(
        content,
        header.architecture,
        title=_text(header.metadata, "general.name"),
        parameters=sum(tensor.elements for tensor in header.tensors),
        tensor_bytes=sum(tensor.bytes for tensor in header.tensors),
        licence=_text(header.metadata, "general.license"),
    )


def _model(header: Header, content: Content, split_no: int, split_count: int) -> ModelFacts:
    layers = _need(header, "block_count", 1, 512)
    embedding = _need(header, "embedding_length", 1, 1 << 20)
    context = _need(header, "context_length", 1, 1 << 24)
    heads = _per_layer(header, "attention.head_count", layers, default=0)
    most = max(heads)
    if not most and header.architecture not in _WITHOUT_ATTENTION:
        raise bad("no_heads", key=f"{header.architecture}.attention.head_count")
    if most > 1024:
        raise bad("range", key=f"{header.architecture}.attention.head_count", value=most, low=1, high=1024)
    kv_heads = _per_layer(header, "attention.head_count_kv", layers, default=most)
    if max(kv_heads) > most:
        raise bad("kv_heads", key=f"{header.architecture}.attention.head_count_kv")
    explicit = int(_number(header.get("attention.key_length")))
    if most and not explicit and embedding % most:
        raise bad("heads_divide", embedding=embedding, heads=most)
    head_size = explicit or (embedding // most if most else 0)
    parameters = sum(tensor.elements for tensor in header.tensors)
    tensor_bytes = sum(tensor.bytes for tensor in header.tensors)
    return ModelFacts(
        content,
        header.architecture,
        title=_text(header.metadata, "general.name"),
        parameters=parameters,
        quantisation=_quantisation(header),
        bits_per_weight=8 * tensor_bytes / parameters if parameters else 0.0,
        tensor_bytes=tensor_bytes,
        layers=layers,
        embedding=embedding,
        heads=heads,
        kv_heads=kv_heads,
        key_length=head_size,
        value_length=int(_number(header.get("attention.value_length"))) or head_size,
        feed_forward=max(_per_layer(header, "feed_forward_length", layers, default=0), default=0),
        vocabulary=_vocabulary(header),
        context=context,
        rope_base=float(_number(header.get("rope.freq_base"))) or 10_000.0,
        rope_dimensions=int(_number(header.get("rope.dimension_count"))) or head_size,
        sliding_window=max(_per_layer(header, "attention.sliding_window", layers, default=0)),
        experts=_count(header.metadata, f"{header.architecture}.expert_count"),
        experts_used=_count(header.metadata, f"{header.architecture}.expert_used_count"),
        chat_template=bool(_text(header.metadata, "tokenizer.chat_template")),
        licence=_text(header.metadata, "general.license"),
        split_no=split_no,
        split_count=split_count,
    )


def _number(value: Any) -> float:
    """The number in a metadata value, 0 for anything that is none (a list counts as its largest)."""
    if isinstance(value, tuple):
        return max((_number(item) for item in value), default=0)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0


def _count(metadata: Mapping[str, Any], key: str) -> int:
    value = metadata.get(key, 0)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _need(header: Header, key: str, low: int, high: int) -> int:
    value = header.get(key)
    name = f"{header.architecture}.{key}"
    if value is None:
        raise bad("missing", key=name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise bad("range", key=name, value=repr(value), low=low, high=high)
    return value


def _per_layer(header: Header, key: str, layers: int, *, default: int) -> tuple[int, ...]:
    """A dimension that may be one number for all layers or a list of one for each."""
    value = header.get(key)
    if value is None:
        return (default,) * layers
    values = value if isinstance(value, tuple) else (value,) * layers
    name = f"{header.architecture}.{key}"
    if len(values) < layers:
        raise bad("few_values", key=name, count=len(values), layers=layers)
    if any(not isinstance(item, int) or isinstance(item, bool) or not 0 <= item < 1 << 31 for item in values):
        raise bad("no_size", key=name, value=repr(value))
    return tuple(values[:layers])


def _vocabulary(header: Header) -> int:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, LongArray):
        return tokens.count
    if isinstance(tokens, tuple):
        return len(tokens)
    return int(_number(header.get("vocab_size")))


def _quantisation(header: Header) -> str:
    """The file's own word for its quantisation, else the type that most of the weights have."""
    named = FILE_TYPES.get(_count(header.metadata, "general.file_type"))
    sizes: Counter[str] = Counter()
    for tensor in header.tensors:
        sizes[tensor.type.name] += tensor.bytes
    most = sizes.most_common(1)[0][0] if sizes else ""
    return named if named and "general.file_type" in header.metadata else most
