"""A look as JSON that opens again without the model.

The row travels whole, as compressed float32, so that what is opened again is exact. Everything in a file is checked
when it is read: files come from anywhere.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from webui.errors import BadValue
from webui.lab.walk import Node, Tree
from webui.samplers.chain import Chain
from webui.samplers.state import Row
from webui.types import Step

FORMAT = "sampler-lab.look"
VERSION = 1
MOST_VOCABULARY = 1 << 20
MOST_TOKENS = 1 << 20
MOST_ROW_BYTES = 128 << 20
LONGEST_FILE = 512 << 20


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What samplers must know of the model, so that a look can be worked out again without it."""

    name: str
    size: int
    end_ids: tuple[int, ...] = ()
    newline_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """A look as it is written and read. `rows` are those of the tree's positions that were at hand, by node; `texts`
    those of the tokens the file is about.
    """

    model: ModelFacts
    prompt: str
    tree: Tree
    chain: tuple[Step, ...]
    seed: int
    rows: Mapping[int, Row]
    texts: Mapping[int, str]


def chain_data(steps: Iterable[Step]) -> list[list[Any]]:
    """A chain as [[name, {parameter: value}], ...] in what JSON can say: a bias of minus infinity becomes "-inf"."""
    return [[step.sampler, {name: plain(value) for name, value in step.values.items()}] for step in steps]


def plain(value: Any) -> Any:
    if isinstance(value, float) and value == -math.inf:
        return "-inf"
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def to_json(saved: Saved) -> str:
    data = {
        "format": FORMAT,
        "version": VERSION,
        "model": {
            "name": saved.model.name,
            "size": saved.model.size,
            "end_ids": saved.model.end_ids,
            "newline_ids": saved.model.newline_ids,
        },
        "prompt": saved.prompt,
        "tokens": saved.tree.prompt,
        "seed": saved.seed,
        "chain": chain_data(saved.chain),
        "current": saved.tree.current,
        "steps": [_node_data(node) for node in saved.tree.nodes[1:]],
        "texts": {str(token): text for token, text in saved.texts.items()},
        "rows": {str(node): pack_row(row) for node, row in saved.rows.items()},
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _node_data(node: Node) -> dict[str, Any]:
    return {
        "parent": node.parent,
        "token": node.token,
        "raw": node.raw,
        "final": node.final,
        "rank": node.rank,
        "drawn": node.drawn,
        "chain": chain_data(node.chain),
    }


def pack_row(row: Row) -> str:
    """Little-endian float32, deflated, in base64."""
    return base64.b64encode(zlib.compress(row.astype("<f4").tobytes(), 6)).decode("ascii")


def unpack_row(text: Any, size: int) -> Row:
    """The row, whose size must be as announced: a small file cannot ask for a lot of memory."""
    if not isinstance(text, str):
        raise _bad("a row is not text")
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(text, validate=True), size * 4 + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise _bad("a row is damaged") from error
    if len(data) != size * 4:
        raise _bad("a row has the wrong size")
    row = np.frombuffer(data, dtype="<f4").astype(np.float32)
    if np.isnan(row).any() or not math.isfinite(float(row.max())):
        raise _bad("a row holds what are no logits")
    return row


def from_json(text: str) -> Saved:
    """Read what to_json wrote; BadValue names what is wrong."""
    if len(text) > LONGEST_FILE:
        raise _bad("it is too long")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad("it is not JSON") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _bad("it is no look of Sampler Lab")
    if not isinstance(data.get("version"), int) or data["version"] > VERSION:
        raise _bad("it was written by a newer version")
    model = _model(data.get("model"))
    tree = _tree(data, model.size)
    rows = data.get("rows")
    if not isinstance(rows, dict) or str(tree.current) not in rows or len(rows) * model.size * 4 > MOST_ROW_BYTES:
        raise _bad("the row it is about is missing")
    places = {key: _whole(int(key) if key.isascii() and key.isdigit() else None, len(tree.nodes)) for key in rows}
    return Saved(
        model=model,
        prompt=_text(data.get("prompt")),
        tree=tree,
        chain=_chain(data.get("chain")),
        seed=_whole(data.get("seed"), 1 << 63),
        rows={places[key]: unpack_row(row, model.size) for key, row in rows.items()},
        texts=_texts(data.get("texts"), model.size),
    )


def _model(data: Any) -> ModelFacts:
    if not isinstance(data, dict):
        raise _bad("the model is missing")
    size = _whole(data.get("size"), MOST_VOCABULARY + 1)
    if size < 1:
        raise _bad("the vocabulary is empty")
    return ModelFacts(
        _text(data.get("name")), size, _ids(data.get("end_ids"), size), _ids(data.get("newline_ids"), size)
    )


def _tree(data: Mapping[str, Any], size: int) -> Tree:
    steps = data.get("steps")
    if not isinstance(steps, list):
        raise _bad("the steps are missing")
    tree = Tree(_ids(data.get("tokens"), size))
    for step in steps:
        if not isinstance(step, dict):
            raise _bad("a step is damaged")
        count = len(tree.nodes)
        tree = tree.add(
            _whole(step.get("parent"), count),
            _whole(step.get("token"), size),
            raw=_share(step.get("raw")),
            final=_share(step.get("final")),
            rank=_whole(step.get("rank"), size + 1),
            drawn=step.get("drawn") is True,
            chain=_chain(step.get("chain")),
        )
        if len(tree.nodes) == count:
            raise _bad("a step is there twice")
    return tree.go(_whole(data.get("current"), len(tree.nodes)))


def _chain(data: Any) -> tuple[Step, ...]:
    if not isinstance(data, list):
        raise _bad("a chain is missing")
    return Chain.parse(data).steps


def _texts(data: Any, size: int) -> dict[int, str]:
    if not isinstance(data, dict):
        raise _bad("the tokens' texts are missing")
    return {
        _whole(int(key) if key.isascii() and key.isdigit() else None, size): _text(text) for key, text in data.items()
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _bad("a text is missing")
    return value


def _whole(value: Any, below: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < below:
        raise _bad("a number is out of range")
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise _bad("a probability is out of range")
    return float(value)


def _ids(value: Any, size: int) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > MOST_TOKENS:
        raise _bad("token ids are missing")
    return tuple(_whole(token, size) for token in value)


def _bad(why: str) -> BadValue:
    return BadValue(f"This file cannot be opened: {why}.", param="file", code="bad_look_file", values={"why": why})
