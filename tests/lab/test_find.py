from __future__ import annotations

import numpy as np
import pytest

from tests.lab.reference import example_row, softmax
from webui.lab.find import fate, matching
from webui.lab.funnel import Situation, funnel
from webui.lab.rows import KeptRow
from webui.samplers import Chain

TEXTS = ["the", " the", " The", "other", " theme", "42", " 42", "", "x", "THE"]


def test_the_very_text_comes_first_then_what_is_near_it() -> None:
    found = [TEXTS[token] for token in matching("the", TEXTS)]
    assert found[:2] == ["the", " the"]
    assert set(found[2:4]) == {" The", "THE"}
    assert found[4:] == [" theme", "other"]
    assert [TEXTS[token] for token in matching(" the", TEXTS)][:2] == [" the", "the"]


def test_likelier_tokens_come_first_among_equals() -> None:
    row = np.zeros(len(TEXTS), dtype=np.float32)
    row[[9, 2]] = 2.0, 1.0
    assert matching("the", TEXTS, row)[2:4] == [9, 2]


def test_a_token_can_be_found_by_its_id() -> None:
    assert matching("#7", TEXTS) == [7]
    assert matching("8", TEXTS) == [8]
    assert matching("42", TEXTS)[0] == 5
    assert matching("#10", TEXTS) == []
    assert matching("", TEXTS) == []
    assert matching("nowhere", TEXTS) == []


def test_the_fate_of_any_token_is_told_even_far_down() -> None:
    logits = example_row(60_000)
    p = softmax(logits)
    order = np.argsort(-logits, kind="stable")
    steps = [["temperature", {"temperature": 2.0}], ["top_k", {"top_k": 50}], ["min_p", {"min_p": 0.3}]]
    seen = funnel(KeptRow.of("m", (), logits), Chain.parse(steps), Situation())
    far = int(order[39_999])
    told = fate(seen, far)
    assert (told.rank, told.cut_by, told.final) == (40_000, 1, 0.0)
    assert told.raw == pytest.approx(p[far], rel=1e-6)
    warm = softmax(logits / 2.0)
    assert told.stages[0].probability == pytest.approx(warm[far], rel=1e-4)
    assert [stage.rank for stage in told.stages] == [40_000, 0]
    best = fate(seen, int(order[0]))
    assert best.cut_by == -1 and best.rank == 1
    assert [stage.rank for stage in best.stages] == [1, 1, 1]
    assert best.stages[-1].probability == pytest.approx(best.final)
    kept = warm[order[:50]] / warm[order[:50]].sum()
    assert best.stages[1].probability == pytest.approx(kept[0], rel=1e-4)
