"""The pieces by themselves: each has files of its own, and draws plain JSON wherever it is put."""

from __future__ import annotations

import gradio as gr
import pytest
from playwright.async_api import expect

from tests.tabs.conftest import Site, Visit
from webui.tabs import pieces
from webui.tabs.pieces import Line, Meter, Piece, ProbabilityBars, TokenStrip, read_all


def kinds() -> list[type[Piece]]:
    found = [thing for thing in vars(pieces).values() if isinstance(thing, type) and issubclass(thing, Piece)]
    return [kind for kind in found if kind is not Piece]


def test_every_piece_has_its_own_script() -> None:
    assert len(kinds()) >= 10
    for kind in kinds():
        script = (pieces.STATIC / f"{kind.draws}.js").read_text(encoding="utf-8")
        assert f"Lab.drawings.{kind.draws} = " in script, kind.__name__


@pytest.mark.parametrize("kind", [pieces.StatusLine, Line, TokenStrip, ProbabilityBars, Meter])
def test_every_small_piece_has_its_own_look(kind: type[Piece]) -> None:
    assert (pieces.STATIC / f"{kind.draws}.css").read_text(encoding="utf-8").startswith("/* ")


def test_what_others_build_on_comes_first() -> None:
    script, style = read_all("js"), read_all("css")
    assert script.index("window.Lab = ") < script.index("Lab.drawings.bars = ") < script.index("Lab.drawings.chat = ")
    assert style.index(":root {") < style.index(".gradio-container") < style.index(".bars .key")


@pytest.mark.browser
async def test_pieces_stand_alone_and_follow_their_value(
    site: Site, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webui.tabs.app.build_blocks", lambda services: small_page())
    await site.restart()
    page = await visit(ready="#strip .strip")
    tokens = page.locator("#strip .token")
    assert await tokens.all_inner_texts() == ["a·", "<b>↵", "c"]
    await expect(page.locator("#bars .candidate")).to_have_count(2)
    await expect(page.locator("#bars .candidate.is-cut .fate")).to_have_text("min-p")
    await expect(page.locator("#meter .meter-bar i")).to_have_count(2)
    await tokens.nth(1).click()
    await expect(page.locator("#news")).to_have_text("token 1")
    await expect(page.locator("#bars .candidate.is-chosen .token")).to_have_text("other")
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#news")).to_have_text("token 2")


def small_page() -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as blocks:
        strip = TokenStrip(
            {"tokens": [{"text": "a ", "id": 1}, {"text": "<b>\n", "id": 2, "surprise": 1}, {"text": "c", "id": 3}]},
            elem_id="strip",
        )
        bars = ProbabilityBars(
            {
                "rows": [
                    {"text": "x", "id": 4, "raw": 0.7, "final": 1.0, "cut": "", "chosen": True},
                    {"text": "<i>", "id": 5, "raw": 0.3, "final": 0.0, "cut": "min-p", "chosen": False},
                ]
            },
            elem_id="bars",
        )
        parts = [{"amount": 1, "label": "one", "kind": "kept"}, {"amount": 2, "label": "two", "kind": "raw"}]
        Meter({"label": "Memory", "text": "3 of 4", "total": 4, "parts": parts}, elem_id="meter")
        news = Line(elem_id="news")

        def chosen(event: gr.EventData) -> tuple[dict[str, object], dict[str, object]]:
            row = {"text": "other", "id": 6, "raw": 1.0, "final": 1.0, "cut": "", "chosen": True}
            return {"text": f"token {event.index}"}, {"rows": [row]}

        strip.select(chosen, None, [news, bars], show_progress="hidden")
    return blocks
