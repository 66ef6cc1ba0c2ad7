"""The call that the Logits tab lets one copy, really sent to the API: it must give the numbers the tab shows."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from webui.api import build_api
from webui.building import build_services
from webui.hub.library import Library
from webui.services import Services
from webui.settings import Settings
from webui.tabs.asking import answer, asks_of
from webui.tabs.logits import LogitsServer
from webui.tabs.words import Words
from webui.types import LoadSpec

CHAIN = [
    ["top_k", {"top_k": 0}],
    ["min_p", {"min_p": 0.02}],
    ["temperature", {"temperature": 1.3}],
    ["top_p", {"top_p": 0.9}],
    ["min_p", {"min_p": 0.7}],
]


TOKEN, RAW, FINAL = 0, 2, 4
"""Where a bar has its token, what the model gave it, and what the chain left of it."""


class Both:
    """One program's Logits tab and its API."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.server = LogitsServer(services)
        self.state: dict[str, Any] = {
            "look": None, "node": 0, "seed": 11, "coin": "dice", "shown": 2000, "order": "final", "focus": -1,
            "chain": CHAIN,
        }  # fmt: skip

    async def ask(self, ask: str, **more: Any) -> dict[str, Any]:
        told = await answer(asks_of(self.server), Words("en"), {**self.state, "ask": ask, **more})
        assert "error" not in told, told
        for name in ("look", "node"):
            self.state[name] = told.get(name, self.state[name])
        return told

    async def copied(self) -> tuple[str, dict[str, Any]]:
        """The path and the body of the copied command, read as a shell reads it."""
        words = shlex.split((await self.ask("call"))["call"])
        assert words[0] == "curl" and words[2:4] == ["-H", "Content-Type: application/json"] and words[4] == "-d"
        address = urlsplit(words[1])
        assert address.port == self.services.settings.api_port
        return address.path, json.loads(words[5])

    async def send(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        transport = httpx.ASGITransport(build_api(self.services))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client:
            told = await client.post(path, json=body)
        assert told.status_code == 200, told.text
        found: dict[str, Any] = told.json()
        return found

    async def shares(self) -> dict[str, float]:
        """What the tab shows as left of each text; two tokens of one text add up."""
        seen = await self.ask("see")
        left = {int(bar[0]): float(bar[FINAL]) for bar in seen["bars"] if bar[FINAL] > 0}
        shares: dict[str, float] = {}
        for text, share in zip(await self.services.models.pieces(list(left)), left.values(), strict=True):
            shares[text] = shares.get(text, 0.0) + share
        return shares


@pytest_asyncio.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    settings = Settings(data_dir=tmp_path / "data", model_dir=(tmp_path / "models",), api=True)
    services = build_services(settings, Library(settings.model_dir))
    # A reply of one token said for ever: the scripted rows then do not depend on where a prompt ended.
    options = {"sharpness": 0.0, "reply": "x", "end": False}
    await services.models.load(LoadSpec("scripted", engine="fake", name="Scripted", n_ctx=2048, options=options))
    yield Both(services)
    await services.close()


async def written(both: Both, count: int) -> list[int]:
    """What the tab draws when it writes on from here."""
    tokens: list[int] = []
    for _ in range(count):
        tokens.append((await both.ask("step", token=-1))["walk"]["path"][-1][1])
    return tokens


async def test_the_copied_call_gives_the_numbers_the_tab_shows(both: Both) -> None:
    looked = await both.ask("look", prompt="pick a word for me")
    path, body = await both.copied()
    assert path == "/v1/completions" and body["prompt"] == "pick a word for me" and body["seed"] == 11
    asked = {**body, "use_samplers": True, "top_logits": 10_000}
    left = await both.send("/v1/internal/logits", asked)
    assert len(left) > 3 and left == pytest.approx(await both.shares(), rel=1e-5)
    answered = (await both.send(path, {**body, "logprobs": 5}))["choices"][0]
    given = {int(token): value for token, value in answered["logprobs"]["top_logprobs_ids"][0].items()}
    best = sorted(looked["bars"], key=lambda bar: -bar[RAW])[:5]
    shown = {int(bar[TOKEN]): math.log(bar[RAW]) for bar in best}
    assert {token: given[token] for token in shown} == pytest.approx(shown, abs=1e-4)
    drawn = await written(both, 8)
    assert answered["logprobs"]["tokens"][:8] == await both.services.models.pieces(drawn), "the seed is the same"


async def test_a_call_copied_on_the_walk_goes_on_from_its_tokens(both: Both) -> None:
    looked = await both.ask("look", prompt="pick a word for me")
    second = int(looked["bars"][1][TOKEN])
    here = await both.ask("step", token=second)
    path, body = await both.copied()
    assert body["prompt"][-1] == second and len(body["prompt"]) == len(looked["walk"]["prompt"]) + 1
    answered = (await both.send(path, {**body, "max_tokens": 1, "logprobs": 5}))["choices"][0]
    given = {int(token): value for token, value in answered["logprobs"]["top_logprobs_ids"][0].items()}
    best = sorted(here["bars"], key=lambda bar: -bar[RAW])[:5]
    shown = {int(bar[TOKEN]): math.log(bar[RAW]) for bar in best}
    assert {token: given[token] for token in shown} == pytest.approx(shown, abs=1e-4)


async def test_what_is_off_is_not_in_the_call_and_what_stands_twice_is_there_twice(both: Both) -> None:
    await both.ask("look", prompt='it\'s "quoted" & $HOME\nand `more`')
    _, body = await both.copied()
    assert [name for name, _ in body["chain"]] == ["min_p", "temperature", "top_p", "min_p"]
    assert body["prompt"] == 'it\'s "quoted" & $HOME\nand `more`', "no shell may change the prompt"
    both.state["chain"] = [["min_p", {"min_p": 0.0}]]
    _, body = await both.copied()
    assert body["chain"] == []
    everything = await both.send("/v1/internal/logits", {**body, "use_samplers": True, "top_logits": 10_000})
    assert sum(everything.values()) == pytest.approx(1.0), "an empty chain is none, not the default one"
    assert len(everything) > 1000
