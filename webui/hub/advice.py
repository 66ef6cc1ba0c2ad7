"""Sorts the files of a repository into what one can download with a click, with a word of advice about each.

Pure: a RepoView in, Offers out. A model in several parts is one offer, with all of them; an EXL2 branch or a LoRA is a
folder. Pickles are never offered, by name here and by content in transfer.py. Knows nothing of networks.

To call: `offers(view)` gives an Overview: `.offers` best first, `.refused` (names of pickles), `.problem` (a HubFault
when there is nothing to load); `fit(offer, facts, machine)` a Verdict for this machine; `offer.advice` is a code
(ADVICE has the English sentence), `quants.in_words(offer.bits, language)` the quantisation in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from webui.hub.facts import ModelFacts
from webui.hub.faults import HubFault, NothingToLoad, Pickle
from webui.hub.machine import Machine
from webui.hub.memory import Plan, Verdict, best_gpu_layers, estimate, verdict
from webui.hub.quants import BITS, quantisation_in
from webui.hub.search import RemoteFile, RepoView
from webui.hub.shape import shape_of_facts

OfferKind = Literal["gguf", "exl2", "gptq", "safetensors", "lora", "projector"]
_SPLIT = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)
_BPW = re.compile(r"(?<![\d.])(\d{1,2}(?:[._]\d{1,3})?)[ _-]?bpw", re.IGNORECASE)
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_FOLDER_FILES = (".safetensors", ".json", ".model", ".jinja", ".txt", ".tiktoken")
_OTHER_SAFETENSORS = ("consolidated",)

ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "best": "The usual choice: hardly worse than the original at a third of its size.",
        "better": "A little better than the usual choice, a little larger.",
        "largest_good": "As good as the original; worth it only where there is room to spare.",
        "original": "The unquantised original: for quantising it oneself, or for very large GPUs.",
        "small": "Smaller and a little worse; for when the usual choice does not fit.",
        "poor": "Visibly worse; a smaller model in four bits is usually the better choice.",
        "old": "An old way of quantising: the one with K in its name is better at the same size.",
        "unknown": "The name does not say how it is quantised.",
        "lora": "A LoRA: it is applied to the model it was made for.",
        "projector": "The image part of a model; it is of no use alone.",
        "exl2": "For ExLlamaV2 on an NVIDIA GPU; not run by this program, which takes GGUF.",
    }
)
_ORDER = ("best", "better", "small", "largest_good", "old", "exl2", "poor", "unknown", "original", "lora", "projector")


@dataclass(frozen=True, slots=True)
class Offer:
    """Something to download as a whole. `folder` is the folder it makes in the model folder ("" for single files)."""

    repo: str
    commit: str
    revision: str
    kind: OfferKind
    title: str
    files: tuple[RemoteFile, ...]
    quantisation: str = ""
    bits: float = 0.0
    advice: str = "unknown"
    folder: str = ""
    missing: tuple[str, ...] = ()
    wanted: bool = False

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Overview:
    offers: tuple[Offer, ...]
    refused: tuple[str, ...] = ()
    problem: HubFault | None = None


def offers(view: RepoView) -> Overview:
    """What there is to download, the best choice first; what was asked for by name before all."""
    refused = tuple(file.path for file in view.files if file.name.lower().endswith(_PICKLES))
    found = [*_gguf_offers(view), *_folder_offers(view)]
    found = [replace(offer, wanted=_is_wanted(offer, view.wanted)) for offer in found]
    found.sort(key=lambda offer: (not offer.wanted, _ORDER.index(offer.advice), -offer.size))
    problem: HubFault | None = None
    if not found:
        weights = [path for path in refused if "optimizer" not in path and "training_args" not in path]
        problem = Pickle(weights[0]) if weights else NothingToLoad(view.repo)
    return Overview(tuple(found), refused, problem)


def _gguf_offers(view: RepoView) -> Iterable[Offer]:
    parts: dict[tuple[str, int], list[RemoteFile]] = {}
    for file in view.files:
        if not file.path.lower().endswith(".gguf"):
            continue
        split = _SPLIT.match(file.path)
        key = (split["stem"], int(split["count"])) if split else (file.path[:-5], 1)
        parts.setdefault(key, []).append(file)
    for (stem, count), files in parts.items():
        missing: tuple[str, ...] = ()
        if count > 1:
            expected = {f"{stem}-{number:05d}-of-{count:05d}.gguf" for number in range(1, min(count, 1000) + 1)}
            missing = tuple(sorted(expected - {file.path for file in files}))
        yield _gguf_offer(view, stem, tuple(files), missing)


def _gguf_offer(view: RepoView, stem: str, files: tuple[RemoteFile, ...], missing: tuple[str, ...]) -> Offer:
    name = stem.rsplit("/", 1)[-1]
    quantisation = quantisation_in(f"{name}.gguf") or quantisation_in(f"{stem.replace('/', '-')}.gguf") or ""
    size = sum(file.size for file in files)
    bits = BITS.get(quantisation, 0.0)
    kind: OfferKind = "gguf"
    advice = _advice(quantisation, bits)
    if name.lower().startswith(("mmproj", "clip-")) or "-mmproj" in name.lower():
        kind, advice = "projector", "projector"
    elif "lora" in name.lower() and size < 2 << 30:
        kind, advice = "lora", "lora"
    return Offer(
        view.repo, view.commit, view.revision, kind, name, files, quantisation, bits, advice, missing=missing
    )  # fmt: skip


def _advice(quantisation: str, bits: float) -> str:
    if not bits:
        return "unknown"
    if bits >= 12:
        return "original"
    if quantisation in ("Q4_0", "Q4_1", "Q5_0", "Q5_1"):
        return "old"
    if quantisation in ("Q4_K_M", "MXFP4", "MXFP4_MOE"):
        return "best"
    if bits >= 7.5:
        return "largest_good"
    if bits >= 5.2:
        return "better"
    return "small" if bits >= 3.4 else "poor"


def _folder_offers(view: RepoView) -> Iterable[Offer]:
    """Folders with safetensors in them: a whole branch, or folders inside it."""
    folders = {file.path.rpartition("/")[0] for file in view.files if file.name.lower().endswith(".safetensors")}
    for folder in sorted(folders):
        inside = [file for file in view.files if file.path.rpartition("/")[0] == folder]
        names = {file.name for file in inside}
        kept = tuple(file for file in inside if _belongs(file))
        own_name = view.repo.rpartition("/")[2] + (f"-{view.revision}" if view.revision != "main" else "")
        title = own_name + (f"-{folder.replace('/', '-')}" if folder else "")
        base = Offer(view.repo, view.commit, view.revision, "safetensors", title, kept, folder=title)
        if "adapter_config.json" in names:
            yield replace(base, kind="lora", advice="lora")
        elif "config.json" in names:
            yield _quantised(base, view, names)


def _quantised(base: Offer, view: RepoView, names: set[str]) -> Offer:
    label = f"{view.repo} {view.revision} {base.title}"
    rate = _BPW.search(label)
    if rate or "exl2" in label.lower():
        bits = float(rate[1].replace("_", ".")) if rate else 0.0
        return replace(
            base, kind="exl2", quantisation=f"EXL2 {bits:g} bpw" if bits else "EXL2", bits=bits, advice="exl2"
        )
    if "gptq" in label.lower() or "quantize_config.json" in names:
        return replace(base, kind="gptq", quantisation="GPTQ", bits=4.0, advice="exl2")
    return replace(base, quantisation="F16", bits=16.0, advice="original")


def _belongs(file: RemoteFile) -> bool:
    name = file.name.lower()
    return name.endswith(_FOLDER_FILES) and not name.startswith(_OTHER_SAFETENSORS) and "training_args" not in name


def _is_wanted(offer: Offer, wanted: str) -> bool:
    if not wanted:
        return False
    if offer.quantisation.upper() == wanted.upper():
        return True
    prefix = wanted.rstrip("/") + "/"
    return any(file.path == wanted or file.path.startswith(prefix) for file in offer.files)


def fit(offer: Offer, machine: Machine, facts: ModelFacts | None = None, context: int = 4096) -> Verdict | None:
    """Whether it will fit here once downloaded; None for what is not loaded alone.

    With `facts` (peek.py reads them from the file's beginning) the cache is counted for the model's real dimensions,
    without them a tenth of the weights is added for it.
    """
    if offer.kind in ("lora", "projector"):
        return None
    if facts is None or not facts.layers:
        facts = ModelFacts("model", "", tensor_bytes=offer.size * 11 // 10, layers=32, kv_heads=(0,) * 32)
    else:
        facts = replace(facts, tensor_bytes=offer.size)
    shape = shape_of_facts(facts)
    plan = Plan(context=min(context, facts.context or context), gpus=max(1, len(machine.gpus)))
    plan = replace(plan, gpu_layers=best_gpu_layers(shape, plan, machine))
    if offer.kind in ("exl2", "gptq"):
        plan = replace(plan, gpu_layers=len(shape.layers) + 1, mmap=False)
    return verdict(estimate(shape, plan), machine)
