"""The Logits tab's server on a real model with 262 144 tokens: what the page is told, beside plain numpy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.lab import reference
from webui.lab.export import chain_data
from webui.preferences import Preferences
from webui.runtime.models import Models
from webui.samplers import BALANCED
from webui.settings import Settings
from webui.tabs.asking import answer, asks_of
from webui.tabs.logits import LogitsServer
from webui.tabs.words import Words
from webui.types import LoadSpec

pytestmark = pytest.mark.model

PROMPT = "Once upon a time, in a small town by the sea, there lived a"


async def test_a_big_vocabulary_is_told_as_numpy_finds_it(gemma_path: Path, tmp_path: Path) -> None:
    models = Models()
    try:
        await models.load(LoadSpec(path=str(gemma_path), n_ctx=512, slots=1))
        parts: Any = SimpleNamespace(
            models=models, preferences=Preferences(tmp_path / "settings.json"), settings=Settings(), conversations=None
        )
        asks, words = asks_of(LogitsServer(parts)), Words("en")
        state: dict[str, Any] = {
            "chain": chain_data(BALANCED), "seed": 5, "coin": "dice", "shown": 20, "order": "raw", "focus": -1,
            "node": 0,
        }  # fmt: skip
        told = await answer(asks, words, {**state, "ask": "look", "prompt": PROMPT})
        state["look"] = told["look"]
        _, row = await models.logits(PROMPT)
        p = reference.softmax(row)
        assert told["row"]["vocabulary"] == p.size == 262_144
        order = np.argsort(-p, kind="stable")
        steps = [p, reference.after_top_k(p, 40)]
        steps.append(reference.after_top_p(steps[-1], 0.95))
        steps.append(reference.after_min_p(steps[-1], 0.05))
        final = reference.after_temperature(steps[-1], 0.8)
        assert [bar[0] for bar in told["bars"]] == order[:20].tolist()
        assert [bar[2] for bar in told["bars"]] == pytest.approx(p[order[:20]].tolist(), rel=1e-5)
        assert [bar[4] for bar in told["bars"]] == pytest.approx(final[order[:20]].tolist(), rel=1e-4)
        assert told["others"]["raw"] == pytest.approx(1 - p[order[:20]].sum(), abs=1e-6)
        cuts = [stage for stage in told["stages"] if not stage["off"]][:3]
        for stage, before, after in zip(cuts, steps, steps[1:], strict=False):
            assert (stage["in"], stage["out"]) == (np.count_nonzero(before), np.count_nonzero(after))
            assert stage["cut"] == pytest.approx(before[after == 0].sum(), abs=1e-6)
            assert stage["entropy"] == pytest.approx([reference.bits(before), reference.bits(after)], abs=1e-4)
        assert told["final"]["choices"] == pytest.approx(2 ** reference.bits(final), rel=1e-4)

        far = int(order[40_000])
        fate = (await answer(asks, words, {**state, "ask": "find", "text": f"#{far}"}))["found"][0]
        assert fate["rank"] == 40_001 and fate["raw"] == pytest.approx(p[far], rel=1e-4)
        assert told["stages"][fate["cut_by"]] is cuts[0]
        by_text = (await answer(asks, words, {**state, "ask": "find", "text": "fisherman"}))["found"]
        assert by_text and all("fisherman" in one["text"].casefold() for one in by_text)
        assert all(one["rank"] == 1 + np.count_nonzero(p > p[one["token"]]) for one in by_text)

        drawn = await answer(asks, words, {**state, "ask": "draw", "amount": 10_000})
        for token, _, count, probability, spread in drawn["tokens"]:
            assert probability == pytest.approx(final[token], rel=1e-4)
            assert abs(count - 10_000 * final[token]) <= 5 * spread + 1
        second = int(order[1])
        walked = await answer(asks, words, {**state, "ask": "step", "token": second})
        tokens, _ = await models.logits(PROMPT)
        _, next_row = await models.logits(tokens, add_bos=False, written=[second])
        assert walked["bars"][0][0] == int(next_row.argmax())
        assert walked["walk"]["path"][0][3:5] == pytest.approx([p[second], final[second]], rel=1e-4)
    finally:
        await models.close()
