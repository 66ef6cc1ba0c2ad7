"""Comparing as a job that pages watch: one at a time, cancelled, refused, and its result; and names not yet taken."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from webui.errors import BadValue, Busy, WebUIError
from webui.hub import comparing
from webui.hub.comparing import Comparer, default_text
from webui.hub.library import ModelEntry
from webui.hub.quantise import Quality, free_name

QUALITY = Quality(95, 0.1, 0.05, 1.0, 2.0, 0.9, (10.0, 11.0), 0.02)


def entry(name: str) -> ModelEntry:
    return ModelEntry(name, Path(f"{name}.gguf"), "gguf", 1, (Path(f"{name}.gguf"),), 0.0)


async def test_a_comparison_runs_alone_is_cancelled_and_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = asyncio.Event()

    async def measure(reference: ModelEntry, other: ModelEntry, text: str, tell: Any, **_: Any) -> Quality:
        tell(0.5, "")
        await let_go.wait()
        if text == "fails":
            raise WebUIError("It failed.", code="compare_short")
        return QUALITY

    monkeypatch.setattr(comparing, "compare_quality", measure)
    comparer = Comparer(tmp_path / "scratch")
    assert comparer.view() is None
    for other, text, code in (("a", "text", "compare_same"), ("b", " \n", "compare_no_text")):
        with pytest.raises(BadValue) as caught:
            await comparer.start(entry("a"), entry(other), text)
        assert caught.value.code == code
    await comparer.start(entry("a"), entry("b"), "text")
    await asyncio.sleep(0)
    view = comparer.view()
    assert view is not None and (view.state, view.progress) == ("running", 0.5) and view.seconds_left is not None
    with pytest.raises(Busy):
        await comparer.start(entry("a"), entry("b"), "text")
    await comparer.cancel()
    view = comparer.view()
    assert view is not None and (view.state, view.quality) == ("cancelled", None)
    let_go.set()
    for text, state, quality in (("text", "done", QUALITY), ("fails", "failed", None)):
        await comparer.start(entry("a"), entry("b"), text)
        await asyncio.sleep(0.01)
        view = comparer.view()
        assert view is not None and (view.state, view.quality) == (state, quality)
    assert view.problem == "It failed." and view.code == "compare_short"
    await comparer.close()


def test_the_text_that_comes_along_is_long_enough_and_has_two_alphabets() -> None:
    text = default_text()
    assert len(text) > 2000 and "def " in text and any("а" <= letter <= "я" for letter in text)


def test_a_name_that_is_not_taken(tmp_path: Path) -> None:
    model = entry("folder/Tiny-F16")
    names = []
    for _ in range(3):
        names.append(free_name(tmp_path, model, "Q4_K_M"))
        (tmp_path / names[-1]).touch()
    assert names == ["Tiny-Q4_K_M.gguf", "Tiny-Q4_K_M-2.gguf", "Tiny-Q4_K_M-3.gguf"]
