"""Settings survive restarts, older versions and damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from webui.errors import BadValue
from webui.preferences import PREFERENCES, Preferences


def test_values_survive_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "data" / "settings.json"
    Preferences(file).set(language="ru", chain=[["top_k", {"top_k": 7}]], notebook="Привет")
    again = Preferences(file)
    assert (again["language"], again["chain"], again["notebook"]) == ("ru", [["top_k", {"top_k": 7}]], "Привет")
    assert again["theme"] == "auto"


def test_defaults_are_good_values() -> None:
    assert all(p.good(p.default) for p in PREFERENCES.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [("language", "de"), ("tab", "elsewhere"), ("seed", -2), ("max_tokens", True), ("stop", [""]), ("chain", [["a"]])],
)
def test_bad_values_are_refused_and_change_nothing(tmp_path: Path, name: str, value: object) -> None:
    preferences = Preferences(tmp_path / "settings.json")
    with pytest.raises(BadValue) as caught:
        preferences.set(**{name: value})
    assert caught.value.param == name
    assert preferences.all() == {n: p.default for n, p in PREFERENCES.items()}
    assert not (tmp_path / "settings.json").exists()


def test_an_older_file_is_migrated_and_foreign_values_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"version": 1, "lang": "ru", "from_a_fork": 3}), encoding="utf-8")

    def rename(values: dict[str, object]) -> None:
        values["language"] = values.pop("lang")

    preferences = Preferences(file, version=2, migrations=(rename,))
    assert preferences["language"] == "ru"
    preferences.set(seed=4)
    assert json.loads(file.read_text(encoding="utf-8")) == {"version": 2, "language": "ru", "from_a_fork": 3, "seed": 4}


def test_a_newer_file_keeps_its_version(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"version": 99, "theme": "dark", "unheard": true}', encoding="utf-8")
    preferences = Preferences(file)
    preferences.set(theme="light")
    assert json.loads(file.read_text(encoding="utf-8")) == {"version": 99, "theme": "light", "unheard": True}


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"version": "x"}', "null", "\x00\x00"])
def test_a_damaged_file_is_set_aside_whole(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(damage, encoding="utf-8")
    preferences = Preferences(file)
    assert preferences["language"] == "auto"
    assert preferences.set_aside is not None and ".corrupt-" in preferences.set_aside.name
    assert preferences.set_aside.read_text(encoding="utf-8") == damage
    preferences.set(language="en")
    assert Preferences(file)["language"] == "en"


def test_one_bad_value_does_not_cost_the_others(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"version": 1, "seed": "x", "theme": "dark"}', encoding="utf-8")
    preferences = Preferences(file)
    assert preferences.ignored == ("seed",)
    assert (preferences["seed"], preferences["theme"]) == (-1, "dark")
