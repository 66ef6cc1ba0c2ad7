"""Presets: those that come along, own ones, and files of other tools."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.errors import BadValue
from webui.samplers import BALANCED, Chain, History, State
from webui.samplers.declare import Text
from webui.samplers.preset_import import import_preset
from webui.samplers.presets import Preset, Presets, parse_yaml
from webui.types import Step

CLASSIC = {
    "Simple-1": {"temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.15, "top_k": 20},
    "Big O": {
        "temperature": 0.87, "top_p": 0.99, "typical_p": 0.68, "tfs": 0.68, "repetition_penalty": 1.01, "top_k": 85,
    },
    "Divine Intellect": {"temperature": 1.31, "top_p": 0.14, "repetition_penalty": 1.17, "top_k": 49},
    "LLaMA-Precise": {"temperature": 0.7, "top_p": 0.1, "repetition_penalty": 1.18, "top_k": 40},
    "Midnight Enigma": {"temperature": 0.98, "top_p": 0.37, "repetition_penalty": 1.18, "top_k": 100},
    "Shortwave": {"temperature": 1.53, "top_p": 0.64, "repetition_penalty": 1.07, "top_k": 33},
    "Yara": {"temperature": 0.82, "top_p": 0.21, "repetition_penalty": 1.19, "top_k": 72},
    "Debug-deterministic": {"top_k": 1},
    "Contrastive Search": {"top_k": 4, "temperature": 0.0},
    "Balanced": {"top_k": 40, "top_p": 0.95, "min_p": 0.05, "temperature": 0.8},
    "Deterministic": {"temperature": 0.0},
    "Creative": {"min_p": 0.02, "xtc_probability": 0.5},
    "Top-P": {"top_p": 0.95},
    "Min-P": {"min_p": 0.05},
}  # fmt: skip


@pytest.fixture
def presets(tmp_path: Path) -> Presets:
    return Presets(tmp_path / "presets")


def values_of(preset: Preset) -> dict[str, float]:
    plan = Chain.parse(preset.steps).plan
    return {stage.sampler.main.name: stage.values[stage.sampler.main.name] for stage in plan}


@pytest.mark.parametrize("name", sorted(CLASSIC))
def test_the_values_users_know(presets: Presets, name: str) -> None:
    assert values_of(presets.load(name)) == CLASSIC[name]


def test_all_shipped_presets_have_a_note_in_both_languages(presets: Presets) -> None:
    names = presets.names()
    assert names[0] == "Balanced" and set(CLASSIC) < set(names) and {"Instruct", "Story"} < set(names)
    for name in names:
        note = presets.load(name).note
        assert note.en.endswith(".") and note.ru.endswith(".") and "\n" not in note.en + note.ru
        assert any("а" <= c <= "я" for c in note.ru)


def test_every_preset_writes(presets: Presets) -> None:
    row = np.random.default_rng(2).standard_normal(3000).astype(np.float32)
    for name in presets.names():
        chain, state, history = Chain.parse(presets.load(name).steps), State(1), History([5, 6, 7])
        for _ in range(20):
            pick = chain.run(row, history, state)
            state.accept(pick)
            history.append(pick.token)
        greedy = name in ("Deterministic", "Debug-deterministic", "Contrastive Search")
        assert (history.tokens[3:] == row.argmax()).all() == greedy


def test_balanced_is_the_default_chain(presets: Presets) -> None:
    assert presets.load("Balanced").steps == Chain.parse(BALANCED).steps


def test_shipped_files_hold_only_what_is_not_off(presets: Presets) -> None:
    for path in (Path(__file__).parents[2] / "presets").glob("*.yaml"):
        written = parse_yaml(path.read_bytes())["chain"]
        on = [stage.sampler.name for stage in Chain.parse(presets.load(path.stem).steps).plan]
        assert [next(iter(item)) for item in written] == on


def test_contrastive_search_says_that_it_is_not_applied(presets: Presets) -> None:
    assert [note.field for note in presets.load("Contrastive Search").not_applied] == ["penalty_alpha"]


def test_own_presets_come_back_as_they_were(presets: Presets) -> None:
    steps = [
        Step("temperature", {"temperature": 1.7}),
        Step("min_p", {"min_p": 0.1, "min_keep": 3}),
        Step("temperature", {"temperature": 0.6}),
        Step("xtc", {"xtc_probability": 0.25, "flavour": "ooba"}),
        Step("dry", {"dry_sequence_breakers": ["\n", "конец"]}),
        Step("logit_bias", {"logit_bias": {5: -math.inf, 7: 2.5}}),
        Step("p_less"),
        Step("top_k", {"top_k": 0}),
    ]
    saved = presets.save("Мой пресет 1", steps, Text("mine", "мой"))
    assert saved.own and saved.note == Text("mine", "мой")
    loaded = presets.load("Мой пресет 1")
    before, after = Chain.parse(steps).plan, Chain.parse(loaded.steps).plan
    assert [(s.sampler.name, s.values) for s in after] == [(s.sampler.name, s.values) for s in before]
    assert "Мой пресет 1" in presets.names()


def test_an_own_preset_hides_a_shipped_one_until_it_is_deleted(presets: Presets) -> None:
    presets.save("Yara", [["temperature", {"temperature": 0.5}]])
    assert values_of(presets.load("Yara")) == {"temperature": 0.5}
    presets.delete("Yara")
    assert values_of(presets.load("Yara")) == CLASSIC["Yara"]
    with pytest.raises(BadValue, match="own"):
        presets.delete("Yara")


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "", " x", "a\\b", "con", "x\x00y", ".hidden", "a" * 300])
def test_names_cannot_leave_the_folder(presets: Presets, name: str) -> None:
    for action in (presets.load, presets.delete, lambda n: presets.save(n, [])):
        with pytest.raises(BadValue):
            action(name)


def test_a_damaged_file_is_named(presets: Presets, tmp_path: Path) -> None:
    presets.save("broken", [["top_k", {}]])
    (tmp_path / "presets" / "broken.yaml").write_text("chain: [top_k: 99999999999]")
    with pytest.raises(BadValue, match="broken.*top_k must be a whole number from -1 to"):
        presets.load("broken")


def test_nothing_half_written_is_left_behind(presets: Presets, tmp_path: Path) -> None:
    presets.save("one", [["top_k", {}]])
    with pytest.raises(BadValue):
        presets.save("one", [["top_k", {"top_k": "many"}]])
    assert [path.name for path in (tmp_path / "presets").iterdir()] == ["one.yaml"]
    assert values_of(presets.load("one")) == {"top_k": 40}


SILLY = {
    "temp": 0.7, "temperature_last": True, "top_p": 0.5, "top_k": 40, "top_a": 0.75, "tfs": 1, "epsilon_cutoff": 1.49,
    "eta_cutoff": 10.42, "typical_p": 1, "min_p": 0, "rep_pen": 1.18, "rep_pen_range": 0, "rep_pen_slope": 0.9,
    "no_repeat_ngram_size": 0, "penalty_alpha": 0.6, "num_beams": 1, "encoder_rep_pen": 1, "freq_pen": 0,
    "presence_pen": 0.2, "do_sample": True, "dynatemp": False, "min_temp": 0.5, "max_temp": 3, "mirostat_mode": 0,
    "guidance_scale": 1, "banned_tokens": "", "genamt": 300, "max_length": 4096, "brand_new_setting": 3,
    "sampler_priority": ["temperature", "top_k", "top_p", "epsilon_cutoff", "eta_cutoff", "top_a"],
    "sampler_order": [6, 0, 1, 3, 4, 2, 5], "samplers": ["top_k"], "logit_bias": [{"text": "x", "value": 5}],
}  # fmt: skip


def test_sillytavern_json() -> None:
    imported = import_preset("Naughty/My preset.json", json.dumps(SILLY).encode())
    plan = Chain.parse(imported.preset.steps).plan
    assert imported.format == "SillyTavern" and imported.preset.name == "My preset"
    assert [stage.sampler.name for stage in plan] == [
        "repetition_penalty", "presence_penalty", "top_k", "top_p", "epsilon_cutoff", "eta_cutoff", "top_a",
        "temperature",
    ]  # fmt: skip
    assert plan[4].values["epsilon_cutoff"] == pytest.approx(1.49e-4)
    notes = {note.field: note.reason.en for note in imported.preset.not_applied}
    assert notes["not understood"] == "brand_new_setting"
    assert set(notes) == {"penalty_alpha", "rep_pen_slope", "not understood", "logit_bias"}


def test_text_generation_webui_yaml_runs_temperature_first() -> None:
    imported = import_preset("Simple-1.yaml", b"temperature: 0.7\ntop_p: 0.9\nrepetition_penalty: 1.15\ntop_k: 20\n")
    plan = Chain.parse(imported.preset.steps).plan
    assert imported.format == "text-generation-webui"
    assert [s.sampler.name for s in plan] == ["repetition_penalty", "temperature", "top_k", "top_p"]
    assert imported.preset.not_applied == ()
    greedy = import_preset("d.yaml", b"do_sample: false\ntop_k: 1\n")
    assert [s.sampler.name for s in Chain.parse(greedy.preset.steps).plan] == ["temperature"]


def test_our_own_files_import_too(presets: Presets, tmp_path: Path) -> None:
    presets.save("mine", [["min_p", {"min_p": 0.3}]])
    imported = import_preset("mine.yaml", (tmp_path / "presets" / "mine.yaml").read_bytes())
    assert values_of(imported.preset) == {"min_p": 0.3}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"just text", b"{", b"{}", b'{"a": 1}', b"a: &x [1]\nb: *x", b"!!python/object:os.system x",
        b"\xff\xfe", b"[" * 60_000, b"{" * 1000, b"- " * 30_000, b"? " * 30_000, b"a: " * 20_000, b"!" * 60_000,
        b"temperature: .nan", b'{"temp": 1e999}', b"x" * 100_000,
        b"top_k: [1, 2]", b"chain: {}", b"chain: [7]",
    ],
)  # fmt: skip
def test_hostile_files_are_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(BadValue) as caught:
        import_preset("x.yaml", data)
    assert "\n" not in caught.value.message and len(caught.value.message) < 300


@given(st.binary(max_size=300))
def test_any_bytes_either_import_or_are_refused(data: bytes) -> None:
    try:
        import_preset("x.json", data)
    except BadValue as error:
        assert error.message
