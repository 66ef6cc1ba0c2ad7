"""The fallback order's file: written and read back, changed by hand, damaged in every way a hand can."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from webui.errors import BadValue
from webui.fallback_settings import MAX_BYTES, FallbackSettings, parse, read_order
from webui.runtime.fallback import Candidate, Order


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fallback.yaml"


def rewritten(file: Path, text: str) -> None:
    """As an editor would, and later than whatever was there."""
    later = time.time_ns() + 1_000_000_000
    file.write_text(text, encoding="utf-8")
    os.utime(file, ns=(later, later))


def test_what_is_kept_is_read_back_by_the_next_start(file: Path) -> None:
    kept = FallbackSettings(file)
    assert not kept.order().in_force and kept.problem is None and not file.exists()
    models = ["big model", {"name": "small: one", "seconds": 2.5}, Candidate("42", 0)]
    order = kept.keep(models, seconds=30, text="  Сейчас некому ответить.\nПозже. ")
    assert order == kept.order() == FallbackSettings(file).order()
    assert order.models == (Candidate("big model"), Candidate("small: one", 2.5), Candidate("42", 0.0))
    assert (order.seconds, order.text, order.in_force) == (30, "Сейчас некому ответить.\nПозже.", True)
    assert "Сейчас" in file.read_text(encoding="utf-8"), "people read this file"
    assert not kept.keep(models, enabled=False).in_force
    assert not FallbackSettings(file).order().in_force
    assert not kept.keep([]).in_force


def test_a_change_by_hand_counts_at_once(file: Path) -> None:
    kept = FallbackSettings(file)
    kept.keep(["a", "b"])
    rewritten(file, "models: [c]\nseconds: 5")
    assert kept.order() == Order((Candidate("c"),), 5.0)
    file.unlink()
    assert not kept.order().in_force


def test_a_damaged_file_is_named_left_alone_and_set_aside_by_the_next_save(file: Path) -> None:
    damaged = "models:\n  - a\n  - [b\nseconds: 5\n"
    file.write_text(damaged, encoding="utf-8")
    kept = FallbackSettings(file)
    assert not kept.order().in_force
    problem = kept.problem
    assert (
        problem is not None and problem.message.startswith("fallback.yaml, line ") and problem.values["line"] in (3, 4)
    )
    assert file.read_text(encoding="utf-8") == damaged and kept.set_aside is None
    with pytest.raises(BadValue):
        kept.keep(["a", "A.gguf"])
    assert file.read_text(encoding="utf-8") == damaged
    kept.keep(["a"])
    assert kept.problem is None and kept.order().in_force
    assert kept.set_aside is not None and kept.set_aside.read_text(encoding="utf-8") == damaged
    rewritten(file, "models: [a]")
    assert kept.problem is None


@pytest.mark.parametrize(
    ("text", "line", "code", "says"),
    [
        ("models: [a]\nsecnds: 5\n", 2, "fallback_unknown", "secnds"),
        ("models: a\n", 1, "fallback_models", "list"),
        ("seconds: 5\nmodels:\n- a\n- 3\n", 4, "fallback_name", "models[2]"),
        ("models:\n- a\n- {name: b, secs: 3}\n", 3, "fallback_row", "models[2]"),
        ("models:\n- a\n- A\n", 3, "fallback_double", "twice"),
        ("models:\n- name: a\n  seconds: soon\n", 3, "fallback_seconds", "models[1].seconds"),
        ("seconds: -1\n", 1, "fallback_seconds", "seconds"),
        ("seconds: .inf\n", 1, "fallback_seconds", "seconds"),
        ("seconds: yes\n", 1, "fallback_seconds", "seconds"),
        ("enabled: 1\n", 1, "fallback_enabled", "enabled"),
        ("models: []\ntext: [1]\n", 2, "fallback_text", "text"),
        ("seconds: 1\ntext: x\nseconds: 2\n", 3, "fallback_twice", "seconds"),
        ("- a\n- b\n", 1, "fallback_shape", "fields"),
        ("just words\n", 0, "fallback_shape", "fields"),
        ("text: &a x\nmodels: [*a]\n", 2, "fallback_alias", "alias"),
        ("models: !!python/object/apply:os.system ['true']\n", 1, "fallback_yaml", "YAML"),
        ("text: 'open\n", 2, "fallback_yaml", "YAML"),
        ("models: \x00\n", 1, "fallback_yaml", "YAML"),
        ("[" * 300, 1, "fallback_yaml", "brackets"),
        ("#" * (MAX_BYTES + 1), 0, "fallback_too_large", "64 KB"),
        ("models: [" + ", ".join(f"m{n}" for n in range(17)) + "]\n", 1, "fallback_models", "16"),
        ("? [a, b]\n: 1\n", 1, "fallback_yaml", "YAML"),
    ],
)
def test_one_sentence_says_what_is_wrong_and_where(text: str, line: int, code: str, says: str) -> None:
    with pytest.raises(BadValue) as caught:
        parse(text.encode())
    error = caught.value
    assert error.code == code and says in error.message and error.values.get("line", 0) == line
    assert error.message.startswith(f"fallback.yaml, line {line}: " if line else "fallback.yaml: ")
    assert "\n" not in error.message and error.message.endswith(".")


def test_a_file_that_is_no_utf8_or_no_file_is_a_problem_and_no_crash(file: Path) -> None:
    file.write_bytes(b"text: \xff\xfe\n")
    assert FallbackSettings(file).problem is not None
    file.unlink()
    file.mkdir()
    kept = FallbackSettings(file)
    assert kept.problem is not None and kept.problem.code == "fallback_unreadable" and not kept.order().in_force


def test_an_empty_file_is_no_order_and_no_problem(file: Path) -> None:
    file.write_text("# nothing yet\n", encoding="utf-8")
    kept = FallbackSettings(file)
    assert kept.problem is None and not kept.order().in_force
    assert read_order({}, {}) == Order()
