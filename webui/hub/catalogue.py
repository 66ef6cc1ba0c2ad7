"""A few good models to begin with, and which of them suits this machine.

The list is a small file beside this one (catalogue.yaml); nothing is asked of any hub. Pure, but for reading the file.

To call: `suggest(read_catalogue(), machine_now())` gives Suggestions, the recommended one first; `.entry`,
`.quantisation`, `.size`, `.verdict`, `.code` (recommended, fits, slow, too_large), `.reference` for Hub.look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from webui.hub.facts import ModelFacts
from webui.hub.machine import Machine
from webui.hub.memory import Plan, Verdict, best_gpu_layers, estimate, verdict
from webui.hub.quants import BITS
from webui.hub.reference import Reference, parse
from webui.hub.shape import Shape, shape_of_facts

FILE = Path(__file__).with_name("catalogue.yaml")
CONTEXT = 4096
QUICK_BYTES = 6_000_000_000
"""Without a GPU a model that reads more than this for each token answers slower than one reads."""

ROOMY = 0.8
"""The share of the free memory that a first model may take: other programs, and longer chats, want some too."""

Code = Literal["recommended", "fits", "slow", "too_large"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the catalogue. `sizes` are bytes by quantisation, `about` one sentence by language."""

    name: str
    repo: str
    rank: int
    parameters: int
    licence: str
    sizes: Mapping[str, int]
    about: Mapping[str, str]
    facts: ModelFacts
    repos: Mapping[str, str]

    def shape(self, quantisation: str) -> Shape:
        return shape_of_facts(replace(self.facts, tensor_bytes=self.sizes[quantisation]))


@dataclass(frozen=True, slots=True)
class Suggestion:
    entry: Entry
    quantisation: str
    verdict: Verdict
    code: Code

    @property
    def size(self) -> int:
        return self.entry.sizes[self.quantisation]

    @property
    def reference(self) -> Reference:
        """What to look up: the repository, asked for this quantisation."""
        return Reference(self.entry.repos.get(self.quantisation, self.entry.repo), self.quantisation)


def read_catalogue(file: Path = FILE) -> tuple[Entry, ...]:
    """All models of the catalogue, the best first. A wrong entry is a bug and raises."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return tuple(sorted((_entry(data) for data in content["models"]), key=lambda entry: -entry.rank))


def _entry(data: Mapping[str, Any]) -> Entry:
    layers, embedding, heads, kv_heads, head_size, feed_forward, vocabulary, context = data["shape"]
    experts, used, width = data.get("experts", (0, 0, 0))
    facts = ModelFacts(
        "model",
        "",
        title=data["name"],
        parameters=data["parameters"],
        layers=layers,
        embedding=embedding,
        heads=(heads,) * layers,
        kv_heads=(kv_heads,) * layers,
        key_length=head_size,
        value_length=head_size,
        feed_forward=width or feed_forward,
        vocabulary=vocabulary,
        context=context,
        experts=experts,
        experts_used=used,
        licence=data["licence"],
    )
    repo, repos = parse(data["repo"]).repo, dict(data.get("repos", {}))
    sizes = {name: round(float(size) * 1e9) for name, size in data["sizes"].items()}
    if unknown := sizes.keys() - BITS.keys():
        raise ValueError(f"{data['name']}: unknown quantisation {sorted(unknown)}")
    about = {language: str(data["about"][language]) for language in ("en", "ru")}
    return Entry(
        data["name"], repo, int(data["rank"]), data["parameters"], data["licence"], sizes, about, facts, repos
    )  # fmt: skip


def suggest(entries: Sequence[Entry], machine: Machine, context: int = CONTEXT) -> tuple[Suggestion, ...]:
    """Each model in the best quantisation that fits well here: the recommended one, the others that fit, the rest."""
    found = [_suggestion(entry, machine, context) for entry in entries]
    order: Mapping[Code, int] = {"recommended": 0, "fits": 1, "slow": 2, "too_large": 3}
    fitting = sorted((one for one in found if one.code == "fits"), key=lambda one: -one.entry.rank)
    roomy = [one for one in fitting if one.verdict.values["need"] <= ROOMY * one.verdict.values["free"]]
    first = next(iter((*roomy, *fitting)), None)
    if first is not None:
        found[found.index(first)] = replace(first, code="recommended")
    return tuple(sorted(found, key=lambda one: (order[one.code], -one.entry.rank)))


def verdicts(entry: Entry, machine: Machine, context: int = CONTEXT) -> Mapping[str, Verdict]:
    """Whether each quantisation of a model fits here, the smallest first."""
    return {name: _verdict(entry, name, machine, context) for name in sorted(entry.sizes, key=entry.sizes.__getitem__)}


def _suggestion(entry: Entry, machine: Machine, context: int) -> Suggestion:
    """The usual four bits where they fit; more bits only where they leave half of the memory free."""
    names = sorted(entry.sizes, key=lambda name: entry.sizes[name])
    best = names[0]
    for name in names[1:]:
        larger = _verdict(entry, name, machine, context)
        roomy = larger.values["need"] <= 0.5 * larger.values["free"]
        if larger.code == "fits" and roomy and not _is_slow(entry, name, machine):
            best = name
    judged = _verdict(entry, best, machine, context)
    code: Code = "too_large"
    if judged.fits:
        code = "slow" if _is_slow(entry, best, machine) else "fits"
    return Suggestion(entry, best, judged, code)


def _verdict(entry: Entry, quantisation: str, machine: Machine, context: int) -> Verdict:
    shape = entry.shape(quantisation)
    plan = Plan(context=min(context, entry.facts.context), gpus=max(1, len(machine.gpus)))
    plan = replace(plan, gpu_layers=best_gpu_layers(shape, plan, machine))
    return verdict(estimate(shape, plan), machine)


def _is_slow(entry: Entry, quantisation: str, machine: Machine) -> bool:
    """Whether each token takes long to read out of RAM; on a GPU that is never the trouble."""
    size = entry.sizes[quantisation]
    facts = entry.facts
    if facts.experts:
        # Attention and embeddings are read whole, of the experts only those that are used.
        expert_share = facts.layers * facts.experts * 3 * facts.embedding * facts.feed_forward / facts.parameters
        size = round(size * (1 - expert_share * (1 - facts.experts_used / facts.experts)))
    shape = entry.shape(quantisation)
    on_gpu = best_gpu_layers(shape, Plan(context=CONTEXT), machine) / (facts.layers + 1)
    return size * (1 - on_gpu) > QUICK_BYTES
