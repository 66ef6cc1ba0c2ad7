"""What the start had to set aside is said on the page, in both languages; and so is who did not answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from webui.building import build_services
from webui.chat.history import Node
from webui.hub.library import Library
from webui.settings import Settings
from webui.tabs.chat_words import ChatWords
from webui.tabs.markdown import Markdown
from webui.tabs.shell import Shell
from webui.tabs.words import Words

DAMAGED = {
    "settings.json": ('{"version": 1, "seed": "x"}', "seed"),
    "models.json": ('{"version": 1, "tiny": {"n_ctx": -5, "preset": "Balanced"}}', "tiny: n_ctx"),
    "fallback.yaml": ("models:\n- a\n- a\n", "fallback.yaml"),
}


def notices(folder: Path, language: str) -> list[str]:
    async def ask() -> list[str]:
        settings = Settings(data_dir=folder, model_dir=(folder,))
        services = build_services(settings, Library((folder,), added_file=folder / "added.json"))
        try:
            return list((await Shell(services)._ask_state(Words(language), {}))["notices"])
        finally:
            await services.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("language", ["en", "ru"])
def test_damaged_files_are_named_on_the_page(tmp_path: Path, language: str) -> None:
    assert notices(tmp_path, language) == []
    for name, (text, _) in DAMAGED.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    told = notices(tmp_path, language)
    assert len(told) == 3
    for sentence, (_, culprit) in zip(told, DAMAGED.values(), strict=True):
        assert culprit in sentence and ("ейству" in sentence) == (language == "ru")
    for name in ("settings.json", "models.json"):
        (tmp_path / name).write_text("{", encoding="utf-8")
    told = notices(tmp_path, language)
    assert ["settings.json.corrupt-" in told[0], "models.json.corrupt-" in told[1]] == [True, True]
    assert len(notices(tmp_path, language)) == 1, "set aside once, and the YAML is still damaged"


def test_a_chain_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    kept = '{"version": 1, "chain": [["min_p", {"min_p": 7}]]}'
    (tmp_path / "settings.json").write_text(kept, encoding="utf-8")
    (told,) = notices(tmp_path, "en")
    assert "Balanced" in told and "min_p" in told
    (told,) = notices(tmp_path, "ru")
    assert "действует Balanced" in told


def test_a_reply_says_who_did_not_answer() -> None:
    values = {"name": "big", "seconds": "5"}
    miss = {"model": "big", "code": "over_time", "message": "big gave no token within 5 seconds.", "values": values}
    meta = {"reason": "fallback_text", "fallback": [miss], "dropped": 0}
    node = Node(
        id=2, chat=1, parent=1, role="assistant", content="Later.", created=0.0, state="done", meta=meta, versions=(2,)
    )
    said = ChatWords(Words("en"), Markdown()).message(node, live=False)
    assert said["notice"] == "big did not answer: big gave no token within 5 seconds."
    assert [figure["text"] for figure in said["figures"]] == ["fixed text"]
    said = ChatWords(Words("ru"), Markdown()).message(node, live=False)
    assert said["notice"].startswith("big не ответила: big не дала ни одного токена за 5")
