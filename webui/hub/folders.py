"""Models that are folders: EXL2, GPTQ and plain safetensors, LoRA adapters, and folders that only look like a model.

Reads config files and the headers of safetensors, never a pickle and never code. They are listed with all that is known
of them, and with a reason: there is no engine for them yet. Knows nothing of GGUF.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from webui.hub.facts import ModelFacts
from webui.hub.reasons import Reason

MAX_JSON = 64 << 20
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "merges.txt")


@dataclass(frozen=True, slots=True)
class SeenFolder:
    kind: Literal["exl2", "gptq", "safetensors", "lora", "tokenizer", "unusable"]
    size: int = 0
    files: tuple[Path, ...] = ()
    facts: ModelFacts | None = None
    reason: Reason | None = None
    culprit: str = ""
    """The file the reason is about, if it is not the folder."""


def look_at_folder(path: Path) -> SeenFolder:
    """What a folder holds. One with nothing of a model in it is "unusable" without a reason."""
    files = sorted(file for file in path.iterdir() if file.is_file())
    names = {file.name for file in files}
    weights = tuple(file for file in files if file.suffix == ".safetensors")
    size = sum(file.stat().st_size for file in weights)
    if "adapter_config.json" in names:
        return SeenFolder("lora", size, weights, None, Reason("lora"))
    if not weights:
        return _without_weights(files, names)
    config = _json(path / "config.json")
    if not config:
        return SeenFolder("unusable", size, weights, None, Reason("no_config"))
    missing = _missing_shards(path, names)
    if missing:
        return SeenFolder("unusable", size, weights, None, Reason("shards", {"names": ", ".join(missing)}))
    for file in weights:
        if reason := check_safetensors(file):
            return SeenFolder("unusable", size, weights, None, reason, file.name)
    kind = _quantiser(config, names)
    reason = Reason("no_engine", {"format": kind.upper() if kind != "safetensors" else kind})
    return SeenFolder(kind, size, weights, _facts(path, config, kind, size), reason)


def _without_weights(files: list[Path], names: set[str]) -> SeenFolder:
    if any(file.suffix in _PICKLES for file in files):
        return SeenFolder("unusable", reason=Reason("pickles"))
    if names & set(_TOKENIZERS):
        return SeenFolder("tokenizer", reason=Reason("tokenizer"))
    if "config.json" in names and isinstance(_json(files[0].parent / "config.json").get("model_type"), str):
        return SeenFolder("unusable", reason=Reason("config_only"))
    return SeenFolder("unusable")


def check_safetensors(path: Path) -> Reason | None:
    """Why a safetensors file cannot be trusted, None if its header is sound. The weights are not read."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else MAX_JSON + 1
            if length > min(MAX_JSON, size - 8):
                return Reason("not_safetensors")
            header = orjson.loads(file.read(length))
    except orjson.JSONDecodeError:
        return Reason("not_safetensors")
    except OSError as error:
        return Reason("unreadable", {"why": error.strerror or str(error)})
    return _check_tensors(header, size - 8 - length) if isinstance(header, dict) else Reason("not_safetensors")


def _check_tensors(header: Mapping[str, Any], space: int) -> Reason | None:
    for tensor, entry in header.items():
        if tensor == "__metadata__":
            continue
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(isinstance(item, int) for item in offsets):
            return Reason("tensor_place", {"name": tensor})
        if not 0 <= offsets[0] <= offsets[1] <= space:
            return Reason("tensor_end", {"name": tensor})
    return None


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON:
            return {}
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _missing_shards(path: Path, names: set[str]) -> list[str]:
    shards = _json(path / "model.safetensors.index.json").get("weight_map", {})
    wanted = {shard for shard in shards.values() if isinstance(shard, str)} if isinstance(shards, dict) else set()
    return sorted(wanted - names) if not any(name.startswith("output") for name in names) else []


def _quantiser(config: Mapping[str, Any], names: set[str]) -> Literal["exl2", "gptq", "safetensors"]:
    method = config.get("quantization_config", {})
    method = method.get("quant_method") if isinstance(method, dict) else None
    if method == "exl2":
        return "exl2"
    return "gptq" if method == "gptq" or "quantize_config.json" in names else "safetensors"


def _facts(path: Path, config: Mapping[str, Any], kind: str, size: int) -> ModelFacts:
    def number(*keys: str) -> int:
        for key in keys:
            value = config.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
        return 0

    quantised = config.get("quantization_config")
    bits = quantised.get("bits", 0.0) if isinstance(quantised, dict) else 0.0
    bits = float(bits) if isinstance(bits, (int, float)) else 0.0
    if kind == "safetensors":
        bits = 32.0 if config.get("torch_dtype", config.get("dtype")) == "float32" else 16.0
    layers, heads, embedding = number("num_hidden_layers", "n_layer"), number("num_attention_heads", "n_head"), 0
    embedding = number("hidden_size", "n_embd")
    head_size = number("head_dim") or (embedding // heads if heads else 0)
    base = config.get("rope_theta", 10_000.0)
    template = "chat_template" in _json(path / "tokenizer_config.json") or (path / "chat_template.jinja").exists()
    return ModelFacts(
        "model",
        str(config.get("model_type", "")),
        parameters=round(8 * size / bits) if bits else 0,
        quantisation={"exl2": f"EXL2 {bits:g} bpw", "gptq": f"GPTQ {bits:g} bit"}.get(
            kind, "F32" if bits > 16 else "F16"
        ),
        bits_per_weight=bits,
        tensor_bytes=size,
        layers=layers,
        embedding=embedding,
        heads=(heads,) * layers,
        kv_heads=(number("num_key_value_heads") or heads,) * layers,
        key_length=head_size,
        value_length=head_size,
        feed_forward=number("intermediate_size"),
        vocabulary=number("vocab_size"),
        context=number("max_position_embeddings", "n_positions"),
        rope_base=float(base) if isinstance(base, (int, float)) else 10_000.0,
        rope_dimensions=head_size,
        sliding_window=number("sliding_window"),
        experts=number("num_local_experts", "num_experts"),
        experts_used=number("num_experts_per_tok"),
        chat_template=template,
    )
