"""Makes a smaller version of a model, and tells how much is lost by it.

One job at a time, in a process of its own, into a hidden file that is renamed at the end: a cancelled or crashed job
leaves nothing. Knows nothing of pages.

To call: `quantiser = Quantiser(model_folder)`, then
- `choices(entry)`: what the model can be made into: TypeChoice with words, estimated size, `needs_matrix`, `advice`;
- `free_name(folder, entry, "Q4_K_M")`: a name for the new file that is not taken yet;
- `await quantiser.start(entry, "Q4_K_M")` (with `matrix=path` for the types that need one): returns at once;
- `quantiser.view()`: QuantiseView (state, progress, tensor, seconds_left, target, sizes, problem) or None;
- `await quantiser.cancel()`, `.close()`; `on_done` is called with the path of a finished file;
- `await compare_quality(reference, other, text, progress)`: Quality (mean and 99 % divergence, same top token).
"""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from webui.errors import BadValue, Busy
from webui.files import safe_child
from webui.hub.errand import Progress, run_errand
from webui.hub.facts import ModelFacts
from webui.hub.faults import DiskFull, Exists, NotWritten
from webui.hub.gguf import Header, read_header
from webui.hub.imatrix import read_matrix
from webui.hub.library import ModelEntry
from webui.hub.quants import BITS, FILE_TYPES, in_words, quantisation_in
from webui.hub.watched import JobView, WatchedJob

COMPARED_TOKENS = 512
NEED_MATRIX = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "Q2_K_S"})
_SPECIAL = frozenset({"MXFP4_MOE", "NVFP4", "Q1_0"})
"""Formats that models are trained in, not made into: a model that was not loses its mind."""
_NUMBERS: Mapping[str, int] = MappingProxyType({name: number for number, name in FILE_TYPES.items()})


@dataclass(frozen=True, slots=True)
class TypeChoice:
    """`advice`: good, larger (than the original: nothing is gained), twice (from an already quantised file), poor."""

    name: str
    bits: float
    size: int
    needs_matrix: bool
    advice: Literal["good", "larger", "twice", "poor"]

    def in_words(self, language: str = "en") -> str:
        return in_words(self.bits, language)


@dataclass(frozen=True, slots=True)
class QuantiseView(JobView):
    source: str
    type: str
    target: Path
    tensor: str = ""
    size_before: int = 0
    size_after: int = 0
    fallbacks: int = 0


@dataclass(frozen=True, slots=True)
class Quality:
    """The second model against the first, over `tokens` places. Divergences in nats, `same_top` a share of 1."""

    tokens: int
    mean: float
    median: float
    p99: float
    largest: float
    same_top: float
    perplexity: tuple[float, float]
    shift_rms: float


def choices(entry: ModelEntry) -> tuple[TypeChoice, ...]:
    """All types llama.cpp can write, the largest first."""
    facts = entry.facts
    if entry.kind != "gguf" or facts is None or not facts.parameters:
        raise BadValue(f"{entry.name} is no GGUF model: only those can be quantised here.", param="model")
    found = []
    for name in sorted(_NUMBERS.keys() - _SPECIAL, key=lambda name: -BITS[name]):
        bits = BITS[name]
        size = expected_size(facts, name)
        advice: Literal["good", "larger", "twice", "poor"] = "good"
        if bits >= facts.bits_per_weight * 0.97:
            advice = "larger"
        elif facts.bits_per_weight < 7.5:
            advice = "twice"
        elif bits < 3.4:
            advice = "poor"
        found.append(TypeChoice(name, bits, size, name in NEED_MATRIX, advice))
    return tuple(sorted(found, key=lambda choice: -choice.size))


def expected_size(facts: ModelFacts, name: str) -> int:
    """About how many bytes the weights will take. llama.cpp keeps the output finer than the rest, and gives rows that
    are not whole blocks of 256 the next finer type with blocks of 32: both count much in small models."""
    bits = BITS[name]
    if bits >= BITS["Q8_0"]:
        return round(facts.parameters * bits / 8)
    in_blocks = facts.embedding % 256 == 0
    output = min(facts.parameters, facts.vocabulary * facts.embedding)
    rest = facts.parameters - output
    down = min(rest, facts.layers * facts.embedding * facts.feed_forward) if facts.feed_forward % 256 == 0 else 0
    narrow = 0 if in_blocks or name in _SMALL_BLOCKS else rest - down
    finer = next(fallback for least, fallback in _FINER if bits >= least)
    total = (
        output * (max(bits, BITS["Q6_K"]) if in_blocks else BITS["Q8_0"])
        + narrow * max(bits, finer)
        + (rest - narrow) * bits
    )
    return round(total / 8)


_SMALL_BLOCKS = frozenset({"Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL"})
_FINER = (
    (BITS["Q6_K"], BITS["Q8_0"]),
    (BITS["Q5_K_S"], BITS["Q5_1"]),
    (BITS["Q4_K_S"], BITS["Q5_0"]),
    (0.0, BITS["IQ4_NL"]),
)
"""What rows that do not fit get instead, by the bits of the type that was chosen."""


class Quantiser(WatchedJob[QuantiseView]):
    def __init__(self, folder: Path, *, on_done: Callable[[Path], object] = lambda path: None) -> None:
        super().__init__(folder)
        self._on_done = on_done

    async def start(
        self, entry: ModelEntry, type_name: str, *, name: str = "", threads: int = 0, matrix: Path | None = None
    ) -> QuantiseView:
        """Begin. What can be known to fail fails here, with a sentence."""
        if self.runs:
            raise Busy("A model is being quantised already: wait for it, or cancel it.", code="quantising")
        choice = next((choice for choice in choices(entry) if choice.name == type_name), None)
        if choice is None:
            raise BadValue(f"There is no quantisation {type_name!r} to choose.", param="type")
        if choice.needs_matrix and matrix is None:
            sentence = f"{type_name} needs an importance matrix: choose an imatrix file, or a type of 3 bits or more."
            raise BadValue(sentence, param="matrix", code="quantise_needs_matrix", values={"type": type_name})
        target = safe_child(self.folder, name or new_name(entry, type_name))
        if target.suffix.lower() != ".gguf":
            raise BadValue("The name of the new file must end in .gguf.", param="name", code="quantise_name")
        if target.exists():
            raise Exists(target.name)
        await asyncio.to_thread(self._check_space, choice.size)
        headers = await asyncio.to_thread(lambda: [read_header(file) for file in entry.files])
        table = await asyncio.to_thread(read_matrix, matrix) if matrix is not None else None
        view = QuantiseView(entry.name, type_name, target, size_before=entry.size_bytes)
        return self._begin(view, lambda: self._quantise(view, entry, headers, threads, table), "quantise")

    def _check_space(self, size: int) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotWritten(str(self.folder), error.strerror or str(error)) from error
        needed, free = size + 100_000_000, shutil.disk_usage(self.folder).free
        if needed > free:
            raise DiskFull(str(self.folder), needed, free)

    async def _quantise(
        self,
        view: QuantiseView,
        entry: ModelEntry,
        headers: list[Header],
        threads: int,
        matrix: Mapping[str, Any] | None,
    ) -> Mapping[str, Any]:
        part = self.folder / f".{view.target.name}.{uuid.uuid4().hex[:8]}.part"
        arguments = {
            "source": str(entry.path),
            "target": str(part),
            "file_type": _NUMBERS[view.type],
            "threads": threads,
            "dry_run": False,
            "matrix": matrix,
            "weights": {tensor.name: tensor.bytes for header in headers for tensor in header.tensors},
        }
        try:
            done = await run_errand("quantise", arguments, lambda share, tensor: self._tell(share, tensor=tensor))
            await asyncio.to_thread(_finish, part, view.target)
            return {"size_after": view.target.stat().st_size, "fallbacks": done["fallbacks"]}
        finally:
            part.unlink(missing_ok=True)

    def _done(self) -> None:
        assert self._view is not None, "it has just ended"
        self._on_done(self._view.target)


def _finish(part: Path, target: Path) -> None:
    """The new file must be sound before it gets its name."""
    read_header(part)
    if target.exists():
        raise Exists(target.name)
    part.rename(target)


def free_name(folder: Path, entry: ModelEntry, type_name: str) -> str:
    """A file name that is not taken yet: the usual one, or with a number."""
    name, number = new_name(entry, type_name), 2
    while (folder / name).exists():
        name, number = f"{new_name(entry, type_name)[:-5]}-{number}.gguf", number + 1
    return name


def new_name(entry: ModelEntry, type_name: str) -> str:
    """The model's name with the new quantisation in place of the old one."""
    stem = entry.name.rsplit("/", 1)[-1]
    old = quantisation_in(f"{stem}.gguf")
    for separator in ("-", ".", "_"):
        for word in {old or "", (old or "").lower(), "fp16", "FP16", "fp32", "FP32"} - {""}:
            stem = stem.removesuffix(separator + word)
    return f"{stem}-{type_name}.gguf"


async def compare_quality(
    reference: ModelEntry,
    other: ModelEntry,
    text: str,
    progress: Progress = lambda share, about: None,
    *,
    scratch_folder: Path,
    tokens: int = COMPARED_TOKENS,
    n_gpu_layers: int = 0,
    threads: int = 0,
) -> Quality:
    """Read `text` with both, one after the other, and compare each prediction. Cancel the task to stop it."""
    for entry in (reference, other):
        if entry.kind != "gguf" or entry.problem:
            raise BadValue(f"{entry.name} is no GGUF model that can be loaded.", param="model")
    if not text.strip():
        raise BadValue("There is no text to compare on: paste a page or two.", param="text")
    vocabulary = max(entry.facts.vocabulary if entry.facts else 0 for entry in (reference, other))
    needed, free = tokens * vocabulary * 4 + 50_000_000, shutil.disk_usage(scratch_folder).free
    if needed > free:
        raise DiskFull(str(scratch_folder), needed, free)
    arguments = {
        "paths": [str(reference.path), str(other.path)],
        "text": text,
        "most": tokens,
        "scratch": str(scratch_folder / f".compare-{uuid.uuid4().hex[:8]}.rows"),
        "n_gpu_layers": n_gpu_layers,
        "threads": threads,
    }
    try:
        found = await run_errand("compare", arguments, progress)
    finally:
        # A killed process cannot clean up after itself.
        Path(str(arguments["scratch"])).unlink(missing_ok=True)
    return Quality(**{**found, "perplexity": tuple(found["perplexity"])})
