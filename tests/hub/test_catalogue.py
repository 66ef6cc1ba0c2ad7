"""The catalogue is sound, and suggests what suits a machine."""

from __future__ import annotations

import pytest

from webui.hub.catalogue import Entry, Suggestion, read_catalogue, suggest
from webui.hub.machine import Gpu, Machine
from webui.hub.quants import BITS

GB = 10**9
ENTRIES = read_catalogue()


def best(machine: Machine) -> Suggestion:
    first = suggest(ENTRIES, machine)[0]
    assert first.code == "recommended"
    return first


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_sizes_are_what_the_quantisation_makes_of_the_parameters(entry: Entry) -> None:
    # Small models keep their large embedding tables in more bits than the name says.
    slack = 0.5 if entry.parameters < 2e9 else 0.14
    for name, size in entry.sizes.items():
        assert -0.03 < size / (entry.parameters * BITS[name] / 8) - 1 < slack, name


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_shapes_have_the_parameters_they_claim(entry: Entry) -> None:
    f = entry.facts
    attention = 2 * f.embedding * f.key_length * (f.heads[0] + f.kv_heads[0])
    forward = 3 * f.embedding * f.feed_forward * max(1, f.experts)
    tables = f.vocabulary * f.embedding
    layers = f.layers * (attention + forward)
    assert min(abs(layers + n * tables - f.parameters) / f.parameters for n in (1, 2)) < 0.01


def test_all_models_of_the_list_are_there() -> None:
    names = " ".join(entry.name for entry in ENTRIES)
    for wanted in ("Qwen2 0.5B", "Llama 3.2 1B", "Mistral 7B", "Gemma 2 9B", "Phi-3 mini", "Llama 3.1 8B",
                   "CodeLlama 7B", "CodeLlama 13B", "T-Pro 33B", "gpt-oss 20B"):  # fmt: skip
        assert wanted in names
    assert all(entry.about["en"] and entry.about["ru"] for entry in ENTRIES)


def test_more_memory_gets_a_better_model() -> None:
    machines = [Machine(free * GB, free * GB) for free in (1, 2, 4, 8, 16, 32, 64)]
    ranks = [best(machine).entry.rank for machine in machines]
    assert ranks == sorted(ranks) and len(set(ranks)) >= 5
    assert best(machines[0]).size < 0.8 * GB
    assert best(Machine(8 * GB, 16 * GB)).entry.name == "Qwen3 8B"


def test_the_first_model_leaves_some_memory_to_others() -> None:
    free = 22 * GB
    first = best(Machine(free, free))
    assert first.verdict.values["need"] <= 0.8 * free
    larger = [one for one in suggest(ENTRIES, Machine(free, free)) if one.code == "fits"]
    assert max(one.entry.rank for one in larger) > first.entry.rank


def test_nothing_recommended_fails_to_fit() -> None:
    for free in (1, 3, 7, 15, 40):
        for one in suggest(ENTRIES, Machine(free * GB, free * GB)):
            if one.code in ("recommended", "fits", "slow"):
                assert one.verdict.fits and one.size < free * GB
            else:
                assert not one.verdict.fits


def test_without_a_gpu_large_dense_models_are_called_slow() -> None:
    codes = {one.entry.name: one.code for one in suggest(ENTRIES, Machine(128 * GB, 128 * GB))}
    assert codes["T-Pro 33B"] == "slow"
    assert codes["Qwen3 30B-A3B Instruct 2507"] == "recommended"
    gpu = Machine(64 * GB, 64 * GB, (Gpu("a", 80 * GB, 80 * GB),))
    assert {one.entry.name: one.code for one in suggest(ENTRIES, gpu)}["T-Pro 33B"] == "fits"


def test_nothing_fits_a_machine_that_is_too_small() -> None:
    assert {one.code for one in suggest(ENTRIES, Machine(GB // 10, GB))} == {"too_large"}


def test_reference_asks_for_the_quantisation() -> None:
    for one in suggest(ENTRIES, Machine(64 * GB, 64 * GB, (Gpu("a", 80 * GB, 80 * GB),))):
        assert one.reference.revision == one.quantisation
        if one.entry.name == "T-Pro 33B":
            assert one.quantisation in one.reference.repo
