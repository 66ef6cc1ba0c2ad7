"""What can go wrong with a download, through the page's own server function: one sentence each, in both languages."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.hub.conftest import QUICK
from tests.hub.fake_hub import FakeHub, running
from tests.hub.shelves import stock
from webui.building import build_services
from webui.hub.library import Library
from webui.hub.queue import Downloads
from webui.hub.search import Hub
from webui.settings import Settings
from webui.tabs.asking import Answer, answer, asks_of
from webui.tabs.downloads import DownloadsServer
from webui.tabs.words import Words

REPO = "maker/Tiny-GGUF"
CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)


class Page:
    """The page's side: asks as its script does."""

    def __init__(self, fake: FakeHub, queue: Downloads, server: DownloadsServer) -> None:
        self.fake, self.queue, self._server = fake, queue, server

    async def ask(self, language: str, **asked: Any) -> Answer:
        return await answer(asks_of(self._server), Words(language), asked)

    async def open(self, language: str = "en", repo: str = REPO) -> Answer:
        return await self.ask(language, ask="search", text=repo, kind="gguf", sort="downloads")

    async def get(self, language: str = "en") -> Answer:
        offer = (await self.open())["offers"][0]
        return await self.ask(language, ask="get", repo=REPO, key=offer["key"])

    async def over(self) -> None:
        for _ in range(4000):
            if all(view.state not in ("waiting", "running", "checking") for view in self.queue.views()):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the download never ended")

    async def job(self, language: str) -> Mapping[str, Any]:
        return dict((await self.ask(language, ask="state"))["jobs"][0])


@pytest_asyncio.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    settings = Settings(data_dir=tmp_path, model_dir=(tmp_path / "models",))
    (tmp_path / "models").mkdir()
    library = Library((tmp_path / "models",), added_file=tmp_path / "added.json")
    with running() as fake:
        stock(fake)
        hub = Hub(fake.url, patience=10.0)
        queue = Downloads(tmp_path / "models", hub, patience=QUICK, on_done=lambda _: library.scan())
        services = replace(build_services(settings, library), hub=hub, downloads=queue)
        await queue.start()
        yield Page(fake, queue, DownloadsServer(services))
        await services.close()


def one_sentence(english: str, russian: str) -> None:
    for sentence in (english, russian):
        assert sentence.endswith(".") and "\n" not in sentence and 20 < len(sentence) < 250
        assert not re.search(r"Traceback|Error\(|\{|\}|https?://[^ ]*/api", sentence)
        assert len(re.findall(r"[.!?] +[A-ZА-ЯЁ]", sentence)) == 0, "one sentence"
    assert CYRILLIC.search(russian) and not CYRILLIC.search(english)


@pytest.mark.parametrize(
    ("faults", "repo", "code"),
    [
        ({}, "maker/Missing", "hub_no_repo"),
        ({"rate_limited": 90}, REPO, "hub_rate_limited"),
        ({"captive": True}, REPO, "hub_captive"),
        ({"broken_times": 99}, REPO, "hub_broken"),
        ({"offline": True}, REPO, "hub_offline"),
        ({"gone": True}, REPO, "hub_unreachable"),
    ],
)
async def test_a_model_that_cannot_be_opened(page: Page, faults: dict[str, Any], repo: str, code: str) -> None:
    if faults.pop("offline", False):
        page.queue.use(Hub(page.fake.url, offline=True))
    elif faults.pop("gone", False):
        page.queue.use(Hub("http://127.0.0.1:9", patience=2.0))
    for name, value in faults.items():
        setattr(page.fake.faults, name, value)
    english, russian = await page.open("en", repo), await page.open("ru", repo)
    assert english["code"] == russian["code"] == code
    one_sentence(english["error"], russian["error"])
    assert page.queue.views() == ()


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ({"gated": True}, "hub_gated"),
        ({"rate_limited": 90}, "hub_rate_limited"),
        ({"captive": True}, "hub_captive"),
        ({"wrong_byte_at": 1000}, "hub_checksum"),
        ({"longer_by": 7}, "hub_changed"),
        ({"stall_after": 0}, "hub_stalled"),
    ],
)
async def test_a_download_that_fails_says_why_and_leaves_nothing_to_load(
    page: Page, faults: dict[str, Any], code: str
) -> None:
    offer = (await page.open())["offers"][0]
    for name, value in faults.items():
        setattr(page.fake.faults, name, value)
    assert "error" not in await page.ask("en", ask="get", repo=REPO, key=offer["key"])
    await page.over()
    english, russian = await page.job("en"), await page.job("ru")
    assert english["code"] == code and english["state"] == "failed" and not english["loadable"]
    one_sentence(english["problem"], russian["problem"])
    assert not list(page.queue.folder.glob("*.gguf")), "nothing half is ever offered"


async def test_a_full_disk_is_told_before_anything_is_fetched(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    await page.open()
    usage = shutil.disk_usage(page.queue.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    page.fake.requests.clear()
    english, russian = await page.get("en"), await page.get("ru")
    assert english["code"] == "hub_disk_full" and page.fake.sent() < 1 << 20, "no more than a look at the header"
    one_sentence(english["error"], russian["error"])


async def test_a_server_that_ignores_range_is_named_and_the_file_still_comes_whole(page: Page) -> None:
    page.fake.faults.seconds_a_block = 0.002
    page.fake.faults.ignore_range, page.fake.faults.cut_after, page.fake.faults.cut_times = True, 1 << 20, 1
    await page.get()
    told: dict[str, str] = {}
    for _ in range(4000):
        for language in ("en", "ru"):
            told[language] = (await page.job(language))["notice"] or told.get(language, "")
        if (await page.job("en"))["state"] not in ("waiting", "running", "checking"):
            break
        await asyncio.sleep(0.01)
    assert (await page.job("en"))["state"] == "done" and (await page.job("en"))["loadable"]
    one_sentence(told["en"], told["ru"])
    whole = page.fake.repos[REPO].files["Tiny-Q4_K_M.gguf"]
    assert next(page.queue.folder.glob("*.gguf")).read_bytes() == whole
