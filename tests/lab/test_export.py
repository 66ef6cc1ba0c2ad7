from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import shlex
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.reference import example_row
from webui.errors import BadValue, WebUIError
from webui.lab.export import ModelFacts, Saved, from_json, pack_row, to_json, unpack_row
from webui.lab.funnel import Situation, funnel
from webui.lab.handout import to_call, to_csv
from webui.lab.rows import KeptRow
from webui.lab.walk import Tree
from webui.samplers import Chain

ROW = example_row(900)
CHAIN = Chain.parse(
    [["logit_bias", {"logit_bias": {5: -math.inf, 6: 2.5}}], ["dry", {}], ["min_p", {"min_p": 0.02}], ["min_p", {}]]
)


def saved() -> Saved:
    tree = Tree((3, 4)).add(0, 17, raw=0.25, final=0.5, rank=2, drawn=True, chain=CHAIN.steps).add(0, 18).go(1)
    return Saved(
        model=ModelFacts("m", 900, (2,), (198,)),
        prompt="Привет <b>\n",
        tree=tree,
        chain=CHAIN.steps,
        seed=12345,
        rows={1: ROW},
        texts={3: "При", 4: "вет", 17: "\u202e\x00"},
    )


def test_what_is_written_opens_again_to_the_last_bit() -> None:
    again = from_json(to_json(saved()))
    assert again.model == saved().model and again.prompt == saved().prompt and again.seed == 12345
    assert again.tree == saved().tree
    assert again.chain == CHAIN.steps and again.texts == saved().texts
    assert again.rows[1].tobytes() == ROW.tobytes()
    before = funnel(KeptRow.of("m", (3, 4, 17), ROW), CHAIN, Situation(seed=12345))
    after = funnel(KeptRow.of("m", again.tree.tokens(), again.rows[1]), Chain.parse(again.chain), Situation(seed=12345))
    np.testing.assert_array_equal(before.final_probabilities(np.arange(900)), after.final_probabilities(np.arange(900)))


def test_rows_with_banned_tokens_survive() -> None:
    row = ROW.copy()
    row[7] = -np.inf
    assert unpack_row(pack_row(row), 900).tobytes() == row.tobytes()


def changed(path: list[Any], value: Any) -> str:
    data = json.loads(to_json(saved()))
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["format"], "other"),
        (["version"], 2),
        (["version"], "1"),
        (["model"], None),
        (["model", "size"], 0),
        (["model", "size"], 10**9),
        (["model", "size"], 899),
        (["model", "end_ids"], [900]),
        (["prompt"], None),
        (["tokens"], [-1]),
        (["tokens"], [1.5]),
        (["seed"], -1),
        (["chain"], {}),
        (["chain"], [["min_p", {"min_p": 5}]]),
        (["chain"], [["no_such", {}]]),
        (["current"], 2),
        (["current"], 9),
        (["steps", 0, "parent"], 1),
        (["steps", 0, "token"], 900),
        (["steps", 0, "raw"], 1.5),
        (["steps", 1, "token"], 17),
        (["steps", 0], 5),
        (["texts"], {"x": "y"}),
        (["texts"], {"3": 4}),
        (["rows"], {}),
        (["rows", "1"], "****"),
        (["rows", "1"], pack_row(ROW[:899])),
        (["rows", "1"], pack_row(np.full(900, np.nan, np.float32))),
        (["rows", "1"], "AAAA"),
    ],
)
def test_damaged_files_are_refused_in_a_sentence(path: list[Any], value: Any) -> None:
    with pytest.raises(BadValue):
        from_json(changed(path, value))


def test_a_file_cannot_ask_for_more_memory_than_rows_may_have() -> None:
    data = json.loads(to_json(saved()))
    data["model"]["size"] = 1 << 20
    data["rows"] = {str(node): pack_row(np.zeros(1 << 20, np.float32)) for node in range(1)} | {"1": data["rows"]["1"]}
    data["rows"] |= {str(1000 + node): "" for node in range(80)}
    with pytest.raises(BadValue, match="missing"):
        from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000])
def test_what_is_no_look_is_refused(text: str) -> None:
    with pytest.raises(BadValue):
        from_json(text)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_change_of_a_file_opens_or_is_refused(data: st.DataObject) -> None:
    text = to_json(saved())
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 12)))
    broken = text[:start] + data.draw(st.text(alphabet='{}[]",:0159-.eabAB+/=', max_size=8)) + text[end:]
    with contextlib.suppress(WebUIError):
        from_json(broken)


def test_csv_adds_up_and_is_safe_to_open() -> None:
    texts = [f"t{n}" for n in range(900)]
    best = int(ROW.argmax())
    texts[best] = '=HYPERLINK("x")\n'
    seen = funnel(KeptRow.of("m", (), ROW), Chain.parse([["top_k", {"top_k": 7}]]), Situation())
    lines = list(csv.reader(io.StringIO(to_csv(seen, texts, rows=50))))
    assert lines[0] == ["rank", "token", "text", "raw", "final", "cut_by"]
    assert len(lines) == 52
    assert sum(float(line[3]) for line in lines[1:]) == pytest.approx(1.0, abs=1e-6)
    assert sum(float(line[4]) for line in lines[1:]) == pytest.approx(1.0, abs=1e-6)
    assert json.loads(lines[1][2]) == texts[best] and lines[1][2][0] == '"'
    assert [line[5] for line in lines[1:9]] == [""] * 7 + ["1:top_k"]


def test_the_call_holds_prompt_seed_and_the_whole_chain_in_its_order() -> None:
    steps = [["min_p", {"min_p": 0.02}], ["top_k", {"top_k": 0}], ["temperature", {}], ["min_p", {"min_p": 0.3}]]
    chain = Chain.parse(steps)
    call = to_call(KeptRow.of("m", (1, 2), ROW), chain, seed=7, url="http://127.0.0.1:5000", prompt="it's\n$(x)")
    words = shlex.split(call)
    assert words[:2] == ["curl", "http://127.0.0.1:5000/v1/completions"]
    body = json.loads(words[words.index("-d") + 1])
    assert body["prompt"] == "it's\n$(x)" and body["seed"] == 7
    sent = Chain.parse(body["chain"])
    assert [(stage.sampler.name, stage.values) for stage in sent.plan] == [
        (stage.sampler.name, stage.values) for stage in chain.plan
    ]
    tokens = to_call(KeptRow.of("m", (1, 2), ROW), CHAIN, seed=7, url="http://x", prompt=None)
    body = json.loads(shlex.split(tokens)[-1])
    assert body["prompt"] == [1, 2]
    assert Chain.parse(body["chain"]).steps[0].values["logit_bias"] == {5: -math.inf, 6: 2.5}
