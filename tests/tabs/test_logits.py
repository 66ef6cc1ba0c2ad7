"""The Logits tab's server: what the page is told, on fixed rows and without a browser."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.lab import reference
from webui.errors import ContextExceeded
from webui.lab.rows import RowCache
from webui.preferences import Preferences
from webui.runtime.session import NOTHING, ModelStatus
from webui.samplers import BALANCED, Chain, History, State, Vocabulary
from webui.settings import Settings
from webui.tabs.asking import answer, asks_of
from webui.tabs.logits import LogitsServer
from webui.tabs.logits_looks import Looks
from webui.tabs.words import Words, load
from webui.types import ModelInfo

SIZE = 3000
INFO = ModelInfo(
    name="Rows", path="rows", engine="fake", architecture="", n_vocab=SIZE, n_ctx=512, n_ctx_train=512, slots=1,
    end_ids=(2,), add_bos=True, bos_id=1,
)  # fmt: skip


def row_of(tokens: Sequence[int]) -> NDArray[np.float32]:
    return reference.example_row(SIZE, seed=sum((place + 1) * token for place, token in enumerate(tokens)) % 100_000)


@dataclass
class Rows:
    """A model whose rows depend on nothing but the tokens; a character is a token."""

    info: ModelInfo | None = INFO
    calls: int = 0
    room: int = 512
    asked: list[tuple[int, ...]] = field(default_factory=list)

    def status(self) -> ModelStatus:
        return ModelStatus("ready", info=self.info) if self.info else NOTHING

    async def tokenize(self, text: str, *, add_bos: bool = False, special: bool = True) -> list[int]:
        return ([1] if add_bos else []) + [10 + ord(character) % 1000 for character in text]

    async def pieces(self, tokens: Sequence[int], *, special: bool = True) -> list[str]:
        return [f" w{token}" if token > 2 else "<s>" if special else "" for token in tokens]

    async def logits(
        self, prompt: str | Sequence[int], *, add_bos: bool = True, written: Sequence[int] = ()
    ) -> tuple[list[int], NDArray[np.float32]]:
        tokens = await self.tokenize(prompt, add_bos=add_bos) if isinstance(prompt, str) else list(prompt)
        tokens += written
        if len(tokens) > self.room:
            raise ContextExceeded("The context is full.")
        self.calls += 1
        self.asked.append(tuple(tokens))
        return tokens, row_of(tokens)


@dataclass
class Parts:
    """The services as far as the tab uses them."""

    models: Rows
    preferences: Preferences
    settings: Settings = field(default_factory=Settings)
    conversations: Any = None


class Page:
    """What the browser's script does: it remembers where it is and sends everything with each question."""

    def __init__(self, folder: Path, cache: RowCache | None = None, language: str = "en") -> None:
        self.models = Rows()
        self.parts = Parts(self.models, Preferences(folder / "settings.json"))
        self.looks = Looks(self.models, cache)
        self.server = LogitsServer(self.parts, self.looks)  # type: ignore[arg-type]
        self.words = Words(language)
        self.state: dict[str, Any] = {
            "look": None, "node": 0, "seed": 11, "coin": "dice", "shown": 30, "order": "raw", "focus": -1,
            "chain": [["top_k", {"top_k": 50}], ["min_p", {"min_p": 0.05}], ["temperature", {"temperature": 1.2}]],
        }  # fmt: skip

    async def ask(self, ask: str, **more: Any) -> dict[str, Any]:
        told = await answer(asks_of(self.server), self.words, {**self.state, "ask": ask, **more})
        json.dumps(told, default=lambda numbers: numbers.tolist())
        for name in ("look", "node"):
            self.state[name] = told.get(name, self.state[name])
        return told


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path)


async def test_a_moved_slider_is_worked_out_exactly_and_asks_no_model(page: Page) -> None:
    told = await page.ask("look", prompt="hello")
    assert told["model"] == "Rows" and page.models.calls == 1
    p = reference.softmax(row_of(page.models.asked[0]))
    for share in (0.05, 0.1, 0.2, 0.01):
        page.state["chain"][1][1]["min_p"] = share
        told = await page.ask("see")
        top_k = reference.after_top_k(p, 50)
        min_p = reference.after_min_p(top_k, share)
        final = reference.after_temperature(min_p, 1.2)
        first, second, third = told["stages"]
        assert (first["in"], first["out"]) == (SIZE, 50)
        assert (second["in"], second["out"]) == (50, np.count_nonzero(min_p))
        assert second["cut"] == pytest.approx(top_k[min_p == 0].sum(), abs=1e-6)
        assert third["entropy"] == pytest.approx([reference.bits(min_p), reference.bits(final)], abs=1e-5)
        assert told["final"]["choices"] == pytest.approx(2 ** reference.bits(final), rel=1e-5)
        assert len(told["bars"]) == 30
        for token, _, raw, _, end, cut_by, text in told["bars"]:
            assert raw == pytest.approx(p[token], rel=1e-6)
            assert end == pytest.approx(final[token], abs=1e-6)
            assert (cut_by >= 0) == (final[token] == 0)
            assert text == f"·w{token}"
        assert sum(bar[4] for bar in told["bars"]) + told["others"]["final"] == pytest.approx(1.0, abs=1e-6)
    assert page.models.calls == 1


async def test_the_prompt_is_kept_and_shown_again(page: Page) -> None:
    await page.ask("look", prompt="keep me")
    opened = await page.ask("open")
    assert opened["prompt"] == "keep me"
    assert opened["chain"] == [[step.sampler, dict(step.values)] for step in BALANCED] or opened["chain"]
    assert Chain.parse(opened["chain"]).steps == Chain.parse(BALANCED).steps
    assert "look" in opened["words"] and "min_p" in opened["samplers"]


async def test_what_fell_out_of_the_cache_is_read_again(tmp_path: Path) -> None:
    page = Page(tmp_path, RowCache(limit=1))
    await page.ask("look", prompt="hi")
    before = page.models.calls
    told = await page.ask("see")
    assert "error" not in told
    assert page.models.calls == before + 1
    assert page.models.asked[-1] == page.models.asked[0]


async def test_a_row_of_another_model_is_never_mixed_in(page: Page) -> None:
    page.looks.rows = RowCache(limit=1)
    await page.ask("look", prompt="hi")
    page.models.info = replace(INFO, name="Other", path="other")
    told = await page.ask("see")
    assert told["code"] == "look_other_model" and "Rows" in told["error"]
    page.models.info = None
    assert (await page.ask("look", prompt="hi"))["code"] == "model_not_loaded"


async def test_a_walk_goes_on_when_its_model_was_loaded_again(page: Page, tmp_path: Path) -> None:
    await page.ask("look", prompt="hi")
    prompt = page.models.asked[0]
    file = (await page.ask("save"))["file"]
    page.models.info = None
    assert (await page.ask("step", token=40))["code"] == "model_not_loaded"
    page.models.info = replace(INFO, load_seconds=9.0)
    told = await page.ask("step", token=40)
    assert "error" not in told and page.models.asked[-1] == (*prompt, 40)
    other = Page(tmp_path / "elsewhere")
    other.models.info = replace(INFO, name="Other")
    opened = await other.ask("load", file=file)
    assert (await other.ask("step", token=40))["code"] == "look_other_model"
    other.models.info = INFO
    assert (await other.ask("step", token=40))["bars"] == told["bars"]
    assert other.models.asked == [(*prompt, 40)], "what the file brought is not read"
    fresh = await other.ask("look", prompt="hi")
    assert other.models.calls == 2 and fresh["bars"] == opened["bars"]
    keys = {row.model for row in other.looks.rows._rows.values()}
    assert len(keys) > 1, "a file's rows are never taken for the model's own"


async def test_a_walk_appends_by_id_and_multiplies(page: Page) -> None:
    await page.ask("look", prompt="abc")
    prompt = page.models.asked[0]
    p = reference.softmax(row_of(prompt))
    told = await page.ask("step", token=77)
    assert page.models.asked[-1] == (*prompt, 77)
    q = reference.softmax(row_of((*prompt, 77)))
    told = await page.ask("step", token=int(q.argmax()))
    path = told["walk"]["path"]
    assert [step[1] for step in path] == [77, int(q.argmax())]
    assert path[0][3] == pytest.approx(p[77], rel=1e-6) and path[1][3] == pytest.approx(q.max(), rel=1e-6)
    assert path[0][5] == int((p > p[77]).sum()) + 1 and path[1][5] == 1
    assert told["walk"]["product"]["steps"] == 2
    back = await page.ask("go", node=-1)
    assert back["node"] == path[0][0] and len(back["walk"]["path"]) == 1
    calls = page.models.calls
    other = await page.ask("step", token=5)
    assert len(other["walk"]["branches"]) == 2
    again = await page.ask("go", node=path[1][0])
    assert [step[1] for step in again["walk"]["path"]] == [77, int(q.argmax())]
    assert page.models.calls == calls + 1, "only the new step was read"


@pytest.mark.parametrize(
    "chain",
    [
        [["temperature", {"temperature": 1.5}]],
        [["repetition_penalty", {"repetition_penalty": 1.3}], ["xtc", {"xtc_threshold": 0.05}], ["temperature", {}]],
        [["temperature", {"temperature": 1.5}], ["mirostat", {"mirostat_tau": 3.0, "mirostat_eta": 0.5}]],
        [["top_k", {"top_k": 100}], ["adaptive_p", {"adaptive_target": 0.2}]],
    ],
)
async def test_writing_on_draws_what_a_generation_with_this_seed_draws(page: Page, chain: list[Any]) -> None:
    page.state["chain"] = chain
    await page.ask("look", prompt="once")
    tokens = list(page.models.asked[0])
    history, state, parsed = History(tokens), State(11, Vocabulary(SIZE, (2,))), Chain.parse(chain)
    for _ in range(12):
        pick = parsed.run(row_of(history.tokens.tolist()), history, state)
        state.accept(pick)
        history.append(pick.token)
        told = await page.ask("step", token=-1)
        step = told["walk"]["path"][-1]
        assert step[1] == pick.token and step[6] is True
        assert step[4] == pytest.approx(pick.probability, rel=1e-5)
    assert len(told["walk"]["path"]) == 12


async def test_a_step_that_fails_leaves_the_walk_where_it_was(page: Page) -> None:
    await page.ask("look", prompt="abc")
    await page.ask("step", token=5)
    page.models.room = 5
    assert (await page.ask("step", token=6))["code"] == "context_length_exceeded"
    told = await page.ask("go", node=-1)
    assert told["node"] == 0 and told["walk"]["path"] == []


async def test_an_ended_turn_is_told(page: Page) -> None:
    await page.ask("look", prompt="x")
    assert (await page.ask("step", token=2))["ended"] is True
    assert (await page.ask("step", token=3))["ended"] is False


async def test_steps_taken_with_another_chain_are_marked(page: Page) -> None:
    await page.ask("look", prompt="x")
    await page.ask("step", token=9)
    page.state["chain"] = []
    told = await page.ask("go", node=1)
    assert told["walk"]["path"][0][7] is False


async def test_any_token_is_found_with_its_fate(page: Page) -> None:
    await page.ask("look", prompt="x")
    p = reference.softmax(row_of(page.models.asked[0]))
    order = np.argsort(-p, kind="stable")
    token = int(order[2500])
    told = await page.ask("find", text=f"w{token}")
    found = next(one for one in told["found"] if one["token"] == token)
    assert (found["rank"], found["cut_by"], found["final"]) == (2501, 0, 0.0)
    assert found["raw"] == pytest.approx(p[token], rel=1e-6)
    by_id = await page.ask("find", text=f"#{int(order[0])}")
    assert by_id["found"][0]["cut_by"] == -1 and by_id["found"][0]["rank"] == 1


async def test_draws_tell_the_token_that_writing_on_takes(page: Page) -> None:
    await page.ask("look", prompt="x")
    told = await page.ask("draw", amount=10_000)
    assert sum(token[2] for token in told["tokens"]) == 10_000
    step = await page.ask("step", token=-1)
    assert step["walk"]["path"][0][1] == told["first"]


async def test_a_saved_look_opens_without_any_model(page: Page, tmp_path: Path) -> None:
    await page.ask("look", prompt="take me")
    await page.ask("step", token=40)
    await page.ask("step", token=-1)
    seen = await page.ask("see")
    saved = await page.ask("save")
    other = Page(tmp_path / "elsewhere")
    other.models.info = None
    other.state["chain"] = []
    opened = await other.ask("load", file=saved["file"])
    assert "error" not in opened, opened
    assert opened["seed"] == 11 and opened["prompt"] == "take me" and opened["model"] == "Rows"
    other.state |= {"chain": opened["chain"], "seed": opened["seed"]}
    again = await other.ask("see")
    assert again["stages"] == seen["stages"] and again["bars"] == seen["bars"]
    first = await other.ask("go", node=1)
    assert "error" not in first, "the rows on the way are in the file"
    assert (await other.ask("step", token=99))["code"] == "model_not_loaded"
    assert (await other.ask("see"))["bars"], "a step that failed leaves everything as it was"


async def test_rows_of_opened_files_are_under_the_same_cap_and_are_made_again(page: Page, tmp_path: Path) -> None:
    await page.ask("look", prompt="abc")
    await page.ask("step", token=40)
    seen, file = await page.ask("see"), (await page.ask("save"))["file"]
    one = page.looks.rows.nbytes // 2
    other = Page(tmp_path / "elsewhere", RowCache(limit=6 * one))
    other.models.info = None
    told = {}
    for _ in range(8):
        told = await other.ask("load", file=file)
        assert "error" not in told
        kept = sum(look.nbytes for look in other.looks._looks.values())
        assert other.looks.rows.nbytes <= max(0, 6 * one - kept), "files and rows share one cap"
    other.state |= {"chain": told["chain"], "seed": told["seed"]}
    other.looks.rows.share(6 * one)
    assert len(other.looks.rows) == 0, "everything was put out"
    assert (await other.ask("see"))["bars"] == seen["bars"]
    assert (await other.ask("go", node=0))["node"] == 0
    assert other.models.calls == 0


async def test_only_the_texts_that_are_shown_are_read(page: Page) -> None:
    read: set[int] = set()
    pieces = page.models.pieces

    async def noted(tokens: Sequence[int], *, special: bool = True) -> list[str]:
        read.update(tokens)
        return await pieces(tokens, special=special)

    page.models.pieces = noted  # type: ignore[method-assign]
    told = await page.ask("look", prompt="x")
    assert {bar[0] for bar in told["bars"]} <= read and len(read) < SIZE / 5
    assert (await page.ask("find", text="w2999"))["found"][0]["token"] == 2999
    assert len(read) == SIZE


async def test_tables_and_calls_are_about_the_present_chain(page: Page) -> None:
    await page.ask("look", prompt="x")
    table = (await page.ask("csv"))["file"].splitlines()
    assert len(table) == 1 + 1000 + 1 and table[60].endswith("1:top_k")
    call = await page.ask("call")
    assert '["min_p", {"min_p": 0.05' in call["call"] and '"seed": 11' in call["call"] and call["served"] is False


async def test_the_chain_can_be_given_to_chat(page: Page) -> None:
    assert await page.ask("keep") == {}
    assert page.parts.preferences["chain"][0] == ["top_k", {"top_k": 50, "min_keep": 1, "flavour": "generic"}]
    assert Chain.parse((await page.ask("chain"))["chain"]).steps == Chain.parse(page.state["chain"]).steps
    await page.ask("keep", chain=[[step.sampler, dict(step.values)] for step in BALANCED])
    assert page.parts.preferences["chain"] == []


@pytest.mark.parametrize(
    ("ask", "more"),
    [
        ("see", {"look": "unknown"}),
        ("see", {"look": None}),
        ("see", {"node": 7}),
        ("see", {"node": "1"}),
        ("see", {"chain": "min_p"}),
        ("see", {"chain": [["min_p", {"min_p": 7}]]}),
        ("see", {"chain": [["nobody", {}]]}),
        ("see", {"chain": [["min_p", {}]] * 65}),
        ("see", {"seed": -1}),
        ("see", {"seed": True}),
        ("see", {"coin": "gold"}),
        ("see", {"order": None}),
        ("see", {"shown": 0}),
        ("see", {"shown": 10**9}),
        ("see", {"focus": None}),
        ("step", {"token": SIZE}),
        ("step", {}),
        ("go", {"node": 99}),
        ("draw", {"amount": 0}),
        ("draw", {"amount": 10**9}),
        ("find", {"text": 5}),
        ("find", {"text": "x" * 300}),
        ("load", {"file": "nonsense"}),
        ("look", {"prompt": None}),
        ("nothing", {}),
        ("_ask_see", {}),
    ],
)
async def test_nonsense_is_a_sentence_and_never_an_exception(page: Page, ask: str, more: dict[str, Any]) -> None:
    await page.ask("look", prompt="x")
    told = await page.ask(ask, **more)
    assert told["error"] and told["code"]
    assert "error" not in await page.ask("see", look=list(page.looks._looks)[0], node=0)


async def test_errors_speak_the_visitors_language(tmp_path: Path) -> None:
    page = Page(tmp_path, language="ru")
    told = await page.ask("see", look="gone")
    assert told["error"] == "Этот текст больше не хранится: посмотрите на него снова."


async def test_old_looks_make_room(page: Page) -> None:
    for number in range(40):
        await page.ask("look", prompt=f"prompt {number}")
    assert len(page.looks._looks) == 32


async def test_many_questions_at_once_are_all_answered(page: Page) -> None:
    await page.ask("look", prompt="x")
    told = await asyncio.gather(*(page.ask("see", seed=seed) for seed in range(40)))
    assert all("error" not in one for one in told)


STATIC = Path(__file__).parents[2] / "webui" / "tabs" / "static"


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_word_the_script_asks_for_is_there(language: str) -> None:
    script = "\n".join(path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("logits*.js")))
    words = {key[len("logits.") :] for key in load(language) if key.startswith("logits.")}
    plain = set(re.findall(r'\bw\("([a-z_.0-9]+)"', script))
    plain |= set(re.findall(r'\? "([a-z_.]+)" : "([a-z_.]+)"\)', script) and {"copied", "copied.no_api"})
    assert len(plain) > 90
    assert plain - words == set()
    families = ["penalty", "shape", "cut", "select"]
    built = [f"family.{name}" for name in families]
    built += [f"coin.{coin}{end}" for coin in ("dice", "strike", "spare") for end in ("", ".help")]
    built += [f"save.{name}{end}" for name in ("json", "csv", "png", "call") for end in ("", ".help")]
    built += [f"tour.{name}{end}" for name in ("look", "picture", "funnel", "draw", "walk") for end in ("", ".text")]
    built += [f"draw.{amount}" for amount in (1, 100, 10000)]
    built += [f"order.{order}{end}" for order in ("raw", "final") for end in ("", ".help")]
    assert set(built) - words == set()


def test_every_error_of_the_lab_is_translated() -> None:
    codes = set()
    for folder in ("lab", "tabs"):
        for path in (STATIC.parents[1] / folder).glob("*.py"):
            if folder == "lab" or path.name.startswith("logits"):
                codes |= set(re.findall(r'code="([a-z_]+)"', path.read_text(encoding="utf-8")))
    assert {"look_gone", "bad_look_file"} <= codes
    assert {code for code in codes if f"problem.{code}" not in load("ru")} == set()
